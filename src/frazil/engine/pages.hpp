// Answers to those who read: pages of items, one item whole, numbers for plots, what happened since. Made from a
// published state and the rows behind it; the engine is not asked.
#pragma once

#include <string>
#include <vector>

#include "frazil/engine/view.hpp"

namespace frazil::engine {

/// Which rows of a step are wanted, and in which order.
struct Choice {
  std::string step;
  std::string port;                ///< a set of the step; empty: all subjects that came near it
  std::vector<std::string> where;  ///< conditions, all of them: "name < value", with < <= > >= = !=, or ~ for a part
  std::string sort;                ///< a column; "-name": highest first; empty: by order key
};

/// Names of columns: those of the numbers in the records of the set, "decision.value" and "decision.limit" of a filter,
/// "time" (of arrival); the texts "label", "id", "path", "state", "verdict", "rule", "actor". A column of another step
/// is "step:name".

/// {"total", "from", "columns": [name], "items": [{"item", "subject", "label", "order", "path", "state", "verdict",
/// "rule", "actor", "values": {name: number or null}}], "read", "sequence"}. @param columns  empty: all of the set's
/// @throws Error(bad_input) naming what there is instead
[[nodiscard]] Json items_page(const Reading& reading, const Choice& choice, int from, int count,
                              std::vector<std::string> columns);

/// {"count", "labels": […], "columns": {name: [number or null]}, "read", "sequence"}.
[[nodiscard]] Json series(const Reading& reading, const Choice& choice, const std::vector<std::string>& columns);

/// {"items": [{"item", "subject", "label", "order", "step", "port", "kind", "actor", "record", "task", "decisions",
/// "files", "from", "became"}]}: all that fit the text.
[[nodiscard]] Json item_whole(const Reading& reading, const std::string& text);

/// {"events": [{"n", "time", "kind", "step", "label", "text", "actor"}], "last", "sequence", "steps": {name: sequence
/// of the last change}}: those with numbers above `since`, `count` at most.
/// @param time  none from before it, seconds since 1970
[[nodiscard]] Json events_since(const Reading& reading, std::int64_t since, int count, double time = 0);

/// {"alarms": [as in status, those that are over too], "last"}: those with numbers above `since`, `count` at most.
[[nodiscard]] Json alarms_since(const Reading& reading, std::int64_t since, int count);

/// {"items": the way of each subject that fits through the steps, "files": those without an item}.
[[nodiscard]] Json why(const Reading& reading, const std::string& text);

[[nodiscard]] Json decision_json(const store::DecisionRow& row);
[[nodiscard]] Json event_json(const store::EventRow& row);

}  // namespace frazil::engine
