// Iterations and other long tasks: how far they are, how they are stopped.
#include "frazil/engine/impl.hpp"

namespace frazil::engine {

void Engine::Impl::show_iteration(int index, StepStatus& status) {
  const auto view = ledger_.graph().iteration(index);
  if (!view) return;
  const auto& protocol = *step(index).protocol;
  status.progress = 0;
  if (view->state == 0) {
    status.doing = "begins";
    return;
  }
  status.progress = protocol.iterate.fraction(step(index).params, ledger_.record_of(view->state));
  status.doing = fmt::format("step {}", view->round + 1);
  if (view->parts > 0) status.doing += fmt::format(", part {} of {}", view->parts_done, view->parts);
}

/// Tasks that have run for a while, and how far they are.
std::vector<TaskStatus> Engine::Impl::long_tasks() {
  constexpr double shown_after_s = 2;
  std::vector<TaskStatus> list;
  if (!pool_) return list;
  const auto& told = pool_->processes().progress();
  for (const auto& task : dispatcher_->at_work()) {
    if (task.seconds < shown_after_s) continue;
    TaskStatus status{task.number, step(task.execution->step).name, ledger_.label_of(*task.execution), task.seconds};
    status.paused = task.paused;
    if (const auto found = told.find(task.number); found != told.end()) {
      status.progress = found->second.fraction;
      status.doing = found->second.what;
    }
    list.push_back(std::move(status));
  }
  return list;
}

// ---- stopping one -----------------------------------------------------------------------------------------------

/// Ends an execution with a failure that says who wanted that; `restore` takes it up again.
void Engine::Impl::fail_cancelled(const Execution& execution, const std::string& actor) {
  Ended ended;
  ended.execution = execution;
  ended.order = ledger_.order_of(execution);
  ended.result.failed = true;
  ended.result.code = ErrorCode::cancelled;
  ended.result.message = "cancelled by " + actor;
  ended.result.threads = 0;
  dispatcher_->drop(execution);
  publish(ended);
}

/// By the number of a task, or a step that iterates.
Json Engine::Impl::cancel(const Command& command) {
  const auto& text = command.step;
  std::optional<Execution> wanted;
  for (const auto& task : dispatcher_->at_work())
    if (std::to_string(task.number) == text) wanted = *task.execution;
  const int index = wanted ? wanted->step : ledger_.plan().find(text);
  if (index >= 0 && step(index).protocol->shape == flow::Shape::iterate)
    if (const auto* call = ledger_.graph().open_call(index)) wanted = *call;
  if (!wanted)
    throw Error(ErrorCode::not_found,
                "\"{}\" is neither the number of a task that runs (status lists those that take long) nor a step that "
                "iterates now",
                text);
  const auto label = ledger_.label_of(*wanted);
  ledger_.add_event("cancelled", step(index).name, label, "by hand", command.actor);
  fail_cancelled(*wanted, command.actor);
  return {{"changed", Json::array({{{"step", step(index).name}, {"label", label}, {"what", "cancelled"}}})}};
}

}  // namespace frazil::engine
