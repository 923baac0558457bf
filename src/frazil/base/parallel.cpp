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
#include <vector>

namespace frazil {
namespace {

/// One loop in flight: helpers of the pool and the caller take indices until none is left.
struct Loop {
  std::size_t count;
  const std::function<void(std::size_t, int)>* body;
  std::atomic<std::size_t> next{0};
  std::atomic<int> slots{0};
  std::mutex mutex;
  std::condition_variable idle;
  int active = 0;
  std::size_t failed_index = std::numeric_limits<std::size_t>::max();
  std::exception_ptr failure;

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
    wake_.notify_all();
  }

 private:
  void serve(const std::stop_token& stop) {
    for (;;) {
      std::shared_ptr<Loop> loop;
      {
        std::unique_lock lock(mutex_);
        if (!wake_.wait(lock, stop, [this] { return !queue_.empty(); })) return;
        loop = queue_.back();
        queue_.pop_back();
      }
      {
        const std::lock_guard lock(loop->mutex);
        if (loop->next.load() >= loop->count) continue;
        ++loop->active;
      }
      loop->work();
      const std::lock_guard lock(loop->mutex);
      if (--loop->active == 0) loop->idle.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any wake_;
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
  Pool::instance().offer(loop, static_cast<int>(helpers) - 1);
  loop->work();
  std::unique_lock lock(loop->mutex);
  loop->idle.wait(lock, [&] { return loop->active == 0; });
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
