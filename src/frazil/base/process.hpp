// Other programs: found on the search path, run with arguments as a vector (never through a shell), watched and ended.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace frazil {

struct Command {
  std::vector<std::string> arguments;  ///< program first: a path, or a name that is looked for on PATH
  std::filesystem::path folder = {};   ///< working folder; empty: that of this process
  std::vector<std::pair<std::string, std::string>> environment = {};  ///< set beside what this process has
  double time_limit_s = 0;                                            ///< then it is killed; 0: none
  std::function<void()> poll =
      {};                  ///< called every 50 ms; when it throws the program is killed and the exception goes on
  std::string input = {};  ///< what it can read on standard input, at most 64 KiB
};

struct Finished {
  int code = -1;  ///< exit code; −1 when a signal ended it
  int signal = 0;
  bool timed_out = false;
  std::string output;  ///< the last 64 KiB of standard output and standard error together
  double seconds = 0;
  int peak_mib = 0;  ///< largest resident memory of the program and its children

  [[nodiscard]] bool ok() const { return code == 0; }
  /// "exit code 3", "killed by signal 9 (Killed)", "not finished after 60 s".
  [[nodiscard]] std::string how() const;
  /// The last lines of the output, for a message.
  [[nodiscard]] std::string last_lines(std::size_t count = 5) const;
};

/// Runs a program to its end. It and all that it starts are killed when it ends, at its limit, and when this process
/// dies.
/// @throws Error(not_found) when there is no such program, Error(resource) when no process can be made
[[nodiscard]] Finished run_program(const Command& command);

/// Largest memory of any program run by this process since the last call, MiB.
[[nodiscard]] int take_programs_peak_mib();

/// Name of this machine.
[[nodiscard]] std::string host_name();

/// The program with this name on PATH, or the path itself if it can be run.
[[nodiscard]] std::optional<std::filesystem::path> find_program(const std::string& name);

}  // namespace frazil
