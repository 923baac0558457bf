// The values of a project as people read them: in force, changed by whom and when.
#pragma once

#include <string>

#include "frazil/params/json.hpp"

namespace frazil::cli {

/// A table of what the request `settings` answers.
[[nodiscard]] std::string settings_text(const Json& settings);

/// "fit_resolution_limit: 10 → 5 Å" lines, or that nothing is another now. @param changes  {"values": [{"text"}]}
[[nodiscard]] std::string changes_text(const Json& changes);

}  // namespace frazil::cli
