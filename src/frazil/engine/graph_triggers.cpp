// When steps act on their input as a whole, and when their output is complete.
#include <algorithm>
#include <cmath>

#include "frazil/engine/graph.hpp"

namespace frazil::engine {

using flow::Shape;
using flow::Trigger;

// ---- triggers ---------------------------------------------------------------------------------------------------

void Graph::offer(int index, int subject) {
  auto& s = state(index);
  if (s.committed_in.contains(this->subject(subject).id)) return note_committed(index, subject);
  if (order_ == Order::arrival && s.committed.empty() && s.weight >= 0)
    take_in_line(index, subject);
  else if (order_ == Order::arrival)
    s.pending.push_back(subject), s.weight = -1;  // summed when earlier lists are through
  advance(index);
}

void Graph::note_committed(int index, int subject) {
  auto& s = state(index);
  const auto found = s.committed_in.find(this->subject(subject).id);
  if (found == s.committed_in.end()) return;
  const auto place =
      s.committed.empty() ? std::size_t{0} : found->second - static_cast<std::size_t>(s.committed.front().number);
  if (place < s.committed.size() && s.committed[place].missing > 0) --s.committed[place].missing;
  replay_committed(index, false);
}

/// Consumes member lists committed earlier, in their order, as soon as their members are there; `force`: with those
/// that are.
void Graph::replay_committed(int index, bool force) {
  auto& s = state(index);
  while (!s.committed.empty() && (force || s.committed.front().missing == 0)) {
    auto batch = std::move(s.committed.front());
    s.committed.pop_front();
    std::vector<int> members;
    for (const auto& id : batch.members)
      if (const auto found = subject_by_id_.find(id);
          found != subject_by_id_.end() && cell(index, found->second) == Cell::ready)
        members.push_back(found->second);
    if (step(index).trigger.mode == Trigger::Mode::first) drop_rest(index);
    for (const int stopped : step(index).trigger.stops) {
      state(stopped).phase = Phase::enough;
      work_.push_back({Work::Kind::close, stopped, 0});
    }
    consume(index, batch.number, std::move(members));
  }
  if (s.committed.empty()) advance(index);
}

bool Graph::blocked(int subject) const {
  const auto& s = this->subject(subject);
  const auto& horizon = state(s.root).horizon;
  return horizon && s.order >= *horizon;
}

/// Moves members that may be listed into `pending`, and forms a list when there are enough.
void Graph::advance(int index) {
  auto& s = state(index);
  const auto& trigger = step(index).trigger;
  if (trigger.mode == Trigger::Mode::closed || is_cut(s)) return;  // formed when the input closes
  if (order_ == Order::arrival) {
    if (!s.committed.empty()) return;
    if (s.weight < 0) {
      s.weight = 0;
      for (const int subject : std::exchange(s.pending, {})) take_in_line(index, subject);
    }
    return flow_on(index);
  }
  if (s.weight < 0) {  // somebody went back in line
    s.weight = 0;
    for (const int subject : std::exchange(s.pending, {})) take_in_line(index, subject);
  }
  while (!s.known.empty() && s.committed.empty() && !is_cut(s)) {
    const int subject = *s.known.begin();
    if (blocked(subject)) return;
    const auto c = cell(index, subject);
    if (c == Cell::unknown || c == Cell::waiting) return;
    s.known.erase(s.known.begin());
    if (c == Cell::ready) take_in_line(index, subject);
  }
  flow_on(index);
}

/// The next member of the list that is being formed.
void Graph::take_in_line(int index, int subject) {
  auto& s = state(index);
  if (is_cut(s)) return;
  if (is_flowing(s) && !is_fold(index)) return start(index, subject);
  s.pending.push_back(subject);
  const auto& trigger = step(index).trigger;
  if (trigger.mode == Trigger::Mode::closed) return;
  if (trigger.of.empty())
    s.weight += 1;
  else
    s.weight += knowledge_.weight(item(gather(index, subject).inputs.at(0).at(0)).n, trigger.of);
  if (!is_flowing(s) && s.weight >= trigger.count) cut(index, false);
}

/// After a dynamic trigger a fold that has nothing to do takes what has gathered.
void Graph::flow_on(int index) {
  auto& s = state(index);
  if (is_flowing(s) && is_fold(index) && !s.running && s.queue.empty() && s.committed.empty() && !s.pending.empty())
    cut(index, false);
}

/// Whether these subjects bring enough to start on; if not, that is noted.
bool Graph::suffices(int index, const std::vector<int>& members) {
  auto& s = state(index);
  const auto& needs = step(index).needs;
  if (needs.empty() || (is_fold(index) && s.next_batch > 0)) return true;
  for (const auto& need : needs) {
    double have = 0;
    for (const int member : members) {
      const auto gathered = gather(index, member);
      for (const int input : gathered.inputs.at(static_cast<std::size_t>(need.input)))
        have += need.field.empty() ? 1 : knowledge_.weight(item(input).n, need.field);
    }
    if (have >= need.at_least) continue;
    s.lack = Lack{have, need.at_least, need.of};
    return false;
  }
  s.lack.reset();
  return true;
}

std::optional<Lack> Graph::lack(int index) const {
  const auto& s = state(index);
  const auto& trigger = step(index).trigger;
  if (s.lack) return s.lack;
  const bool counts = (trigger.mode == Trigger::Mode::first && !is_cut(s)) ||
                      (trigger.mode == Trigger::Mode::dynamic && !is_flowing(s));
  if (!counts || s.closed || s.weight < 0 || std::isinf(trigger.count)) return std::nullopt;
  return Lack{s.weight, trigger.count, trigger.of.empty() ? "items" : trigger.of};
}

/// Commits the list of the pending members and consumes it.
void Graph::cut(int index, bool remainder) {
  auto& s = state(index);
  const auto& planned = step(index);
  if (is_fold(index) && !s.pending.empty() && !suffices(index, s.pending)) return;
  auto members = std::exchange(s.pending, {});
  s.weight = 0;
  if (planned.trigger.mode == Trigger::Mode::closed && planned.versioned &&
      !members.empty()) {  // the latest version alone
    const ByOrder before{&subjects_};
    const auto latest = *std::max_element(members.begin(), members.end(), before);
    if (!suffices(index, {latest})) {  // a later version may do
      s.pending = std::move(members);
      return;
    }
    const bool is_newer = s.latest < 0 || before(s.latest, latest);
    for (const int member : members)
      if (member != latest || !is_newer) resolve_absent(index, member, Cell::absent);
    members = is_newer ? std::vector{latest} : std::vector<int>{};
  }
  if (members.empty() && !(remainder && planned.trigger.mode == Trigger::Mode::first)) return;
  std::vector<std::string> ids;
  for (const int member : members) ids.push_back(subject(member).id);
  const int number = s.next_batch++;
  if (!ids.empty()) effects_.batch.push_back({index, number, ids});
  for (const int stopped : planned.trigger.stops) stop(stopped);
  if (planned.trigger.mode == Trigger::Mode::first) {
    for (const auto& id : ids) s.committed_in[id] = static_cast<std::size_t>(number);
    drop_rest(index);
  }
  consume(index, number, std::move(members));
}

/// A static trigger has its list: whoever is not in it never will be.
void Graph::drop_rest(int index) {
  auto& s = state(index);
  s.phase = Phase::cut;
  s.pending.clear();
  s.known.clear();
  for (std::size_t i = 0; i < s.cells.size(); ++i) {
    const auto c = s.cells[i];
    if ((c == Cell::waiting || c == Cell::ready) && !s.committed_in.contains(subjects_[i].id))
      resolve_absent(index, static_cast<int>(i), Cell::absent);
  }
}

void Graph::consume(int index, int number, std::vector<int> members) {
  work_.push_back({Work::Kind::close, index, 0});
  if (auto& phase = state(index).phase; step(index).trigger.mode == Trigger::Mode::dynamic && phase == Phase::open)
    phase = Phase::flowing;
  if (members.empty()) return;
  auto& latest = state(index).latest;
  for (const int member : members)
    if (latest < 0 || ByOrder{&subjects_}(latest, member)) latest = member;
  if (!is_fold(index)) {
    for (const int member : members) start(index, member);
    return;
  }
  for (const int member : members) set_cell(index, member, Cell::running);
  state(index).queue.push_back({number, std::move(members)});
  pump(index);
}

// ---- closing ----------------------------------------------------------------------------------------------------

bool Graph::inputs_closed(int index) const {
  const auto& planned = step(index);
  for (const auto& input : planned.inputs)
    for (const auto& from : input.from)
      if (!state(from.step).closed) return false;
  return std::all_of(planned.where.begin(), planned.where.end(),
                     [&](const flow::Endpoint& from) { return state(from.step).closed; });
}

void Graph::check_closed(int index) {
  auto& s = state(index);
  if (s.closed || step(index).protocol->shape == Shape::source) return;
  const bool last = inputs_closed(index);
  const auto mode = step(index).trigger.mode;
  if (last) {
    for (std::size_t subject = 0; s.waiting > 0 && subject < s.cells.size();
         ++subject)  // those that waited for a closed set
      if (s.cells[subject] == Cell::waiting) evaluate(index, static_cast<int>(subject));
    if (mode != Trigger::Mode::none && s.waiting == 0) {
      replay_committed(index, true);
      if (mode == Trigger::Mode::closed && order_ == Order::acquisition) {
        for (const int subject : std::exchange(s.known, std::set<int, ByOrder>(ByOrder{&subjects_})))
          if (cell(index, subject) == Cell::ready) s.pending.push_back(subject);
      }
      if (!s.pending.empty() || (mode == Trigger::Mode::first && !is_cut(s))) cut(index, true);
    }
  }
  const bool complete = last || (mode == Trigger::Mode::first && is_cut(s)) || s.phase == Phase::enough;
  // Too few to start on are kept, for a stream that opens again.
  const int kept = last && s.lack ? static_cast<int>(s.pending.size()) : 0;
  if (!complete || s.open > kept || s.running || !s.queue.empty() || static_cast<int>(s.pending.size()) > kept) return;
  if (mode != Trigger::Mode::first && s.waiting > 0) return;
  close(index);
}

/// The output is complete: those that waited for that go on.
void Graph::close(int index) {
  state(index).closed = true;
  effects_.closed.push_back(index);
  for (const auto& consumer : state(index).consumers) {
    if (consumer.broadcast) {
      auto& waiting = state(consumer.step);
      for (std::size_t subject = 0; subject < waiting.cells.size(); ++subject)
        if (waiting.cells[subject] == Cell::waiting)
          work_.push_back({Work::Kind::evaluate, consumer.step, static_cast<int>(subject)});
    }
    work_.push_back({Work::Kind::close, consumer.step, 0});
  }
}

}  // namespace frazil::engine
