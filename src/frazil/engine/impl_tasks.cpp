// Running executions and making their results durable.
#include <algorithm>
#include <bit>
#include <cmath>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

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

constexpr double short_task_s = 0.005;  ///< faster than that: several go to a worker at once
constexpr double batch_s = 0.02;        ///< and so much work at most

double number_or_nan(const Json& record, std::string_view key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : std::nan("");
}

}  // namespace

// ---- what the graph asks ----------------------------------------------------------------------------------------

std::optional<Outcome> Engine::Impl::known(const Digest& key) {
  if (replay_) return replay_->find(key);
  const auto row = store_.find_task(key.hex());
  if (!row) return std::nullopt;
  Outcome outcome;
  outcome.task = row->n;
  outcome.failed = row->failed;
  for (const auto& [port, n] : row->outputs)
    outcome.outputs.emplace_back(port, ItemHandle{n, Digest::parse(store_.item(n).id)});
  outcome.accepted = row->outputs.empty() || row->outputs.front().first != "set_aside";
  return outcome;
}

double Engine::Impl::weight(std::int64_t item, const std::string& field) {
  const auto value = number_or_nan(Json::parse(store_.record(item)), field);
  return std::isnan(value) ? 1 : value;
}

std::optional<bool> Engine::Impl::person(int index, const Digest& item) {
  if (people_.empty()) return std::nullopt;
  const auto found = people_.find({step(index).name, item.hex()});
  return found == people_.end() ? std::nullopt : std::optional(found->second);
}

// ---- what follows from it ---------------------------------------------------------------------------------------

/// Brings the graph to rest and carries out what follows.
void Engine::Impl::settle() {
  for (bool again = true; again;) {
    auto effects = graph_->settle();
    for (const auto& list : effects.batch) commit_batch(list);
    for (auto& execution : effects.start) enqueue(std::move(execution));
    for (const int index : effects.withdrawn) graph_->withdrawn(index, withdraw(index));
    for (const int index : effects.closed) step_closed(index);
    for (const int subject : effects.through) subject_through(subject);
    for (const auto& cell : effects.cell_changed) feeder_.cell_changed(cell.step, cell.subject);
    again = !effects.withdrawn.empty();
  }
}

void Engine::Impl::enqueue(Execution execution) {
  if (const auto found = running_by_key_.find(execution.key); found != running_by_key_.end()) {
    auto& running = running_.at(found->second);
    running.work.execution = std::move(execution);
    running.attached = true;
    return;
  }
  ++queued_count_[static_cast<std::size_t>(execution.step)];
  put_in_line(Work{std::move(execution)});
}

void Engine::Impl::commit_batch(const Effects::List& list) {
  if (options_.read_only) return;
  store_.add_batch({step(list.step).name, list.number, list.members});
  store_.add_event("batch", step(list.step).name, fmt::format("{}", list.number + 1),
                   fmt::format("{} members", list.members.size()));
}

std::vector<int> Engine::Impl::withdraw(int index) {
  std::vector<int> subjects;
  const auto take = [&](const Work& work) {
    if (work.execution.step != index) return false;
    subjects.push_back(work.execution.subject);
    --queued_count_[static_cast<std::size_t>(index)];
    return true;
  };
  for (auto& [place, queue] : queues_)
    std::erase_if(queue.ready, [&](const auto& entry) { return take(entry.second); });
  std::erase_if(later_, [&](const auto& entry) { return take(entry.second); });
  std::erase_if(suspects_, take);
  if (!options_.read_only) store_.add_event("stopped", step(index).name, "", "a trigger has what it needs");
  return subjects;
}

void Engine::Impl::subject_through(int subject) {
  const auto found = arrived_.find(subject);
  if (found == arrived_.end()) return;
  item_latency_.add(std::chrono::duration<double>(Clock::now() - found->second).count());
  arrived_.erase(found);
}

// ---- starting ---------------------------------------------------------------------------------------------------

std::string Engine::Impl::label_of(const Execution& execution) const {
  if (execution.subject >= 0) return graph_->subject(execution.subject).label;
  return fmt::format("{}_v{:04}", step(execution.step).name, execution.batch + 1);
}

/// Name of the folder of a task's outputs.
std::string Engine::Impl::folder_name(const std::string& label, const std::string& key) const {
  // What tells two files of one name apart hangs on which came first, and must not be seen in results.
  return safe_name(label.substr(0, label.find(" ("))) + "_" + key.substr(0, 8);
}

std::string Engine::Impl::order_of(const Execution& execution) const {
  return execution.subject >= 0 ? graph_->subject(execution.subject).order : fmt::format("{:08}", execution.batch);
}

exec::RecordTexts Engine::Impl::records_of(const Execution& execution) {
  exec::RecordTexts ports;
  for (std::size_t i = 0; i < execution.inputs.size(); ++i) {
    std::vector<std::string> texts;
    for (const int item : execution.inputs[i]) texts.push_back(store_.record(graph_->item(item).n));
    if (!texts.empty()) ports.emplace_back(step(execution.step).inputs[i].port, std::move(texts));
  }
  return ports;
}

int Engine::Impl::memory_of(const Execution& execution, const exec::RecordTexts& inputs) const {
  const auto& protocol = *step(execution.step).protocol;
  if (const auto* cost = cost_of(execution); cost != nullptr && cost->peak_mib > 0)
    return cost->peak_mib + cost->peak_mib / 5;
  flow::Records records;
  for (const auto& [port, texts] : inputs) {
    std::vector<Json> list;
    for (const auto& text : texts) list.push_back(Json::parse(text));
    records.emplace_back(port, std::move(list));
  }
  return protocol.memory_mib(step(execution.step).params, records);
}

void Engine::Impl::dispatch() {
  while (!later_.empty() && later_.begin()->first <= Clock::now()) {
    put_in_line(std::move(later_.begin()->second));
    later_.erase(later_.begin());
  }
  if (paused_ || stopping_ || alone_now_ || !disk_problem_.empty()) return pool_->account().wants(false);
  if (!suspects_.empty()) {  // everything else waits until these have run by themselves
    if (pool_->running() > 0) return;
    auto work = std::move(suspects_.front());
    suspects_.pop_front();
    return begin(std::move(work), true, 1);
  }
  Queue* queue = nullptr;
  while ((queue = next_queue()) != nullptr && start_next(*queue)) {
  }
  pool_->account().wants(std::any_of(queues_.begin(), queues_.end(), [&](const auto& entry) {
    return !entry.second.elsewhere && !entry.second.ready.empty() && has_gpus(entry.second);
  }));
}

bool Engine::Impl::has_gpus(const Queue& queue) const {
  return step(queue.ready.begin()->second.execution.step).gpus <= pool_->account().free_gpus();
}

/// Which steps wait for what.
void Engine::Impl::sort_queues() {
  queue_of_step_.clear();
  for (const auto& planned : plan_.steps) {
    const auto place = options_.place ? options_.place(planned) : std::nullopt;
    auto& queue = queues_[place              ? "at " + place->first
                          : planned.gpus > 0 ? fmt::format("gpus {}", planned.gpus)
                                             : std::string()];
    if (place && !queue.elsewhere) {
      queue.elsewhere = true;
      queue.free = place->second;
    }
    queue_of_step_.push_back(&queue);
  }
}

void Engine::Impl::put_in_line(Work work) {
  const auto& planned = step(work.execution.step);
  Priority priority{planned.optional, -planned.depth, order_of(work.execution), next_number_++};
  queue_of_step_[static_cast<std::size_t>(work.execution.step)]->ready.emplace(std::move(priority), std::move(work));
}

bool Engine::Impl::has_room(const Queue& queue) const {
  if (queue.ready.empty()) return false;
  if (queue.elsewhere) return queue.free > 0;
  return pool_->account().free_threads() > 0 && has_gpus(queue);
}

std::shared_ptr<const Engine::Impl::Claim> Engine::Impl::claim(Queue& queue, int index) {
  auto made = std::make_shared<Claim>(*this, queue);
  if (queue.elsewhere)
    --queue.free;
  else
    made->gpus = pool_->account().take_gpus(step(index).gpus);
  return made;
}

Engine::Impl::Claim::~Claim() {
  if (queue.elsewhere) ++queue.free;
  if (!gpus.empty()) engine.pool_->account().give_back_gpus(gpus);
}

/// Of those that have room, the one whose first task comes first.
Engine::Impl::Queue* Engine::Impl::next_queue() {
  Queue* next = nullptr;
  for (auto& [place, queue] : queues_)
    if (has_room(queue) && (next == nullptr || queue.ready.begin()->first < next->ready.begin()->first)) next = &queue;
  return next;
}

/// @return false if there is no room for it on this machine yet
bool Engine::Impl::start_next(Queue& queue) {
  const auto next = next_ready(queue);
  const auto& execution = next->second.execution;
  const auto& planned = step(execution.step);
  const int free = std::max(1, pool_->account().free_threads());
  // A fold may take long: what comes in meanwhile keeps one thread.
  const bool is_fold = planned.protocol->shape == flow::Shape::fold;
  const bool keep_one = is_fold && free > 1 && free == pool_->threads() && !graph_->all_sources_closed();
  const int share =
      is_fold ? free - keep_one : std::max(1, free / static_cast<int>(std::min<std::size_t>(queue.ready.size(), 1000)));
  const int threads = queue.elsewhere ? 0 : planned.threads > 0 ? std::min(planned.threads, free) : share;
  if (!queue.elsewhere && !pool_->account().is_unused() &&
      !pool_->account().fits(threads, memory_of(execution, records_of(execution))))
    return false;
  const auto* cost = cost_of(execution);
  const bool is_short = threads <= 1 && planned.gpus == 0 && next->second.kills == 0 && cost != nullptr &&
                        cost->count >= 10 && cost->seconds < short_task_s;
  if (is_short && queue.ready.size() > static_cast<std::size_t>(queue.elsewhere ? queue.free : free)) {
    start_short(queue, next, queue.elsewhere ? queue.free : free);
    return true;
  }
  auto work = std::move(next->second);
  queue.ready.erase(next);
  begin(std::move(work), false, threads);
  return true;
}

/// The deepest first, so that what has begun comes to its end. Of those that begin under backlog, the newest: people
/// see what the microscope does now; every fourth is the oldest, so that all are reached. With backlog=oldest always
/// the oldest.
std::map<Engine::Impl::Priority, Engine::Impl::Work>::iterator Engine::Impl::next_ready(Queue& queue) {
  const auto first = queue.ready.begin();
  const auto& [optional, depth, order, number] = first->first;
  if (oldest_first_ || depth != -1 || queue.ready.size() < 4 * static_cast<std::size_t>(pool_->threads()) ||
      ++turn_ % 4 == 0)
    return first;
  return std::prev(queue.ready.lower_bound(Priority{optional, depth + 1, "", 0}));
}

/// Hands one worker several tasks that take less time than the way to a worker and back.
void Engine::Impl::start_short(Queue& queue, std::map<Priority, Work>::iterator next, int free) {
  const std::size_t most = std::clamp<std::size_t>(queue.ready.size() / static_cast<std::size_t>(free), 1, 32);
  const auto place = claim(queue, next->second.execution.step);
  std::vector<exec::Task> tasks;
  double total_s = 0;
  const auto is_short = [&](const Work& work) {
    const auto* cost = cost_of(work.execution);
    return work.kills == 0 && cost != nullptr && cost->seconds < short_task_s;
  };
  do {
    total_s += cost_of(next->second.execution)->seconds;
    auto work = std::move(next->second);
    queue.ready.erase(next);
    tasks.push_back(make_task(std::move(work), false, queue.elsewhere ? 0 : 1, place));
    if (!queue.ready.empty()) next = next_ready(queue);
  } while (!queue.ready.empty() && tasks.size() < most && total_s < batch_s && is_short(next->second));
  pool_->start(tasks);
}

void Engine::Impl::begin(Work work, bool alone, int threads) {
  const auto index = work.execution.step;
  auto place = claim(*queue_of_step_[static_cast<std::size_t>(index)], index);
  pool_->start({make_task(std::move(work), alone, threads, std::move(place))});
}

/// @param threads  0: runs elsewhere and takes nothing of this machine
exec::Task Engine::Impl::make_task(Work work, bool alone, int threads, std::shared_ptr<const Claim> claim) {
  const auto number = next_number_++;
  const auto index = work.execution.step;
  const auto& planned = step(index);
  exec::Task task;
  task.number = number;
  task.protocol = planned.protocol->name;
  task.params = planned.params.dump();
  task.inputs = records_of(work.execution);
  for (const auto& [port, item] : work.execution.previous) {
    task.has_previous = true;
    task.previous.emplace_back(port, std::vector{store_.record(graph_->item(item).n)});
  }
  task.seed = work.execution.key;  // holds the project's seed, step and inputs
  const auto label = safe_name(label_of(work.execution));
  task.temporary = fmt::format("tmp/{}-{}", epoch_, number);
  task.reference = fmt::format("steps/{}/{}", planned.name, folder_name(label_of(work.execution), work.execution.key));
  task.log_name = fmt::format("{}_{}_{}.log", planned.name, label, work.execution.key.substr(0, 8));
  task.threads = threads;
  task.memory_mib = threads > 0 ? memory_of(work.execution, task.inputs) : 0;
  for (const auto& gpu : claim->gpus) task.gpus += (task.gpus.empty() ? "" : ",") + gpu;
  if (work.attempts + work.kills == 0)
    start_latency_.add(std::chrono::duration<double>(Clock::now() - work.since).count());
  --queued_count_[static_cast<std::size_t>(index)];
  ++running_count_[static_cast<std::size_t>(index)];
  running_by_key_[work.execution.key] = number;
  alone_now_ = alone;
  running_.emplace(number, Running{std::move(work), true, alone, task.temporary, task.reference, std::move(claim)});
  return task;
}

// ---- cost -------------------------------------------------------------------------------------------------------

namespace {

/// Inputs of similar size: for folds by the number of members, in powers of two.
int size_class(const Execution& execution) {
  std::size_t most = 1;
  for (const auto& port : execution.inputs) most = std::max(most, port.size());
  return static_cast<int>(std::bit_width(most));
}

}  // namespace

/// What such an execution has cost: of its own size class, or of the next smaller one known.
const store::CostRow* Engine::Impl::cost_of(const Execution& execution) const {
  const auto& key = step(execution.step).key;
  auto found = costs_.upper_bound({key, size_class(execution)});
  if (found == costs_.begin()) return nullptr;
  return std::prev(found)->first.first == key ? &std::prev(found)->second : nullptr;
}

void Engine::Impl::note_cost(const Execution& execution, const exec::Result& result) {
  const auto& key = step(execution.step).key;
  const int size = size_class(execution);
  auto& cost = costs_[{key, size}];
  const auto before = cost.count;
  const bool grew = result.peak_mib > cost.peak_mib;
  const double last = before == 0 ? result.seconds : cost.seconds;
  cost = {key, size, std::max(cost.peak_mib, result.peak_mib),
          last + (result.seconds - last) / static_cast<double>(std::min<std::int64_t>(before + 1, 20)), before + 1};
  if (grew || std::has_single_bit(static_cast<std::uint64_t>(cost.count))) store_.put_cost(cost);
}

// ---- finishing --------------------------------------------------------------------------------------------------

void Engine::Impl::finish(const exec::Result& found_result) {
  auto result = found_result;
  const auto found = running_.find(result.number);
  if (found == running_.end()) return;
  auto running = std::move(found->second);
  running_.erase(found);
  running_by_key_.erase(running.work.execution.key);
  --running_count_[static_cast<std::size_t>(running.work.execution.step)];
  if (running.alone) alone_now_ = false;
  if (!running.attached) {  // asked for by a state of the graph that is gone
    std::error_code ignored;
    fs::remove_all(options_.project / running.temporary, ignored);
    return;
  }
  if (!result.failed && result.has_files && !move_outputs(running, result)) log::debug("{}", result.message);
  if (try_again(running, result)) return;
  publish(running, result);
}

/// Queues the task once more if its failure may not be its own. @return false when the result stands
bool Engine::Impl::try_again(Running& running, const exec::Result& result) {
  if (!result.failed) return false;
  std::error_code ignored;
  if (result.killed) {
    fs::remove_all(options_.project / running.temporary, ignored);
    fs::remove_all(options_.project / (running.temporary + ".scratch"), ignored);
  }
  auto& work = running.work;
  const auto index = static_cast<std::size_t>(work.execution.step);
  const auto label = label_of(work.execution);
  if (result.code == ErrorCode::cancelled && !result.killed) {
    if (!stopping_) enqueue(std::move(work.execution));
    return true;
  }
  if (result.killed) {
    work.kills += result.blamed;
    work.alone_kills += result.blamed && running.alone;
    if (work.alone_kills >= 3) return false;
    if (stopping_) return true;
    store_.add_event("retry", step(work.execution.step).name, label, result.message);
    log::warning("{}, {}: {}; the task starts again", step(work.execution.step).name, label, result.message);
    ++queued_count_[index];
    if (work.kills >= 2) {
      suspects_.push_back(std::move(work));
    } else {
      put_in_line(std::move(work));
    }
    return true;
  }
  if (is_transient(result.code) && disk_is_full(result.message) &&
      !stopping_) {  // not the task's fault, however often it happens
    wait_for_disk(result.message);
    enqueue(std::move(work.execution));
    return true;
  }
  if (!is_transient(result.code) || ++work.attempts >= options_.attempts || stopping_)
    return stopping_ && is_transient(result.code);
  const double pause_s = options_.retry_base_s * std::pow(4.0, work.attempts - 1);
  store_.add_event("retry", step(work.execution.step).name, label,
                   fmt::format("again in {:g} s: {}", pause_s, result.message));
  log::warning("{}, {}: {}; again in {:g} s", step(work.execution.step).name, label, result.message, pause_s);
  ++queued_count_[index];
  later_.emplace(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(pause_s)),
                 std::move(work));
  return true;
}

void Engine::Impl::publish(const Running& running, const exec::Result& result) {
  const auto& execution = running.work.execution;
  if (!result.failed) disk_pause_s_ = 5;
  if (!result.killed) note_cost(execution, result);
  const Outcome outcome = result.failed ? store_failure(running, result) : store_success(running, result);
  if (execution.step == first_step_) {
    through_.push_back(Clock::now());
    while (through_.size() > 100000) through_.pop_front();
  }
  graph_->finish(execution, outcome);
  settle();
}

/// Renames the temporary folder to its final name. Something there already is left over from before a crash.
/// @return false when that failed; the result then says so
bool Engine::Impl::move_outputs(const Running& running, exec::Result& result) {
  const auto from = options_.project / running.temporary;
  const auto to = options_.project / running.reference;
  try {
    make_folders(to.parent_path());
    if (step(running.work.execution.step).protocol->shape != flow::Shape::filter)  // decisions are not rebuilt
      write_marker(from, marker_of(running, result));
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
    result.failed = true;
    result.code = ErrorCode::io;
    result.message = fmt::format("{}: the results cannot be moved there: {}", to.string(), error.what());
    return false;
  }
  entry_made(to);
  if (fs::exists(to / marker_name)) unsynced_.insert((to / marker_name).string());
  return true;
}

store::TaskRow Engine::Impl::task_row(const Running& running, const exec::Result& result) const {
  const auto& execution = running.work.execution;
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
  row.attempts = running.work.attempts + (result.failed ? 0 : 1);
  row.seconds = result.seconds;
  row.peak_mib = result.peak_mib;
  row.threads = result.threads;
  row.target = result.target;
  row.finished = store::now();
  Json inputs = Json::array();
  for (const auto& port : execution.inputs)
    for (const int item : port) inputs.push_back(graph_->item(item).n);
  row.inputs = inputs.dump();
  row.programs = programs_.at(static_cast<std::size_t>(execution.step));
  return row;
}

/// The items of a result, without numbers.
std::vector<store::ItemRow> Engine::Impl::items_of(const store::TaskRow& row, const exec::Result& result) const {
  const auto& ports = step(plan_.find(row.step)).protocol->outputs;
  std::vector<store::ItemRow> items;
  for (const auto& [port, records] : result.outputs) {
    const auto info =
        std::find_if(ports.begin(), ports.end(), [&, name = port](const flow::PortInfo& p) { return p.name == name; });
    for (std::size_t i = 0; i < records.size(); ++i)
      items.push_back({0, hash_of({"item", row.key, port, std::to_string(i)}), info == ports.end() ? "" : info->kind,
                       row.step, port, row.subject, row.order, row.label, records[i], row.protocol});
  }
  return items;
}

/// What the folder of a result is to say of itself.
Marker Engine::Impl::marker_of(const Running& running, const exec::Result& result) {
  const auto& execution = running.work.execution;
  Marker marker;
  marker.epoch = epoch_;
  marker.task = task_row(running, result);
  marker.outputs = items_of(marker.task, result);
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

Outcome Engine::Impl::store_success(const Running& running, const exec::Result& result) {
  const auto& execution = running.work.execution;
  const auto& protocol = *step(execution.step).protocol;
  auto row = task_row(running, result);
  Outcome outcome;
  if (protocol.shape == flow::Shape::filter) {
    const auto decision = Json::parse(result.outputs.at(0).second.at(0));
    const auto& passed = graph_->item(execution.inputs.at(0).at(0));
    outcome.accepted = decision.value("accepted", true);
    row.outputs.emplace_back(outcome.accepted ? "accepted" : "set_aside", passed.n);
    outcome.outputs.emplace_back(row.outputs.back().first, passed);
    store_.add_decision({0, row.step, passed.id.hex(), row.subject, row.label, outcome.accepted,
                         decision.value("rule", ""), number_or_nan(decision, "value"), number_or_nan(decision, "limit"),
                         decision.value("reason", ""), "rule", row.key, row.finished, decision.value("rule", ""),
                         decision.value("title", "")});
  } else {
    for (auto& item : items_of(row, result)) {
      item.n = store_.add_item(item);
      row.outputs.emplace_back(item.port, item.n);
      outcome.outputs.emplace_back(item.port, ItemHandle{item.n, Digest::parse(item.id)});
    }
  }
  outcome.task = store_.add_task(row);
  return outcome;
}

Outcome Engine::Impl::store_failure(const Running& running, const exec::Result& result) {
  auto row = task_row(running, result);
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

}  // namespace frazil::engine
