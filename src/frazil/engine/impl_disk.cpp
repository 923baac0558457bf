// A disk that fills up stops the work, not the acquisition.
#include <sys/statvfs.h>

#include <algorithm>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/no_space.hpp"
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

Error Engine::Impl::last_words(const Error& error) const {
  if (dynamic_cast<const NoSpace*>(&error) == nullptr) return error;
  return {ErrorCode::resource,
          "the disk of {} is full: free some space and give the same command again, nothing is lost ({})",
          options_.project.string(), error.what()};
}

/// Nothing starts for a while, and then only if there is space.
void Engine::Impl::wait_for_disk(const std::string& message, bool is_full) {
  const bool is_new = disk_problem_.empty();
  disk_until_ = Clock::now() + std::chrono::seconds(disk_pause_s_);
  disk_pause_s_ = std::min(2 * disk_pause_s_, 300);
  disk_problem_ = is_full ? fmt::format("the disk of {} is full, the work goes on when there is space again ({})",
                                        options_.project.string(), message)
                          : fmt::format("{} cannot be written, the work goes on when that works again ({})",
                                        options_.project.string(), message);
  if (is_new) log::warning("{}", disk_problem_);
}

/// Something could not be written. What has been done since the last commit is not in the store, so nothing may be
/// built on it: it is dropped, and `regain` reads the store again when it can be written.
/// @throws the error, if waiting does not help
void Engine::Impl::lose(const Error& error) {
  ledger_.rollback();
  dirty_since_.reset();
  if (!is_transient(error.code()) || dynamic_cast<const Fenced*>(&error) != nullptr) throw;
  lost_ = true;
  wait_for_disk(error.what(), dynamic_cast<const NoSpace*>(&error) != nullptr);
}

/// Tries whether the store can be written, and goes on from what it holds. @return false if it cannot yet
bool Engine::Impl::regain() {
  if (Clock::now() < disk_until_) return false;
  try {
    ledger_.add_event("engine", "", "", "the project can be written again");
    commit();
    intake_->stop();
    intake_ = std::make_unique<Intake>(ledger_.plan().steps.size());
    watch_descriptor(epoll_, intake_->descriptor());
    load();
    start_sources();
    commit();
  } catch (const Error& error) {
    lose(error);
    return false;
  }
  lost_ = false;
  disk_problem_.clear();
  log::info("{}: can be written again, the work goes on", options_.project.string());
  return true;
}

/// Files that parameters name (a gain reference on a network mount) may go away, and come back.
void Engine::Impl::watch_named_files() {
  const auto now = Clock::now();
  if (now < next_files_) return;
  next_files_ = now + std::chrono::seconds(1);
  std::vector<std::string> missing;
  std::error_code ignored;
  for (const auto& [place, file] : flow::named_files(ledger_.plan()))
    if (!fs::exists(file, ignored) && std::find(missing.begin(), missing.end(), file) == missing.end())
      missing.push_back(file);
  for (const auto& file : missing)
    if (std::find(missing_files_.begin(), missing_files_.end(), file) == missing_files_.end())
      log::warning("{} is not there any more: what needs it waits and is tried again", file);
  for (const auto& file : missing_files_)
    if (std::find(missing.begin(), missing.end(), file) == missing.end()) log::info("{} is there again", file);
  missing_files_ = std::move(missing);
}

/// Stops starting tasks before the disk is full, so that what runs can be kept.
void Engine::Impl::watch_disk() {
  const auto now = Clock::now();
  if (now < next_disk_) return;
  next_disk_ = now + std::chrono::seconds(1);
  const auto free = free_disk_mib_ = free_disk_mib(options_.project);
  const bool is_low = free >= 0 && free < options_.disk_reserve_mib;
  if (is_low && disk_problem_.empty()) {
    disk_problem_ =
        fmt::format("the disk of {} has {} MiB left; the work goes on when there are {} MiB again (--disk-reserve)",
                    options_.project.string(), free, options_.disk_reserve_mib);
    log::warning("{}", disk_problem_);
  } else if (!is_low && !lost_ && !disk_problem_.empty() && now >= disk_until_) {
    disk_problem_.clear();
    log::info("{}: there is space again, the work goes on", options_.project.string());
  }
}

}  // namespace frazil::engine
