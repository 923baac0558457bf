// Ctrl-C and SIGTERM for commands that compute in this process: both mean the same and leave nothing half done.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace frazil::cli {

/// Catches both signals for as long as it lives. Loops ask `asked`; what has not ended by itself some time after the
/// first signal, or at a second one, is ended: the folders that were to be removed are, and the exit code is 130.
class Interruption {
 public:
  /// @param grace_s  how long loops have to look
  explicit Interruption(double grace_s = 2);
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  [[nodiscard]] static bool asked();
  /// @throws Error(cancelled) when somebody asked to stop
  static void check();
  /// A folder that must not be left behind, until it is taken back.
  void will_remove(const std::filesystem::path& folder);
  void keep(const std::filesystem::path& folder);

 private:
  void watch(const std::stop_token& stop);
  [[noreturn]] void end_here();

  double grace_s_;
  std::mutex mutex_;
  std::vector<std::filesystem::path> folders_;
  void (*before_[2])(int);
  std::jthread watcher_;
};

}  // namespace frazil::cli
