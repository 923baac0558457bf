// The local executor: long-lived worker processes on this machine, with threads and memory of the budget reserved for
// each task.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "frazil/exec/budget.hpp"
#include "frazil/exec/frame.hpp"
#include "frazil/exec/task.hpp"

namespace frazil::exec {

struct PoolSettings {
  std::vector<std::string> worker_command;  ///< program and arguments that end in exec::run_worker
  std::filesystem::path project;
  std::shared_ptr<Budget> budget;  ///< of this machine
};

/// Starts workers as needed. Used from one thread; workers end with the thread that started them.
class LocalPool {
 public:
  explicit LocalPool(PoolSettings settings);
  ~LocalPool();
  LocalPool(const LocalPool&) = delete;
  LocalPool& operator=(const LocalPool&) = delete;

  /// What tasks here may use of the machine.
  [[nodiscard]] Budget::Account& account() { return account_; }
  [[nodiscard]] int running() const { return running_; }
  [[nodiscard]] int threads() const { return settings_.budget->threads(); }
  /// Hands the tasks to one idle worker, or a new one, which runs them one after another; all take as many threads.
  /// If it dies, all whose results have not come count as killed. @throws Error(resource) if no process can be started
  void start(const std::vector<Task>& tasks);
  /// Readable (as in poll) when `collect` has something to do.
  [[nodiscard]] int descriptor() const { return epoll_; }
  /// The tasks that have ended, by result or by the death of their worker. Does not wait.
  [[nodiscard]] std::vector<Result> collect();
  /// Asks running tasks to stop; they end with code `cancelled` when their protocol looks.
  void cancel();
  /// Kills all workers and waits for them.
  void kill();
  [[nodiscard]] std::vector<pid_t> processes() const;

 private:
  struct Worker;
  Worker& idle_worker();
  void reap(Worker& worker, std::vector<Result>& results);
  void release(Worker& worker, std::uint64_t task);

  PoolSettings settings_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Budget::Account account_;
  int epoll_ = -1, running_ = 0;
};

}  // namespace frazil::exec
