// The values that a project works with: which are in force, and who has changed them when. The one place for terminal,
// JSON and report.
#pragma once

#include <string>
#include <vector>

#include "frazil/engine/view.hpp"
#include "frazil/flow/settings.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

/// Writes changes down: an event each, and for each value who made its last change.
void note_changes(store::Project& store, const std::vector<flow::ValueChange>& changes, const std::string& actor,
                  bool with_events = true);

/// Who changed a value last: {"name": {"from", "actor", "time"}}; seconds since 1970.
[[nodiscard]] Json last_changes(store::Project& store);

/// [{"name", "title", "unit", "value", "default", "from", "actor", "time"}]: parameters of the workflow in their order,
/// then those set for single steps. `from`, `actor` and `time` are null where nobody has changed it.
[[nodiscard]] Json settings_of(const Head& head);

/// [{"name", "from", "to", "unit", "text"}]
[[nodiscard]] Json to_json(const std::vector<flow::ValueChange>& changes);

}  // namespace frazil::engine
