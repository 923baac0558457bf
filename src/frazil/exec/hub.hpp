// Where proxies (proxy.hpp) and the workers that a cluster runs meet: keeps as many jobs in the queue as there are
// tasks for, gives each task to a free worker, and tells the engine when one is lost with its job. Runs in a thread of
// its own.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frazil/exec/cluster.hpp"

namespace frazil::exec {

class Hub {
 public:
  /// Listens, and removes jobs that an earlier run left in the queue. `worker_command` leads to exec::run_worker on the
  /// nodes, where the project has the same path. @throws Error(resource) when it cannot listen
  Hub(ClusterSettings settings, std::filesystem::path project, std::vector<std::string> worker_command);
  /// Hangs up and cancels all jobs.
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  /// File that proxies are started with: where this hub listens, and the token of this run. Readable by its user alone.
  [[nodiscard]] const std::filesystem::path& file() const;
  /// The kind of worker that takes the tasks of a step, and how many of them may run at once; none: it stays on this
  /// machine.
  [[nodiscard]] std::optional<std::pair<std::string, int>> place(const std::string& step) const;

  /// Whether any worker of the cluster is there.
  [[nodiscard]] bool has_workers() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace frazil::exec
