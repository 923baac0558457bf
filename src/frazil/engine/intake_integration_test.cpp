// Files that come in, as whole runs see them: nothing lost, nothing twice, nothing without a word.
#include "frazil/engine/test_project.hpp"

namespace frazil::engine {
namespace {

class FilesTest : public EngineTest {
 protected:
  Json status(const std::string& project) const { return ask(project, "status").at("status"); }
  std::string why(const std::string& project, const std::string& item) const {
    return ask(project, "why", item).dump();
  }
  /// When the results of a step were written, by folder.
  std::map<std::string, fs::file_time_type> written(const std::string& project) const {
    std::map<std::string, fs::file_time_type> times;
    for (const auto& folder : fs::directory_iterator(folder_ / project / "steps" / "add"))
      times[folder.path().filename()] = fs::last_write_time(folder.path() / "sum.txt");
    return times;
  }
};

TEST_F(FilesTest, AFileWrittenAnewReplacesItsItemEverywhere) {
  write_numbers(1, 4);
  ASSERT_EQ(run("p", {"expected=4"}), 0);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers"), (std::vector{2, 3, 4, 5}));
  write_number(2, "20\nend");
  ASSERT_EQ(run("p", {"expected=0", "idle=1"}), 0);
  const auto s = snapshot("p");
  EXPECT_EQ(values(s, "in", "numbers"), (std::vector{1, 20, 3, 4}));
  EXPECT_EQ(values(s, "add", "numbers"), (std::vector{2, 21, 4, 5}));
  EXPECT_EQ(status("p").at("found"), 4);
  EXPECT_EQ(status("p").at("replaced"), 1);
  EXPECT_NE(why("p", "n_2.num").find("by the rule replaced"), std::string::npos);
  const auto again = result_of("p");
  ASSERT_EQ(run("p", {"expected=0", "idle=1"}), 0);
  EXPECT_EQ(result_of("p"), again) << "stored";
}

TEST_F(FilesTest, AFileWrittenAnewAtWorkReplacesItsItemEverywhere) {
  write_numbers(1, 3);
  const auto process = spawn("p", {"idle=3"});
  for (int i = 0; i < 500 && !fs::exists(folder_ / "p" / "star" / "join.star"); ++i) std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(300ms);
  write_number(2, "20\nend");
  EXPECT_EQ(wait_for(process), 0);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers"), (std::vector{2, 21, 4}));
}

/// A number in a file so long that intake reads samples of it, with another byte between two of them.
class LongFilesTest : public FilesTest {
 protected:
  void write_long(int name, int number, char between) const {
    std::string text = fmt::format("{}\n", number);
    text.resize(1'000'000, ' ');
    text[100'000] = between;
    write_number(name, text + "end");
  }
  void touch(int name) const {
    const auto file = folder_ / "in" / fmt::format("n_{}.num", name);
    fs::last_write_time(file, fs::last_write_time(file) + 10s);
  }
};

TEST_F(LongFilesTest, AFileWrittenAnewWithTheSameSamplesIsNoticedOnceItWasRead) {
  for (int i = 1; i <= 3; ++i) write_long(i, i, 'a');
  ASSERT_EQ(run("p", {"expected=3"}), 0);
  const auto before = written("p");
  touch(1);
  write_long(2, 2, 'b');
  ASSERT_EQ(run("p", {"expected=0", "idle=4"}), 0);
  EXPECT_EQ(status("p").at("replaced"), 1);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers"), (std::vector{2, 3, 4}));
  EXPECT_EQ(written("p").size(), before.size() + 1) << "the result of the old content stays";
  EXPECT_NE(why("p", "n_2.num").find("by the rule replaced"), std::string::npos);
  EXPECT_EQ(why("p", "n_1.num").find("replaced"), std::string::npos) << "only touched";
  const auto again = result_of("p");
  ASSERT_EQ(run("p", {"expected=0", "idle=1"}), 0);
  EXPECT_EQ(result_of("p"), again) << "stored";
}

TEST_F(LongFilesTest, ATaskThatReadsSomethingElseThanWasReadBeforeTellsOfIt) {
  write_long(1, 1, 'a');
  ASSERT_EQ(run("p", {"expected=1"}), 0);
  const auto file = folder_ / "in" / "n_1.num";
  const auto time = fs::last_write_time(file);
  write_long(1, 1, 'b');
  fs::last_write_time(file, time);  // nothing shows that it was written anew
  ASSERT_EQ(run("p", {"expected=0", "idle=1"}), 0);
  EXPECT_EQ(status("p").at("replaced"), 0);
  ASSERT_EQ(run("p", {"expected=0", "idle=3", "fail_at=7"}), 0) << "other parameters: read again";
  EXPECT_EQ(status("p").at("replaced"), 1);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers"), (std::vector{2}));
}

TEST_F(LongFilesTest, ACopyOfAFileThatWasMovedAwayIsKnownByWhatItHolds) {
  for (int i = 1; i <= 2; ++i) write_long(i, i, 'a');
  ASSERT_EQ(run("p", {"expected=2"}), 0);
  fs::rename(folder_ / "in" / "n_1.num", folder_ / "in" / "n_5.num");  // moved
  fs::remove(folder_ / "in" / "n_2.num");
  write_long(6, 2, 'b');  // looks like the one removed
  ASSERT_EQ(run("p", {"expected=0", "idle=1"}), 0);
  EXPECT_NE(why("p", "n_5.num").find("has the same content as n_1.num"), std::string::npos);
  EXPECT_EQ(values(snapshot("p"), "in", "numbers"), (std::vector{1, 2, 2}));
}

TEST_F(FilesTest, CountsAddUpAndEveryFileIsExplainedAfterTheEndToo) {
  write_numbers(1, 3);
  write_number(4, "bad");
  write_number(5, "5\n");     // incomplete
  write_number(6, "1\nend");  // a copy
  write_number(7, "7\nend");  // left out
  ASSERT_EQ(run("p", {"expected=5", "exclude=n_7.num"}), 1);
  for (int again = 0; again < 2; ++again) {
    const auto s = status("p");
    EXPECT_EQ(s.at("found"), 3);
    EXPECT_EQ(s.at("broken"), 1);
    EXPECT_EQ(s.at("growing"), 1);
    EXPECT_EQ(s.at("duplicates"), 1);
    EXPECT_EQ(s.at("excluded"), 1);
    EXPECT_EQ(s.at("files"), 7);
    EXPECT_NE(why("p", "n_4.num").find("holds no number"), std::string::npos);
    EXPECT_NE(why("p", "n_5.num").find("has no end"), std::string::npos);
    EXPECT_NE(why("p", "n_6.num").find("same content as n_1.num"), std::string::npos);
    EXPECT_NE(why("p", "n_7.num").find("left out by the pattern"), std::string::npos);
    EXPECT_EQ(run("p", {"expected=5", "exclude=n_7.num"}), 1);
  }
  write_number(5, "5\nend");
  fs::remove(folder_ / "in" / "n_4.num");
  write_number(4, "4\nend");
  ASSERT_EQ(run("p", {"idle=2", "expected=0"}), 0);
  EXPECT_EQ(status("p").at("found"), 5);
  EXPECT_EQ(status("p").at("files"), 7);
}

TEST_F(FilesTest, AReferenceCountsByItsContent) {
  write_numbers(1, 3);
  const auto reference = folder_ / "reference", other = folder_ / "elsewhere" / "reference";
  const auto with = [&](const fs::path& file) {
    return std::vector<std::string>{"expected=3", "reference=" + file.string()};
  };
  EXPECT_EQ(run("p", with(reference)), 2) << "refused at the start, where it is not there";
  write_text(reference, "100");
  ASSERT_EQ(run("p", with(reference)), 0);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers"), (std::vector{102, 103, 104}));
  const auto before = written("p");
  make_folders(other.parent_path());
  fs::rename(reference, other);
  ASSERT_EQ(run("p", with(other)), 0);
  EXPECT_EQ(written("p"), before) << "moved, and the same";
  write_text(other, "200");
  ASSERT_EQ(run("p", with(other)), 0);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers"), (std::vector{202, 203, 204})) << "replaced under its name";
  fs::remove(other);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers"), (std::vector{202, 203, 204})) << "looked at without it";
}

TEST_F(FilesTest, AProjectThatWouldTakeItsOwnResultsIsRefused) {
  write_numbers(1, 2);
  make_folders(folder_ / "p" / "steps");
  std::vector<std::string> inside = {"expected=2", "files=" + (folder_ / "p").string()};
  EXPECT_EQ(run("p", inside), 2);
  inside[1] = "files=" + (folder_ / "p" / "steps").string();
  EXPECT_EQ(run("p", inside), 2);
  fs::rename(folder_ / "in" / "n_1.num", folder_ / "n_1.num");
  ASSERT_EQ(run("p", {"expected=2", "files=" + folder_.string()}), 0) << "beside the files it is passed over";
  ASSERT_EQ(run("p", {"expected=2", "files=" + folder_.string()}), 0);
  EXPECT_EQ(status("p").at("files"), 2);
}

}  // namespace
}  // namespace frazil::engine
