// What can be told of a plan before its steps run, from the first records of its sources.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "frazil/flow/workflow.hpp"

namespace frazil::flow {

/// By source step: a record of its stream.
using Samples = std::map<int, Json>;

/// What every step foresees whose inputs come straight from these sources. Reads files.
/// @param base  folder that files in records are relative to
[[nodiscard]] Foresight foresee(const Plan& plan, const Samples& samples, const std::filesystem::path& base);

/// Bytes that the steps which know it write for each item, all together.
[[nodiscard]] double bytes_written(const Plan& plan, const Samples& samples);

/// Why a step never has an input as long as the streams are like these samples; empty: there is no such reason.
struct Starved {
  std::string reason;    ///< "has no input on micrographs: align gives no micrographs_dw: …"
  bool is_first = true;  ///< false: it lacks it because a step before it does
};
/// By step.
[[nodiscard]] std::vector<Starved> starved(const Plan& plan, const Samples& samples);

}  // namespace frazil::flow
