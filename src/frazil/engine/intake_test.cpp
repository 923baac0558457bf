#include "frazil/engine/intake.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/engine/numbers.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;
using Kind = Found::Kind;

/// A folder of number files ("7\nend" is whole) and an intake that watches it.
class IntakeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    static int counter = 0;
    folder_ = fs::temp_directory_path() / fmt::format("frazil-intake-{}-{}", ::getpid(), counter++);
    make_folders(folder_ / "in");
  }
  void TearDown() override {
    intake_.reset();
    fs::remove_all(folder_);
  }

  void write(const std::string& name, const std::string& text) const {
    make_folders((folder_ / "in" / name).parent_path());
    std::ofstream(folder_ / "in" / name) << text;
  }
  /// @param recall  tells the intake what is stored, before it watches
  void start(
      flow::Watch watch = {}, const std::function<void(Intake&)>& recall = [](Intake&) {}, bool closed = false) {
    registry_ = numbers::registry();
    watch.files = (folder_ / "in").string();
    watch.extensions = {".num"};
    watch.patience_s = 0.2;
    watch.settle_s = 0.1;
    if (watch.quiet_s == 1) watch.quiet_s = 0.05;
    intake_ = std::make_unique<Intake>(1);
    recall(*intake_);
    Watcher::Settings settings{};
    settings.watch = std::move(watch);
    settings.protocol = &registry_.at("import-numbers");
    settings.params = {{"files", settings.watch.files}};
    settings.link_folder = "raw/in";
    settings.poll_s = 0.05;
    intake_->start(std::move(settings), closed);
  }
  /// Findings about `count` files or folders, sorted by path; at most 10 s.
  std::vector<Found> take(std::size_t count) {
    std::vector<Found> found;
    const auto until = Intake::Clock::now() + std::chrono::seconds(10);
    while (found.size() < count && Intake::Clock::now() < until) {
      pollfd file{intake_->descriptor(), POLLIN, 0};
      ::poll(&file, 1, 100);
      for (auto& finding : intake_->take(32))
        if (finding.kind != Kind::horizon) found.push_back(std::move(finding));
    }
    std::sort(found.begin(), found.end(),
              [](const Found& a, const Found& b) { return a.sighting.path < b.sighting.path; });
    return found;
  }

  fs::path folder_;
  flow::Registry registry_;
  std::unique_ptr<Intake> intake_;
};

TEST_F(IntakeTest, SaysOfEachFileWhatItIsAndTheCountsAddUp) {
  write("a.num", "1\nend");
  write("b.num", "2");       // stays incomplete
  write("c.num", "x\nend");  // will not become a number
  write("d/left.num", "4\nend");
  write("d/other.txt", "5\nend");  // not watched
  write("e.num", "1\nend");        // a copy
  flow::Watch watch;
  watch.exclude = {"left.*"};
  start(std::move(watch));
  const auto found = take(5);
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found[0].state, FileState::item);
  EXPECT_EQ(found[0].subject.size(), 32U);
  EXPECT_EQ(found[1].state, FileState::incomplete);
  EXPECT_EQ(found[2].state, FileState::broken);
  EXPECT_EQ(found[3].state, FileState::excluded);
  EXPECT_EQ(found[4].state, FileState::duplicate);
  EXPECT_NE(found[4].reason.find("a.num"), std::string::npos);
  const auto& counts = intake_->counts(0);
  EXPECT_EQ(counts.items, 1);
  EXPECT_EQ(counts.broken, 1);
  EXPECT_EQ(counts.incomplete, 1);
  EXPECT_EQ(counts.files(), 5);
  EXPECT_EQ(intake_->growing(0).count("b.num"), 1U);
}

TEST_F(IntakeTest, AFileWrittenAnewTakesThePlaceOfTheOld) {
  write("a.num", "1\nend");
  write("copy.num", "1\nend");
  start();
  const auto first = take(2);
  ASSERT_EQ(first.size(), 2U);
  write("a.num", "2\nend");
  auto second = take(2);  // and the copy is one no more
  ASSERT_EQ(second.size(), 2U);
  EXPECT_EQ(second[0].state, FileState::item);
  EXPECT_EQ(second[0].replaced, first[0].subject);
  EXPECT_NE(second[0].subject, first[0].subject);
  EXPECT_EQ(second[1].sighting.path, "copy.num");
  EXPECT_EQ(second[1].state, FileState::item);
  EXPECT_EQ(intake_->counts(0).items, 2);
  EXPECT_EQ(intake_->counts(0).replaced, 1);
  write("a.num", "x\nend");  // the item stays
  const auto third = take(1);
  ASSERT_EQ(third.size(), 1U);
  EXPECT_EQ(third[0].kind, Kind::damaged);
  EXPECT_EQ(intake_->counts(0).items, 2);
}

TEST_F(IntakeTest, AFileThatHasItsSpaceBeforeItsContentWaits) {
  const auto path = folder_ / "in" / "a.num";
  std::ofstream file(path);
  file << "7\nend" << std::flush;  // whole, and open
  flow::Watch watch;
  watch.quiet_s = 0.5;
  start(std::move(watch));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  file.seekp(0);
  file << "8" << std::flush;
  const auto found = take(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].sighting.record.at("value"), 8);
  file.close();
}

TEST_F(IntakeTest, AStreamThatHadClosedWaitsForAFileThatCameAMomentAgo) {
  write("a.num", "1\nend");
  flow::Watch watch;
  watch.quiet_s = 0.5;
  watch.idle_s = 1;  // others are waited for so long
  start(
      std::move(watch), [](Intake&) {}, true);
  const auto begun = Intake::Clock::now();
  std::vector<Found> found;
  while (!intake_->has_ended(0) && Intake::Clock::now() < begun + std::chrono::seconds(10))
    for (auto& one : intake_->take(32))
      if (one.kind == Kind::file && one.state == FileState::item) found.push_back(std::move(one));
  EXPECT_TRUE(intake_->has_ended(0));
  EXPECT_EQ(found.size(), 1U);
  EXPECT_EQ(intake_->counts(0).items, 1);
}

TEST_F(IntakeTest, AStreamThatHadClosedDoesNotWaitForAFileThatStaysIncomplete) {
  write("a.num", "1\n");
  start(
      {}, [](Intake&) {}, true);
  const auto begun = Intake::Clock::now();
  while (!intake_->has_ended(0) && Intake::Clock::now() < begun + std::chrono::seconds(10)) (void)intake_->take(32);
  EXPECT_TRUE(intake_->has_ended(0));
}

TEST_F(IntakeTest, LinksThatLeadBackAndProjectsOfFrazilAreNotFollowed) {
  write("a.num", "1\nend");
  write("day/b.num", "2\nend");
  fs::create_symlink(".", folder_ / "in" / "latest");
  fs::create_symlink("../..", folder_ / "in" / "day" / "up");
  fs::create_symlink("day", folder_ / "in" / "aday");
  write("frazil/project.frazil", "");
  write("frazil/steps/add/c.num", "3\nend");
  start();
  const auto found = take(3);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].sighting.path, "a.num");
  EXPECT_EQ(found[1].sighting.path, "day/b.num");
  EXPECT_EQ(found[2].kind, Kind::folder);
  EXPECT_NE(found[2].reason.find("project of frazil"), std::string::npos);
  EXPECT_EQ(intake_->counts(0).files(), 2);
}

TEST_F(IntakeTest, NamesThatLeadToNoFileAreToldOnce) {
  write("a.num", "1\nend");
  fs::create_symlink("nowhere.num", folder_ / "in" / "b.num");
  fs::create_symlink("c.num", folder_ / "in" / "c.num");
  ASSERT_EQ(::mkfifo((folder_ / "in" / "d.num").c_str(), 0600), 0);
  start();
  const auto found = take(4);
  ASSERT_EQ(found.size(), 4U);
  const auto reason_of = [&](const std::string& path) -> std::string {
    for (const auto& one : found)
      if (one.sighting.path == path) return one.reason;
    return "";
  };
  EXPECT_NE(reason_of("b.num").find("is a link to nothing"), std::string::npos);
  EXPECT_NE(reason_of("c.num").find("is a link to nothing"), std::string::npos);
  EXPECT_NE(reason_of("d.num").find("is no regular file"), std::string::npos);
  EXPECT_EQ(intake_->counts(0).files(), 1);
}

TEST_F(IntakeTest, AFolderThatCannotBeListedEndsNoStream) {
  write("a.num", "1\nend");
  flow::Watch watch;
  watch.idle_s = 0.3;
  start(std::move(watch));
  (void)take(1);
  fs::rename(folder_ / "in", folder_ / "away");  // an outage
  const auto outage = take(1);
  ASSERT_EQ(outage.size(), 1U);
  EXPECT_EQ(outage[0].kind, Kind::folder);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  (void)intake_->take(32);
  EXPECT_FALSE(intake_->has_ended(0));
  EXPECT_FALSE(intake_->outage(0).empty());
  fs::rename(folder_ / "away", folder_ / "in");
  const auto until = Intake::Clock::now() + std::chrono::seconds(10);
  while (!intake_->has_ended(0) && Intake::Clock::now() < until) (void)intake_->take(32);
  EXPECT_TRUE(intake_->has_ended(0)) << "goes on, and ends for want of files";
  EXPECT_EQ(intake_->counts(0).items, 1);
}

TEST_F(IntakeTest, NamesThatAreNotUtf8AreShownOtherwiseAndOpenedAsTheyAre) {
  write("pr\xe9p \"x\".num", "1\nend");
  start();
  const auto found = take(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].state, FileState::item) << found[0].reason;
  EXPECT_EQ(found[0].sighting.path, "pr%E9p %22x%22.num");
  EXPECT_EQ(found[0].sighting.record.at("path"), "raw/in/pr%E9p %22x%22.num");
}

TEST_F(IntakeTest, FilesHaveLabelsOfTheirOwn) {
  start();
  EXPECT_EQ(intake_->label(0, "m.tiff"), "m");
  EXPECT_EQ(intake_->label(0, "m.mrc"), "m (mrc)");
  EXPECT_EQ(intake_->label(0, "m.tiff"), "m");
  EXPECT_EQ(intake_->label(0, "x/m.mrc"), "x_m");
  EXPECT_EQ(intake_->label(0, "x_m.mrc"), "x_m (mrc)");
}

TEST_F(IntakeTest, AStreamEndsWhenAsManyFilesAreThereAsExpected) {
  write("a.num", "1\nend");
  flow::Watch watch;
  watch.expected = 2;
  start(std::move(watch));
  (void)take(1);
  EXPECT_FALSE(intake_->has_ended(0));
  write("b.num", "2\nend");
  (void)take(1);
  EXPECT_TRUE(intake_->has_ended(0));
}

TEST_F(IntakeTest, WhatIsRecalledIsCountedAndNotTakenAgain) {
  write("a.num", "1\nend");
  start();
  const auto first = take(1);
  ASSERT_EQ(first.size(), 1U);
  const auto& seen = first[0].sighting;
  write("b.num", "2\nend");
  write("bad.num", "bad");
  start({}, [&](Intake& intake) {
    store::FileRow row;
    row.path = "a.num";
    row.state = "incomplete";  // as it was once
    intake.recall(0, row, seen.file);
    row.state = "item";
    row.size = seen.size;
    row.mtime_ns = seen.mtime_ns;
    row.hash = seen.hash;
    row.subject = first[0].subject;
    intake.recall(0, row, seen.file);
    row = {};
    row.path = "bad.num";
    row.state = "broken";
    row.reason = "holds no number";
    intake.recall(0, row, {});
    row.path = "was.num";
    row.state = "incomplete";
    intake.recall(0, row, {});
  });
  EXPECT_EQ(intake_->counts(0).files(), 3);
  const auto second = take(2);
  ASSERT_EQ(second.size(), 2U);
  EXPECT_EQ(second[0].sighting.path, "b.num");
  EXPECT_EQ(second[1].sighting.path, "was.num");
  EXPECT_EQ(second[1].state, FileState::gone);
  EXPECT_EQ(intake_->counts(0).items, 2);
  EXPECT_EQ(intake_->counts(0).broken, 1);
  EXPECT_EQ(intake_->counts(0).incomplete, 0);
  EXPECT_EQ(intake_->counts(0).replaced, 0);
}

/// An engine that is stopped at once leaves files that were written a moment ago; the next one waits for them.
TEST_F(IntakeTest, WhatWasLeftIncompleteEndsNoStreamBeforeSomebodyHasWaitedForIt) {
  write("a.num", "1");  // half of it
  flow::Watch watch;
  watch.expected = 1;
  start(std::move(watch), [&](Intake& intake) {
    store::FileRow row;
    row.path = "a.num";
    row.state = "incomplete";
    row.reason = "was written a moment ago";
    intake.recall(0, row, {});
  });
  EXPECT_EQ(intake_->counts(0).incomplete, 1);
  EXPECT_FALSE(intake_->has_ended(0));
  const auto found = take(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].state, FileState::incomplete);
  EXPECT_TRUE(intake_->has_ended(0)) << "it does not become whole";
}

TEST_F(IntakeTest, AStreamEndsByHand) {
  start();
  (void)take(0);
  intake_->close(0);
  const auto until = Intake::Clock::now() + std::chrono::seconds(10);
  while (!intake_->has_ended(0) && Intake::Clock::now() < until) (void)intake_->take(32);
  EXPECT_TRUE(intake_->has_ended(0));
}

}  // namespace
}  // namespace frazil::engine
