#include "frazil/base/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <fstream>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace frazil {
namespace {

/// One loop in flight: helpers of the pool and the caller take indices until none is left.
struct Loop {
  std::size_t count;
  const std::function<void(std::size_t, int)>* body;
  std::shared_ptr<Loop> outer;  ///< the one whose body started it
  int helpers = 0;              ///< at work; guarded by the pool's mutex
  std::atomic<std::size_t> next{0};
  std::atomic<int> slots{0};
  std::mutex mutex;  ///< of the failure
  std::size_t failed_index = std::numeric_limits<std::size_t>::max();
  std::exception_ptr failure;

  [[nodiscard]] bool exhausted() const { return next.load() >= count; }
  [[nodiscard]] bool is_inside(const Loop* other) const {
    const Loop* loop = outer.get();
    while (loop != nullptr && loop != other) loop = loop->outer.get();
    return loop != nullptr;
  }

  void work() {
    const int slot = slots.fetch_add(1);
    for (std::size_t i; (i = next.fetch_add(1)) < count;) {
      try {
        (*body)(i, slot);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < failed_index) {
          failed_index = i;
          failure = std::current_exception();
        }
        next.store(count);
      }
    }
  }
};

/// The loop whose body this thread runs.
thread_local std::shared_ptr<Loop> current;

void work_on(const std::shared_ptr<Loop>& loop) {
  const auto before = std::exchange(current, loop);
  loop->work();
  current = before;
}

/// Threads that wait for loops; grows to the largest number ever asked for.
class Pool {
 public:
  static Pool& instance() {
    static Pool pool;
    return pool;
  }

  void offer(const std::shared_ptr<Loop>& loop, int helpers) {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(threads_.size()) < helpers)
      threads_.emplace_back([this](const std::stop_token& stop) { serve(stop); });
    for (int i = 0; i < helpers; ++i) queue_.push_back(loop);
    changed_.notify_all();
  }

  /// Returns when the last helper has left the loop, which has no indices left. Meanwhile it helps those loops that
  /// their bodies wait for, and no others: those may want what this thread's caller holds.
  void finish(const Loop& loop) {
    std::unique_lock lock(mutex_);
    while (loop.helpers > 0) {
      const auto inner = std::find_if(queue_.rbegin(), queue_.rend(), [&](const auto& queued) {
        return !queued->exhausted() && queued->is_inside(&loop);
      });
      if (inner == queue_.rend()) {
        changed_.wait(lock);
        continue;
      }
      const auto taken = *inner;
      queue_.erase(std::next(inner).base());
      help(taken, lock);
    }
  }

 private:
  void serve(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return !queue_.empty(); })) {
      const auto loop = queue_.back();
      queue_.pop_back();
      if (!loop->exhausted()) help(loop, lock);
    }
  }

  void help(const std::shared_ptr<Loop>& loop, std::unique_lock<std::mutex>& lock) {
    ++loop->helpers;
    lock.unlock();
    work_on(loop);
    lock.lock();
    if (--loop->helpers == 0) changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::shared_ptr<Loop>> queue_;
  std::vector<std::jthread> threads_;
};

}  // namespace

void parallel_for_slots(int threads, std::size_t count, const std::function<void(std::size_t, int)>& body) {
  const auto helpers = std::min<std::size_t>(static_cast<std::size_t>(std::max(threads, 1)), count);
  if (helpers <= 1) {
    for (std::size_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  const auto loop = std::make_shared<Loop>();
  loop->count = count;
  loop->body = &body;
  loop->outer = current;
  Pool::instance().offer(loop, static_cast<int>(helpers) - 1);
  work_on(loop);
  Pool::instance().finish(*loop);
  if (loop->failure) std::rethrow_exception(loop->failure);
}

void parallel_for(int threads, std::size_t count, const std::function<void(std::size_t)>& body) {
  parallel_for_slots(threads, count, [&](std::size_t i, int) { body(i); });
}

int available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0)
    cpus = std::min(cpus, std::max(1, static_cast<int>(std::ceil(std::stod(quota) / period))));
  return std::max(cpus, 1);
}

}  // namespace frazil
