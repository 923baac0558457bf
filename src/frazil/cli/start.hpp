// What a start meets, as people read it.
#pragma once

#include <string>

#include "frazil/engine/probe.hpp"

namespace frazil::cli {

/// Lines: what contradicts, and with `all` also what is there and what is taken from it; empty if there is nothing.
[[nodiscard]] std::string start_text(const engine::Probe& probe, bool all);

/// All problems, a line each; empty if there are none.
[[nodiscard]] std::string problems_text(const engine::Probe& probe);

}  // namespace frazil::cli
