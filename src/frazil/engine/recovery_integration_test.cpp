// A project whose database is lost, empty, damaged or an older copy: nothing is removed, and results are found again.
#include "frazil/engine/recovery.hpp"
#include "frazil/engine/test_project.hpp"

namespace frazil::engine {
namespace {

class RecoveryTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    write_numbers(1, 12);
    ASSERT_EQ(run("p", {"expected=12"}), 0);
    stars_ = stars();
    results_ = result_folders(folder_ / "p").size();
    ASSERT_GT(results_, 12u);
  }
  std::map<std::string, std::string> stars() const {
    std::map<std::string, std::string> all;
    for (const auto& file : fs::directory_iterator(folder_ / "p" / "star"))
      all[file.path().filename()] = read_text(file.path());
    return all;
  }
  [[nodiscard]] fs::path database() const { return folder_ / "p" / "project.frazil"; }
  /// Attempts to start are refused twice, and nothing goes.
  void expect_refusal() const {
    EXPECT_EQ(run("p", {"expected=12"}), 2);
    EXPECT_EQ(run("p", {"expected=12"}), 2);
    EXPECT_EQ(result_folders(folder_ / "p").size(), results_);
    EXPECT_FALSE(fs::exists(folder_ / "p" / "orphans"));
  }
  void expect_refusal_without_results() const {
    EXPECT_EQ(run("p", {"expected=12"}), 2);
    EXPECT_EQ(stars(), stars_);
    EXPECT_FALSE(fs::exists(folder_ / "p" / "orphans"));
  }
  /// The project is made again: the same STAR files, and the maps that wrote files are not computed again.
  void expect_rebuilt() const {
    std::map<fs::path, fs::file_time_type> before;
    for (const auto& folder : result_folders(folder_ / "p")) before[folder] = fs::last_write_time(folder / "sum.txt");
    ASSERT_EQ(run("p", {"expected=12", "--rebuild"}), 0);
    EXPECT_EQ(stars(), stars_);
    std::map<fs::path, fs::file_time_type> after;
    for (const auto& folder : result_folders(folder_ / "p")) after[folder] = fs::last_write_time(folder / "sum.txt");
    EXPECT_EQ(after, before);
    EXPECT_EQ(run("p", {"expected=12"}), 0) << "and goes on as any project";
    EXPECT_EQ(stars(), stars_);
  }

  std::map<std::string, std::string> stars_;
  std::size_t results_ = 0;
};

TEST_F(RecoveryTest, ALostDatabaseRemovesNothingAndIsMadeAgain) {
  fs::remove(database());
  expect_refusal();
  EXPECT_FALSE(fs::exists(database()));
  expect_rebuilt();
}

TEST_F(RecoveryTest, AnEmptyDatabaseRemovesNothingAndIsMadeAgain) {
  fs::resize_file(database(), 0);
  expect_refusal();
  expect_rebuilt();
}

TEST_F(RecoveryTest, ADamagedDatabaseIsKeptAsideAndMadeAgain) {
  std::fstream(database(), std::ios::binary | std::ios::in | std::ios::out) << std::string(4096, 'x');
  expect_refusal();
  expect_rebuilt();
  EXPECT_TRUE(fs::exists(database().string() + ".damaged1"));
}

TEST_F(RecoveryTest, ADatabaseThatIsDamagedInItsMiddleIsRefusedAndMadeAgain) {
  {
    std::fstream file(database(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(2 * 4096);
    file << std::string(fs::file_size(database()) - 3 * 4096, 'x');
  }
  expect_refusal();
  expect_rebuilt();
  EXPECT_TRUE(fs::exists(database().string() + ".damaged1"));
}

TEST_F(RecoveryTest, TheDatabaseOfAnotherProjectIsRefusedAndPutAside) {
  const auto remove = [&](int first, int last) {
    for (int i = first; i <= last; ++i) fs::remove(folder_ / "in" / fmt::format("n_{}.num", i));
  };
  remove(1, 4);
  write_numbers(13, 16);
  ASSERT_EQ(run("q", {"expected=12"}), 0);
  remove(13, 16);
  write_numbers(1, 4);
  fs::copy_file(folder_ / "q" / "project.frazil", database(), fs::copy_options::overwrite_existing);
  expect_refusal();
  expect_rebuilt();
  EXPECT_TRUE(fs::exists(database().string() + ".damaged1"));
}

TEST_F(RecoveryTest, ResultsOnADiskThatIsNotThereAreWaitedFor) {
  fs::rename(folder_ / "p" / "steps", folder_ / "away");
  expect_refusal_without_results();
  fs::create_directory(folder_ / "p" / "steps");
  expect_refusal_without_results();
  fs::remove(folder_ / "p" / "steps");
  fs::rename(folder_ / "away", folder_ / "p" / "steps");
  EXPECT_EQ(run("p", {"expected=12"}), 0);
  EXPECT_EQ(stars(), stars_);
}

TEST_F(RecoveryTest, AnOlderCopyOfTheDatabaseIsRefusedAndMendedFromTheResults) {
  fs::copy_file(database(), folder_ / "copy");
  write_numbers(13, 16);
  ASSERT_EQ(run("p", {"expected=16"}), 0);
  stars_ = stars();
  results_ = result_folders(folder_ / "p").size();
  fs::copy_file(folder_ / "copy", database(), fs::copy_options::overwrite_existing);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(run("p", {"expected=16"}), 2) << "however often it is tried";
  EXPECT_EQ(result_folders(folder_ / "p").size(), results_);
  fs::remove(folder_ / "p" / "engine.lock");  // what the folders say is enough
  EXPECT_EQ(run("p", {"expected=16"}), 2);
  ASSERT_EQ(run("p", {"expected=16", "--rebuild"}), 0);
  EXPECT_EQ(stars(), stars_);
  EXPECT_FALSE(fs::exists(folder_ / "p" / "orphans"));
}

TEST_F(RecoveryTest, WhatAKillLeftMovesAsideAndStaysThere) {
  const auto left = folder_ / "p" / "steps" / "add" / "n_99_0123abcd";
  make_folders(left);
  write_text(left / "sum.txt", "7");
  EXPECT_EQ(run("p", {"expected=12"}), 0);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(run("p", {"expected=12"}), 0);
  EXPECT_EQ(read_text(folder_ / "p" / "orphans" / "add" / "n_99_0123abcd" / "sum.txt"), "7");
}

TEST_F(RecoveryTest, AMarkerSaysWhatMadeTheFolder) {
  const auto folder = result_folders(folder_ / "p").front();
  const auto marker = read_marker(folder);
  ASSERT_TRUE(marker);
  EXPECT_EQ(marker->epoch, 1);
  EXPECT_EQ(marker->task.step, "add");
  EXPECT_TRUE(folder.filename().string().ends_with(marker->task.key.substr(0, 8)));
  EXPECT_EQ(marker->inputs.size(), 1u);
  ASSERT_EQ(marker->imports.size(), 1u);
  EXPECT_EQ(marker->imports[0].kind, "Number");
  ASSERT_EQ(marker->outputs.size(), 1u);
  EXPECT_NE(marker->outputs[0].record.find("sum.txt"), std::string::npos);
  write_text(folder / marker_name, "{\"epoch\": 1");
  EXPECT_FALSE(read_marker(folder)) << "cut off";
}

}  // namespace
}  // namespace frazil::engine
