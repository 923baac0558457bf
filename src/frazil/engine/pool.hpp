// Where a dispatcher's tasks run: worker processes of this machine, or what a test puts in their place.
#pragma once

#include <cstdint>
#include <vector>

#include "frazil/exec/budget.hpp"
#include "frazil/exec/local_pool.hpp"
#include "frazil/exec/task.hpp"

namespace frazil::engine {

class Pool {
 public:
  virtual ~Pool() = default;
  /// What tasks here may use of the machine.
  virtual exec::Budget::Account& account() = 0;
  [[nodiscard]] virtual int threads() const = 0;
  /// Messages without all their results.
  [[nodiscard]] virtual int running() const = 0;
  /// Hands the tasks to one worker, which runs them one after another. @throws Error(resource) if there is none
  virtual void start(const std::vector<exec::Task>& tasks) = 0;
  /// The tasks that have ended, by result or by the death of their worker. Does not wait.
  [[nodiscard]] virtual std::vector<exec::Result> collect() = 0;
  /// Asks one task to stop; it ends with code `cancelled` when its protocol looks.
  virtual void cancel(std::uint64_t task) = 0;
  /// Asks one task to pause; within a second or so its threads are free for others. Its memory stays reserved.
  virtual void pause(std::uint64_t task) = 0;
  virtual void resume(std::uint64_t task) = 0;
  [[nodiscard]] virtual bool is_paused(std::uint64_t task) const = 0;
};

/// Worker processes of this machine.
class LocalWorkers final : public Pool {
 public:
  explicit LocalWorkers(exec::PoolSettings settings) : pool_(std::move(settings)) {}
  exec::Budget::Account& account() override { return pool_.account(); }
  [[nodiscard]] int threads() const override { return pool_.threads(); }
  [[nodiscard]] int running() const override { return pool_.running(); }
  void start(const std::vector<exec::Task>& tasks) override { pool_.start(tasks); }
  [[nodiscard]] std::vector<exec::Result> collect() override { return pool_.collect(); }
  void cancel(std::uint64_t task) override { (void)pool_.cancel(task); }
  void pause(std::uint64_t task) override { pool_.pause(task); }
  void resume(std::uint64_t task) override { pool_.resume(task); }
  [[nodiscard]] bool is_paused(std::uint64_t task) const override { return pool_.is_paused(task); }
  /// The processes themselves.
  [[nodiscard]] exec::LocalPool& processes() { return pool_; }

 private:
  exec::LocalPool pool_;
};

}  // namespace frazil::engine
