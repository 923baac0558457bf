// The bookkeeping alone, with an owner that runs whatever is asked of it, in an order of its choice.
#include "frazil/engine/graph.hpp"

#include <gtest/gtest.h>

#include <map>

#include "frazil/base/random.hpp"

namespace frazil::engine {
namespace {

flow::Protocol fake(std::string name, flow::Shape shape, std::vector<flow::PortInfo> inputs,
                    std::vector<flow::PortInfo> outputs) {
  flow::Protocol protocol;
  protocol.name = std::move(name);
  protocol.shape = shape;
  protocol.inputs = std::move(inputs);
  protocol.outputs = std::move(outputs);
  protocol.check = [](const Json&) { return std::vector<std::string>{}; };
  protocol.key = [](const Json& params) { return params.dump(); };
  return protocol;
}

const flow::Registry& registry() {
  static const auto made = [] {
    flow::Registry r;
    r.add(fake("read", flow::Shape::source, {}, {{"numbers", "Number"}}));
    r.add(fake("add", flow::Shape::map, {{"left", "Number"}, {"right", "Number", true}}, {{"sums", "Number"}}));
    r.add(
        fake("even", flow::Shape::filter, {{"numbers", "Number"}}, {{"accepted", "Number"}, {"set_aside", "Number"}}));
    r.add(fake("total", flow::Shape::fold, {{"numbers", "Number"}}, {{"totals", "Number"}}));
    auto heavy = fake("heavy", flow::Shape::fold, {{"numbers", "Number"}}, {{"totals", "Number"}});
    heavy.needs = [](const Json&) { return std::vector<flow::Need>{{"numbers", "value", 12, "grams"}}; };
    r.add(std::move(heavy));
    return r;
  }();
  return made;
}

Digest id_of(const std::string& text) { return Digest::parse(hash_of({text})); }

/// Ends executions when told to; remembers member lists and closings.
class TestHost final : public Knowledge {
 public:
  TestHost(const std::string& steps, Order order) {
    std::vector<flow::Problem> problems;
    plan = flow::make_plan(flow::parse_workflow("{\"steps\":" + steps + "}", problems), registry(), Json::object(),
                           problems);
    EXPECT_EQ(flow::describe(problems), "");
    graph.emplace(plan, "seed", order, *this);
  }

  std::optional<Outcome> known(const Digest& key) override {
    const auto found = results.find(key.hex());
    return found == results.end() ? std::nullopt : std::optional(found->second);
  }
  double weight(std::int64_t item, const std::string&) override { return static_cast<double>(item % 10); }
  std::optional<bool> person(int step, const Digest& item) override {
    const auto found = people.find({step, item});
    return found == people.end() ? std::nullopt : std::optional(found->second);
  }
  void settle() {
    for (bool again = true; again;) {
      auto effects = graph->settle();
      for (auto& list : effects.batch) batches[list.step].push_back(std::move(list.members));
      for (auto& execution : effects.start) waiting.push_back(std::move(execution));
      for (const int step : effects.withdrawn) graph->withdrawn(step, withdraw(step));
      for (const int step : effects.closed) closed.push_back(plan.steps[static_cast<std::size_t>(step)].name);
      for (const int subject : effects.through) through.push_back(graph->subject(subject).label);
      again = !effects.withdrawn.empty();
    }
  }
  std::vector<int> withdraw(int step) {
    std::vector<int> subjects;
    std::erase_if(waiting, [&](const Execution& execution) {
      if (execution.step != step) return false;
      subjects.push_back(execution.subject);
      return true;
    });
    return subjects;
  }

  void arrive(int number) {
    const auto name = fmt::format("{:03}", number);
    graph->add_source_item(plan.find("in"), {name, name, name, 0}, {number, id_of("item " + name)});
    settle();
  }
  /// Ends the execution that waits at this place.
  void end(std::size_t place, bool failed = false) {
    const auto execution = waiting.at(place);
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(place));
    const auto& planned = plan.steps[static_cast<std::size_t>(execution.step)];
    Outcome outcome;
    outcome.task = ++tasks;
    outcome.failed = failed;
    if (planned.protocol->shape == flow::Shape::filter)
      outcome.accepted = graph->item(execution.inputs[0][0]).n % 2 == 0;
    else if (!failed)
      outcome.outputs = {{planned.protocol->outputs[0].name, {1000 + tasks, id_of("of " + execution.key)}}};
    if (!failed) results[execution.key] = outcome;
    graph->finish(execution, outcome);
    settle();
  }
  void end_all() {
    while (!waiting.empty()) end(0);
  }
  void close() {
    graph->close_source(plan.find("in"));
    settle();
  }
  [[nodiscard]] std::vector<std::string> members(const std::string& step, int port = 0) const {
    std::vector<std::string> labels;
    for (const auto& [subject, item] : graph->members(plan.find(step), port))
      labels.push_back(graph->subject(subject).label);
    return labels;
  }

  flow::Plan plan;
  std::optional<Graph> graph;
  std::vector<Execution> waiting;
  std::map<std::string, Outcome> results;
  std::map<int, std::vector<std::vector<std::string>>> batches;
  std::map<std::pair<int, Digest>, bool> people;
  std::vector<std::string> closed, through;
  std::int64_t tasks = 0;
};

using Labels = std::vector<std::string>;

constexpr const char* chain =
    R"({"in":{"protocol":"read"},"add":{"protocol":"add","inputs":{"left":"in.numbers"}},"even":{"protocol":"even",
      "inputs":{"numbers":"in.numbers"}},
  "join":{"protocol":"add","inputs":{"left":"add.sums","right":"in.numbers"},"where":["even.accepted"]},
  "total":{"protocol":"total","inputs":{"numbers":"join.sums"},"trigger":{"mode":"batches","count":2}}})";

TEST(Graph, JoinsWaitForAllTheirPartsAndClosingFollowsTheStream) {
  TestHost host(chain, Order::arrival);
  host.arrive(2);
  ASSERT_EQ(host.waiting.size(), 2u) << "add and even";
  host.end(0);
  EXPECT_EQ(host.graph->cell_name(host.plan.find("join"), 0), "waiting");
  host.end(0);
  ASSERT_EQ(host.waiting.size(), 1u);
  EXPECT_EQ(host.waiting[0].inputs.size(), 2u);
  EXPECT_TRUE(host.through.empty());
  host.arrive(3);
  host.close();
  EXPECT_EQ(host.closed, Labels{"in"}) << "work is open";
  host.end_all();
  EXPECT_TRUE(host.graph->all_closed());
  EXPECT_EQ(host.members("join"), Labels{"002"}) << "3 is odd";
  EXPECT_EQ(host.through, (Labels{"002", "003"})) << "once each";
  EXPECT_EQ(host.members("even", 1), Labels{"003"});
  EXPECT_EQ(host.batches.at(host.plan.find("total")), (std::vector<Labels>{Labels{"002"}})) << "the remainder";
}

TEST(Graph, ListsByAcquisitionDoNotDependOnTheOrderOfEvents) {
  std::vector<Labels> first;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TestHost host(chain, Order::acquisition);
    Rng rng(seed);
    int next = 1;
    while (next <= 12 || !host.waiting.empty()) {
      if (next <= 12 && (host.waiting.empty() || rng.below(3) == 0))
        host.arrive(next++);
      else
        host.end(rng.below(host.waiting.size()));
    }
    host.close();
    host.end_all();
    const auto& lists = host.batches.at(host.plan.find("total"));
    if (first.empty()) first = lists;
    EXPECT_EQ(lists, first) << "seed " << seed;
    EXPECT_EQ(host.members("total").size(), 3u);
  }
  EXPECT_EQ(first, (std::vector<Labels>{{"002", "004"}, {"006", "008"}, {"010", "012"}}));
}

TEST(Graph, AHorizonKeepsLaterFilesOutOfListsUntilItIsGone) {
  TestHost host(
      R"({"in":{"protocol":"read"},"total":{"protocol":"total","inputs":{"numbers":"in.numbers"},
        "trigger":{"mode":"batches","count":2}}})",
      Order::acquisition);
  host.graph->set_horizon(0, "002");
  for (const int number : {1, 3, 4}) host.arrive(number);
  EXPECT_TRUE(host.batches.empty()) << "2 is still growing";
  host.arrive(2);
  host.graph->set_horizon(0, "");
  host.settle();
  EXPECT_EQ(host.batches.at(1), (std::vector<Labels>{{"001", "002"}, {"003", "004"}}));
}

TEST(Graph, AStaticListClosesItsStepAndFailuresLeaveNothingBehind) {
  TestHost host(R"({"in":{"protocol":"read"},"add":{"protocol":"add","inputs":{"left":"in.numbers"}},
    "total":{"protocol":"total","inputs":{"numbers":"add.sums"},"trigger":{"mode":"static","count":2}}})",
                Order::arrival);
  for (int number = 1; number <= 4; ++number) host.arrive(number);
  host.end(0, true);
  host.end_all();
  EXPECT_EQ(host.graph->counts(host.plan.find("add")).failed, 1);
  EXPECT_EQ(host.batches.at(host.plan.find("total")), (std::vector<Labels>{Labels{"002", "003"}}));
  EXPECT_EQ(host.closed, Labels{"total"}) << "before its input has closed";
  host.close();
  EXPECT_TRUE(host.graph->all_closed());
}

TEST(Graph, FoldsRunOneVersionAfterAnotherAndAReplayAsksForNothingAgain) {
  const std::string steps =
      R"({"in":{"protocol":"read"},"total":{"protocol":"total","inputs":{"numbers":"in.numbers"},
        "trigger":{"mode":"batches","count":2}}})";
  TestHost host(steps, Order::arrival);
  for (int number = 1; number <= 6; ++number) host.arrive(number);
  EXPECT_EQ(host.waiting.size(), 1u) << "each version builds on the last";
  EXPECT_TRUE(host.waiting[0].previous.empty());
  host.end(0);
  EXPECT_EQ(host.waiting.at(0).previous.size(), 1u);
  host.end_all();
  EXPECT_EQ(host.members("total").size(), 3u);

  TestHost again(steps, Order::arrival);
  again.results = host.results;
  int number = 0;
  for (const auto& members : host.batches.at(1)) again.graph->add_committed(1, number++, members);
  for (const int late : {6, 2, 4, 1, 3, 5}) again.arrive(late);
  EXPECT_TRUE(again.waiting.empty());
  EXPECT_TRUE(again.batches.empty());
  EXPECT_EQ(again.members("total"), host.members("total"));
}

TEST(Graph, APersonsDecisionOutweighsTheRule) {
  TestHost host(chain, Order::arrival);
  host.people[{host.plan.find("even"), id_of("item 003")}] = true;
  host.people[{host.plan.find("even"), id_of("item 002")}] = false;
  for (const int number : {2, 3}) host.arrive(number);
  host.end_all();
  EXPECT_EQ(host.members("even"), Labels{"003"});
  EXPECT_EQ(host.members("join"), Labels{"003"});
}

TEST(Graph, ADynamicTriggerWaitsForItsCountAndThenFollowsTheStream) {
  for (const auto order : {Order::arrival, Order::acquisition}) {
    TestHost host(
        R"({"in":{"protocol":"read"},"add":{"protocol":"add","inputs":{"left":"in.numbers"},
        "trigger":{"mode":"dynamic","count":3}},
      "total":{"protocol":"total","inputs":{"numbers":"in.numbers"},"trigger":{"mode":"dynamic","count":3}}})",
        order);
    for (const int number : {1, 2}) host.arrive(number);
    EXPECT_TRUE(host.waiting.empty());
    host.arrive(3);
    ASSERT_EQ(host.waiting.size(), 4u) << "three to add, and one version";
    host.arrive(4);
    EXPECT_EQ(host.waiting.size(), 5u) << "added at once; the fold is at work";
    host.arrive(5);
    host.end_all();
    EXPECT_EQ(host.members("add"), (Labels{"001", "002", "003", "004", "005"}));
    EXPECT_EQ(host.batches.at(host.plan.find("total")), (std::vector<Labels>{{"001", "002", "003"}, {"004", "005"}}))
        << "what had gathered meanwhile";
    host.close();
    EXPECT_TRUE(host.graph->all_closed());
  }
}

TEST(Graph, ListsFormWhenTheirTimeHasCome) {
  TestHost host(
      R"({"in":{"protocol":"read"},"total":{"protocol":"total","inputs":{"numbers":"in.numbers"},
        "trigger":{"mode":"batches","every_s":60}}})",
      Order::arrival);
  EXPECT_FALSE(host.graph->has_pending(1));
  for (const int number : {1, 2}) host.arrive(number);
  EXPECT_TRUE(host.graph->has_pending(1));
  host.graph->cut_pending(1);
  host.settle();
  host.arrive(3);
  host.close();
  host.end_all();
  EXPECT_EQ(host.batches.at(1), (std::vector<Labels>{{"001", "002"}, {"003"}}));
}

constexpr const char* stopping =
    R"({"in":{"protocol":"read"},"pick":{"protocol":"add","inputs":{"left":"in.numbers"}},"other":{"protocol":"even",
      "inputs":{"numbers":"in.numbers"}},
  "total":{"protocol":"total","inputs":{"numbers":"pick.sums"},"trigger":{"mode":"static","count":2,
    "stops":["pick"]}}})";

TEST(Graph, ATriggerThatHasEnoughStopsTheStepBeforeItAndNothingElse) {
  TestHost host(stopping, Order::arrival);
  for (int number = 1; number <= 4; ++number) host.arrive(number);
  const auto end_of = [&](const std::string& step) {
    for (std::size_t i = 0; i < host.waiting.size(); ++i)
      if (host.waiting[i].step == host.plan.find(step)) return host.end(i);
    FAIL() << "nothing waits at " << step;
  };
  end_of("pick");
  end_of("pick");
  EXPECT_TRUE(host.graph->is_stopped(host.plan.find("pick")));
  host.arrive(5);
  for (const auto& execution : host.waiting)
    EXPECT_NE(host.plan.steps[static_cast<std::size_t>(execution.step)].name, "pick")
        << "3, 4 and 5 are not wanted any more";
  host.end_all();
  host.close();
  EXPECT_TRUE(host.graph->all_closed());
  EXPECT_EQ(host.members("pick").size(), 2u);
  EXPECT_EQ(host.members("other").size() + host.members("other", 1).size(), 5u);

  TestHost again(stopping, Order::arrival);  // the same follows from what is stored
  again.results = host.results;
  again.graph->add_committed(again.plan.find("total"), 0, host.batches.at(host.plan.find("total")).at(0));
  for (int number = 1; number <= 5; ++number) again.arrive(number);
  again.close();
  EXPECT_TRUE(again.waiting.empty());
  EXPECT_TRUE(again.graph->all_closed());
  EXPECT_EQ(again.members("pick"), host.members("pick"));
}

TEST(Graph, AStepThatWaitsForAPersonStartsWhenApproved) {
  TestHost host(
      R"({"in":{"protocol":"read"},"add":{"protocol":"add","inputs":{"left":"in.numbers"},"trigger":{"approve":true}},
    "total":{"protocol":"total","inputs":{"numbers":"add.sums"}}})",
      Order::arrival);
  host.graph->wait_for_person(1);
  for (const int number : {1, 2}) host.arrive(number);
  host.close();
  EXPECT_TRUE(host.waiting.empty());
  EXPECT_FALSE(host.graph->all_closed());
  host.graph->approve(1);
  host.settle();
  EXPECT_EQ(host.waiting.size(), 2u);
  host.end_all();
  EXPECT_TRUE(host.graph->all_closed());
  EXPECT_EQ(host.members("total").size(), 1u);
}

TEST(Graph, StartsWithEnoughAlone) {
  for (const auto order : {Order::arrival, Order::acquisition}) {
    TestHost host(
        R"({"in":{"protocol":"read"},"heavy":{"protocol":"heavy","inputs":{"numbers":"in.numbers"},
        "trigger":{"mode":"batches","count":2}}})",
        order);
    const int heavy = host.plan.find("heavy");
    host.arrive(1);
    host.arrive(2);
    EXPECT_TRUE(host.waiting.empty()) << "two are a list, but 3 grams are too little";
    EXPECT_EQ(host.graph->lack(heavy)->have, 3);
    EXPECT_EQ(host.graph->lack(heavy)->need, 12);
    host.close();
    EXPECT_EQ(host.closed, (Labels{"in", "heavy"})) << "too little is no failure and holds nobody up";
    EXPECT_TRUE(host.batches.empty());
    host.arrive(9);
    ASSERT_EQ(host.waiting.size(), 1u) << "the stream went on: now there is enough";
    EXPECT_FALSE(host.graph->lack(heavy).has_value());
    host.arrive(11);
    host.arrive(21);
    host.end_all();
    host.close();
    host.end_all();
    EXPECT_EQ(host.batches.at(heavy), (std::vector<Labels>{{"001", "002", "009"}, {"011", "021"}}))
        << "later lists add to what there is, however small";
    EXPECT_TRUE(host.graph->all_closed());
  }
}

TEST(Graph, AWorkflowMayAskForMoreThanAProtocolNeeds) {
  TestHost host(
      R"({"in":{"protocol":"read"},"sum":{"protocol":"total","inputs":{"numbers":"in.numbers"},
        "trigger":{"mode":"batches","count":1}},
    "add":{"protocol":"add","inputs":{"left":"sum.totals"},"trigger":{"mode":"closed","at_least":5,"of":"value"}},
    "each":{"protocol":"add","inputs":{"left":"sum.totals"},"trigger":{"at_least":5,"of":"value"}}})",
      Order::arrival);
  host.arrive(1);
  host.end_all();  // the total is number 1001
  EXPECT_EQ(host.graph->cell_name(host.plan.find("each"), 1), "absent") << "a version that is too small";
  host.close();
  EXPECT_TRUE(host.graph->all_closed());
  EXPECT_EQ(host.graph->lack(host.plan.find("add"))->have, 1);
  for (int i = 2; i <= 6; ++i) {
    host.arrive(i);
    host.end_all();
  }
  host.close();
  host.end_all();
  EXPECT_EQ(host.members("add"), Labels{"sum_v0006"}) << "the last version is large enough";
  EXPECT_FALSE(host.members("each").empty());
}

}  // namespace
}  // namespace frazil::engine
