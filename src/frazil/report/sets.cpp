#include "frazil/report/sets.hpp"

#include <map>

#include "frazil/model/records.hpp"

namespace frazil::report {
namespace {

Json funnel_row(std::string label, double count) {
  return {{"label", std::move(label)}, {"count", count}, {"reasons", Json::array()}};
}

/// Why a filter has set a subject aside, as people say it: the rule's own words, found once for each rule.
class Reasons {
 public:
  Reasons(const engine::StepView& step, store::Reader& reader) : step_(step), reader_(reader) {}
  std::string operator()(int subject) {
    const int rule = step_.rules[subject];
    if (rule < 0) return "by hand";
    auto& words = words_[rule];
    if (words.empty())
      if (const auto row = reader_.decision_of_task(step_.tasks[subject])) words = row->title;
    if (words.empty()) words = step_.rule_names[static_cast<std::size_t>(rule)];
    return words;
  }

 private:
  const engine::StepView& step_;
  store::Reader& reader_;
  std::map<int, std::string> words_;
};

}  // namespace

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
  for (const auto& set : all_sets(state))
    if (set.shape() == flow::Shape::source && (set.info().kind == Movie::kind || set.info().kind == Micrograph::kind))
      return state.members(set.step, set.port);
  return {};
}

Json subject_funnel(const engine::Reading& reading, const std::vector<int>& areas) {
  const auto& state = *reading.state;
  Json rows = Json::array();
  for (int index = 0; index < static_cast<int>(state.steps.size()); ++index) {
    const auto& step = state.step(index);
    const auto& protocol = *state.planned(index).protocol;
    if (protocol.shape == flow::Shape::fold) continue;
    double count = 0;
    std::map<std::string, int> why;
    Reasons reason_of(step, reading.reader);
    for (const int area : areas) {
      bool is_in = false;
      for (std::size_t port = 0; port < step.ports.size(); ++port)
        is_in = is_in || (protocol.outputs[port].name != "set_aside" && step.ports[port].items[area] > 0);
      count += is_in;
      if (step.cells[area] == engine::CellState::failed) ++why["failed"];
      if (protocol.shape == flow::Shape::filter && !is_in && step.cells[area] == engine::CellState::done)
        ++why["set aside: " + reason_of(area)];
    }
    if (count == 0 && why.empty()) continue;
    auto row = funnel_row(state.planned(index).title, count);
    for (const auto& [reason, number] : why) row["reasons"].push_back({{"reason", reason}, {"count", number}});
    rows.push_back(std::move(row));
  }
  return rows;
}

Json particle_funnel(const engine::Reading& reading) {
  const auto& state = *reading.state;
  Json rows = Json::array();
  for (const auto& set : made_sets(state, Coordinates::kind))
    if (set.view().count > 0) rows.push_back(funnel_row("positions: " + set.title(), set.sum("count")));
  for (const auto& set : made_sets(state, Particles::kind)) {
    if (set.is_aside() || set.view().count == 0) continue;
    const bool versions = flow::gives_versions(set.planned());
    auto row = funnel_row("particles: " + set.title(),
                          versions ? set.latest(reading.reader).value("count", 0.0) : set.sum("count"));
    for (const auto& other : all_sets(state))
      if (other.step == set.step && other.is_aside())
        if (const double lost = other.sum("count"); lost > 0)
          row["reasons"].push_back({{"reason", "set aside"}, {"count", lost}});
    rows.push_back(std::move(row));
  }
  return rows;
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
