// Iterations: one list at a time, call by call, each call a task whose key follows from the state before.
#include <algorithm>

#include "frazil/base/error.hpp"
#include "frazil/engine/graph.hpp"

namespace frazil::engine {

using flow::Stage;

/// The next list becomes an iteration.
void Graph::begin_iteration(int index) {
  auto& s = state(index);
  auto batch = std::move(s.queue.front());
  s.queue.pop_front();
  Chain chain;
  chain.batch = batch.number;
  chain.inputs = inputs_of_members(index, batch.members);
  chain.members = std::move(batch.members);
  s.chain = std::move(chain);
  s.running = s.chain->batch;
  iterate(index);
}

/// Goes on as far as results are known; what is not known is started.
void Graph::iterate(int index) {
  auto& s = state(index);
  while (s.chain && s.chain->open.empty()) {
    auto& c = *s.chain;
    if (c.state < 0) {
      launch(index, Stage::start, 0);
      continue;
    }
    if (c.count < 0) {
      c.count = knowledge_.parts(index, item(c.state).n);
      const bool scattered = !step(index).protocol->iterate.part_kind.empty();
      c.parts.assign(scattered ? static_cast<std::size_t>(c.count) : 0, unknown);
    }
    if (c.count == 0) {
      launch(index, Stage::finish, 0);
    } else if (std::find(c.parts.begin(), c.parts.end(), unknown) != c.parts.end()) {
      const int count = c.count;  // what is known to have failed ends the iteration
      for (int part = 0; part < count && s.chain; ++part) launch(index, Stage::part, part);
    } else {
      launch(index, Stage::step, 0);
    }
  }
}

/// Starts one call, or takes its result if that is known.
void Graph::launch(int index, Stage stage, int part) {
  auto& c = *state(index).chain;
  Execution execution;
  execution.step = index;
  execution.batch = c.batch;
  execution.call = Call{stage, c.round, part, std::max(0, c.count), c.state, {}};
  if (stage == Stage::start) execution.inputs = c.inputs;
  if (stage == Stage::step) execution.call->gathered = c.parts;
  const auto key = key_of(execution);
  execution.key = key.hex();
  if (const auto outcome = knowledge_.known(key)) return apply_call(execution, *outcome);
  c.open.push_back(execution);
  effects_.start.push_back(std::move(execution));
}

/// A state's item follows from all that came before.
void Graph::hash_call(Hasher& hasher, const Call& call) const {
  hasher.add("call").add(std::to_string(static_cast<int>(call.stage)));
  if (call.state >= 0) hasher.add("state").add(item(call.state).id.hex());
  if (call.stage == Stage::part) hasher.add(std::to_string(call.part)).add(std::to_string(call.count));
  for (const int part : call.gathered) hasher.add("part").add(item(part).id.hex());
}

void Graph::apply_call(const Execution& execution, const Outcome& outcome) {
  const int index = execution.step;
  auto& s = state(index);
  if (!s.chain || s.chain->batch != execution.batch) return;  // of an iteration that has failed meanwhile
  auto& c = *s.chain;
  std::erase_if(c.open, [&](const Execution& other) { return other.key == execution.key; });
  note_set(index);
  const auto& call = *execution.call;
  if (outcome.failed || call.stage == Stage::finish) return end_iteration(execution, outcome);
  expect(!outcome.outputs.empty(), "a call of an iteration gives one record");
  const int made = add_item(outcome.outputs.front().second);
  if (call.stage == Stage::part) {
    c.parts[static_cast<std::size_t>(call.part)] = made;
    c.made.push_back(execution);
    return;
  }
  c.state = made;
  c.count = -1;
  if (call.stage == Stage::start) return;
  ++c.round;
  // What the state was made of is not needed again, nor are states far behind it.
  for (auto& part : std::exchange(c.made, {})) effects_.retired.push_back(std::move(part));
  c.parts.clear();
  c.states.push_back(execution);
  if (static_cast<int>(c.states.size()) > step(index).protocol->iterate.kept) {
    effects_.retired.push_back(std::move(c.states.front()));
    c.states.pop_front();
  }
}

/// With its result, or with the call that failed.
void Graph::end_iteration(const Execution& execution, const Outcome& outcome) {
  const int index = execution.step;
  auto& s = state(index);
  const auto members = std::move(s.chain->members);
  drop_iteration(index);
  s.running.reset();
  s.fold_tasks.push_back(outcome.task);
  s.versions.push_back({execution.batch, -1, {}});
  for (const int member : members) set_cell(index, member, outcome.failed ? Cell::failed : Cell::done);
  if (!outcome.failed) add_version(execution, outcome);
}

/// Nobody waits for its calls any more.
void Graph::drop_iteration(int index) {
  auto& chain = state(index).chain;
  for (auto& open : chain->open)
    if (std::erase_if(effects_.start, [&](const Execution& e) { return e.key == open.key; }) == 0)
      effects_.dropped.push_back(std::move(open));
  chain.reset();
}

std::optional<IterationView> Graph::iteration(int index) const {
  const auto& s = state(index);
  if (!s.chain) return std::nullopt;
  const auto& c = *s.chain;
  IterationView view;
  view.batch = c.batch;
  view.round = c.round;
  view.state = c.state < 0 ? 0 : item(c.state).n;
  view.parts = static_cast<int>(c.parts.size());
  view.parts_done = static_cast<int>(std::count_if(c.parts.begin(), c.parts.end(), [](int p) { return p >= 0; }));
  return view;
}

const Execution* Graph::open_call(int index) const {
  const auto& s = state(index);
  return s.chain && !s.chain->open.empty() ? &s.chain->open.front() : nullptr;
}

}  // namespace frazil::engine
