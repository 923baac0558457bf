#include "frazil/exec/budget.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace frazil::exec {

using Clock = std::chrono::steady_clock;

// ---- with the lock held -----------------------------------------------------------------------------------------

/// Brings an account's thread time up to now.
void Budget::count(Account& account) const {
  const auto now = Clock::now();
  account.served_s_ += account.threads_ * std::chrono::duration<double>(now - account.since_).count();
  account.since_ = now;
}

bool Budget::is_turn_of(const Account& account) {
  for (auto* other : accounts_) count(*other);
  return std::none_of(accounts_.begin(), accounts_.end(), [&](const Account* other) {
    return other != &account && other->wants_ && other->served_s_ < account.served_s_;
  });
}

void Budget::wake(const Account& but) const {
  for (const auto* other : accounts_)
    if (other != &but && other->wants_) ::eventfd_write(other->event_, 1);
}

// ---- for everybody ----------------------------------------------------------------------------------------------

Budget::Account::Account(std::shared_ptr<Budget> budget)
    : budget_(std::move(budget)), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  const std::lock_guard lock(budget_->mutex_);
  budget_->accounts_.push_back(this);
}

Budget::Account::~Account() {
  {
    const std::lock_guard lock(budget_->mutex_);
    budget_->used_threads_ -= threads_;
    budget_->used_mib_ -= memory_mib_;
    std::erase(budget_->accounts_, this);
    budget_->wake(*this);
  }
  ::close(event_);
}

int Budget::Account::free_threads() const {
  const std::lock_guard lock(budget_->mutex_);
  return budget_->is_turn_of(*this) ? budget_->threads_ - budget_->used_threads_ : 0;
}

bool Budget::Account::fits(int threads, int memory_mib) const {
  const std::lock_guard lock(budget_->mutex_);
  if (!budget_->is_turn_of(*this)) return false;
  if (budget_->used_threads_ == 0) return true;
  return budget_->used_threads_ + threads <= budget_->threads_ &&
         budget_->used_mib_ + memory_mib <= budget_->memory_mib_;
}

bool Budget::Account::is_unused() const {
  const std::lock_guard lock(budget_->mutex_);
  return budget_->used_threads_ == 0;
}

int Budget::Account::free_gpus() const {
  const std::lock_guard lock(budget_->mutex_);
  return static_cast<int>(budget_->gpus_.size());
}

void Budget::Account::take(int threads, int memory_mib) {
  const std::lock_guard lock(budget_->mutex_);
  budget_->count(*this);
  threads_ += threads;
  memory_mib_ += memory_mib;
  budget_->used_threads_ += threads;
  budget_->used_mib_ += memory_mib;
}

void Budget::Account::give_back(int threads, int memory_mib) {
  const std::lock_guard lock(budget_->mutex_);
  budget_->count(*this);
  threads_ -= threads;
  memory_mib_ -= memory_mib;
  budget_->used_threads_ -= threads;
  budget_->used_mib_ -= memory_mib;
  budget_->wake(*this);
}

std::vector<std::string> Budget::Account::take_gpus(int count) {
  const std::lock_guard lock(budget_->mutex_);
  const auto end =
      budget_->gpus_.begin() + std::min<std::ptrdiff_t>(count, static_cast<std::ptrdiff_t>(budget_->gpus_.size()));
  std::vector<std::string> taken(budget_->gpus_.begin(), end);
  budget_->gpus_.erase(budget_->gpus_.begin(), end);
  return taken;
}

void Budget::Account::give_back_gpus(const std::vector<std::string>& gpus) {
  const std::lock_guard lock(budget_->mutex_);
  budget_->gpus_.insert(budget_->gpus_.end(), gpus.begin(), gpus.end());
  if (!gpus.empty()) budget_->wake(*this);
}

void Budget::Account::wants(bool more) {
  const std::lock_guard lock(budget_->mutex_);
  if (std::exchange(wants_, more) == more) return;
  if (!more) return budget_->wake(*this);  // it may be the turn of others now
  // Idle time is not saved up: who comes back, or is new, stands level with those at work.
  double least_s = std::numeric_limits<double>::infinity();
  for (auto* other : budget_->accounts_) {
    budget_->count(*other);
    if (other != this && (other->wants_ || other->threads_ > 0)) least_s = std::min(least_s, other->served_s_);
  }
  if (!std::isinf(least_s)) served_s_ = std::max(served_s_, least_s);
}

void Budget::Account::woken() const {
  eventfd_t count = 0;
  ::eventfd_read(event_, &count);
}

}  // namespace frazil::exec
