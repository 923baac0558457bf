#include "frazil/report/sets.hpp"

#include "frazil/engine/accountant.hpp"
#include "frazil/model/records.hpp"

namespace frazil::report {

std::vector<Set> all_sets(const engine::State& state) {
  std::vector<Set> list;
  for (int step = 0; step < static_cast<int>(state.steps.size()); ++step)
    for (int port = 0; port < static_cast<int>(state.step(step).ports.size()); ++port)
      list.push_back({&state, step, port});
  return list;
}

std::vector<Set> made_sets(const engine::State& state, std::string_view kind) {
  std::vector<Set> list;
  for (const auto& set : all_sets(state))
    if (set.shape() != flow::Shape::filter && set.info().kind == kind) list.push_back(set);
  return list;
}

std::vector<int> areas_of(const engine::State& state) {
  for (const auto& set : all_sets(state)) {
    if (set.shape() != flow::Shape::source || (set.info().kind != Movie::kind && set.info().kind != Micrograph::kind))
      continue;
    std::vector<int> areas;  // also those that a person has set aside before any step, which are in no set
    for (const int subject : *state.by_order)
      if (state.subject(subject).root == set.step &&
          engine::fate_of(state, subject).standing != engine::Standing::replaced)
        areas.push_back(subject);
    return areas;
  }
  return {};
}

Json limits(const engine::State& state, const std::vector<int>& areas) {
  Json limits = Json::object();
  for (const auto& step : state.steps)
    for (const int area : areas)
      if (const int rule = step->rules[area]; rule >= 0 && std::isfinite(step->limits[area]))
        limits[step->rule_names[static_cast<std::size_t>(rule)]] = step->limits[area];
  return limits;
}

}  // namespace frazil::report
