#include "frazil/engine/guards.hpp"

#include <gtest/gtest.h>

namespace frazil::engine {
namespace {

StreamNow guarded_stream(int items = 0) {
  StreamNow now;
  now.step = "movies";
  now.files = "/data/*.tif";
  now.scanned = true;
  now.items = items;
  return now;
}

/// The one finding; fails if there is another number of them.
Finding the_finding(const std::vector<Finding>& list) {
  EXPECT_EQ(list.size(), 1u);
  return list.empty() ? Finding{} : list.front();
}

/// A session: `look` is called every 10 s, as often as asked.
template <class Guard, class Now>
std::vector<Finding> after(Guard& guard, const Now& now, double& time_s, double seconds) {
  std::vector<Finding> last;
  for (const double end_s = time_s + seconds; time_s < end_s; time_s += 10) last = guard.look(now, {}, time_s);
  return last;
}

// ---- arrival ----------------------------------------------------------------------------------------------------

TEST(ArrivalGuard, SaysThatNothingHasComeSinceTheStart) {
  ArrivalGuard guard;
  double t = 0;
  EXPECT_TRUE(after(guard, guarded_stream(), t, 1100).empty());
  const auto found = the_finding(after(guard, guarded_stream(), t, 200));
  EXPECT_EQ(found.kind, AlarmKind::arrival);
  EXPECT_EQ(found.text, "no file has come since the start");
  EXPECT_TRUE(after(guard, guarded_stream(1), t, 10).empty());
}

TEST(ArrivalGuard, KnowsTheRhythmOfTheSession) {
  ArrivalGuard guard;
  double t = 0;
  int items = 0;
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(after(guard, guarded_stream(++items), t, 30).empty());
  EXPECT_DOUBLE_EQ(guard.limit_s({}), 1200) << "files every half a minute: the floor holds";
  const auto found = the_finding(after(guard, guarded_stream(items), t, 1400));
  EXPECT_EQ(found.text, "no file has come for 23 min");
  EXPECT_EQ(found.expected, "one every 30 s (the median of this session)");
  for (int i = 0; i < 100; ++i) (void)after(guard, guarded_stream(++items), t, i % 10 == 0 ? 900 : 30);
  EXPECT_DOUBLE_EQ(guard.limit_s({}), 3600) << "one that pauses a quarter of an hour now and then is given an hour";
}

TEST(ArrivalGuard, IsSilentWhileAFileIsUnderWayAndWhenTheStreamHasEnded) {
  ArrivalGuard guard;
  double t = 0;
  auto now = guarded_stream(5);
  now.incomplete = 1;
  EXPECT_TRUE(after(guard, now, t, 5000).empty());
  now.stuck = 1;
  EXPECT_EQ(after(guard, now, t, 100).size(), 1u) << "one that does not grow is no sign of life";
  now.open = false;
  EXPECT_TRUE(after(guard, now, t, 5000).empty());
}

TEST(ArrivalGuard, TellsOfAFolderThatCannotBeLookedAtAndNotOfFilesMissingMeanwhile) {
  ArrivalGuard guard;
  double t = 0;
  auto now = guarded_stream(5);
  (void)after(guard, now, t, 60);
  now.outage = "/data: cannot be listed: No such file or directory";
  EXPECT_TRUE(after(guard, now, t, 10).empty()) << "a share that hangs for a moment";
  const auto found = the_finding(after(guard, now, t, 3000));
  EXPECT_EQ(found.kind, AlarmKind::files);
  EXPECT_EQ(found.text, now.outage);
  now.outage.clear();
  EXPECT_TRUE(after(guard, now, t, 600).empty());
}

TEST(ArrivalGuard, NamesAPatternThatFitsNothingAtOnce) {
  ArrivalGuard guard;
  double t = 0;
  auto now = guarded_stream();
  now.unfit = 24;
  now.near_miss = "a.tiff";
  const auto found = the_finding(after(guard, now, t, 20));
  EXPECT_EQ(found.kind, AlarmKind::files);
  EXPECT_EQ(found.text, "the pattern /data/*.tif fits none of the files, e.g. a.tiff");
  EXPECT_EQ(found.seen, "24 files");
  now.items = 1;
  EXPECT_TRUE(after(guard, now, t, 20).empty());
}

TEST(ArrivalGuard, SeesFilesArriveThatNothingTakesButNotTheCompanionsOfMovies) {
  ArrivalGuard guard;
  double t = 0;
  auto now = guarded_stream();
  now.unfit = 7;  // session files that lay there before the first movie
  EXPECT_TRUE(after(guard, now, t, 300).empty());
  for (int i = 0; i < 20; ++i) {
    now.unfit += 2;  // a picture and an XML of each movie, before the movie
    EXPECT_TRUE(after(guard, now, t, 20).empty());
    ++now.items;
    EXPECT_TRUE(after(guard, now, t, 20).empty());
  }
  for (int i = 0; i < 10; ++i) {
    now.unfit += 3;  // the format was changed: movies too are nothing that is taken
    now.example = "b.eer";
    (void)after(guard, now, t, 40);
  }
  const auto found = the_finding(after(guard, now, t, 10));
  EXPECT_EQ(found.text, "files arrive that nothing takes, e.g. b.eer");
  EXPECT_EQ(found.seen, "30 files since the last that was taken");
}

// ---- growth -----------------------------------------------------------------------------------------------------

TEST(GrowthGuard, SeesWhatGrowsAllAlongAndNotABacklogThatShrinksNorAJump) {
  GrowthGuard growing, shrinking, jump, noisy;
  int steady = 0, fell = 0, jumped = 0, wobbled = 0;
  for (int t = 0; t < 7200; t += 10) {
    steady += growing.look(t / 60, t, 1800, 20) > 0 ? 1 : 0;
    fell += shrinking.look(1000 - t / 10, t, 1800, 20) > 0 ? 1 : 0;
    jumped += jump.look(t < 3600 ? 0 : 500, t, 1800, 20) > 0 ? 1 : 0;
    wobbled += noisy.look(50 + t / 10 % 37, t, 1800, 20) > 0 ? 1 : 0;
  }
  EXPECT_EQ(steady, (7200 - 1800) / 10);
  EXPECT_EQ(fell, 0);
  EXPECT_EQ(jumped, 0) << "a folder full of files that comes at once is worked off";
  EXPECT_LE(wobbled, 40);
}

TEST(Guards, SayThatCopyingOrProcessingFallsBehind) {
  Guards guards;
  auto stream = guarded_stream();
  SelfNow self;
  std::vector<Finding> found;
  for (int t = 0; t < 3600; t += 10) {
    stream.items = t / 30;
    stream.incomplete = 2;
    self.behind = t / 60;
    found = guards.look({stream}, self, t);
  }
  EXPECT_EQ(the_finding(found).text, "processing falls behind: more comes in than gets through");
  self.waits = true;
  EXPECT_TRUE(guards.look({stream}, self, 3610).empty()) << "a person keeps it waiting";
  for (int t = 3620; t < 4400; t += 10) {
    stream.items = t / 30;
    stream.incomplete = 2 + (t - 3600) / 30;
    stream.example = "m_7.tif";
    found = guards.look({stream}, self, t);
  }
  EXPECT_EQ(the_finding(found).kind, AlarmKind::copy);
  stream.incomplete = stream.stuck = 6;
  found = guards.look({stream}, self, 4410);
  EXPECT_EQ(the_finding(found).text, "6 files stay incomplete and do not grow, e.g. m_7.tif");
}

// ---- room -------------------------------------------------------------------------------------------------------

TEST(DiskGuard, KnowsWhenTheDiskWillBeFullAndWhetherWhatIsExpectedFits) {
  DiskGuard guard;
  SelfNow self;
  self.reserve_mib = 200;
  std::vector<Finding> found;
  double t = 0;
  for (; t < 3600; t += 10) {  // 60 GiB an hour of 1000, 120 files an hour
    self.through = static_cast<int>(t / 30);
    self.free_mib = 1'000'000 - 60 * 1024 * t / 3600;
    EXPECT_TRUE(guard.look(self, {}, t).empty());
  }
  EXPECT_NEAR(guard.mib_per_hour({}).value(), 60 * 1024, 600);
  self.still_expected = 3000;
  found = guard.look(self, {}, t);
  EXPECT_EQ(the_finding(found).text, "the disk is too small for the 3000 files still to come");
  EXPECT_NE(found[0].seen.find("515 MiB a file"), std::string::npos) << found[0].seen;
  self.still_expected = 0;
  for (double gone = 0; gone < 7200; gone += 10, t += 10) {
    self.free_mib = 300'000 - 60 * 1024 * gone / 3600;
    found = guard.look(self, {}, t);
  }
  EXPECT_EQ(the_finding(found).text, "the disk will be full in 2.9 h");
  self.disk_problem = "the disk is full";
  EXPECT_EQ(the_finding(guard.look(self, {}, t)).text, "the disk is full");
}

TEST(DiskGuard, IsNotMisledByAFileThatComesAndGoes) {
  DiskGuard guard;
  SelfNow self;
  for (double t = 0; t < 3600; t += 10) {
    self.free_mib = 100'000 - (t > 1200 && t < 2000 ? 40'000 : 0);
    EXPECT_TRUE(guard.look(self, {}, t).empty()) << t;
  }
}

TEST(Guards, SayThatMemoryIsScarceOrWorkersDieOrJobsDoNotStart) {
  Guards guards;
  SelfNow self;
  self.memory_mib = 64'000;
  self.free_memory_mib = 1'000;
  EXPECT_TRUE(guards.look({}, self, 0).empty()) << "for a moment";
  EXPECT_TRUE(guards.look({}, self, 50).empty());
  EXPECT_EQ(the_finding(guards.look({}, self, 60)).kind, AlarmKind::memory);
  self.free_memory_mib = 30'000;
  self.deaths = 2;
  EXPECT_TRUE(guards.look({}, self, 70).empty());
  self.deaths = 3;
  self.last_death = "align, m_3: killed";
  const auto died = the_finding(guards.look({}, self, 80));
  EXPECT_EQ(died.kind, AlarmKind::worker);
  EXPECT_EQ(died.text, "workers have died 3 times in 30 min, the last with align, m_3: killed");
  EXPECT_TRUE(guards.look({}, self, 2000).empty()) << "long ago";
  self.waiting_elsewhere = 8;
  EXPECT_TRUE(guards.look({}, self, 2010).empty());
  EXPECT_EQ(the_finding(guards.look({}, self, 2970)).text, "the jobs of the cluster have not started for 16 min");
  self.running_elsewhere = 1;
  EXPECT_TRUE(guards.look({}, self, 2980).empty());
}

TEST(Guards, SpansAreWordedAsPeopleSayThem) {
  EXPECT_EQ(span_in_words(40), "40 s");
  EXPECT_EQ(span_in_words(1380), "23 min");
  EXPECT_EQ(span_in_words(3 * 3600), "3.0 h");
  EXPECT_EQ(span_in_words(3 * 86400), "3 days");
}

}  // namespace
}  // namespace frazil::engine
