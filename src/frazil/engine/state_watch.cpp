#include "frazil/engine/state_watch.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace frazil::engine {
namespace {

/// The last subjects of which something is true, latest first.
std::vector<int> last_subjects(const State& state, int most, const std::function<bool(int)>& wanted) {
  std::vector<int> list;
  for (auto it = state.by_order->rbegin(); it != state.by_order->rend() && static_cast<int>(list.size()) < most; ++it)
    if (wanted(*it)) list.push_back(*it);
  return list;
}

/// A message without the names of its item, so that those of one cause are alike.
std::string cause_of(std::string message, const SubjectView& subject) {
  for (const auto& name : {subject.path, subject.label})
    if (!name.empty())
      for (auto at = message.find(name); at != std::string::npos; at = message.find(name, at + 3))
        message.replace(at, name.size(), "…");
  return message;
}

// ---- failures ---------------------------------------------------------------------------------------------------

std::vector<Finding> failing(const State& state, store::Reader& reader, int index, const StateWatchSettings& settings) {
  const auto& step = state.step(index);
  const auto ended = last_subjects(state, settings.last, [&](int subject) {
    return step.cells[subject] == CellState::done || step.cells[subject] == CellState::failed;
  });
  std::vector<std::pair<std::string, std::string>> messages;  // cause and message
  for (const int subject : ended)
    if (step.cells[subject] == CellState::failed)
      reader.for_task(step.tasks[subject], [&](const store::TaskRow& row) {
        messages.emplace_back(cause_of(row.message, state.subject(subject)), row.message);
      });
  const auto count = static_cast<int>(messages.size());
  if (count < settings.failed || count < settings.failed_share * static_cast<double>(ended.size())) return {};
  const auto times = [&](const auto& message) {
    return std::count_if(messages.begin(), messages.end(), [&](const auto& m) { return m.first == message.first; });
  };
  const auto most = std::max_element(messages.begin(), messages.end(),
                                     [&](const auto& a, const auto& b) { return times(a) < times(b); });
  const bool all = count == static_cast<int>(ended.size());
  return {{.kind = AlarmKind::task,
           .about = "fails",
           .text = fmt::format("{}: {}", all ? "every item fails" : "most items fail", first_sentence(most->second)),
           .seen = fmt::format("{} of the last {} have failed, {} of them for this reason", count, ended.size(),
                               times(*most)),
           .advice = "when the cause is gone: frazil restore --failed takes them up again"}};
}

// ---- filters ----------------------------------------------------------------------------------------------------

std::vector<Finding> setting_aside(const State& state, int index, const StateWatchSettings& settings) {
  const auto& step = state.step(index);
  constexpr std::size_t accepted = 0, set_aside = 1;
  const auto decided = last_subjects(state, settings.last, [&](int subject) {
    if (step.cells[subject] != CellState::done || state.people->contains({index, subject})) return false;
    return step.ports[accepted].items[subject] > 0 || step.ports[set_aside].items[subject] > 0;
  });
  std::map<std::string, int> rules;
  int against = 0;
  for (const int subject : decided) {
    if (step.ports[set_aside].items[subject] == 0) continue;
    ++against;
    if (const int rule = step.rules[subject]; rule >= 0) ++rules[step.rule_names[static_cast<std::size_t>(rule)]];
  }
  if (static_cast<int>(decided.size()) < settings.decisions ||
      against <= settings.set_aside_share * static_cast<double>(decided.size()))
    return {};
  std::string reasons;
  for (const auto& [rule, count] : rules) reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", rule, count);
  return {{.kind = AlarmKind::filter,
           .about = "share",
           .text = fmt::format("sets aside {} of the last {}", against, decided.size()),
           .seen = reasons,
           .expected = fmt::format("at most {:.0f} %", 100 * settings.set_aside_share),
           .advice = "look at some of them (frazil why ITEM); if they are good, try another limit with frazil what-if "
                     "and set it with frazil set: what was set aside comes back"}};
}

// ---- the workflow's rules ---------------------------------------------------------------------------------------

/// A number of what a subject has in a set; not a number where it has none.
double number_at(const State& state, int index, int port, const std::string& field, int subject) {
  if (state.step(index).ports[static_cast<std::size_t>(port)].items[subject] <= 0) return std::nan("");
  const auto [step, origin] = state.origin(index, port, subject);
  const auto& numbers = state.step(step).ports[static_cast<std::size_t>(origin)].numbers;
  const auto column = numbers.find(field);
  return column == numbers.end() ? std::nan("") : column->second[subject];
}

std::string limits_in_words(const flow::Monitor& rule) {
  const auto unit = rule.unit.empty() ? "" : " " + rule.unit;
  std::string text;
  if (rule.below) text += fmt::format("at least {:g}{}", *rule.below, unit);
  if (rule.above) text += fmt::format("{}at most {:g}{}", text.empty() ? "" : ", ", *rule.above, unit);
  return text;
}

std::vector<Finding> breaking(const State& state, const flow::Monitor& rule) {
  const auto last = last_subjects(state, rule.in_last, [&](int subject) {
    return std::isfinite(number_at(state, rule.step, rule.port, rule.field, subject));
  });
  std::vector<double> beyond;
  for (const int subject : last)
    if (const auto value = number_at(state, rule.step, rule.port, rule.field, subject); rule.breaks(value))
      beyond.push_back(value);
  if (static_cast<int>(beyond.size()) < rule.count) return {};
  std::nth_element(beyond.begin(), beyond.begin() + static_cast<std::ptrdiff_t>(beyond.size() / 2), beyond.end());
  const auto unit = rule.unit.empty() ? "" : " " + rule.unit;
  return {
      {.kind = static_cast<AlarmKind>(std::find(enum_names<AlarmKind>.begin(), enum_names<AlarmKind>.end(), rule.kind) -
                                      enum_names<AlarmKind>.begin()),
       .about = rule.name,
       .text = fmt::format("{}: {} of the last {}", rule.title, beyond.size(), last.size()),
       .seen =
           fmt::format("{} {:.3g}{} (median of those beyond the limit)", rule.field, beyond[beyond.size() / 2], unit),
       .expected = limits_in_words(rule),
       .advice = rule.advice}};
}

}  // namespace

std::string source_of_rule(const std::string& name) { return "rule " + name; }

std::string first_sentence(const std::string& message) {
  constexpr std::size_t most = 300;
  auto end = std::min(message.find('\n'), message.find(". "));
  if (end == std::string::npos) end = message.size();
  if (end <= most) return message.substr(0, end);
  end = most;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;  // not within a character
  return message.substr(0, end) + "…";
}

Watched watch_state(const State& state, store::Reader& reader, const StateWatchSettings& settings) {
  Watched list;
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i) {
    const auto shape = state.planned(i).protocol->shape;
    if (shape != flow::Shape::map && shape != flow::Shape::filter) continue;  // versions speak for themselves
    auto findings = failing(state, reader, i, settings);
    if (shape == flow::Shape::filter)
      for (auto& finding : setting_aside(state, i, settings)) findings.push_back(std::move(finding));
    list.emplace_back(state.planned(i).name, std::move(findings));
  }
  if (state.read < 1) return list;  // not all numbers are known yet
  for (const auto& rule : state.head->plan.monitors)
    list.emplace_back(source_of_rule(rule.name), breaking(state, rule));
  return list;
}

}  // namespace frazil::engine
