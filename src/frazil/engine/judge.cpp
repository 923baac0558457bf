#include "frazil/engine/judge.hpp"

#include <chrono>
#include <cmath>

#include "frazil/base/parallel.hpp"

namespace frazil::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int most_kept = 50000;  ///< subjects: their records are kept in memory

std::int64_t item_at(const State& state, const flow::Endpoint& from, int subject) {
  return state.step(from.step).ports[static_cast<std::size_t>(from.port)].items[subject];
}

/// The last items of the sets that an input takes the last of; 0: there is none, or it is no such input.
std::vector<std::int64_t> references_of(const State& state, int index) {
  std::vector<std::int64_t> last;
  for (const auto& input : state.planned(index).inputs) {
    last.push_back(0);
    if (!input.broadcast) continue;
    for (const auto& from : input.from)
      if (const auto members = state.members(from.step, from.port); !members.empty())
        last.back() = item_at(state, from, members.back());
  }
  return last;
}

/// The items that a subject brings to a step, by input.
std::vector<std::vector<std::int64_t>> inputs_of(const State& state, int index, int subject,
                                                 const std::vector<std::int64_t>& references) {
  std::vector<std::vector<std::int64_t>> inputs;
  for (const auto& input : state.planned(index).inputs) {
    auto& items = inputs.emplace_back();
    if (input.broadcast) {
      if (const auto last = references[inputs.size() - 1]; last > 0) items.push_back(last);
      continue;
    }
    for (const auto& from : input.from)
      if (const auto item = item_at(state, from, subject); item > 0 && (items.empty() || input.many))
        items.push_back(item);
  }
  return inputs;
}

/// The decision, if its numbers may stand in one: what else a task refuses, a task shall refuse.
void judge(const std::function<flow::Decision(const void*)>& decide, const void* record, Said& said) {
  try {
    auto decision = decide(record);
    if (std::isfinite(decision.limit) && !std::isinf(decision.value))
      said.decision = std::move(decision);
    else
      said.problem = Error(ErrorCode::bad_input, "a number of the decision is not finite");
  } catch (const Error& error) {
    said.problem = error;
  } catch (const std::exception& error) {
    said.problem = Error(ErrorCode::bug, "{}", error.what());
  }
}

}  // namespace

void Judge::begin_anew_if_needed(const State& state) {
  if (load_ == state.load) return;
  load_ = state.load;
  decided_.clear();
  ahead_ = {0, 0};
}

/// The inputs of a filter for those of these subjects that it has decided on. The store is read by one thread, records
/// are parsed by all: that is nearly all the time it takes. What cannot be parsed has no record.
void Judge::read(const Reading& reading, int index, const std::vector<int>& subjects) {
  struct Unread {
    int subject;
    std::shared_ptr<const Inputs> inputs;
    std::vector<std::vector<std::string>> texts;  ///< by input port
    std::shared_ptr<const void> record;
  };
  const auto& state = *reading.state;
  const auto& planned = state.planned(index);
  const auto references = references_of(state, index);
  auto& decided = decided_[index];
  std::vector<Unread> unread;
  for (const int subject : subjects) {
    if (state.step(index).cells[subject] != CellState::done) continue;
    auto inputs = inputs_of(state, index, subject, references);
    if (const auto known = decided.find(subject); known != decided.end() && *known->second.inputs == inputs) continue;
    std::vector<std::vector<std::string>> texts(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i)
      for (const auto item : inputs[i]) texts[i].push_back(reading.reader.record(item));
    unread.push_back({subject, std::make_shared<const Inputs>(std::move(inputs)), std::move(texts), nullptr});
  }
  parallel_for(available_cpus(), unread.size(), [&](std::size_t at) {
    auto& one = unread[at];
    flow::Records records;
    for (std::size_t i = 0; i < one.texts.size(); ++i) {
      std::vector<Json> list;
      for (const auto& text : one.texts[i]) list.push_back(Json::parse(text, nullptr, false));
      if (!list.empty()) records.emplace_back(planned.inputs[i].port, std::move(list));
    }
    one.texts.clear();
    try {
      one.record = planned.protocol->parse_inputs(records);
    } catch (const std::exception&) {  // a task will say what is wrong with it
    }
  });
  for (auto& one : unread) decided[one.subject] = {std::move(one.inputs), std::move(one.record)};
}

bool Judge::read_ahead(const Reading& reading, double most_s) {
  const std::lock_guard lock(mutex_);
  const auto& state = *reading.state;
  begin_anew_if_needed(state);
  if (state.subject_count > most_kept) return false;
  auto& [step, subject] = ahead_;
  constexpr int some = 16;
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
    std::vector<int> next;
    for (int i = 0; i < some && subject < state.subject_count; ++i) next.push_back(subject++);
    read(reading, step, next);
  }
  return true;
}

std::vector<Said> Judge::ask(const Reading& reading, int index, const Json& params) {
  const std::lock_guard lock(mutex_);
  const auto& state = *reading.state;
  begin_anew_if_needed(state);
  std::vector<int> all;
  for (int subject = 0; subject < state.subject_count; ++subject)
    if (state.step(index).cells[subject] == CellState::done) all.push_back(subject);
  read(reading, index, all);
  const auto& decided = decided_[index];
  std::vector<Said> list(all.size());
  const auto decide = state.planned(index).protocol->decide(params);
  parallel_for(available_cpus(), all.size(), [&](std::size_t at) {
    auto& said = list[at];
    said.subject = all[at];
    const auto& on = decided.at(said.subject);
    said.inputs = on.inputs;
    if (on.record != nullptr)
      judge(decide, on.record.get(), said);
    else
      said.problem = Error(ErrorCode::bad_input, "its inputs cannot be read");
  });
  return list;
}

}  // namespace frazil::engine
