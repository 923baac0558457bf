// align-movie on files: what damaged movies and gains say, unusual ones that must work, and memory within the declared
// need.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/tiff_writer.hpp"
#include "frazil/protocols/align_movie.hpp"
#include "frazil/protocols/test_context.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

/// The usual parameters, some of them changed.
AlignMovieParams with(void (*change)(AlignMovieParams&)) {
  AlignMovieParams params;
  change(params);
  return params;
}

struct MovieFiles {
  io::TestFolder folder;

  /// Counted frames with a faint pattern that moves by half a pixel a frame.
  Movie write(int nx, int ny, int frames, io::PixelType type = io::PixelType::u8, double counts = 2) const {
    const auto path = folder / "movie.tif";
    Rng rng(5);
    io::TiffStackWriter writer(path, nx, ny, {io::TiffCompression::lzw, type, false, 64});
    Image frame(nx, ny);
    for (int t = 0; t < frames; ++t) {
      for (int y = 0; y < ny; ++y)
        for (int x = 0; x < nx; ++x)
          frame(x, y) =
              static_cast<float>(rng.poisson(counts * (1 + 0.3 * std::sin(0.21 * (x - 0.5 * t)) * std::sin(0.17 * y))));
      writer.append(frame);
    }
    writer.close();
    Movie movie;
    movie.path = path.string();
    movie.name = "movie.tif";
    movie.nx = nx, movie.ny = ny, movie.frames = frames;
    movie.dose_per_frame = 1_e_per_A2;
    return movie;
  }

  AlignedMovie align(const Movie& movie, const AlignMovieParams& params = {}) const {
    TestContext context(folder.path(), 2);
    AlignMovie protocol;
    protocol.params = params;
    return protocol.process(movie, context);
  }

  /// Peak memory in MiB of a process that does nothing else.
  [[nodiscard]] double peak_mib(const Movie& movie, const AlignMovieParams& params = {}) const {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        (void)align(movie, params);
      } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    rusage use{};
    EXPECT_EQ(::wait4(child, &status, 0, &use), child);
    EXPECT_EQ(status, 0);
    return static_cast<double>(use.ru_maxrss) / 1024;
  }
};

void overwrite(const fs::path& path, std::uintmax_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(offset));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST(AlignMovie, SaysWhatIsWrongWithADamagedMovie) {
  const MovieFiles files;
  const auto movie = files.write(256, 256, 6);
  auto wrong = movie;
  wrong.nx = 512;
  EXPECT_ERROR((void)files.align(wrong), corrupt, "expected 512 x 256 pixels and 6 frames, found 256 x 256 and 6");
  const auto size = fs::file_size(movie.path);
  overwrite(movie.path, size / 2, std::string(200, '\xff'));
  EXPECT_ERROR((void)files.align(movie), corrupt, "movie.tif: strip");
  fs::resize_file(movie.path, size / 2);
  EXPECT_ERROR((void)files.align(movie), corrupt, "movie.tif");
}

TEST(AlignMovie, SaysWhatIsWrongWithAGain) {
  const MovieFiles files;
  auto movie = files.write(256, 256, 3);
  movie.gain = files.folder / "gain.mrc";
  Image gain(256, 256);
  for (auto& v : gain.pixels()) v = 1;
  gain(3, 4) = std::numeric_limits<float>::quiet_NaN();
  io::write_image(movie.gain, gain);
  EXPECT_ERROR((void)files.align(movie), bad_input, "gain");
  io::write_image(movie.gain, Image(200, 256));
  EXPECT_ERROR((void)files.align(movie), bad_input, "gain");
}

TEST(AlignMovie, TakesOneFrameSixteenBitsAndAThousandFrames) {
  const MovieFiles files;
  const auto one = files.align(files.write(256, 256, 1));
  ASSERT_EQ(one.motion.shifts_px.size(), 1U);
  EXPECT_NEAR(statistics(io::read_image(one.micrograph.path)).mean, 2, 0.05);

  const auto bright = files.write(256, 256, 3, io::PixelType::u16, 40000);  // more than fits 16 bits once summed
  EXPECT_NEAR(statistics(io::read_image(files.align(bright).micrograph.path)).mean, 120000, 200);
  EXPECT_ERROR((void)files.align(bright, with([](AlignMovieParams& p) { p.output_format = OutputFormat::f16; })),
               bad_input, "does not fit MRC mode 12");

  const auto many = files.write(256, 256, 1000);
  const auto found = files.align(many, with([](AlignMovieParams& p) { p.halves = true; }));
  EXPECT_EQ(found.motion.shifts_px.size(), 1000U);
  EXPECT_TRUE(fs::exists(files.folder / "movie_ODD.mrc") && fs::exists(files.folder / "movie_EVN.mrc"));
}

TEST(AlignMovie, StaysWithinTheMemoryThatItDeclares) {
  const MovieFiles files;
  const auto check = [&](int nx, int ny, int frames, io::PixelType type, const AlignMovieParams& params) {
    const auto movie = files.write(nx, ny, frames, type);
    AlignMovie protocol;
    protocol.params = params;
    EXPECT_LT(files.peak_mib(movie, params), protocol.memory_mib(movie)) << nx << " x " << ny << " x " << frames;
  };
  check(256, 256, 1000, io::PixelType::u8, {});
  check(2048, 1536, 4, io::PixelType::u16, with([](AlignMovieParams& p) { p.halves = true; }));
  check(2048, 2048, 5, io::PixelType::f32, with([](AlignMovieParams& p) { p.binning = 2; }));
  if (const char* wanted = std::getenv("FRAZIL_LONG_TESTS"); wanted != nullptr && std::string(wanted) == "1") {
    check(11520, 8184, 3, io::PixelType::u8, with([](AlignMovieParams& p) { p.binning = 2; }));
    check(4096, 4096, 40, io::PixelType::u8, {});
  }
}

}  // namespace
}  // namespace frazil::protocols
