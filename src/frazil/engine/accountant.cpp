#include "frazil/engine/accountant.hpp"

#include <algorithm>
#include <cmath>

namespace frazil::engine {
namespace {

constexpr std::string_view left_prefix = "left_out.";

bool decides(const flow::PlannedStep& planned) { return planned.protocol->shape == flow::Shape::filter; }

bool takes_root(const flow::PlannedStep& planned, int root) {
  return std::binary_search(planned.roots.begin(), planned.roots.end(), root);
}

const store::DecisionRow* persons_word(const State& state, int step, int subject) {
  const auto found = state.people->find({step, subject});
  return found == state.people->end() ? nullptr : &found->second;
}

bool is_in_set(const State& state, int step, int subject) {
  const auto& ports = state.step(step).ports;
  return std::any_of(ports.begin(), ports.end(), [&](const PortView& port) { return port.items[subject] > 0; });
}

/// By a filter's rule or a person.
bool is_set_aside(const State& state, int step, int subject, const store::DecisionRow* person) {
  if (decides(state.planned(step))) return state.step(step).ports.at(1).items[subject] > 0;
  return person != nullptr && !person->accepted && !is_in_set(state, step, subject);
}

std::string rule_title(const StepView& step, int subject) {
  const int rule = step.rules[subject];
  if (rule < 0) return "not told yet";
  const auto at = static_cast<std::size_t>(rule);
  return step.rule_titles[at].empty() ? step.rule_names[at] : step.rule_titles[at];
}

bool is_done_with(CellState cell) {
  return cell == CellState::done || cell == CellState::absent || cell == CellState::failed;
}

constexpr std::string_view count_fields[] = {"count", "particle_count"};

/// The field of a kind that says how many things a record stands for; empty: it stands for itself.
std::string_view count_field(const flow::PortInfo& port) {
  if (port.fields == nullptr) return {};
  for (const auto name : count_fields)
    if (std::any_of(port.fields->begin(), port.fields->end(), [&](const FieldInfo& f) { return f.name == name; }))
      return name;
  return {};
}

const flow::PortInfo& port_info(const flow::Plan& plan, const flow::Endpoint& from) {
  return plan.steps[static_cast<std::size_t>(from.step)].protocol->outputs[static_cast<std::size_t>(from.port)];
}

/// Number of things that a subject has in a set; 0 where it has none, or the record has not been read yet.
double amount(const State& state, const flow::Endpoint& from, int subject) {
  if (state.step(from.step).ports[static_cast<std::size_t>(from.port)].items[subject] == 0) return 0;
  const auto [step, port] = state.origin(from.step, from.port, subject);
  const auto& numbers = state.step(step).ports[static_cast<std::size_t>(port)].numbers;
  const auto field = count_field(port_info(state.head->plan, {step, port}));
  const auto found = field.empty() ? numbers.end() : numbers.find(field);
  const double value = found == numbers.end() ? 0 : found->second[subject];
  return std::isfinite(value) ? value : 0;
}

/// Calls `visit` with each reason for which a record says that things were left out.
template <class Visit>
void for_left_out(const State& state, int step, int port, int subject, const Visit& visit) {
  const auto& view = state.step(step).ports[static_cast<std::size_t>(port)];
  if (view.items[subject] == 0) return;
  for (auto it = view.numbers.lower_bound(left_prefix); it != view.numbers.end() && it->first.starts_with(left_prefix);
       ++it)
    if (const double count = it->second[subject]; count > 0) visit(it->first.substr(left_prefix.size()), count);
}

/// The version that counts now at a step that takes versions; −1: there is none.
int latest_version(const State& state, const flow::PlannedStep& planned, const StepView& step) {
  int latest = -1;
  for (const int root : planned.roots)
    for (auto made = state.step(root).made.rbegin(); made != state.step(root).made.rend(); ++made)
      if (made->subject >= 0) {
        if (latest < 0 || step.cells[latest] == CellState::unknown) latest = made->subject;
        break;
      }
  return latest;
}

}  // namespace

Fate fate_of(const State& state, int subject) {
  const int root = state.subject(subject).root;
  Fate aside, open, kept{Standing::kept};
  bool has_filter = false;
  int unsettled = -1;
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i) {
    const auto& planned = state.planned(i);
    if ((i != root && !takes_root(planned, root)) || flow::takes_lists(planned.protocol->shape)) continue;
    const auto& step = state.step(i);
    const auto cell = step.cells[subject];
    if (cell == CellState::failed) return {Standing::failed, i};
    const auto* person = persons_word(state, i, subject);
    if (aside.step < 0 && is_set_aside(state, i, subject, person)) {
      const bool by_person = person != nullptr && !person->accepted;
      const bool is_replaced = by_person && person->by == "rule";
      aside = {is_replaced ? Standing::replaced : Standing::set_aside, i, false, by_person ? person : nullptr,
               by_person ? "by hand" : rule_title(step, subject)};
    }
    if (aside.step < 0 && cell == CellState::held)
      aside = {Standing::held, i, false, nullptr, rule_title(step, subject)};
    if (person != nullptr && person->accepted && is_in_set(state, i, subject))
      kept.restored = true, kept.person = person;
    if (i == root) continue;
    if (!is_done_with(cell) && unsettled < 0) unsettled = i;
    if (!decides(planned)) continue;
    has_filter = true;
    if (!is_done_with(cell) && open.step < 0) open.step = i;
  }
  if (aside.step >= 0) return aside;
  if (has_filter ? open.step >= 0 : unsettled >= 0) return {Standing::in_work, unsettled};
  return kept;
}

// ---- what is counted ---------------------------------------------------------------------------------------------

/// Ports of a step that take and give things by the number; where some are told by `count`, those alone. A step that
/// parts its input takes the first one; others, such as a union, take them all.
Accountant::Flow Accountant::flow_of(const flow::Plan& plan, int step) {
  const auto& planned = plan.steps[static_cast<std::size_t>(step)];
  Flow flow;
  flow.step = step;
  for (const std::string_view field : count_fields) {
    for (int port = 0; port < static_cast<int>(planned.protocol->outputs.size()); ++port)
      if (const auto& info = port_info(plan, {step, port}); count_field(info) == field)
        info.name == "set_aside" ? void(flow.aside = port) : flow.outputs.push_back(port);
    if (!flow.outputs.empty()) break;
  }
  for (const std::string_view field : count_fields) {
    for (const auto& input : planned.inputs)
      for (const auto& from : input.from)
        if (count_field(port_info(plan, from)) == field && (flow.aside < 0 || flow.inputs.empty()))
          flow.inputs.push_back(from);
    if (!flow.inputs.empty()) break;
  }
  return flow;
}

void Accountant::begin(const flow::Plan& plan) {
  *this = Accountant();
  for (int i = 0; i < static_cast<int>(plan.steps.size()); ++i) {
    const auto& planned = plan.steps[static_cast<std::size_t>(i)];
    if (decides(planned)) continue;  // it passes on what others have counted
    auto flow = flow_of(plan, i);
    if (flow.outputs.empty()) continue;
    flow.is_source = planned.protocol->shape == flow::Shape::source;
    flow.is_list = flow::takes_lists(planned.protocol->shape);
    flow.versioned = planned.versioned;
    if (flow.is_list && flow.inputs.empty()) continue;  // it counts items, which are counted already
    flows_.push_back(std::move(flow));
  }
}

void Accountant::add(What what, int whose, int step, const std::string& reason, double count) {
  if (count == 0) return;
  const auto [found, is_new] = keys_.try_emplace({what, whose, step, reason}, static_cast<int>(totals_.size()));
  if (is_new) totals_.push_back(0);
  totals_[static_cast<std::size_t>(found->second)] += count;
  sharing_->emplace_back(found->second, count);
}

void Accountant::count_flow(const State& state, int number, int subject) {
  const auto& flow = flows_[static_cast<std::size_t>(number)];
  const auto& step = state.step(flow.step);
  double entered = 0, passed = 0;
  for (const auto& from : flow.inputs) entered += amount(state, from, subject);
  add(What::entered, number, -1, "", entered);
  if (flow.is_list) return;
  for (const int port : flow.outputs) passed += amount(state, {flow.step, port}, subject);
  add(What::passed, number, -1, "", passed);
  if (flow.inputs.empty()) return;
  const auto cell = step.cells[subject];
  if (cell == CellState::failed) return add(What::lost, number, -1, "", entered);
  if (cell == CellState::absent) return add(What::left, number, -1, "not taken further", entered);
  if (cell != CellState::done) return add(What::waiting, number, -1, "", entered);
  const double aside = flow.aside < 0 ? 0 : amount(state, {flow.step, flow.aside}, subject);
  if (aside > 0) add(What::aside, number, -1, "", aside);
  double left = entered - passed - aside;
  for_left_out(state, flow.step, flow.outputs.front(), subject, [&](const std::string& reason, double count) {
    add(flow.aside < 0 ? What::left : What::told, number, -1, reason, count);
    if (flow.aside < 0) left -= count;
  });
  add(What::left, number, -1, flow.inputs.size() > 1 ? "in both" : "", left);
}

void Accountant::count(const State& state, int subject) {
  const auto at = static_cast<std::size_t>(subject);
  if (shares_.size() <= at) shares_.resize(at + 1);
  for (const auto& [key, share] : shares_[at]) totals_[static_cast<std::size_t>(key)] -= share;
  shares_[at].clear();
  sharing_ = &shares_[at];
  const int root = state.subject(subject).root;
  if (state.planned(root).protocol->shape != flow::Shape::source) return;  // a version: only the latest counts
  const auto fate = fate_of(state, subject);
  constexpr What whats[] = {What::in_work, What::kept, What::set_aside, What::held, What::failed, What::replaced};
  add(whats[static_cast<int>(fate.standing)], root, fate.step, fate.reason, 1);
  if (fate.standing == Standing::kept && fate.restored) add(What::restored, root, -1, "", 1);
  for (int i = 0; i < static_cast<int>(flows_.size()); ++i)
    if (const auto& flow = flows_[static_cast<std::size_t>(i)]; !flow.versioned) count_flow(state, i, subject);
}

Account Accountant::update(const State& state) {
  for (const int subject : touched_) count(state, subject);
  touched_.clear();
  Account account;
  for (int i = 0; i < static_cast<int>(state.steps.size()); ++i)
    if (state.planned(i).protocol->shape == flow::Shape::source) account.sources.push_back(source_account(state, i));
  for (int i = 0; i < static_cast<int>(flows_.size()); ++i) account.amounts.push_back(amount_account(state, i));
  return account;
}

// ---- what is told ------------------------------------------------------------------------------------------------

double Accountant::total(What what, int whose) const {
  double sum = 0;
  for (auto it = keys_.lower_bound({what, whose, -1, ""});
       it != keys_.end() && std::get<0>(it->first) == what && std::get<1>(it->first) == whose; ++it)
    sum += totals_[static_cast<std::size_t>(it->second)];
  return sum;
}

std::vector<Counted> Accountant::counted(const State& state, What what, int whose) const {
  std::vector<Counted> list;
  for (auto it = keys_.lower_bound({what, whose, -1, ""});
       it != keys_.end() && std::get<0>(it->first) == what && std::get<1>(it->first) == whose; ++it)
    if (const double count = totals_[static_cast<std::size_t>(it->second)]; count != 0) {
      const int step = std::get<2>(it->first);
      list.push_back({step < 0 ? std::string() : state.planned(step).name, std::get<3>(it->first), count});
    }
  return list;
}

SourceAccount Accountant::source_account(const State& state, int step) const {
  const auto whole = [&](What what) { return static_cast<int>(total(what, step)); };
  SourceAccount a;
  a.step = state.planned(step).name;
  a.kind = state.planned(step).protocol->outputs.at(0).kind;
  a.kept = whole(What::kept);
  a.restored = whole(What::restored);
  a.set_aside = whole(What::set_aside);
  a.held = whole(What::held);
  a.failed = whole(What::failed);
  a.in_work = whole(What::in_work);
  a.replaced = whole(What::replaced);
  a.items = a.kept + a.set_aside + a.held + a.failed + a.in_work;
  if (const auto at = static_cast<std::size_t>(step); at < state.live.status.steps.size()) {
    const auto& files = state.live.status.steps[at].files;
    a.duplicates = files.duplicates;
    a.broken = files.broken;
    a.incomplete = files.incomplete;
    a.left_out = files.left_out;
  }
  a.files = a.items + a.replaced + a.duplicates + a.broken + a.incomplete + a.left_out;
  a.aside_by = counted(state, What::set_aside, step);
  a.held_by = counted(state, What::held, step);
  a.failed_at = counted(state, What::failed, step);
  a.in_work_at = counted(state, What::in_work, step);
  return a;
}

AmountAccount Accountant::amount_account(const State& state, int number) const {
  const auto& flow = flows_[static_cast<std::size_t>(number)];
  const auto& planned = state.planned(flow.step);
  AmountAccount a;
  a.step = planned.name;
  a.title = planned.title;
  a.kind = planned.protocol->outputs[static_cast<std::size_t>(flow.outputs.front())].kind;
  a.is_first = flow.inputs.empty();
  a.entered = total(a.is_first ? What::passed : What::entered, number);
  a.passed = total(What::passed, number);
  a.set_aside = total(What::aside, number);
  a.waiting = total(What::waiting, number);
  a.failed = total(What::lost, number);
  a.left_out = total(What::left, number);
  a.reasons = counted(state, What::told, number);
  for (auto& reason : counted(state, What::left, number)) a.reasons.push_back(std::move(reason));
  if (flow.is_list || flow.versioned) add_versions(state, flow, a);
  return a;
}

/// What holds for the latest version alone.
void Accountant::add_versions(const State& state, const Flow& flow, AmountAccount& a) const {
  const auto& planned = state.planned(flow.step);
  const auto& step = state.step(flow.step);
  int version = -1;
  bool has_failed = false;
  if (flow.is_list) {
    for (auto made = step.made.rbegin(); made != step.made.rend() && version < 0; ++made) version = made->subject;
    has_failed = !step.made.empty() && step.made.back().subject < 0;
    if (flow.versioned)
      for (const auto& from : flow.inputs)
        if (const auto members = state.members(from.step, from.port); !members.empty())
          a.entered += amount(state, from, members.back());
  } else {
    version = latest_version(state, planned, step);
    if (version >= 0)
      for (const auto& from : flow.inputs) a.entered += amount(state, from, version);
    has_failed = version >= 0 && step.cells[version] == CellState::failed;
  }
  if (version >= 0) {
    for (const int port : flow.outputs) a.passed += amount(state, {flow.step, port}, version);
    if (flow.aside >= 0) a.set_aside = amount(state, {flow.step, flow.aside}, version);
    for_left_out(state, flow.step, flow.outputs.front(), version, [&](const std::string& reason, double count) {
      a.reasons.push_back({"", reason, count});
      if (flow.aside < 0) a.left_out += count;
    });
  }
  if (flow.inputs.empty()) {
    a.entered = a.passed + a.set_aside + a.left_out;
    return;
  }
  const double rest = a.entered - a.passed - a.set_aside - a.left_out;
  const bool is_over = step.made.empty() && !flow.is_list
                           ? version >= 0 && is_done_with(step.cells[version])
                           : state.live.status.steps.at(static_cast<std::size_t>(flow.step)).closed;
  if (rest == 0) return;
  if (has_failed) {
    a.failed = rest;
  } else if (is_over) {
    a.left_out += rest;
    a.reasons.push_back({"", flow.is_list ? "more than asked for" : a.passed == 0 ? "nothing came of them" : "", rest});
  } else {
    a.waiting = rest;
  }
}

// ---- JSON --------------------------------------------------------------------------------------------------------

namespace {

Json reasons_json(const std::vector<Counted>& list) {
  Json json = Json::array();
  for (const auto& one : list) {
    json.push_back({{"reason", one.reason}, {"count", one.count}});
    if (!one.step.empty()) json.back()["step"] = one.step;
  }
  return json;
}

}  // namespace

Json to_json(const Account& account) {
  Json sources = Json::array(), amounts = Json::array();
  for (const auto& a : account.sources)
    sources.push_back({{"step", a.step},
                       {"kind", a.kind},
                       {"files", a.files},
                       {"items", a.items},
                       {"replaced", a.replaced},
                       {"duplicates", a.duplicates},
                       {"broken", a.broken},
                       {"incomplete", a.incomplete},
                       {"left_out", a.left_out},
                       {"kept", a.kept},
                       {"restored", a.restored},
                       {"set_aside", a.set_aside},
                       {"held", a.held},
                       {"failed", a.failed},
                       {"in_work", a.in_work},
                       {"set_aside_by", reasons_json(a.aside_by)},
                       {"held_by", reasons_json(a.held_by)},
                       {"failed_at", reasons_json(a.failed_at)},
                       {"in_work_at", reasons_json(a.in_work_at)}});
  for (const auto& a : account.amounts)
    amounts.push_back({{"step", a.step},
                       {"title", a.title},
                       {"kind", a.kind},
                       {"first", a.is_first},
                       {"entered", a.entered},
                       {"passed", a.passed},
                       {"set_aside", a.set_aside},
                       {"left_out", a.left_out},
                       {"waiting", a.waiting},
                       {"failed", a.failed},
                       {"reasons", reasons_json(a.reasons)}});
  return {{"sources", sources}, {"amounts", amounts}};
}

}  // namespace frazil::engine
