// What people ask an engine to do: take an item back, set it aside, other parameters, stop; and reading while nothing
// runs.
#include <algorithm>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/words.hpp"
#include "frazil/engine/impl.hpp"
#include "frazil/engine/settings.hpp"

namespace frazil::engine {
namespace {

std::string labels_of(const Graph& graph, const Command& command) {
  std::string labels;
  for (const auto& id : command.subjects)
    if (const int subject = graph.find_subject(id); subject >= 0)
      labels += (labels.empty() ? "" : ", ") + graph.subject(subject).label;
  return labels + (command.subjects.size() == 1 ? " is" : " are");
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

// ---- while nothing runs -----------------------------------------------------------------------------------------

Reading Engine::Impl::reading() {
  const bool is_first = !local_;
  if (is_first) local_.emplace(std::make_unique<store::Reader>(store_));
  if (publisher_) return {publisher_->state(), local_->reader()};  // it has run: what it told last
  if (is_first && state_ != "finished") show_closed();
  if (local_state_ == nullptr || !feeder_.empty()) {
    auto changes = feeder_.take(*graph_, plan_, sequence_);
    auto head = changes.reload ? head_ : nullptr;
    local_->apply(changes, std::move(head), live());
    while (local_->read_numbers(10)) {
    }
    local_state_ = local_->publish();
  }
  return {local_state_, local_->reader()};
}

Json Engine::Impl::request(const Json& request) {
  if (!local_service_) {
    Service::Doors doors{[this] { return reading().state; },
                         [this](const Command& command) { return execute(command).answer; }};
    local_service_ = std::make_unique<Service>(std::move(doors), std::make_unique<store::Reader>(store_), registry_);
  }
  return local_service_->serve(request);
}

/// Nobody watches the folders now: a stream that had ended is shown as ended.
void Engine::Impl::show_closed() {
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    if (is_closed_for_good(static_cast<int>(i))) graph_->close_source(static_cast<int>(i));
  settle();
  if (graph_->all_closed()) state_ = "finished";
}

// ---- commands ---------------------------------------------------------------------------------------------------

/// Carries a command out and makes it durable.
Done Engine::Impl::execute(const Command& command) {
  using Kind = Command::Kind;
  if (lost_ && command.kind != Kind::stop)
    throw Error(ErrorCode::unsupported, "nothing can be changed now: {}", disk_problem_);
  try {
    return carry_out(command);
  } catch (
      const Error& error) {  // a wish that cannot be served has changed nothing; what could not be written, perhaps
    if (error.code() != ErrorCode::io && error.code() != ErrorCode::resource) throw;
    if (publisher_) {
      lose(error);
    } else {
      store_.rollback();
      load();
    }
    throw;
  }
}

Done Engine::Impl::carry_out(const Command& command) {
  using Kind = Command::Kind;
  Done done;
  switch (command.kind) {
    case Kind::restore:
      done.answer = restore(command);
      break;
    case Kind::set_aside:
      done.answer = set_aside(command);
      break;
    case Kind::approve:
      done.answer = approve(command);
      break;
    case Kind::answer:
      done.answer = answer(command);
      break;
    case Kind::cancel:
      done.answer = cancel(command);
      break;
    case Kind::set:
      done.answer = set(command);
      break;
    case Kind::acknowledge:
      done.answer = acknowledge(command);
      break;
    case Kind::pause:
    case Kind::resume:
      paused_ = command.kind == Kind::pause;
      store_.add_event(paused_ ? "paused" : "resumed", "", "", "by hand", command.actor);
      done.answer["note"] = paused_ ? fmt::format("paused: nothing new starts, {} still run; frazil resume goes on",
                                                  counted(status().running, "task"))
                                    : "goes on";
      break;
    case Kind::close:
      close_by_hand();
      store_.add_event("closing", "", "", "no more files will come, by hand", command.actor);
      done.answer["note"] = "closed: no more files are waited for; one that comes all the same opens it again";
      break;
    case Kind::stop:
      if (!lost_) store_.add_event("stopping", "", "", "by hand", command.actor);
      if (pool_) begin_stop(End::stopped);
      break;
  }
  if (!lost_) commit();
  if (publisher_ && !lost_) feed(true);
  done.sequence = sequence_;
  return done;
}

void Engine::Impl::close_by_hand() {
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    if (plan_.steps[i].protocol->shape != flow::Shape::source) continue;
    intake_->close(static_cast<int>(i));
    store_.put("closed:" + plan_.steps[i].name, closing(static_cast<int>(i)));
  }
}

void Engine::Impl::decide(int index, int subject, const std::string& item, bool accepted, const Command& command) {
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
void Engine::Impl::follow_decisions() {
  for (const auto& [index, subject] : std::exchange(touched_, {})) graph_->reconsider(index, subject);
  settle();
}

Json Engine::Impl::restore(const Command& command) {
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
  if (changed.empty())
    throw Error(ErrorCode::bad_input, "{} neither set aside nor failed", labels_of(*graph_, command));
  follow_decisions();
  return {{"changed", changed}};
}

Json Engine::Impl::approve(const Command& command) {
  const auto& text = command.step;
  const int index = plan_.find(text);
  if (index < 0 || !step(index).trigger.approve) {
    std::string names;
    for (const auto& planned : plan_.steps)
      if (planned.trigger.approve) names += (names.empty() ? "" : ", ") + planned.name;
    throw Error(ErrorCode::bad_input, "\"{}\" is no step that waits for a person; {}", text,
                names.empty() ? "this workflow has none" : "those are: " + names);
  }
  if (!graph_->is_held(index)) throw Error(ErrorCode::bad_input, "{} is approved already", text);
  approve(index, command.actor);
  return {{"changed", Json::array({{{"step", step(index).name}, {"label", step(index).name}, {"what", "approved"}}})}};
}

Json Engine::Impl::set_aside(const Command& command) {
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
  if (changed.empty()) throw Error(ErrorCode::bad_input, "{} in no set", labels_of(*graph_, command));
  follow_decisions();
  return {{"changed", changed}};
}

/// Steps whose parameters are others now: what they have made and decided is looked at anew.
void Engine::Impl::follow_params(const std::vector<int>& steps) {
  for (const int index : steps) {
    dispatcher_->rename(index, step(index).key);
    graph_->reconsider(index);
  }
  settle();
  tell_anew();
}

/// Parameters of a project at work. What runs goes on if it is still asked for; everything else follows from what is
/// stored.
Json Engine::Impl::set(const Command& command) {
  auto changed = change(workflow_, plan_, head_->values, command.values, registry_, files_);
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
  auto told = to_json(changed.changes);
  store_.put("workflow", changed.workflow.text);
  store_.put("values", changed.values.dump());
  store_.put("files", changed.files.text());
  note_changes(store_, changed.changes, command.actor);
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
  files_ = std::move(changed.files);
  if (!is_same)
    load();
  else
    follow_params(others);
  return {{"changed", std::move(again)}, {"values", std::move(told)}};
}

}  // namespace frazil::engine
