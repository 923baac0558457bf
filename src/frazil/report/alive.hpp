// What the page says first: what is wrong, and whether anybody is still at work.
#pragma once

#include "frazil/engine/view.hpp"

namespace frazil::report {

/// "alarms": those that stand, the gravest first, as in `--json`; "written": now; "last_file": when the last file of a
/// source came, 0: none has. Times are seconds since 1970.
[[nodiscard]] Json alive(const engine::State& state);

}  // namespace frazil::report
