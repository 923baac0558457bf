// The engine's own watchers, lived through: an operator's mistakes and accidents on small sessions of numbers.
#include "frazil/engine/test_project.hpp"

namespace frazil::engine {
namespace {

using std::chrono::milliseconds;

constexpr const char* guarded = R"({"name": "guarded", "parameters": [
    {"name": "files", "type": "path", "required": true}, {"name": "expected", "type": "integer", "default": 0},
    {"name": "idle", "type": "number", "default": 0}, {"name": "needs", "type": "string", "default": ""},
    {"name": "by", "type": "integer", "default": 1}, {"name": "crash_at", "type": "integer", "default": -1},
    {"name": "limit", "type": "integer", "default": 1000}, {"name": "patience", "type": "number", "default": 60}],
  "steps": {
    "in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": "${expected}", "idle": "${idle}",
      "patience": "${patience}"}},
    "add": {"protocol": "add", "params": {"add": 0, "needs": "${needs}", "crash_at": "${crash_at}"},
      "inputs": {"left": "in.numbers"}},
    "even": {"protocol": "even", "params": {"by": "${by}"}, "inputs": {"numbers": "add.numbers"}},
    "all": {"protocol": "total", "inputs": {"numbers": "even.accepted"}, "trigger": {"mode": "closed"}}},
  "monitors": [{"name": "large", "title": "numbers are large", "from": "even.accepted", "field": "value",
    "above": "${limit}", "count": 3, "in_last": 4, "kind": "dose", "advice": "take smaller ones"}]})";

class GuardsTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    write_text(folder_ / "workflow.json", guarded);
  }
  Json status(const std::string& project) const { return ask(project, "status").at("status"); }
  /// Alarms that stand, by kind and source.
  std::map<std::string, Json> standing(const std::string& project) const {
    std::map<std::string, Json> list;
    const auto now = status(project);
    for (const auto& alarm : now.at("alarms"))
      list[alarm.at("kind").get<std::string>() + " of " + alarm.at("source").get<std::string>()] = alarm;
    return list;
  }
  /// Waits until that holds of the engine at work.
  bool comes(const std::function<bool()>& holds) const {
    for (int i = 0; i < 1500; ++i, std::this_thread::sleep_for(milliseconds(20))) {
      try {
        if (holds()) return true;
      } catch (const std::exception&) {  // it is just starting
      }
    }
    return false;
  }
  void stop(pid_t engine, const std::string& project) const {
    ask(project, "stop");
    (void)wait_for(engine);
  }
  std::vector<std::string> texts_of_events(const std::string& project, const std::string& kind) const {
    std::vector<std::string> list;
    const auto answer = ask(project, "events");
    for (const auto& event : answer.at("events"))
      if (event.at("kind") == kind) list.push_back(event.at("text").get<std::string>());
    return list;
  }
};

TEST_F(GuardsTest, AStepThatFailsOnEverythingIsOneAlarmAndAllAreTakenUpAgainInOneGo) {
  write_numbers(1, 12);
  const auto file = (folder_ / "gain.mrc").string();
  ASSERT_EQ(run("p", {"expected=12", "needs=" + file}), 1);
  auto alarms = standing("p");
  ASSERT_EQ(alarms.size(), 1u) << status("p").at("alarms").dump(1);
  const auto text = alarms["task of add"].at("text").get<std::string>();
  EXPECT_TRUE(text.starts_with("every item fails: ")) << text;
  EXPECT_TRUE(text.ends_with(file + ": there is no such file")) << text;
  EXPECT_EQ(alarms["task of add"].at("seen"), "12 of the last 12 have failed, 12 of them for this reason");
  write_text(file, "");
  const auto none = engine::ask(folder_ / "p", numbers::registry(), {{"command", "restore"}, {"all_of", "memory"}});
  EXPECT_FALSE(none.at("ok").get<bool>());
  const auto all =
      engine::ask(folder_ / "p", numbers::registry(), {{"command", "restore"}, {"all_of", "No Such File"}});
  ASSERT_TRUE(all.at("ok").get<bool>()) << all.dump();
  EXPECT_EQ(all.at("changed").size(), 12u);
  ASSERT_EQ(run("p", {"expected=12", "needs=" + file}), 0);
  EXPECT_TRUE(standing("p").empty());
  EXPECT_EQ(status("p").at("failed"), 0);
}

TEST_F(GuardsTest, AFewFailuresAreNoAlarm) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"expected=12", "crash_at=5"}), 1);
  for (const auto& [what, alarm] : standing("p")) EXPECT_NE(what, "task of add");
}

TEST_F(GuardsTest, AFilterThatSetsMostAsideIsAnAlarmUntilItsLimitIsRight) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"expected=12", "by=100"}), 0);
  auto alarms = standing("p");
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms["filter of even"].at("text"), "sets aside 12 of the last 12");
  EXPECT_EQ(alarms["filter of even"].at("seen"), "remainder 12");
  ASSERT_EQ(run("p", {"expected=12", "by=2"}), 0);
  EXPECT_TRUE(standing("p").empty()) << "half is what was told to be right";
}

TEST_F(GuardsTest, RulesOfTheWorkflowRaiseAlarms) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"expected=12", "limit=9"}), 0);
  auto alarms = standing("p");
  ASSERT_EQ(alarms.size(), 1u);
  const auto& alarm = alarms["dose of rule large"];
  EXPECT_EQ(alarm.at("text"), "numbers are large: 3 of the last 4");
  EXPECT_EQ(alarm.at("expected"), "at most 9");
  EXPECT_EQ(alarm.at("advice"), "take smaller ones");
  ASSERT_EQ(run("p", {"expected=12", "limit=10"}), 0);
  EXPECT_TRUE(standing("p").empty()) << "two of the last four are not enough";
}

TEST_F(GuardsTest, SilenceIsAnAlarmUntilFilesComeAgain) {
  write_numbers(1, 3);
  const auto engine = spawn("p", {"silence=1", "quiet=1"});
  ASSERT_TRUE(comes([&] { return standing("p").contains("arrival of engine"); }));
  EXPECT_EQ(standing("p")["arrival of engine"].at("about"), "in");
  for (int i = 4; i < 30 && standing("p").contains("arrival of engine"); ++i) {
    write_number(i, fmt::format("{}\nend", i));
    std::this_thread::sleep_for(milliseconds(300));
  }
  EXPECT_FALSE(standing("p").contains("arrival of engine"));
  stop(engine, "p");
  EXPECT_EQ(ask("p", "alarms").at("alarms").size(), 1u);
}

TEST_F(GuardsTest, AFolderThatVanishesIsAnAlarmAndItsFilesAreTakenWhenItIsBack) {
  write_numbers(1, 3);
  const auto engine = spawn("p", {"outage=0.5", "quiet=1"});
  ASSERT_TRUE(comes([&] { return status("p").at("found") == 3; }));
  fs::rename(folder_ / "in", folder_ / "away");
  ASSERT_TRUE(comes([&] { return standing("p").contains("files of engine"); }));
  EXPECT_NE(standing("p")["files of engine"].at("text").get<std::string>().find("cannot be listed"), std::string::npos);
  fs::rename(folder_ / "away", folder_ / "in");
  write_number(4, "4\nend");
  EXPECT_TRUE(comes([&] { return status("p").at("found") == 4 && standing("p").empty(); }));
  stop(engine, "p");
}

TEST_F(GuardsTest, APatternThatFitsNothingIsNamed) {
  write_numbers(1, 3);
  const auto engine = spawn("p", {"files=" + (folder_ / "in" / "m_*.num").string()});
  ASSERT_TRUE(comes([&] { return standing("p").contains("files of engine"); }));
  EXPECT_NE(standing("p")["files of engine"].at("text").get<std::string>().find("fits none of the files, e.g. n_3.num"),
            std::string::npos);
  stop(engine, "p");
}

TEST_F(GuardsTest, FilesThatNothingTakesAreSeenToArrive) {
  write_numbers(1, 3);
  const auto engine = spawn("p", {"unfit=0.5"});
  ASSERT_TRUE(comes([&] { return status("p").at("found") == 3; }));
  std::this_thread::sleep_for(milliseconds(1500));
  for (int i = 0; i < 5; ++i) write_text(folder_ / "in" / fmt::format("n_{}.other", i), "1\nend");
  ASSERT_TRUE(comes([&] { return standing("p").contains("files of engine"); }));
  EXPECT_EQ(standing("p")["files of engine"].at("text"), "files arrive that nothing takes, e.g. n_4.other");
  stop(engine, "p");
}

TEST_F(GuardsTest, FilesThatStayIncompleteAreAnAlarm) {
  for (int i = 0; i < 6; ++i) write_number(i, "1");
  const auto engine = spawn("p", {"patience=0.3"});
  EXPECT_TRUE(comes([&] { return standing("p").contains("copy of engine"); }));
  stop(engine, "p");
}

TEST_F(GuardsTest, AFullDiskIsAnAlarmWhileTheWorkWaits) {
  write_numbers(1, 3);
  const auto engine = spawn("p", {"reserve=2000000000"});
  EXPECT_TRUE(comes([&] { return standing("p").contains("disk of engine"); }));
  stop(engine, "p");
  EXPECT_TRUE(standing("p").empty()) << "nobody waits any more";
  EXPECT_EQ(texts_of_events("p", "alarm").size(), 1u) << "the log knows of it";
}

TEST_F(GuardsTest, WorkersThatDieAgainAndAgainAreAnAlarm) {
  write_numbers(1, 3);
  const auto engine = spawn("p", {"crash_at=2"});
  ASSERT_TRUE(comes([&] { return standing("p").contains("worker of engine"); }));
  EXPECT_NE(standing("p")["worker of engine"].at("text").get<std::string>().find("add, n_2"), std::string::npos);
  stop(engine, "p");
}

TEST_F(GuardsTest, AnEngineThatIsKilledIsSaidToBeDead) {
  write_numbers(1, 3);
  const auto engine = spawn("p", {});
  ASSERT_TRUE(comes([&] { return status("p").at("found") == 3; }));
  ::kill(engine, SIGKILL);
  wait_for(engine);
  ASSERT_TRUE(standing("p").contains("engine of engine"));
  EXPECT_NE(standing("p")["engine of engine"].at("text").get<std::string>().find("the engine died at about 20"),
            std::string::npos);
  ASSERT_EQ(run("p", {"expected=3"}), 0);
  EXPECT_TRUE(standing("p").empty());
  const auto told = texts_of_events("p", "engine");
  EXPECT_TRUE(std::any_of(told.begin(), told.end(), [](const std::string& text) {
    return text.find("before this one died") != std::string::npos;
  }));
}

TEST_F(GuardsTest, LateFilesAreGatheredBeforeWhatWorksOnEverythingRunsAgain) {
  write_numbers(1, 3);
  const auto engine = spawn("p", {"idle=1"});
  const auto versions = [&] {
    const auto now = status("p");
    for (const auto& step : now.at("steps"))
      if (step.at("name") == "all") return step.at("versions").get<int>();
    return -1;
  };
  // The program ends when all is closed: what comes late then is taken by the next.
  ASSERT_EQ(wait_for(engine), 0);
  ASSERT_EQ(versions(), 1);
  const auto next = spawn("p", {"idle=1", "stay=1"});
  for (int i = 4; i <= 8; ++i) {
    write_number(i, fmt::format("{}\nend", i));
    std::this_thread::sleep_for(milliseconds(400));
  }
  ASSERT_TRUE(comes([&] { return versions() >= 2 && status("p").at("found") == 8; }));
  std::this_thread::sleep_for(milliseconds(1500));
  EXPECT_EQ(versions(), 2) << "five late files, one more version";
  stop(next, "p");
}

}  // namespace
}  // namespace frazil::engine
