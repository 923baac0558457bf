#include "frazil/engine/impl.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/no_space.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/engine/recovery.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration;
using std::chrono::milliseconds;

constexpr double rate_window_s = 600;  ///< of what came and got through

Clock::duration seconds(double value) { return std::chrono::duration_cast<Clock::duration>(duration<double>(value)); }

int free_memory_mib() {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("MemAvailable:")) return static_cast<int>(std::strtol(line.c_str() + 13, nullptr, 10) / 1024);
  return 1024;
}

/// Blocks SIGINT and SIGTERM for as long as it lives, and delivers them through a descriptor.
class SignalBlock {
 public:
  explicit SignalBlock(bool active) : active_(active) {
    if (!active_) return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
    file_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  }
  ~SignalBlock() {
    if (!active_) return;
    ::close(file_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;
  /// Signals that have come since the last call.
  int take() const {
    int count = 0;
    for (signalfd_siginfo info; active_ && ::read(file_, &info, sizeof(info)) == sizeof(info);) ++count;
    return count;
  }
  [[nodiscard]] int descriptor() const { return file_; }

 private:
  bool active_;
  int file_ = -1;
  sigset_t before_{};
};

}  // namespace

void watch_descriptor(int epoll, int file) {
  if (file < 0) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = file;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event);
}

int default_memory_mib() { return free_memory_mib() / 5 * 4; }

// ---- opening ----------------------------------------------------------------------------------------------------

Engine::Impl::Impl(Options options, const flow::Registry& registry)
    : options_(std::move(options)),
      registry_(registry),
      ledger_({options_.project, options_.program, options_.read_only}, registry, *this) {
  options_.project = ledger_.project();
  intake_ = std::make_unique<Intake>(ledger_.plan().steps.size());
  last_alarm_ = ledger_.rows().last_alarm();
  alarms_ = Alarms(options_.alarms);
  alarms_.restore(ledger_.rows().standing_alarms(), last_alarm_, store::now());
  if (options_.read_only) tell_death(true);
  dispatcher_.emplace(
      DispatcherSettings{.retry_base_s = options_.retry_base_s,
                         .attempts = options_.attempts,
                         .oldest_first = ledger_.plan().values.value("backlog", Json()) == "oldest"},
      [this](const Execution& execution, std::uint64_t number) { return ledger_.compose(execution, number); },
      [this](const Execution& execution, const exec::RecordTexts& inputs) {
        return estimated_memory(execution, inputs);
      });
  load();
}

Engine::Impl::~Impl() {
  leaving_ = true;
  if (intake_) intake_->stop();
  publisher_.reset();
  if (dispatcher_) dispatcher_->forget_running();  // gives back what it has of the machine
  pool_.reset();
}

/// Everything follows anew from what is stored. What runs already is found again by its key.
void Engine::Impl::load() {
  dispatcher_->reset(lanes());
  for (auto& row : ledger_.rows().costs()) dispatcher_->restore_cost(std::move(row));
  for (const auto& row : ledger_.rows().kills()) dispatcher_->restore_kills(row.key, {row.deaths, row.alone});
  arrived_.clear();
  pending_since_.clear();
  ledger_.load(*intake_);
}

// ---- the loop ---------------------------------------------------------------------------------------------------

End Engine::Impl::run() {
  const SignalBlock signals(options_.handle_signals);
  const int threads = options_.threads > 0 ? options_.threads : available_cpus();
  const int memory = options_.memory_mib > 0 ? options_.memory_mib : default_memory_mib();
  if (!options_.budget) options_.budget = std::make_shared<exec::Budget>(threads, memory, options_.gpus);
  for (const auto& planned : ledger_.plan().steps)
    if (!(options_.place && options_.place(planned)) && planned.gpus > static_cast<int>(options_.gpus.size()))
      throw Error(ErrorCode::bad_input,
                  "{} needs {} GPUs, and {} may be used: name them with --gpus, or set \"gpus\" of the step to less",
                  planned.name, planned.gpus, options_.gpus.size());
  pool_ =
      std::make_unique<LocalWorkers>(exec::PoolSettings{options_.worker_command, options_.project, options_.budget});
  dispatcher_->attach(*pool_);
  publisher_ = std::make_unique<Publisher>(ledger_.store(), registry_, options_);
  state_ = "running";
  set_aside_orphans(options_.project, ledger_.orphans());
  ledger_.begin();
  ledger_.add_event("engine", "", "", "started");
  guards_ = Guards(options_.guards);
  tell_death(false);
  ledger_.put("engine", "running");
  forget_sources();
  start_sources();
  commit();
  feed(true);
  publisher_->open(control_socket(options_.project));

  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  for (const int file : {pool_->processes().descriptor(), pool_->account().descriptor(),
                         publisher_->mailbox().descriptor(), intake_->descriptor(), signals.descriptor()})
    watch_descriptor(epoll_, file);
  while (!may_end()) {
    guard([this] { go_on(); });
    epoll_event events[8];
    const int timeout = next_timeout_ms();
    if (lost_)
      std::this_thread::sleep_for(milliseconds(50));  // results wait in their sockets, and would wake us at once
    (void)::epoll_wait(epoll_, events, 8, timeout);
    pool_->account().woken();
    if (const int count = signals.take(); count > 0) {
      if (stopping_) pool_->processes().kill(), dispatcher_->forget_running();
      begin_stop(End::interrupted);
    }
    guard([this] { take_in(); });
    report_progress();
  }
  ::close(epoll_);
  pool_->processes().kill();
  leaving_ = true;
  intake_->stop();
  note_unfinished();
  if (const auto now = status(); !stopping_)
    end_ = now.failed + now.broken + now.growing > 0 || tell_empty_sources() ? End::some_failed : End::finished;
  state_ = stopping_ ? "stopped" : "finished";
  commit();
  feed(true);
  look_last();
  ledger_.add_event("engine", "", "", state_);
  ledger_.put("engine", state_);
  commit();
  feed(true);
  publisher_->finish(ledger_.sequence());
  if (options_.on_status) options_.on_status(publisher_->state()->live.status);
  return end_;
}

/// A stream that ends without a file was no session: a wrong folder, or nothing was recorded. @return true if one did
bool Engine::Impl::tell_empty_sources() {
  bool any = false;
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i) {
    const int index = static_cast<int>(i);
    if (ledger_.plan().steps[i].protocol->shape != flow::Shape::source || intake_->counts(index).files() > 0) continue;
    const auto text = fmt::format("no file came in {}", intake_->watch(index).files);
    ledger_.add_event("nothing", ledger_.plan().steps[i].name, "", text);
    log::warning("{}: {}", ledger_.plan().steps[i].name, text);
    any = true;
  }
  return any;
}

/// Starts what can start, and makes durable what has come in.
void Engine::Impl::go_on() {
  watch_disk();
  watch_named_files();
  look_around();
  if (lost_ && !regain()) return feed_waiting();
  beat();
  dispatcher_->set_streaming(!ledger_.graph().all_sources_closed());
  dispatcher_->dispatch(!paused_ && !stopping_ && disk_problem_.empty());
  commit_if_due();
  feed(false);
}

/// Takes in whatever has come: results, requests, files.
void Engine::Impl::take_in() {
  publisher_->mailbox().serve([this](const Command& command) { return execute(command); });
  if (lost_) return;
  while (auto ended = dispatcher_->next_ended()) finish(std::move(*ended));
  take_findings();
  check_sources();
  check_triggers();
  if (const auto failure = publisher_->take_star_failure()) {  // written again later: the store is what counts
    if (!is_transient(failure->code())) throw Error(*failure);
    wait_for_disk(failure->what(), failure->code() == ErrorCode::resource);
  }
}

/// Does something; what cannot be written then is dealt with.
void Engine::Impl::guard(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    lose(error);
  }
}

bool Engine::Impl::may_end() const {
  if (lost_) return stopping_;
  if (stopping_) return pool_->running() == 0 || Clock::now() > stop_until_;
  return options_.until_closed && ledger_.graph().all_closed() && dispatcher_->is_idle() && intake_->empty();
}

void Engine::Impl::begin_stop(End how) {
  if (stopping_) return;
  stopping_ = true;
  end_ = how;
  state_ = "stopping";
  stop_until_ = Clock::now() + seconds(options_.stop_grace_s);
  pool_->processes().cancel();
}

int Engine::Impl::next_timeout_ms() const {
  auto next = Clock::now() + milliseconds(1000);
  if (dirty_since_) next = std::min(next, *dirty_since_ + milliseconds(30));
  if (const auto time = dispatcher_->next_time()) next = std::min(next, *time);
  if (ledger_.has_changes()) next = std::min(next, next_feed_);
  if (options_.on_status) next = std::min(next, next_status_);
  if (stopping_) next = std::min(next, stop_until_);
  for (const auto& [index, since] : pending_since_) next = std::min(next, since + seconds(step(index).trigger.every_s));
  if (const auto end = intake_->next_end()) next = std::min(next, std::max(Clock::now() + milliseconds(10), *end));
  const auto wait = std::chrono::ceil<milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 1000));
}

void Engine::Impl::commit_if_due() {
  if (!ledger_.dirty() && alarms_.unsaved().empty()) return;
  const auto now = Clock::now();
  if (!dirty_since_) dirty_since_ = now;
  // Nobody to wait for: no later result will share this commit.
  if (pool_->running() == 0 || now - *dirty_since_ >= milliseconds(30)) commit();
}

void Engine::Impl::commit() {
  write_alarms();
  ledger_.commit();
  alarms_committed();
  dirty_since_.reset();
}

/// Forms the lists whose time has come.
void Engine::Impl::check_triggers() {
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i) {
    const int index = static_cast<int>(i);
    const double every_s = ledger_.plan().steps[i].trigger.every_s;
    if (every_s <= 0) continue;
    if (!ledger_.graph().has_pending(index)) {
      pending_since_.erase(index);
    } else if (const auto since = pending_since_.try_emplace(index, Clock::now()).first->second;
               Clock::now() - since >= seconds(every_s)) {
      pending_since_.erase(index);
      ledger_.cut_pending(index);
    }
  }
}

void Engine::Impl::report_progress() {
  const auto now = Clock::now();
  if (options_.on_status && now >= next_status_) {
    next_status_ = now + milliseconds(250);
    if (const auto state = publisher_->state()) options_.on_status(state->live.status);
  }
}

/// While the engine works, of what has become durable; else nobody else changes anything.
void Engine::Impl::feed(bool now) {
  const auto time = Clock::now();
  if (!now && (time < next_feed_ || ledger_.dirty())) return;
  // Others wait for it; what has not changed is told now and then, for the clock.
  next_feed_ = time + (ledger_.has_changes() ? milliseconds(50) : milliseconds(250));
  auto [changes, head] = ledger_.take_changes();
  publisher_->feed(std::move(changes), std::move(head), live());
}

/// While nothing can be written: what is wrong is told all the same.
void Engine::Impl::feed_waiting() {
  const auto time = Clock::now();
  if (time < next_feed_) return;
  next_feed_ = time + milliseconds(250);
  Changes none;
  none.sequence = ledger_.sequence();
  publisher_->feed(std::move(none), nullptr, live());
}

Live Engine::Impl::live() {
  Live live;
  live.status = status();
  live.last_event = ledger_.store().last_event();
  live.last_alarm = last_alarm_;
  for (int i = 0; i < static_cast<int>(ledger_.plan().steps.size()); ++i) live.growing.push_back(intake_->growing(i));
  return live;
}

/// Notes that something happened now; what is long past is forgotten.
void Engine::Impl::note_time(std::deque<Clock::time_point>& times) {
  times.push_back(Clock::now());
  while (times.front() < times.back() - seconds(rate_window_s)) times.pop_front();
}

Rate Engine::Impl::rate(double running_s) const {
  const double window_s = std::min(running_s, rate_window_s);
  const auto since = Clock::now() - seconds(window_s);
  const auto lately = [&](const std::deque<Clock::time_point>& times) {
    return static_cast<int>(std::count_if(times.begin(), times.end(), [&](Clock::time_point t) { return t >= since; }));
  };
  return {window_s, lately(came_), lately(through_)};
}

Status Engine::Impl::status() {
  Status status;
  status.project = options_.project.string();
  status.state = paused_ && !stopping_ && state_ == "running" ? "paused" : state_;
  status.note = disk_problem_;
  status.alarms = alarms_.standing();
  sort_by_gravity(status.alarms);
  status.seconds = duration<double>(Clock::now() - started_).count();
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i) {
    const auto& planned = ledger_.plan().steps[i];
    const auto files = intake_->counts(static_cast<int>(i));
    const auto counts = ledger_.graph().counts(static_cast<int>(i));
    StepStatus s{planned.name,
                 planned.title,
                 planned.protocol->name,
                 counts.waiting,
                 dispatcher_->queued(static_cast<int>(i)),
                 dispatcher_->running(static_cast<int>(i)),
                 counts.done,
                 counts.failed,
                 counts.accepted,
                 counts.set_aside,
                 counts.versions,
                 files.items,
                 planned.protocol->shape == flow::Shape::source,
                 planned.protocol->shape == flow::Shape::filter,
                 flow::takes_lists(planned.protocol->shape),
                 ledger_.graph().closed(static_cast<int>(i)),
                 ledger_.graph().is_held(static_cast<int>(i)),
                 ledger_.graph().is_stopped(static_cast<int>(i)),
                 ledger_.note_of(static_cast<int>(i))};
    s.held = counts.held;
    s.files = {files.items,   files.replaced, files.duplicates, files.broken, files.growing + files.incomplete,
               files.excluded};
    show_iteration(static_cast<int>(i), s);
    if (s.needs_approval && s.waiting > 0 && status.note.empty())
      status.note = s.name + " waits for a person: frazil approve " + s.name;
    if (const auto& outage = intake_->outage(static_cast<int>(i)); status.note.empty()) status.note = outage;
    status.found += s.is_source ? files.items : 0;
    status.broken += files.broken;
    status.duplicates += files.duplicates;
    status.growing += files.growing + files.incomplete;
    status.excluded += files.excluded;
    status.replaced += files.replaced;
    status.files += files.files();
    if (planned.trigger.mode == flow::Trigger::Mode::none) status.behind = std::max(status.behind, counts.open);
    status.queued += s.queued;
    status.running += s.running;
    status.failed += s.failed;
    status.steps.push_back(std::move(s));
  }
  status.questions = open_questions();
  status.tasks = long_tasks();
  status.rate = rate(status.seconds);
  status.per_hour = status.rate.window_s > 1 ? status.rate.through * 3600 / status.rate.window_s : 0;
  status.start_p50_ms = dispatcher_->start_latency().percentile(0.5) * 1000;
  status.start_p99_ms = dispatcher_->start_latency().percentile(0.99) * 1000;
  status.held_total_ms = ledger_.store().waits().total_s * 1000;
  status.held_most_ms = ledger_.store().waits().longest_s * 1000;
  status.item_p50_s = item_latency_.percentile(0.5);
  status.item_p95_s = item_latency_.percentile(0.95);
  status.items_through = static_cast<int>(item_latency_.count());
  return status;
}

Json to_json(const Status& status) {
  Json steps = Json::array();
  for (const auto& s : status.steps)
    steps.push_back({{"name", s.name},
                     {"title", s.title},
                     {"protocol", s.protocol},
                     {"waiting", s.waiting},
                     {"queued", s.queued},
                     {"running", s.running},
                     {"done", s.done},
                     {"failed", s.failed},
                     {"accepted", s.accepted},
                     {"set_aside", s.set_aside},
                     {"held", s.held},
                     {"versions", s.versions},
                     {"closed", s.closed},
                     {"needs_approval", s.needs_approval},
                     {"stopped", s.stopped},
                     {"note", s.note}});
  for (std::size_t i = 0; i < status.steps.size(); ++i)
    if (const auto& s = status.steps[i]; !s.doing.empty())
      steps[i]["progress"] = s.progress, steps[i]["doing"] = s.doing;
  Json questions = Json::array(), tasks = Json::array(), alarms = Json::array();
  for (const auto& alarm : status.alarms) alarms.push_back(to_json(alarm));
  for (const auto& q : status.questions)
    questions.push_back(
        {{"question", q.number}, {"step", q.step}, {"label", q.label}, {"text", q.text}, {"asked", q.asked}});
  for (const auto& t : status.tasks) {
    tasks.push_back(
        {{"task", t.number}, {"step", t.step}, {"label", t.label}, {"seconds", t.seconds}, {"paused", t.paused}});
    if (!t.doing.empty() || t.progress >= 0) tasks.back()["progress"] = t.progress, tasks.back()["doing"] = t.doing;
  }
  return {{"project", status.project},
          {"state", status.state},
          {"steps", steps},
          {"questions", questions},
          {"tasks", tasks},
          {"found", status.found},
          {"broken", status.broken},
          {"duplicates", status.duplicates},
          {"growing", status.growing},
          {"excluded", status.excluded},
          {"replaced", status.replaced},
          {"files", status.files},
          {"behind", status.behind},
          {"running", status.running},
          {"queued", status.queued},
          {"per_hour", status.per_hour},
          {"rate",
           {{"window_s", status.rate.window_s}, {"arrived", status.rate.arrived}, {"through", status.rate.through}}},
          {"failed", status.failed},
          {"seconds", status.seconds},
          {"note", status.note},
          {"alarms", alarms},
          {"counts", to_json(status.account)},
          {"latency",
           {{"items", status.items_through},
            {"p50_s", status.item_p50_s},
            {"p95_s", status.item_p95_s},
            {"start_p50_ms", status.start_p50_ms},
            {"start_p99_ms", status.start_p99_ms},
            {"held_total_ms", status.held_total_ms},
            {"held_most_ms", status.held_most_ms}}}};
}

// ---- what others see --------------------------------------------------------------------------------------------

Engine::Engine(Options options, const flow::Registry& registry)
    : impl_(std::make_unique<Impl>(std::move(options), registry)) {}
Engine::~Engine() = default;
End Engine::run() {
  try {
    return impl_->run();
  } catch (const Error& error) {
    throw impl_->last_words(error);
  }
}
Json Engine::request(const Json& request) { return impl_->request(request); }
Status Engine::status() const { return impl_->status(); }
Reading Engine::reading() { return impl_->reading(); }

}  // namespace frazil::engine
