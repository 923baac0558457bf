// A local worker that hands its tasks on: to the engine it is a worker, to the cluster's hub it is the engine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "frazil/exec/frame.hpp"

namespace frazil::exec {

class Proxy {
 public:
  /// Connects to the hub. @throws Error(io)
  Proxy(const std::filesystem::path& hub, int engine_socket);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  /// Hands tasks and orders on and results back until there is a task that stays on this machine.
  /// @return the engine's message with it; none when engine or hub is gone
  [[nodiscard]] std::optional<std::string> next_here(FrameReader& from_engine);

 private:
  [[nodiscard]] bool runs_here(const std::string& text) const;

  int engine_, hub_ = -1;
  FrameReader from_hub_;
  std::vector<std::string> local_steps_;
};

}  // namespace frazil::exec
