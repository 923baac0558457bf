#include <gtest/gtest.h>

#include "frazil/algo/recon/align.hpp"
#include "frazil/algo/recon/fsc.hpp"
#include "frazil/algo/recon/projector.hpp"
#include "frazil/algo/recon/symmetry.hpp"
#include "frazil/algo/recon/test_phantom.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::recon {
namespace {

using Complex = std::complex<float>;

TEST(Orientation, AnglesSurviveTheRoundTripThroughTheMatrix) {
  Rng rng(1);
  for (int i = 0; i < 200; ++i) {
    const Matrix3 a = random_rotation(rng);
    EXPECT_NEAR((rotation(orientation(a)) - a).norm(), 0, 1e-9);
  }
  for (const auto& o :
       {Orientation{0_deg, 0_deg, 40_deg}, Orientation{30_deg, 0_deg, 10_deg}, Orientation{30_deg, 180_deg, 10_deg}})
    EXPECT_NEAR((rotation(orientation(rotation(o))) - rotation(o)).norm(), 0, 1e-9);
}

TEST(Orientation, EvenDirectionsLieAboutOneStepApart) {
  const auto d = even_directions(10_deg);
  for (std::size_t i = 0; i < d.size(); ++i) {
    double nearest = 360;
    for (std::size_t j = 0; j < d.size(); ++j)
      if (i != j) nearest = std::min(nearest, from_rad(std::acos(std::clamp(d[i].dot(d[j]), -1.0, 1.0))).value());
    EXPECT_GT(nearest, 6.5);
    EXPECT_LT(nearest, 12);
  }
}

TEST(Symmetry, GroupsAreClosedAndHaveTheirOrder) {
  for (const auto& [name, order] : std::vector<std::pair<std::string, std::size_t>>{
           {"c1", 1}, {"C4", 4}, {"d2", 4}, {"d7", 14}, {"t", 12}, {"o", 24}, {"i", 60}, {"i2", 60}}) {
    SCOPED_TRACE(name);
    const auto group = symmetry_operators(name);
    EXPECT_EQ(group.size(), order);
    for (const auto& a : group)
      for (const auto& b : group) {
        double nearest = 9;
        for (const auto& c : group) nearest = std::min(nearest, (a * b - c).norm());
        EXPECT_LT(nearest, 1e-6);
      }
  }
  EXPECT_THROW((void)symmetry_operators("x3"), Error);
  EXPECT_THROW((void)symmetry_operators("c"), Error);
}

TEST(Symmetry, AsymmetricUnitKeepsOneDirectionOfEachOrbit) {
  const auto group = symmetry_operators("o");
  Rng rng(4);
  const Vector3 anchor(0.3, 0.5, 0.8);
  for (int i = 0; i < 100; ++i) {
    const Vector3 d = random_rotation(rng).row(2);
    int kept = 0;
    for (const auto& g : group) kept += in_asymmetric_unit(g * d, group, anchor) ? 1 : 0;
    EXPECT_EQ(kept, 1);
  }
}

TEST(Projector, GivesTheExactProjectionOfAPhantom) {  // projection-slice theorem, hand and shifts included
  Rng rng(2);
  const auto balls = testing::random_phantom(rng, 100, 40, 6);
  const int n = 48;
  const Projector projector(testing::phantom_volume(balls, n, 3), n / 2 - 1);
  for (int i = 0; i < 5; ++i) {
    const Matrix3 a = random_rotation(rng);
    const auto found = ifft(projector.project(a));
    const auto truth = testing::phantom_projection(balls, a, n, 3);
    double error = 0, power = 0;
    for (std::size_t p = 0; p < truth.size(); ++p) {
      error += std::pow(found.data()[p] - truth.data()[p], 2);
      power += std::pow(truth.data()[p], 2);
    }
    EXPECT_LT(std::sqrt(error / power), 0.04);  // ghosts of linear interpolation: sinc²(0.83)/sinc²(0.17) at the rim
  }
}

TEST(Projector, BackProjectionIsItsAdjoint) {  // <P g, y> = <g, Pᵀ y>
  Rng rng(3);
  const GridShape shape{24, 9};
  const auto plane = half_plane(24, 9);
  AlignedVector<Complex> grid(shape.size());
  for (auto& g : grid) g = {static_cast<float>(rng.normal()), static_cast<float>(rng.normal())};
  auto copy = grid;
  const Projector projector(shape, std::move(copy));
  for (int i = 0; i < 5; ++i) {
    const Matrix3 a = random_rotation(rng);
    std::vector<Complex> slice(plane.size()), y(plane.size());
    for (auto& v : y) v = {static_cast<float>(rng.normal()), static_cast<float>(rng.normal())};
    projector.slice(plane, plane.size(), a, slice.data());
    BackProjector back(24, 9, 1_A);
    back.insert(plane, plane.size(), a, y.data(), std::vector<float>(plane.size(), 1.0F).data());
    double left = 0, right = 0, scale = 0;
    for (std::size_t j = 0; j < y.size(); ++j)
      left += (slice[j] * std::conj(y[j])).real(), scale += std::abs(slice[j] * y[j]);
    for (std::size_t j = 0; j < grid.size(); ++j) right += (grid[j] * std::conj(back.values()[j])).real();
    EXPECT_NEAR(left, right, 1e-5 * scale);
  }
}

TEST(BackProjector, ExactPosesGiveThePhantomBack) {
  Rng rng(5);
  const auto balls = testing::random_phantom(rng, 80, 60, 3);
  const int n = 40;
  const auto plane = half_plane(n, n / 2 - 1);
  BackProjector back(n, n / 2 - 1, 3_A);
  std::vector<Complex> components(plane.size());
  const std::vector<float> ones(plane.size(), 1.0F);
  for (int i = 0; i < 1500; ++i) {
    const Matrix3 a = random_rotation(rng);
    gather(fft(testing::phantom_projection(balls, a, n, 3)), plane, components.data());
    back.insert(plane, plane.size(), a, components.data(), ones.data());
  }
  const auto truth = testing::phantom_volume(balls, n, 3);
  const auto found = back.reconstruct();
  EXPECT_GT(masked_correlation(truth, found), 0.99);
  const auto curve = fourier_shell_correlation(truth, found);
  for (int s = 1; s < n / 2 - 2; ++s) EXPECT_GT(curve.values[static_cast<std::size_t>(s)], 0.9) << "shell " << s;
  double dot = 0, power = 0;  // same scale, not only the same shape
  for (std::size_t i = 0; i < truth.size(); ++i)
    dot += truth.data()[i] * found.data()[i], power += truth.data()[i] * truth.data()[i];
  EXPECT_NEAR(dot / power, 1, 0.05);
}

TEST(Fsc, OfEqualSignalAndIndependentNoiseIsTheRatioOfPowers) {  // FSC = SNR / (SNR + 1)
  Rng rng(6);
  const int n = 48;
  Volume a(n, n, n, 2_A), b(n, n, n, 2_A);
  const double snr = 0.5;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double s = rng.normal();
    a.data()[i] = static_cast<float>(s * std::sqrt(snr) + rng.normal());
    b.data()[i] = static_cast<float>(s * std::sqrt(snr) + rng.normal());
  }
  const auto curve = fourier_shell_correlation(a, b);
  for (std::size_t s = 8; s < curve.values.size(); ++s)
    EXPECT_NEAR(curve.values[s], snr / (snr + 1), 4 / std::sqrt(2 * std::numbers::pi * static_cast<double>(s * s)))
        << s;
  EXPECT_FALSE(fsc_at(fourier_shell_correlation(a, a), 0.5).has_value());
}

TEST(Fsc, CrossingIsInterpolatedBetweenShells) {
  const Fsc curve{20, 2_A, false, {1, 1, 0.9, 0.6, 0.2, 0}};
  EXPECT_NEAR(fsc_at(curve, 0.5)->value(), 40 / 3.25, 1e-9);
  EXPECT_NEAR(fsc_at(curve, 0.9)->value(), 40 / 2.0, 1e-9);
}

TEST(SoftMask, FallsOffOverItsEdge) {
  Volume v(32, 32, 32, 2_A);
  v(16, 16, 16) = 1;
  const auto mask = soft_mask(v, 0.5, 8_A);
  EXPECT_FLOAT_EQ(mask(16, 16, 16), 1);
  EXPECT_NEAR(mask(18, 16, 16), 0.5, 1e-6);
  EXPECT_NEAR(mask(16, 14, 16), 0.5, 1e-6);
  EXPECT_NEAR(mask(16, 16, 17), 0.5 * (1 + std::cos(std::numbers::pi / 4)), 1e-6);
  EXPECT_FLOAT_EQ(mask(20, 16, 16), 0);
}

TEST(Rotate, TurnsTheVolumeAsAPoseTurnsTheParticle) {
  Rng rng(7);
  auto balls = testing::random_phantom(rng, 70, 30, 5);
  const auto volume = testing::phantom_volume(balls, 36, 3);
  const Matrix3 a = random_rotation(rng);
  const Vector3 shift_px(1.5, -2, 0.7);
  for (auto& b : balls) b.centre_A = a * b.centre_A + 3 * shift_px;
  EXPECT_GT(masked_correlation(rotate(volume, a, shift_px, 17), testing::phantom_volume(balls, 36, 3)), 0.999);
}

TEST(Align, FindsRotationShiftAndHand) {
  Rng rng(8);
  const auto balls = testing::random_phantom(rng, 110, 30, 7);
  const auto reference = testing::phantom_volume(balls, 32, 5);
  const auto moved = rotate(mirror(reference), random_rotation(rng), Vector3(1, 2, -1.3), 15);
  const auto found =
      align_volumes(reference, moved, {.coarse_resolution = 40_A, .resolution = 20_A, .step = 20_deg, .threads = 2});
  EXPECT_TRUE(found.mirrored);
  EXPECT_GT(found.correlation, 0.99);
  EXPECT_GT(masked_correlation(reference, apply(found, moved)), 0.98);
  const auto one_hand =
      align_volumes(reference, moved,
                    {.coarse_resolution = 40_A, .resolution = 20_A, .step = 20_deg, .both_hands = false, .threads = 2});
  EXPECT_LT(one_hand.correlation, 0.95);
}

}  // namespace
}  // namespace frazil::recon
