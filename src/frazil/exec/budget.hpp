// Threads, memory and GPUs of one machine, shared fairly by the engines of one process.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace frazil::exec {

/// What there is, and who has how much of it. Used from the threads of all engines.
class Budget {
 public:
  /// @param threads     never more in use at once
  /// @param memory_mib  never more reserved at once, except by one task running alone
  /// @param gpus        numbers as CUDA_VISIBLE_DEVICES wants them
  Budget(int threads, int memory_mib, std::vector<std::string> gpus = {})
      : threads_(threads), memory_mib_(memory_mib), gpus_(std::move(gpus)) {}

  [[nodiscard]] int threads() const { return threads_; }

  /// One engine's part. Whoever wants more and has had the least thread time while others worked comes next.
  class Account {
   public:
    explicit Account(std::shared_ptr<Budget> budget);
    ~Account();
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    /// Threads that this account may take now: none while it is another's turn.
    [[nodiscard]] int free_threads() const;
    /// True if a task of this size may start now.
    [[nodiscard]] bool fits(int threads, int memory_mib) const;
    /// True if nothing runs, in no engine.
    [[nodiscard]] bool is_unused() const;
    [[nodiscard]] int free_gpus() const;
    void take(int threads, int memory_mib);
    void give_back(int threads, int memory_mib);
    [[nodiscard]] std::vector<std::string> take_gpus(int count);
    void give_back_gpus(const std::vector<std::string>& gpus);
    /// Tells whether tasks of this account wait for room.
    void wants(bool more);
    /// Readable when there may be room for what this account wants.
    [[nodiscard]] int descriptor() const { return event_; }
    /// Makes the descriptor silent until the next time.
    void woken() const;

   private:
    friend class Budget;
    std::shared_ptr<Budget> budget_;
    int event_ = -1, threads_ = 0, memory_mib_ = 0;
    bool wants_ = false;
    double served_s_ = 0;  ///< thread time
    std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  };

 private:
  [[nodiscard]] bool is_turn_of(const Account& account);
  void count(Account& account) const;
  void wake(const Account& but) const;

  const int threads_, memory_mib_;
  std::mutex mutex_;
  std::vector<std::string> gpus_;  ///< free ones
  std::vector<Account*> accounts_;
  int used_threads_ = 0, used_mib_ = 0;
};

}  // namespace frazil::exec
