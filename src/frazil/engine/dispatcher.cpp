#include "frazil/engine/dispatcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace frazil::engine {
namespace {

constexpr double short_task_s = 0.005;  ///< faster than that: several go to a worker at once
constexpr double batch_s = 0.02;        ///< and so much work at most
constexpr int kills_of_suspect = 2;     ///< from then on a task runs by itself
constexpr int kills_alone = 3;          ///< so many by itself with nothing else at work: it is the task

std::chrono::steady_clock::duration clock_time(double value_s) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(value_s));
}

constexpr int sizes = 64;  ///< classes of one kind of call

/// Inputs of similar size: for tasks on many items by their number, in powers of two. Calls of an iteration cost by
/// their kind.
int size_class(const Execution& execution) {
  std::size_t most = 1;
  for (const auto& port : execution.inputs) most = std::max(most, port.size());
  const int kind = execution.call ? 1 + static_cast<int>(execution.call->stage) : 0;
  return sizes * kind + static_cast<int>(std::bit_width(most));
}

}  // namespace

/// A place elsewhere or GPUs, given back at its end.
struct Dispatcher::Claim {
  Dispatcher& dispatcher;
  Queue& queue;
  std::vector<std::string> gpus;
  Claim(Dispatcher& owner, Queue& of, std::vector<std::string> taken)
      : dispatcher(owner), queue(of), gpus(std::move(taken)) {}
  ~Claim() {
    if (queue.elsewhere) ++queue.free;
    if (!gpus.empty()) dispatcher.pool_->account().give_back_gpus(gpus);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
};

Dispatcher::Dispatcher(DispatcherSettings settings, Compose compose, Estimate estimate,
                       std::function<Clock::time_point()> clock)
    : settings_(settings), compose_(std::move(compose)), estimate_(std::move(estimate)), clock_(std::move(clock)) {}

Dispatcher::~Dispatcher() = default;

// ---- queues -----------------------------------------------------------------------------------------------------

void Dispatcher::reset(std::vector<Lane> lanes) {
  for (auto& [place, queue] : queues_) queue.ready.clear();
  queued_.clear();
  suspects_.clear();
  later_.clear();
  for (auto& [number, running] : running_) running.wanted = false;
  lanes_ = std::move(lanes);
  counts_.resize(lanes_.size());
  for (auto& counts : counts_) counts.queued = 0;
  queue_of_step_.clear();
  for (const auto& lane : lanes_) {
    auto& queue = queues_[lane.place      ? "at " + lane.place->first
                          : lane.gpus > 0 ? fmt::format("gpus {}", lane.gpus)
                                          : std::string()];
    if (lane.place && !queue.elsewhere) {
      queue.elsewhere = true;
      queue.free = lane.place->second;
    }
    queue_of_step_.push_back(&queue);
  }
}

Dispatcher::Cell Dispatcher::cell_of(const Execution& execution) {
  std::int64_t number = 0;
  if (const auto& call = execution.call)
    number = 1 + ((std::int64_t{call->round} * 4 + static_cast<int>(call->stage)) << 24) + call->part;
  return {execution.step, execution.subject, execution.batch, number};
}

void Dispatcher::add(Execution execution, std::string order) {
  if (const auto found = running_by_key_.find(execution.key); found != running_by_key_.end()) {
    auto& running = running_.at(found->second);
    running.work.execution = std::move(execution);
    running.wanted = true;
    return;
  }
  Work work;
  work.execution = std::move(execution);
  work.order = std::move(order);
  work.since = clock_();
  if (const auto found = kills_.find(work.execution.key); found != kills_.end()) work.kills = found->second;
  put_back(std::move(work));
}

/// Where it belongs after what has happened to it so far.
void Dispatcher::put_back(Work work) {
  ++counts_[static_cast<std::size_t>(work.execution.step)].queued;
  if (work.kills.all < kills_of_suspect) return put_in_line(std::move(work));
  work.since = clock_();
  suspects_.emplace(next_place_++, std::move(work));
}

void Dispatcher::put_in_line(Work work) {
  const auto& its = lane(work.execution);
  const int rank = its.optional ? optional : its.background ? background : live;
  Priority priority{rank, -its.depth, work.order, next_place_++};
  queued_[cell_of(work.execution)] = priority;
  queue_of(work.execution).ready.emplace(std::move(priority), std::move(work));
}

std::vector<int> Dispatcher::withdraw(int step) {
  std::vector<int> subjects;
  const auto take = [&](const Work& work) {
    if (work.execution.step != step) return false;
    subjects.push_back(work.execution.subject);
    --counts_[static_cast<std::size_t>(step)].queued;
    queued_.erase(cell_of(work.execution));
    return true;
  };
  std::erase_if(queue_of_step_[static_cast<std::size_t>(step)]->ready,
                [&](const auto& entry) { return take(entry.second); });
  std::erase_if(later_, [&](const auto& entry) { return take(entry.second); });
  std::erase_if(suspects_, [&](const auto& entry) { return take(entry.second); });
  return subjects;
}

void Dispatcher::drop(const Execution& execution) {
  auto& queued = counts_[static_cast<std::size_t>(execution.step)].queued;
  if (const auto found = queued_.find(cell_of(execution)); found != queued_.end()) {
    queue_of(execution).ready.erase(found->second);
    queued_.erase(found);
    --queued;
  }
  const auto cell = cell_of(execution);
  const auto is_it = [&](const auto& entry) { return cell_of(entry.second.execution) == cell; };
  queued -= static_cast<int>(std::erase_if(later_, is_it) + std::erase_if(suspects_, is_it));
  for (auto& [number, running] : running_)
    if (cell_of(running.work.execution) == cell && std::exchange(running.wanted, false)) pool_->cancel(number);
}

void Dispatcher::cancel(std::uint64_t number) {
  if (running_.contains(number)) pool_->cancel(number);
}

std::vector<Dispatcher::AtWork> Dispatcher::at_work() const {
  std::vector<AtWork> list;
  for (const auto& [number, running] : running_)
    list.push_back({number, &running.work.execution, std::chrono::duration<double>(clock_() - running.started).count(),
                    running.gives_way && pool_->is_paused(number)});
  return list;
}

// ---- giving way -------------------------------------------------------------------------------------------------

bool Dispatcher::has_live(const Queue& queue) {
  return !queue.ready.empty() && std::get<0>(queue.ready.begin()->first) == live;
}

/// Live tasks that wait for a thread of this machine, as far as there are threads.
int Dispatcher::live_wanting() const {
  int count = 0;
  for (const auto& [place, queue] : queues_)
    for (auto at = queue.ready.begin();
         !queue.elsewhere && at != queue.ready.end() && count < pool_->threads() && std::get<0>(at->first) == live;
         ++at)
      ++count;
  return count;
}

/// Nobody waits any more: those that have given way go on, the first started first.
void Dispatcher::let_go_on() {
  if (live_wanting() > 0) return;
  for (auto& [number, running] : running_) {
    if (!running.gives_way || running.told_to_end) continue;
    if (pool_->is_paused(number) && pool_->account().free_threads() < running.threads) return;
    running.gives_way = false;
    pool_->resume(number);
  }
}

/// Live tasks wait and find no room: what gives way pauses, the last started first. Where that does not help, because
/// memory is what is missing or the place is elsewhere, it ends and starts again later.
void Dispatcher::make_way() {
  for (auto& [place, queue] : queues_)
    if (queue.elsewhere && queue.free <= 0 && has_live(queue)) stop_newest(queue);
  const int wanting = live_wanting();
  if (wanting == 0) return;
  int missing = wanting - pool_->account().free_threads();
  for (const auto& [number, running] : running_)
    if (running.gives_way && !pool_->is_paused(number)) missing -= running.threads;
  for (auto at = running_.rbegin(); at != running_.rend() && missing > 0; ++at) {
    auto& running = at->second;
    if (!lane(running.work.execution).background || running.threads == 0 || running.gives_way) continue;
    running.gives_way = true;
    missing -= running.threads;
    pool_->pause(at->first);
  }
  if (pool_->account().free_threads() > 0)
    for (auto& [place, queue] : queues_)
      if (!queue.elsewhere && has_live(queue) && has_gpus(queue)) return stop_newest(queue);
}

/// One at a time: then it shows whether there is room.
void Dispatcher::stop_newest(const Queue& queue) {
  const auto is_here = [&](const Running& running) {
    return lane(running.work.execution).background && (queue_of(running.work.execution).elsewhere == queue.elsewhere) &&
           (!queue.elsewhere || &queue_of(running.work.execution) == &queue);
  };
  for (const auto& [number, running] : running_)
    if (is_here(running) && running.told_to_end) return;
  for (auto at = running_.rbegin(); at != running_.rend(); ++at) {
    if (!is_here(at->second)) continue;
    at->second.told_to_end = true;
    return pool_->cancel(at->first);
  }
}

// ---- starting ---------------------------------------------------------------------------------------------------

void Dispatcher::dispatch(bool may_start) {
  const auto now = clock_();
  while (!later_.empty() && later_.begin()->first <= now) {
    auto work = std::move(later_.extract(later_.begin()).mapped());
    put_in_line(std::move(work));
  }
  if (!may_start) return pool_->account().wants(false);
  let_go_on();
  while (start_suspect()) {
  }
  Queue* queue = nullptr;
  while ((queue = next_queue()) != nullptr && start_next(*queue)) {
  }
  make_way();
  pool_->account().wants(std::any_of(queues_.begin(), queues_.end(), [&](const auto& entry) {
    return !entry.second.elsewhere && !entry.second.ready.empty() && has_gpus(entry.second);
  }));
}

std::optional<Dispatcher::Clock::time_point> Dispatcher::next_time() const {
  std::optional<Clock::time_point> next;
  const auto at = [&](Clock::time_point time) { next = next ? std::min(*next, time) : time; };
  if (!later_.empty()) at(later_.begin()->first);
  for (const auto& [place, work] : suspects_)
    if (const auto time = work.since + clock_time(settings_.suspect_patience_s); time > clock_()) at(time);
  for (const auto& [number, running] : running_)  // one that does not look is paused by the pool when that is called
    if (running.gives_way && !pool_->is_paused(number)) at(clock_() + std::chrono::milliseconds(100));
  for (const auto& [number, running] : running_)
    if (running.suspect && running.alone)
      if (const auto time = running.started + share_of(running.work.execution); time > clock_()) at(time);
  return next;
}

bool Dispatcher::has_gpus(const Queue& queue) const {
  return lane(queue.ready.begin()->second.execution).gpus <= pool_->account().free_gpus();
}

bool Dispatcher::has_room(const Queue& queue) const {
  if (queue.ready.empty()) return false;
  if (queue.elsewhere) return queue.free > 0;
  return pool_->account().free_threads() > 0 && has_gpus(queue);
}

std::shared_ptr<const Dispatcher::Claim> Dispatcher::claim(Queue& queue, int step) {
  if (!queue.elsewhere)
    return std::make_shared<Claim>(*this, queue,
                                   pool_->account().take_gpus(lanes_[static_cast<std::size_t>(step)].gpus));
  --queue.free;
  return std::make_shared<Claim>(*this, queue, std::vector<std::string>{});
}

/// Of those that have room, the one whose first task comes first.
Dispatcher::Queue* Dispatcher::next_queue() {
  Queue* next = nullptr;
  for (auto& [place, queue] : queues_)
    if (has_room(queue) && !stands_still(queue) &&
        (next == nullptr || queue.ready.begin()->first < next->ready.begin()->first))
      next = &queue;
  return next;
}

/// A task on many items may take long: what comes in meanwhile keeps one thread.
int Dispatcher::threads_for(const Queue& queue, const Lane& its, bool is_part, int free) const {
  if (queue.elsewhere) return 0;
  if (its.threads > 0) return std::min(its.threads, free);
  if (is_part) return 1;
  if (its.is_whole) return free > 1 && free == pool_->threads() && streaming_ ? free - 1 : free;
  return std::max(1, free / static_cast<int>(std::min<std::size_t>(queue.ready.size(), 1000)));
}

/// @return false if there is no room for it on this machine yet
bool Dispatcher::start_next(Queue& queue) {
  const auto next = next_ready(queue);
  if (next == queue.ready.end()) return false;
  auto& work = next->second;
  const auto& its = lane(work.execution);
  const int free = std::max(1, pool_->account().free_threads());
  const auto& call = work.execution.call;
  const int threads = threads_for(queue, its, call && call->stage == flow::Stage::part, free);
  if (!queue.elsewhere && !pool_->account().is_unused() && !pool_->account().fits(threads, memory_of(work)))
    return false;
  const auto* cost = cost_of(work.execution);
  const bool is_short = threads <= 1 && its.gpus == 0 && !its.background && work.kills.all == 0 && cost != nullptr &&
                        cost->count >= 10 && cost->seconds < short_task_s;
  if (is_short && queue.ready.size() > static_cast<std::size_t>(queue.elsewhere ? queue.free : free)) {
    start_short(queue, next, queue.elsewhere ? queue.free : free);
    return true;
  }
  start_one(take(queue, next), false, threads);
  return true;
}

Dispatcher::Work Dispatcher::take(Queue& queue, Ready::iterator place) {
  auto work = std::move(place->second);
  queue.ready.erase(place);
  queued_.erase(cell_of(work.execution));
  return work;
}

/// The deepest first, so that what has begun comes to its end. Of those that begin under backlog, the newest: people
/// see what the microscope does now; every fourth is the oldest, so that all are reached. With backlog=oldest always
/// the oldest. While a suspect waits for the machine, the first that is short; none: the end.
Dispatcher::Ready::iterator Dispatcher::next_ready(Queue& queue) {
  if (makes_gap(queue)) {
    constexpr int looked_at = 100;  // a queue may hold hundred thousands, and those at its head are what counts
    auto at = queue.ready.begin();
    for (int i = 0; i < looked_at && at != queue.ready.end() && may_take_long(at->second.execution); ++i) ++at;
    return at != queue.ready.end() && may_take_long(at->second.execution) ? queue.ready.end() : at;
  }
  const auto first = queue.ready.begin();
  const auto& [rank, depth, order, number] = first->first;
  if (settings_.oldest_first || depth != -1 || rank == background ||
      queue.ready.size() < 4 * static_cast<std::size_t>(pool_->threads()) || ++turn_ % 4 == 0)
    return first;
  return std::prev(queue.ready.lower_bound(Priority{rank, depth + 1, "", 0}));
}

/// Hands one worker several tasks that take less time than the way to a worker and back.
void Dispatcher::start_short(Queue& queue, Ready::iterator next, int free) {
  const std::size_t most = std::clamp<std::size_t>(queue.ready.size() / static_cast<std::size_t>(free), 1, 32);
  const auto place = claim(queue, next->second.execution.step);
  std::vector<exec::Task> tasks;
  double total_s = 0;
  const auto is_short = [&](const Work& work) {
    const auto* cost = cost_of(work.execution);
    return work.kills.all == 0 && cost != nullptr && cost->seconds < short_task_s && !lane(work.execution).background;
  };
  do {
    total_s += cost_of(next->second.execution)->seconds;
    tasks.push_back(begin(take(queue, next), false, queue.elsewhere ? 0 : 1, place));
    if (!queue.ready.empty()) next = next_ready(queue);
  } while (!queue.ready.empty() && next != queue.ready.end() && tasks.size() < most && total_s < batch_s &&
           is_short(next->second));
  pool_->start(tasks);
}

void Dispatcher::start_one(Work work, bool suspect, int threads) {
  auto place = claim(queue_of(work.execution), work.execution.step);
  pool_->start({begin(std::move(work), suspect, threads, std::move(place))});
}

exec::Task& Dispatcher::composed(Work& work) {
  if (!work.task) {
    const auto number = next_number_++;
    work.task = compose_(work.execution, number);
    work.task->number = number;
  }
  return *work.task;
}

/// @param threads  0: runs elsewhere and takes nothing of this machine
exec::Task Dispatcher::begin(Work work, bool suspect, int threads, std::shared_ptr<const Claim> claim) {
  composed(work);
  const int memory = threads > 0 ? memory_of(work) : 0;
  auto task = std::move(*std::exchange(work.task, std::nullopt));
  task.threads = threads;
  task.memory_mib = memory;
  for (const auto& gpu : claim->gpus) task.gpus += (task.gpus.empty() ? "" : ",") + gpu;
  if (work.attempts + work.kills.all == 0 && !lane(work.execution).background)
    start_latency_.add(std::chrono::duration<double>(clock_() - work.since).count());
  auto& counts = counts_[static_cast<std::size_t>(work.execution.step)];
  --counts.queued;
  ++counts.running;
  const bool alone = is_alone(queue_of(work.execution), true);
  running_by_key_[work.execution.key] = task.number;
  running_.emplace(task.number, Running{std::move(work), true, alone, suspect, false, false, threads, task.temporary,
                                        task.reference, clock_(), std::move(claim)});
  return task;
}

// ---- suspects ---------------------------------------------------------------------------------------------------

/// Whether tasks of these queues are in each other's way: those on this machine are.
bool Dispatcher::share_machine(const Queue& a, const Queue& b) { return &a == &b || (!a.elsewhere && !b.elsewhere); }

/// Whether nothing else is at work where tasks of this queue are. @param ends_it  of those at work it is no longer true
bool Dispatcher::is_alone(const Queue& queue, bool ends_it) {
  bool alone = true;
  for (auto& [number, running] : running_) {
    if (!share_machine(queue, queue_of(running.work.execution))) continue;
    alone = false;
    if (ends_it) running.alone = false;
  }
  return alone;
}

/// A task that has killed its worker twice gets a worker to itself and twice the memory, at first beside others; what
/// died once more, with nothing else at work. @return false if none can start
bool Dispatcher::start_suspect() {
  for (auto at = suspects_.begin(); at != suspects_.end(); ++at) {
    auto& work = at->second;
    auto& queue = queue_of(work.execution);
    const bool has_place = queue.elsewhere ? queue.free > 0 : lane(work.execution).gpus <= pool_->account().free_gpus();
    if (!has_place) continue;
    const bool is_first = work.kills.all == kills_of_suspect;
    const bool fits = queue.elsewhere || pool_->account().is_unused() ||
                      (is_first && pool_->account().free_threads() > 0 && pool_->account().fits(1, memory_of(work)));
    if (!fits || (!is_first && !is_alone(queue, false))) continue;
    auto taken = std::move(work);
    suspects_.erase(at);
    start_one(std::move(taken), true, queue.elsewhere ? 0 : 1);
    return true;
  }
  return false;
}

/// A suspect has waited too long for the machine that tasks of this queue run on.
bool Dispatcher::makes_gap(const Queue& queue) const {
  const auto now = clock_();
  return std::any_of(suspects_.begin(), suspects_.end(), [&](const auto& entry) {
    return share_machine(queue, queue_of(entry.second.execution)) &&
           now - entry.second.since >= clock_time(settings_.suspect_patience_s);
  });
}

bool Dispatcher::may_take_long(const Execution& execution) const {
  const auto* cost = cost_of(execution);
  return cost == nullptr ? lane(execution).is_whole : cost->seconds > settings_.long_task_s;
}

Dispatcher::Clock::duration Dispatcher::share_of(const Execution& execution) const {
  const auto* cost = cost_of(execution);
  return clock_time(std::max(settings_.suspect_share_s, cost == nullptr ? 0 : 3 * cost->seconds));
}

/// A suspect has the machine for itself, or waits for the last short tasks to end.
bool Dispatcher::stands_still(const Queue& queue) const {
  const auto now = clock_();
  bool any = false, long_ones = false;
  for (const auto& [number, running] : running_) {
    if (!share_machine(queue, queue_of(running.work.execution))) continue;
    if (running.suspect && running.alone && running.work.kills.all > kills_of_suspect &&
        now - running.started < share_of(running.work.execution))
      return true;
    any = true;
    long_ones = long_ones || may_take_long(running.work.execution);
  }
  return any && !long_ones && makes_gap(queue);
}

// ---- cost -------------------------------------------------------------------------------------------------------

/// What such an execution has cost: of its own size class, or of the next smaller one known.
const store::CostRow* Dispatcher::cost_of(const Execution& execution) const {
  const auto& key = lane(execution).key;
  auto found = costs_.upper_bound({key, size_class(execution)});
  if (found == costs_.begin()) return nullptr;
  const auto& [known, size] = std::prev(found)->first;
  return known == key && size / sizes == size_class(execution) / sizes ? &std::prev(found)->second : nullptr;
}

int Dispatcher::memory_of(Work& work) {
  const auto* cost = cost_of(work.execution);
  const bool is_measured = cost != nullptr && cost->peak_mib > 0;
  if (!is_measured && !work.estimate_mib) work.estimate_mib = estimate_(work.execution, composed(work).inputs);
  const int memory = is_measured ? cost->peak_mib + cost->peak_mib / 5 : *work.estimate_mib;
  return work.kills.all >= kills_of_suspect ? 2 * memory : memory;
}

std::optional<store::CostRow> Dispatcher::note_cost(const Execution& execution, const exec::Result& result) {
  const auto& key = lane(execution).key;
  const int size = size_class(execution);
  auto& cost = costs_[{key, size}];
  const auto before = cost.count;
  const bool grew = result.peak_mib > cost.peak_mib;
  const double last = before == 0 ? result.seconds : cost.seconds;
  cost = {key, size, std::max(cost.peak_mib, result.peak_mib),
          last + (result.seconds - last) / static_cast<double>(std::min<std::int64_t>(before + 1, 20)), before + 1};
  if (grew || std::has_single_bit(static_cast<std::uint64_t>(cost.count))) return cost;
  return std::nullopt;
}

// ---- ending -----------------------------------------------------------------------------------------------------

std::optional<Ended> Dispatcher::next_ended() {
  if (ended_.empty())
    for (auto& result : pool_->collect()) ended_.push_back(std::move(result));
  while (!ended_.empty()) {
    auto result = std::move(ended_.front());
    ended_.pop_front();
    const auto found = running_.find(result.number);
    if (found == running_.end()) continue;
    auto& running = found->second;
    auto& work = running.work;
    --counts_[static_cast<std::size_t>(work.execution.step)].running;
    running_by_key_.erase(work.execution.key);
    Ended ended{std::move(work.execution),
                std::move(result),
                running.temporary,
                running.reference,
                std::move(work.order),
                work.attempts,
                work.kills,
                running.suspect && running.alone,
                running.wanted};
    running_.erase(found);
    if (!ended.result.failed) kills_.erase(ended.execution.key);
    return ended;
  }
  return std::nullopt;
}

std::optional<Retry> Dispatcher::again(Ended& ended, bool stopping) {
  const auto& result = ended.result;
  if (!result.failed) return std::nullopt;
  if (result.killed) return again_after_kill(ended, stopping);
  if (result.code == ErrorCode::cancelled) {
    if (!stopping) repeat(std::move(ended));
    return Retry{};
  }
  if (!is_transient(result.code)) return std::nullopt;
  if (stopping) return Retry{};
  if (++ended.attempts >= settings_.attempts) return std::nullopt;
  const double pause_s = settings_.retry_base_s * std::pow(4.0, ended.attempts - 1);
  Retry retry{fmt::format("again in {:g} s: {}", pause_s, result.message), false};
  ++counts_[static_cast<std::size_t>(ended.execution.step)].queued;
  later_.emplace(clock_() + clock_time(pause_s), work_of(std::move(ended)));
  return retry;
}

std::optional<Retry> Dispatcher::again_after_kill(Ended& ended, bool stopping) {
  ended.kills.all += ended.result.blamed;
  ended.kills.alone += ended.result.blamed && ended.alone;
  if (ended.kills.alone >= kills_alone) {
    kills_.erase(ended.execution.key);
    return std::nullopt;
  }
  kills_[ended.execution.key] = ended.kills;
  if (stopping) return Retry{"", true};
  Retry retry{ended.result.message + "; the task starts again", true};
  put_back(work_of(ended));
  return retry;
}

Dispatcher::Work Dispatcher::work_of(const Ended& ended) const {
  Work work;
  work.execution = ended.execution;
  work.order = ended.order;
  work.attempts = ended.attempts;
  work.kills = ended.kills;
  work.since = clock_();
  return work;
}

void Dispatcher::repeat(const Ended& ended, double pause_s) {
  auto work = work_of(ended);
  work.attempts = 0;
  if (pause_s > 0) {
    ++counts_[static_cast<std::size_t>(work.execution.step)].queued;
    later_.emplace(clock_() + clock_time(pause_s), std::move(work));
  } else {
    put_back(std::move(work));
  }
}

void Dispatcher::forget_running() {
  for (const auto& [number, running] : running_)
    --counts_[static_cast<std::size_t>(running.work.execution.step)].running;
  running_.clear();
  running_by_key_.clear();
  ended_.clear();
}

}  // namespace frazil::engine
