// What the engine tells a worker while it runs a task: cancel, yield, resume.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <set>
#include <string>

#include "frazil/exec/frame.hpp"

namespace frazil::exec {

/// Listens on the worker's socket for orders. `check` may be called by all threads of a task.
class Orders {
 public:
  /// @param reader  that of the socket, used by nobody else while a task runs
  Orders(int socket, FrameReader& reader) : socket_(socket), reader_(reader) {}

  /// Looks at what has come, every 20 ms at most; waits while the task has been asked to yield.
  /// @throws Error(cancelled) when the task is no longer wanted, or the engine is gone
  void check(std::uint64_t task);
  /// Whether the task has been asked to yield.
  [[nodiscard]] bool should_yield(std::uint64_t task);
  /// Whether the task is no longer wanted.
  [[nodiscard]] bool is_cancelled(std::uint64_t task);
  /// Sends one message, whole, whichever thread calls. @return false when the engine is gone
  [[nodiscard]] bool send(std::string_view text);
  /// Messages that are no orders: the next tasks.
  [[nodiscard]] std::deque<std::string>& others() { return others_; }
  /// Forgets the orders for tasks that have ended.
  void forget();

 private:
  using Clock = std::chrono::steady_clock;
  void look(bool wait);
  void take(const std::string& text);
  [[nodiscard]] bool unwanted(std::uint64_t task) const { return closed_ || all_ || cancelled_.contains(task); }
  void pause(std::uint64_t task);

  int socket_;
  FrameReader& reader_;
  std::mutex mutex_, sending_;
  std::set<std::uint64_t> cancelled_, yielding_;
  std::deque<std::string> others_;
  bool all_ = false, closed_ = false;
  std::atomic<Clock::time_point> last_{Clock::time_point{}};
};

}  // namespace frazil::exec
