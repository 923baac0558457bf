// Changed parameters: what they would change, answered from stored records, and the change itself while the project
// runs.
#include <algorithm>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {
namespace {

/// "step.param": a parameter of one step, whatever the template offers.
void set_param(flow::Workflow& workflow, const flow::Plan& plan, const std::string& key, const std::string& text,
               std::vector<flow::Problem>& problems) {
  const auto dot = key.rfind('.');
  const auto name = key.substr(0, dot), param = key.substr(dot + 1);
  const int index = plan.find(name);
  if (index < 0) return problems.push_back({key, "there is no step \"" + name + "\""});
  const auto& fields = plan.steps[static_cast<std::size_t>(index)].protocol->params;
  const auto field = std::find_if(fields.begin(), fields.end(), [&](const FieldInfo& f) { return f.name == param; });
  if (field == fields.end()) return problems.push_back({key, name + " has no parameter \"" + param + "\""});
  try {
    const auto value = parse_value(*field, text);
    auto root = nlohmann::ordered_json::parse(workflow.text);
    root["steps"][name]["params"][param] = nlohmann::ordered_json::parse(value.dump());
    workflow = flow::parse_workflow(root.dump(2) + "\n", problems);
  } catch (const Error& error) {
    problems.push_back({key, error.what()});
  }
}

bool is_same_input(const flow::PlannedInput& a, const flow::PlannedInput& b) {
  return a.port == b.port && a.from == b.from && a.optional == b.optional && a.many == b.many &&
         a.broadcast == b.broadcast;
}

bool is_same_trigger(const flow::Trigger& a, const flow::Trigger& b) {
  return a.mode == b.mode && a.count == b.count && a.of == b.of && a.at_least == b.at_least && a.every_s == b.every_s &&
         a.approve == b.approve && a.stops == b.stops;
}

/// Whether the graph of these steps is the same: which items come to it, and when it acts on them.
bool is_same_but_for_params(const flow::PlannedStep& a, const flow::PlannedStep& b) {
  const auto is_same_need = [](const flow::PlannedNeed& x, const flow::PlannedNeed& y) {
    return x.input == y.input && x.field == y.field && x.at_least == y.at_least && x.of == y.of;
  };
  return a.name == b.name && a.protocol == b.protocol && std::ranges::equal(a.inputs, b.inputs, is_same_input) &&
         a.where == b.where && is_same_trigger(a.trigger, b.trigger) &&
         std::ranges::equal(a.needs, b.needs, is_same_need) && a.optional == b.optional && a.threads == b.threads &&
         a.gpus == b.gpus;
}

}  // namespace

/// The workflow and its values with some of them replaced. @throws Error(bad_input) listing every problem
Engine::Impl::Changed Engine::Impl::change(const Json& settings) {
  if (settings.empty())
    throw Error(ErrorCode::bad_input,
                "what is to change? Give key=value: a parameter of the workflow, or step.parameter");
  Changed changed{workflow_, Json::parse(store_.get("values").value_or("{}")), {}};
  std::vector<flow::Problem> problems;
  std::vector<std::pair<std::string, std::string>> values;
  for (const auto& [key, value] : settings.items()) {
    const auto text = value.is_string() ? value.get<std::string>() : value.dump();
    if (key.find('.') != std::string::npos)
      set_param(changed.workflow, plan_, key, text, problems);
    else
      values.emplace_back(key, text);
  }
  const auto typed = flow::parse_values(changed.workflow, values, problems);
  for (const auto& [key, value] : typed.items()) changed.values[key] = value;
  if (problems.empty()) changed.plan = flow::make_plan(changed.workflow, registry_, changed.values, problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}", flow::describe(problems));
  return changed;
}

/// The inputs of a filter for `count` subjects from the first on, of those that it has decided on. The store is read by
/// one thread, records are parsed by all: that is nearly all the time it takes.
void Engine::Impl::read_decided(int index, int first, int count) {
  struct Unread {
    int subject;
    std::vector<std::vector<int>> inputs;
    std::vector<std::vector<std::string>> texts;  ///< by input port
    std::shared_ptr<const void> record;
  };
  const auto& planned = step(index);
  auto& decided = decided_[index];
  std::vector<Unread> unread;
  for (int subject = first; subject < first + count; ++subject) {
    if (graph_->cell_name(index, subject) != "done") continue;
    auto inputs = graph_->inputs_of(index, subject);
    if (const auto known = decided.find(subject);
        known != decided.end() && known->second.inputs == inputs && known->second.record != nullptr)
      continue;
    std::vector<std::vector<std::string>> texts(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i)
      for (const int item : inputs[i]) texts[i].push_back(store_.record(graph_->item(item).n));
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

void Engine::Impl::note_undecided(int index, int subject) {
  constexpr std::size_t most = 50000;  // subjects: their records are kept in memory
  if (graph_->subject_count() <= most && step(index).protocol->parse_inputs) undecided_.emplace_back(index, subject);
}

/// A little at a time while the project is at work, so that the first question is answered as fast as the next.
void Engine::Impl::read_some_decided() {
  constexpr std::chrono::milliseconds slice(3), pause(60);
  if (undecided_.empty() || Clock::now() < next_reading_) return;
  for (const auto until = Clock::now() + slice; !undecided_.empty() && Clock::now() < until;) {
    const auto [index, subject] = undecided_.front();
    undecided_.pop_front();
    try {
      read_decided(index, subject, 1);
    } catch (const std::exception&) {  // what-if asks again, and tells
    }
  }
  next_reading_ = Clock::now() + pause;
}

Json Engine::Impl::what_if(const Json& settings) {
  const auto started = Clock::now();
  const auto changed = change(settings);
  const std::size_t count = graph_->subject_count();
  enum class Fate : char { kept, set_aside, to_compute, lost };
  std::vector<Fate> now(count, Fate::kept), then(count, Fate::kept);
  Json steps = Json::array(), again = Json::array();
  for (int i = 0; i < static_cast<int>(plan_.steps.size()); ++i) {
    const auto& planned = step(i);
    const int other = changed.plan.find(planned.name);
    const bool same = other >= 0 && changed.plan.steps[static_cast<std::size_t>(other)].key == planned.key;
    if (planned.protocol->shape != flow::Shape::filter || planned.versioned) {
      if (!same) again.push_back(planned.name);
      for (std::size_t at = 0; at < count; ++at)
        if (graph_->cell_name(i, static_cast<int>(at)) == "failed") now[at] = then[at] = Fate::lost;
      continue;
    }
    Json entry = {{"step", planned.name}, {"of", 0},         {"kept_now", 0},
                  {"kept_then", 0},       {"newly_kept", 0}, {"newly_set_aside", 0}};
    const auto add = [&](const char* key) { entry[key] = entry[key].get<int>() + 1; };
    std::function<flow::Verdict(const void*)> decide;
    if (!same && other >= 0) {
      read_decided(i, 0, static_cast<int>(count));
      decide = planned.protocol->decide(changed.plan.steps[static_cast<std::size_t>(other)].params);
    }
    for (int subject = 0; subject < static_cast<int>(count); ++subject) {
      const auto at = static_cast<std::size_t>(subject);
      const auto cell = graph_->cell_name(i, subject);
      if (cell == "failed") now[at] = then[at] = Fate::lost;
      if (cell != "done") {
        if (cell == "absent" && now[at] == Fate::set_aside && then[at] == Fate::kept) then[at] = Fate::to_compute;
        continue;
      }
      const int item = graph_->find(i, 0, subject);
      const bool was = item >= 0;
      const auto by_hand = person(i, graph_->item(was ? item : graph_->find(i, 1, subject)).id);
      const bool will = by_hand     ? *by_hand
                        : other < 0 ? true
                        : decide    ? decide(decided_[i].at(subject).record.get()) == flow::Verdict::accepted
                                    : was;
      add("of");
      if (was) add("kept_now");
      if (will) add("kept_then");
      if (will && !was) add("newly_kept");
      if (was && !will) add("newly_set_aside");
      if (!was) now[at] = Fate::set_aside;
      if (!will && then[at] != Fate::lost) then[at] = Fate::set_aside;
    }
    steps.push_back(std::move(entry));
  }
  Json total = {{"of", 0}, {"kept_now", 0}, {"kept_then", 0}, {"to_compute", 0}, {"failed", 0}};
  for (std::size_t subject = 0; subject < count; ++subject) {
    if (step(graph_->subject(static_cast<int>(subject)).root).protocol->shape != flow::Shape::source) continue;
    const auto add = [&](const char* key) { total[key] = total[key].get<int>() + 1; };
    add("of");
    if (now[subject] == Fate::kept) add("kept_now");
    if (then[subject] == Fate::kept) add("kept_then");
    if (then[subject] == Fate::to_compute) add("to_compute");
    if (then[subject] == Fate::lost) add("failed");
  }
  return {{"steps", std::move(steps)},
          {"items", std::move(total)},
          {"computed_again", std::move(again)},
          {"seconds", std::chrono::duration<double>(Clock::now() - started).count()}};
}

/// Steps whose parameters are others now: what they have made and decided is looked at anew.
void Engine::Impl::follow_params(const std::vector<int>& steps) {
  for (const int index : steps) {
    dispatcher_->rename(index, step(index).key);
    graph_->reconsider(index);
  }
  settle();
}

/// Parameters of a project at work. What runs goes on if it is still asked for; everything else follows from what is
/// stored.
Json Engine::Impl::set(const Json& settings) {
  auto changed = change(settings);
  for (std::size_t i = 0; i < std::max(plan_.steps.size(), changed.plan.steps.size()); ++i) {
    const bool same =
        i < plan_.steps.size() && i < changed.plan.steps.size() && plan_.steps[i].name == changed.plan.steps[i].name;
    const bool is_source = same && plan_.steps[i].protocol->shape == flow::Shape::source;
    if (!same || (is_source && plan_.steps[i].params != changed.plan.steps[i].params))
      throw Error(ErrorCode::bad_input, "this changes {}: stop the project and run it with the new value",
                  same ? "what is imported (" + plan_.steps[i].name + ")" : "which steps there are");
  }
  Json again = Json::array();
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    if (plan_.steps[i].key != changed.plan.steps[i].key)
      again.push_back({{"step", plan_.steps[i].name}, {"label", plan_.steps[i].name}, {"what", "changed"}});
  store_.put("workflow", changed.workflow.text);
  store_.put("values", changed.values.dump());
  store_.add_event("changed", "", "", settings.dump());
  commit();
  write_text(options_.project / "workflow.json", replayable(changed.workflow, changed.plan.values));
  std::vector<int> others;
  bool is_same = plan_.steps.size() == changed.plan.steps.size();
  for (std::size_t i = 0; i < plan_.steps.size() && is_same; ++i) {
    is_same = is_same_but_for_params(plan_.steps[i], changed.plan.steps[i]);
    if (plan_.steps[i].key != changed.plan.steps[i].key) others.push_back(static_cast<int>(i));
  }
  workflow_ = std::move(changed.workflow);
  plan_ = std::move(changed.plan);
  if (!is_same)
    load();
  else
    follow_params(others);
  return {{"changed", std::move(again)}};
}

}  // namespace frazil::engine
