// The sets of a project as the report reads them: from the columns of the engine's view.
#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "frazil/engine/view.hpp"

namespace frazil::report {

/// One output of one step.
struct Set {
  const engine::State* state;
  int step, port;
  [[nodiscard]] const flow::PlannedStep& planned() const { return state->planned(step); }
  [[nodiscard]] const flow::PortInfo& info() const {
    return planned().protocol->outputs[static_cast<std::size_t>(port)];
  }
  [[nodiscard]] const engine::PortView& view() const { return state->step(step).ports[static_cast<std::size_t>(port)]; }
  [[nodiscard]] std::string title() const { return planned().title.empty() ? planned().name : planned().title; }
  [[nodiscard]] flow::Shape shape() const { return planned().protocol->shape; }
  [[nodiscard]] bool is_aside() const { return info().name == "set_aside"; }
  [[nodiscard]] bool has(int subject) const { return view().items[subject] > 0; }
  [[nodiscard]] double number(int subject, std::string_view name) const {
    const auto found = view().numbers.find(name);
    return found == view().numbers.end() || !has(subject) ? std::nan("") : found->second[subject];
  }
  [[nodiscard]] Json record(int subject, store::Reader& reader) const {
    return has(subject) ? Json::parse(reader.record(view().items[subject]), nullptr, false) : Json();
  }
  /// The record of the last version, null if there is none.
  [[nodiscard]] Json latest(store::Reader& reader) const {
    const auto members = state->members(step, port);
    return members.empty() ? Json() : record(members.back(), reader);
  }
  [[nodiscard]] double sum(std::string_view name) const {
    double total = 0;
    for (const int subject : state->members(step, port))
      if (const double value = number(subject, name); std::isfinite(value)) total += value;
    return total;
  }
};

/// All sets in topological order of their steps.
[[nodiscard]] std::vector<Set> all_sets(const engine::State& state);
/// Sets whose items are made by their step (filters pass others' items on).
[[nodiscard]] std::vector<Set> made_sets(const engine::State& state, std::string_view kind);
/// Movies or micrographs of the first source, in order: the rows of the micrograph table. Empty when a workflow starts
/// at particles. What was replaced by a file's new content is not among them.
[[nodiscard]] std::vector<int> areas_of(const engine::State& state);
/// The limit of each criterion that filters used: drawn into the plots.
[[nodiscard]] Json limits(const engine::State& state, const std::vector<int>& areas);

}  // namespace frazil::report
