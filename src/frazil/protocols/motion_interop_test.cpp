// RELION's polishing starts from the motion that align-movie writes: the same shifts at the same places.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "frazil/base/random.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/motion_files.hpp"

namespace frazil::protocols {
namespace {

constexpr int side = 256, frames = 6, box = 32;
constexpr auto pixel = 2_A;
constexpr std::pair<int, int> places[] = {{60, 70}, {128, 128}, {200, 90}, {80, 190}};

/// A field that bends, of a form that the third-order model holds.
motion::Shift shift_at(int t, double x_px, double y_px) {
  const double u = x_px / side - 0.5, v = y_px / side - 0.5;
  return {1.5 * t + 0.8 * u * t - 0.05 * v * v * t * t, -0.23 * t * t - 1.2 * v * t + 0.4 * u * v * t};
}

void write_text_file(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

Volume blob(double radius, bool binary) {
  Volume volume(box, box, box, pixel);
  for (int z = 0; z < box; ++z)
    for (int y = 0; y < box; ++y)
      for (int x = 0; x < box; ++x) {
        const double r = std::sqrt(std::pow(x - box / 2, 2) + std::pow(y - box / 2, 2) + std::pow(z - box / 2, 2));
        volume(x, y, z) =
            binary ? (r < radius ? 1.0F : 0.0F) : static_cast<float>(std::exp(-r * r / (2 * radius * radius)));
      }
  return volume;
}

std::string optics(const std::string& last_columns, const std::string& last_values) {
  return "\ndata_optics\n\nloop_\n_rlnOpticsGroupName\n_rlnOpticsGroup\n_rlnMicrographOriginalPixelSize\n_rlnVoltage\n_"
         "rlnSphericalAberration\n_rlnAmplitudeContrast\n" +
         last_columns + "og1 1 2.0 300 2.7 0.1 " + last_values + "\n\n\n";
}

/// All that polishing wants besides the motion: a movie of noise, references, their FSC, particles.
void write_inputs(const io::TestFolder& folder) {
  Rng rng(3);
  io::StackWriter movie(folder / "movie.mrcs", side, side, pixel);
  for (int t = 0; t < frames; ++t) {
    Image frame(side, side, pixel);
    for (float& v : frame.pixels()) v = static_cast<float>(rng.normal(1, 1));
    movie.append(frame);
  }
  movie.close();
  for (const char* name : {"m1.mrc", "m2.mrc"}) io::write_volume(folder / name, blob(3, false));
  io::write_volume(folder / "mask.mrc", blob(12, true));
  std::string fsc =
      "\ndata_fsc\n\nloop_\n_rlnSpectralIndex\n_rlnResolution\n_rlnAngstromResolution\n_"
      "rlnFourierShellCorrelationCorrected\n_rlnFourierShellCorrelation\n";
  for (int i = 0; i <= box / 2; ++i)
    fsc += fmt::format("{0} {1} {2} {3} {3}\n", i, i / (box * 2.0), box * 2.0 / std::max(i, 1), i < 10 ? 1 : 0);
  write_text_file(folder / "fsc.star", fsc + "\n");
  write_text_file(folder / "corrected.star", optics("_rlnMicrographPixelSize\n", "2.0") +
                                                 "data_micrographs\n\nloop_\n_rlnMicrographName\n_"
                                                 "rlnMicrographMetadata\n_rlnOpticsGroup\nmovie.mrc motion.star 1\n\n");
  std::string particles =
      optics("_rlnImagePixelSize\n_rlnImageSize\n_rlnImageDimensionality\n", fmt::format("2.0 {} 2", box)) +
      "data_particles\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnAngleRot\n_rlnAngleTilt\n_"
      "rlnAnglePsi\n_rlnDefocusU\n_rlnDefocusV\n"
      "_rlnDefocusAngle\n_rlnOriginXAngst\n_rlnOriginYAngst\n_rlnRandomSubset\n_rlnOpticsGroup\n_rlnImageName\n_"
      "rlnCtfMaxResolution\n";
  int n = 0;
  for (const auto& [x, y] : places)
    ++n, particles +=
         fmt::format("movie.mrc {} {} 0 0 0 10000 10000 0 0 0 {} 1 {:06}@none.mrcs 4\n", x, y, 1 + n % 2, n);
  write_text_file(folder / "particles.star", particles + "\n");
}

TEST(MotionInterop, RelionsPolishingStartsFromOurShiftsAtEveryParticle) {
  if (std::system("command -v relion_motion_refine > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "relion_motion_refine is not installed";
  const io::TestFolder folder;
  write_inputs(folder);
  std::vector<double> nodes;
  for (int i = 0; i < 17; ++i) nodes.push_back(i * (side - 1) / 16.0);
  std::vector<motion::Shift> track, shifts;
  for (int t = 0; t < frames; ++t) {
    track.push_back(shift_at(t, 0.5 * side, 0.5 * side));
    for (const double y : nodes)
      for (const double x : nodes) shifts.push_back(shift_at(t, x, y));
  }
  Movie movie;
  movie.path = "movie.mrcs";
  movie.nx = movie.ny = side;
  movie.frames = frames;
  movie.pixel_size = pixel;
  movie.dose_per_frame = 1_e_per_A2;
  movie.optics.voltage = 300_kV;
  const auto local = motion::fit_third_order(motion::MotionField(nodes, nodes, shifts), track, side, side);
  io::write_star(folder / "motion.star", motion_star(movie, 1, 1, track, local.model));
  // Without iterations its tracks are those that it starts from.
  const auto command = "cd " + folder.path().string() +
                       " && relion_motion_refine --i particles.star --f fsc.star --m1 m1.mrc --m2 m2.mrc --angpix_ref "
                       "2 --mask mask.mrc --corr_mic corrected.star --o out/ --max_iters 0 > log.txt 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0) << std::ifstream(folder / "log.txt").rdbuf();
  const auto found = io::read_star(folder / "out/movie_tracks.star");
  int n = 0;
  for (const auto& [x, y] : places) {
    const auto& tracks = found.table(std::to_string(n++));
    ASSERT_EQ(tracks.rows(), static_cast<std::size_t>(frames));
    for (int t = 0; t < frames; ++t) {
      const auto s = shift_at(t, x, y);
      // Where the specimen went, in Å: the shift brings it back.
      EXPECT_NEAR(tracks.number(static_cast<std::size_t>(t), "rlnOriginXAngst"), -s.x * pixel.value(), 0.01)
          << x << ' ' << y << ' ' << t;
      EXPECT_NEAR(tracks.number(static_cast<std::size_t>(t), "rlnOriginYAngst"), -s.y * pixel.value(), 0.01)
          << x << ' ' << y << ' ' << t;
    }
  }
}

}  // namespace
}  // namespace frazil::protocols
