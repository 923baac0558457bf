// The parts of the page that tell of the whole session: what is seen at a glance, where everything has gone, settings.
#pragma once

#include <string>

#include "frazil/engine/view.hpp"

namespace frazil::report {

[[nodiscard]] std::string title(const engine::Head& head);
[[nodiscard]] std::string subtitle(const engine::Head& head);
/// [{"value", "label"}]: numbers that say how it goes. @param micrographs  rows of the table
[[nodiscard]] Json summary(const engine::State& state, const Json& micrographs, const Json& classes,
                           const Json& volumes);
/// {"came", "through", "window_s", "behind"}: whether it keeps up.
[[nodiscard]] Json pulse(const engine::State& state);
/// [{"label", "count", "reasons": [{"reason", "count"}]}]: files that were seen, on their way to what is kept. Each row
/// is the one before without what the row names.
[[nodiscard]] Json item_funnel(const engine::State& state);
/// The same of what comes by the number: positions and particles, with "of": what came to the step.
[[nodiscard]] Json amount_funnel(const engine::State& state);
/// Files that came to no item, and why: {"list": [{"path", "state", "reason"}], "more": count}.
[[nodiscard]] Json other_files(const engine::State& state);
/// {"values": [{"title", "name", "value", "unit", "from", "actor", "time"}] of the workflow, with who changed them, and
/// "steps": [{"step", "title", "filter", "values": [{"title", "name", "value", "unit", "given"}]}] as they are in
/// force.
[[nodiscard]] Json settings(const engine::Head& head);
[[nodiscard]] Json steps(const engine::Reading& reading);

}  // namespace frazil::report
