#include "frazil/cli/interruption.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "frazil/base/error.hpp"
#include "frazil/cli/command.hpp"

namespace frazil::cli {
namespace {

constexpr int signals[2] = {SIGINT, SIGTERM};
volatile std::sig_atomic_t times_asked = 0;

void note(int) { times_asked = times_asked + 1; }

}  // namespace

Interruption::Interruption(double grace_s) : grace_s_(grace_s) {
  times_asked = 0;
  for (int i = 0; i < 2; ++i) before_[i] = std::signal(signals[i], note);
  watcher_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

Interruption::~Interruption() {
  watcher_.request_stop();
  watcher_.join();
  for (int i = 0; i < 2; ++i) std::signal(signals[i], before_[i]);
}

bool Interruption::asked() { return times_asked != 0; }

void Interruption::check() {
  if (asked()) throw Error(ErrorCode::cancelled, "interrupted");
}

void Interruption::will_remove(const std::filesystem::path& folder) {
  const std::lock_guard lock(mutex_);
  folders_.push_back(folder);
}

void Interruption::keep(const std::filesystem::path& folder) {
  const std::lock_guard lock(mutex_);
  std::erase(folders_, folder);
}

void Interruption::watch(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  auto until = Clock::time_point::max();
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (times_asked == 0) continue;
    if (until == Clock::time_point::max())
      until = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(grace_s_));
    if (times_asked > 1 || Clock::now() > until) end_here();
  }
}

/// With the computing threads still at work: nothing of theirs is touched but the folders.
void Interruption::end_here() {
  const std::lock_guard lock(mutex_);
  std::error_code ignored;
  for (const auto& folder : folders_) std::filesystem::remove_all(folder, ignored);
  ::_exit(interrupted);
}

}  // namespace frazil::cli
