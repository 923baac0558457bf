// A disk that fills up stops the work, not the acquisition; and what kills have left on it goes.
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

/// "mic_0001_0a1b2c3d": made by a task.
bool is_task_folder(const std::string& name) {
  if (name.size() < 10 || name[name.size() - 9] != '_') return false;
  return name.find_last_not_of("0123456789abcdef") == name.size() - 9;
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

/// Removes output folders that no stored task owns: renamed, but their task not committed before a kill.
void Engine::Impl::sweep_outputs() {
  std::vector<fs::path> left;
  for (const auto& step : fs::directory_iterator(options_.project / "steps")) {
    if (!step.is_directory()) continue;
    for (const auto& folder : fs::directory_iterator(step))
      if (const auto name = folder.path().filename().string();
          folder.is_directory() && is_task_folder(name) &&
          !store_.has_task(step.path().filename().string(), name.substr(name.size() - 8)))
        left.push_back(folder.path());
  }
  std::error_code ignored;
  for (const auto& folder : left) fs::remove_all(folder, ignored);
}

}  // namespace frazil::engine
