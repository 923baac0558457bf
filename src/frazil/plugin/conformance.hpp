// The test that a plugin's author runs before others install it: `frazil plugin check`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "frazil/plugin/manifest.hpp"

namespace frazil::plugin {

struct Finding {
  enum class State { ok, failed, skipped } state = State::ok;
  std::string what, remark;
};

/// Tries everything the contract asks for on small made-up data, in `scratch`: the description, the programs, every
/// protocol run twice from folders with odd names, with one input that is damaged; that inputs and the plugin itself
/// stay as they were; that pickers do not swap x and y.
[[nodiscard]] std::vector<Finding> check_conformance(const std::filesystem::path& plugin,
                                                     const std::filesystem::path& scratch);

}  // namespace frazil::plugin
