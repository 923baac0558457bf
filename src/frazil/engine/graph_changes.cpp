// What was decided is decided otherwise: what followed from it is taken back, and follows anew.
//
// A subject that is taken back at a step leaves its cell, its outputs and the cells of all steps after it, as if it had
// never come there; then it is evaluated like a new one. Results that are known are found under their keys, so only
// what has other inputs than before is computed. A fold has built version on version: it goes back to the list before
// the first that held the subject, and its later lists wait for their members as they do when a project is opened. What
// the graph then comes to is what it would come to if all that is stored were replayed.
#include <algorithm>

#include "frazil/engine/graph.hpp"

namespace frazil::engine {

using flow::Shape;
using flow::Trigger;

void Graph::reconsider(int index) {
  for (int subject = 0; subject < static_cast<int>(subjects_.size()); ++subject) look_again(index, subject);
}

std::optional<Execution> Graph::decision_of(int index, int subject) {
  const auto& planned = step(index);
  if (planned.protocol->shape != Shape::filter || planned.trigger.mode != Trigger::Mode::none ||
      !planned.needs.empty() || takes_nothing_new(phase(index)) || cell(index, subject) != Cell::done)
    return std::nullopt;
  Execution execution;
  execution.step = index;
  execution.subject = subject;
  execution.inputs = gather(index, subject).inputs;
  if (execution.inputs.empty() || execution.inputs.front().empty()) return std::nullopt;
  execution.key = key_of(execution).hex();
  return execution;
}

void Graph::reconsider(int index, const std::vector<std::pair<Execution, Outcome>>& known) {
  std::vector<bool> is_known(subjects_.size());
  for (const auto& [execution, outcome] : known) is_known[static_cast<std::size_t>(execution.subject)] = true;
  for (std::size_t subject = 0; subject < is_known.size(); ++subject)
    if (!is_known[subject]) look_again(index, static_cast<int>(subject));
  for (const auto& [execution, outcome] : known) decide_anew(execution, outcome);
}

/// What followed from a decision stands if it is the same as before.
void Graph::decide_anew(const Execution& execution, const Outcome& outcome) {
  const int index = execution.step, subject = execution.subject;
  const auto said = knowledge_.person(index, item(execution.inputs.at(0).at(0)).id);
  const bool is_held = !said && outcome.verdict == flow::Verdict::held;
  const bool is_accepted = said.value_or(outcome.verdict == flow::Verdict::accepted);
  if (!is_held && is_accepted == (find(index, 0, subject) >= 0)) {
    note_task(index, subject, outcome.task);
    return note_cell(index, subject);
  }
  retract(index, subject);
  apply_map(execution, outcome);
  work_.push_back({Work::Kind::close, index, 0});
}

void Graph::reconsider(int index, int subject) {
  if (this->subject(subject).root != index) return look_again(index, subject);
  if (this->subject(subject).gone || !place(index, subject)) return;
  auto& s = state(index);
  const bool was_closed = s.closed;
  open_again(index);
  retract_after(index, subject);
  push(index, subject);
  if (was_closed && step(index).protocol->shape == Shape::source) close(index);
}

/// Brings what a source or fold has introduced into its sets, but for what a person has set aside. @return whether
/// anything has changed
bool Graph::place(int index, int subject) {
  auto& s = state(index);
  const auto ports = s.outputs.size();
  auto& kept = s.withdrawn[subject];
  kept.resize(ports, absent);
  bool changed = false;
  for (std::size_t port = 0; port < ports; ++port) {
    const int present = find(index, static_cast<int>(port), subject);
    const int made = present >= 0 ? present : kept[port];
    if (made < 0) continue;
    const bool is_in = knowledge_.person(index, item(made).id) != std::optional(false);
    if (is_in == (present >= 0)) continue;
    changed = true;
    kept[port] = is_in ? absent : made;
    put(index, static_cast<int>(port), subject, is_in ? made : absent);
  }
  if (std::all_of(kept.begin(), kept.end(), [](int item) { return item < 0; })) s.withdrawn.erase(subject);
  if (step(index).protocol->shape == Shape::source)
    set_cell(index, subject, find(index, 0, subject) >= 0 ? Cell::done : Cell::absent);
  return changed;
}

/// Takes back what a source or fold has introduced at the steps after it, and what was decided by it.
void Graph::retract_after(int index, int subject) {
  for (const auto& consumer : state(index).consumers)
    if (!consumer.broadcast)
      retract(consumer.step, subject);
    else if (may_hold(consumer.step))
      reconsider(consumer.step);
}

/// Takes back a subject at a step, and evaluates it like a new one.
void Graph::look_again(int index, int subject) {
  if (is_new(cell(index, subject))) return;
  retract(index, subject);
  work_.push_back({Work::Kind::evaluate, index, subject});
}

/// Takes back a subject at a step and at all steps after it. It is evaluated when something comes to it again.
void Graph::retract(int index, int subject) {
  if (is_new(cell(index, subject))) return;
  auto& s = state(index);
  open_again(index);
  if (step(index).trigger.mode != Trigger::Mode::none) leave_line(index, subject);
  const auto before = cell(index, subject);
  if (is_new(before)) return;  // its list has been taken back as a whole
  set_cell(index, subject, Cell::again);
  if (takes_lists(index)) return;
  if (before == Cell::running) drop(index, subject, -1);
  if (before == Cell::done && step(index).protocol->shape == Shape::filter)
    --(find(index, 0, subject) >= 0 ? s.accepted : s.set_aside);
  s.held_by.erase(subject);
  note_task(index, subject, 0);
  for (std::size_t port = 0; port < s.outputs.size(); ++port) put(index, static_cast<int>(port), subject, unknown);
  note_set(index);
  for (const auto& consumer : s.consumers)
    if (!consumer.broadcast) retract(consumer.step, subject);
}

/// An execution that was asked for is wanted no more.
void Graph::drop(int index, int subject, int batch) {
  const auto is_it = [&](const Execution& e) { return e.step == index && e.subject == subject && e.batch == batch; };
  if (std::erase_if(effects_.start, is_it) > 0) return;  // not told yet
  Execution dropped;
  dropped.step = index;
  dropped.subject = subject;
  dropped.batch = batch;
  effects_.dropped.push_back(std::move(dropped));
}

/// A subject that a step with a trigger knows is about to be evaluated again.
void Graph::leave_line(int index, int subject) {
  auto& s = state(index);
  const auto is = cell(index, subject);
  if (const int number = list_of(index, subject); number >= 0) {
    if (auto* list = find_committed(index, number))
      list->missing += is == Cell::ready || is == Cell::absent ? 1 : 0;
    else if (takes_lists(index) && is != Cell::waiting && is != Cell::ready && is != Cell::absent)
      rewind(index, number);
    return;
  }
  if (std::erase(s.pending, subject) > 0) s.weight = -1;  // summed anew
  if (order_ != Order::acquisition || is_cut(s)) return;
  s.known.insert(subject);
  s.known.insert(s.pending.begin(), s.pending.end());
  s.pending.clear();
  s.weight = -1;
}

/// Takes back the versions of a fold from this list on. Its lists wait for their members again.
void Graph::rewind(int index, int number) {
  auto& s = state(index);
  const auto first = std::lower_bound(s.formed.begin(), s.formed.end(), number,
                                      [](const Committed& list, int n) { return list.number < n; });
  if (first == s.formed.end()) return;
  open_again(index);
  if (s.running && *s.running >= number) {
    if (s.chain)
      drop_iteration(index);
    else
      drop(index, -1, *s.running);
    s.running.reset();
  }
  std::erase_if(s.queue, [&](const Batch& batch) { return batch.number >= number; });
  while (!s.versions.empty() && s.versions.back().number >= number) {
    const auto version = std::move(s.versions.back());
    s.versions.pop_back();
    s.fold_tasks.pop_back();
    bury(index, version);
  }
  effects_.rewound.push_back(index);
  if (is_cut(s)) s.phase = Phase::open;  // until its list is replayed
  for (auto list = first; list != s.formed.end(); ++list) {
    list->missing = 0;
    for (const auto& id : list->members) {
      const int member = find_subject(id);
      if (member < 0) continue;
      const auto is = cell(index, member);
      if (is == Cell::ready || is == Cell::absent) continue;
      ++list->missing;
      if (is_new(is) || is == Cell::waiting) continue;
      set_cell(index, member, Cell::again);
      work_.push_back({Work::Kind::evaluate, index, member});
    }
  }
  s.committed.insert(s.committed.begin(), std::make_move_iterator(first), std::make_move_iterator(s.formed.end()));
  s.formed.erase(first, s.formed.end());
  work_.push_back({Work::Kind::close, index, 0});
}

/// A version is no more: whoever took it does without.
void Graph::bury(int index, const Version& version) {
  if (version.subject < 0) return;
  auto& s = state(index);
  --s.introduced;
  subjects_[static_cast<std::size_t>(version.subject)].gone = true;
  s.withdrawn.erase(version.subject);
  for (std::size_t port = 0; port < s.outputs.size(); ++port)
    put(index, static_cast<int>(port), version.subject, absent);
  note_cell(index, version.subject);
  retract_after(index, version.subject);
  push(index, version.subject);
}

/// What was complete will be so again when this has been followed.
void Graph::open_again(int index) {
  auto& s = state(index);
  if (!std::exchange(s.closed, false)) return;
  work_.push_back({Work::Kind::close, index, 0});
  for (const auto& consumer : s.consumers)
    if (const auto& next = state(consumer.step); next.closed && !is_cut(next) && !takes_nothing_new(next.phase))
      open_again(consumer.step);
}

/// Whether a set that has closed again ends in another item than the last time, if there was one.
bool Graph::has_other_last(int index, const std::vector<int>& before) {
  if (before.empty()) return false;
  for (std::size_t port = 0; port < before.size(); ++port) {
    const int now = last_item(index, static_cast<int>(port));
    if ((now < 0) != (before[port] < 0) || (now >= 0 && item(now).id != item(before[port]).id)) return true;
  }
  return false;
}

// ---- filters that hold ------------------------------------------------------------------------------------------

int Graph::held_item(int index, int subject) {
  return cell(index, subject) == Cell::held ? gather(index, subject).inputs.at(0).at(0) : -1;
}

/// What has been decided of a subject by an earlier reference: that stands, and is found again after a restart.
std::optional<Outcome> Graph::find_decided(Execution execution) {
  const auto& planned = step(execution.step);
  for (std::size_t i = 0; i < planned.inputs.size(); ++i) {
    if (!planned.inputs[i].broadcast) continue;
    std::vector<std::vector<int>> choices(planned.inputs[i].optional ? 1 : 0);  // none, and each one alone
    for (const auto& from : planned.inputs[i].from)
      for (const auto& [subject, made] : members(from.step, from.port)) choices.push_back({made});
    for (auto choice = choices.rbegin(); choice != choices.rend(); ++choice) {
      execution.inputs[i] = *choice;
      if (auto outcome = knowledge_.known(key_of(execution)); outcome && outcome->verdict != flow::Verdict::held)
        return outcome;
    }
  }
  return std::nullopt;
}

/// What a filter goes by has a new version: what it holds is decided again.
void Graph::new_reference(int index) {
  auto& s = state(index);
  if (s.held == 0 && s.waiting == 0 && s.open == 0) return;
  for (std::size_t i = 0; i < s.cells.size(); ++i) {
    const int subject = static_cast<int>(i);
    if (s.cells[i] == Cell::held) {
      s.held_by.erase(subject);
      set_cell(index, subject, Cell::waiting);
    } else if (s.cells[i] == Cell::running) {  // asked for, and perhaps decided by this version before a restart
      Execution execution;
      execution.step = index;
      execution.subject = subject;
      execution.inputs = gather(index, subject).inputs;
      const auto outcome = find_decided(execution);
      if (!outcome) continue;
      drop(index, subject, -1);
      apply_map(execution, *outcome);
    }
    if (s.cells[i] == Cell::waiting) work_.push_back({Work::Kind::evaluate, index, subject});
  }
}

/// No better reference will come: what is held is decided by the best that there was.
void Graph::decide_held(int index) {
  auto& s = state(index);
  for (std::size_t i = 0; s.held > 0 && i < s.cells.size(); ++i) {
    if (s.cells[i] != Cell::held) continue;
    const int subject = static_cast<int>(i);
    auto outcome = s.held_by.at(subject);
    s.held_by.erase(subject);
    outcome.verdict = outcome.otherwise;
    Execution execution;
    execution.step = index;
    execution.subject = subject;
    execution.inputs = gather(index, subject).inputs;
    effects_.final.push_back({index, subject, outcome.task, outcome.verdict});
    apply_map(execution, outcome);
  }
}

}  // namespace frazil::engine
