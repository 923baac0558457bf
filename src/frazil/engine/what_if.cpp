#include "frazil/engine/what_if.hpp"

#include <algorithm>
#include <chrono>

#include "frazil/base/parallel.hpp"

namespace frazil::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int most_kept = 50000;  ///< subjects: their records are kept in memory

/// What becomes of a subject.
enum Fate : char { kept, set_aside, to_compute, lost };

std::int64_t item_at(const State& state, const flow::Endpoint& from, int subject) {
  return state.step(from.step).ports[static_cast<std::size_t>(from.port)].items[subject];
}

/// The items that a subject brings to a step, by input.
std::vector<std::vector<std::int64_t>> inputs_of(const State& state, int index, int subject) {
  std::vector<std::vector<std::int64_t>> inputs;
  for (const auto& input : state.planned(index).inputs) {
    auto& items = inputs.emplace_back();
    for (const auto& from : input.from) {
      if (input.broadcast) {
        if (const auto members = state.members(from.step, from.port); !members.empty())
          items = {item_at(state, from, members.back())};
      } else if (const auto item = item_at(state, from, subject); item > 0 && (items.empty() || input.many)) {
        items.push_back(item);
      }
    }
  }
  return inputs;
}

void count_up(Json& entry, const char* key) { entry[key] = entry[key].get<int>() + 1; }

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

void WhatIf::begin_anew_if_needed(const State& state) {
  if (head_ == state.head) return;
  head_ = state.head;
  decided_.clear();
  ahead_ = {0, 0};
}

/// The inputs of a filter for those of these subjects that it has decided on. The store is read by one thread, records
/// are parsed by all: that is nearly all the time it takes.
void WhatIf::read_decided(const Reading& reading, int index, const std::vector<int>& subjects) {
  struct Unread {
    int subject;
    std::vector<std::vector<std::int64_t>> inputs;
    std::vector<std::vector<std::string>> texts;  ///< by input port
    std::shared_ptr<const void> record;
  };
  const auto& state = *reading.state;
  const auto& planned = state.planned(index);
  auto& decided = decided_[index];
  std::vector<Unread> unread;
  for (const int subject : subjects) {
    if (state.step(index).cells[subject] != CellState::done) continue;
    auto inputs = inputs_of(state, index, subject);
    if (const auto known = decided.find(subject); known != decided.end() && known->second.inputs == inputs) continue;
    std::vector<std::vector<std::string>> texts(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i)
      for (const auto item : inputs[i]) texts[i].push_back(reading.reader.record(item));
    unread.push_back({subject, std::move(inputs), std::move(texts), nullptr});
  }
  parallel_for(available_cpus(), unread.size(), [&](std::size_t at) {
    auto& one = unread[at];
    flow::Records records;
    for (std::size_t i = 0; i < one.texts.size(); ++i) {
      std::vector<Json> list;
      for (const auto& text : one.texts[i]) list.push_back(Json::parse(text));
      if (!list.empty()) records.emplace_back(planned.inputs[i].port, std::move(list));
    }
    one.texts.clear();
    one.record = planned.protocol->parse_inputs(records);
  });
  for (auto& one : unread) decided[one.subject] = {std::move(one.inputs), std::move(one.record)};
}

bool WhatIf::read_ahead(const Reading& reading, double most_s) {
  const std::lock_guard lock(mutex_);
  const auto& state = *reading.state;
  begin_anew_if_needed(state);
  if (state.subject_count > most_kept) return false;
  auto& [step, subject] = ahead_;
  for (const auto start = Clock::now(); std::chrono::duration<double>(Clock::now() - start).count() < most_s;) {
    while (step < static_cast<int>(state.steps.size()) &&
           (state.planned(step).protocol->parse_inputs == nullptr || subject >= state.subject_count)) {
      ++step;
      subject = 0;
    }
    if (step >= static_cast<int>(state.steps.size())) {
      ahead_ = {0, 0};  // the next round finds what has come since
      return false;
    }
    try {
      read_decided(reading, step, {subject++});
    } catch (const std::exception&) {  // who asks is told
    }
  }
  return true;
}

/// What one filter has decided and would decide.
Json WhatIf::ask_step(const Reading& reading, int index, const Changed& changed, std::vector<char>& now,
                      std::vector<char>& then) {
  const auto& state = *reading.state;
  const auto& planned = state.planned(index);
  const auto& step = state.step(index);
  const int other = changed.plan.find(planned.name);
  const bool same = other >= 0 && changed.plan.steps[static_cast<std::size_t>(other)].key == planned.key;
  Json entry = {{"step", planned.name}, {"of", 0},         {"kept_now", 0},
                {"kept_then", 0},       {"newly_kept", 0}, {"newly_set_aside", 0}};
  std::function<flow::Verdict(const void*)> decide;
  if (!same && other >= 0) {
    std::vector<int> all(static_cast<std::size_t>(state.subject_count));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    read_decided(reading, index, all);
    decide = planned.protocol->decide(changed.plan.steps[static_cast<std::size_t>(other)].params);
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
    const bool will = by_hand     ? person->second.accepted
                      : other < 0 ? true
                      : decide    ? decide(decided_[index].at(subject).record.get()) == flow::Verdict::accepted
                                  : was;
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

Json WhatIf::ask(const Reading& reading, const Changed& changed) {
  const std::lock_guard lock(mutex_);
  const auto started = Clock::now();
  const auto& state = *reading.state;
  begin_anew_if_needed(state);
  std::vector<char> now(static_cast<std::size_t>(state.subject_count), kept), then = now;
  Json steps = Json::array(), again = Json::array();
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i) {
    const auto& planned = state.planned(i);
    if (planned.protocol->shape == flow::Shape::filter && !planned.versioned) {
      steps.push_back(ask_step(reading, i, changed, now, then));
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

}  // namespace frazil::engine
