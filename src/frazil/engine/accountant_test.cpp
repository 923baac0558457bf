// Counts that add up: files, items and what comes by the number, after every kind of change.
#include "frazil/engine/accountant.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "frazil/base/files.hpp"
#include "frazil/engine/numbers.hpp"

namespace frazil::engine {
namespace {

constexpr const char* counted_workflow = R"({"name": "account", "steps": {
  "in": {"protocol": "import-numbers", "params": {"files": "/nowhere"}},
  "add": {"protocol": "shift", "inputs": {"left": "in.numbers"}},
  "even": {"protocol": "even", "inputs": {"numbers": "add.numbers"}},
  "sure": {"protocol": "even", "params": {"by": 3}, "inputs": {"numbers": "add.numbers"}},
  "sum": {"protocol": "total", "inputs": {"numbers": "even.accepted"}, "trigger": {"mode": "static", "count": 2}}}})";

enum Step { in, add, even, sure, sum };

/// A project of numbers of which each cell is told by hand.
class AccountTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("frazil-account-{}", ::getpid());
    make_folders(folder_);
    store_.emplace(folder_);
    builder_.emplace(std::make_unique<store::Reader>(*store_));
    std::vector<flow::Problem> problems;
    const auto workflow = flow::parse_workflow(counted_workflow, problems);
    auto head = std::make_shared<Head>();
    head->plan = flow::make_plan(workflow, numbers::registry(), Json::object(), problems);
    EXPECT_TRUE(problems.empty()) << flow::describe(problems);
    changes_.reload = true;
    head_ = std::move(head);
    live_.status.steps.resize(5);
  }
  void TearDown() override {
    builder_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  static std::string id(int i) { return hash_of({"number", std::to_string(i)}); }
  std::int64_t item(int step, int i) {
    const auto& name = head_->plan.steps[static_cast<std::size_t>(step)].name;
    return store_->add_item({0, hash_of({name, id(i)}), "Number", name, "numbers", id(i), fmt::format("{:03}", i),
                             fmt::format("n_{}", i), Json({{"value", i}}).dump(), name});
  }
  void found(int i) {
    changes_.subjects.push_back({i, id(i), fmt::format("n_{}", i), fmt::format("{:03}", i), in});
    place(in, 0, i, item(in, i));
  }
  void cell(int step, int i, CellState state, std::int64_t task = 0) {
    changes_.cells.push_back({step, i, state, task});
  }
  void place(int step, int port, int i, std::int64_t n) { changes_.items.push_back({step, port, i, n, {}}); }
  void added(int i) {
    cell(add, i, CellState::done);
    place(add, 0, i, sums_[i] = item(add, i));
  }
  /// A filter accepts or sets aside.
  void judged(int step, int i, bool accepted) {
    store::TaskRow task;
    const auto& name = head_->plan.steps[static_cast<std::size_t>(step)].name;
    task.key = hash_of({name, id(i), accepted ? "yes" : "no"});
    task.step = name;
    task.subject = id(i);
    task.inputs = Json({sums_[i]}).dump();
    const auto n = store_->add_task(task);
    store_->add_decision({0, name, hash_of({"add", id(i)}), id(i), "", accepted, "remainder", 1, 0, "", "rule",
                          task.key, 0, "remainder", "no multiple"});
    cell(step, i, CellState::done, n);
    place(step, accepted ? 0 : 1, i, sums_[i]);
    place(step, accepted ? 1 : 0, i, 0);
  }
  void decided(int step, int i, bool accepted) {
    store::DecisionRow row{0,        head_->plan.steps[static_cast<std::size_t>(step)].name,
                           "",       id(i),
                           "",       accepted,
                           "person", 0,
                           0,        "",
                           "person", "",
                           5,        "anna"};
    row.item = hash_of({"add", id(i)});
    store_->add_decision(row);
    changes_.decisions.push_back(row);
  }
  std::shared_ptr<const State> publish() {
    changes_.sequence = store_->commit();
    builder_->apply(changes_, head_, live_);
    changes_ = {};
    while (builder_->read_numbers(1)) {
    }
    auto state = builder_->publish();
    const auto& a = state->live.status.account.sources.at(0);
    EXPECT_EQ(a.files, a.items + a.replaced + a.duplicates + a.broken + a.incomplete + a.left_out);
    EXPECT_EQ(a.items, a.kept + a.set_aside + a.held + a.failed + a.in_work);
    EXPECT_EQ(a.items + a.replaced, state->subject_count);
    double aside = 0;
    for (const auto& reason : a.aside_by) aside += reason.count;
    EXPECT_EQ(aside, a.set_aside);
    return state;
  }

  std::filesystem::path folder_;
  std::optional<store::Project> store_;
  std::optional<Builder> builder_;
  std::shared_ptr<const Head> head_;
  Changes changes_;
  Live live_;
  std::map<int, std::int64_t> sums_;
};

TEST_F(AccountTest, NothingIsKeptBeforeAllFiltersHaveSpoken) {
  found(0);
  EXPECT_EQ(publish()->live.status.account.sources.at(0).in_work, 1);
  added(0);
  judged(even, 0, true);
  cell(sure, 0, CellState::waiting);
  EXPECT_EQ(publish()->live.status.account.sources.at(0).in_work, 1) << "the other branch has not judged it";
  judged(sure, 0, true);
  EXPECT_EQ(publish()->live.status.account.sources.at(0).kept, 1);
}

TEST_F(AccountTest, EachItemCountsOnceThoughBranchesSayDifferentThings) {
  for (int i = 0; i < 6; ++i) found(i);
  for (int i = 0; i < 5; ++i) added(i);
  cell(add, 5, CellState::failed);
  judged(even, 0, true), judged(sure, 0, true);
  judged(even, 1, false), judged(sure, 1, true);
  judged(even, 2, false), judged(sure, 2, false);
  judged(even, 3, false), cell(sure, 3, CellState::failed);
  judged(even, 4, true), cell(sure, 4, CellState::held);
  auto account = publish()->live.status.account.sources.at(0);
  EXPECT_EQ(account.kept, 1);
  EXPECT_EQ(account.set_aside, 2);
  EXPECT_EQ(account.failed, 2);
  EXPECT_EQ(account.held, 1);
  ASSERT_EQ(account.aside_by.size(), 1u) << "the first filter that says so";
  EXPECT_EQ(account.aside_by.at(0).step, "even");
  EXPECT_EQ(account.aside_by.at(0).reason, "no multiple");
}

TEST_F(AccountTest, WhatAPersonTakesBackIsKeptAndKnownAsRestored) {
  for (int i = 0; i < 3; ++i) {
    found(i);
    added(i);
    judged(even, i, i != 1);
    judged(sure, i, true);
  }
  EXPECT_EQ(publish()->live.status.account.sources.at(0).set_aside, 1);
  decided(even, 1, true);
  place(even, 0, 1, sums_[1]);
  place(even, 1, 1, 0);
  auto state = publish();
  EXPECT_EQ(state->live.status.account.sources.at(0).kept, 3);
  EXPECT_EQ(state->live.status.account.sources.at(0).restored, 1);
  const auto fate = fate_of(*state, 1);
  EXPECT_TRUE(fate.restored);
  ASSERT_NE(fate.person, nullptr);
  EXPECT_EQ(fate.person->actor, "anna");
  decided(add, 2, false);  // set aside by hand before any filter
  place(add, 0, 2, 0);
  place(even, 0, 2, 0);
  cell(even, 2, CellState::absent);
  place(sure, 0, 2, 0);
  cell(sure, 2, CellState::absent);
  state = publish();
  EXPECT_EQ(state->live.status.account.sources.at(0).set_aside, 1);
  EXPECT_EQ(state->live.status.account.sources.at(0).aside_by.at(0).reason, "by hand");
}

TEST_F(AccountTest, WhatCountsItemsGivesNothingByTheNumber) {
  found(0);
  EXPECT_TRUE(publish()->live.status.account.amounts.empty()) << "the total has a count, of items";
}

TEST_F(AccountTest, FilesThatBecameNoItemAreCountedToo) {
  found(0);
  live_.status.steps[0].files = {1, 0, 2, 3, 4, 5};
  const auto account = publish()->live.status.account.sources.at(0);
  EXPECT_EQ(account.files, 15);
  EXPECT_EQ(account.left_out, 5);
}

}  // namespace
}  // namespace frazil::engine
