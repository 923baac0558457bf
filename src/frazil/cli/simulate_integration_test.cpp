// The simulator's files, read back by the program and compared with RELION's own projector where it is installed.
#include "frazil/cli/simulate.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <complex>
#include <cstdlib>
#include <filesystem>

#include "frazil/base/files.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/star.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

class Simulate : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::temp_directory_path() / fmt::format("frazil_simulate_{}", ::getpid());
};

sim::Scene small_movies() {
  sim::Scene scene;
  scene.count = 1;
  scene.nx = 256, scene.ny = 192;
  scene.pixel_size = 3_A;
  scene.frames = 4;
  scene.particles = 5;
  return scene;
}

TEST_F(Simulate, TiffAndMrcMoviesHoldTheSameFrames) {
  auto scene = small_movies();
  scene.hot_pixels = 0;  // may exceed 8 bits
  write_scene(scene, (folder_ / "a").string(), false);
  scene.format = sim::MovieFormat::tiff;
  scene.threads = 3;
  write_scene(scene, (folder_ / "b").string(), false);
  const io::MovieReader mrc(folder_ / "a" / "mic_0001.mrc"), tiff(folder_ / "b" / "mic_0001.tiff");
  ASSERT_EQ(tiff.info().nz, 4);
  for (int t = 0; t < 4; ++t) {
    const auto a = mrc.read_frame(t), b = tiff.read_frame(t);
    EXPECT_TRUE(std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin())) << t;
  }
}

TEST_F(Simulate, TruthNamesEveryParticleAndFrame) {
  write_scene(small_movies(), folder_.string(), false);
  const auto truth = Json::parse(read_text(folder_ / "truth.json"));
  const auto& area = truth.at("areas").at(0);
  EXPECT_EQ(area.at("shifts_px").size(), 4U);
  EXPECT_EQ(area.at("motion_field").at("shift_px").size(), 4U);
  EXPECT_EQ(io::read_star(folder_ / "truth.star").table("particles").rows(), area.at("particles").size());
  EXPECT_EQ(io::read_info(folder_ / "references" / "gain.mrc").nx, 256);
}

/// Correlation of two spectra over the shells from `low` to `high` (fractions of Nyquist).
double shell_correlation(const Image& a, const Image& b, double low, double high) {
  const auto fa = fft(a), fb = fft(b);
  double cross = 0, pa = 0, pb = 0;
  for (int y = 0; y < a.ny(); ++y)
    for (int x = 0; x < fa.columns(); ++x) {
      const double k = 2 * std::hypot(x, fa.ky(y)) / a.nx();
      if (k < low || k > high) continue;
      cross += (fa(x, y) * std::conj(fb(x, y))).real(), pa += std::norm(fa(x, y)), pb += std::norm(fb(x, y));
    }
  return cross / std::sqrt(pa * pb);
}

TEST_F(Simulate, ProjectionsAndCtfSignAgreeWithRelion) {
  if (std::system("command -v relion_project > /dev/null 2>&1") != 0) GTEST_SKIP() << "relion_project is not installed";
  sim::Scene scene;  // almost no noise, no envelope: what is left is projection, CTF, offset
  scene.kind = sim::SceneKind::particles;
  scene.count = 6;
  scene.pixel_size = 3_A;
  scene.box = 72;
  scene.ice_noise = scene.damage = scene.detector = scene.half_angle_mrad = 0;
  scene.focal_spread = 0_A;
  scene.b_factor = Angstrom2(20);
  scene.dose_per_frame = 100_e_per_A2;
  scene.frames = 1000;
  scene.astigmatism = 1000_A;
  scene.max_offset = 12_A;
  write_scene(scene, folder_.string(), false);
  const auto command =
      fmt::format("cd {0} && relion_project --i truth/5a1a.mrc --ang truth.star --ctf --o projected > log.txt 2>&1",
                  folder_.string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto map = io::read_info(folder_ / "truth" / "5a1a.mrc");
  ASSERT_EQ(map.nx, scene.box);
  for (int i = 0; i < scene.count; ++i) {
    const auto ours = io::read_image(folder_ / "particles.mrcs", i),
               theirs = io::read_image(folder_ / "projected.mrcs", i);
    EXPECT_GT(shell_correlation(ours, theirs, 0.05, 0.5), 0.97) << i;  // RELION interpolates linearly in Fourier space
    EXPECT_GT(shell_correlation(ours, theirs, 0.5, 0.8), 0.93) << i;
  }
}

}  // namespace
}  // namespace frazil::cli
