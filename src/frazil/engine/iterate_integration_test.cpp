// Iterations in real engines: the same bytes however they run, live tasks first, stopped when somebody says so.
#include "frazil/engine/test_project.hpp"

namespace frazil::engine {
namespace {

using Settings = std::vector<std::string>;

class IterateTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    write_text(folder_ / "workflow.json", R"({"name": "iterated",
      "parameters": [{"name": "files", "type": "path", "required": true},
        {"name": "expected", "type": "integer", "default": 12},
        {"name": "live", "type": "path", "default": ""}, {"name": "order", "default": "acquisition"},
        {"name": "parts", "type": "integer", "default": 8}, {"name": "rounds", "type": "integer", "default": 4},
        {"name": "bad_round", "type": "integer", "default": -1},
        {"name": "burn", "type": "number", "default": 0.01}],
      "steps": {
        "in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": "${expected}"}},
        "sum": {"protocol": "iterate-sum", "params": {"parts": "${parts}", "rounds": "${rounds}",
          "bad_round": "${bad_round}", "burn_s": "${burn}"}, "inputs": {"numbers": "in.numbers"}}}})");
  }
  void TearDown() override {
    if (process_ > 0) ::kill(process_, SIGKILL), (void)wait_for(process_);
    EngineTest::TearDown();
  }
  void start(const std::string& project, const Settings& settings) { process_ = spawn(project, settings); }
  int end() { return wait_for(std::exchange(process_, -1)); }
  std::string outcome(const std::string& project) const {
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / project / "steps"))
      if (entry.path().filename() == "outcome.txt") return read_text(entry.path());
    return "none";
  }
  std::vector<std::string> folders(const std::string& project) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / project / "steps" / "sum"))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  Json step_of(const std::string& project) const {
    if (!fs::exists(folder_ / project / "project.frazil")) return Json::object();
    const auto answer = ask(project, "status");
    if (answer.contains("status"))
      for (const auto& step : answer["status"]["steps"])
        if (step["name"] == "sum") return step;
    return Json::object();
  }
  bool wait_until(const std::function<bool()>& condition, double limit_s = 60) const {
    for (int i = 0; i < 20 * limit_s; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(50ms);
    }
    return false;
  }

  pid_t process_ = -1;
};

TEST_F(IterateTest, GivesTheSameBytesOnAnyNumberOfWorkersAndLeavesTheLastStates) {
  write_numbers(1, 12);
  ASSERT_EQ(run("one", {"threads=1"}), 0);
  ASSERT_EQ(run("three", {"threads=3"}), 0);
  EXPECT_NE(outcome("one"), "none");
  EXPECT_EQ(outcome("one"), outcome("three"));
  EXPECT_EQ(result_of("one"), result_of("three"));
  const auto left = folders("one");
  ASSERT_EQ(left.size(), 4u) << "start, the last two states, the result";
  EXPECT_TRUE(left[1].starts_with("sum_v0001_start"));
  EXPECT_TRUE(left[2].starts_with("sum_v0001_step_00003"));
  EXPECT_TRUE(left[3].starts_with("sum_v0001_step_00004"));
}

TEST_F(IterateTest, GoesOnAfterKillsWithTheSameBytes) {
  write_numbers(1, 12);
  ASSERT_EQ(run("whole", {}), 0);
  int kills = 0;
  start("killed", {"burn=0.05"});
  for (int i = 0; i < 6; ++i) {
    std::this_thread::sleep_for(700ms + 130ms * i);
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0)
      break;
    ::kill(process_, SIGKILL);
    (void)end();
    ++kills;
    start("killed", {"burn=0.05"});
  }
  EXPECT_EQ(end(), 0);
  EXPECT_GT(kills, 0);
  EXPECT_EQ(outcome("killed"), outcome("whole"));
  EXPECT_EQ(result_of("killed"), result_of("whole"));
}

TEST_F(IterateTest, TellsHowFarItIsAndIsCancelledByName) {
  write_numbers(1, 12);
  start("p", {"burn=0.2", "rounds=1000"});
  ASSERT_TRUE(wait_until([&] { return step_of("p").value("doing", "").find("part") != std::string::npos; }));
  EXPECT_LT(step_of("p").value("progress", 1.0), 0.5);
  const auto answer =
      engine::ask(folder_ / "p", numbers::registry(), {{"command", "cancel"}, {"item", "sum"}, {"actor", "Rosalind"}});
  EXPECT_TRUE(answer.value("ok", false)) << answer.dump();
  EXPECT_EQ(end(), 1) << "it has failed";
  const auto state = snapshot("p");
  EXPECT_NE(state.dump().find("cancelled by Rosalind"), std::string::npos);
  EXPECT_EQ(outcome("p"), "none");
}

TEST_F(IterateTest, APartThatFailsEndsItInOneSentence) {
  write_numbers(1, 12);
  EXPECT_EQ(run("p", {"bad_round=1"}), 1);
  const auto answer = ask("p", "status");
  EXPECT_EQ(answer["status"]["failed"], 12) << "members of the list";
  EXPECT_NE(snapshot("p").dump().find("round 1 is refused"), std::string::npos);
}

}  // namespace
}  // namespace frazil::engine
