// The ledger by itself: nothing runs, nothing is watched, and whoever carries out what follows is this test.
#include "frazil/engine/ledger.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "frazil/base/files.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/numbers.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* ledger_steps = R"({"name": "ledger",
  "parameters": [{"name": "by", "type": "integer", "default": 2}, {"name": "files", "type": "path"}],
  "steps": {
    "in": {"protocol": "import-numbers", "params": {"files": "${files}"}},
    "add": {"protocol": "shift", "inputs": {"left": "in.numbers"}},
    "even": {"protocol": "even", "params": {"by": "${by}"}, "inputs": {"numbers": "add.numbers"}},
    "next": {"protocol": "shift", "inputs": {"left": "even.accepted"}},
    "total": {"protocol": "total", "inputs": {"numbers": "next.numbers"},
      "trigger": {"mode": "batches", "count": 2}}}})";

/// Remembers what is to be done.
struct Host final : Duties {
  void start(Execution execution, std::string) override { waiting.push_back(std::move(execution)); }
  void drop(const Execution& execution) override {
    std::erase_if(waiting, [&](const Execution& e) {
      return e.step == execution.step && e.subject == execution.subject && e.batch == execution.batch;
    });
  }
  std::vector<int> withdraw(int) override { return {}; }
  void through(int subject) override { done.push_back(subject); }

  std::vector<Execution> waiting;
  std::vector<int> done;
};

/// A file of the stream that holds this number.
Found found_number(int number) {
  Found found;
  found.sighting.path = fmt::format("n_{}.num", number);
  found.sighting.file = "/nowhere/" + found.sighting.path;
  found.sighting.order = fmt::format("{:04}", number);
  found.sighting.record = {{"value", number}, {"path", found.sighting.path}};
  found.sighting.hash = found.subject = hash_of({found.sighting.path});
  return found;
}

class LedgerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("frazil-ledger-{}", ::getpid());
    fs::remove_all(folder_);
    make_folders(files());
    std::vector<flow::Problem> problems;
    prepare_project(folder_, flow::parse_workflow(ledger_steps, problems), {{"files", files().string()}},
                    numbers::registry());
    open();
  }
  void TearDown() override {
    ledger_.reset();
    fs::remove_all(folder_);
    fs::remove_all(files());
  }
  [[nodiscard]] fs::path files() const { return folder_.string() + "-files"; }

  void open(bool read_only = false) {
    ledger_.reset();
    host_ = Host();
    ledger_.emplace(Ledger::Settings{folder_, "test 1", read_only}, numbers::registry(), host_);
    intake_.emplace(ledger_->plan().steps.size());
    ledger_->load(*intake_);
    if (!read_only) ledger_->begin();
  }
  void arrive(int number) {
    (void)ledger_->note_finding(found_number(number), fmt::format("n_{}", number));
    ledger_->settle();
  }
  /// What a worker would say of it.
  Ended result_of(const Execution& execution) {
    Ended ended;
    ended.execution = execution;
    flow::Records inputs, previous;
    const auto parse = [](const exec::RecordTexts& texts) {
      flow::Records records;
      for (const auto& [port, list] : texts) {
        records.emplace_back(port, std::vector<Json>{});
        for (const auto& text : list) records.back().second.push_back(Json::parse(text));
      }
      return records;
    };
    const auto task = ledger_->compose(execution, 1);
    inputs = parse(task.inputs);
    previous = parse(task.previous);
    flow::detail::NoFiles context;
    for (const auto& [port, list] :
         ledger_->step(execution.step)
             .protocol->run(Json::parse(task.params), inputs, task.has_previous ? &previous : nullptr, context)) {
      ended.result.outputs.emplace_back(port, std::vector<std::string>{});
      for (const auto& record : list) ended.result.outputs.back().second.push_back(record.dump());
    }
    return ended;
  }
  void end_first() {
    const auto execution = host_.waiting.at(0);
    host_.waiting.erase(host_.waiting.begin());
    ledger_->record(result_of(execution));
  }
  void end_all() {
    while (!host_.waiting.empty()) end_first();
  }
  [[nodiscard]] std::vector<std::string> members(const std::string& step, int port = 0) const {
    std::vector<std::string> labels;
    for (const auto& [subject, item] : ledger_->graph().members(ledger_->plan().find(step), port))
      labels.push_back(ledger_->graph().subject(subject).label);
    return labels;
  }
  static Command decision_on(int number) {
    Command command;
    command.subjects = {hash_of({fmt::format("n_{}.num", number)})};
    command.actor = "somebody";
    return command;
  }

  fs::path folder_;
  Host host_;
  std::optional<Ledger> ledger_;
  std::optional<Intake> intake_;
};

using Labels = std::vector<std::string>;

TEST_F(LedgerTest, AnEventInChangesOutAndACommitNumbersThem) {
  const auto before = ledger_->sequence();
  EXPECT_TRUE(ledger_->take_changes().first.reload) << "readers are told everything once";
  arrive(1);
  ASSERT_EQ(host_.waiting.size(), 1u);
  EXPECT_EQ(ledger_->label_of(host_.waiting[0]), "n_1");
  EXPECT_TRUE(ledger_->dirty());
  ledger_->commit();
  EXPECT_EQ(ledger_->sequence(), before + 1);
  auto [changes, head] = ledger_->take_changes();
  EXPECT_EQ(head, nullptr) << "the parameters are the same";
  EXPECT_EQ(changes.sequence, before + 1);
  EXPECT_EQ(changes.subjects.size(), 1u);
  EXPECT_EQ(changes.files.size(), 1u);
  EXPECT_FALSE(changes.cells.empty());
  EXPECT_FALSE(ledger_->has_changes());
  end_all();
  ledger_->commit();
  EXPECT_EQ(ledger_->take_changes().first.rules.at(0).rule, "remainder");
  EXPECT_EQ(host_.done, std::vector<int>{0}) << "through with all that takes it by itself";
  EXPECT_EQ(members("next"), Labels{"n_1"}) << "1 + 1 is even";
}

TEST_F(LedgerTest, WhatWasNotCommittedNeverHappened) {
  arrive(1);
  ledger_->commit();
  end_all();
  arrive(3);
  ledger_->rollback();
  host_.waiting.clear();
  ledger_->load(*intake_);
  EXPECT_EQ(members("in"), Labels{"n_1"});
  ASSERT_EQ(host_.waiting.size(), 1u) << "asked for again";
  EXPECT_EQ(host_.waiting[0].step, ledger_->plan().find("add"));
}

TEST_F(LedgerTest, AReopenedProjectAsksOnlyForWhatIsMissing) {
  for (const int number : {1, 2, 3}) arrive(number);
  end_first();
  ledger_->commit();
  const auto epoch = ledger_->epoch();
  std::vector<std::string> keys;
  for (const auto& execution : host_.waiting) keys.push_back(execution.key);
  open();
  EXPECT_EQ(ledger_->epoch(), epoch + 1);
  std::vector<std::string> again;
  for (const auto& execution : host_.waiting) again.push_back(execution.key);
  std::sort(keys.begin(), keys.end());
  std::sort(again.begin(), again.end());
  EXPECT_EQ(again, keys);
  end_all();
  ledger_->commit();
  EXPECT_EQ(members("even"), (Labels{"n_1", "n_3"}));
  EXPECT_EQ(members("total").size(), 1u);
  const auto sequence = ledger_->sequence();
  open();
  EXPECT_TRUE(host_.waiting.empty());
  EXPECT_GT(ledger_->sequence(), sequence) << "goes on counting";
}

TEST_F(LedgerTest, WritesNothingMoreOnceAnotherEngineHasSigned) {
  arrive(1);
  ledger_->commit();
  std::ofstream(folder_ / "engine.lock") << Json({{"host", "elsewhere"}, {"pid", 1}, {"epoch", 99}}).dump() << "\n";
  arrive(2);
  EXPECT_THROW(ledger_->commit(), Fenced);
  EXPECT_FALSE(ledger_->dirty()) << "all of it was dropped";
  EXPECT_EQ(ledger_->rows().files().size(), 1u);
}

TEST_F(LedgerTest, ADatabaseOlderThanTheLastEngineIsRefused) {
  ledger_.reset();
  fs::copy_file(folder_ / "project.frazil", folder_ / "old");
  open();
  ledger_.reset();
  fs::rename(folder_ / "old", folder_ / "project.frazil");
  EXPECT_THROW(open(), Error);
}

TEST_F(LedgerTest, ReadingAloneTakesNoLeaseAndWritesNothing) {
  for (const int number : {1, 2}) arrive(number);
  end_all();
  ledger_->commit();
  ledger_.reset();
  const auto text = read_text(folder_ / "project.frazil"), lock = read_text(folder_ / "engine.lock");
  open(true);
  const Lease free(folder_, 0);
  EXPECT_EQ(members("even"), Labels{"n_1"});
  EXPECT_TRUE(ledger_->take_changes().first.reload);
  ledger_.reset();
  EXPECT_EQ(read_text(folder_ / "project.frazil"), text);
  EXPECT_EQ(read_text(folder_ / "engine.lock"), lock);
}

TEST_F(LedgerTest, PeopleOutweighRulesAlsoAfterARestart) {
  for (const int number : {1, 2, 3, 4}) arrive(number);
  end_all();
  EXPECT_EQ(members("even"), (Labels{"n_1", "n_3"}));
  EXPECT_EQ(ledger_->restore(decision_on(2)).at("changed").at(0).at("step"), "even");
  EXPECT_EQ(ledger_->set_aside(decision_on(3)).at("changed").size(), 1u);
  EXPECT_EQ(members("even"), (Labels{"n_1", "n_2"}));
  end_all();
  ledger_->commit();
  EXPECT_EQ(members("next"), (Labels{"n_1", "n_2"}));
  open();
  EXPECT_EQ(members("next"), (Labels{"n_1", "n_2"}));
  EXPECT_TRUE(host_.waiting.empty());
  EXPECT_THROW((void)ledger_->restore(decision_on(2)), Error) << "it is not set aside any more";
}

TEST_F(LedgerTest, WhatIsKnownUnderOtherParametersIsDecidedAtOnce) {
  for (int number = 1; number <= 6; ++number) arrive(number);
  end_all();
  ledger_->commit();
  (void)ledger_->take_changes();
  Command command;
  command.values = {{"by", 3}};
  const auto set = ledger_->set(command);
  const int even = ledger_->plan().find("even");
  EXPECT_EQ(set.steps, std::vector<int>{even});
  EXPECT_FALSE(set.is_anew);
  auto foretold = std::make_shared<Foretold>();
  auto& list = (*foretold)[{"even", ledger_->step(even).key}];
  for (const auto& [subject, item] : ledger_->graph().members(ledger_->plan().find("add"), 0)) {
    if (subject == 4) continue;  // of one nothing is known
    const auto number = ledger_->record_of(ledger_->graph().item(item).n).at("value").get<int>();
    Said said;
    said.subject = subject;
    said.inputs =
        std::make_shared<std::vector<std::vector<std::int64_t>>>(1, std::vector{ledger_->graph().item(item).n});
    said.decision = flow::Decision{flow::accept_if(number % 3 == 0), "remainder", "", double(number % 3), 0, ""};
    list.push_back(std::move(said));
  }
  command.foretold = foretold;
  ledger_->follow_params(set.steps, command);
  EXPECT_EQ(members("even"), Labels{"n_2"}) << "2 + 1; 5 + 1 is not known";
  const auto asked = std::count_if(host_.waiting.begin(), host_.waiting.end(),
                                   [&](const Execution& execution) { return execution.step == even; });
  EXPECT_EQ(asked, 1) << "as a task";
  ledger_->commit();
  const auto [changes, head] = ledger_->take_changes();
  EXPECT_FALSE(changes.reload);
  EXPECT_EQ(changes.rules.size(), 5u);
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->values.at("by"), 3);
  end_all();
  EXPECT_EQ(members("even"), (Labels{"n_2", "n_5"}));
}

TEST_F(LedgerTest, AFailureIsNotedAndTakenBackByRestore) {
  arrive(1);
  auto ended = result_of(host_.waiting.at(0));
  host_.waiting.clear();
  ended.result = {};
  ended.result.failed = true;
  ended.result.code = ErrorCode::bad_input;
  ended.result.message = "no number";
  ledger_->record(ended);
  EXPECT_TRUE(host_.waiting.empty());
  EXPECT_EQ(ledger_->graph().counts(ledger_->plan().find("add")).failed, 1);
  EXPECT_EQ(ledger_->restore(decision_on(1)).at("changed").at(0).at("what"), "tried again");
  EXPECT_EQ(host_.waiting.size(), 1u);
}

}  // namespace
}  // namespace frazil::engine
