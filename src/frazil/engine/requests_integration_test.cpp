// What people and triggers do to a project at work: other limits, approvals, enough of something.
#include "frazil/engine/test_project.hpp"

namespace frazil::engine {
namespace {

class RequestTest : public EngineTest {
 protected:
  Json request(const std::string& project, const Json& request) const {
    return engine::ask(folder_ / project, numbers::registry(), request);
  }
  /// Asks the running engine until the answer is as wanted.
  Json wait_until(const std::string& project, const Json& what, const std::function<bool(const Json&)>& is_good) const {
    Json answer;
    for (int i = 0; i < 1000; ++i) {
      if (auto found = send_request(control_socket(folder_ / project), what)) answer = std::move(*found);
      if (answer.is_object() && is_good(answer)) return answer;
      std::this_thread::sleep_for(10ms);
    }
    ADD_FAILURE() << answer.dump(1);
    return answer;
  }
  static const Json& step_of(const Json& status, std::string_view name) {
    for (const auto& step : status.at("status").at("steps"))
      if (step.at("name") == name) return step;
    throw std::runtime_error("no such step");
  }
};

TEST_F(RequestTest, TellsWhatOtherLimitsWouldKeepWithoutDoingIt) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"expected=12", "fail_at=12"}), 1);
  const auto before = result_of("p");
  const auto answer = request("p", {{"command", "what-if"}, {"values", {{"by", "3"}}}});
  ASSERT_TRUE(answer.at("ok").get<bool>()) << answer.dump();
  const auto& even = answer.at("steps").at(0);
  EXPECT_EQ(even.at("of"), 11) << "n + 1 for 1 to 11";
  EXPECT_EQ(even.at("kept_now"), 6);
  EXPECT_EQ(even.at("kept_then"), 4) << "3, 6, 9, 12";
  EXPECT_EQ(even.at("newly_kept"), 2) << "3 and 9";
  EXPECT_EQ(even.at("newly_set_aside"), 4) << "2, 4, 8, 10";
  EXPECT_EQ(answer.at("items").at("failed"), 1);
  EXPECT_EQ(answer.at("items").at("kept_then"), 4);
  EXPECT_EQ(result_of("p"), before);
  EXPECT_EQ(request("p", {{"command", "what-if"}, {"values", {{"add.add", "2"}}}}).at("computed_again"), Json({"add"}));
  const auto wrong = request("p", {{"command", "what-if"}, {"values", {{"gone", "2"}, {"add.gone", "2"}}}})
                         .at("error")
                         .get<std::string>();
  EXPECT_NE(wrong.find("gone"), std::string::npos);
  EXPECT_NE(wrong.find("add has no parameter"), std::string::npos) << wrong;
}

TEST_F(RequestTest, ParametersChangeAtWorkAndOnlyDecisionsAreMadeAnew) {
  write_numbers(1, 10);
  const auto process = spawn("p", {"expected=11"});
  (void)wait_until("p", {{"command", "status"}}, [](const Json& a) { return step_of(a, "even").at("done") == 10; });
  EXPECT_EQ(request("p", {{"command", "set"}, {"values", {{"by", "3"}}}}).at("changed").size(), 1u);
  write_number(11, "11\nend");
  EXPECT_EQ(wait_for(process), 0);
  EXPECT_EQ(values(snapshot("p"), "even", "accepted"), (std::vector{3, 6, 9, 12}));
  write_numbers(1, 11);
  ASSERT_EQ(run("fresh", {"expected=11", "by=3"}), 0);
  const auto changed = result_of("p"), fresh = result_of("fresh");
  for (const auto* set : {"add.numbers", "even.accepted", "even.set_aside", "join.numbers"})
    EXPECT_EQ(changed.at(set), fresh.at(set)) << set;
  EXPECT_NE(request("p", {{"command", "set"}, {"values", {{"expected", "20"}}}})
                .at("error")
                .get<std::string>()
                .find("what is imported"),
            std::string::npos);
}

/// Everything that is stored of the tasks of a step and of what they have decided, but for when and at what cost.
std::vector<std::string> rows_of(const std::filesystem::path& project, const std::string& step) {
  store::Project store(project, store::Access::read);
  std::map<std::int64_t, std::string> ids;
  store.for_item_ids([&](std::int64_t n, std::string_view id) { ids[n] = id; });
  std::vector<std::string> rows;
  const auto add = [&](const auto&... parts) { rows.push_back(Json::array({Json(parts)...}).dump()); };
  store.for_tasks([&](store::TaskRow&& t) {
    if (t.step != step) return;
    std::vector<std::string> inputs, outputs;
    for (const auto& n : Json::parse(t.inputs)) inputs.push_back(ids.at(n.get<std::int64_t>()));
    for (const auto& [port, n] : t.outputs) outputs.push_back(port + " " + ids.at(n));
    add("task", t.key, t.step, t.protocol, t.version, t.subject, t.label, t.order, t.failed, t.code, t.message,
        t.attempts, t.target, t.programs, inputs, outputs);
  });
  for (const auto& d : store.decisions())
    if (d.step == step)
      add("decision", d.step, d.item, d.subject, d.label, d.accepted, d.rule, d.value, d.limit, d.reason, d.by, d.key,
          d.actor, d.title, d.held);
  std::sort(rows.begin(), rows.end());
  return rows;
}

TEST_F(RequestTest, ALimitDecidedForAllAtOnceIsStoredAsOneDecidedForEach) {
  write_numbers(1, 60);
  ASSERT_EQ(run("each", {"expected=60", "by=3"}), 0);
  ASSERT_EQ(run("two", {"expected=60", "by=2"}), 0);
  const auto process = spawn("all", {"expected=61"});
  (void)wait_until("all", {{"command", "status"}}, [](const Json& a) { return step_of(a, "even").at("done") == 60; });
  ASSERT_TRUE(request("all", {{"command", "restore"}, {"item", "n_2"}}).at("ok").get<bool>());
  const auto set = request("all", {{"command", "set"}, {"values", {{"by", "3"}}}});
  ASSERT_TRUE(set.at("ok").get<bool>()) << set.dump();
  const auto page = request("all", {{"command", "items"}, {"step", "even"}, {"count", 100}, {"columns", {"value"}}});
  for (const auto& row : page.at("items"))
    EXPECT_EQ(row.at("state"), "done") << "decided when the answer comes: " << row.dump();
  EXPECT_TRUE(request("all", {{"command", "stop"}}).at("ok").get<bool>());
  EXPECT_EQ(wait_for(process), 130);
  auto both = rows_of(folder_ / "each", "even");
  for (auto& row : rows_of(folder_ / "two", "even")) both.push_back(std::move(row));
  const auto restored = ask("all", "why", "n_2").dump();
  EXPECT_NE(restored.find("person"), std::string::npos) << "what a person has said stands";
  auto all = rows_of(folder_ / "all", "even");
  std::erase_if(all, [](const std::string& row) { return row.find("\"person\"") != std::string::npos; });
  std::sort(both.begin(), both.end());
  EXPECT_EQ(all, both) << "by the first limit each by itself, by the second all together";
}

TEST_F(RequestTest, StepsWaitForAPersonAndAreStoppedByOneThatHasEnough) {
  write_text(
      folder_ / "workflow.json",
      R"({"name": "stops", "parameters": [{"name": "files", "type": "path"}, {"name": "expected", "type": "integer",
        "default": 0}],
    "steps": {"in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": "${expected}"}},
      "pick": {"protocol": "add", "params": {"sleep_ms": 5}, "inputs": {"left": "in.numbers"}},
      "look": {"protocol": "even", "inputs": {"numbers": "in.numbers"}},
      "enough": {"protocol": "total", "inputs": {"numbers": "pick.numbers"}, "trigger": {"mode": "static",
        "count": 5, "stops": ["pick"]}},
      "size": {"protocol": "report-total", "inputs": {"totals": "enough.totals"}, "trigger": {"approve": true}}}})");
  write_numbers(1, 40);
  const auto process = spawn("p", {"expected=40"});
  const auto status = wait_until("p", {{"command", "status"}}, [](const Json& a) {
    return a.at("status").at("note").get<std::string>().find("approve size") != std::string::npos;
  });
  EXPECT_TRUE(step_of(status, "pick").at("stopped").get<bool>());
  EXPECT_NE(
      request("p", {{"command", "approve"}, {"item", "pick"}}).at("error").get<std::string>().find("those are: size"),
      std::string::npos);
  EXPECT_TRUE(request("p", {{"command", "approve"}, {"item", "size"}}).at("ok").get<bool>());
  EXPECT_EQ(wait_for(process), 0);
  const auto done = snapshot("p");
  EXPECT_EQ(values(done, "size", "numbers"), std::vector{5});
  EXPECT_LT(values(done, "pick", "numbers").size(), 15u) << "five, and what was on its way";
  EXPECT_EQ(values(done, "look", "accepted").size(), 20u) << "all of them";
  const auto before = result_of("p");
  EXPECT_EQ(run("p", {"expected=40"}), 0);
  EXPECT_EQ(result_of("p"), before) << "the same follows from what is stored";
}

TEST_F(RequestTest, StatesHowLongItemsTake) {
  write_numbers(1, 3);
  const auto process = spawn("p", {"expected=30"});
  const auto status = wait_until("p", {{"command", "status"}},
                                 [](const Json& a) { return a.at("status").at("latency").at("items") == 3; });
  EXPECT_GT(status.at("status").at("latency").at("p95_s").get<double>(), 0);
  EXPECT_EQ(request("p", {{"command", "stop"}}).at("ok"), true);
  EXPECT_EQ(wait_for(process), 130);
}

}  // namespace
}  // namespace frazil::engine
