// A random sample of a project's tasks is computed again and held against what is stored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "frazil/flow/protocol.hpp"

namespace frazil::bundle {

struct Recomputed {
  enum class State { same, within_tolerance, differs, skipped } state = State::same;
  std::string step, label, text;  ///< text: what differs, or why it was skipped
};

struct RecomputeOptions {
  int sample = 20;                          ///< tasks, drawn evenly over all that were done
  std::uint64_t seed = 0;                   ///< of the draw
  std::vector<std::string> worker_command;  ///< program and arguments that lead to exec::run_worker
  int threads = 1;
};

/// Runs the tasks in a folder of their own and compares records and files byte by byte; images from another CPU target
/// may differ by a thousandth of their standard deviation. Tasks of steps that have other parameters by now, and folds
/// that went on from an earlier version, are skipped and said so. No engine may work on the project meanwhile.
[[nodiscard]] std::vector<Recomputed> recompute(const std::filesystem::path& project, const flow::Registry& registry,
                                                const RecomputeOptions& options,
                                                const std::function<void(const Recomputed&)>& report);

}  // namespace frazil::bundle
