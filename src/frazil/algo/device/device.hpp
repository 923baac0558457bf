// Devices: where the heavy parts of algorithms may compute, and who computes them there. CONTRIBUTING.md tells how one
// is added.
#pragma once

#include <span>
#include <string_view>

#include "frazil/algo/class2d/backend.hpp"
#include "frazil/algo/motion/backend.hpp"
#include "frazil/algo/pick/backend.hpp"

namespace frazil::device {

/// Who computes which part on a device; null: that part stays on the CPU, and whoever asks for the device is refused.
struct Backends {
  const motion::Backend* motion = nullptr;
  const pick::Backend* pick = nullptr;
  const class2d::Backend* class2d = nullptr;
};

/// A class of devices: what `--device` and the steps of a workflow name, and what enters keys.
struct Device {
  std::string_view name, help;
  int gpus = 0;  ///< that one task has for itself
  /// Made once in a process. @param gpus  numbers as CUDA_VISIBLE_DEVICES wants them; empty: says which parts there
  /// are, and touches no device
  Backends (*backends)(std::string_view gpus) = nullptr;
};

/// All that this program was built with; "cpu" is the first.
[[nodiscard]] std::span<const Device> devices();
/// @throws Error(unsupported) when there is none of that name, with those there are
[[nodiscard]] const Device& known(std::string_view name);

}  // namespace frazil::device
