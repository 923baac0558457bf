// A local worker that hands its tasks on: to the engine it is a worker, to the cluster's hub it is the engine.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
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

  /// False for tasks of steps that stay on this machine.
  [[nodiscard]] bool takes(const nlohmann::json& task) const;
  /// Sends the task on and its results back, cancellations the same way. @return false when engine or hub is gone
  [[nodiscard]] bool pass_on(const std::string& text, FrameReader& from_engine);

 private:
  int engine_, hub_ = -1;
  FrameReader from_hub_;
  std::vector<std::string> local_steps_;
};

/// "extract" of a task whose outputs go to steps/extract/…
[[nodiscard]] std::string step_of(const nlohmann::json& task);

}  // namespace frazil::exec
