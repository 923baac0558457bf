#include "frazil/algo/ctf/errors.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/algo/ctf/synthetic.hpp"

namespace frazil::ctf {
namespace {

constexpr int side = 512;

/// 1 + S(k)(1 + δ(k)) CTF², δ = depth · √2 cos(2π k · 150 Å), each pixel scattered by 10 %.
PowerSpectrum spectrum_of(const synthetic::Scene& scene, double strength, double decay_A2, double depth, Rng rng) {
  PowerSpectrum spectrum{Image(side, side, Angstrom(scene.pixel_A)), Angstrom(scene.pixel_A), 0.01};
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      const double kx = (x - side / 2) / (side * scene.pixel_A), ky = (y - side / 2) / (side * scene.pixel_A),
                   k = std::hypot(kx, ky), own = depth * std::sqrt(2) * std::cos(2 * std::numbers::pi * k * 150);
      const double expected =
          1 + strength * std::exp(-decay_A2 * k * k / 2) * (1 + own) * synthetic::ring_power(scene, kx, ky);
      spectrum.power(x, y) = static_cast<float>(expected * (1 + 0.1 * rng.normal()));
    }
  return spectrum;
}

ShapeErrors errors_of(double depth, std::uint64_t seed) {
  const synthetic::Scene scene;
  const auto spectrum = spectrum_of(scene, 1, 100, depth, Rng(seed));
  auto rings = make_rings(spectrum, 30_A, 3_A);
  const Waves waves(Optics{});
  Ctf truth{Angstrom(scene.defocus_1_A), Angstrom(scene.defocus_2_A), from_rad(scene.angle_rad), 0_deg, {}};
  weigh(rings, waves, solve_at(rings, waves, shape_of(truth)));
  const auto solution = refine(rings, waves, shape_of(truth), {});
  return shape_errors(rings, waves, solution, {}, solution.cost / solution.pixels);
}

TEST(ShapeErrors, ShowTheSpecimensOwnStructureWhereThereIsSome) {
  const auto smooth = errors_of(0, 1), structured = errors_of(0.2, 2);
  EXPECT_LT(smooth.structure, 0.08);
  EXPECT_GT(structured.structure, 0.1);
  EXPECT_LT(structured.structure, 0.4);
  EXPECT_GT(structured.covariance(0, 0), 1.3 * smooth.covariance(0, 0));
  EXPECT_NEAR(smooth.speckle, 1, 0.4) << "pixels scatter alone";
  EXPECT_GT(smooth.information, 0.95) << "strong rings: noise of the envelope is nothing beside them";
}

TEST(ShapeErrors, AreHonestWhereRingsDieAndTheEnvelopeIsMostlyNoise) {
  const synthetic::Scene scene;
  double z2 = 0, plain2 = 0;
  constexpr int count = 30;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto spectrum = spectrum_of(scene, 0.15, 600, 0, Rng(31).stream(i));
    const auto found = fit(spectrum, Optics{});
    const double error = found.ctf.mean_defocus().value() - 0.5 * (scene.defocus_1_A + scene.defocus_2_A);
    z2 += std::pow(error / found.sigma_defocus.value(), 2) / count;
    plain2 += error * error / count;
  }
  fmt::print("rings that die at 10 A: RMS error {:.0f} A, z SD {:.2f}\n", std::sqrt(plain2), std::sqrt(z2));
  EXPECT_GT(z2, 0.6 * 0.6);  // the SD of 30 values is known to 13 %
  EXPECT_LT(z2, 1.4 * 1.4);
}

}  // namespace
}  // namespace frazil::ctf
