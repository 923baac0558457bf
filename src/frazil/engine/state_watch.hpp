// Watches what has become of items: steps that fail on everything, filters that set most aside, the rules of the
// workflow. Looks at published states alone, at the last items in the order people count, so that what it finds does
// not hang on the order of processing, nor on restarts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "frazil/engine/guards.hpp"
#include "frazil/engine/view.hpp"

namespace frazil::engine {

/// What each watcher finds in a state: its source (a step, or "rule NAME") and all that is wrong. Every source that
/// there is comes, also with nothing.
using Watched = std::vector<std::pair<std::string, std::vector<Finding>>>;
[[nodiscard]] Watched watch_state(const State& state, store::Reader& reader, const StateWatchSettings& settings = {});

/// Under which source a rule of the workflow raises alarms.
[[nodiscard]] std::string source_of_rule(const std::string& name);

/// The first sentence of a message, short enough for a line.
[[nodiscard]] std::string first_sentence(const std::string& message);

}  // namespace frazil::engine
