// Which mistake in the optics explains what the rings show.
#include "frazil/algo/ctf/optics_watch.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "frazil/base/random.hpp"

namespace frazil::ctf {
namespace {

using What = Explanation::What;

/// What many good micrographs show of a session that is `true` and was told otherwise.
OpticsEvidence seen(const Optics& truth, double pixel_factor, const Optics& told, double sigma_mm, double sigma_scale) {
  const double wave = wavelength(truth.voltage) / wavelength(told.voltage);
  OpticsEvidence evidence{.voltage = told.voltage, .cs = told.cs, .pixel_size = 1_A};
  evidence.cs_mm = {std::pow(pixel_factor, 4) * std::pow(wave, 3) * truth.cs.value(), sigma_mm};
  evidence.scale = {pixel_factor * pixel_factor * wave, sigma_scale};
  evidence.count = 50;
  return evidence;
}

TEST(OpticsWatch, WrongOpticsAreOtherOpticsWithAnotherDefocus) {
  const Optics truth{300_kV, 2.7_mm, 0.1}, told{200_kV, 2.7_mm, 0.1};
  const double pixel_factor = 1.1, wave = wavelength(truth.voltage) / wavelength(told.voltage);
  const Ctf there{15000_A, 14000_A, 30_deg, 0_deg, Angstrom2(0)};
  const double stretch = pixel_factor * pixel_factor * wave;
  const Ctf seen_so{stretch * there.defocus_u, stretch * there.defocus_v, 30_deg, 0_deg, Angstrom2(0)};
  auto equivalent = told;
  equivalent.cs = std::pow(pixel_factor, 4) * std::pow(wave, 3) * truth.cs;
  const CtfFunction right(there, truth), other(seen_so, equivalent);
  for (const double k : {0.05, 0.1, 0.2, 0.3})
    EXPECT_NEAR(right.phase(pixel_factor * k, 0.5 * pixel_factor * k), other.phase(k, 0.5 * k), 1e-6) << k;
}

TEST(OpticsWatch, NamesTheMistakeThatExplainsBest) {
  const Optics krios{300_kV, 2.7_mm, 0.1};
  const auto best = [](const OpticsEvidence& evidence) { return explain(evidence).front(); };
  EXPECT_EQ(best(seen(krios, 1, krios, 0.05, 0.03)).what, What::told);
  const auto voltage = best(seen(krios, 1, {200_kV, 2.7_mm, 0.1}, 0.05, 0.03));
  EXPECT_EQ(voltage.what, What::voltage);
  EXPECT_EQ(voltage.value, 300);
  EXPECT_GT(voltage.probability, 0.9);
  const auto cs = best(seen({300_kV, 0_mm, 0.1}, 1, krios, 0.05, 0.03));
  EXPECT_EQ(cs.what, What::cs);
  EXPECT_EQ(cs.value, 0);
  for (const double factor : {1.03, 0.97, 1.2}) {
    const auto pixel = best(seen(krios, factor, krios, 0.02, 0.02));
    EXPECT_EQ(pixel.what, What::pixel_size) << factor;
    EXPECT_NEAR(pixel.value, 1 / factor, 0.01) << factor;
  }
  EXPECT_EQ(best(seen(krios, 2, krios, 0.3, 0.1)).what, What::super_resolution);
}

TEST(OpticsWatch, CallsNothingOverfocusedThatAWrongVoltageExplains) {
  for (const Kilovolt told : {200_kV, 120_kV, 100_kV}) {
    auto evidence = seen({300_kV, 2.7_mm, 0.1}, 1, {told, 2.7_mm, 0.1}, 0.1, 0);
    for (const auto& e : explain(evidence))
      if (e.what == What::overfocus) {
        EXPECT_LT(e.probability, 0.01);
      }
  }
  OpticsEvidence over{.voltage = 300_kV, .cs = 2.7_mm, .pixel_size = 1_A};
  over.cs_mm = {-2.7, 0.15};
  EXPECT_EQ(explain(over).front().what, What::overfocus);
}

TEST(OpticsWatch, SaysSoWhereNothingCanBeSeen) {
  OpticsEvidence corrected{.voltage = 300_kV, .cs = 0_mm, .pixel_size = 1_A};
  corrected.cs_mm = {0, 0.02};
  EXPECT_TRUE(optics_findings(corrected, explain(corrected)).empty());
  EXPECT_EQ(smallest_pixel_error(corrected), 1) << "rings without a spherical aberration fit any pixel size";
  corrected.ice = {3.67 * 1.03, 0.01};
  EXPECT_LT(smallest_pixel_error(corrected), 0.03);
  const auto found = optics_findings(corrected, explain(corrected));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind, AlarmKind::pixel_size);
  corrected.ice = {3.90, 0.01};  // hexagonal ice that shows one ring
  EXPECT_TRUE(optics_findings(corrected, explain(corrected)).empty());
}

TEST(OpticsWatch, AllExplanationsAreNamedWhereRingsCannotTellThemApart) {
  OpticsEvidence evidence{.voltage = 200_kV, .cs = 2.7_mm, .pixel_size = 1_A};
  evidence.cs_mm = {1.35, 0.08};  // 300 kV gives 1.31, a Cs of 1.4 mm is as near
  const auto found = optics_findings(evidence, explain(evidence));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].text.find("300 kV, not 200 kV"), std::string::npos) << found[0].text;
  EXPECT_NE(found[0].text.find("1.4 mm, not 2.7 mm"), std::string::npos) << found[0].text;
}

TEST(OpticsWatch, FindsScaleAndOffsetOfTheDefocusThroughOutliers) {
  Rng rng(5);
  std::vector<double> asked, found, sigma;
  for (int i = 0; i < 50; ++i) {
    asked.push_back(8000 + 2000.0 * (i % 7));
    found.push_back(0.79 * asked.back() + 3000 + 800 * rng.normal() + (i % 16 == 3 ? 15000 : 0));
    sigma.push_back(20);
  }
  const auto compared = compare_asked(asked, found, sigma);
  EXPECT_NEAR(compared.scale.value, 0.79, 4 * compared.scale.sigma);
  EXPECT_LT(compared.scale.sigma, 0.05);
  const std::vector<double> same(50, 15000);
  EXPECT_FALSE(compare_asked(same, found, sigma).scale.is_known()) << "one defocus tells no scale";
  EXPECT_FALSE(common_place({3.67, 3.9, 3.44, 3.6, 3.8, 3.5}, 6).sigma_A > 0) << "rings that do not agree are none";
  EXPECT_NEAR(common_place({3.67, 3.68, 3.66, 3.67, 3.67, 4.2}, 6).d_A, 3.67, 0.01);
}

}  // namespace
}  // namespace frazil::ctf
