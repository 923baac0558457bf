// Many items by what became of them.
#pragma once

#include <string>
#include <vector>

#include "frazil/engine/view.hpp"

namespace frazil::engine {

/// Ids of the subjects that have failed somewhere, or that failed or were set aside for a reason: a part of the
/// message, of the rule, of its title or of what it said; capitals do not matter.
/// @param failed  all that have failed; @param reason  empty: whatever the reason
/// @throws Error(not_found) if there are none
[[nodiscard]] std::vector<std::string> subjects_for(const Reading& reading, bool failed, const std::string& reason);

}  // namespace frazil::engine
