#include "frazil/engine/alarms.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "frazil/base/error.hpp"

namespace frazil::engine {
namespace {

using What = Alarms::Change::What;

Finding alarm_finding(AlarmKind kind, std::string text = "wrong", std::string about = {}) {
  return {.kind = kind, .about = std::move(about), .text = std::move(text)};
}

/// What has happened since the last call, as "number kind of change".
std::vector<std::pair<std::int64_t, What>> take_changes(Alarms& alarms) {
  std::vector<std::pair<std::int64_t, What>> list;
  for (const auto& change : alarms.unsaved()) list.emplace_back(change.alarm.n, change.what);
  alarms.saved();
  return list;
}

using Told = std::vector<std::pair<std::int64_t, What>>;

TEST(Alarms, StandFromTheFirstFindingUntilTheSourceHasBeenQuietForAWhile) {
  Alarms alarms;
  alarms.see("gain", {alarm_finding(AlarmKind::gain)}, 100);
  EXPECT_EQ(take_changes(alarms), (Told{{1, What::raised}}));
  EXPECT_EQ(alarms.standing().at(0).since, 100);
  alarms.see("gain", {alarm_finding(AlarmKind::gain)}, 200);
  alarms.see("dose", {}, 210);
  EXPECT_TRUE(take_changes(alarms).empty()) << "another source says nothing of it";
  alarms.see("gain", {}, 300);
  alarms.look(10'000);
  EXPECT_TRUE(take_changes(alarms).empty()) << "one version without it is not enough, however long ago";
  alarms.see("gain", {}, 10'001);
  EXPECT_EQ(take_changes(alarms), (Told{{1, What::over}}));
  EXPECT_TRUE(alarms.standing().empty());
  alarms.see("gain", {alarm_finding(AlarmKind::gain)}, 10'100);
  EXPECT_EQ(take_changes(alarms), (Told{{2, What::raised}})) << "a new one after its end";
}

TEST(Alarms, EndOnlyWhenTheWhileIsOverToo) {
  Alarms alarms;
  alarms.see("engine", {alarm_finding(AlarmKind::disk)}, 0);
  for (int t = 1; t < 60; ++t) alarms.see("engine", {}, t);
  EXPECT_EQ(alarms.standing().size(), 1u) << "many versions a second say no more than one";
  alarms.look(60);
  EXPECT_TRUE(alarms.standing().empty());
}

TEST(Alarms, ThatFlapAreRaisedOnce) {
  Alarms alarms;
  int raised = 0;
  const auto see = [&](bool wrong, double time) {
    alarms.see("fold", wrong ? std::vector{alarm_finding(AlarmKind::dose)} : std::vector<Finding>{}, time);
    for (const auto& [n, what] : take_changes(alarms)) raised += what == What::raised ? 1 : 0;
  };
  for (int version = 0; version < 40; ++version) see(version % 2 == 0, 600 * version);
  EXPECT_EQ(raised, 1) << "every other version, ten minutes apart";
  EXPECT_EQ(alarms.standing().at(0).since, 0);
  for (int time = 23'400; time < 23'700; ++time) see(false, time);
  EXPECT_EQ(alarms.standing().size(), 1u) << "one that has come back so often is not believed to be gone at once";
  see(false, 60'000);
  EXPECT_TRUE(alarms.standing().empty());
}

TEST(Alarms, AreOverWhenTheLastVersionOfAllDoesNotFindThem) {
  Alarms alarms;
  alarms.see("fold", {alarm_finding(AlarmKind::gain), alarm_finding(AlarmKind::dose)}, 0);
  alarms.see("fold", {alarm_finding(AlarmKind::dose)}, 1);
  alarms.end("fold", 1);
  ASSERT_EQ(alarms.standing().size(), 1u);
  EXPECT_EQ(alarms.standing()[0].finding.kind, AlarmKind::dose) << "what it found to the end stands";
}

TEST(Alarms, AreToldApartByKindAndWhatTheyAreAbout) {
  Alarms alarms;
  alarms.see("fold",
             {alarm_finding(AlarmKind::ice, "a", "square 1"), alarm_finding(AlarmKind::ice, "b", "square 2"),
              alarm_finding(AlarmKind::ice, "named twice", "square 2"), alarm_finding(AlarmKind::ctf, "c")},
             0);
  EXPECT_EQ(alarms.standing().size(), 3u);
  alarms.see("other", {alarm_finding(AlarmKind::ctf, "d")}, 0);
  EXPECT_EQ(alarms.standing().size(), 4u);
  EXPECT_EQ(alarms.standing()[1].finding.text, "b");
}

TEST(Alarms, TellOtherWordsNowAndThenAndOfTheSameAlarm) {
  Alarms alarms;
  for (int t = 0; t < 100; ++t)
    alarms.see("engine", {alarm_finding(AlarmKind::arrival, "no file for " + std::to_string(t) + " s")}, t);
  const auto told = take_changes(alarms);
  EXPECT_EQ(told, (Told{{1, What::raised}})) << "what is not stored yet is stored as it is now";
  for (int t = 100; t < 200; ++t) {
    alarms.see("engine", {alarm_finding(AlarmKind::arrival, "no file for " + std::to_string(t) + " s")}, t);
    if (t % 10 == 0) {
      EXPECT_LE(take_changes(alarms).size(), 1u);
    }
  }
  EXPECT_EQ(alarms.standing().at(0).finding.text, "no file for 199 s");
  alarms.saved();
  alarms.tell_all(200);
  ASSERT_EQ(alarms.unsaved().size(), 1u) << "the last words are told in any case";
  EXPECT_EQ(alarms.unsaved()[0].alarm.finding.text, "no file for 199 s");
}

TEST(Alarms, AreAcknowledgedByAPersonAndStandOn) {
  Alarms alarms;
  alarms.see("engine", {alarm_finding(AlarmKind::disk), alarm_finding(AlarmKind::gain)}, 5);
  alarms.saved();
  alarms.acknowledge(2, "ada", "is being changed", 7);
  EXPECT_EQ(take_changes(alarms), (Told{{2, What::acknowledged}}));
  const auto standing = alarms.standing();
  ASSERT_EQ(standing.size(), 2u);
  EXPECT_EQ(standing[1].actor, "ada");
  EXPECT_EQ(standing[1].acknowledged, 7);
  EXPECT_EQ(to_json(standing[1]).at("acknowledged"), "ada");
  EXPECT_EQ(to_json(standing[1]).at("until"), 0);
  EXPECT_THROW(alarms.acknowledge(3, "ada", "", 8), Error);
  alarms.see("engine", {}, 100);
  alarms.see("engine", {}, 101);
  EXPECT_THROW(alarms.acknowledge(2, "ada", "", 102), Error) << "it is over";
  alarms.see("engine", {alarm_finding(AlarmKind::gain)}, 200);
  EXPECT_EQ(alarms.standing().at(0).actor, "") << "a new one is nobody's yet";
}

TEST(Alarms, GoOnAfterARestart) {
  Alarms before;
  before.see("fold", {alarm_finding(AlarmKind::gain), alarm_finding(AlarmKind::dose)}, 5);
  before.acknowledge(1, "ada", "", 6);
  Alarms after;
  after.restore(before.standing(), 7, 50);
  EXPECT_TRUE(after.unsaved().empty());
  after.see("fold", {alarm_finding(AlarmKind::gain), alarm_finding(AlarmKind::tilt)}, 51);
  const auto standing = after.standing();
  ASSERT_EQ(standing.size(), 3u);
  EXPECT_EQ(standing[0].actor, "ada");
  EXPECT_EQ(standing[0].since, 5) << "the same alarm";
  EXPECT_EQ(standing[2].n, 8) << "numbers are given once";
  after.keep_only({"engine"}, 60);
  EXPECT_TRUE(after.standing().empty()) << "the step is there no more";
}

TEST(Alarms, LoseNothingWhenTheTransactionFails) {
  Alarms alarms;
  alarms.see("engine", {alarm_finding(AlarmKind::disk)}, 0);
  const auto first = alarms.unsaved().size();
  alarms.see("engine", {}, 100);
  alarms.see("engine", {}, 101);
  EXPECT_EQ(first, 1u);
  EXPECT_EQ(take_changes(alarms), (Told{{1, What::raised}, {1, What::over}}))
      << "both are written when that works again";
}

TEST(Alarms, TheGravestComesFirst) {
  Alarms alarms;
  alarms.see("a", {alarm_finding(AlarmKind::drift)}, 1);
  alarms.see("b", {alarm_finding(AlarmKind::gain)}, 2);
  alarms.see("c", {alarm_finding(AlarmKind::disk)}, 3);
  alarms.acknowledge(3, "ada", "", 4);
  auto list = alarms.standing();
  sort_by_gravity(list);
  EXPECT_EQ(list[0].finding.kind, AlarmKind::gain);
  EXPECT_EQ(list[1].finding.kind, AlarmKind::drift);
  EXPECT_EQ(list[2].finding.kind, AlarmKind::disk) << "somebody knows of it already";
  EXPECT_EQ(headline(list[0]), "b: wrong");
}

TEST(Alarms, AProbabilityIsOneWhateverWasSaid) {
  Alarms alarms;
  auto odd = alarm_finding(AlarmKind::gain);
  odd.sure = std::nan("");
  alarms.see("a", {odd}, 1);
  EXPECT_EQ(alarms.standing().at(0).finding.sure, 0);
}

}  // namespace
}  // namespace frazil::engine
