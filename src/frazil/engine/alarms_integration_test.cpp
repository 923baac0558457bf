// Alarms of projects at work: raised with what found them, over when it is gone, there after a kill.
#include "frazil/engine/test_project.hpp"

namespace frazil::engine {
namespace {

constexpr const char* watching = R"({"name": "watching", "parameters": [
    {"name": "files", "type": "path", "required": true}, {"name": "sleep", "type": "integer", "default": 0},
    {"name": "from", "type": "integer", "default": 5}, {"name": "to", "type": "integer", "default": 8},
    {"name": "expected", "type": "integer", "default": 12},
    {"name": "order", "type": "string", "default": "acquisition"}],
  "steps": {
    "in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": "${expected}"}},
    "add": {"protocol": "add", "params": {"add": 0, "sleep_ms": "${sleep}"}, "inputs": {"left": "in.numbers"}},
    "watch": {"protocol": "watch", "params": {"from": "${from}", "to": "${to}"}, "inputs": {"numbers": "add.numbers"},
      "trigger": {"mode": "batches", "count": 4}}}})";

class AlarmsTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    write_text(folder_ / "workflow.json", watching);
  }
  Json alarms(const std::string& project) const { return ask(project, "alarms").at("alarms"); }
  Json standing(const std::string& project) const { return ask(project, "status").at("status").at("alarms"); }
  std::vector<std::string> events_of_alarms(const std::string& project) const {
    std::vector<std::string> list;
    const auto answer = ask(project, "events");
    for (const auto& event : answer.at("events")) {
      const auto kind = event.at("kind").get<std::string>();
      if (kind.find("alarm") != std::string::npos || kind == "acknowledged")
        list.push_back(kind + " " + event.at("label").get<std::string>() + " " + event.at("actor").get<std::string>());
    }
    return list;
  }
};

TEST_F(AlarmsTest, WhatTheLastVersionFindsStandsAndHasAllItsFields) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"from=9", "to=12"}), 0);
  const auto standing = this->standing("p");
  ASSERT_EQ(standing.size(), 1u);
  const auto& alarm = standing[0];
  std::set<std::string> names;
  for (const auto& [name, value] : alarm.items()) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"number", "kind", "about", "source", "text", "since", "seen", "expected",
                                          "advice", "sure", "acknowledged", "until"}));
  EXPECT_EQ(alarm.at("number"), 1);
  EXPECT_EQ(alarm.at("kind"), "frames");
  EXPECT_EQ(alarm.at("source"), "watch");
  EXPECT_EQ(alarm.at("text"), "4 of 4 are wrong");
  EXPECT_EQ(alarm.at("advice"), "count better");
  EXPECT_EQ(alarms("p"), standing);
  EXPECT_EQ(events_of_alarms("p"), (std::vector<std::string>{"alarm 1 "}));
}

TEST_F(AlarmsTest, AreOverAtTheEndWhenTheLastVersionDoesNotFindThem) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"sleep=300"}), 0);  // slow enough for every version to be looked at
  EXPECT_TRUE(standing("p").empty());
  ASSERT_EQ(alarms("p").size(), 1u);
  EXPECT_GT(alarms("p")[0].at("until").get<double>(), alarms("p")[0].at("since").get<double>());
  EXPECT_EQ(events_of_alarms("p"), (std::vector<std::string>{"alarm 1 ", "alarm over 1 "}));
}

TEST_F(AlarmsTest, ArePeoplesToAcknowledgeAtWorkOrNot) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"from=9", "to=12"}), 0);
  EXPECT_FALSE(ask("p", "acknowledge", "2").at("ok").get<bool>());
  EXPECT_FALSE(ask("p", "acknowledge", "gain").at("ok").get<bool>());
  const auto answer = engine::ask(folder_ / "p", numbers::registry(),
                                  {{"command", "acknowledge"}, {"item", "1"}, {"actor", "ada"}, {"reason", "I know"}});
  ASSERT_TRUE(answer.at("ok").get<bool>()) << answer.dump();
  EXPECT_EQ(standing("p").at(0).at("acknowledged"), "ada");
  EXPECT_EQ(events_of_alarms("p"), (std::vector<std::string>{"alarm 1 ", "acknowledged 1 ada"}));
  const auto engine = spawn("p", {"expected=100"});
  while (!ask("p", "status").at("ok").get<bool>()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(standing("p").at(0).at("acknowledged"), "ada") << "after a restart";
  ask("p", "stop");
  wait_for(engine);
  EXPECT_EQ(alarms("p").size(), 1u) << "the same alarm, not raised again";
}

TEST_F(AlarmsTest, AreRaisedOnceHoweverOftenTheEngineIsKilled) {
  write_numbers(1, 12);
  for (int kill = 0; kill < 6; ++kill) {
    const auto engine = spawn("p", {"sleep=15", "from=1", "to=12", "expected=13"});
    std::this_thread::sleep_for(std::chrono::milliseconds(120 + 60 * kill));
    ::kill(engine, SIGKILL);
    wait_for(engine);
  }
  ASSERT_EQ(run("p", {"sleep=0", "from=1", "to=12", "expected=12"}), 0);
  const auto all = alarms("p");
  ASSERT_EQ(all.size(), 1u) << all.dump(1);
  EXPECT_EQ(standing("p").size(), 1u);
  EXPECT_EQ(events_of_alarms("p"), (std::vector<std::string>{"alarm 1 "}));
}

TEST_F(AlarmsTest, OfAFirstLookAreThoseOfTheStepThatGoesOn) {
  auto workflow = Json::parse(watching);
  workflow["steps"]["early"] = {{"protocol", "watch"},
                                {"params", {{"from", "${from}"}, {"to", "${to}"}}},
                                {"inputs", {{"numbers", "add.numbers"}}},
                                {"trigger", {{"mode", "static"}, {"count", 2}}}};
  write_text(folder_ / "workflow.json", workflow.dump());
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"from=1", "to=12"}), 0);
  ASSERT_EQ(standing("p").size(), 1u) << "not one of each";
  EXPECT_EQ(standing("p")[0].at("source"), "watch");
  ASSERT_EQ(run("q", {"from=1", "to=2"}), 0);
  EXPECT_TRUE(standing("q").empty()) << "what was wrong with the first is not wrong any more";
}

TEST_F(AlarmsTest, OfAStepThatIsThereNoMoreAreOver) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"from=9", "to=12"}), 0);
  auto workflow = Json::parse(watching);
  workflow["steps"].erase("watch");
  write_text(folder_ / "workflow.json", workflow.dump());
  ASSERT_EQ(run("p", {}), 0);
  EXPECT_TRUE(standing("p").empty());
}

}  // namespace
}  // namespace frazil::engine
