// The view by itself: what is fed can be read, what was read stays as it was, readers and the feed do not meet.
#include "frazil/engine/view.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <ctime>

#include "frazil/base/files.hpp"
#include "frazil/engine/numbers.hpp"
#include "frazil/engine/pages.hpp"
#include "frazil/engine/publisher.hpp"
#include "frazil/engine/record_numbers.hpp"

namespace frazil::engine {
namespace {

constexpr const char* text = R"({"name": "view", "steps": {
  "in": {"protocol": "import-numbers", "params": {"files": "/nowhere"}},
  "add": {"protocol": "shift", "inputs": {"left": "in.numbers"}},
  "even": {"protocol": "even", "inputs": {"numbers": "add.numbers"}}}})";

std::shared_ptr<const Head> head() {
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(text, problems);
  auto made = std::make_shared<Head>();
  made->plan = flow::make_plan(workflow, numbers::registry(), Json::object(), problems);
  made->workflow = workflow.text;
  EXPECT_TRUE(problems.empty()) << flow::describe(problems);
  return made;
}

/// A store with the items of `count` numbers that went through the workflow above.
class ViewTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("frazil-view-{}", ::getpid());
    make_folders(folder_);
    store_.emplace(folder_);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  static Live live() {
    Live live;
    live.status.steps.resize(3);
    live.growing.resize(3);
    live.last_event = 1 << 20;
    return live;
  }

  /// Puts number i through all steps, and notes that.
  void add(int i, Changes& changes) {
    const auto id = hash_of({"number", std::to_string(i)});
    const auto label = fmt::format("n_{}", i);
    const auto order = fmt::format("{:06}", i);
    const auto item = [&](const char* step, int value) {
      return store_->add_item({0, hash_of({step, id}), "Number", step, "numbers", id, order, label,
                               Json({{"value", value}, {"file", ""}}).dump(), step});
    };
    store_->add_file({0, "in", fmt::format("square_{}/n_{}.num", i % 7, i), 1, 1, "item", id, id, "", 0});
    changes.files.emplace_back();
    changes.subjects.push_back({i, id, label, order, 0});
    const auto imported = item("in", i), sum = item("add", i + 1);
    store::TaskRow task;
    task.key = hash_of({"even", id});
    task.step = "even";
    task.subject = id;
    task.inputs = Json({sum}).dump();
    const auto n = store_->add_task(task);
    const bool accepted = (i + 1) % 2 == 0;
    store_->add_decision({0, "even", hash_of({"add", id}), id, label, accepted, "remainder", double((i + 1) % 2), 0, "",
                          "rule", task.key, store::now(), "remainder"});
    for (int step = 0; step < 3; ++step) changes.cells.push_back({step, i, CellState::done, step == 2 ? n : 0});
    changes.items.push_back({0, 0, i, imported, {}});
    changes.items.push_back({1, 0, i, sum, Json({{"value", i + 1}}).dump()});
    changes.items.push_back({2, accepted ? 0 : 1, i, sum, {}});
  }
  Changes first(int count) {
    Changes changes;
    changes.reload = true;
    for (int i = 0; i < count; ++i) add(i, changes);
    changes.sequence = store_->commit();
    return changes;
  }

  std::filesystem::path folder_;
  std::optional<store::Project> store_;
};

TEST(RecordNumbers, AreThoseOfAllFieldsButLists) {
  std::map<std::string, double> found;
  const auto note = [&](std::string_view name, double value) { found[std::string(name)] = value; };
  for_numbers(R"( {"a": 1, "b": -2.5e3, "text": "x\"{1,", "list": [1, {"c": 2}, "]"], "inner": {"d": 4, "e": {"f": 5}},
    "yes": true, "no": false, "none": null, "last": 7} )",
              note);
  EXPECT_EQ(found, (std::map<std::string, double>{
                       {"a", 1}, {"b", -2500}, {"inner.d", 4}, {"inner.e.f", 5}, {"yes", 1}, {"no", 0}, {"last", 7}}));
  found.clear();
  for_numbers(R"({"left_counts": [4, 1], "left_reasons": ["over the edge", "flat"], "counts": [3], "odd_counts": ["x"],
    "odd_reasons": [], "z_reasons": ["a"], "last": 7})",
              note);
  EXPECT_EQ(found, (std::map<std::string, double>{{"left.over the edge", 4}, {"left.flat", 1}, {"last", 7}}));
  for (const char* broken :
       {"", "{", "{\"a_counts\":[", "{\"a_counts\":[1", "{\"a_reasons\":[\"", "{\"a_reasons\":[\"x\"", "[]", "{\"a\"",
        "{\"a\":", "{\"a\":1", "{\"a\":x}", "{\"a\":[1}", "{\"a\":\"", "null"})
    for_numbers(broken, note);
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  for_numbers(deep, note);
}

TEST_F(ViewTest, DecisionsThatAreToldAreNotReadAgain) {
  Builder builder(std::make_unique<store::Reader>(*store_));
  builder.apply(first(4), head(), live());
  while (builder.read_numbers(1)) {
  }
  const auto before = builder.publish();
  Changes decided;
  decided.sequence = before->sequence + 1;
  constexpr std::int64_t task = 1 << 20;  // the store has none such
  decided.rules.push_back({2, 1, task, "another rule", 5, 6});
  decided.cells.push_back({2, 1, CellState::done, task});
  builder.apply(decided, nullptr, live());
  EXPECT_FALSE(builder.read_numbers(0)) << "nothing is left to be read";
  const auto after = builder.publish();
  EXPECT_EQ(after->step(2).values[1], 5);
  EXPECT_EQ(after->step(2).limits[1], 6);
  EXPECT_EQ(after->step(2).rule_names.at(static_cast<std::size_t>(after->step(2).rules[1])), "another rule");
  EXPECT_EQ(before->step(2).limits[1], 0) << "what was read stays as it was";
}

TEST_F(ViewTest, OtherParametersAreToldWithoutEverythingElse) {
  Builder builder(std::make_unique<store::Reader>(*store_));
  builder.apply(first(4), head(), live());
  while (builder.read_numbers(1)) {
  }
  const auto before = builder.publish();
  const auto other = head();
  builder.apply({}, other, live());
  EXPECT_FALSE(builder.read_numbers(0));
  const auto after = builder.publish();
  EXPECT_EQ(after->head, other);
  EXPECT_EQ(after->load, before->load);
  EXPECT_EQ(after->step(1).ports[0].items[2], before->step(1).ports[0].items[2]);
}

TEST_F(ViewTest, AFollowerRestsLongerTheMoreItHasToDo) {
  View view(std::make_unique<store::Reader>(*store_));
  view.apply(first(1), head(), live());
  std::atomic<int> calls = 0;
  const auto busy = [&](const std::shared_ptr<const State>&) {
    ++calls;
    for (const auto begin = std::clock(); std::clock() - begin < CLOCKS_PER_SEC / 10;) {  // 0.1 s, so 6 s of rest
    }
  };
  Follower follower(view, {0, 60}, busy);
  Changes changes;
  changes.sequence = view.wait_for(0, 60) ? view.state()->sequence : 0;
  for (int i = 0; i < 100; ++i) {
    ++changes.sequence;
    view.apply(changes, nullptr, live());
    (void)view.wait_for(changes.sequence, 60);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  follower.stop();
  EXPECT_EQ(calls, 1) << "of a hundred publications in half a second";
}

TEST_F(ViewTest, VersionsThatWereTakenBackAreGone) {
  Builder builder(std::make_unique<store::Reader>(*store_));
  builder.apply(first(1), head(), live());
  std::vector<std::int64_t> tasks;
  for (const auto* key : {"a", "b", "c", "d"}) {
    store::TaskRow task;
    task.key = hash_of({key});
    tasks.push_back(store_->add_task(task));
  }
  const auto made = [&] {
    std::vector<std::int64_t> list;
    for (const auto& version : builder.publish()->step(1).made) list.push_back(version.task);
    return list;
  };
  Changes changes;
  for (int i = 0; i < 3; ++i) changes.versions.push_back({1, tasks[static_cast<std::size_t>(i)]});
  builder.apply(changes, nullptr, live());
  EXPECT_EQ(made().size(), 3u);
  changes = {};
  changes.rewound = {{1, 1}};
  changes.versions = {{1, tasks[3]}};
  builder.apply(changes, nullptr, live());
  EXPECT_EQ(made(), (std::vector{tasks[0], tasks[3]}));
}

TEST_F(ViewTest, PagesAreSortedByAnyNumberAndKeepConditions) {
  Builder builder(std::make_unique<store::Reader>(*store_));
  builder.apply(first(3000), head(), live());
  while (builder.read_numbers(1)) {
  }
  store::Reader reader(*store_);
  const Reading reading{builder.publish(), reader};
  EXPECT_EQ(reading.state->read, 1);
  auto page = items_page(reading, {"add", "numbers", {}, "-value"}, 0, 3, {});
  EXPECT_EQ(page.at("total"), 3000);
  EXPECT_EQ(page.at("items").at(0).at("values").at("value"), 3000);
  EXPECT_EQ(page.at("items").at(2).at("label"), "n_2997");
  page = items_page(reading, {"even", "accepted", {"value < 100", "path ~ square_3"}, "value"}, 1, 2,
                    {"value", "in:value", "decision.value", "label"});
  EXPECT_EQ(page.at("total"), 7) << "3, 17, 31 … 87";
  EXPECT_EQ(page.at("items").at(0).at("values").at("value"), 18) << "the filter shows the numbers of what it passes";
  EXPECT_EQ(page.at("items").at(0).at("values").at("in:value"), 17);
  EXPECT_EQ(page.at("items").at(0).at("values").at("decision.value"), 0);
  EXPECT_EQ(page.at("items").at(0).at("verdict"), "accepted");
  EXPECT_EQ(items_page(reading, {"even", "", {"verdict = set aside"}, ""}, 0, 1, {}).at("total"), 1500);
  EXPECT_EQ(items_page(reading, {"even", "", {}, ""}, 2999, 10, {}).at("items").size(), 1u);
  EXPECT_EQ(items_page(reading, {"even", "", {}, ""}, 5000, 10, {}).at("items").size(), 0u);
  for (const auto& wrong : {Choice{"gone", "", {}, ""}, Choice{"add", "gone", {}, ""}, Choice{"add", "", {}, "gone"},
                            Choice{"add", "", {"value ? 3"}, ""}, Choice{"add", "", {"value < x"}, ""},
                            Choice{"add", "", {"gone < 3"}, ""}, Choice{"add", "", {"gone:value < 3"}, ""}})
    EXPECT_THROW((void)items_page(reading, wrong, 0, 10, {}), Error);
  const auto columns = series(reading, {"add", "numbers", {"value <= 5"}, ""}, {"value"});
  EXPECT_EQ(columns.at("columns").at("value"), Json({1, 2, 3, 4, 5}));
}

TEST_F(ViewTest, WhatWasPublishedStaysAsItWas) {
  Builder builder(std::make_unique<store::Reader>(*store_));
  builder.apply(first(1500), head(), live());
  while (builder.read_numbers(1)) {
  }
  const auto before = builder.publish();
  Changes changes;
  add(1500, changes);
  changes.items.push_back({2, 0, 1, 0, {}});  // n_1 is set aside after all
  changes.items.push_back({2, 1, 1, before->step(1).ports[0].items[1], {}});
  changes.sequence = store_->commit();
  builder.apply(changes, nullptr, live());
  const auto after = builder.publish();
  EXPECT_EQ(before->subject_count, 1500);
  EXPECT_EQ(before->by_order->size(), 1500u);
  EXPECT_GT(before->step(2).ports[0].items[1], 0);
  EXPECT_EQ(before->step(2).ports[0].count, 750);
  EXPECT_EQ(after->subject_count, 1501);
  EXPECT_EQ(after->step(2).ports[0].items[1], 0);
  EXPECT_EQ(after->step(2).ports[0].count, 749);
  EXPECT_EQ(after->by_order->back(), 1500);
  EXPECT_EQ(after->subject(1500).path, "square_2/n_1500.num");
  EXPECT_EQ(after->step(1).sets_changed, changes.sequence);
}

TEST_F(ViewTest, EveryNameThatPeopleSeeIsFound) {
  Builder builder(std::make_unique<store::Reader>(*store_));
  builder.apply(first(120), head(), live());
  store::Reader reader(*store_);
  const Reading reading{builder.publish(), reader};
  const auto id = hash_of({"number", "7"});
  for (const auto& name : {std::string("n_7"), std::string("n_7.num"), std::string("square_0/n_7.num"),
                           std::string("/data/session/square_0/n_7.num"), id, id.substr(0, 9), hash_of({"add", id})}) {
    const auto found = why(reading, name);
    ASSERT_EQ(found.at("items").size(), 1u) << name;
    EXPECT_EQ(found.at("items").at(0).at("label"), "n_7") << name;
  }
  EXPECT_EQ(why(reading, "n_11").at("items").size(), 1u) << "one has just this name";
  EXPECT_EQ(why(reading, "square_3/n_1").at("items").size(), 5u) << "n_10, n_17, n_101, n_108, n_115: a part of a path";
  EXPECT_THROW((void)why(reading, "gone"), Error);
  const auto whole = item_whole(reading, hash_of({"add", id})).at("items").at(0);
  EXPECT_EQ(whole.at("record").at("value"), 8);
  EXPECT_EQ(whole.at("decisions").at(0).at("rule"), "remainder");
  EXPECT_EQ(whole.at("became").at(0).at("step"), "even");
}

TEST_F(ViewTest, ReadersAreNotDisturbedByTheFeed) {
  View view(std::make_unique<store::Reader>(*store_));
  view.apply(first(50), head(), live());
  ASSERT_TRUE(view.wait_for(1, 10));
  std::atomic<int> wrong = 0, rounds = 0;
  {
    std::vector<std::jthread> readers;
    for (int r = 0; r < 3; ++r)
      readers.emplace_back([&](const std::stop_token& stop) {
        store::Reader reader(*store_);
        while (!stop.stop_requested()) {
          const Reading reading{view.state(), reader};
          const auto page = items_page(reading, {"add", "numbers", {}, "-value"}, 0, 20, {"value"});
          int last = 1 << 30;
          for (const auto& row : page.at("items")) {
            const auto& value = row.at("values").at("value");
            if (value.is_number() && std::exchange(last, value.get<int>()) <= value.get<int>()) ++wrong;
          }
          if (page.at("total") != reading.state->step(1).ports[0].count) ++wrong;
          ++rounds;
        }
      });
    std::int64_t sequence = 0;
    for (int i = 50; i < 2100; i += 10) {
      Changes changes;
      for (int k = i; k < i + 10; ++k) add(k, changes);
      changes.sequence = sequence = store_->commit();
      view.apply(std::move(changes), nullptr, live());
    }
    EXPECT_TRUE(view.wait_for(sequence, 20));
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(rounds, 0);
  EXPECT_EQ(view.state()->subject_count, 2100);
}

}  // namespace
}  // namespace frazil::engine
