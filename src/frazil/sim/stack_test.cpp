#include <gtest/gtest.h>

#include <cmath>

#include "frazil/image/ops.hpp"
#include "frazil/sim/formation.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::sim {
namespace {

TEST(Specimen, ShippedModelsHaveTheMassOfTheirProteins) {
  EXPECT_NEAR(shipped_model("5a1a").mass_kDa, 465, 10);  // UniProt P00722, four chains of 1023 residues
  EXPECT_NEAR(shipped_model("1oel").mass_kDa, 385, 20);  // seven chains of 524 modelled residues
  EXPECT_NEAR(shipped_model("4v1w").mass_kDa, 470, 20);  // 24 light chains of 19.8 kDa
}

TEST(Specimen, PotentialOfProteinAboveWaterIsRealistic) {
  const auto bgal = shipped_model("5a1a");
  double length_A = 0;
  for (const auto& s : bgal.scatterers)
    length_A += s.weight[0] * bgal.form_factor(0, 0) + s.weight[1] * bgal.form_factor(1, 0);
  const double volume_A3 = bgal.mass_kDa * 1000 * 1.21;  // 0.73 cm³/g
  EXPECT_NEAR(47.878 * length_A / volume_A3, 3.2, 1.0);  // isolated atoms give 7 to 8 V, water is 4.5 V
}

TEST(Projector, EqualsTheDirectDoubleSum) {
  const auto specimen = made_up(3, 6);
  Rng rng(1);
  const Angstrom pixel(1);
  const Angstrom2 b(120);  // makes the point-sampled direct sum band-limited
  const Pose pose = random_pose(rng);
  auto spectrum = Projector(specimen, 72, pixel, 300_kV).spectrum(pose, 3.3, -2.7);
  for_components(72, 72, pixel, 1, [&](int ix, int iy, double, double, double k) {
    spectrum(ix, iy) *= static_cast<float>(std::exp(-b.value() * k * k / 4));
  });
  const auto fast = ifft(spectrum);
  const auto direct = project_direct(specimen, pose, 72, pixel, 300_kV, b, 3.3, -2.7);
  double difference = 0, power = 0;
  for (std::size_t i = 0; i < fast.size(); ++i) {
    difference += std::pow(fast.data()[i] - direct.data()[i], 2);
    power += std::pow(direct.data()[i], 2);
  }
  EXPECT_LT(std::sqrt(difference / power), 1e-3);
}

TEST(ParticleStack, BackgroundHasMeanZeroAndDeviationOne) {
  Scene scene;
  scene.pixel_size = 3_A;
  scene.junk = 1;
  scene.box = 64;
  const auto stack = particle_stack(scene, {made_up(1)}, 60, Rng(4));
  double sum = 0, squares = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < stack.images.size(); ++i) {
    if (stack.truth[i].content != Content::empty) continue;
    for (const float v : stack.images[i].pixels()) sum += v, squares += v * v, ++count;
  }
  ASSERT_GT(count, 40000U);
  const double mean = sum / static_cast<double>(count);
  EXPECT_NEAR(mean, 0, 0.05);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(count) - mean * mean), 1, 0.03);
}

TEST(ParticleStack, IsTheSameForAnyNumberOfThreads) {
  Scene scene;
  scene.pixel_size = 4_A;
  const auto one = particle_stack(scene, {made_up(1)}, 5, Rng(4));
  scene.threads = 3;
  const auto three = particle_stack(scene, {made_up(1)}, 5, Rng(4));
  for (std::size_t i = 0; i < 5; ++i)
    EXPECT_TRUE(
        std::equal(one.images[i].pixels().begin(), one.images[i].pixels().end(), three.images[i].pixels().begin()));
}

TEST(ParticleStack, ProteinIsBrightAndLiesAtMinusOrigin) {
  Scene scene;
  scene.pixel_size = 4_A;
  scene.max_offset = 60_A;
  scene.box = 120;
  scene.defocus_min = scene.defocus_max = 15000_A;
  const auto stack = particle_stack(scene, {made_up(2, 800)}, 12, Rng(9));
  for (std::size_t i = 0; i < stack.images.size(); ++i) {
    const auto smooth = band_pass(stack.images[i], 0_A, 60_A);
    const int cx = 60 - static_cast<int>(std::lround(stack.truth[i].origin_x / 4_A)),
              cy = 60 - static_cast<int>(std::lround(stack.truth[i].origin_y / 4_A));
    double inside = 0;
    for (int y = -6; y <= 6; ++y)
      for (int x = -6; x <= 6; ++x) inside += smooth(cx + x, cy + y) / 169;
    EXPECT_GT(inside, 0.2) << i;
  }
}

TEST(PowerSpectrum, IsFriedelSymmetricAndScattersAsGamma) {
  Rng rng(5);
  SpectrumSpec spec{.box = 128, .tiles = 50};
  const auto ctf = random_ctf(rng);
  const auto power = power_spectrum(ctf, {}, spec, rng), mean = expected_power_spectrum(ctf, {}, spec);
  double variance = 0;
  for (int y = 1; y < 128; ++y)
    for (int x = 1; x < 128; ++x) {
      EXPECT_EQ(power(x, y), power(128 - x, 128 - y));
      variance += std::pow(power(x, y) / mean(x, y) - 1, 2) / (127 * 127);
    }
  EXPECT_NEAR(variance, 1.0 / 50, 0.002);
}

}  // namespace
}  // namespace frazil::sim
