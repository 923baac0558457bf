// The worker process: takes one task after another from a socket, runs it, sends the result.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "frazil/flow/protocol.hpp"

namespace frazil::exec {

struct WorkerSettings {
  int socket = 3;
  int parent = 0;                 ///< process id of the engine; the worker ends with it. 0: not checked
  std::filesystem::path project;  ///< references are relative to it
  std::filesystem::path log;      ///< standard error goes here; empty: left alone
  std::filesystem::path connect =
      {};                          ///< file that tells where a cluster's hub listens; empty: the socket is open already
  std::filesystem::path hub = {};  ///< the same for a worker that hands its tasks on to the cluster
  int marker = -1;                 ///< file in which the number of the task under way is noted; −1: nowhere
  int threads = 0;                 ///< used for every task; 0: as the task says
};

/// What the bits of a result of this process may hang on beside its key: the CPU, and the device if it is another.
[[nodiscard]] std::string target_of(std::string_view device);

/// Runs until the socket closes. @return exit code
int run_worker(const WorkerSettings& settings, const flow::Registry& registry);

/// Reads `--socket N --parent PID --project DIR --log FILE --marker N` as LocalPool passes them. @throws
/// Error(bad_input)
[[nodiscard]] WorkerSettings parse_worker_arguments(const std::vector<std::string>& arguments);

}  // namespace frazil::exec
