#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "frazil/base/files.hpp"
#include "frazil/check/checks.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::check {
namespace {

namespace fs = std::filesystem;

class CheckFiles : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::temp_directory_path() / fmt::format("frazil_check_{}", ::getpid());
};

Truth two_areas() {
  Truth truth;
  truth.nx = truth.ny = 1000;
  truth.pixel_size_A = 2;
  truth.specimens = {{"a", "", 100}};  // 50 px
  TrueArea one;
  one.name = "mic_0001";
  one.defocus_u_A = 10300, one.defocus_v_A = 10000, one.astigmatism_angle_deg = 170;
  one.shifts_px = {{0, 0}, {1, 2}, {2, 3}};
  one.particles = {{100, 100, 0, 0, 0, 0}, {300, 300, 0, 0, 0, 0}, {500, 500, 0, 0, 0, 0}, {700, 700, 0, 0, 0, 0}};
  truth.areas = {one};
  return truth;
}

TEST_F(CheckFiles, MotionErrorIgnoresAConstantOffset) {
  write_text(folder_ / "mic_0001_motion.star",
             "data_global_shift\n\nloop_\n_rlnMicrographFrameNumber #1\n_rlnMicrographShiftX #2\n_rlnMicrographShiftY "
             "#3\n1 5 7\n2 6 9\n3 7 10.3\n");
  const auto found = check_motion(two_areas(), {folder_ / "mic_0001_motion.star"});
  EXPECT_EQ(found["movies"], 1);
  EXPECT_NEAR(found["rms_px"].get<double>(), std::sqrt((0.01 + 0.01 + 0.04) / 3), 1e-9);
}

TEST_F(CheckFiles, CtfErrorsAreDefocusAndAstigmatismVector) {
  write_text(folder_ / "ctf.star",
             "data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnDefocusU #2\n_rlnDefocusV #3\n_rlnDefocusAngle "
             "#4\nsteps/a/mic_0001.mrc 10400 10100 80\n");
  const auto found = check_ctf(two_areas(), {folder_ / "ctf.star"});
  EXPECT_NEAR(found["defocus_rms_A"].get<double>(), 100, 1e-6);
  EXPECT_NEAR(found["astigmatism_rms_A"].get<double>(), 600, 1e-6);  // turned by 90°: the vector points the other way
}

TEST_F(CheckFiles, PicksAreMatchedOneToOne) {
  write_text(folder_ / "mic_0001_picks.star",
             "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n101 100\n104 100\n300 309\n900 500\n");
  const auto found = check_picks(two_areas(), {folder_ / "mic_0001_picks.star"}, {});
  EXPECT_NEAR(found["precision"].get<double>(), 0.5, 1e-9);  // the second pick of particle 1 and the last are wrong
  EXPECT_NEAR(found["recall"].get<double>(), 0.5, 1e-9);
}

TEST_F(CheckFiles, ClassesByDirectionBeatARandomPartition) {
  Truth truth;
  truth.specimens = {{"a", "", 100}};
  Rng rng(3);
  std::string star = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnClassNumber #2\n";
  const auto group = point_group("d2");
  for (int i = 0; i < 600; ++i) {
    const int class_number = 1 + i % 6;
    // Members lie within about 5° of the class's direction, on any of the four mates of D2.
    const double tilt = 20 + 10 * class_number + rng.normal(0, 3), rot = 15 * class_number + rng.normal(0, 3);
    const auto d = view_direction(rot, tilt);
    const auto& g = group[rng.below(group.size())];
    Vector3 mate{};
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t c = 0; c < 3; ++c) mate[r] += g[r][c] * d[c];
    TrueParticle p;
    p.specimen = i % 100 == 99 ? -1 : 0;
    p.rot_deg = std::atan2(mate[1], mate[0]) * 180 / std::numbers::pi,
    p.tilt_deg = std::acos(mate[2]) * 180 / std::numbers::pi;
    truth.stack.push_back(p);
    star += fmt::format("{:06}@particles.mrcs {}\n", i + 1, class_number);
  }
  write_text(folder_ / "particles.star", star);
  const auto found = check_classes(truth, folder_ / "particles.star", "d2");
  EXPECT_LT(found["median_angle_deg"].get<double>(), 5);
  EXPECT_LT(found["angle_ratio"].get<double>(), 0.5);
  EXPECT_NEAR(found["purity"].get<double>(), 0.99, 1e-9);
}

TEST(PointGroup, HasTheRightOrder) {
  EXPECT_EQ(point_group("c1").size(), 1U);
  EXPECT_EQ(point_group("c7").size(), 7U);
  EXPECT_EQ(point_group("d2").size(), 4U);
  EXPECT_EQ(point_group("t").size(), 12U);
  EXPECT_EQ(point_group("o").size(), 24U);
  EXPECT_THROW(static_cast<void>(point_group("q3")), Error);
}

TEST(CompareVolumes, FindsTheRotationHandAndShiftOfANoisyCopy) {
  const auto specimen = sim::made_up(5, 300);
  const Angstrom pixel(5);
  const int box = 48;
  const auto truth = sim::density(specimen, box, pixel, Angstrom2(100));
  for (const bool mirrored : {false, true}) {
    auto turned = specimen;
    const auto a = sim::rotation_of({Degrees(33), Degrees(71), Degrees(-120)});
    for (auto& s : turned.scatterers) {
      const double x = s.x, y = s.y, z = mirrored ? -s.z : s.z;
      s.x = a[0][0] * x + a[0][1] * y + a[0][2] * z + 9, s.y = a[1][0] * x + a[1][1] * y + a[1][2] * z - 4,
      s.z = a[2][0] * x + a[2][1] * y + a[2][2] * z + 2;
    }
    auto found = sim::density(turned, box, pixel, Angstrom2(100));
    double power = 0;
    for (const float v : found.voxels()) power += v * v / static_cast<double>(found.size());
    Rng rng(8);
    for (float& v : found.voxels()) v += static_cast<float>(rng.normal(0, 0.3 * std::sqrt(power)));
    const auto result = compare_volumes(found, truth, specimen.diameter().value());
    EXPECT_EQ(result["hand"], mirrored ? "mirrored" : "same");
    EXPECT_LT(result["fsc_half_A"].get<double>(), 12.5);
    EXPECT_GT(result["correlation"].get<double>(), 0.85);
  }
}

}  // namespace
}  // namespace frazil::check
