#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/algo/ctf/synthetic.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::ctf {
namespace {

synthetic::Scene strong_scene() {
  synthetic::Scene scene;
  scene.contrast = 0.5;
  return scene;
}

double mean_defocus(const synthetic::Scene& s) { return (s.defocus_1_A + s.defocus_2_A) / 2; }

Ctf truth_of(const synthetic::Scene& s) {
  return canonical({Angstrom(s.defocus_1_A), Angstrom(s.defocus_2_A), from_rad(s.angle_rad), from_rad(s.phase_rad)});
}

PowerSpectrum spectrum_of(const synthetic::Scene& scene, std::uint64_t seed, int threads = 1) {
  Rng rng(seed);
  const auto image = synthetic::micrograph(scene, rng);
  return power_spectrum(image, image.pixel_size, {.threads = threads});
}

TEST(PowerSpectrum, OfWhiteNoiseIsFlatAndItsVarianceIsAsPredicted) {
  Rng rng(3);
  Image image(1024, 1400, 1.5_A);
  for (float& v : image.pixels()) v = static_cast<float>(5 + 2 * rng.normal());
  const auto spectrum = power_spectrum(image, image.pixel_size);
  EXPECT_EQ(spectrum.power.nx(), 512);
  EXPECT_DOUBLE_EQ(spectrum.pixel_size.value(), 1.5);
  std::vector<float> inner;
  for (int y = 300; y < 500; ++y)
    for (int x = 300; x < 500; ++x) inner.push_back(spectrum.power(x, y));
  const auto s = statistics(inner);
  EXPECT_NEAR(s.mean, 4, 0.02 * s.mean);
  EXPECT_NEAR(std::pow(s.stddev / s.mean, 2), spectrum.relative_variance, 0.12 * spectrum.relative_variance);
}

TEST(PowerSpectrum, IsNotSpoiltBySinglePixelsFarBeyondAllOthers) {
  const auto scene = strong_scene();
  Rng rng(5);
  const auto image = synthetic::micrograph(scene, rng);
  const auto clean = power_spectrum(image, image.pixel_size);
  for (const float value : {1e5F, 1e8F, -1e6F}) {
    auto hot = image.clone();
    hot(333, 444) = value;
    hot(900, 17) = value;
    const auto spectrum = power_spectrum(hot, image.pixel_size);
    for (int y = 260; y < 500; y += 40)
      EXPECT_NEAR(spectrum.power(300, y), clean.power(300, y), 0.01 * clean.power(300, y));
    EXPECT_NEAR(fit(spectrum, Optics{}).ctf.mean_defocus().value(), mean_defocus(scene), 60);
  }
}

TEST(PowerSpectrum, OfFewElectronsKeepsThemAll) {
  Rng rng(6);
  Image image(512, 512, 1.5_A);
  for (float& v : image.pixels()) v = static_cast<float>(rng.poisson(0.01));
  const auto spectrum = power_spectrum(image, image.pixel_size, {.box = 256});
  double sum = 0;
  for (int y = 150; y < 250; ++y)
    for (int x = 150; x < 250; ++x) sum += double{spectrum.power(x, y)} / 10000;
  EXPECT_NEAR(sum, 0.01, 0.001);  // Poisson: variance is the mean
}

TEST(PowerSpectrum, OfAFineImageIsThatOfTheResampledOne) {
  synthetic::Scene scene = strong_scene();
  scene.pixel_A = 0.8;
  scene.nx = 1536;
  const auto spectrum = spectrum_of(scene, 4);
  EXPECT_EQ(spectrum.power.nx() % 2, 0);
  EXPECT_NEAR(spectrum.pixel_size.value(), 1.4, 0.02);
  const auto found = fit(spectrum, Optics{});
  EXPECT_NEAR(found.ctf.mean_defocus().value(), mean_defocus(scene), 60);
}

TEST(CtfFit, RecoversDefocusAndAstigmatism) {
  const Rng rng(20);
  for (int i = 0; i < 4; ++i) {
    auto own = rng.stream(static_cast<std::uint64_t>(i));
    auto scene = synthetic::random_scene(own);
    scene.contrast = 0.4;
    const auto truth = truth_of(scene);
    SCOPED_TRACE(fmt::format("U {:.0f} V {:.0f} angle {:.1f}", truth.defocus_u.value(), truth.defocus_v.value(),
                             truth.astigmatism_angle.value()));
    const auto found = fit(spectrum_of(scene, 100 + static_cast<std::uint64_t>(i)), Optics{});
    EXPECT_NEAR(found.ctf.mean_defocus().value(), truth.mean_defocus().value(),
                100);  // 100 Å turns the phase by 22° at 4 Å, 300 kV
    EXPECT_NEAR(found.ctf.astigmatism().value(), truth.astigmatism().value(), 200);
    EXPECT_LT(std::abs(found.ctf.mean_defocus().value() - truth.mean_defocus().value()),
              4 * found.sigma_defocus.value());
  }
}

TEST(CtfModelFit, FindsWhatTheOtherEstimatorFindsAndFollowsAPrior) {
  const auto scene = strong_scene();
  const auto spectrum = spectrum_of(scene, 21);
  const auto a = fit(spectrum, Optics{}), b = fit_model(spectrum, Optics{}),
             led = fit_model(spectrum, Optics{}, {}, a.ctf);
  for (const auto* found : {&a, &b, &led}) {
    EXPECT_NEAR(found->ctf.mean_defocus().value(), mean_defocus(scene), 60);
    EXPECT_NEAR(found->ctf.astigmatism().value(), scene.defocus_1_A - scene.defocus_2_A, 150);
    EXPECT_GT(found->quality.confidence, 0.99);
  }
  EXPECT_NEAR(b.sigma_defocus.value(), a.sigma_defocus.value(), 0.6 * a.sigma_defocus.value());
}

TEST(CtfModelFit, SaysThatItKnowsNothingWhenThereAreNoRings) {
  auto scene = strong_scene();
  scene.contrast = 0;
  EXPECT_GT(fit_model(spectrum_of(scene, 22), Optics{}).sigma_defocus.value(), 1000);
}

TEST(CtfFit, ShowsHowFarAPriorPullsTheAstigmatism) {
  const auto spectrum = spectrum_of(strong_scene(), 23);
  const auto free = fit(spectrum, Optics{});
  FitParams params;
  params.prior_astigmatism = 1200_A;
  params.prior_angle = 120_deg;
  params.expected_astigmatism = 100_A;
  const auto pulled = fit(spectrum, Optics{}, params);
  const auto vector = [](const Ctf& ctf) {
    const double a = ctf.astigmatism().value(), angle = 2 * to_rad(ctf.astigmatism_angle);
    return std::pair(a * std::cos(angle), a * std::sin(angle));
  };
  const auto [c, s] = vector(free.ctf);
  const auto [pc, ps] = vector(pulled.ctf);
  EXPECT_LT(free.quality.astigmatism_pull.value(), 5);
  EXPECT_NEAR(pulled.quality.astigmatism_pull.value(), std::hypot(pc - c, ps - s),
              0.25 * pulled.quality.astigmatism_pull.value());
}

TEST(CtfFit, TurnsItsAngleWithTheImage) {
  auto scene = strong_scene();
  scene.defocus_1_A = 15600;
  const auto straight = spectrum_of(scene, 7);
  PowerSpectrum turned{Image(512, 512, straight.pixel_size), straight.pixel_size, straight.relative_variance};
  for (int y = 1; y < 512; ++y)  // +x goes to +y: a turn by +90 degrees about (256, 256)
    for (int x = 1; x < 512; ++x) turned.power(512 - y, x) = straight.power(x, y);
  const auto a = fit(straight, Optics{}), b = fit(turned, Optics{});
  EXPECT_NEAR(a.ctf.defocus_u.value(), b.ctf.defocus_u.value(), 2);
  EXPECT_NEAR(a.ctf.defocus_v.value(), b.ctf.defocus_v.value(), 2);
  EXPECT_NEAR(std::fmod(b.ctf.astigmatism_angle.value() - a.ctf.astigmatism_angle.value() + 180, 180), 90, 0.5);
  EXPECT_NEAR(a.ctf.astigmatism_angle.value(), scene.angle_rad * 180 / std::numbers::pi, 5);
}

TEST(CtfFit, FindsThePhaseShiftOfAPhasePlate) {
  auto scene = strong_scene();
  scene.phase_rad = 1.2;
  scene.contrast = 1;
  FitParams params;
  params.fit_phase_shift = true;
  const auto found = fit(spectrum_of(scene, 8), Optics{}, params);
  EXPECT_NEAR(found.ctf.phase_shift.value(), 1.2 * 180 / std::numbers::pi, 10);
  EXPECT_NEAR(found.ctf.mean_defocus().value(), mean_defocus(scene), 150);  // phase and defocus pull at each other
}

TEST(CtfFit, SaysThatItKnowsNothingWhenThereAreNoRings) {
  auto scene = strong_scene();
  scene.contrast = 0;
  const auto found = fit(spectrum_of(scene, 9), Optics{});
  EXPECT_LT(found.score, 0.08);
  EXPECT_GT(found.sigma_defocus.value(), 1000);
}

/// Rings at the edge of being seen: found at first, and none left in the part of the spectrum that is looked at last.
TEST(CtfFit, OfRingsThatAreHardlyThereIsTheSameEachTime) {
  for (int seed = 0; seed < 24; ++seed) {
    auto scene = strong_scene();
    scene.nx = scene.ny = 288;
    scene.pixel_A = 3;
    scene.contrast = 0.01 * (1 + seed % 6);
    const auto spectrum = spectrum_of(scene, 100 + static_cast<std::uint64_t>(seed));
    const auto one = fit(spectrum, Optics{}), two = fit(spectrum, Optics{});
    EXPECT_EQ(one.quality.background_misfit, two.quality.background_misfit) << seed;
    EXPECT_EQ(one.fit_resolution, two.fit_resolution) << seed;
  }
}

TEST(CtfFit, IsTheSameOnAnyNumberOfThreads) {
  auto scene = strong_scene();
  scene.ny = 1536;
  const auto one = spectrum_of(scene, 10, 1), many = spectrum_of(scene, 10, 7);
  ASSERT_EQ(one.power.size(), many.power.size());
  EXPECT_TRUE(std::equal(one.power.pixels().begin(), one.power.pixels().end(), many.power.pixels().begin()));
}

TEST(CtfFit, SeesCrystallineIce) {
  const auto scene = strong_scene();
  auto spectrum = spectrum_of(scene, 11);
  const auto clean = fit(spectrum, Optics{});
  for (int y = 0; y < 512; ++y)
    for (int x = 0; x < 512; ++x) {
      const double k = std::hypot(x - 256, y - 256) / (512 * 1.5);
      spectrum.power(x, y) *= static_cast<float>(1 + 0.8 * std::exp(-0.5 * std::pow((k - 1 / 3.67) / 0.002, 2)));
    }
  const auto icy = fit(spectrum, Optics{});
  EXPECT_LT(clean.iceness, 0.15);
  EXPECT_GT(icy.iceness, 0.4);
  EXPECT_NEAR(icy.ctf.mean_defocus().value(), clean.ctf.mean_defocus().value(), 20);
  EXPECT_EQ(clean.quality.ice_phase, IcePhase::vitreous);
  EXPECT_EQ(icy.quality.ice_phase, IcePhase::cubic);
}

/// Rings of `height` at the places of hexagonal or cubic ice, the pixel size off by `scale`, in spots where `spots`.
PowerSpectrum frozen(const PowerSpectrum& vitreous, double height, bool hexagonal, double scale, bool spots) {
  PowerSpectrum spectrum{vitreous.power.clone(), vitreous.pixel_size, vitreous.relative_variance};
  const int n = spectrum.power.nx();
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const double k = std::hypot(x - n / 2, y - n / 2) / (n * spectrum.pixel_size.value() * (1 + scale));
      const double angle = std::atan2(y - n / 2, x - n / 2);
      const auto ring = [&](double d) { return std::exp(-0.5 * std::pow((k - 1 / d) / 0.0015, 2)); };
      const double bright = spots ? (std::cos(24 * angle) > 0.99 ? 1 : 0) : 1;
      spectrum.power(x, y) *=
          static_cast<float>(1 + height * bright * (ring(3.67) + (hexagonal ? 0.6 * (ring(3.9) + ring(3.44)) : 0)));
    }
  return spectrum;
}

TEST(IceRings, FaintOnesAreSeenWherePixelSizeIsSlightlyOffAndNoiseAloneIsNot) {
  const auto phase = [](const PowerSpectrum& s) { return fit(s, Optics{}).quality.ice_phase; };
  for (std::uint64_t seed = 30; seed < 33; ++seed) {
    const auto clean = spectrum_of(strong_scene(), seed);
    EXPECT_EQ(phase(clean), IcePhase::vitreous) << seed;
    EXPECT_EQ(phase(frozen(clean, 0.3, true, 0.02, false)), IcePhase::hexagonal) << seed;
    EXPECT_EQ(phase(frozen(clean, 0.2, false, -0.01, false)), IcePhase::cubic) << seed;
    EXPECT_NE(phase(frozen(clean, 6, true, 0, true)), IcePhase::vitreous) << seed;
  }
}

TEST(IceRings, CannotBeToldWhereTheSpectrumEndsBeforeThem) {
  auto scene = strong_scene();
  scene.pixel_A = 2;
  const auto spectrum = spectrum_of(scene, 37);
  EXPECT_EQ(fit(spectrum, Optics{}).quality.ice_phase, IcePhase::vitreous);
}

/// A micrograph as sessions have them, its rings to 4 Å.
sim::SpectrumScene fine_scene() {
  sim::SpectrumScene scene;
  scene.optics = {300_kV, 2.7_mm, 0.07};
  scene.ctf = {15300_A, 14900_A, 30_deg, 0_deg, {}};
  scene.spec.pixel_size = 1.1_A;
  scene.spec.ice.thickness_A = scene.spec.depth_A = 300;
  scene.spec.envelope.b_factor_A2 = 80;
  return scene;
}

Fit fit_of(const sim::SpectrumScene& scene, std::uint64_t seed, const Optics& told) {
  Rng rng(seed);
  return fit(
      {sim::power_spectrum(scene.ctf, scene.optics, scene.spec, rng), scene.spec.pixel_size, 1.0 / scene.spec.tiles},
      told);
}

TEST(CtfDrift, IsMeasuredAndNotInventedInAstigmaticOrTiltedImages) {
  auto scene = fine_scene();
  for (std::uint64_t seed = 40; seed < 43; ++seed) {
    scene.spec.drift_A = {0, 0};
    scene.spec.defocus_range_A = 300;
    const auto still = fit_of(scene, seed, scene.optics).quality;
    EXPECT_LT(still.drift.value() - 3 * still.sigma_drift.value(), 1) << seed;
    scene.spec.drift_A = {7, -5};
    const auto moved = fit_of(scene, seed, scene.optics).quality;
    EXPECT_NEAR(moved.drift.value(), std::hypot(7, 5), 4 * moved.sigma_drift.value()) << seed;
    EXPECT_LT(moved.sigma_drift.value(), 1) << seed;
  }
}

TEST(CtfThickness, IsNotReadFromRingsThatOnlyFadeFast) {
  auto scene = fine_scene();
  scene.spec.envelope.b_factor_A2 = 400;
  for (std::uint64_t seed = 44; seed < 48; ++seed) EXPECT_EQ(fit_of(scene, seed, scene.optics).thickness, 0_A) << seed;
  scene.spec.envelope.b_factor_A2 = 80;
  scene.spec.defocus_range_A = 3000;
  const auto charged = fit_of(scene, 48, scene.optics);
  EXPECT_NEAR(charged.thickness.value(), 3000, 150);
}

TEST(CtfSign, OverfocusIsToldWhereRingsReachFourAngstrom) {
  auto scene = fine_scene();
  for (std::uint64_t seed = 50; seed < 53; ++seed) {
    scene.ctf = {15300_A, 14900_A, 30_deg, 0_deg, {}};
    const auto under = fit_of(scene, seed, scene.optics).quality;
    EXPECT_LT(under.overfocus, -5) << seed;
    EXPECT_NEAR(under.cs_deviation.value(), 0, 4 * under.sigma_cs.value()) << seed;
    scene.ctf = {-14900_A, -15300_A, 30_deg, 0_deg, {}};
    const auto over = fit_of(scene, seed, scene.optics).quality;
    EXPECT_GT(over.overfocus, 5) << seed;
    EXPECT_NEAR(over.cs_deviation.value(), -5.4, 4 * over.sigma_cs.value()) << seed;
  }
}

TEST(CtfAberration, DefocusFollowsItAsToldByTheFit) {
  auto scene = fine_scene();
  auto other = scene.optics;
  other.cs = 2.9_mm;
  const auto given = fit_of(scene, 54, scene.optics), changed = fit_of(scene, 54, other);
  const double moved = (changed.ctf.mean_defocus() - given.ctf.mean_defocus()).value();
  EXPECT_GT(std::abs(moved), 5);
  EXPECT_NEAR(0.2 * given.quality.defocus_per_cs, moved, 0.15 * std::abs(moved) + 1);
}

TEST(CtfFit, NamesLimitsThatContradictEachOther) {
  FitParams params;
  params.min_resolution = 10_A;
  params.max_resolution = 12_A;
  params.min_defocus = 30000_A;
  params.max_defocus = 20000_A;
  EXPECT_EQ(problems_of(params).size(), 2U);
  EXPECT_THROW((void)fit(spectrum_of(strong_scene(), 12), Optics{}, params), Error);
}

TEST(AssessCtf, AcceptsTheTruthAndRejectsWrongDefociAndEmptySpectra) {
  auto scene = strong_scene();
  const auto spectrum = spectrum_of(scene, 13);
  const auto truth = truth_of(scene);
  EXPECT_TRUE(assess(spectrum, Optics{}, truth).accepted);
  for (const double wrong_by : {-9000.0, -1500.0, 1000.0, 20000.0}) {
    auto wrong = truth;
    wrong.defocus_u += Angstrom(wrong_by);
    wrong.defocus_v += Angstrom(wrong_by);
    const auto judged = assess(spectrum, Optics{}, wrong);
    EXPECT_FALSE(judged.accepted) << wrong_by << ": " << judged.reason;
  }
  scene.contrast = 0;
  EXPECT_FALSE(assess(spectrum_of(scene, 14), Optics{}, truth).accepted);
}

}  // namespace
}  // namespace frazil::ctf
