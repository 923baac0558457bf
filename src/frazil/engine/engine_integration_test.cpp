// The engine with real worker processes on workflows of number protocols, whole runs in processes of their own.
#include "frazil/engine/test_project.hpp"

namespace frazil::engine {
namespace {

TEST_F(EngineTest, RunsJoinsFiltersTriggersFoldsAndVersionsToTheEnd) {
  write_numbers(1, 20);
  ASSERT_EQ(run("p", {"expected=20"}), 0);
  const auto s = snapshot("p");
  EXPECT_EQ(values(s, "even", "accepted").size(), 10u);
  EXPECT_EQ(values(s, "join", "numbers"), (std::vector{3, 7, 11, 15, 19, 23, 27, 31, 35, 39}))
      << "n + (n + 1) for odd n, in the order people count";
  EXPECT_EQ(values(s, "total", "totals"), (std::vector{4, 8, 10})) << "batches of four, and the remainder";
  EXPECT_EQ(values(s, "sample", "totals"), std::vector{5});
  EXPECT_EQ(values(s, "shifted", "numbers").front(), 3 + 5 + 1) << "joined with the one closed value of another stream";
  EXPECT_EQ(values(s, "last", "numbers"), std::vector{10}) << "the latest version alone";
  EXPECT_EQ(s.at("project").at("state"), "finished");
  const auto before = result_of("p");
  EXPECT_EQ(run("p", {"expected=20"}), 0) << "running a finished project again changes nothing";
  EXPECT_EQ(result_of("p"), before);
}

TEST_F(EngineTest, IsolatesBadItemsRepeatsTransientFaultsAndGivesUpOnPoison) {
  write_numbers(1, 12);
  write_number(13, "bad");
  write_number(14, "5\nend");  // the content of n_5
  ASSERT_EQ(run("p", {"expected=13", "fail_at=3", "flaky_at=4", "crash_at=6"}), 1);
  const auto s = snapshot("p");
  EXPECT_EQ(values(s, "add", "numbers").size(), 10u);
  EXPECT_EQ(s.at("steps").at(1).at("failures").size(), 2u);
  for (const auto& failure : s.at("steps").at(1).at("failures")) {
    const auto message = failure.at("message").get<std::string>();
    EXPECT_TRUE(message.find("3 is refused") != std::string::npos || message.find("signal 11") != std::string::npos)
        << message;
  }
  EXPECT_NE(ask("p", "why", "n_3").dump().find("3 is refused"), std::string::npos);
  EXPECT_NE(ask("p", "why", "n_13.num").dump().find("holds no number"), std::string::npos);
  EXPECT_NE(ask("p", "why", "n_14.num").dump().find("same content as n_5.num"), std::string::npos);
  EXPECT_NE(ask("p", "why", "n_2").dump().find("set aside at even by the rule remainder"), std::string::npos);
}

TEST_F(EngineTest, LeavesOutWhatIsExcludedUntilItNoLongerIs) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"expected=8", "exclude=n_1*.num"}), 0);  // n_1, n_10, n_11, n_12
  EXPECT_EQ(values(snapshot("p"), "in", "numbers"), (std::vector{2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_NE(ask("p", "why", "n_11.num").dump().find("left out by the pattern n_1*.num"), std::string::npos);
  ASSERT_EQ(run("p", {"expected=11", "exclude=n_12.num"}), 0);
  EXPECT_EQ(values(snapshot("p"), "in", "numbers"), (std::vector{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST_F(EngineTest, WaitsForIncompleteFilesAndNamesThem) {
  write_numbers(1, 3);
  write_number(2, "2\nen");
  const auto process = spawn("p", {"expected=4"});
  std::this_thread::sleep_for(300ms);
  write_number(2, "2\nend");
  write_number(4, "4\n");  // for ever
  EXPECT_EQ(wait_for(process), 1) << "not all that came was processed";
  const auto s = snapshot("p");
  EXPECT_EQ(values(s, "in", "numbers"), (std::vector{1, 2, 3}));
  EXPECT_NE(s.at("events").dump().find("has no end"), std::string::npos);
}

TEST_F(EngineTest, PeopleTakeDecisionsBackAndEverythingFollows) {
  write_numbers(1, 8);
  ASSERT_EQ(run("p", {"expected=8"}), 0);
  const auto before = result_of("p");
  EXPECT_TRUE(ask("p", "restore", "n_2").at("ok").get<bool>());
  ASSERT_EQ(run("p", {"expected=8"}), 0);
  EXPECT_EQ(values(snapshot("p"), "join", "numbers"), (std::vector{3, 5, 7, 11, 15}));
  EXPECT_EQ(values(snapshot("p"), "total", "totals").back(), 5);
  EXPECT_TRUE(ask("p", "set-aside", "n_2").at("ok").get<bool>());
  EXPECT_EQ(values(snapshot("p"), "join", "numbers"), (std::vector{3, 7, 11, 15}));
  EXPECT_EQ(ask("p", "restore", "n_1").at("ok"), false) << "it is not set aside";
}

TEST_F(EngineTest, ChangedParametersRunAnewAndOldResultsAreReusedWhenTheyReturn) {
  write_numbers(1, 9);
  ASSERT_EQ(run("p", {"expected=9"}), 0);
  const auto before = result_of("p");
  ASSERT_EQ(run("p", {"expected=9", "by=3"}), 0);
  EXPECT_EQ(values(snapshot("p"), "even", "accepted").size(), 3u);
  ASSERT_EQ(run("p", {"expected=9", "by=2"}), 0);
  const auto after = result_of("p");
  for (const auto* set : {"even.accepted", "join.numbers", "shifted.numbers"})
    EXPECT_EQ(after.at(set), before.at(set)) << set;
}

TEST_F(EngineTest, ASecondEngineIsRefusedAndStopLeavesAProjectThatGoesOn) {
  write_numbers(1, 30);
  const auto process = spawn("p", {"expected=30", "sleep=20"});
  for (int i = 0; i < 200 && !send_request(control_socket(folder_ / "p"), {{"command", "status"}}); ++i)
    std::this_thread::sleep_for(10ms);
  EXPECT_THROW(Lease(folder_ / "p", 0), Error);
  EXPECT_EQ(ask("p", "stop").at("ok"), true);
  EXPECT_EQ(wait_for(process), 130);
  EXPECT_FALSE(fs::exists(folder_ / "p" / "project.frazil-wal")) << "one closed file";
  EXPECT_EQ(run("p", {"expected=30", "sleep=20"}), 0);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers").size(), 30u);
}

TEST_F(EngineTest, WhatIsHeldIsDecidedWhenItIsSureOrAtTheEndAndNotTwice) {
  write_text(folder_ / "workflow.json", R"({"name": "holds", "parameters": [{"name": "files", "type": "path"},
    {"name": "expected", "type": "integer", "default": 0}, {"name": "count", "type": "integer", "default": 4}],
    "steps": {"in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": "${expected}"}},
      "total": {"protocol": "total", "inputs": {"numbers": "in.numbers"}, "trigger": {"mode": "batches", "count": 4}},
      "sure": {"protocol": "sure", "params": {"count": "${count}"}, "inputs": {"numbers": "in.numbers",
        "reference": "total.totals"}},
      "next": {"protocol": "add", "inputs": {"left": "sure.accepted"}}}})");
  write_numbers(1, 10);
  for (const auto* count : {"8", "100"}) {
    SCOPED_TRACE(count);
    ASSERT_EQ(run(count, {"expected=10", fmt::format("count={}", count)}), 0);
    const auto before = result_of(count);
    EXPECT_EQ(values(snapshot(count), "next", "numbers"), (std::vector{3, 5, 7, 9, 11}));
    const auto why = ask(count, "why", "n_3").dump();
    EXPECT_EQ(why.find("best reference") != std::string::npos, std::string_view(count) == "100") << why;
    EXPECT_EQ(run(count, {"expected=10"}), 0);
    EXPECT_EQ(result_of(count), before) << "the same follows from what is stored";
  }
}

TEST_F(EngineTest, AnEngineWhoseProjectAnotherHasTakenWritesNoMore) {
  write_numbers(1, 40);
  const auto process = spawn("p", {"expected=40", "sleep=20"});
  for (int i = 0; i < 500; ++i) {
    const auto answer = send_request(control_socket(folder_ / "p"), {{"command", "status"}});
    if (answer && answer->at("status").at("steps").at(1).at("done") > 2) break;
    std::this_thread::sleep_for(10ms);
  }
  write_text(folder_ / "p" / "engine.lock", R"({"host": "elsewhere", "pid": 1, "epoch": 1})");
  EXPECT_EQ(wait_for(process), 2);
  const auto left = values(snapshot("p"), "add", "numbers").size();
  EXPECT_GT(left, 2u);
  EXPECT_LT(left, 40u);
  EXPECT_EQ(run("p", {"expected=40"}), 0);
  EXPECT_EQ(values(snapshot("p"), "add", "numbers").size(), 40u);
}

TEST_F(EngineTest, WaitsWhileTheDiskHasLessSpaceThanItMustKeep) {
  write_numbers(1, 3);
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(full_workflow, problems);
  prepare_project(folder_ / "p", workflow, {{"files", (folder_ / "in").string()}, {"expected", 3}},
                  numbers::registry());
  Options options;
  options.project = folder_ / "p";
  options.worker_command = {FRAZIL_NUMBERS, "worker"};
  options.handle_signals = false;
  options.disk_reserve_mib = 2'000'000'000;
  Json status;
  options.on_status = [&](const Status& s) { status = to_json(s); };
  {
    Engine engine(std::move(options), numbers::registry());
    std::jthread people([&] {
      std::this_thread::sleep_for(900ms);
      (void)ask("p", "stop");
    });
    EXPECT_EQ(engine.run(), End::stopped);
  }
  EXPECT_EQ(status.at("found"), 3);
  EXPECT_EQ(status.at("queued"), 3) << "nothing started";
  EXPECT_NE(status.at("note").get<std::string>().find("MiB left"), std::string::npos);
  EXPECT_EQ(run("p", {"expected=3"}), 0);
}

TEST_F(EngineTest, SweepsWhatAKillHasLeftAndNamesWhatItWaitsFor) {
  write_numbers(1, 3);
  ASSERT_EQ(run("p", {"expected=3"}), 0);
  const auto before = result_of("p");
  for (const auto* file : {"steps/add/n_9_0123abcd/value.txt", "steps/add/mine/notes.txt", "tmp/1-1/half.txt"}) {
    make_folders((folder_ / "p" / file).parent_path());
    write_text(folder_ / "p" / file, "x");
  }
  write_number(4, "4\n");
  const auto process = spawn("p", {"expected=5"});
  for (int i = 0; i < 200 && !send_request(control_socket(folder_ / "p"), {{"command", "status"}}); ++i)
    std::this_thread::sleep_for(10ms);
  Json why = Json::object();
  for (int i = 0; i < 100 && !why.value("ok", false); ++i) {
    std::this_thread::sleep_for(20ms);
    why = ask("p", "why", "n_4.num");
  }
  EXPECT_NE(why.dump().find("has no end"), std::string::npos) << why.dump();
  EXPECT_EQ(ask("p", "stop").at("ok"), true);
  EXPECT_EQ(wait_for(process), 130);
  EXPECT_FALSE(fs::exists(folder_ / "p" / "steps/add/n_9_0123abcd"));
  EXPECT_FALSE(fs::exists(folder_ / "p" / "tmp/1-1"));
  EXPECT_TRUE(fs::exists(folder_ / "p" / "steps/add/mine/notes.txt")) << "not ours to remove";
  fs::remove_all(folder_ / "p" / "steps/add/mine");
  EXPECT_EQ(result_of("p"), before);
}

/// Process ids of the workers of an engine.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> list;
  std::ifstream file(fmt::format("/proc/{}/task/{}/children", parent, parent));
  for (pid_t child = 0; file >> child;) list.push_back(child);
  return list;
}

TEST_F(EngineTest, KillsAtRandomInstantsChangeNothing) {
  const char* is_long = std::getenv("FRAZIL_LONG_TESTS");
  const int kills = is_long != nullptr && std::string_view(is_long) == "1" ? 1000 : 100, movies = kills * 6 / 5;
  const std::vector<std::string> settings = {fmt::format("expected={}", movies), "sleep=20"};
  write_numbers(1, movies);
  ASSERT_EQ(run("undisturbed", settings), 0);
  fs::remove_all(folder_ / "in");
  make_folders(folder_ / "in");

  // The same files come again one by one, spread over the whole of the disturbed run: it cannot end before the last
  // kill.
  Rng rng(20260);
  pid_t engine = spawn("disturbed", settings);
  int engines = 0, workers = 0, written = 0;
  const auto write_next = [&] { write_numbers(written + 1, written + 1), ++written; };
  while (engines + workers < kills) {
    while (written < movies * (engines + workers) / kills) write_next();
    std::this_thread::sleep_for(
        std::chrono::duration<double, std::milli>(rng.uniform(45, 120)));  // the longest task takes 20 ms
    if (engines < kills / 2 && (workers == kills / 2 || rng.below(2) == 0)) {
      ::kill(engine, SIGKILL);
      ASSERT_EQ(wait_for(engine), 128 + SIGKILL);
      engine = spawn("disturbed", settings);
      ++engines;
      continue;
    }
    auto children = children_of(engine);
    if (children.empty()) {  // nothing to do: the next file brings workers to life
      ASSERT_LT(written, movies - 1);
      write_next();
      for (int i = 0; i < 1000 && children.empty(); ++i) {
        std::this_thread::sleep_for(10ms);
        children = children_of(engine);
      }
      ASSERT_FALSE(children.empty());
    }
    ::kill(children[rng.below(children.size())], SIGKILL);
    ++workers;
  }
  RecordProperty("engines_killed", engines);
  RecordProperty("workers_killed", workers);
  while (written < movies) write_next();
  EXPECT_EQ(wait_for(engine), 0);
  ASSERT_EQ(values(snapshot("undisturbed"), "add", "numbers").size(), static_cast<std::size_t>(movies));
  const auto expected = result_of("undisturbed"), found = result_of("disturbed");
  for (const auto& [what, text] : expected) {
    ASSERT_TRUE(found.contains(what)) << what;
    EXPECT_EQ(found.at(what), text) << what;
  }
  for (const auto& [what, text] : found) EXPECT_TRUE(expected.contains(what)) << what << " is too much";
}

}  // namespace
}  // namespace frazil::engine
