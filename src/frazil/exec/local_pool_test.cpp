#include "frazil/exec/local_pool.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "frazil/base/files.hpp"

namespace frazil::exec {
namespace {

using Clock = std::chrono::steady_clock;

class PoolTest : public ::testing::Test {
 protected:
  PoolTest() {
    make_folders(folder_ / "logs");
    make_folders(folder_ / "tmp");
    pool_.emplace(PoolSettings{{FRAZIL_TEST_WORKER}, folder_, budget_, 0.3});
  }
  ~PoolTest() override {
    pool_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  static Task task(std::uint64_t number, const std::string& params) {
    Task made;
    made.number = number;
    made.protocol = "act";
    made.params = params;
    made.inputs = {{"texts", {R"({"text": "hello"})"}}};
    made.temporary = fmt::format("tmp/{}", number);
    made.reference = fmt::format("steps/act/{}", number);
    made.memory_mib = 100;
    return made;
  }
  /// Results that come within a time, until so many are there.
  std::vector<Result> collect(std::size_t count, double limit_s = 20) {
    auto all = std::exchange(early_, {});
    const auto until = Clock::now() + std::chrono::duration<double>(limit_s);
    while (all.size() < count && Clock::now() < until) {
      for (auto& result : pool_->collect()) all.push_back(std::move(result));
      pollfd file{pool_->descriptor(), POLLIN, 0};
      if (all.size() < count) ::poll(&file, 1, 50);
    }
    return all;
  }
  void wait_for(const std::function<bool()>& condition) {
    for (int i = 0; i < 400 && !condition(); ++i) {
      for (auto& result : pool_->collect()) early_.push_back(std::move(result));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_TRUE(condition());
  }
  /// Process of the only worker, once it is at work.
  static pid_t worker() {
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", ::getpid()));
    pid_t process = 0;
    for (pid_t next = 0; children >> next;) process = next;
    return process;
  }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / fmt::format("frazil-pool-{}", ::getpid());
  std::shared_ptr<Budget> budget_ = std::make_shared<Budget>(2, 1000);
  std::optional<LocalPool> pool_;
  std::vector<Result> early_;  ///< those that came before anybody collected them
};

TEST_F(PoolTest, RunsTasksAndLoadsOnceWhatManyNeed) {
  pool_->start({task(1, "{}"), task(2, "{}")});
  const auto first = collect(2);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_FALSE(first[0].failed) << first[0].message;
  pool_->start({task(3, "{}")});
  const auto second = collect(1);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(first[0].outputs, second[0].outputs) << "what the worker loaded it still has";
  EXPECT_EQ(pool_->running(), 0);
  EXPECT_EQ(pool_->account().free_threads(), 2);
}

TEST_F(PoolTest, ATaskComputesOnTheDeviceThatItNamesAndSaysSo) {
  auto on_abacus = task(2, "{}"), nowhere = task(3, "{}");
  on_abacus.device = "abacus";
  nowhere.device = "quantum";
  pool_->start({task(1, "{}"), on_abacus, nowhere});
  auto results = collect(3);
  ASSERT_EQ(results.size(), 3u);
  std::sort(results.begin(), results.end(), [](const Result& a, const Result& b) { return a.number < b.number; });
  EXPECT_EQ(results[1].outputs.at(0).second.at(0), R"({"text":"hello from the abacus"})");
  EXPECT_EQ(results[1].target, "abacus " + results[0].target);
  EXPECT_TRUE(results[2].failed);
  EXPECT_EQ(results[2].code, ErrorCode::unsupported);
  EXPECT_EQ(results[2].message, "act computes on cpu, abacus, not on \"quantum\"");
}

TEST_F(PoolTest, OnlyTheTaskUnderWayIsBlamedForTheDeathOfItsWorker) {
  pool_->start({task(1, "{}"), task(2, R"({"steps": 5})"), task(3, R"({"dies": true})"), task(4, "{}")});
  const auto results = collect(4);
  ASSERT_EQ(results.size(), 4u);
  for (const auto& result : results) {
    SCOPED_TRACE(result.number);
    EXPECT_EQ(result.killed && result.blamed, result.number == 3) << result.message;
    EXPECT_TRUE(result.number != 4 || result.killed);
  }
}

TEST_F(PoolTest, OneTaskIsCancelledAndTheOthersGoOn) {
  pool_->start({task(1, R"({"steps": 2000})"), task(2, "{}")});
  pool_->start({task(3, R"({"steps": 30})")});
  wait_for([&] { return pool_->progress().contains(1); });
  EXPECT_FALSE(pool_->cancel(7));
  EXPECT_TRUE(pool_->cancel(1));
  auto results = collect(3);
  ASSERT_EQ(results.size(), 3u);
  for (const auto& result : results) EXPECT_EQ(result.failed, result.number == 1) << result.number;
  const auto cancelled = std::find_if(results.begin(), results.end(), [](const auto& r) { return r.number == 1; });
  EXPECT_EQ(cancelled->code, ErrorCode::cancelled);
}

TEST_F(PoolTest, TellsHowFarATaskIs) {
  pool_->start({task(1, R"({"steps": 150})")});
  wait_for([&] { return pool_->progress().contains(1); });
  EXPECT_GT(pool_->progress().at(1).fraction, 0.1);
  EXPECT_EQ(pool_->progress().at(1).what, "steps");
  EXPECT_EQ(collect(1).size(), 1u);
  EXPECT_TRUE(pool_->progress().empty());
}

TEST_F(PoolTest, APausedTaskGivesItsThreadsBackAndGoesOnWhereItWas) {
  pool_->start({task(1, R"({"steps": 100})")});
  wait_for([&] { return pool_->progress().contains(1); });
  EXPECT_EQ(pool_->account().free_threads(), 1);
  pool_->pause(1);
  wait_for([&] { return pool_->is_paused(1); });
  EXPECT_EQ(pool_->account().free_threads(), 2);
  EXPECT_TRUE(collect(1, 1.5).empty()) << "it would have ended by now";
  pool_->resume(1);
  EXPECT_EQ(pool_->account().free_threads(), 1);
  const auto results = collect(1);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_FALSE(results[0].failed);
  EXPECT_EQ(pool_->account().free_threads(), 2);
}

TEST_F(PoolTest, ATaskThatDoesNotLookAtOrdersIsPausedAllTheSame) {
  pool_->start({task(1, R"({"steps": 200, "deaf": true})")});
  wait_for([&] { return pool_->progress().contains(1); });
  pool_->pause(1);
  wait_for([&] { return pool_->is_paused(1); });
  EXPECT_TRUE(collect(1, 2.5).empty());
  pool_->resume(1);
  EXPECT_EQ(collect(1).size(), 1u);
}

TEST_F(PoolTest, APausedTaskCanBeCancelled) {
  pool_->start({task(1, R"({"steps": 2000})")});
  wait_for([&] { return pool_->progress().contains(1); });
  pool_->pause(1);
  wait_for([&] { return pool_->is_paused(1); });
  EXPECT_TRUE(pool_->cancel(1));
  const auto results = collect(1);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].code, ErrorCode::cancelled);
  EXPECT_EQ(pool_->account().free_threads(), 2);
}

/// A process that is traced by another has no end that its parent could wait for, like one that sleeps in the kernel.
class Tracer {
 public:
  explicit Tracer(pid_t traced) : traced_(traced), process_(::fork()) {
    if (process_ != 0) return;
    if (::ptrace(PTRACE_SEIZE, traced, nullptr, nullptr) != 0) ::_exit(1);
    while (true) ::pause();
  }
  ~Tracer() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    ::waitpid(traced_, nullptr, WNOHANG);
  }
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

 private:
  pid_t traced_, process_;
};

bool is_traced(pid_t process) {
  std::ifstream status(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("TracerPid:")) return line.back() != '0' || line.size() > 12;
  return false;
}

TEST_F(PoolTest, AWorkerThatDoesNotEndWhenKilledHoldsUpNothing) {
  pool_->start({task(1, R"({"steps": 10000})")});
  wait_for([&] { return pool_->progress().contains(1); });
  const pid_t process = worker();
  const Tracer tracer(process);
  wait_for([&] { return is_traced(process); });
  ::kill(process, SIGKILL);
  auto start = Clock::now();
  const auto results = collect(1, 5);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(3));
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(results[0].killed);
  EXPECT_NE(results[0].message.find("does not end"), std::string::npos) << results[0].message;
  pool_->start({task(2, "{}")});
  EXPECT_EQ(collect(1).size(), 1u) << "others go on";
}

TEST_F(PoolTest, StopDoesNotWaitForAWorkerThatDoesNotEnd) {
  pool_->start({task(1, R"({"steps": 10000})")});
  wait_for([&] { return pool_->progress().contains(1); });
  const pid_t process = worker();
  const Tracer tracer(process);
  wait_for([&] { return is_traced(process); });
  const auto start = Clock::now();
  pool_->kill();
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2));
  EXPECT_EQ(pool_->account().free_threads(), 2);
}

TEST_F(PoolTest, AStoppedWorkerDoesNotBlockWhoSendsItAMessage) {
  pool_->start({task(1, "{}")});
  ASSERT_EQ(collect(1).size(), 1u);
  const pid_t process = worker();
  ::kill(process, SIGSTOP);
  auto large = task(2, "{}");
  large.inputs = {{"texts", {R"({"text": ")" + std::string(50 << 20, 'x') + R"("})"}}};
  const auto start = Clock::now();
  pool_->start({large});
  EXPECT_TRUE(pool_->collect().empty());
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2));
  ::kill(process, SIGCONT);
  const auto results = collect(1);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_FALSE(results[0].failed) << results[0].message;
  EXPECT_GT(results[0].outputs.at(0).second.at(0).size(), std::size_t{50} << 20);
}

TEST_F(PoolTest, MemoryThatRunsOutIsAFailureOfTheTask) {
  pool_->start({task(1, R"({"throws": true})")});
  const auto results = collect(1);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].code, ErrorCode::resource);
}

TEST_F(PoolTest, AWorkerThatBabblesIsEnded) {
  pool_.emplace(
      PoolSettings{{"/bin/sh", "-c", "printf 'nonsense, and much of it' >&3; exec sleep 100"}, folder_, budget_, 0.3});
  pool_->start({task(1, "{}")});
  const auto results = collect(1, 5);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(results[0].killed);
}

}  // namespace
}  // namespace frazil::exec
