#include "frazil/engine/what_if.hpp"

#include <algorithm>
#include <chrono>

namespace frazil::engine {
namespace {

using Clock = std::chrono::steady_clock;

/// What becomes of a subject.
enum Fate : char { kept, set_aside, to_compute, lost };

void count_up(Json& entry, const char* key) { entry[key] = entry[key].get<int>() + 1; }

/// What one filter has decided and would decide.
Json ask_step(const Reading& reading, int index, const Changed& changed, Judge& judge, std::vector<char>& now,
              std::vector<char>& then) {
  const auto& state = *reading.state;
  const auto& planned = state.planned(index);
  const auto& step = state.step(index);
  const int other = changed.plan.find(planned.name);
  const bool same = other >= 0 && changed.plan.steps[static_cast<std::size_t>(other)].key == planned.key;
  Json entry = {{"step", planned.name}, {"of", 0},         {"kept_now", 0},
                {"kept_then", 0},       {"newly_kept", 0}, {"newly_set_aside", 0}};
  std::vector<char> accepts;  // by subject; empty: as now
  if (!same && other >= 0) {
    accepts.assign(static_cast<std::size_t>(state.subject_count), 0);
    for (const auto& said : judge.ask(reading, index, changed.plan.steps[static_cast<std::size_t>(other)].params)) {
      if (!said.decision) throw Error(*said.problem);
      accepts[static_cast<std::size_t>(said.subject)] = said.decision->accepted() ? 1 : 0;
    }
  }
  for (int subject = 0; subject < state.subject_count; ++subject) {
    const auto at = static_cast<std::size_t>(subject);
    const auto cell = step.cells[subject];
    if (cell == CellState::failed) now[at] = then[at] = lost;
    if (cell != CellState::done) {
      if (cell == CellState::absent && now[at] == set_aside && then[at] == kept) then[at] = to_compute;
      continue;
    }
    const auto item = step.ports[0].items[subject];
    const bool was = item > 0;
    const auto person = state.people->find({index, subject});
    const bool by_hand = person != state.people->end() &&
                         person->second.item == reading.reader.item_id(was ? item : step.ports[1].items[subject]);
    const bool will = by_hand ? person->second.accepted : other < 0 ? true : accepts.empty() ? was : accepts[at] != 0;
    count_up(entry, "of");
    if (was) count_up(entry, "kept_now");
    if (will) count_up(entry, "kept_then");
    if (will && !was) count_up(entry, "newly_kept");
    if (was && !will) count_up(entry, "newly_set_aside");
    if (!was) now[at] = set_aside;
    if (!will && then[at] != lost) then[at] = set_aside;
  }
  return entry;
}

}  // namespace

Changed change(const flow::Workflow& workflow, const flow::Plan& plan, const Json& stored, const Json& settings,
               const flow::Registry& registry, flow::FileHashes files) {
  if (settings.empty())
    throw Error(ErrorCode::bad_input,
                "what is to change? Give key=value: a parameter of the workflow, or step.parameter");
  Changed changed{workflow, stored, {}, std::move(files)};
  std::vector<flow::Problem> problems;
  std::vector<std::pair<std::string, std::string>> values;
  for (const auto& [key, value] : settings.items())
    values.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump());
  const auto typed = flow::parse_values(workflow, registry, values, problems);
  for (const auto& [key, value] : typed.items()) {
    flow::refuse_idle(workflow, registry, key, problems);
    if (value.is_null() && key.find('.') != std::string::npos)
      changed.values.erase(key);
    else
      changed.values[key] = value;
  }
  if (problems.empty())
    changed.plan = flow::make_plan(changed.workflow, registry, changed.values, problems, false, &changed.files);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}", flow::describe(problems));
  changed.changes = flow::changes_between(workflow, plan, changed.plan);
  return changed;
}

Json what_if(const Reading& reading, const Changed& changed, Judge& judge) {
  const auto started = Clock::now();
  const auto& state = *reading.state;
  std::vector<char> now(static_cast<std::size_t>(state.subject_count), kept), then = now;
  Json steps = Json::array(), again = Json::array();
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i) {
    const auto& planned = state.planned(i);
    if (planned.protocol->shape == flow::Shape::filter && !planned.versioned) {
      steps.push_back(ask_step(reading, i, changed, judge, now, then));
      continue;
    }
    const int other = changed.plan.find(planned.name);
    if (other < 0 || changed.plan.steps[static_cast<std::size_t>(other)].key != planned.key)
      again.push_back(planned.name);
    for (int subject = 0; subject < state.subject_count; ++subject)
      if (state.step(i).cells[subject] == CellState::failed)
        now[static_cast<std::size_t>(subject)] = then[static_cast<std::size_t>(subject)] = lost;
  }
  Json total = {{"of", 0}, {"kept_now", 0}, {"kept_then", 0}, {"to_compute", 0}, {"failed", 0}};
  for (int subject = 0; subject < state.subject_count; ++subject) {
    if (state.planned(state.subject(subject).root).protocol->shape != flow::Shape::source) continue;
    const auto at = static_cast<std::size_t>(subject);
    count_up(total, "of");
    if (now[at] == kept) count_up(total, "kept_now");
    if (then[at] == kept) count_up(total, "kept_then");
    if (then[at] == to_compute) count_up(total, "to_compute");
    if (then[at] == lost) count_up(total, "failed");
  }
  return {{"steps", std::move(steps)},
          {"items", std::move(total)},
          {"computed_again", std::move(again)},
          {"seconds", std::chrono::duration<double>(Clock::now() - started).count()}};
}

Foretold foretell(const Reading& reading, const Changed& changed, Judge& judge) {
  Foretold foretold;
  const auto& state = *reading.state;
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i) {
    const auto& planned = state.planned(i);
    const int other = changed.plan.find(planned.name);
    if (other < 0 || planned.protocol->decide == nullptr || planned.by_person) continue;
    const auto& next = changed.plan.steps[static_cast<std::size_t>(other)];
    if (next.key != planned.key && next.protocol == planned.protocol)
      foretold[{next.name, next.key}] = judge.ask(reading, i, next.params);
  }
  return foretold;
}

}  // namespace frazil::engine
