#include "frazil/engine/graph.hpp"

#include <algorithm>
#include <numeric>

#include "frazil/base/error.hpp"
#include "frazil/base/hash.hpp"

namespace frazil::engine {

using flow::Shape;
using flow::Trigger;

std::string_view port_of(const Outcome& outcome) {
  using flow::Verdict;
  if (outcome.verdict == Verdict::held) return outcome.otherwise == Verdict::accepted ? "held" : "held_aside";
  return outcome.verdict == Verdict::accepted ? "accepted" : "set_aside";
}

void read_verdict(std::string_view port, Outcome& outcome) {
  using flow::Verdict;
  outcome.verdict = port.starts_with("held") ? Verdict::held : flow::accept_if(port != "set_aside");
  outcome.otherwise = flow::accept_if(port == "held");
}

bool Graph::ByOrder::operator()(int a, int b) const {
  const auto& first = (*subjects)[static_cast<std::size_t>(a)];
  const auto& second = (*subjects)[static_cast<std::size_t>(b)];
  if (const int compared = first.order.compare(second.order); compared != 0) return compared < 0;
  return first.id < second.id;
}

Graph::Graph(const flow::Plan& plan, std::string seed, Order order, Knowledge& knowledge)
    : plan_(plan), seed_(std::move(seed)), order_(order), knowledge_(knowledge) {
  states_.resize(plan.steps.size());
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const auto& planned = plan.steps[i];
    states_[i].outputs.resize(planned.protocol->outputs.size());
    states_[i].known = std::set<int, ByOrder>(ByOrder{&subjects_});
    const auto connect = [&](const flow::Endpoint& from, bool broadcast) {
      auto& list = state(from.step).consumers;
      const auto same = [&](const Consumer& c) { return c.step == static_cast<int>(i) && c.broadcast == broadcast; };
      if (std::none_of(list.begin(), list.end(), same)) list.push_back({static_cast<int>(i), broadcast});
    };
    for (const auto& input : planned.inputs)
      for (const auto& from : input.from) connect(from, input.broadcast);
    for (const auto& from : planned.where) connect(from, false);
    const bool waits = std::any_of(planned.inputs.begin(), planned.inputs.end(),
                                   [](const flow::PlannedInput& input) { return input.broadcast; });
    const auto shape = planned.protocol->shape;
    is_followed_.push_back((shape == Shape::map || shape == Shape::filter) &&
                           planned.trigger.mode == Trigger::Mode::none && !waits && !planned.optional &&
                           !planned.versioned);
  }
}

bool Graph::in_domain(int index, int root) const {
  const auto& roots = step(index).roots;
  return std::binary_search(roots.begin(), roots.end(), root);
}

// ---- subjects, items, cells -------------------------------------------------------------------------------------

int Graph::add_item(ItemHandle item) {
  items_.push_back(std::move(item));
  return static_cast<int>(items_.size()) - 1;
}

int Graph::add_subject(Subject subject) {
  const int index = static_cast<int>(subjects_.size());
  ++state(subject.root).introduced;
  open_of_subject_.push_back(0);
  subject_by_id_[subject.id] = index;
  subjects_.push_back(std::move(subject));
  if (order_ != Order::acquisition) return index;
  const auto& added = subjects_.back();
  for (std::size_t i = 0; i < states_.size(); ++i) {
    auto& s = states_[i];
    const auto mode = plan_.steps[i].trigger.mode;
    if (mode == Trigger::Mode::none || !in_domain(static_cast<int>(i), added.root) ||
        list_of(static_cast<int>(i), index) >= 0)
      continue;
    s.known.insert(index);
    // A late one goes back in line before those that wait for the next list.
    const ByOrder before{&subjects_};
    while (!s.pending.empty() && before(index, s.pending.back())) {
      s.known.insert(s.pending.back());
      s.pending.pop_back();
      s.weight = -1;  // summed anew
    }
  }
  return index;
}

Graph::Cell& Graph::cell(int index, int subject) {
  auto& cells = state(index).cells;
  if (cells.size() <= static_cast<std::size_t>(subject)) cells.resize(subjects_.size(), Cell::unknown);
  return cells[static_cast<std::size_t>(subject)];
}

void Graph::set_cell(int index, int subject, Cell to) {
  auto& s = state(index);
  auto& c = cell(index, subject);
  const auto count = [&](Cell value, int by) {
    if (value == Cell::waiting || value == Cell::ready || value == Cell::running || value == Cell::held) {
      s.open += by;
      if (auto& open = open_of_subject_[static_cast<std::size_t>(subject)];
          is_followed_[static_cast<std::size_t>(index)] && open >= 0 && (open += by) == 0)
        maybe_through_.push_back(subject);
    }
    if (value == Cell::waiting) s.waiting += by;
    if (value == Cell::held) s.held += by;
    if (value == Cell::again) s.again += by;
    if (value == Cell::done) s.done += by;
    if (value == Cell::failed) s.failed += by;
    if (value == Cell::absent) s.absent += by;
  };
  count(c, -1);
  c = to;
  count(c, +1);
  note_cell(index, subject);
}

void Graph::note_task(int index, int subject, std::int64_t number) {
  auto& list = state(index).tasks;
  if (list.size() <= static_cast<std::size_t>(subject)) list.resize(subjects_.size(), 0);
  list[static_cast<std::size_t>(subject)] = number;
}

std::int64_t Graph::task(int index, int subject) const {
  const auto& list = state(index).tasks;
  return static_cast<std::size_t>(subject) < list.size() ? list[static_cast<std::size_t>(subject)] : 0;
}

std::string_view Graph::cell_name(int index, int subject) const {
  constexpr std::string_view names[] = {"", "waiting", "ready", "running", "done", "failed", "absent", "held", ""};
  const auto& cells = state(index).cells;
  return static_cast<std::size_t>(subject) < cells.size()
             ? names[static_cast<int>(cells[static_cast<std::size_t>(subject)])]
             : names[0];
}

int Graph::find_subject(const std::string& id) const {
  const auto found = subject_by_id_.find(id);
  return found == subject_by_id_.end() ? -1 : found->second;
}

void Graph::put(int index, int port, int subject, int item) {
  auto& list = state(index).outputs[static_cast<std::size_t>(port)];
  if (list.size() <= static_cast<std::size_t>(subject)) list.resize(subjects_.size(), unknown);
  list[static_cast<std::size_t>(subject)] = item;
  state(index).latest_items.clear();
}

void Graph::note_set(int index) {
  if (effects_.set_changed.empty() || effects_.set_changed.back() != index) effects_.set_changed.push_back(index);
}

void Graph::note_cell(int index, int subject) {
  const Effects::Cell changed{index, subject};
  if (effects_.cell_changed.empty() || effects_.cell_changed.back() != changed)
    effects_.cell_changed.push_back(changed);
}

void Graph::push(int index, int subject) {
  note_set(index);
  for (const auto& consumer : state(index).consumers)
    if (!consumer.broadcast)
      work_.push_back({Work::Kind::evaluate, consumer.step, subject});
    else if (may_hold(consumer.step))
      new_reference(consumer.step);
}

int Graph::find(int index, int port, int subject) const {
  const auto& list = state(index).outputs[static_cast<std::size_t>(port)];
  if (static_cast<std::size_t>(subject) >= list.size()) return -1;
  return std::max(list[static_cast<std::size_t>(subject)], -1);
}

std::vector<std::pair<int, int>> Graph::members(int index, int port) const {
  std::vector<std::pair<int, int>> list;
  const auto& values = state(index).outputs[static_cast<std::size_t>(port)];
  for (std::size_t subject = 0; subject < values.size(); ++subject)
    if (values[subject] >= 0) list.emplace_back(static_cast<int>(subject), values[subject]);
  const ByOrder before{&subjects_};
  std::sort(list.begin(), list.end(), [&](const auto& a, const auto& b) { return before(a.first, b.first); });
  return list;
}

Counts Graph::counts(int index) const {
  const auto& s = state(index);
  return {s.open,   s.waiting,  s.done,
          s.failed, s.accepted, s.set_aside,
          s.held,   s.absent,   takes_lists(index) ? s.introduced : 0};
}

bool Graph::all_closed() const {
  return std::all_of(states_.begin(), states_.end(), [](const StepState& s) { return s.closed; });
}

bool Graph::all_sources_closed() const {
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (plan_.steps[i].protocol->shape == Shape::source && !states_[i].closed) return false;
  return true;
}

// ---- what comes in ----------------------------------------------------------------------------------------------

void Graph::add_committed(int index, int number, std::vector<std::string> members) {
  auto& s = state(index);
  for (const auto& member : members) s.committed_in[member] = number;
  const auto missing = members.size();
  s.committed.push_back({number, std::move(members), missing});
  for (const int stopped : step(index).trigger.stops)
    if (auto& phase = state(stopped).phase; phase != Phase::enough) phase = Phase::stopping;
  s.next_batch = std::max(s.next_batch, number + 1);
}

int Graph::add_source_item(int index, Subject subject, ItemHandle item) {
  subject.root = index;
  const int added = add_subject(std::move(subject));
  put(index, 0, added, add_item(std::move(item)));
  (void)place(index, added);
  if (state(index).closed) reopen(index);
  push(index, added);
  return added;
}

void Graph::set_horizon(int index, std::string order) {
  auto& s = state(index);
  const auto wanted = order.empty() ? std::nullopt : std::optional(std::move(order));
  if (wanted == s.horizon) return;
  s.horizon = wanted;
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (plan_.steps[i].trigger.mode != Trigger::Mode::none && in_domain(static_cast<int>(i), index))
      advance(static_cast<int>(i));
}

void Graph::close_source(int index) {
  if (state(index).closed) return;
  set_horizon(index, {});
  close(index);
}

void Graph::reopen(int index) {
  auto& s = state(index);
  s.closed = false;
  for (const auto& consumer : s.consumers)
    if (const auto& next = state(consumer.step); next.closed && !is_cut(next) && !takes_nothing_new(next.phase))
      reopen(consumer.step);
}

void Graph::approve(int index) {
  auto& s = state(index);
  if (s.phase == Phase::held) s.phase = Phase::open;
  for (std::size_t subject = 0; subject < s.cells.size(); ++subject)
    if (s.cells[subject] == Cell::waiting) work_.push_back({Work::Kind::evaluate, index, static_cast<int>(subject)});
  work_.push_back({Work::Kind::close, index, 0});
}

bool Graph::has_pending(int index) const {
  const auto& s = state(index);
  return !s.pending.empty() && s.committed.empty() && !is_cut(s) && !is_flowing(s);
}

void Graph::cut_pending(int index) {
  if (has_pending(index)) cut(index, false);
}

/// The step takes nothing new: what waits, or was asked for and has not begun, never comes.
void Graph::stop(int index) {
  auto& s = state(index);
  if (takes_nothing_new(s.phase)) return;
  s.phase = Phase::enough;
  for (std::size_t subject = 0; subject < s.cells.size(); ++subject)
    if (s.cells[subject] == Cell::waiting || s.cells[subject] == Cell::ready)
      resolve_absent(index, static_cast<int>(subject), Cell::absent);
  effects_.withdrawn.push_back(index);
  work_.push_back({Work::Kind::close, index, 0});
}

void Graph::finish(const Execution& execution, const Outcome& outcome) {
  if (execution.subject < 0) {
    if (execution.call)
      apply_call(execution, outcome), iterate(execution.step);
    else
      apply_fold(execution, outcome);
    pump(execution.step);
    flow_on(execution.step);
  } else {
    apply_map(execution, outcome);
  }
  work_.push_back({Work::Kind::close, execution.step, 0});
}

void Graph::withdrawn(int index, const std::vector<int>& subjects) {
  for (const int subject : subjects) resolve_absent(index, subject, Cell::absent);
}

Effects Graph::settle() {
  while (!work_.empty()) {
    const auto work = work_.front();
    work_.pop_front();
    if (work.kind == Work::Kind::evaluate)
      evaluate(work.step, work.subject);
    else
      check_closed(work.step);
  }
  for (const int subject : maybe_through_) {
    auto& open = open_of_subject_[static_cast<std::size_t>(subject)];
    if (open != 0) continue;
    open = -1;
    effects_.through.push_back(subject);
  }
  maybe_through_.clear();
  effects_.closed.clear();
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (auto& s = states_[i]; !std::exchange(s.told_closed, s.closed) && s.closed)
      effects_.closed.push_back(static_cast<int>(i));
  return std::exchange(effects_, {});
}

// ---- joining ----------------------------------------------------------------------------------------------------

/// Last item of a closed set, or absent.
int Graph::last_item(int index, int port) {
  auto& s = state(index);
  if (s.last.empty())
    for (std::size_t p = 0; p < s.outputs.size(); ++p) {
      const auto list = members(index, static_cast<int>(p));
      s.last.push_back(list.empty() ? absent : list.back().second);
    }
  return s.last[static_cast<std::size_t>(port)];
}

int Graph::broadcast_item(const flow::PlannedInput& input) {
  int last = absent;
  for (const auto& from : input.from) {
    if (!state(from.step).closed) return unknown;
    if (const int item = last_item(from.step, from.port); item != absent) last = item;
  }
  return last;
}

/// What a filter that may hold goes by: the last item so far, unknown while there is none and there may be one.
int Graph::reference_item(const flow::PlannedInput& input) {
  int last = absent;
  bool may_come = false;
  for (const auto& from : input.from) {
    auto& s = state(from.step);
    may_come = may_come || !s.closed;
    if (s.latest_items.empty())
      for (std::size_t p = 0; p < s.outputs.size(); ++p) {
        const auto list = members(from.step, static_cast<int>(p));
        s.latest_items.push_back(list.empty() ? absent : list.back().second);
      }
    if (const int item = s.latest_items[static_cast<std::size_t>(from.port)]; item != absent) last = item;
  }
  return last == absent && may_come && !input.optional ? unknown : last;
}

/// Fills `chosen` with the items of one port. @return 0, or why there are none: unknown or absent
int Graph::choose(const flow::PlannedInput& input, int subject, std::vector<int>& chosen) const {
  for (const auto& from : input.from) {
    if (!input.broadcast) {
      const auto& roots = step(from.step).out_roots;
      if (!std::binary_search(roots.begin(), roots.end(), this->subject(subject).root)) continue;
    }
    const auto& list = state(from.step).outputs[static_cast<std::size_t>(from.port)];
    const int value =
        static_cast<std::size_t>(subject) < list.size() ? list[static_cast<std::size_t>(subject)] : unknown;
    if (value == unknown) return unknown;
    if (value == absent) continue;
    chosen.push_back(value);
    if (!input.many) break;
  }
  return chosen.empty() ? absent : 0;
}

Graph::Gathered Graph::gather(int index, int subject) {
  Gathered result;
  const auto& planned = step(index);
  bool waits = false;
  for (const auto& from : planned.where) {
    const auto& list = state(from.step).outputs[static_cast<std::size_t>(from.port)];
    const int value =
        static_cast<std::size_t>(subject) < list.size() ? list[static_cast<std::size_t>(subject)] : unknown;
    if (value == absent) return {Cell::absent, {}};
    waits = waits || value == unknown;
  }
  for (const auto& input : planned.inputs) {
    std::vector<int> chosen;
    int problem = 0;
    if (input.broadcast) {
      problem = may_hold(index) ? reference_item(input) : broadcast_item(input);
      if (problem >= 0) chosen.push_back(std::exchange(problem, 0));
    } else {
      problem = choose(input, subject, chosen);
    }
    if (problem == absent && !input.optional) return {Cell::absent, {}};
    waits = waits || problem == unknown;
    result.inputs.push_back(std::move(chosen));
  }
  result.state = waits ? Cell::waiting : Cell::ready;
  return result;
}

void Graph::evaluate(int index, int subject) {
  const auto current = cell(index, subject);
  if (!is_new(current) && current != Cell::waiting) return;
  auto& s = state(index);
  if (current != Cell::waiting) set_cell(index, subject, Cell::waiting);
  if (current == Cell::again) work_.push_back({Work::Kind::close, index, 0});
  if (is_cut(s) && list_of(index, subject) < 0) return resolve_absent(index, subject, Cell::absent);
  const auto gathered = gather(index, subject);
  if (gathered.state == Cell::absent) return resolve_absent(index, subject, Cell::absent);
  if (gathered.state == Cell::waiting || s.phase == Phase::held) return;
  set_cell(index, subject, Cell::ready);
  if (step(index).trigger.mode == Trigger::Mode::none) return start(index, subject);
  if (is_flowing(s) && !takes_lists(index)) {
    s.known.erase(subject);
    return start(index, subject);
  }
  offer(index, subject);
}

/// The subject leaves nothing behind at this step.
void Graph::resolve_absent(int index, int subject, Cell as) {
  set_cell(index, subject, as);
  if (!takes_lists(index)) {
    for (std::size_t port = 0; port < step(index).protocol->outputs.size(); ++port)
      put(index, static_cast<int>(port), subject, absent);
    push(index, subject);
  }
  if (step(index).trigger.mode != Trigger::Mode::none) {
    note_committed(index, subject);
    advance(index);
  }
  if (state(index).open == 0) work_.push_back({Work::Kind::close, index, 0});
}

// ---- executions -------------------------------------------------------------------------------------------------

Digest Graph::key_of(const Execution& execution) const {
  const auto& planned = step(execution.step);
  Hasher hasher;
  hasher.add("task").add(planned.name).add(planned.key).add(seed_);
  for (std::size_t i = 0; i < execution.inputs.size(); ++i) {
    hasher.add(planned.inputs[i].port);
    for (const int input : execution.inputs[i]) hasher.add(item(input).id.hex());
  }
  if (execution.call) hash_call(hasher, *execution.call);
  for (const auto& [port, previous] : execution.previous) hasher.add("previous").add(port).add(item(previous).id.hex());
  return hasher.digest();
}

void Graph::start(int index, int subject) {
  Execution execution;
  execution.step = index;
  execution.subject = subject;
  if (!suffices(index, {subject})) return resolve_absent(index, subject, Cell::absent);
  execution.inputs = gather(index, subject).inputs;
  const auto key = key_of(execution);
  set_cell(index, subject, Cell::running);
  auto outcome = knowledge_.known(key);
  if (may_hold(index) && (!outcome || outcome->verdict == flow::Verdict::held))
    if (auto decided = find_decided(execution)) outcome = std::move(decided);
  if (outcome) {
    apply_map(execution, *outcome);
    work_.push_back({Work::Kind::close, index, 0});
  } else if (takes_nothing_new(state(index).phase)) {
    resolve_absent(index, subject, Cell::absent);
  } else {
    execution.key = key.hex();
    effects_.start.push_back(std::move(execution));
  }
}

std::vector<std::vector<int>> Graph::inputs_of_members(int index, const std::vector<int>& members) {
  std::vector<std::vector<int>> inputs(step(index).inputs.size());
  for (const int member : members) {
    const auto gathered = gather(index, member);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      inputs[i].insert(inputs[i].end(), gathered.inputs[i].begin(), gathered.inputs[i].end());
  }
  return inputs;
}

/// Starts the fold's next version, and goes through those whose result is known.
void Graph::pump(int index) {
  auto& s = state(index);
  while (!s.running && !s.queue.empty()) {
    if (step(index).protocol->shape == Shape::iterate) {
      begin_iteration(index);
      continue;
    }
    auto batch = std::move(s.queue.front());
    s.queue.pop_front();
    Execution execution;
    execution.step = index;
    execution.batch = batch.number;
    execution.inputs = inputs_of_members(index, batch.members);
    execution.members = std::move(batch.members);
    if (!s.versions.empty()) execution.previous = s.versions.back().outputs;
    const auto key = key_of(execution);
    execution.key = key.hex();
    s.running = batch.number;
    if (const auto outcome = knowledge_.known(key))
      apply_fold(execution, *outcome);
    else
      effects_.start.push_back(std::move(execution));
  }
}

void Graph::apply_map(const Execution& execution, const Outcome& outcome) {
  const int index = execution.step, subject = execution.subject;
  const auto& protocol = *step(index).protocol;
  note_task(index, subject, outcome.task);
  if (outcome.failed) return resolve_absent(index, subject, Cell::failed);
  std::vector<int> values(protocol.outputs.size(), absent);
  if (protocol.shape == Shape::filter) {
    const int passed = execution.inputs.at(0).at(0);
    const auto said = knowledge_.person(index, item(passed).id);
    if (!said && outcome.verdict == flow::Verdict::held) {
      const bool is_outdated = gather(index, subject).inputs != execution.inputs;  // a better reference has come since
      state(index).held_by[subject] = outcome;
      set_cell(index, subject, is_outdated ? Cell::waiting : Cell::held);
      if (is_outdated) work_.push_back({Work::Kind::evaluate, index, subject});
      return;
    }
    const bool accepted = said.value_or(outcome.verdict == flow::Verdict::accepted);
    values[accepted ? 0 : 1] = passed;
    ++(accepted ? state(index).accepted : state(index).set_aside);
  } else {
    for (const auto& [port, handle] : outcome.outputs) {
      const auto found = std::find_if(protocol.outputs.begin(), protocol.outputs.end(),
                                      [&](const flow::PortInfo& p) { return p.name == port; });
      if (found == protocol.outputs.end() || knowledge_.person(index, handle.id) == std::optional(false)) continue;
      values[static_cast<std::size_t>(found - protocol.outputs.begin())] = add_item(handle);
    }
  }
  for (std::size_t port = 0; port < values.size(); ++port) put(index, static_cast<int>(port), subject, values[port]);
  set_cell(index, subject, Cell::done);
  push(index, subject);
}

void Graph::apply_fold(const Execution& execution, const Outcome& outcome) {
  const int index = execution.step;
  auto& s = state(index);
  s.running.reset();
  s.fold_tasks.push_back(outcome.task);
  s.versions.push_back({execution.batch, -1, execution.previous});
  for (const int member : execution.members) set_cell(index, member, outcome.failed ? Cell::failed : Cell::done);
  if (!outcome.failed) add_version(execution, outcome);  // or the next builds on the last that succeeded
}

/// What a fold or an iteration has made of a list is a subject of its own.
void Graph::add_version(const Execution& execution, const Outcome& outcome) {
  const int index = execution.step;
  auto& s = state(index);
  const auto& protocol = *step(index).protocol;
  Subject version{hash_of({"version", step(index).name, execution.key}),
                  fmt::format("{}_v{:04}", step(index).name, execution.batch + 1),
                  fmt::format("{:08}", execution.batch), index};
  int added = find_subject(version.id);
  if (added < 0) {
    added = add_subject(std::move(version));
  } else {  // made anew from the same members: the same version
    subjects_[static_cast<std::size_t>(added)].gone = false;
    ++s.introduced;
    for (const auto& consumer : s.consumers)
      if (!consumer.broadcast) retract(consumer.step, added);
  }
  auto& made = s.versions.back();
  made.subject = added;
  made.outputs.clear();
  std::vector<int> values(protocol.outputs.size(), absent);
  for (const auto& [port, handle] : outcome.outputs) {
    const auto found = std::find_if(protocol.outputs.begin(), protocol.outputs.end(),
                                    [&](const flow::PortInfo& p) { return p.name == port; });
    if (found == protocol.outputs.end()) continue;
    made.outputs.emplace_back(port, add_item(handle));
    values[static_cast<std::size_t>(found - protocol.outputs.begin())] = made.outputs.back().second;
  }
  for (std::size_t port = 0; port < values.size(); ++port) put(index, static_cast<int>(port), added, values[port]);
  (void)place(index, added);
  push(index, added);
}

}  // namespace frazil::engine
