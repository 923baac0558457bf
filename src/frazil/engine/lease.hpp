// The right to work on a project: one engine at a time, on whatever host.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace frazil::engine {

/// Holds PROJECT/engine.lock. The lock ends with the process, however it ends; the text in it says who holds it.
class Lease {
 public:
  /// Waits up to `wait_s` for a process that is just ending. @throws Error(resource) naming host and process that hold
  /// it
  explicit Lease(const std::filesystem::path& project, double wait_s = 2);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  /// Writes host, process, epoch and control socket into the lock file, for people, for fencing, and for programs that
  /// speak to the engine.
  void sign(long epoch);
  /// False when somebody else has signed since: on some network file systems two may hold one lock.
  [[nodiscard]] bool is_ours() const;

 private:
  std::filesystem::path path_;
  std::string signed_;  ///< what was written last
  int file_ = -1;
};

/// Who holds a lease, as the lock file says; empty where it does not say.
struct Holder {
  std::string host;
  int pid = 0;
  std::filesystem::path socket;
};

/// Who works on the project; none: nobody does. Takes no lease and writes nothing.
[[nodiscard]] std::optional<Holder> lease_holder(const std::filesystem::path& project);

/// Socket through which an engine working on this project is spoken to: in the user's run-time folder, not in the
/// project.
[[nodiscard]] std::filesystem::path control_socket(const std::filesystem::path& project);

}  // namespace frazil::engine
