// When steps act on their input as a whole, and when their output is complete.
#include <algorithm>
#include <cmath>

#include "frazil/engine/graph.hpp"

namespace frazil::engine {

using flow::Shape;
using flow::Trigger;

// ---- triggers ---------------------------------------------------------------------------------------------------

/// Number of the list that holds a subject, −1: it is in none.
int Graph::list_of(int index, int subject) {
  auto& s = state(index);
  if (static_cast<std::size_t>(subject) < s.list_of.size() && s.list_of[static_cast<std::size_t>(subject)] >= 0)
    return s.list_of[static_cast<std::size_t>(subject)];
  const auto found = s.committed_in.find(this->subject(subject).id);
  return found == s.committed_in.end() ? -1 : found->second;
}

/// The list with this number, if it waits for its members.
Graph::Committed* Graph::find_committed(int index, int number) {
  for (auto& list : state(index).committed)
    if (list.number == number) return &list;
  return nullptr;
}

void Graph::offer(int index, int subject) {
  auto& s = state(index);
  if (const int number = list_of(index, subject); number >= 0) {
    if (find_committed(index, number) != nullptr) return note_committed(index, subject);
    if (!takes_lists(index)) return start(index, subject);  // the list was formed without it
    rewind(index, number);
    return replay_committed(index, false);
  }
  if (order_ == Order::arrival && s.committed.empty() && s.weight >= 0)
    take_in_line(index, subject);
  else if (order_ == Order::arrival)
    s.pending.push_back(subject), s.weight = -1;  // summed when earlier lists are through
  advance(index);
}

void Graph::note_committed(int index, int subject) {
  const int number = list_of(index, subject);
  if (number < 0) return;
  if (auto* list = find_committed(index, number); list != nullptr && list->missing > 0) --list->missing;
  replay_committed(index, false);
}

/// Consumes member lists committed earlier, in their order, as soon as their members are there; `force`: with those
/// that are.
void Graph::replay_committed(int index, bool force) {
  auto& s = state(index);
  while (!s.committed.empty() && (force || s.committed.front().missing == 0)) {
    auto list = std::move(s.committed.front());
    s.committed.pop_front();
    std::vector<int> members;
    for (const auto& id : list.members)
      if (const auto found = subject_by_id_.find(id);
          found != subject_by_id_.end() && cell(index, found->second) == Cell::ready)
        members.push_back(found->second);
    if (step(index).trigger.mode == Trigger::Mode::first) drop_rest(index);
    for (const int stopped : step(index).trigger.stops) {
      state(stopped).phase = Phase::enough;
      work_.push_back({Work::Kind::close, stopped, 0});
    }
    note_members(index, list.number, members);
    consume(index, std::move(list), std::move(members));
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
    if (is_new(c) || c == Cell::waiting) return;
    s.known.erase(s.known.begin());
    if (c == Cell::ready) take_in_line(index, subject);
  }
  flow_on(index);
}

/// The next member of the list that is being formed.
void Graph::take_in_line(int index, int subject) {
  auto& s = state(index);
  if (is_cut(s)) return;
  if (is_flowing(s) && !takes_lists(index)) return start(index, subject);
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
  if (is_flowing(s) && takes_lists(index) && !s.running && s.queue.empty() && s.committed.empty() && !s.pending.empty())
    cut(index, false);
}

/// Whether these subjects bring enough to start on; if not, that is noted.
bool Graph::suffices(int index, const std::vector<int>& members) {
  auto& s = state(index);
  const auto& needs = step(index).needs;
  if (needs.empty() || (takes_lists(index) && s.next_batch > 0)) return true;
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

/// The last subject in order that a list holds and that is still there, −1: none.
int Graph::latest_listed(int index) {
  int latest = -1;
  for (int subject = 0; subject < static_cast<int>(state(index).list_of.size()); ++subject) {
    const auto is = cell(index, subject);
    const bool was_taken = is == Cell::running || is == Cell::done || is == Cell::failed;
    if (was_taken && list_of(index, subject) >= 0 && (latest < 0 || ByOrder{&subjects_}(latest, subject)))
      latest = subject;
  }
  return latest;
}

/// Commits the list of the pending members and consumes it.
void Graph::cut(int index, bool remainder) {
  auto& s = state(index);
  const auto& planned = step(index);
  if (takes_lists(index) && !s.pending.empty() && !suffices(index, s.pending)) return;
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
    const int last = latest_listed(index);
    const bool is_newer = last < 0 || before(last, latest);
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
  note_members(index, number, members);
  if (planned.trigger.mode == Trigger::Mode::first) drop_rest(index);
  consume(index, {number, std::move(ids), 0}, std::move(members));
}

/// A static trigger has its list: whoever is not in it never will be.
void Graph::drop_rest(int index) {
  auto& s = state(index);
  s.phase = Phase::cut;
  s.pending.clear();
  s.known.clear();
  for (std::size_t i = 0; i < s.cells.size(); ++i) {
    const auto c = s.cells[i];
    if ((c == Cell::waiting || c == Cell::ready) && list_of(index, static_cast<int>(i)) < 0)
      resolve_absent(index, static_cast<int>(i), Cell::absent);
  }
}

/// These subjects are in this list from now on.
void Graph::note_members(int index, int number, const std::vector<int>& members) {
  auto& list = state(index).list_of;
  if (list.size() < subjects_.size()) list.resize(subjects_.size(), -1);
  for (const int member : members) list[static_cast<std::size_t>(member)] = number;
}

void Graph::consume(int index, Committed list, std::vector<int> members) {
  work_.push_back({Work::Kind::close, index, 0});
  if (auto& phase = state(index).phase; step(index).trigger.mode == Trigger::Mode::dynamic && phase == Phase::open)
    phase = Phase::flowing;
  const int number = list.number;
  if (takes_lists(index)) state(index).formed.push_back(std::move(list));
  if (members.empty()) return;
  if (!takes_lists(index)) {
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
  if (s.closed || s.again > 0 || step(index).protocol->shape == Shape::source) return;
  const bool last = inputs_closed(index);
  const auto mode = step(index).trigger.mode;
  if (last) {
    for (std::size_t subject = 0; s.waiting > 0 && subject < s.cells.size();
         ++subject)  // those that waited for a closed set
      if (s.cells[subject] == Cell::waiting) evaluate(index, static_cast<int>(subject));
    decide_held(index);
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

/// The output is complete: those that waited for that go on, and those that had its last item before it went on.
void Graph::close(int index) {
  auto& s = state(index);
  s.closed = true;
  const bool is_other = has_other_last(index, std::exchange(s.last, {}));
  for (const auto& consumer : s.consumers) {
    if (consumer.broadcast) {
      const auto& cells = state(consumer.step).cells;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        const int subject = static_cast<int>(i);
        if (is_other) look_again(consumer.step, subject);
        if (!is_other && cells[i] == Cell::waiting) work_.push_back({Work::Kind::evaluate, consumer.step, subject});
      }
    }
    work_.push_back({Work::Kind::close, consumer.step, 0});
  }
}

}  // namespace frazil::engine
