#include "frazil/engine/table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace frazil::engine {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

int find_port(const flow::PlannedStep& step, std::string_view port) {
  if (port.empty()) return -1;
  std::string names;
  for (std::size_t i = 0; i < step.protocol->outputs.size(); ++i) {
    if (step.protocol->outputs[i].name == port) return static_cast<int>(i);
    names += (names.empty() ? "" : ", ") + step.protocol->outputs[i].name;
  }
  throw Error(ErrorCode::bad_input, "{} has no set \"{}\"; it has {}", step.name, port, names);
}

int find_step(const State& state, std::string_view step) {
  if (const int found = state.head->plan.find(step); found >= 0) return found;
  std::string names;
  for (const auto& planned : state.head->plan.steps) names += (names.empty() ? "" : ", ") + planned.name;
  throw Error(ErrorCode::bad_input, "there is no step \"{}\"; there are {}", step, names);
}

/// Places of subjects in the order that people count.
std::vector<int> places_of(const State& state) {
  std::vector<int> places(static_cast<std::size_t>(state.subject_count));
  int place = 0;
  for (const int subject : *state.by_order) places[static_cast<std::size_t>(subject)] = place++;
  return places;
}

}  // namespace

std::string_view name_of(CellState state) {
  constexpr std::string_view names[] = {"", "waiting", "ready", "running", "done", "failed", "absent", "held"};
  return names[static_cast<int>(state)];
}

Table::Table(const State& state, std::string_view step, std::string_view port)
    : state_(state), step_(find_step(state, step)), port_(find_port(state.planned(step_), port)) {}

int Table::port_of(int subject) const {
  if (port_ >= 0) return port_;
  const auto& ports = state_.step(step_).ports;
  for (std::size_t port = 0; port < ports.size(); ++port)
    if (ports[port].items[subject] > 0) return static_cast<int>(port);
  return 0;
}

std::int64_t Table::item(int subject) const {
  const auto& ports = state_.step(step_).ports;
  return ports.empty() ? 0 : ports[static_cast<std::size_t>(port_of(subject))].items[subject];
}

bool Table::has(int subject) const {
  if (port_ >= 0) return item(subject) > 0;
  return state_.step(step_).cells[subject] != CellState::unknown || item(subject) > 0;
}

std::string Table::verdict(int subject) const {
  const auto& step = state_.step(step_);
  if (step.cells[subject] == CellState::held) return "held";
  if (state_.planned(step_).protocol->shape == flow::Shape::filter) {
    if (step.ports[0].items[subject] > 0) return "accepted";
    return step.ports[1].items[subject] > 0 ? "set aside" : "";
  }
  const auto person = state_.people->find({step_, subject});
  return person != state_.people->end() && !person->second.accepted ? "set aside" : "";
}

std::string Table::rule(int subject) const {
  const auto& step = state_.step(step_);
  const int rule = step.rules[subject];
  return rule < 0 ? "" : step.rule_names[static_cast<std::size_t>(rule)];
}

std::string Table::actor(int subject) const {
  const auto person = state_.people->find({step_, subject});
  if (person == state_.people->end()) return rule(subject);
  if (person->second.by == "rule") return person->second.rule;
  return person->second.actor.empty() ? "a person" : person->second.actor;
}

std::string Table::state_name(int subject) const {
  const auto cell = state_.step(step_).cells[subject];
  return std::string(cell == CellState::unknown && item(subject) > 0 ? "done" : name_of(cell));
}

std::vector<std::string> Table::numbers() const {
  std::set<std::string> names;
  const bool is_filter = state_.planned(step_).protocol->shape == flow::Shape::filter;
  std::vector<std::pair<int, int>> origins;  // of a filter: all that its input may come from
  if (!is_filter) {
    origins.emplace_back(step_, std::max(port_, 0));
  } else {
    for (int subject = 0; subject < state_.subject_count; ++subject)
      if (has(subject) && item(subject) > 0) {
        const auto origin = state_.origin(step_, port_of(subject), subject);
        if (std::find(origins.begin(), origins.end(), origin) == origins.end()) origins.push_back(origin);
      }
  }
  for (const auto& [step, port] : origins)
    if (const auto& ports = state_.step(step).ports; static_cast<std::size_t>(port) < ports.size())
      for (const auto& [name, column] : ports[static_cast<std::size_t>(port)].numbers) names.insert(name);
  if (is_filter) names.insert({"decision.value", "decision.limit"});
  return {names.begin(), names.end()};
}

NamedColumn Table::own_column(const std::string& name) const {
  const auto& state = state_;
  const auto& step = state.step(step_);
  if (name == "label") return {name, {}, [&state](int s) { return state.subject(s).label; }};
  if (name == "id") return {name, {}, [&state](int s) { return state.subject(s).id; }};
  if (name == "path") return {name, {}, [&state](int s) { return state.subject(s).path; }};
  if (name == "state") return {name, {}, [this](int s) { return state_name(s); }};
  if (name == "verdict") return {name, {}, [this](int s) { return verdict(s); }};
  if (name == "rule") return {name, {}, [this](int s) { return rule(s); }};
  if (name == "actor") return {name, {}, [this](int s) { return actor(s); }};
  if (name == "time")
    return {name, [&state](int s) { return state.subject(s).time > 0 ? state.subject(s).time : std::nan(""); }, {}};
  if (name == "decision.value")
    return {name, [&step](int s) { return step.rules[s] < 0 ? std::nan("") : step.values[s]; }, {}};
  if (name == "decision.limit")
    return {name, [&step](int s) { return step.rules[s] < 0 ? std::nan("") : step.limits[s]; }, {}};
  if (state.planned(step_).protocol->shape != flow::Shape::filter) {
    for (std::size_t port = 0; port < step.ports.size(); ++port) {
      if (port_ >= 0 && static_cast<int>(port) != port_) continue;
      const auto& numbers = step.ports[port].numbers;
      if (const auto found = numbers.find(name); found != numbers.end())
        return {name, [&column = found->second](int s) { return column[s]; }, {}};
    }
    return {};
  }
  return {name,
          [this, name](int s) {
            if (item(s) == 0) return std::nan("");
            const auto [from, port] = state_.origin(step_, port_of(s), s);
            const auto& numbers = state_.step(from).ports[static_cast<std::size_t>(port)].numbers;
            const auto found = numbers.find(name);
            return found == numbers.end() ? std::nan("") : found->second[s];
          },
          {}};
}

NamedColumn Table::column(const std::string& name) const {
  if (const auto colon = name.find(':'); colon != std::string::npos) {
    const auto other = std::make_shared<const Table>(state_, name.substr(0, colon), "");
    auto found = other->own_column(name.substr(colon + 1));
    if (!found.number && !found.text)
      throw Error(ErrorCode::bad_input, "{} has no column \"{}\"", name.substr(0, colon), name.substr(colon + 1));
    found.name = name;
    if (found.number) found.number = [other, inner = std::move(found.number)](int s) { return inner(s); };
    if (found.text) found.text = [other, inner = std::move(found.text)](int s) { return inner(s); };
    return found;
  }
  auto found = own_column(name);
  const auto known = numbers();
  const bool is_filter = state_.planned(step_).protocol->shape == flow::Shape::filter;
  const bool is_there = found.text || name == "time" || name.starts_with("decision.") ||
                        (found.number && (!is_filter || std::find(known.begin(), known.end(), name) != known.end()));
  if (is_there) return found;
  std::string list;
  for (const auto& one : known) list += ", " + one;
  throw Error(ErrorCode::bad_input,
              "{} has no column \"{}\"; it has label, id, path, time, state, verdict, rule, actor{}",
              state_.planned(step_).name, name, list);
}

std::function<bool(int)> Table::condition(const std::string& text) const {
  const auto at = text.find_first_of("<>=!~");
  if (at == std::string::npos || at == 0)
    throw Error(ErrorCode::bad_input, "\"{}\" is no condition: name, one of < <= > >= = != ~, value", text);
  const std::size_t length = at + 1 < text.size() && text[at + 1] == '=' ? 2 : 1;
  const auto sign = text.substr(at, length);
  const auto value = trimmed(std::string_view(text).substr(at + length));
  const auto column = this->column(trimmed(std::string_view(text).substr(0, at)));
  if (column.text) {
    if (sign == "=") return [column, value](int s) { return column.text(s) == value; };
    if (sign == "!=") return [column, value](int s) { return column.text(s) != value; };
    if (sign == "~") return [column, value](int s) { return column.text(s).find(value) != std::string::npos; };
    throw Error(ErrorCode::bad_input, "\"{}\": {} is text, for = != or ~", text, column.name);
  }
  double bound = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bound);
  if (error != std::errc{} || end != value.data() + value.size())
    throw Error(ErrorCode::bad_input, "\"{}\": {} is no number", text, value);
  const auto number = column.number;
  if (sign == "<") return [number, bound](int s) { return number(s) < bound; };
  if (sign == "<=") return [number, bound](int s) { return number(s) <= bound; };
  if (sign == ">") return [number, bound](int s) { return number(s) > bound; };
  if (sign == ">=") return [number, bound](int s) { return number(s) >= bound; };
  if (sign == "=") return [number, bound](int s) { return number(s) == bound; };
  if (sign == "!=") return [number, bound](int s) { return number(s) != bound; };
  throw Error(ErrorCode::bad_input, "\"{}\": {} is a number, for < <= > >= = or !=", text, column.name);
}

std::vector<int> Table::rows(const std::vector<std::string>& where) const {
  std::vector<std::function<bool(int)>> conditions;
  for (const auto& text : where) conditions.push_back(condition(text));
  std::vector<int> list;
  for (const int subject : *state_.by_order)
    if (has(subject) &&
        std::all_of(conditions.begin(), conditions.end(), [&](const auto& holds) { return holds(subject); }))
      list.push_back(subject);
  return list;
}

void Table::sort(std::vector<int>& rows, const std::string& by, std::size_t most) const {
  if (by.empty()) return;
  const bool down = by.front() == '-';
  const auto column = this->column(down ? by.substr(1) : by);
  const auto places = places_of(state_);
  most = std::min(most, rows.size());
  const auto place = [&](int subject) { return places[static_cast<std::size_t>(subject)]; };
  if (column.text) {
    std::vector<std::pair<std::string, int>> keys;
    for (const int subject : rows) keys.emplace_back(column.text(subject), subject);
    std::partial_sort(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(most), keys.end(),
                      [&](const auto& a, const auto& b) {
                        if (a.first != b.first) return down ? a.first > b.first : a.first < b.first;
                        return place(a.second) < place(b.second);
                      });
    for (std::size_t i = 0; i < most; ++i) rows[i] = keys[i].second;
    return;
  }
  std::vector<std::pair<double, int>> keys;
  for (const int subject : rows) keys.emplace_back(column.number(subject), subject);
  std::partial_sort(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(most), keys.end(),
                    [&](const auto& a, const auto& b) {
                      const bool lacks_a = std::isnan(a.first), lacks_b = std::isnan(b.first);
                      if (lacks_a != lacks_b) return lacks_b;  // those without the number come last either way
                      if (!lacks_a && a.first != b.first) return down ? a.first > b.first : a.first < b.first;
                      return place(a.second) < place(b.second);
                    });
  for (std::size_t i = 0; i < most; ++i) rows[i] = keys[i].second;
}

}  // namespace frazil::engine
