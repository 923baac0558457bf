// The bookkeeping alone, with an owner that runs whatever is asked of it, in an order of its choice.
#include "frazil/engine/graph.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>

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
    // Goes by the number of the reference's version: holds what is larger than ten times that.
    auto judge = fake("judge", flow::Shape::filter, {{"numbers", "Number"}, {"by", "Number", true}},
                      {{"accepted", "Number"}, {"set_aside", "Number"}});
    judge.may_hold = true;
    r.add(std::move(judge));
    heavy.needs = [](const Json&) { return std::vector<flow::Need>{{"numbers", "value", 12, "grams"}}; };
    r.add(std::move(heavy));
    auto refine = fake("refine", flow::Shape::iterate, {{"numbers", "Number"}}, {{"totals", "Number"}});
    refine.iterate = {"State", "Part", 2, {}, {}};
    r.add(std::move(refine));
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
  /// Four parts a step, three steps.
  int parts(int, std::int64_t state) override { return steps_of_state.at(state) < 3 ? 4 : 0; }
  void settle() {
    for (bool again = true; again;) {
      auto effects = graph->settle();
      for (auto& list : effects.batch) batches[list.step].push_back(std::move(list.members));
      for (const auto& dropped : effects.dropped)
        std::erase_if(waiting, [&](const Execution& e) {
          return e.step == dropped.step && e.subject == dropped.subject && e.batch == dropped.batch;
        });
      for (auto& execution : effects.start) waiting.push_back(std::move(execution));
      for (const int step : effects.withdrawn) graph->withdrawn(step, withdraw(step));
      for (const auto& final : effects.final)
        for (auto& [key, outcome] : results)
          if (outcome.task == final.task) outcome.verdict = final.verdict;
      for (const int step : effects.closed) closed.push_back(plan.steps[static_cast<std::size_t>(step)].name);
      for (const int subject : effects.through) through.push_back(graph->subject(subject).label);
      for (const auto& one : effects.retired) retired.push_back(name_of(one));
      again = !effects.withdrawn.empty();
    }
  }
  static std::string name_of(const Execution& execution) {
    constexpr const char* names[] = {"start", "part", "step", "finish"};
    const auto& call = execution.call.value();
    return fmt::format("{} {}", names[static_cast<int>(call.stage)], call.round) +
           (call.stage == flow::Stage::part ? fmt::format(".{}", call.part) : "");
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
      outcome.verdict = verdict_of(execution);
    else if (!failed)
      outcome.outputs = {{planned.protocol->outputs[0].name, {1000 + tasks, id_of("of " + execution.key)}}};
    if (outcome.verdict == flow::Verdict::held)
      outcome.otherwise = flow::accept_if(graph->item(execution.inputs[0][0]).n % 2 == 0);
    if (execution.subject < 0) version_of[1000 + tasks] = execution.batch + 1;
    if (const auto& call = execution.call; call && !failed)
      steps_of_state[1000 + tasks] = call->round + (call->stage == flow::Stage::step);
    if (!failed) results[execution.key] = outcome;
    graph->finish(execution, outcome);
    settle();
  }
  /// A person says what is to become of what this subject brings to a step; none: what the rule says.
  void decide(const std::string& name, const std::string& label, std::optional<bool> accepted) {
    const int step = plan.find(name), subject = graph->find_subject(label);
    auto& id = said_of[{step, label}];
    for (int port = 0; port < static_cast<int>(plan.steps[static_cast<std::size_t>(step)].protocol->outputs.size());
         ++port)
      if (const int made = graph->find(step, port, subject); made >= 0) id = graph->item(made).id;
    people.erase({step, id});
    if (accepted) people[{step, id}] = *accepted;
    graph->reconsider(step, subject);
    settle();
  }
  /// The filter of this name has another limit now. Of some subjects it is known at once what it says.
  void change_limit(const std::string& name, int limit, const std::function<bool()>& is_known) {
    const int step = plan.find(name);
    plan.steps[static_cast<std::size_t>(step)].key = fmt::format("multiples of {}", divisor = limit);
    std::vector<std::pair<Execution, Outcome>> known;
    for (int subject = 0; subject < static_cast<int>(graph->subject_count()); ++subject) {
      const auto execution = graph->decision_of(step, subject);
      if (!execution || !is_known()) continue;
      const auto [result, is_new] = results.try_emplace(execution->key);
      if (is_new) {
        result->second.task = ++tasks;
        result->second.verdict = verdict_of(*execution);
      }
      known.emplace_back(*execution, result->second);
    }
    graph->reconsider(step, known);
    settle();
  }
  flow::Verdict verdict_of(const Execution& execution) const {
    const auto number = graph->item(execution.inputs[0][0]).n;
    const auto verdict = flow::accept_if(number % divisor == 0);
    if (execution.inputs.size() < 2) return verdict;
    const auto versions = execution.inputs[1].empty() ? 0 : version_of.at(graph->item(execution.inputs[1][0]).n);
    return number > 3 * versions ? flow::Verdict::held : verdict;
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
  std::map<std::pair<int, std::string>, Digest> said_of;  ///< items that people have spoken of, by step and label
  std::map<std::int64_t, int> version_of;                 ///< number of a fold's version, by number of its item
  std::vector<std::string> closed, through, retired;
  std::map<std::int64_t, int> steps_of_state;
  std::int64_t tasks = 0;
  int divisor = 2;  ///< of what "even" accepts
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

/// A graph into which all that another knows is replayed.
std::unique_ptr<TestHost> replay_of(const TestHost& host, const std::string& steps, Order order, bool closed) {
  auto again = std::make_unique<TestHost>(steps, order);
  again->results = host.results;
  again->people = host.people;
  again->tasks = host.tasks;
  again->version_of = host.version_of;
  again->divisor = host.divisor;
  again->plan = host.plan;
  for (const auto& [step, lists] : host.batches) {
    int number = 0;
    for (const auto& members : lists) again->graph->add_committed(step, number++, members);
  }
  again->batches = host.batches;
  for (std::size_t i = 0; i < host.graph->subject_count(); ++i)
    if (const auto& s = host.graph->subject(static_cast<int>(i)); s.root == host.plan.find("in"))
      again->arrive(std::stoi(s.label));
  if (closed) again->close();
  return again;
}

/// What two graphs must agree on.
std::string state_of(const TestHost& host) {
  std::string text;
  for (int step = 0; step < static_cast<int>(host.plan.steps.size()); ++step) {
    const auto& planned = host.plan.steps[static_cast<std::size_t>(step)];
    const auto counts = host.graph->counts(step);
    text += fmt::format("{}: {} open, {} waiting, {} done, {} failed, {} in, {} out, {} versions, {}\n", planned.name,
                        counts.open, counts.waiting, counts.done, counts.failed, counts.accepted, counts.set_aside,
                        counts.versions, host.graph->closed(step) ? "closed" : "open");
    for (int port = 0; port < static_cast<int>(planned.protocol->outputs.size()); ++port)
      for (const auto& [subject, item] : host.graph->members(step, port))
        text += fmt::format("  {} {} {}\n", port, host.graph->subject(subject).label, host.graph->item(item).id.hex());
  }
  std::set<std::string> keys;
  for (const auto& execution : host.waiting) keys.insert(execution.key);
  for (const auto& key : keys) text += "  waits " + key + "\n";
  return text;
}

TEST(Graph, ADecisionTakenBackIsFollowedEverywhere) {
  TestHost host(chain, Order::acquisition);
  for (int number = 1; number <= 8; ++number) host.arrive(number);
  host.close();
  host.end_all();
  EXPECT_EQ(host.members("join"), (Labels{"002", "004", "006", "008"}));
  const auto before = state_of(host);
  const auto tasks = host.tasks;
  host.decide("even", "004", false);
  EXPECT_EQ(host.members("join"), (Labels{"002", "006", "008"}));
  EXPECT_FALSE(host.graph->all_closed());
  ASSERT_EQ(host.waiting.size(), 1u) << "the first version, of 2 alone";
  host.end_all();
  EXPECT_EQ(host.tasks, tasks + 2) << "both versions were built anew, and nothing else";
  EXPECT_TRUE(host.graph->all_closed());
  EXPECT_EQ(host.members("total").size(), 2u);
  host.decide("even", "004", true);
  EXPECT_TRUE(host.waiting.empty()) << "all of that is known";
  EXPECT_EQ(state_of(host), before);
}

TEST(Graph, OnlyWhatIsDecidedOtherwiseByANewLimitIsTakenBack) {
  TestHost host(chain, Order::acquisition);
  for (int number = 1; number <= 12; ++number) host.arrive(number);
  host.end_all();
  EXPECT_EQ(host.members("even"), (Labels{"002", "004", "006", "008", "010", "012"}));
  const int even = host.plan.find("even");
  const auto task = host.graph->task(even, 11), of_join = host.graph->task(host.plan.find("join"), 11);
  host.change_limit("even", 3, [] { return true; });
  EXPECT_EQ(host.members("even"), (Labels{"003", "006", "009", "012"})) << "at once";
  EXPECT_NE(host.graph->task(even, 11), task) << "by the new limit";
  EXPECT_EQ(host.graph->task(host.plan.find("join"), 11), of_join);
  for (const auto& execution : host.waiting) EXPECT_NE(execution.step, even);
  host.end_all();
  host.change_limit("even", 2, [] { return true; });
  host.end_all();
  EXPECT_EQ(host.members("join"), (Labels{"002", "004", "006", "008", "010", "012"}));
  const auto again = replay_of(host, chain, Order::acquisition, false);
  EXPECT_EQ(state_of(host), state_of(*again));
}

TEST(Graph, ChangedDecisionsLeadToWhatAReplayOfAllThatIsStoredLeadsTo) {
  constexpr const char* full =
      R"({"in":{"protocol":"read"},"add":{"protocol":"add","inputs":{"left":"in.numbers"}},
      "even":{"protocol":"even","inputs":{"numbers":"in.numbers"}},
      "join":{"protocol":"add","inputs":{"left":"add.sums","right":"in.numbers"},"where":["even.accepted"]},
      "total":{"protocol":"total","inputs":{"numbers":"join.sums"},"trigger":{"mode":"batches","count":2}},
      "each":{"protocol":"add","inputs":{"left":"total.totals"}},
      "again":{"protocol":"total","inputs":{"numbers":"each.sums"},"trigger":{"mode":"batches","count":2}},
      "first":{"protocol":"total","inputs":{"numbers":"even.accepted"},"trigger":{"mode":"static","count":3}},
      "few":{"protocol":"add","inputs":{"left":"even.accepted"},"trigger":{"mode":"static","count":2}},
      "follow":{"protocol":"total","inputs":{"numbers":"join.sums"},"trigger":{"mode":"dynamic","count":3}},
      "last":{"protocol":"add","inputs":{"left":"total.totals"},"trigger":{"mode":"closed"}},
      "all":{"protocol":"add","inputs":{"left":"in.numbers","right":"first.totals"}}})";
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const auto order = seed % 2 == 0 ? Order::arrival : Order::acquisition;
    TestHost host(full, order);
    Rng rng(seed);
    int next = 1;
    for (int event = 0; event < 80; ++event) {
      const auto kind = rng.below(10);
      if (kind < 3 && next <= 12) {
        host.arrive(next++);
      } else if (kind == 3 && next > 8) {
        host.close();
      } else if (kind == 4 && rng.below(3) == 0) {
        const auto share = rng.below(3);
        host.change_limit("even", 1 + static_cast<int>(rng.below(3)), [&] { return rng.below(2) < share; });
      } else if (kind == 4 && next > 1) {
        const auto* names = std::array{"even", "even", "in", "add", "join"}[rng.below(5)];
        host.decide(names, fmt::format("{:03}", 1 + rng.below(static_cast<std::uint64_t>(next - 1))),
                    std::array{std::optional(true), std::optional(false), std::optional<bool>()}[rng.below(3)]);
      } else if (!host.waiting.empty()) {
        host.end(rng.below(host.waiting.size()));
      }
    }
    while (next <= 12) host.arrive(next++);
    host.end_all();
    host.close();
    host.end_all();
    const auto again = replay_of(host, full, order, true);
    again->end_all();
    ASSERT_EQ(state_of(host), state_of(*again));
    EXPECT_EQ(again->batches, host.batches) << "no list is formed anew";
    EXPECT_TRUE(host.graph->all_closed());
  }
}

constexpr const char* holding =
    R"({"in":{"protocol":"read"},
    "total":{"protocol":"total","inputs":{"numbers":"in.numbers"},"trigger":{"mode":"batches","count":3}},
    "judge":{"protocol":"judge","inputs":{"numbers":"in.numbers","by":"total.totals"}},
    "add":{"protocol":"add","inputs":{"left":"judge.accepted"}}})";

TEST(Graph, WhatIsHeldIsDecidedByABetterReferenceByAPersonOrAtTheEnd) {
  TestHost host(holding, Order::arrival);
  const auto judge = host.plan.find("judge");
  const auto end_of = [&](const std::string& step) {
    for (std::size_t i = 0; i < host.waiting.size();)
      if (host.waiting[i].step == host.plan.find(step))
        host.end(i);
      else
        ++i;
  };
  for (const int number : {1, 2}) host.arrive(number);
  end_of("judge");
  EXPECT_EQ(host.graph->counts(judge).held, 2) << "there is no reference yet";
  EXPECT_TRUE(host.waiting.empty()) << "what is held does not flow on";
  EXPECT_EQ(host.graph->cell_name(judge, 0), "held");
  for (const int number : {3, 4, 5}) host.arrive(number);
  end_of("judge");
  EXPECT_EQ(host.graph->counts(judge).held, 5);
  end_of("total");  // the first version: sure up to 3
  end_of("judge");
  EXPECT_EQ(host.graph->counts(judge).held, 2);
  EXPECT_EQ(host.members("judge"), Labels{"002"});
  host.people[{judge, id_of("item 004")}] = true;
  host.graph->reconsider(judge, 3);
  host.settle();
  EXPECT_EQ(host.members("judge"), (Labels{"002", "004"})) << "a person does not wait";
  EXPECT_EQ(host.graph->counts(judge).held, 1);
  for (const int number : {6, 8}) host.arrive(number);
  host.close();
  while (!host.waiting.empty()) host.end(0);
  EXPECT_TRUE(host.graph->all_closed());
  EXPECT_EQ(host.graph->counts(judge).held, 0);
  EXPECT_EQ(host.members("judge"), (Labels{"002", "004", "006", "008"})) << "8 by the best reference there was";
  EXPECT_EQ(host.members("add").size(), 4u);
}

TEST(Graph, WhatWasHeldEndsTheSameAfterAReplay) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    TestHost host(holding, seed % 2 == 0 ? Order::arrival : Order::acquisition);
    Rng rng(seed);
    int next = 1;
    for (int event = 0; event < 60; ++event) {
      if (rng.below(3) == 0 && next <= 12)
        host.arrive(next++);
      else if (rng.below(8) == 0 && next > 1)
        host.decide("judge", fmt::format("{:03}", 1 + rng.below(static_cast<std::uint64_t>(next - 1))),
                    std::array{std::optional(true), std::optional(false), std::optional<bool>()}[rng.below(3)]);
      else if (rng.below(20) == 0 && next > 6)
        host.close();
      else if (!host.waiting.empty())
        host.end(rng.below(host.waiting.size()));
      if (event % 20 == 19) {
        host.end_all();
        const auto half =
            replay_of(host, holding, seed % 2 == 0 ? Order::arrival : Order::acquisition, host.graph->closed(0));
        EXPECT_EQ(state_of(host), state_of(*half)) << "event " << event;
      }
    }
  }
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

constexpr const char* refinement =
    R"({"in":{"protocol":"read"},"refine":{"protocol":"refine","inputs":{"numbers":"in.numbers"}},
        "after":{"protocol":"add","inputs":{"left":"refine.totals"}}})";

TEST(Graph, AnIterationGoesFromStateToStateWhicheverPartEndsFirst) {
  std::vector<std::string> keys;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    TestHost host(refinement, Order::acquisition);
    Rng rng(seed);
    for (int i = 1; i <= 3; ++i) host.arrive(i);
    EXPECT_TRUE(host.waiting.empty()) << "the list is not closed";
    host.close();
    std::vector<std::string> names, steps;
    while (!host.waiting.empty()) {
      const auto place = rng.below(host.waiting.size());
      const auto& next = host.waiting[place];
      if (next.call) names.push_back(TestHost::name_of(next));
      if (next.call && next.call->stage != flow::Stage::part) steps.push_back(next.key);
      EXPECT_EQ(next.call && next.call->stage == flow::Stage::start, !next.inputs.empty() && next.call);
      host.end(place);
    }
    ASSERT_EQ(names.size(), 1u + 3 * 5 + 1);
    EXPECT_EQ(names.front(), "start 0");
    EXPECT_EQ(names[5], "step 0") << "after its four parts";
    EXPECT_EQ(names.back(), "finish 3");
    if (keys.empty()) keys = steps;
    EXPECT_EQ(steps, keys) << "keys follow from the order of the parts, not of their ends";
    EXPECT_TRUE(host.graph->all_closed());
    EXPECT_EQ(host.members("after"), Labels{"refine_v0001"});
    EXPECT_EQ(host.batches.at(host.plan.find("refine")), (std::vector<Labels>{{"001", "002", "003"}}));
  }
}

TEST(Graph, OfAnIterationTheLastStatesAreKeptAndPartsAreDroppedOnceGathered) {
  TestHost host(refinement, Order::arrival);
  host.arrive(1);
  host.close();
  for (int i = 0; i < 5; ++i) {
    host.end(0);
    EXPECT_TRUE(host.retired.empty()) << "until the step is there its parts are needed";
  }
  host.end(0);
  EXPECT_EQ(host.retired, (Labels{"part 0.0", "part 0.1", "part 0.2", "part 0.3"}));
  const auto view = host.graph->iteration(host.plan.find("refine"));
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->round, 1);
  EXPECT_EQ(view->parts, 4);
  host.end_all();
  EXPECT_EQ(std::count(host.retired.begin(), host.retired.end(), "step 0"), 1) << "of three steps two stay";
  EXPECT_EQ(host.retired.size(), 13u);
}

TEST(Graph, AnIterationGoesOnAfterARestartWhereItWas) {
  TestHost first(refinement, Order::arrival);
  first.arrive(1);
  first.close();
  for (int i = 0; i < 8; ++i) first.end(0);  // start, step 0, and two parts of the next
  TestHost second(refinement, Order::arrival);
  second.results = first.results;
  second.steps_of_state = first.steps_of_state;
  second.tasks = first.tasks;
  second.graph->add_committed(second.plan.find("refine"), 0, {"001"});
  second.arrive(1);
  second.close();
  ASSERT_EQ(second.waiting.size(), 2u) << "the parts that were not there";
  EXPECT_EQ(TestHost::name_of(second.waiting[0]), "part 1.2");
  second.end_all();
  EXPECT_TRUE(second.graph->all_closed());
}

TEST(Graph, APartThatFailsEndsTheIteration) {
  TestHost host(refinement, Order::arrival);
  host.arrive(1);
  host.close();
  host.end(0);
  ASSERT_EQ(host.waiting.size(), 4u);
  const auto late = host.waiting[3];
  host.end(1, true);
  EXPECT_TRUE(host.waiting.empty()) << "nobody waits for the other parts";
  EXPECT_EQ(host.graph->cell_name(host.plan.find("refine"), 0), "failed");
  EXPECT_TRUE(host.graph->all_closed());
  Outcome outcome;
  outcome.outputs = {{"part", {5000, id_of("late")}}};
  host.graph->finish(late, outcome);
  host.settle();
  EXPECT_TRUE(host.members("refine").empty());
}

}  // namespace
}  // namespace frazil::engine
