#include <gtest/gtest.h>

#include <atomic>
#include <limits>

#include <numeric>

#include "frazil/algo/initvol/expectation.hpp"
#include "frazil/algo/initvol/initial_volume.hpp"
#include "frazil/algo/recon/align.hpp"
#include "frazil/algo/recon/symmetry.hpp"
#include "frazil/algo/recon/test_phantom.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::initvol {
namespace {

namespace testing = recon::testing;

struct Simulated {
  std::vector<ParticleImage> particles;
  std::vector<recon::Matrix3> poses;
  std::vector<Eigen::Vector2d> displacement_A;
  Volume truth;
};

/// Images of a phantom with CTF, random shifts and white noise; snr is the ratio of variances over the whole image.
Simulated simulate(const std::vector<testing::Ball>& balls, int count, int box, double pixel_A, double snr,
                   double shift_A, Rng& rng) {
  Simulated s;
  s.truth = testing::phantom_volume(balls, box, pixel_A);
  const Optics optics;
  double sigma = 0;
  for (int i = 0; i < count; ++i) {
    s.poses.push_back(recon::random_rotation(rng));
    s.displacement_A.emplace_back(shift_A * rng.normal(), shift_A * rng.normal());
    auto spectrum = fft(testing::phantom_projection(balls, s.poses.back(), box, pixel_A, s.displacement_A.back().x(),
                                                    s.displacement_A.back().y()));
    const double defocus_A = rng.uniform(9000, 22000);
    const Ctf ctf{Angstrom(defocus_A), Angstrom(defocus_A - 300), Degrees(rng.uniform(0, 180)), {}, {}};
    const CtfFunction gain(ctf, optics);
    for (int y = 0; y < box; ++y)
      for (int x = 0; x <= box / 2; ++x)
        spectrum(x, y) *= static_cast<float>(gain(x / (box * pixel_A), spectrum.ky(y) / (box * pixel_A)));
    auto image = ifft(spectrum);
    if (i == 0) sigma = statistics(image).stddev / std::sqrt(snr);
    for (auto& v : image.pixels()) v = static_cast<float>((v + sigma * rng.normal()) / sigma);
    image.pixel_size = Angstrom(pixel_A);
    s.particles.push_back({std::move(image), ctf, optics, {}, {}});
  }
  return s;
}

TEST(ExpectPoses, FindsTheTruePoseAmongManyAndItsShift) {
  Rng rng(11);
  const auto balls = testing::random_phantom(rng, 110, 25, 7);
  const auto s = simulate(balls, 16, 32, 6, 0.5, 0, rng);
  const ParticleSet set(s.particles, 12, 150_A, 20_A, 1);
  std::vector<std::size_t> members(16);
  std::iota(members.begin(), members.end(), std::size_t{0});
  // A reference with the scale of the images: back-projection of the very poses.
  recon::BackProjector back(32, 12, 6_A);
  std::vector<float> re(set.plane().size()), im(re.size()), weight(re.size());
  std::vector<std::complex<float>> value(re.size());
  const auto many = simulate(balls, 400, 32, 6, 0.5, 0, rng);
  const ParticleSet many_set(many.particles, 12, 150_A, 20_A, 1);
  for (std::size_t i = 0; i < many.poses.size(); ++i) {
    many_set.centred(i, Eigen::Vector2d::Zero(), re.size(), true, re.data(), im.data());
    for (std::size_t j = 0; j < re.size(); ++j) {
      value[j] = {re[j], im[j]};
      weight[j] = many_set.ctf(i)[j] * many_set.ctf(i)[j];
    }
    back.insert(set.plane(), re.size(), many.poses[i], value.data(), weight.data());
  }
  const recon::Projector reference(back.reconstruct(), 12);
  PoseGrid grid;
  for (int i = 0; i < 300; ++i) grid.poses.push_back(recon::random_rotation(rng));
  for (const auto& p : s.poses) grid.poses.push_back(p);
  set_shifts(grid, 3, 1.5, 3);
  const std::vector<double> noise(13, 32.0 * 32.0);
  const auto found =
      expect_poses(set, members, reference, grid, noise, {.count = set.plane().size(), .candidates = 1, .threads = 1});
  int right = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    right += recon::angle_between(grid.poses[found.candidates[i][0].pose], s.poses[i]) < 15_deg ? 1 : 0;
    EXPECT_LT(found.candidates[i][0].displacement_px.norm(), 1.6);
    EXPECT_GT(found.log_likelihood[i], 0);
  }
  EXPECT_GE(right, 14);
  // What is left over is the noise that was put in: variance 1 for each pixel inside the mask (radius box/2 − 5).
  double inside = 0;
  const auto mask = soft_disc(32, 11, 5);
  for (const auto v : mask.pixels()) inside += v * v;
  for (std::size_t r = 3; r <= 12; ++r) EXPECT_NEAR(found.residual[r] / inside, 1, 0.2) << "ring " << r;
}

TEST(ExpectPoses, AsymmetricUnitHoldsOneInFourPosesOfD2) {
  Rng a(1), b(1);
  const auto all = random_pose_grid(12_deg, recon::symmetry_operators("c1"), a),
             some = random_pose_grid(12_deg, recon::symmetry_operators("d2"), b);
  EXPECT_NEAR(static_cast<double>(all.size()) / static_cast<double>(some.size()), 4, 0.4);
}

InitialVolumeParams quick() {
  InitialVolumeParams p;
  p.symmetry = "d2";
  p.diameter = 170_A;
  p.starts = 1;
  p.iterations = 12;
  p.first_batch = p.last_batch = 60;
  p.start_resolution = 32_A;
  p.resolution = 30_A;
  p.final_resolution = 24_A;
  p.angular_step = 24_deg;
  p.max_shift = 10_A;
  p.passes = 1;
  return p;
}

TEST(InitialVolume, IsTheSameForAnyNumberOfThreads) {
  Rng rng(12);
  const auto balls = testing::symmetrised(testing::random_phantom(rng, 150, 12, 10), recon::symmetry_operators("d2"));
  const auto s = simulate(balls, 80, 32, 7, 0.3, 3, rng);
  const auto one = initial_volume(s.particles, quick(), Rng(3), 1),
             four = initial_volume(s.particles, quick(), Rng(3), 4);
  ASSERT_EQ(one.volume.size(), four.volume.size());
  EXPECT_TRUE(std::equal(one.volume.data(), one.volume.data() + one.volume.size(), four.volume.data()));
  EXPECT_EQ(one.start_scores, four.start_scores);
  for (std::size_t i = 0; i < one.poses.size(); ++i) EXPECT_EQ(one.poses[i].rotation, four.poses[i].rotation);
}

TEST(InitialVolume, RefusesWhatItCannotUse) {
  Rng rng(13);
  const auto s = simulate(testing::random_phantom(rng, 100, 10, 10), 60, 32, 7, 0.3, 0, rng);
  EXPECT_THROW((void)initial_volume(std::span(s.particles).first(10), quick(), Rng(1), 1), Error);
  auto params = quick();
  params.symmetry = "q9";
  EXPECT_THROW((void)initial_volume(s.particles, params, Rng(1), 1), Error);
  params = quick();
  params.diameter = 900_A;
  EXPECT_THROW((void)initial_volume(s.particles, params, Rng(1), 1), Error);
}

TEST(InitialVolume, NamesAParticleThatIsNotFinite) {
  Rng rng(14);
  auto s = simulate(testing::random_phantom(rng, 100, 10, 10), 60, 32, 7, 0.3, 0, rng);
  s.particles[21].image(5, 6) = std::numeric_limits<float>::quiet_NaN();
  try {
    (void)initial_volume(s.particles, quick(), Rng(1), 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_input);
    EXPECT_NE(std::string(error.what()).find("particle 22"), std::string::npos) << error.what();
  }
}

TEST(InitialVolume, EndsWhereverItIsCancelled) {
  Rng rng(15);
  const auto s = simulate(testing::random_phantom(rng, 100, 10, 10), 60, 32, 7, 0.3, 0, rng);
  std::atomic<int> all = 0;
  (void)initial_volume(s.particles, quick(), Rng(1), 2, {{}, [&] { ++all; }});
  EXPECT_GT(all, 100) << "it looks every few particles";
  for (const int at : {1, all / 2, all - 1}) {
    std::atomic<int> asked = 0;
    EXPECT_THROW((void)initial_volume(s.particles, quick(), Rng(1), 2,
                                      {{},
                                       [&] {
                                         if (++asked > at) throw Error(ErrorCode::cancelled, "interrupted");
                                       }}),
                 Error);
  }
}

}  // namespace
}  // namespace frazil::initvol
