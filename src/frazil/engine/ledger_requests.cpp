// What people decide: an item taken back or set aside, other parameters.
#include <algorithm>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/ledger.hpp"
#include "frazil/engine/settings.hpp"
#include "frazil/engine/what_if.hpp"
#include "frazil/exec/worker.hpp"

namespace frazil::engine {
namespace {

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

/// What was found out of this step under the parameters that it has now; null: nothing.
const std::vector<Said>* find_said(const Foretold* foretold, const flow::PlannedStep& step) {
  if (foretold == nullptr) return nullptr;
  const auto found = foretold->find({step.name, step.key});
  return found == foretold->end() ? nullptr : &found->second;
}

/// Whether it was said of the items that this execution takes.
bool is_said_of(const Said& said, const Execution& execution, const Graph& graph) {
  return std::ranges::equal(*said.inputs, execution.inputs, [&](const auto& said_of, const auto& taken) {
    return std::ranges::equal(said_of, taken, [&](std::int64_t n, int item) { return graph.item(item).n == n; });
  });
}

}  // namespace

std::string Ledger::labels_of(const Command& command) const {
  std::string labels;
  for (const auto& id : command.subjects)
    if (const int subject = graph_->find_subject(id); subject >= 0)
      labels += (labels.empty() ? "" : ", ") + graph_->subject(subject).label;
  return labels + (command.subjects.size() == 1 ? " is" : " are");
}

void Ledger::decide(int index, int subject, const std::string& item, bool accepted, const Command& command) {
  const auto& s = graph_->subject(subject);
  const auto reason = command.reason.empty() ? (accepted ? "restored by hand" : "set aside by hand") : command.reason;
  store::DecisionRow row{0, step(index).name, item,     s.id, s.label,      accepted,     "person", 0,
                         0, reason,           "person", "",   store::now(), command.actor};
  store_.add_decision(row);
  feeder_.decided(std::move(row));
  store_.add_event(accepted ? "restored" : "set aside", step(index).name, s.label,
                   command.reason.empty() ? "by hand" : "by hand: " + command.reason, command.actor);
  people_[{step(index).name, item}] = accepted;
  touched_.emplace_back(index, subject);
}

/// Lets everything follow from what people have just decided.
void Ledger::follow_decisions() {
  if (touched_.empty()) return;
  for (const auto& [index, subject] : std::exchange(touched_, {})) graph_->reconsider(index, subject);
  settle();
}

Json Ledger::restore(const Command& command) {
  Json changed = Json::array();
  const auto people = store_.decisions_of_people();
  for (const auto& wanted : command.subjects) {
    const int subject = graph_->find_subject(wanted);
    if (subject < 0) continue;
    for (int i = 0; i < static_cast<int>(plan_.steps.size()); ++i) {
      const auto& planned = step(i);
      const auto& id = graph_->subject(subject).id;
      const auto note = [&](std::string_view what) {
        changed.push_back({{"step", planned.name}, {"label", graph_->subject(subject).label}, {"what", what}});
      };
      if (planned.protocol->shape == flow::Shape::filter) {
        const int held = graph_->held_item(i, subject);
        if (const int item = held >= 0 ? held : graph_->find(i, 1, subject); item >= 0) {
          decide(i, subject, graph_->item(item).id.hex(), true, command);
          note("accepted");
          continue;
        }  // else it may have been set aside here by hand before it was set aside earlier on its way
      }
      for (const auto& d : people)
        if (d.step == planned.name && d.subject == id && !d.accepted && people_.contains({d.step, d.item}) &&
            !people_.at({d.step, d.item})) {
          decide(i, subject, d.item, true, command);
          note("accepted");
          break;
        }
      if (graph_->cell_name(i, subject) == "failed" && graph_->task(i, subject) > 0)
        store_.for_task(graph_->task(i, subject), [&](const store::TaskRow& row) {
          store_.forget_task(row.key);
          touched_.emplace_back(i, subject);
          store_.add_event("restored", planned.name, row.label, "a failed task is tried again", command.actor);
          note("tried again");
        });
    }
  }
  if (changed.empty()) throw Error(ErrorCode::bad_input, "{} neither set aside nor failed", labels_of(command));
  follow_decisions();
  return {{"changed", changed}};
}

Json Ledger::set_aside(const Command& command) {
  Json changed = Json::array();
  for (const auto& wanted : command.subjects) {
    const int subject = graph_->find_subject(wanted);
    if (subject < 0) continue;
    int place = -1, item = -1;
    for (int i = 0; i < static_cast<int>(plan_.steps.size()) && place < 0; ++i)
      if (step(i).protocol->shape == flow::Shape::filter)
        if (item = std::max(graph_->find(i, 0, subject), graph_->held_item(i, subject)); item >= 0) place = i;
    for (int i = 0; i < static_cast<int>(plan_.steps.size()) && place < 0; ++i)
      if (item = graph_->find(i, 0, subject); item >= 0) place = i;
    if (place < 0) continue;
    decide(place, subject, graph_->item(item).id.hex(), false, command);
    changed.push_back({{"step", step(place).name}, {"label", graph_->subject(subject).label}, {"what", "set aside"}});
  }
  if (changed.empty()) throw Error(ErrorCode::bad_input, "{} in no set", labels_of(command));
  follow_decisions();
  return {{"changed", changed}};
}

/// Steps whose parameters are others now: what they have made and decided is looked at anew.
void Ledger::follow_params(const std::vector<int>& steps, const Command& command) {
  for (const int index : steps) {
    const auto* foretold = is_at_work_ ? command.foretold.get() : nullptr;
    if (const auto said = find_said(foretold, step(index)); said != nullptr)
      decide_anew(index, *said);
    else
      graph_->reconsider(index);
  }
  settle();
  tell_parameters();
}

/// What a filter says under its new parameters was found out before, of all that it had decided on then: it is written
/// down as if a worker had said it.
void Ledger::decide_anew(int index, const std::vector<Said>& list) {
  std::vector<std::pair<Execution, Outcome>> known;
  std::vector<store::DecidedRow> rows;
  for (const auto& said : list) {
    if (!said.decision || said.subject >= static_cast<int>(graph_->subject_count())) continue;
    auto execution = graph_->decision_of(index, said.subject);
    if (!execution || !is_said_of(said, *execution, *graph_)) continue;
    Ended ended;
    ended.execution = std::move(*execution);
    ended.result.target = exec::target_of(step(index).device);
    auto task = task_row(ended);
    Outcome outcome;
    outcome.verdict = said.decision->verdict;
    outcome.otherwise = said.decision->otherwise;
    const auto& passed = graph_->item(ended.execution.inputs.at(0).at(0));
    outcome.outputs.emplace_back(port_of(outcome), passed);
    task.outputs.emplace_back(outcome.outputs.back().first, passed.n);
    auto decision = decision_row(task, passed, *said.decision, ended.actor);
    rows.push_back({std::move(task), std::move(decision)});
    known.emplace_back(std::move(ended.execution), std::move(outcome));
  }
  const auto numbers = store_.add_decided(rows);
  for (std::size_t i = 0; i < known.size(); ++i) {
    auto& [execution, outcome] = known[i];
    if (numbers[i] == 0) {  // decided before, under the same parameters
      outcome = this->known(Digest::parse(execution.key)).value();
      continue;
    }
    outcome.task = numbers[i];
    const auto& decision = rows[i].decision;
    feeder_.ruled(
        {index, execution.subject, outcome.task, decision.rule, decision.value, decision.limit, decision.title});
  }
  graph_->reconsider(index, known);
}

/// Parameters of a project at work. What runs goes on if it is still asked for; everything else follows from what is
/// stored.
Ledger::Set Ledger::set(const Command& command) {
  auto changed = change(workflow_, plan_, head_->values, command.values, registry_, files_);
  for (std::size_t i = 0; i < std::max(plan_.steps.size(), changed.plan.steps.size()); ++i) {
    const bool same =
        i < plan_.steps.size() && i < changed.plan.steps.size() && plan_.steps[i].name == changed.plan.steps[i].name;
    const bool is_source = same && plan_.steps[i].protocol->shape == flow::Shape::source;
    if (!same || (is_source && plan_.steps[i].params != changed.plan.steps[i].params))
      throw Error(ErrorCode::bad_input, "this changes {}: stop the project and run it with the new value",
                  same ? "what is imported (" + plan_.steps[i].name + ")" : "which steps there are");
  }
  Set set;
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    if (plan_.steps[i].key != changed.plan.steps[i].key)
      set.changed.push_back({{"step", plan_.steps[i].name}, {"label", plan_.steps[i].name}, {"what", "changed"}});
  set.values = to_json(changed.changes);
  store_.put("workflow", changed.workflow.text);
  store_.put("values", changed.values.dump());
  store_.put("files", changed.files.text());
  note_changes(store_, changed.changes, command.actor);
  commit();
  write_text(settings_.project / "workflow.json", replayable(changed.workflow, changed.plan.values));
  bool is_same = plan_.steps.size() == changed.plan.steps.size();
  for (std::size_t i = 0; i < plan_.steps.size() && is_same; ++i) {
    is_same = is_same_but_for_params(plan_.steps[i], changed.plan.steps[i]);
    if (plan_.steps[i].key != changed.plan.steps[i].key) set.steps.push_back(static_cast<int>(i));
  }
  workflow_ = std::move(changed.workflow);
  plan_ = std::move(changed.plan);
  files_ = std::move(changed.files);
  set.is_anew = !is_same;
  return set;
}

}  // namespace frazil::engine
