#include "frazil/cli/replay.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>

#include "frazil/base/files.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

class Replay : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 12; ++i)
      write_text(from_ / fmt::format("m{:02}.mrc", i),
                 std::string(1000 + static_cast<std::size_t>(i), static_cast<char>('a' + i)));
    write_text(from_ / "truth.json", "{}");
  }
  void TearDown() override { fs::remove_all(root_); }
  /// Carries a plan out at once and gives the files it leaves.
  std::map<std::string, std::string> run(const std::string& faults, std::uint64_t seed = 1) {
    plan_ = plan_replay(recorded_files(from_), 60, parse_faults(faults), Rng(seed));
    fs::remove_all(into_);
    run_replay(
        plan_, into_, [](double) { return true; }, [](const ReplayWrite&) {});
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(into_))
      files[entry.path().filename().string()] = read_text(entry.path());
    return files;
  }
  fs::path root_ = [] {
    auto path = fs::temp_directory_path() / fmt::format("frazil_replay_{}", ::getpid());
    make_folders(path / "from");
    return path;
  }();
  fs::path from_ = root_ / "from", into_ = root_ / "into";
  std::vector<ReplayWrite> plan_;
};

TEST_F(Replay, CopiesEveryMovieByteForByteInOrderOfTime) {
  const auto files = run("");
  ASSERT_EQ(files.size(), 12U);
  for (const auto& [name, text] : files) EXPECT_EQ(text, read_text(from_ / name));
  for (std::size_t i = 1; i < plan_.size(); ++i) EXPECT_GE(plan_[i].time_s, plan_[i - 1].time_s);
  EXPECT_NEAR(plan_.back().time_s, 11 + 0.5 * 3 / 4, 1e-9);  // the last of four chunks within half a second
}

TEST_F(Replay, ATruncatedFileIsCompletedLater) {
  const auto files = run("truncated");
  for (const auto& [name, text] : files) EXPECT_EQ(text, read_text(from_ / name));
  std::set<std::string> truncated;
  for (const auto& write : plan_)
    if (write.event == "truncated") truncated.insert(write.target);
  EXPECT_EQ(truncated.size(), 1U);
}

TEST_F(Replay, AFileTruncatedForEverStaysSo) {
  const auto files = run("forever");
  int shorter = 0;
  for (const auto& [name, text] : files) shorter += text.size() < read_text(from_ / name).size();
  EXPECT_EQ(shorter, 1);
}

TEST_F(Replay, ADuplicateHasAnotherNameAndTheSameBytes) {
  const auto files = run("duplicate");
  ASSERT_EQ(files.size(), 13U);
  for (const auto& [name, text] : files) {
    const auto at = name.find("_copy");
    if (at != std::string::npos) {
      EXPECT_EQ(text, files.at(name.substr(0, at) + ".mrc"));
    }
  }
}

TEST_F(Replay, ALateFileComesAfterAllOthersAndOutOfOrderSwapsTwo) {
  run("late");
  EXPECT_EQ(plan_.back().fault, "late");
  run("out-of-order");
  std::vector<std::string> started;
  for (const auto& write : plan_)
    if (write.event == "started") started.push_back(write.target);
  EXPECT_FALSE(std::is_sorted(started.begin(), started.end()));
}

TEST_F(Replay, IsTheSameForTheSameSeed) {
  const auto describe_plan = [](const std::vector<ReplayWrite>& plan) {
    std::string text;
    for (const auto& w : plan) text += fmt::format("{} {} {} {} {}\n", w.time_s, w.target, w.from, w.to, w.event);
    return text;
  };
  run("late,truncated,forever,duplicate", 5);
  const auto first = describe_plan(plan_);
  run("late,truncated,forever,duplicate", 5);
  EXPECT_EQ(first, describe_plan(plan_));
  run("late,truncated,forever,duplicate", 6);
  EXPECT_NE(first, describe_plan(plan_));
}

TEST_F(Replay, UnknownFaultsAreNamed) {
  try {
    static_cast<void>(parse_faults("late,eaten"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("eaten must be one of late, truncated, forever, duplicate, out-of-order"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace frazil::cli
