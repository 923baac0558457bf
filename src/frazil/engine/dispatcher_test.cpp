// Scheduling with a pool that runs nothing: tasks end when the test says so, and time stands still until it moves it.
#include "frazil/engine/dispatcher.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace frazil::engine {
namespace {

using Clock = Dispatcher::Clock;

/// Keeps what is handed to it until it is told how it ends.
class FakePool final : public Pool {
 public:
  explicit FakePool(std::shared_ptr<exec::Budget> budget) : budget_(std::move(budget)), account_(budget_) {}

  exec::Budget::Account& account() override { return account_; }
  [[nodiscard]] int threads() const override { return budget_->threads(); }
  [[nodiscard]] int running() const override { return static_cast<int>(messages.size()); }
  void start(const std::vector<exec::Task>& tasks) override {
    int memory = 0;
    for (const auto& task : tasks) memory = std::max(memory, task.memory_mib);
    account_.take(tasks.front().threads, memory);
    messages.push_back({tasks, memory});
  }
  [[nodiscard]] std::vector<exec::Result> collect() override { return std::exchange(results_, {}); }
  void cancel(std::uint64_t task) override { cancelled.insert(task); }
  void pause(std::uint64_t task) override { asked.push_back(task); }
  void resume(std::uint64_t task) override {
    std::erase(asked, task);
    if (paused.erase(task) > 0) account_.take(threads_of(task), 0);
  }
  [[nodiscard]] bool is_paused(std::uint64_t task) const override { return paused.contains(task); }
  /// Those asked to pause do.
  void pause_all() {
    for (const auto task : asked)
      if (paused.insert(task).second) account_.give_back(threads_of(task), 0);
  }
  [[nodiscard]] int threads_of(std::uint64_t number) const {
    for (const auto& message : messages)
      for (const auto& task : message.tasks)
        if (task.number == number) return task.threads;
    return 0;
  }

  /// Ends a message, all its tasks alike.
  void end(std::size_t place, const exec::Result& how = {}) {
    const auto message = messages.at(place);
    messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(place));
    for (const auto& task : message.tasks) {
      results_.push_back(how);
      results_.back().number = task.number;
    }
    const bool is_paused_now = paused.erase(message.tasks.front().number) > 0;
    std::erase(asked, message.tasks.front().number);
    account_.give_back(is_paused_now ? 0 : message.tasks.front().threads, message.memory_mib);
  }

  struct Message {
    std::vector<exec::Task> tasks;
    int memory_mib = 0;
  };
  std::vector<Message> messages;
  std::set<std::uint64_t> cancelled, paused;
  std::vector<std::uint64_t> asked;  ///< to pause

 private:
  std::shared_ptr<exec::Budget> budget_;
  exec::Budget::Account account_;
  std::vector<exec::Result> results_;
};

class DispatcherTest : public ::testing::Test {
 protected:
  void begin(int threads, std::vector<Lane> lanes, std::vector<std::string> gpus = {}, int memory_mib = 10000) {
    pool.emplace(std::make_shared<exec::Budget>(threads, memory_mib, std::move(gpus)));
    dispatcher.emplace(
        DispatcherSettings{},
        [](const Execution& execution, std::uint64_t) {
          exec::Task task;
          task.seed = execution.key;
          return task;
        },
        [this](const Execution&, const exec::RecordTexts&) { return estimate_mib; }, [this] { return now; });
    dispatcher->attach(*pool);
    dispatcher->reset(std::move(lanes));
  }
  void TearDown() override {
    if (dispatcher) dispatcher->forget_running();
  }
  static Execution execution(int step, int subject, std::size_t inputs = 1) {
    Execution made;
    made.step = step;
    made.subject = subject;
    made.inputs = {std::vector<int>(inputs, 0)};
    made.key = fmt::format("{} of {}", subject, step);
    return made;
  }
  void add(int step, int from, int to) {
    for (int i = from; i <= to; ++i) dispatcher->add(execution(step, i), fmt::format("{:04}", i));
  }
  /// Keys of what is at work, in the order in which it was started.
  std::vector<std::string> at_work() {
    dispatcher->dispatch(true);
    std::vector<std::string> keys;
    for (const auto& message : pool->messages)
      for (const auto& task : message.tasks) keys.push_back(task.seed);
    return keys;
  }
  std::size_t place_of(const std::string& key) {
    for (std::size_t i = 0; i < pool->messages.size(); ++i)
      for (const auto& task : pool->messages[i].tasks)
        if (task.seed == key) return i;
    throw std::runtime_error(key + " is not at work");
  }
  /// Ends the message with this task and hands failures back. @return what became of the first
  std::optional<Retry> end(const std::string& key, const exec::Result& how = {}) {
    pool->end(place_of(key), how);
    std::optional<Retry> retry;
    while (auto ended = dispatcher->next_ended()) {
      retry = dispatcher->again(*ended, false);
      last = *ended;
    }
    return retry;
  }
  static exec::Result killed() {
    exec::Result result;
    result.failed = result.killed = true;
    result.message = "the worker was killed";
    return result;
  }
  static exec::Result failed(ErrorCode code) {
    exec::Result result;
    result.failed = true;
    result.code = code;
    result.message = "no";
    return result;
  }
  void wait(double seconds) {
    now += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }
  void learn(int step, double seconds, std::size_t inputs = 1) {
    exec::Result result;
    result.seconds = seconds;
    for (int i = 0; i < 10; ++i) (void)dispatcher->note_cost(execution(step, 0, inputs), result);
  }

  int estimate_mib = 100;
  Clock::time_point now = Clock::time_point() + std::chrono::hours(1);
  std::optional<FakePool> pool;
  std::optional<Dispatcher> dispatcher;
  Ended last;
};

using Keys = std::vector<std::string>;

Lane lane(std::string key, int depth = 1) {
  Lane made;
  made.key = std::move(key);
  made.depth = depth;
  return made;
}

TEST_F(DispatcherTest, ThreadsAreSharedByThoseThatWaitAndMemoryIsNeverOverdrawn) {
  begin(8, {lane("a")});
  add(0, 1, 2);
  EXPECT_EQ(at_work(), (Keys{"1 of 0", "2 of 0"}));
  EXPECT_EQ(pool->messages[0].tasks[0].threads, 4);
  EXPECT_EQ(pool->messages[1].tasks[0].threads, 4);
  end("1 of 0");
  end("2 of 0");
  estimate_mib = 4000;
  add(0, 3, 10);
  EXPECT_EQ(at_work().size(), 2u) << "8000 of 10000 MiB";
  exec::Result measured;
  measured.peak_mib = 1000;
  (void)dispatcher->note_cost(execution(0, 0), measured);
  EXPECT_EQ(at_work().size(), 3u) << "1200 MiB each by what was measured, beside the two that reserved 4000";
}

TEST_F(DispatcherTest, ATaskOnManyItemsLeavesOneThreadToWhatComesIn) {
  auto fold = lane("fold");
  fold.is_whole = true;
  begin(4, {fold, lane("live")});
  dispatcher->add(execution(0, -1, 1000), "00");
  add(1, 1, 1);
  EXPECT_EQ(at_work(), (Keys{"-1 of 0", "1 of 1"}));
  EXPECT_EQ(pool->messages[0].tasks[0].threads, 3);
  EXPECT_EQ(pool->messages[1].tasks[0].threads, 1);
  end("1 of 1");
  end("-1 of 0");
  dispatcher->set_streaming(false);
  dispatcher->add(execution(0, -1, 1000), "01");
  EXPECT_EQ(at_work().size(), 1u);
  EXPECT_EQ(pool->messages[0].tasks[0].threads, 4) << "nothing comes in any more";
}

TEST_F(DispatcherTest, WhatHasBegunIsEndedFirstAndWhatIsOptionalLast) {
  auto extra = lane("extra");
  extra.optional = true;
  begin(1, {lane("first"), lane("second", 2), extra});
  add(2, 1, 1);
  add(0, 1, 1);
  add(1, 1, 1);
  for (const auto* key : {"1 of 1", "1 of 0", "1 of 2"}) {
    EXPECT_EQ(at_work(), Keys{key});
    end(key);
  }
}

TEST_F(DispatcherTest, ShortTasksTravelTogetherAndLongOnesAlone) {
  begin(2, {lane("short")});
  add(0, 1, 100);
  EXPECT_EQ(at_work().size(), 2u) << "not known to be short yet";
  end(pool->messages[0].tasks[0].seed);
  end(pool->messages[0].tasks[0].seed);
  learn(0, 0.001);
  const auto keys = at_work();
  ASSERT_EQ(pool->messages.size(), 2u);
  EXPECT_EQ(pool->messages[0].tasks.size(), 20u) << "20 ms of work";
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
}

TEST_F(DispatcherTest, AllTasksOfALostMessageStartAgainOneByOne) {
  begin(1, {lane("short")});
  learn(0, 0.001);
  add(0, 1, 10);
  ASSERT_EQ(at_work().size(), 10u);
  pool->end(0, killed());
  while (auto ended = dispatcher->next_ended()) EXPECT_TRUE(dispatcher->again(*ended, false)->counts_kill);
  EXPECT_EQ(at_work().size(), 1u) << "a task that was there when a worker died is not put together with others";
  EXPECT_EQ(dispatcher->queued(0), 9);
  EXPECT_EQ(dispatcher->running(0), 1);
}

TEST_F(DispatcherTest, ASuspectRunsBesideOthersOnceAndThenByItself) {
  begin(2, {lane("work")});
  add(0, 1, 1);
  add(0, 2, 50);
  learn(0, 1);
  for (int i = 0; i < 2; ++i) {
    while (true) {
      const auto keys = at_work();
      if (std::find(keys.begin(), keys.end(), "1 of 0") != keys.end()) break;
      end(keys.front());
    }
    end("1 of 0", killed());
  }
  EXPECT_EQ(last.kills.all, 2);
  auto keys = at_work();
  ASSERT_EQ(keys.size(), 2u) << "the suspect and another: work goes on";
  EXPECT_EQ(keys.back(), "1 of 0");
  EXPECT_EQ(pool->messages.back().memory_mib, 200) << "twice what it was thought to need";
  end("1 of 0", killed());
  EXPECT_EQ(last.kills.alone, 0) << "somebody else may have been at fault";
  for (int i = 0; i < 5; ++i) {
    keys = at_work();
    EXPECT_EQ(keys.size(), 2u);
    EXPECT_EQ(std::count(keys.begin(), keys.end(), "1 of 0"), 0) << "it waits, the others do not";
    end(keys.front());
  }
  wait(21);  // it has waited long enough; nothing that is at work is long
  keys = at_work();
  EXPECT_EQ(keys.size(), 1u) << "no other starts";
  end(keys.front());
  EXPECT_EQ(at_work(), Keys{"1 of 0"}) << "by itself";
  end("1 of 0", killed());
  EXPECT_EQ(last.kills.alone, 1);
}

TEST_F(DispatcherTest, AGapForASuspectIsMadeByLongTasksThatWaitWhileShortOnesGoOn) {
  begin(2, {lane("long"), lane("work", 2), lane("bad", 3)});
  learn(0, 60);
  learn(1, 0.5);
  dispatcher->restore_kills("1 of 2", {3, 0});
  add(0, 1, 2);
  EXPECT_EQ(at_work().size(), 2u);
  add(2, 1, 1);
  EXPECT_EQ(at_work().size(), 2u);
  wait(30);
  add(0, 3, 9);
  add(1, 1, 50);
  end("1 of 0");
  for (int i = 0; i < 5; ++i) {
    const auto keys = at_work();
    ASSERT_EQ(keys.size(), 2u) << "beside the long one that is at work";
    EXPECT_TRUE(keys.back().ends_with("of 1")) << keys.back();
    end(keys.back());
  }
  end("2 of 0");
  while (!pool->messages.empty()) end(pool->messages[0].tasks[0].seed);
  EXPECT_EQ(at_work(), Keys{"1 of 2"});
  EXPECT_EQ(at_work(), Keys{"1 of 2"}) << "the machine is its own for a while";
  wait(11);
  EXPECT_EQ(at_work().size(), 2u) << "and not for ever";
  end("1 of 2", killed());
  EXPECT_EQ(last.kills.alone, 0) << "it was not alone in the end";
}

TEST_F(DispatcherTest, ThreeDeathsAloneAreTheTasksOwnOverRestartsToo) {
  begin(2, {lane("bad")});
  dispatcher->restore_kills("1 of 0", {4, 2});
  add(0, 1, 1);
  EXPECT_EQ(at_work(), Keys{"1 of 0"});
  EXPECT_FALSE(end("1 of 0", killed()).has_value()) << "the failure stands";
  EXPECT_EQ(dispatcher->queued(0), 0);
}

TEST_F(DispatcherTest, ASuspectElsewhereDoesNotStopTheWorkHere) {
  auto far = lane("far");
  far.place = {"far", 2};
  begin(1, {far, lane("here")});
  dispatcher->restore_kills("1 of 0", {3, 0});
  add(0, 1, 1);
  add(1, 1, 3);
  EXPECT_EQ(at_work(), (Keys{"1 of 0", "1 of 1"}));
  end("1 of 0", killed());
  EXPECT_EQ(last.kills.alone, 1) << "nothing else was at work there";
  end("1 of 1");
  EXPECT_EQ(at_work().size(), 2u);
}

TEST_F(DispatcherTest, TransientFaultsAreTriedAgainAfterLongerAndLongerPausesAndNotForEver) {
  begin(1, {lane("a")});
  add(0, 1, 1);
  for (const double pause : {1.0, 4.0, 16.0}) {
    EXPECT_EQ(at_work(), Keys{"1 of 0"});
    ASSERT_TRUE(end("1 of 0", failed(ErrorCode::io)).has_value());
    EXPECT_TRUE(at_work().empty());
    EXPECT_EQ(dispatcher->next_time(),
              now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(pause)));
    wait(pause);
  }
  EXPECT_EQ(at_work(), Keys{"1 of 0"});
  EXPECT_FALSE(end("1 of 0", failed(ErrorCode::io)).has_value());
  add(0, 2, 2);
  EXPECT_EQ(at_work(), Keys{"2 of 0"});
  EXPECT_FALSE(end("2 of 0", failed(ErrorCode::bad_input)).has_value()) << "what is wrong stays wrong";
}

TEST_F(DispatcherTest, GpusAreHadByOneTaskAtATimeAndPlacesElsewhereTakeNoThreads) {
  auto gpu = lane("gpu"), far = lane("far");
  gpu.gpus = 1;
  far.place = {"far", 2};
  begin(4, {gpu, far, lane("here")}, {"5"});
  add(0, 1, 3);
  add(1, 1, 3);
  add(2, 1, 3);
  const auto keys = at_work();
  EXPECT_EQ(std::count_if(keys.begin(), keys.end(), [](const auto& key) { return key.ends_with("of 0"); }), 1);
  EXPECT_EQ(std::count_if(keys.begin(), keys.end(), [](const auto& key) { return key.ends_with("of 1"); }), 2);
  EXPECT_EQ(pool->messages[place_of("1 of 0")].tasks[0].gpus, "5");
  EXPECT_EQ(pool->messages[place_of("1 of 1")].tasks[0].threads, 0);
  end("1 of 0");
  EXPECT_EQ(pool->messages[place_of(at_work().back())].tasks[0].gpus, "5") << "given back and taken again";
}

TEST_F(DispatcherTest, OneTaskIsDroppedAndTheOthersGoOn) {
  begin(1, {lane("a")});
  add(0, 1, 3);
  EXPECT_EQ(at_work(), Keys{"1 of 0"});
  const auto number = pool->messages[0].tasks[0].number;
  dispatcher->drop(execution(0, 1));
  dispatcher->drop(execution(0, 2));
  EXPECT_EQ(pool->cancelled, std::set{number});
  end("1 of 0", failed(ErrorCode::cancelled));
  EXPECT_FALSE(last.wanted);
}

TEST_F(DispatcherTest, WhatIsAskedForAgainWhileItRunsIsNotRunTwice) {
  begin(1, {lane("a")});
  add(0, 1, 2);
  EXPECT_EQ(at_work(), Keys{"1 of 0"});
  dispatcher->reset({lane("a")});
  EXPECT_EQ(dispatcher->queued(0), 0);
  add(0, 1, 1);
  EXPECT_EQ(dispatcher->queued(0), 0);
  end("1 of 0");
  EXPECT_TRUE(last.wanted);
}

TEST_F(DispatcherTest, AStepIsTakenBackWholeWithWhatWaitsForItsNextAttempt) {
  begin(1, {lane("a"), lane("b")});
  add(0, 1, 1);
  EXPECT_EQ(at_work(), Keys{"1 of 0"});
  end("1 of 0", failed(ErrorCode::io));
  add(1, 1, 1);
  EXPECT_EQ(at_work(), Keys{"1 of 1"});
  add(0, 2, 2);
  auto subjects = dispatcher->withdraw(0);
  std::sort(subjects.begin(), subjects.end());
  EXPECT_EQ(subjects, (std::vector{1, 2}));
  EXPECT_EQ(dispatcher->queued(0), 0);
  wait(100);
  end("1 of 1");
  EXPECT_TRUE(at_work().empty());
}

TEST_F(DispatcherTest, WhatRunsInTheBackgroundPausesWhenLiveTasksWaitAndGoesOnAfterThem) {
  begin(2, {{.key = "live"}, {.key = "slow", .background = true, .threads = 1}});
  add(1, 1, 5);
  EXPECT_EQ(at_work(), (std::vector<std::string>{"1 of 1", "2 of 1"}));
  EXPECT_TRUE(pool->asked.empty());
  add(0, 1, 1);
  EXPECT_EQ(at_work().size(), 2u) << "there is no thread yet";
  ASSERT_EQ(pool->asked.size(), 1u) << "one live task, one pause";
  EXPECT_EQ(pool->asked[0], pool->messages[1].tasks[0].number) << "the last started";
  ASSERT_TRUE(dispatcher->next_time().has_value());
  pool->pause_all();
  EXPECT_EQ(at_work().back(), "1 of 0");
  EXPECT_EQ(pool->account().free_threads(), 0);
  EXPECT_TRUE(dispatcher->at_work()[1].paused);
  (void)end("1 of 0");
  EXPECT_EQ(at_work().size(), 2u) << "no third part: the second goes on";
  EXPECT_TRUE(pool->paused.empty());
  EXPECT_EQ(pool->account().free_threads(), 0);
}

TEST_F(DispatcherTest, APauseThatIsNotNeededAnyMoreIsTakenBack) {
  begin(1, {{.key = "live"}, {.key = "slow", .background = true}});
  add(1, 1, 1);
  (void)at_work();
  add(0, 1, 1);
  (void)at_work();
  ASSERT_EQ(pool->asked.size(), 1u);
  (void)dispatcher->withdraw(0);
  (void)at_work();
  EXPECT_TRUE(pool->asked.empty());
}

TEST_F(DispatcherTest, WhereMemoryIsMissingABackgroundTaskEndsAndStartsAgain) {
  estimate_mib = 600;
  begin(4, {{.key = "live"}, {.key = "slow", .background = true, .threads = 1}}, {}, 1000);
  add(1, 1, 1);
  (void)at_work();
  add(0, 1, 1);
  (void)at_work();
  ASSERT_EQ(pool->cancelled.size(), 1u);
  (void)at_work();
  EXPECT_EQ(pool->cancelled.size(), 1u) << "once";
  exec::Result stopped;
  stopped.failed = true;
  stopped.code = ErrorCode::cancelled;
  (void)end("1 of 1", stopped);
  EXPECT_EQ(at_work(), std::vector<std::string>{"1 of 0"}) << "the live one first";
  (void)end("1 of 0");
  EXPECT_EQ(at_work(), std::vector<std::string>{"1 of 1"});
}

TEST_F(DispatcherTest, APlaceElsewhereIsGivenUpForALiveTask) {
  const auto place = std::make_optional(std::pair(std::string("cluster"), 1));
  begin(1, {{.key = "live", .place = place}, {.key = "slow", .background = true, .place = place}});
  add(1, 1, 2);
  EXPECT_EQ(at_work().size(), 1u);
  add(0, 1, 1);
  (void)at_work();
  EXPECT_EQ(pool->cancelled.size(), 1u);
}

TEST_F(DispatcherTest, WhoHadNotBegunIsNotBlamedForADeath) {
  begin(1, {{.key = "live"}});
  add(0, 1, 1);
  (void)at_work();
  auto dead = killed();
  dead.blamed = false;
  (void)end("1 of 0", dead);
  EXPECT_EQ(last.kills.all, 0);
  EXPECT_EQ(at_work(), std::vector<std::string>{"1 of 0"}) << "it starts again at once";
}

}  // namespace
}  // namespace frazil::engine
