#include "frazil/engine/intake.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <fstream>

#include "frazil/base/files.hpp"
#include "frazil/engine/numbers.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;
using Kind = Finding::Kind;

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
      flow::Watch watch = {}, const std::function<void(Intake&)>& recall = [](Intake&) {}) {
    registry_ = numbers::registry();
    watch.files = (folder_ / "in").string();
    watch.extensions = {".num"};
    watch.patience_s = 0.2;
    watch.settle_s = 0.1;
    intake_ = std::make_unique<Intake>(1);
    recall(*intake_);
    Watcher::Settings settings{};
    settings.watch = std::move(watch);
    settings.protocol = &registry_.at("import-numbers");
    settings.params = {{"files", settings.watch.files}};
    settings.link_folder = "raw/in";
    settings.poll_s = 0.05;
    intake_->start(std::move(settings), false);
  }
  /// Findings until `count` other than horizons are there, sorted by path; at most 10 s.
  std::vector<Finding> take(std::size_t count) {
    std::vector<Finding> found;
    const auto until = Intake::Clock::now() + std::chrono::seconds(10);
    while (found.size() < count && Intake::Clock::now() < until) {
      pollfd file{intake_->descriptor(), POLLIN, 0};
      ::poll(&file, 1, 100);
      for (auto& finding : intake_->take(32))
        if (finding.kind != Kind::horizon) found.push_back(std::move(finding));
    }
    std::sort(found.begin(), found.end(),
              [](const Finding& a, const Finding& b) { return a.sighting.path < b.sighting.path; });
    return found;
  }

  fs::path folder_;
  flow::Registry registry_;
  std::unique_ptr<Intake> intake_;
};

TEST_F(IntakeTest, SaysOfEachFileWhatItIs) {
  write("a.num", "1\nend");
  write("b.num", "2");       // stays incomplete
  write("c.num", "x\nend");  // will not become a number
  write("d/left.num", "4\nend");
  write("d/other.txt", "5\nend");  // not watched
  flow::Watch watch;
  watch.exclude = {"left.*"};
  start(std::move(watch));
  const auto found = take(4);
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].kind, Kind::item);
  EXPECT_EQ(found[0].subject.size(), 32U);
  EXPECT_EQ(found[1].kind, Kind::incomplete);
  EXPECT_EQ(found[2].kind, Kind::broken);
  EXPECT_EQ(found[3].kind, Kind::excluded);
  const auto counts = intake_->counts(0);
  EXPECT_EQ(counts.items, 1);
  EXPECT_EQ(counts.broken, 1);
  EXPECT_EQ(counts.growing, 1);
  EXPECT_EQ(intake_->growing(0).count("b.num"), 1U);
}

TEST_F(IntakeTest, FindsTheSameContentUnderTwoNames) {
  write("a.num", "1\nend");
  write("copy/a.num", "1\nend");
  start();
  const auto found = take(2);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].kind, Kind::item);
  EXPECT_EQ(found[1].kind, Kind::duplicate);
  EXPECT_NE(found[1].reason.find("a.num"), std::string::npos);
  EXPECT_EQ(intake_->counts(0).duplicates, 1);
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
  start({}, [&](Intake& intake) {
    intake.recall_item(0, seen.path, seen.hash, first[0].subject, {seen.size, seen.mtime_ns});
    intake.recall_other(0, "c.num", "broken", {1, 1});
  });
  const auto second = take(1);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].sighting.path, "b.num");
  EXPECT_EQ(intake_->counts(0).items, 2);
  EXPECT_EQ(intake_->counts(0).broken, 1);
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
