#include <gtest/gtest.h>

#include <limits>

#include "frazil/protocols/consensus_motion.hpp"
#include "frazil/protocols/filter_ctf.hpp"
#include "frazil/protocols/filter_dose.hpp"
#include "frazil/protocols/filter_motion.hpp"
#include "frazil/protocols/test_context.hpp"

namespace frazil::protocols {
namespace {

Motion moved(Angstrom step, Angstrom path, Angstrom net) {
  Motion motion;
  motion.max_step = step;
  motion.total_path = path;
  motion.net_drift = net;
  return motion;
}

TEST(FilterMotion, HoldsStepPathAndNetDriftAgainstItsPreset) {
  TestContext context;
  FilterMotion usual, paper;
  paper.params.preset = MotionLimits::paper;
  EXPECT_TRUE(usual.process(moved(8_A, 30_A, 20_A), context).accepted());
  const auto by_step = paper.process(moved(6_A, 10_A, 5_A), context);
  EXPECT_FALSE(by_step.accepted());
  EXPECT_EQ(by_step.rule, "max_step_A");
  EXPECT_EQ(by_step.limit, 5);
  EXPECT_EQ(paper.process(moved(2_A, 16_A, 5_A), context).rule, "total_path_A");
  EXPECT_EQ(usual.process(moved(2_A, 44_A, 43_A), context).rule, "net_drift_A");
  EXPECT_TRUE(paper.process(moved(2_A, 14_A, 13.9_A), context).accepted());
}

/// A movie of a camera that counts, 2 e⁻/Å² a frame, of which `share` is seen.
Detector seen(double share, Dose declared = 2_e_per_A2) {
  Detector detector;
  detector.movie = "raw/m.tiff";
  detector.pixel_size = 1_A;
  detector.counts = 2 * share;
  detector.noise_ratio = 1;
  detector.declared_dose_per_frame = declared;
  return detector;
}

TEST(FilterDose, AcceptsWhatIceExplainsAndHoldsTheRestUntilTheMonitorHasSeenIt) {
  TestContext context;
  const auto verdict = [&](const Detector& detector, const std::optional<DetectorTrend>& reference = {}) {
    return FilterDose{}.process({detector, reference}, context).verdict;
  };
  using flow::Verdict;
  for (const double ice_A : {0.0, 250.0, 500.0, 1500.0})
    EXPECT_EQ(verdict(seen(std::exp(-ice_A / 3000))), Verdict::accepted) << ice_A;
  EXPECT_EQ(verdict(seen(0.3)), Verdict::held) << "a beam that is cut";
  EXPECT_EQ(verdict(seen(1.8)), Verdict::held) << "twice the dose";
  EXPECT_EQ(verdict(seen(0.9, 0_e_per_A2)), Verdict::held) << "nothing to compare with yet";

  DetectorTrend reference;
  reference.levels = {1.8};
  EXPECT_EQ(verdict(seen(0.9, 0_e_per_A2), reference), Verdict::accepted);
  EXPECT_EQ(verdict(seen(0.9, 32_e_per_A2), reference), Verdict::accepted) << "a dose declared wrongly punishes nobody";
  EXPECT_EQ(verdict(seen(0.3), reference), Verdict::held) << "not seen among its neighbours";
  reference.odd = {"raw/m.tiff"};
  const auto aside = FilterDose{}.process({seen(0.3), reference}, context);
  EXPECT_EQ(aside.verdict, Verdict::set_aside);
  EXPECT_EQ(aside.rule, "dose_deviation");
  EXPECT_NEAR(aside.value, 0.6 / 1.8, 1e-12);
  EXPECT_EQ(aside.limit, 0.6);
  EXPECT_NE(aside.reason.find("usual in this session"), std::string::npos) << aside.reason;
}

TEST(FilterDose, ALimitOfOnesOwnHoldsOnceTheLevelsAreSure) {
  TestContext context;
  FilterDose strict;
  strict.params.max_deviation = 0.1;
  DetectorTrend reference;
  reference.levels = {2};
  EXPECT_TRUE(strict.process({seen(0.92), reference}, context).accepted());
  EXPECT_EQ(strict.process({seen(0.8), reference}, context).verdict, flow::Verdict::held);
  reference.is_sure = true;
  EXPECT_EQ(strict.process({seen(0.8), reference}, context).verdict, flow::Verdict::set_aside);
}

Motion track(double scale, double turn) {
  Motion motion;
  for (int t = 0; t < 20; ++t)
    motion.shifts_px.push_back({scale * t / 19 + turn * (t % 3), 2 + scale * 0.5 * t / 19 - turn * (t % 2)});
  return motion;
}

TEST(ConsensusMotion, AsksForAgreementOnlyOfTracksThatGoSomewhere) {
  TestContext context;
  EXPECT_TRUE(ConsensusMotion{}.process({track(8, 0), track(7, 0.1)}, context).accepted());
  EXPECT_NEAR(ConsensusMotion{}.process({track(8, 0), track(4, 0)}, context).value, 1, 1e-9);
  const auto against = ConsensusMotion{}.process({track(8, 0), track(-8, 0)}, context);
  EXPECT_FALSE(against.accepted());
  EXPECT_EQ(against.rule, "motion_agreement");
  EXPECT_NEAR(against.value, -1, 1e-9);
  EXPECT_TRUE(ConsensusMotion{}.process({track(2, 0), track(-2, 0)}, context).accepted());  // within 3 px
  auto shorter = track(8, 0);
  shorter.shifts_px.pop_back();
  EXPECT_THROW((void)ConsensusMotion{}.process({track(8, 0), shorter}, context), Error);
}

TEST(Filters, WhatIsNotANumberBreaksItsRule) {
  TestContext context;
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const FilterMotion motion;
  EXPECT_EQ(motion.process(moved(Angstrom(nan), 10_A, 5_A), context).rule, "max_step_A");
  EXPECT_EQ(motion.process(moved(1_A, Angstrom(nan), 5_A), context).rule, "total_path_A");
  const auto net = motion.process(moved(1_A, 10_A, Angstrom(nan)), context);
  EXPECT_FALSE(net.accepted());
  EXPECT_EQ(net.rule, "net_drift_A");
  EXPECT_NE(net.reason.find("nan"), std::string::npos) << net.reason;
  FilterDoseInput dose;
  dose.detector.declared_dose_per_frame = 1_e_per_A2;
  dose.detector.dose_per_frame = Dose(nan);
  EXPECT_FALSE(FilterDose{}.process(dose, context).accepted());
  dose.detector.dose_per_frame = 1_e_per_A2;
  dose.detector.declared_dose_per_frame = Dose(nan);
  EXPECT_FALSE(FilterDose{}.process(dose, context).accepted());
  auto lost = track(8, 0);
  lost.shifts_px[3][0] = nan;
  EXPECT_FALSE(ConsensusMotion{}.process({track(8, 0), lost}, context).accepted());
}

TEST(FilterCtf, WhatIsNotANumberBreaksItsRule) {
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  CtfFit fit;
  fit.defocus_u = fit.defocus_v = 15000_A;
  fit.fit_resolution = 4_A;
  fit.agreement = 3_A;
  fit.sigma_defocus = 20_A;
  fit.quality.visibility = fit.quality.confidence = 0.9;
  ASSERT_TRUE(judge({}, fit).accepted()) << judge({}, fit).reason;
  for (const auto set :
       std::initializer_list<void (*)(CtfFit&, double)>{[](CtfFit&f, double v) { f.quality.drift = Angstrom(v); },
                                                        [](CtfFit&f, double v) { f.quality.directional_damping = v; },
                                                        [](CtfFit&f, double v) { f.thickness = Angstrom(v); },
                                                        [](CtfFit&f, double v) { f.sigma_defocus = Angstrom(v); },
                                                        [](CtfFit&f, double v) { f.defocus_u = Angstrom(v); }}) {
    auto bad = fit;
    set(bad, nan);
    EXPECT_FALSE(judge({}, bad).accepted());
  }
  fit.iceness = nan;  // beyond Nyquist: nothing to hold against it
  EXPECT_TRUE(judge({}, fit).accepted());
}

}  // namespace
}  // namespace frazil::protocols
