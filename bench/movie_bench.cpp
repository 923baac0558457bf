// Times every block of movie alignment on one movie, checks it, and prints the floor beside each figure:
// movie_bench FOLDER [THREADS] [REPEATS] where FOLDER is what `frazil simulate` wrote for a scene of movies.
#include <fmt/format.h>
#include <hwy/targets.h>
#include <sys/resource.h>
#include <tiffio.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "frazil/algo/motion/align.hpp"
#include "frazil/algo/motion/frame_cache.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/algo/motion/survey.hpp"
#include "frazil/algo/motion/warp_kernels.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/io/movie_file.hpp"

using namespace frazil;

namespace {

std::size_t z(int n) { return static_cast<std::size_t>(n); }

struct Cost {
  double wall = 0, cpu = 0;  ///< seconds
  Cost operator+(const Cost& other) const { return {wall + other.wall, cpu + other.cpu}; }
};

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Medians of a few runs.
template <class F>
Cost timed(int repeats, const F& body) {
  std::vector<double> wall, cpu;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double before = cpu_seconds();
    body();
    cpu.push_back(cpu_seconds() - before);
    wall.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(wall.begin(), wall.end());
  std::sort(cpu.begin(), cpu.end());
  return {wall[z(repeats / 2)], cpu[z(repeats / 2)]};
}

void row(std::string_view block, const Cost& cost, double pixels, double floor, std::string_view what) {
  fmt::print("{:<34} {:7.3f} s {:7.3f} core-s {:6.0f} Mpixel/s   floor {:6.3f} s ({:4.1f} x)  {}\n", block, cost.wall,
             cost.cpu, pixels / cost.wall / 1e6, floor, cost.wall / floor, what);
}

struct Bench {
  std::string path, gain;
  int threads, repeats;
  io::MovieReader reader{path};
  int nx = reader.info().nx, ny = reader.info().ny, count = reader.info().nz;
  double pixels = static_cast<double>(nx) * ny * count;
  std::vector<std::shared_ptr<Counts>> frames{};
  motion::Detector detector = perfect();

  [[nodiscard]] motion::Detector perfect() const {
    return {nx, ny, gain.empty() ? Image() : io::read_gain(gain, nx, ny), 1};
  }

  [[nodiscard]] motion::FrameSource source(Angstrom pixel) const {
    motion::FrameSource s{nx, ny, count, pixel, {}};
    s.counts = [this](int t) { return frames[z(t)]; };
    s.batch = count;
    return s;
  }

  /// Seconds for all threads to read and write `bytes` once.
  [[nodiscard]] double copy_seconds(double bytes) const {
    const auto piece = std::size_t{64} << 20U;
    std::vector<AlignedVector<char>> from(z(threads)), to(z(threads));
    for (int i = 0; i < threads; ++i) from[z(i)].assign(piece, 1), to[z(i)].assign(piece, 2);
    const double once = timed(5, [&] {
                          parallel_for(threads, z(threads), [&](std::size_t i) {
                            std::copy(from[i].begin(), from[i].end(), to[i].begin());
                          });
                        }).wall;
    return once * bytes / (static_cast<double>(piece) * threads);
  }

  Cost decode() {
    frames.clear();
    for (int t = 0; t < count; ++t)
      frames.push_back(std::make_shared<Counts>(nx, ny, io::count_type_of(reader.info().type)));
    const auto all = [&] {
      parallel_for(threads, z(count), [&](std::size_t t) { reader.read_counts(static_cast<int>(t), *frames[t]); });
    };
    all();
    const Cost ours = timed(repeats, all);
    const double bytes = pixels * static_cast<double>(bytes_of(frames[0]->type()));
    row("decode", ours, pixels, copy_seconds(bytes), "decoded bytes copied once");
    return ours;
  }

  /// The same by libtiff, which must agree.
  void decode_by_libtiff() {
    if (path.find(".tif") == std::string::npos) return;
    std::vector<int> bad(z(count), 0);
    const Cost theirs = timed(1, [&] {
      parallel_for(threads, z(threads), [&](std::size_t thread) {
        TIFF* tiff = TIFFOpen(path.c_str(), "r");
        if (tiff == nullptr) throw Error(ErrorCode::io, "{}: libtiff does not open it", path);
        std::vector<char> strip;
        for (int t = 0; t < count; ++t) {
          TIFFSetDirectory(tiff, static_cast<std::uint16_t>(t));
          if (z(t) % z(threads) != thread) continue;
          std::uint32_t rows = 0;
          TIFFGetField(tiff, TIFFTAG_ROWSPERSTRIP, &rows);
          strip.resize(static_cast<std::size_t>(TIFFStripSize(tiff)));
          const std::size_t bytes = frames[z(t)]->row_bytes();
          for (std::uint32_t s = 0; s < TIFFNumberOfStrips(tiff); ++s) {
            const auto got = TIFFReadEncodedStrip(tiff, s, strip.data(), static_cast<tmsize_t>(strip.size()));
            for (std::size_t y = 0; got > 0 && y < static_cast<std::size_t>(got) / bytes; ++y)
              bad[z(t)] |= std::memcmp(frames[z(t)]->row(ny - 1 - static_cast<int>(s * rows + y)),
                                       strip.data() + y * bytes, bytes) != 0
                               ? 1
                               : 0;
          }
        }
        TIFFClose(tiff);
      });
    });
    if (std::count(bad.begin(), bad.end(), 1) > 0)
      throw Error(ErrorCode::bug, "our decoder and libtiff disagree in {} frames",
                  std::count(bad.begin(), bad.end(), 1));
    fmt::print("{:<34} {:7.3f} s {:7.3f} core-s {:6.0f} Mpixel/s   (compared with ours: equal)\n",
               "  the same by libtiff", theirs.wall, theirs.cpu, pixels / theirs.wall / 1e6);
  }

  Cost bin(Angstrom pixel, int factor) {
    const auto input = source(pixel);
    const Cost ours = timed(repeats, [&] { (void)motion::survey(input, detector, factor, 1, threads); });
    row(fmt::format("survey and bin by {}", factor), ours, pixels, copy_seconds(pixels) / 2, "counts read once");
    return ours;
  }

  Cost transforms(int rank) {
    Image image(nx, ny);
    for (std::size_t i = 0; i < image.size(); ++i)
      image.pixels()[i] = static_cast<float>(frames[0]->row(0)[i % frames[0]->row_bytes()]);
    Spectrum spectrum(nx, ny);
    fft_into(image, spectrum, threads);
    const Cost forward = timed(repeats, [&] { fft_into(image, spectrum, threads); });
    const double size = static_cast<double>(nx) * ny, bytes = size * 4 * 2;
    row(fmt::format("one transform of {} x {}", nx, ny), forward, size, copy_seconds(bytes),
        "two passes through memory");
    return {forward.wall * (rank + 2), forward.cpu * (rank + 2)};
  }

  Cost warp(const motion::MotionField& field, const motion::DoseBasis& basis, Angstrom pixel, std::string_view name) {
    const auto input = source(pixel);
    const Cost ours = timed(repeats, [&] {
      (void)motion::warp_frames(input, detector, field, basis.b, {motion::Spline::quintic, threads});
    });
    row(fmt::format("warp and sum, {}", name), ours, pixels, pixels * (12 + basis.rank()) / multiply_adds_per_second(),
        fmt::format("{} multiply-adds a pixel, {}", 12 + basis.rank(), motion::warp_kernels().target));
    return ours;
  }

  /// What the kernels reach when all is in the first-level cache and nothing else is done.
  [[nodiscard]] double multiply_adds_per_second() const {
    constexpr int n = 512, rank = 8, rounds = 4000;
    std::vector<double> sink(z(threads));
    const double seconds = timed(3, [&] {
                             parallel_for(threads, z(threads), [&](std::size_t thread) {
                               AlignedVector<float> values(n * motion::warp_group, 1e-3F), sums(n * rank),
                                   weights(rank * motion::warp_group, 1e-3F);
                               const float* from[motion::warp_group];
                               float* to[rank];
                               for (int f = 0; f < motion::warp_group; ++f) from[f] = values.data() + f * n;
                               for (int r = 0; r < rank; ++r) to[r] = sums.data() + r * n;
                               for (int i = 0; i < rounds; ++i)
                                 motion::warp_kernels().add(from, motion::warp_group, weights.data(), rank, to, n);
                               sink[thread] = static_cast<double>(sums[1]);
                             });
                           }).wall;
    return static_cast<double>(n) * rank * motion::warp_group * rounds * threads / seconds;
  }
};

/// A field that differs over the image as specimens do.
motion::MotionField local_field(const std::vector<motion::Shift>& track, int nx, int ny) {
  std::vector<double> x, y;
  for (int i = 0; i < 5; ++i) x.push_back(i * (nx - 1) / 4.0), y.push_back(i * (ny - 1) / 4.0);
  std::vector<motion::Shift> shifts;
  for (std::size_t t = 0; t < track.size(); ++t)
    for (int j = 0; j < 5; ++j)
      for (int i = 0; i < 5; ++i) {
        const double grown = 3 * (1 - std::exp(-static_cast<double>(t) / 10));
        shifts.push_back(
            {track[t].x + grown * std::sin(0.9 * i + 0.4 * j), track[t].y + grown * std::cos(0.7 * j - 0.5 * i)});
      }
  return {x, y, shifts};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "movie_bench FOLDER [THREADS] [REPEATS]\n");
    return 2;
  }
  const std::string folder = argv[1];
  const int threads = argc > 2 ? std::stoi(argv[2]) : 1, repeats = argc > 3 ? std::stoi(argv[3]) : 3;
  const auto truth = nlohmann::json::parse(read_text(folder + "/truth.json"));
  const auto pixel = Angstrom(truth.at("pixel_size_A").get<double>());
  const motion::Exposure exposure{Dose(truth.at("dose_per_frame_e_per_A2").get<double>()), Dose(0),
                                  Kilovolt(truth.at("scene").at("voltage").get<double>())};
  Bench bench{folder + "/" + truth.at("areas")[0].at("file").get<std::string>(), folder + "/references/gain.mrc",
              threads, repeats};
  fmt::print("{}: {} x {} x {}, {} threads, medians of {}\n", bench.path, bench.nx, bench.ny, bench.count, threads,
             repeats);

  const Cost decode = bench.decode();
  bench.decode_by_libtiff();
  const int factor = std::max(1, static_cast<int>(0.45 * 8 / pixel.value()));
  const Cost bin = bench.bin(pixel, factor);
  const auto basis = motion::dose_basis(exposure, bench.count, std::sqrt(0.5) / pixel.value());
  const Cost transforms = bench.transforms(basis.rank());

  motion::Alignment found;
  const Cost align = timed(
      1, [&] { found = motion::align_frames(bench.source(pixel), bench.detector, exposure, {.threads = threads}); });
  const Cost global = bench.warp(motion::MotionField(found.track), basis, pixel, "global");
  const auto field = local_field(found.track, bench.nx, bench.ny);
  const Cost local = bench.warp(field, basis, pixel, fmt::format("local, blocks of {}", motion::block_side(field)));
  row("survey and align", align, bench.pixels, bin.wall, "the survey alone");
  const Cost sum = timed(repeats, [&] {
    (void)motion::sum_frames(bench.source(pixel), bench.detector, motion::MotionField(found.track), basis,
                             {.threads = threads});
  });
  row("warp, sum and transforms", sum, bench.pixels, transforms.wall, fmt::format("{} transforms", basis.rank() + 2));

  const Cost floor = decode + bin + transforms, whole = decode + align + sum;
  row("whole, without writing", whole, bench.pixels, floor.wall, "decode + bin + transforms, as above");
  fmt::print(
      "local over global warp {:.2f}; {:.0f} movies an hour; peak memory {:.2f} GiB (this program holds the whole "
      "movie)\n",
      local.cpu / global.cpu, 3600 / whole.wall, [] {
        rusage use{};
        ::getrusage(RUSAGE_SELF, &use);
        return static_cast<double>(use.ru_maxrss) / (1 << 20);
      }());
  return 0;
}
