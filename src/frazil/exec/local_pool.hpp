// The local executor: long-lived worker processes on this machine, with threads and memory of the budget reserved for
// each task. Nothing here waits for a worker: not for its taking a message, and not for its end.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frazil/exec/budget.hpp"
#include "frazil/exec/messages.hpp"
#include "frazil/exec/task.hpp"

namespace frazil::exec {

struct PoolSettings {
  std::vector<std::string> worker_command;  ///< program and arguments that end in exec::run_worker
  std::filesystem::path project;
  std::shared_ptr<Budget> budget;  ///< of this machine
  double patience_s = 2;           ///< a killed worker that has not ended after so long is left to itself
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
  /// Readable (as in poll) when `collect` has something to do; beside that it wants to be called once a second.
  [[nodiscard]] int descriptor() const { return epoll_; }
  /// The tasks that have ended, by result or by the death of their worker. Does not wait.
  [[nodiscard]] std::vector<Result> collect();
  /// Asks running tasks to stop; they end with code `cancelled` when their protocol looks.
  void cancel();
  /// The same of one task. @return false if it is not here
  bool cancel(std::uint64_t task);
  /// Asks a task to pause; when it does, its threads are given back and its memory stays reserved. One that does not
  /// look within a second is stopped by the kernel; a task that hands its work on to other machines goes on.
  void pause(std::uint64_t task);
  /// Lets a paused task go on, with its threads reserved again.
  void resume(std::uint64_t task);
  [[nodiscard]] bool is_paused(std::uint64_t task) const;
  /// How far running tasks have come, by number: those that tell.
  [[nodiscard]] const std::map<std::uint64_t, Progress>& progress() const { return progress_; }
  /// Kills all workers, and waits for their end as long as it has patience.
  void kill();

 private:
  struct Worker;
  using Workers = std::map<std::uint64_t, std::unique_ptr<Worker>>;
  Worker& idle_worker();
  Worker& spawn();
  Worker* worker_of(std::uint64_t task) const;
  void watch(Worker& worker) const;
  void tell(Worker& worker, const std::string& text);
  void look_for_room(Worker& worker) const;
  void read(Worker& worker, std::vector<Result>& results);
  void take(Worker& worker, const std::string& text, std::vector<Result>& results);
  void doom(Worker& worker) const;
  [[nodiscard]] bool bury(Worker& worker, std::vector<Result>& results);
  void report_lost(Worker& worker, const std::string& how, std::vector<Result>& results);
  void release(Worker& worker, std::uint64_t task);
  void set_paused(Worker& worker, bool paused);
  void look_after();

  PoolSettings settings_;
  Workers workers_;              ///< by an id of their own
  std::vector<pid_t> left_;      ///< killed, and not ended yet
  std::vector<Result> refused_;  ///< tasks that could not be sent
  std::map<std::uint64_t, Progress> progress_;
  Budget::Account account_;
  std::uint64_t next_id_ = 1;
  int epoll_ = -1, running_ = 0;
};

}  // namespace frazil::exec
