// Times alignment and sum of one simulated movie and compares the track with the truth:
// motion_bench FOLDER [THREADS] [SUM 0|1] where FOLDER is what `frazil simulate` wrote for a scene of movies.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "frazil/algo/motion/align.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/files.hpp"
#include "frazil/io/movie_file.hpp"

using namespace frazil;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// 2-D RMS difference, mean offset removed.
double error_of(const std::vector<motion::Shift>& track, const nlohmann::json& truth) {
  double mx = 0, my = 0, sum = 0;
  const auto n = static_cast<double>(track.size());
  const auto x = [&](std::size_t t) { return track[t].x - truth[t][0].get<double>(); };
  const auto y = [&](std::size_t t) { return track[t].y - truth[t][1].get<double>(); };
  for (std::size_t t = 0; t < track.size(); ++t) mx += x(t) / n, my += y(t) / n;
  for (std::size_t t = 0; t < track.size(); ++t) sum += std::pow(x(t) - mx, 2) + std::pow(y(t) - my, 2);
  return std::sqrt(sum / n);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "motion_bench FOLDER [THREADS] [SUM 0|1]\n");
    return 2;
  }
  const std::string folder = argv[1];
  const int threads = argc > 2 ? std::stoi(argv[2]) : 1;
  const auto truth = nlohmann::json::parse(read_text(folder + "/truth.json"));
  const auto pixel = Angstrom(truth.at("pixel_size_A").get<double>());
  const motion::Exposure exposure{Dose(truth.at("dose_per_frame_e_per_A2").get<double>()), Dose(0), Kilovolt(truth.at("scene").at("voltage").get<double>())};
  for (const auto& area : truth.at("areas")) {
    const io::MovieReader reader(folder + "/" + area.at("file").get<std::string>());
    const int nx = reader.info().nx, ny = reader.info().ny;
    motion::Detector detector(nx, ny, io::read_gain(folder + "/references/gain.mrc", nx, ny), 1);
    motion::FrameSource raw{nx, ny, reader.info().nz, pixel, [&](int t, Image& out) { reader.read_frame(t, out); }};
    auto start = std::chrono::steady_clock::now();
    const auto found = motion::align_frames(raw, detector, exposure, {.threads = threads});
    fmt::print("{}: error {:.3f} px, claimed {:.3f} px, {} rounds, {} defects, pattern {:.4f}, path {:.1f} A, smoothness {:.4f} {:.4f} {:.2f}, {:.1f} s to align", area.at("file").get<std::string>(),
               error_of(found.track, area.at("shifts_px")), found.sigma_px * std::sqrt(2.0), found.iterations, detector.defects().size(), std::sqrt(found.fixed_pattern),
               found.path.total_path.value(), found.acceleration_A, found.step_A, found.burst, seconds_since(start));
    if (argc <= 3 || std::string(argv[3]) != "0") {
      start = std::chrono::steady_clock::now();
      const auto basis = motion::dose_basis(exposure, raw.count, std::sqrt(0.5) / pixel.value());
      const auto sums = motion::sum_frames(raw, detector, motion::MotionField(found.track), basis, {.threads = threads});
      fmt::print(", {:.1f} s to sum with {} rows", seconds_since(start), basis.rank());
    }
    fmt::print("\n");
    if (std::getenv("FRAZIL_BENCH_TRACK") != nullptr)
      for (std::size_t t = 0; t < found.track.size(); ++t)
        fmt::print("  {:2} {:7.3f} {:7.3f}  truth {:7.3f} {:7.3f}  amplitude {:.2f}\n", t, found.track[t].x, found.track[t].y, area.at("shifts_px")[t][0].get<double>(),
                   area.at("shifts_px")[t][1].get<double>(), found.amplitude[t]);
  }
  return 0;
}
