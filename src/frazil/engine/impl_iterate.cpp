// Iterations in the engine: what their calls are given, how far they are, what they leave behind, how they are stopped.
#include <cmath>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"
#include "frazil/flow/iterate.hpp"

namespace frazil::engine {

int Engine::Impl::parts(int index, std::int64_t state) {
  return step(index).protocol->iterate.parts(step(index).params, Json::parse(store_.record(state)));
}

/// A call is told which it is, and given the state that it goes on from and the parts it gathers.
void Engine::Impl::add_call(const Execution& execution, exec::Task& task) {
  const auto& call = *execution.call;
  const auto stage = flow::to_record({call.stage, call.part, call.count});
  task.inputs.emplace_back(flow::detail::stage_port, std::vector{stage.dump()});
  if (!call.gathered.empty()) {
    task.inputs.emplace_back(flow::detail::part_port, std::vector<std::string>{});
    for (const int part : call.gathered) task.inputs.back().second.push_back(store_.record(graph_->item(part).n));
  }
  if (call.state < 0) return;
  task.has_previous = true;
  task.previous.emplace_back(flow::detail::state_port, std::vector{store_.record(graph_->item(call.state).n)});
}

std::string Engine::Impl::label_of_call(const Execution& execution) const {
  constexpr std::string_view names[] = {"start", "part", "step", ""};
  const auto& call = *execution.call;
  auto label = fmt::format("{}_v{:04}", step(execution.step).name, execution.batch + 1);
  if (call.stage == flow::Stage::finish) return label;
  label += fmt::format("_{}", names[static_cast<int>(call.stage)]);
  if (call.stage != flow::Stage::start) label += fmt::format("_{:05}", call.round + 1);
  if (call.stage == flow::Stage::part) label += fmt::format("_{:05}", call.part + 1);
  return label;
}

/// Kind of the records on a port that is none of the protocol's outputs.
std::string_view Engine::Impl::kind_of_call(const flow::Protocol& protocol, std::string_view port) {
  if (protocol.shape != flow::Shape::iterate) return "";
  return port == flow::detail::part_port ? protocol.iterate.part_kind : protocol.iterate.state_kind;
}

/// Removes what states and parts wrote that are not needed any more, beside the engine's own work. Only ever called
/// after the commit of what came later; a kill before that, or in the middle, is made good by the next start.
void Engine::Impl::remove_retired() {
  if (options_.read_only) retired_.clear();
  if (retired_.empty() ||
      (removing_.valid() && removing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready))
    return;
  removing_ = std::async(std::launch::async, [folders = std::exchange(retired_, {})] {
    std::error_code ignored;
    for (const auto& folder : folders) std::filesystem::remove_all(folder, ignored);
  });
}

void Engine::Impl::show_iteration(int index, StepStatus& status) {
  const auto view = graph_->iteration(index);
  if (!view) return;
  const auto& protocol = *step(index).protocol;
  status.progress = 0;
  if (view->state == 0) {
    status.doing = "begins";
    return;
  }
  status.progress = protocol.iterate.fraction(step(index).params, Json::parse(store_.record(view->state)));
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
    TaskStatus status{task.number, step(task.execution->step).name, label_of(*task.execution), task.seconds};
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
  ended.order = order_of(execution);
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
  const int index = wanted ? wanted->step : plan_.find(text);
  if (index >= 0 && step(index).protocol->shape == flow::Shape::iterate)
    if (const auto* call = graph_->open_call(index)) wanted = *call;
  if (!wanted)
    throw Error(ErrorCode::not_found,
                "\"{}\" is neither the number of a task that runs (status lists those that take long) nor a step that "
                "iterates now",
                text);
  const auto label = label_of(*wanted);
  store_.add_event("cancelled", step(index).name, label, "by hand", command.actor);
  fail_cancelled(*wanted, command.actor);
  return {{"changed", Json::array({{{"step", step(index).name}, {"label", label}, {"what", "cancelled"}}})}};
}

}  // namespace frazil::engine
