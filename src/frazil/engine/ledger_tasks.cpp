// What is run, and how what has ended becomes durable.
#include <algorithm>
#include <cmath>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/no_space.hpp"
#include "frazil/engine/ledger.hpp"
#include "frazil/flow/iterate.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

/// A folder name for people: what is unusual in file names becomes "_".
std::string safe_name(std::string_view text) {
  std::string name;
  for (const char c : text.substr(0, 80))
    name +=
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'
            ? c
            : '_';
  return name;
}

/// Name of the folder of a task's outputs.
std::string folder_name(const std::string& label, const std::string& key) {
  // What tells two files of one name apart hangs on which came first, and must not be seen in results.
  return safe_name(label.substr(0, label.find(" ("))) + "_" + key.substr(0, 8);
}

double number_or_nan(const Json& record, std::string_view key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : std::nan("");
}

}  // namespace

// ---- what the graph asks ----------------------------------------------------------------------------------------

std::optional<Outcome> Ledger::known(const Digest& key) {
  if (replay_) return replay_->find(key);
  const auto row = store_.find_task(key.hex());
  if (!row) return std::nullopt;
  Outcome outcome;
  outcome.task = row->n;
  outcome.failed = row->failed;
  for (const auto& [port, n] : row->outputs)
    outcome.outputs.emplace_back(port, ItemHandle{n, Digest::parse(store_.item(n).id)});
  if (!row->outputs.empty()) read_verdict(row->outputs.front().first, outcome);
  return outcome;
}

double Ledger::weight(std::int64_t item, const std::string& field) {
  const auto value = number_or_nan(Json::parse(store_.record(item)), field);
  return std::isnan(value) ? 1 : value;
}

std::optional<bool> Ledger::person(int index, const Digest& item) {
  if (people_.empty()) return std::nullopt;
  const auto found = people_.find({step(index).name, item.hex()});
  return found == people_.end() ? std::nullopt : std::optional(found->second);
}

int Ledger::parts(int index, std::int64_t state) {
  return step(index).protocol->iterate.parts(step(index).params, Json::parse(store_.record(state)));
}

// ---- what follows from it ---------------------------------------------------------------------------------------

/// Brings the graph to rest; what follows is written down, or told to whoever carries it out.
void Ledger::settle() {
  for (bool again = true; again;) {
    auto effects = graph_->settle();
    for (const auto& list : effects.batch) commit_batch(list);
    for (const auto& execution : effects.dropped) {
      duties_.drop(execution);
      if (step(execution.step).by_person) withdraw_question(execution);
    }
    for (auto& execution : effects.start) {
      if (step(execution.step).by_person) ask(execution);
      auto order = order_of(execution);
      duties_.start(std::move(execution), std::move(order));
    }
    for (const auto& execution : effects.retired)
      retired_.push_back(settings_.project / "steps" / step(execution.step).name /
                         folder_name(label_of(execution), execution.key));
    for (const int index : effects.withdrawn) withdraw(index);
    for (const auto& final : effects.final)
      if (!settings_.read_only)
        store_.end_hold(final.task, final.verdict == flow::Verdict::accepted,
                        "; held until the stream closed, then decided by the best reference there was");
    for (const int index : effects.closed) step_closed(index);
    for (const int subject : effects.through) duties_.through(subject);
    for (const int index : effects.rewound) feeder_.rewound(index);
    for (const auto& cell : effects.cell_changed) feeder_.cell_changed(cell.step, cell.subject);
    again = !effects.withdrawn.empty();
  }
}

void Ledger::commit_batch(const Effects::List& list) {
  if (settings_.read_only) return;
  store_.add_batch({step(list.step).name, list.number, list.members});
  store_.add_event("batch", step(list.step).name, fmt::format("{}", list.number + 1),
                   fmt::format("{} members", list.members.size()));
}

/// Takes back what has not begun of a step that a trigger has stopped.
void Ledger::withdraw(int index) {
  graph_->withdrawn(index, duties_.withdraw(index));
  if (!settings_.read_only) store_.add_event("stopped", step(index).name, "", "a trigger has what it needs");
}

std::string Ledger::label_of(const Execution& execution) const {
  if (execution.subject >= 0) return graph_->subject(execution.subject).label;
  if (execution.call) return label_of_call(execution);
  return fmt::format("{}_v{:04}", step(execution.step).name, execution.batch + 1);
}

std::string Ledger::order_of(const Execution& execution) const {
  if (execution.subject >= 0) return graph_->subject(execution.subject).order;
  if (!execution.call || execution.call->stage == flow::Stage::finish) return fmt::format("{:08}", execution.batch);
  return fmt::format("{:08}-{:06}-{:06}", execution.batch, execution.call->round, execution.call->part);
}

exec::RecordTexts Ledger::records_of(const Execution& execution) {
  exec::RecordTexts ports;
  for (std::size_t i = 0; i < execution.inputs.size(); ++i) {
    std::vector<std::string> texts;
    for (const int item : execution.inputs[i]) texts.push_back(store_.record(graph_->item(item).n));
    if (!texts.empty()) ports.emplace_back(step(execution.step).inputs[i].port, std::move(texts));
  }
  return ports;
}

/// Where the results will lie, relative to the project.
std::string Ledger::reference_of(const Execution& execution) const {
  return fmt::format("steps/{}/{}", step(execution.step).name, folder_name(label_of(execution), execution.key));
}

exec::Task Ledger::compose(const Execution& execution, std::uint64_t number) {
  const auto& planned = step(execution.step);
  exec::Task task;
  task.number = number;
  task.protocol = planned.protocol->name;
  task.device = planned.device;
  task.params = planned.params.dump();
  task.inputs = records_of(execution);
  for (const auto& [port, item] : execution.previous) {
    task.has_previous = true;
    task.previous.emplace_back(port, std::vector{store_.record(graph_->item(item).n)});
  }
  if (execution.call) add_call(execution, task);
  task.seed = execution.key;  // holds the project's seed, step and inputs
  const auto folder = folder_name(label_of(execution), execution.key);
  task.temporary = fmt::format("tmp/{}-{}", epoch_, number);
  task.reference = reference_of(execution);
  task.log_name = fmt::format("{}_{}.log", planned.name, folder);
  return task;
}

/// A call is told which it is, and given the state that it goes on from and the parts it gathers.
void Ledger::add_call(const Execution& execution, exec::Task& task) {
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

std::string Ledger::label_of_call(const Execution& execution) const {
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
std::string_view Ledger::kind_of_call(const flow::Protocol& protocol, std::string_view port) {
  if (protocol.shape != flow::Shape::iterate) return "";
  return port == flow::detail::part_port ? protocol.iterate.part_kind : protocol.iterate.state_kind;
}

// ---- what has ended ---------------------------------------------------------------------------------------------

/// Renames the temporary folder to its final name. Something there already is left over from before a crash.
/// @return false when that failed; the result then says so
bool Ledger::move_outputs(Ended& ended) {
  auto& result = ended.result;
  const auto from = settings_.project / ended.temporary;
  const auto to = settings_.project / ended.reference;
  try {
    make_folders(to.parent_path());
    if (step(ended.execution.step).protocol->shape != flow::Shape::filter)  // decisions are not rebuilt
      write_marker(from, marker_of(ended));
    if (fs::exists(to)) {
      const fs::path old = from.string() + ".old";
      fs::rename(to, old);
      fs::rename(from, to);
      fs::remove_all(old);
    } else {
      fs::rename(from, to);
    }
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove_all(from, ignored);
    const auto* system = dynamic_cast<const std::system_error*>(&error);
    result.no_space =
        dynamic_cast<const NoSpace*>(&error) != nullptr || (system != nullptr && is_no_space(system->code().value()));
    result.failed = true;
    result.code = ErrorCode::io;
    result.message = fmt::format("{}: the results cannot be moved there: {}", to.string(), error.what());
    return false;
  }
  entry_made(to);
  if (fs::exists(to / marker_name)) unsynced_.insert((to / marker_name).string());
  return true;
}

store::TaskRow Ledger::task_row(const Ended& ended) const {
  const auto& execution = ended.execution;
  const auto& result = ended.result;
  store::TaskRow row;
  row.key = execution.key;
  row.step = step(execution.step).name;
  row.protocol = step(execution.step).protocol->name;
  row.version = step(execution.step).protocol->version;
  row.label = label_of(execution);
  row.order = order_of(execution);
  row.subject =
      execution.subject >= 0 ? graph_->subject(execution.subject).id : hash_of({"version", row.step, execution.key});
  row.failed = result.failed;
  row.attempts = ended.attempts + (result.failed ? 0 : 1);
  row.seconds = result.seconds;
  row.peak_mib = result.peak_mib;
  row.threads = result.threads;
  row.target = result.target;
  row.finished = store::now();
  std::vector<std::int64_t> inputs;
  for (const auto& port : execution.inputs)
    for (const int item : port) inputs.push_back(graph_->item(item).n);
  if (execution.call && execution.call->state >= 0) inputs.push_back(graph_->item(execution.call->state).n);
  if (execution.call)
    for (const int part : execution.call->gathered) inputs.push_back(graph_->item(part).n);
  row.inputs = fmt::format("[{}]", fmt::join(inputs, ","));
  row.programs = programs_.at(static_cast<std::size_t>(execution.step));
  return row;
}

/// The items of a result, without numbers.
std::vector<store::ItemRow> Ledger::items_of(const store::TaskRow& row, const exec::Result& result) const {
  const auto& protocol = *step(plan_.find(row.step)).protocol;
  const auto& ports = protocol.outputs;
  std::vector<store::ItemRow> items;
  for (const auto& [port, records] : result.outputs) {
    const auto info =
        std::find_if(ports.begin(), ports.end(), [&, name = port](const flow::PortInfo& p) { return p.name == name; });
    for (std::size_t i = 0; i < records.size(); ++i)
      items.push_back({0, hash_of({"item", row.key, port, std::to_string(i)}),
                       info == ports.end() ? std::string(kind_of_call(protocol, port)) : info->kind, row.step, port,
                       row.subject, row.order, row.label, records[i], row.protocol});
  }
  return items;
}

/// What the folder of a result is to say of itself.
Marker Ledger::marker_of(const Ended& ended) {
  const auto& execution = ended.execution;
  Marker marker;
  marker.epoch = epoch_;
  marker.project = identity_;
  marker.task = task_row(ended);
  marker.outputs = items_of(marker.task, ended.result);
  for (const auto& port : execution.inputs)
    for (const int item : port) {
      const auto& handle = graph_->item(item);
      marker.inputs.push_back(handle.id.hex());
      if (step(execution.step).depth == 1) marker.imports.push_back(store_.item(handle.n));  // straight from a source
    }
  marker.batch = execution.batch;
  for (const int subject : execution.members) marker.members.push_back(graph_->subject(subject).id);
  return marker;
}

store::DecisionRow Ledger::decision_row(const store::TaskRow& task, const ItemHandle& passed,
                                        const flow::Decision& decision, const std::string& actor) const {
  return {0,
          task.step,
          passed.id.hex(),
          task.subject,
          task.label,
          decision.accepted(),
          decision.rule,
          decision.value,
          decision.limit,
          decision.reason,
          "rule",
          task.key,
          task.finished,
          actor.empty() ? decision.rule : actor,
          decision.title,
          decision.verdict == flow::Verdict::held};
}

Outcome Ledger::store_success(const Ended& ended) {
  const auto& execution = ended.execution;
  const auto& result = ended.result;
  const auto& protocol = *step(execution.step).protocol;
  auto row = task_row(ended);
  Outcome outcome;
  std::optional<flow::Decision> decision;
  if (protocol.shape == flow::Shape::filter) {
    decision = flow::decision_from_json(Json::parse(result.outputs.at(0).second.at(0)));
    const auto& passed = graph_->item(execution.inputs.at(0).at(0));
    outcome.verdict = decision->verdict;
    outcome.otherwise = decision->otherwise;
    row.outputs.emplace_back(port_of(outcome), passed.n);
    outcome.outputs.emplace_back(row.outputs.back().first, passed);
    store_.add_decision(decision_row(row, passed, *decision, ended.actor));
  } else {
    for (auto& item : items_of(row, result)) {
      item.actor = ended.actor.empty() ? row.protocol : ended.actor;
      item.n = store_.add_item(item);
      row.outputs.emplace_back(item.port, item.n);
      outcome.outputs.emplace_back(item.port, ItemHandle{item.n, Digest::parse(item.id)});
    }
  }
  outcome.task = store_.add_task(row);
  if (decision)
    feeder_.ruled({execution.step, execution.subject, outcome.task, decision->rule, decision->value, decision->limit,
                   decision->title});
  return outcome;
}

Outcome Ledger::store_failure(const Ended& ended) {
  const auto& result = ended.result;
  auto row = task_row(ended);
  row.code = result.killed ? "bug" : std::string(to_string(result.code));
  row.message = result.killed ? result.message + ", three times running with nothing else at work" : result.message;
  Outcome outcome;
  outcome.failed = true;
  outcome.message = row.message;
  outcome.task = store_.add_task(row);
  store_.add_event("failed", row.step, row.label, row.message);
  log::warning("{}, {}: failed: {}", row.step, row.label, row.message);
  return outcome;
}

void Ledger::record(const Ended& ended) {
  const auto& execution = ended.execution;
  const Outcome outcome = ended.result.failed ? store_failure(ended) : store_success(ended);
  if (ended.kills.all > 0) store_.forget_kills(execution.key);
  graph_->finish(execution, outcome);
  settle();
}

}  // namespace frazil::engine
