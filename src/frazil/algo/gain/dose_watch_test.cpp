// What the counts of a session tell: dose declared wrongly, units confused, beam cut; and that ice is no fault.
#include <gtest/gtest.h>

#include <cmath>

#include "frazil/algo/gain/dose_watch.hpp"
#include "frazil/base/random.hpp"

namespace frazil::gain {
namespace {

/// A camera that counts electrons: 2.5 e⁻/Å² a frame, 1.5 Å, 16 frames, ice of `ice_A`; `declared` as it was typed.
Exposed exposure(double ice_A, double declared = 2.5, double beam = 1) {
  static int number = 0;
  return {.name = fmt::format("m{}", number++),
          .counts = beam * 2.5 * 1.5 * 1.5 * std::exp(-ice_A / 3000),
          .noise_ratio = 1,
          .declared = declared,
          .pixel_A = 1.5,
          .nx = 1024,
          .ny = 1024,
          .frames = 16};
}

std::vector<Exposed> session(int count, double ice_A, double declared = 2.5) {
  Rng rng(7);
  std::vector<Exposed> batch;
  for (int i = 0; i < count; ++i) batch.push_back(exposure(ice_A * std::exp(0.2 * rng.normal()), declared));
  return batch;
}

const Finding* find_dose(const DoseSummary& summary, std::string_view about = "") {
  for (const auto& finding : summary.findings)
    if (finding.kind == AlarmKind::dose && finding.about == about) return &finding;
  return nullptr;
}

TEST(DoseWatch, IceIsNoFault) {
  for (const double ice : {100.0, 250.0, 500.0, 750.0}) {
    DoseState state;
    EXPECT_TRUE(follow_dose(state, session(20, ice)).findings.empty()) << ice;
    EXPECT_TRUE(follow_dose(state, session(20, 1000 - ice)).findings.empty()) << "another square: " << ice;
    EXPECT_EQ(state.outside, 0) << ice;
  }
}

TEST(DoseWatch, NamesTheUnitsThatWereConfused) {
  const auto say = [](double declared) {
    DoseState state;
    const auto found = follow_dose(state, session(3, 300, declared));
    EXPECT_EQ(found.findings.size(), 1U) << declared;
    return found.findings.empty() ? std::string() : found.findings.front().text;
  };
  EXPECT_NE(say(40).find("the whole movie of 16 frames"), std::string::npos) << say(40);
  EXPECT_NE(say(2.5 * 2.25).find("per pixel"), std::string::npos) << say(2.5 * 2.25);
  EXPECT_NE(say(0.25).find("ten times too low"), std::string::npos) << say(0.25);
  EXPECT_NE(say(250).find("nanometre"), std::string::npos) << say(250);
  EXPECT_NE(say(2.5 * 50).find("no confusion"), std::string::npos) << say(125);
}

TEST(DoseWatch, SeesADoseThatIsTwentyPerCentOff) {
  DoseState low, high;
  const auto more = follow_dose(low, session(20, 250, 2.5 / 1.2));
  ASSERT_NE(find_dose(more), nullptr);
  EXPECT_NE(find_dose(more)->text.find("more electrons"), std::string::npos);
  const auto less = follow_dose(high, session(20, 450, 2.5 * 1.2));
  ASSERT_NE(find_dose(less), nullptr);
  EXPECT_NE(find_dose(less)->text.find("less electrons"), std::string::npos);
}

TEST(DoseWatch, ACameraThatDoesNotCountElectronsIsNotComparedWithTheDeclaredDose) {
  DoseState state;
  auto batch = session(20, 300, 30);
  for (auto& movie : batch) {
    movie.counts *= 120;
    movie.noise_ratio = 260;
  }
  const auto found = follow_dose(state, batch);
  EXPECT_TRUE(found.findings.empty());
  EXPECT_EQ(found.dose, 0);
  EXPECT_EQ(electrons_of(1, 260), 0);
  EXPECT_NEAR(electrons_of(0.9, 0.81), 1, 1e-12) << "a tenth lost to coincidence";
}

TEST(DoseWatch, SeesTheBeamFallAndSwing) {
  DoseState state;
  for (int i = 0; i < 3; ++i) (void)follow_dose(state, session(20, 300));
  auto cut = session(20, 300);
  for (auto& movie : cut) movie.counts *= 0.7;
  const auto fell = follow_dose(state, cut);
  ASSERT_NE(find_dose(fell, "change"), nullptr);
  EXPECT_NE(find_dose(fell, "change")->text.find("below"), std::string::npos);
  auto swinging = session(20, 300);
  for (std::size_t i = 0; i < 20; i += 4) swinging[i].counts *= 0.4;
  EXPECT_NE(find_dose(follow_dose(state, swinging), "unstable"), nullptr);
}

TEST(DoseWatch, CallsOddWhatIsCutOrTwiceTheDoseAndNothingElse) {
  for (const double declared : {2.5, 0.0, 40.0}) {  // right, not given, wrong by the number of frames
    SCOPED_TRACE(declared);
    DoseState state;
    auto batch = session(20, 250, declared);
    batch[4] = exposure(300, declared, 0.3);
    batch[9] = exposure(300, declared, 2);
    (void)follow_dose(state, batch);
    EXPECT_EQ(state.odd, (std::deque<std::string>{batch[4].name, batch[9].name}));
    (void)follow_dose(state, session(20, 900, declared));  // a square in thick ice
    EXPECT_EQ(state.odd.size(), 2U);
  }
}

TEST(DoseWatch, ADeclaredDoseThatIsWrongMakesNoBlockedMovieTheUsualOne) {
  DoseState state;
  auto batch = session(20, 250, 1.25);  // half of the truth
  batch[7] = exposure(250, 1.25, 0.5);  // and so what was declared
  (void)follow_dose(state, batch);
  EXPECT_EQ(state.odd, (std::deque<std::string>{batch[7].name}));
}

TEST(DoseWatch, ASessionMayHaveTwoDosesWhereNothingSaysWhichIsRight) {
  DoseState state;
  (void)follow_dose(state, session(20, 250, 0));
  auto doubled = session(20, 250, 0);
  for (auto& movie : doubled) movie.counts *= 2;
  const auto found = follow_dose(state, doubled);
  EXPECT_NE(find_dose(found, "change"), nullptr) << "it is said";
  EXPECT_TRUE(state.odd.empty()) << "and nothing is set aside";
  EXPECT_EQ(state.levels.size(), 2U);
}

TEST(DoseWatch, SeesFramesAndSizesThatChange) {
  DoseState state;
  (void)follow_dose(state, session(20, 300));
  auto shorter = session(20, 300);
  for (std::size_t i = 10; i < 20; ++i) shorter[i].frames = 12;
  const auto found = follow_dose(state, shorter);
  ASSERT_FALSE(found.findings.empty());
  EXPECT_EQ(found.findings.back().kind, AlarmKind::frames);
  EXPECT_NE(found.findings.back().seen.find("12 frames"), std::string::npos);
  auto eer = session(20, 300);
  for (auto& movie : eer) {
    movie.raw_frames = 1080;
    movie.frames = 3;
  }
  DoseState other;
  EXPECT_EQ(follow_dose(other, eer).findings.back().about, "fractions");
}

}  // namespace
}  // namespace frazil::gain
