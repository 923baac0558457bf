// A disk that fills up stops the work, not the acquisition.
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

/// MiB that this user may still write; −1 if nobody says.
std::int64_t free_disk_mib(const fs::path& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) return -1;
  return static_cast<std::int64_t>(info.f_bavail) * static_cast<std::int64_t>(info.f_frsize) / (1 << 20);
}

}  // namespace

/// True if an error that said this came from a disk or quota with no space left.
bool Engine::Impl::disk_is_full(const std::string& message) const {
  for (const int error : {ENOSPC, EDQUOT})
    if (message.find(std::strerror(error)) != std::string::npos) return true;
  if (message.find("disk is full") != std::string::npos) return true;  // SQLite's words
  const auto free = free_disk_mib(options_.project);
  return free >= 0 && free < 1;
}

Error Engine::Impl::last_words(const Error& error) const {
  if (!disk_is_full(error.what())) return error;
  return {ErrorCode::resource,
          "the disk of {} is full: free some space and give the same command again, nothing is lost ({})",
          options_.project.string(), error.what()};
}

/// Nothing starts for a while, and then only if there is space.
void Engine::Impl::wait_for_disk(const std::string& message) {
  if (!disk_problem_.empty()) return;
  disk_until_ = Clock::now() + std::chrono::seconds(disk_pause_s_);
  disk_pause_s_ = std::min(2 * disk_pause_s_, 300);
  disk_problem_ = fmt::format("the disk of {} is full, the work goes on when there is space again ({})",
                              options_.project.string(), message);
  log::warning("{}", disk_problem_);
}

/// Stops starting tasks before the disk is full, so that what runs can be kept.
void Engine::Impl::watch_disk() {
  const auto now = Clock::now();
  if (now < next_disk_) return;
  next_disk_ = now + std::chrono::seconds(1);
  const auto free = free_disk_mib(options_.project);
  const bool is_low = free >= 0 && free < options_.disk_reserve_mib;
  if (is_low && disk_problem_.empty()) {
    disk_problem_ =
        fmt::format("the disk of {} has {} MiB left; the work goes on when there are {} MiB again (--disk-reserve)",
                    options_.project.string(), free, options_.disk_reserve_mib);
    log::warning("{}", disk_problem_);
  } else if (!is_low && !disk_problem_.empty() && now >= disk_until_) {
    disk_problem_.clear();
    log::info("{}: there is space again, the work goes on", options_.project.string());
  }
}

}  // namespace frazil::engine
