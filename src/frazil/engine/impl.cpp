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
#include "frazil/engine/settings.hpp"

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

fs::path project_folder(const fs::path& folder) {
  if (!fs::exists(folder / "project.frazil"))
    throw Error(ErrorCode::not_found, "{}: there is no project here", folder.string());
  return fs::canonical(folder);
}

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
      lease_(options_.read_only ? std::nullopt : std::optional<Lease>(std::in_place, project_folder(options_.project))),
      store_(project_folder(options_.project), options_.read_only ? store::Access::read : store::Access::write) {
  options_.project = fs::canonical(options_.project);
  open();
  last_alarm_ = store_.last_alarm();
  alarms_ = Alarms(options_.alarms);
  alarms_.restore(store_.standing_alarms(), last_alarm_, store::now());
  if (options_.read_only) tell_death(true);
  dispatcher_.emplace(
      DispatcherSettings{
          .retry_base_s = options_.retry_base_s, .attempts = options_.attempts, .oldest_first = oldest_first_},
      [this](const Execution& execution, std::uint64_t number) { return compose(execution, number); },
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

/// Makes the project this engine's.
void Engine::Impl::take_over() {
  epoch_ = std::stoll(store_.get("epoch").value_or("0")) + 1;
  expect_results(options_.project, store_);
  orphans_ = find_orphans(options_.project, store_);
  expect_latest(options_.project, orphans_, store_.get("identity").value_or(""), epoch_ - 1);
  identity_ = identity_of(store_);
  store_.put("epoch", std::to_string(epoch_));
  store_.commit();  // before the lease tells of it: a database that knows less than the lease is an older copy
  lease_->sign(static_cast<long>(epoch_));
  std::error_code ignored;
  fs::remove_all(options_.project / "tmp", ignored);
  for (const auto* folder : {"tmp", "logs", "steps", "star", "raw", "report"}) make_folders(options_.project / folder);
  for (const auto* folder : {".", "star", "report"})
    for (const auto& entry :
         fs::directory_iterator(options_.project / folder))  // a kill in the middle of a replacement
      if (const auto name = entry.path().filename().string(); name.starts_with(".") && name.ends_with(".tmp"))
        fs::remove(entry.path(), ignored);
}

void Engine::Impl::open() {
  if (!options_.read_only) take_over();
  sequence_ = store_.commit();
  std::vector<flow::Problem> problems;
  const auto workflow = store_.get("workflow");
  if (!workflow)
    throw Error(ErrorCode::bad_input, "{}: nothing has ever run here: frazil run TEMPLATE --project {} starts it",
                options_.project.string(), options_.project.string());
  workflow_ = flow::parse_workflow(*workflow, problems);
  const auto values = Json::parse(store_.get("values").value_or("{}"));
  files_ = flow::FileHashes(store_.get("files").value_or(""));
  if (problems.empty()) plan_ = flow::make_plan(workflow_, registry_, values, problems, false, &files_);
  if (!problems.empty())
    throw Error(ErrorCode::bad_input, "{}: the stored workflow does not fit this program:\n{}",
                options_.project.string(), flow::describe(problems));
  order_ = plan_.values.value("order", Json()) == "acquisition" ? Order::acquisition : Order::arrival;
  oldest_first_ = plan_.values.value("backlog", Json()) == "oldest";
  seed_ = store_.get("seed").value_or("1");
  intake_ = std::make_unique<Intake>(plan_.steps.size());
  programs_.clear();
  for (const auto& planned : plan_.steps) {
    programs_.push_back(options_.program);
    if (planned.protocol->programs)
      for (const auto& program : planned.protocol->programs())
        programs_.back() += (programs_.back().empty() ? "" : ", ") + program;
  }
}

/// Readers are told everything again.
void Engine::Impl::tell_anew() {
  head_ = std::make_shared<const Head>(Head{plan_, workflow_.text, Json::parse(store_.get("values").value_or("{}")),
                                            options_.project, std::stod(store_.get("created").value_or("0")), files_,
                                            last_changes(store_)});
  feeder_.begin_anew();
}

/// Replays what is stored into a fresh graph. What runs already is found again by its key.
void Engine::Impl::load() {
  dispatcher_->reset(lanes());
  questions_.clear();
  retired_.clear();  // what they were named for may not be in the store
  tell_anew();
  graph_.emplace(plan_, seed_, order_, *this);
  arrived_.clear();

  pending_since_.clear();
  for (std::size_t i = 0; i < plan_.steps.size(); ++i)
    if (plan_.steps[i].trigger.approve && !store_.get("approved:" + plan_.steps[i].name))
      graph_->wait_for_person(static_cast<int>(i)), ask_for_approval(static_cast<int>(i));
  const auto files = store_.files();
  std::vector<Digest> imported(files.size());
  for (std::size_t i = 0; i < files.size(); ++i)
    if (const int index = plan_.find(files[i].step); index >= 0 && files[i].state == "item")
      imported[i] = Digest::parse(hash_of({"item", step(index).key, files[i].subject}));
  replay_.emplace(store_, imported);
  for (auto& row : store_.costs()) dispatcher_->restore_cost(std::move(row));
  for (const auto& row : store_.kills()) dispatcher_->restore_kills(row.key, {row.deaths, row.alone});
  people_.clear();
  for (const auto& row : store_.decisions_of_rule("replaced")) people_[{row.step, row.item}] = row.accepted;
  for (const auto& row : store_.decisions_of_people()) people_[{row.step, row.item}] = row.accepted;
  for (auto& row : store_.batches())
    if (const int index = plan_.find(row.step); index >= 0 && step(index).trigger.mode != flow::Trigger::Mode::none)
      graph_->add_committed(index, row.number, std::move(row.members));

  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const auto& planned = plan_.steps[i];
    const int index = static_cast<int>(i);
    if (planned.protocol->shape != flow::Shape::source) continue;
    intake_->forget(index, planned.protocol->source.watch(planned.params));
    if (intake_->is_scanned(index))
      graph_->set_horizon(index, intake_->horizon(index));
    else
      graph_->hold(index);  // what is still growing is not known yet
  }
  recall_files(files, imported);
  settle();
  replay_.reset();
}

// ---- the loop ---------------------------------------------------------------------------------------------------

End Engine::Impl::run() {
  const SignalBlock signals(options_.handle_signals);
  const int threads = options_.threads > 0 ? options_.threads : available_cpus();
  const int memory = options_.memory_mib > 0 ? options_.memory_mib : default_memory_mib();
  if (!options_.budget) options_.budget = std::make_shared<exec::Budget>(threads, memory, options_.gpus);
  for (const auto& planned : plan_.steps)
    if (!(options_.place && options_.place(planned)) && planned.gpus > static_cast<int>(options_.gpus.size()))
      throw Error(ErrorCode::bad_input,
                  "{} needs {} GPUs, and {} may be used: name them with --gpus, or set \"gpus\" of the step to less",
                  planned.name, planned.gpus, options_.gpus.size());
  pool_ =
      std::make_unique<LocalWorkers>(exec::PoolSettings{options_.worker_command, options_.project, options_.budget});
  dispatcher_->attach(*pool_);
  publisher_ = std::make_unique<Publisher>(store_, registry_, options_);
  state_ = "running";
  set_aside_orphans(options_.project, std::exchange(orphans_, {}));
  store_.add_event("engine", "", "", "started");
  guards_ = Guards(options_.guards);
  tell_death(false);
  store_.put("engine", "running");
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
  store_.add_event("engine", "", "", state_);
  store_.put("engine", state_);
  commit();
  feed(true);
  publisher_->finish(sequence_);
  if (options_.on_status) options_.on_status(publisher_->state()->live.status);
  return end_;
}

/// A stream that ends without a file was no session: a wrong folder, or nothing was recorded. @return true if one did
bool Engine::Impl::tell_empty_sources() {
  bool any = false;
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const int index = static_cast<int>(i);
    if (plan_.steps[i].protocol->shape != flow::Shape::source || intake_->counts(index).files() > 0) continue;
    const auto text = fmt::format("no file came in {}", intake_->watch(index).files);
    store_.add_event("nothing", plan_.steps[i].name, "", text);
    log::warning("{}: {}", plan_.steps[i].name, text);
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
  dispatcher_->set_streaming(!graph_->all_sources_closed());
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
  return options_.until_closed && graph_->all_closed() && dispatcher_->is_idle() && intake_->empty();
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
  if (!feeder_.empty()) next = std::min(next, next_feed_);
  if (options_.on_status) next = std::min(next, next_status_);
  if (stopping_) next = std::min(next, stop_until_);
  for (const auto& [index, since] : pending_since_) next = std::min(next, since + seconds(step(index).trigger.every_s));
  if (const auto end = intake_->next_end()) next = std::min(next, std::max(Clock::now() + milliseconds(10), *end));
  const auto wait = std::chrono::ceil<milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 1000));
}

void Engine::Impl::commit_if_due() {
  if (!store_.dirty() && alarms_.unsaved().empty()) return;
  const auto now = Clock::now();
  if (!dirty_since_) dirty_since_ = now;
  // Nobody to wait for: no later result will share this commit.
  if (pool_->running() == 0 || now - *dirty_since_ >= milliseconds(30)) commit();
}

/// Something in the project has a new name that the next commit relies on.
void Engine::Impl::entry_made(const fs::path& path) {
  const auto folder = path.parent_path();
  unsynced_.insert(folder.string());
  if (folder != options_.project && durable_.insert(folder.string()).second) entry_made(folder);
}

void Engine::Impl::commit() {
  for (const auto& folder : unsynced_) sync_path(folder);
  unsynced_.clear();
  write_alarms();
  if (store_.dirty() && lease_ && !lease_->is_ours()) {
    store_.rollback();
    throw Fenced(ErrorCode::resource, "{}: another engine has taken this project; this one ends and writes no more",
                 options_.project.string());
  }
  sequence_ = store_.commit();
  alarms_committed();
  dirty_since_.reset();
  remove_retired();
}

/// Forms the lists whose time has come.
void Engine::Impl::check_triggers() {
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const int index = static_cast<int>(i);
    const double every_s = plan_.steps[i].trigger.every_s;
    if (every_s <= 0) continue;
    if (!graph_->has_pending(index)) {
      pending_since_.erase(index);
    } else if (const auto since = pending_since_.try_emplace(index, Clock::now()).first->second;
               Clock::now() - since >= seconds(every_s)) {
      pending_since_.erase(index);
      graph_->cut_pending(index);
      settle();
    }
  }
}

void Engine::Impl::step_closed(int index) {
  if (replay_ || !pool_ || options_.read_only) return;
  store_.add_event("closed", step(index).name, "", "the output is complete");
  if (const auto lack = graph_->lack(index)) {
    store_.add_event("too little", step(index).name, "", note_of(index));
    log::warning("{}: {}", step(index).name, note_of(index));
  }
}

/// What a step waits for that is not there, or never came, in one sentence; empty: nothing.
std::string Engine::Impl::note_of(int index) const {
  if (auto starvation = starvation_of(index); !starvation.empty()) return starvation;
  const auto lack = graph_->lack(index);
  if (!lack) return {};
  if (graph_->closed(index))
    return fmt::format("did not start: {:g} {} came, it needs {:g}", lack->have, lack->of, lack->need);
  return fmt::format("not yet: {:g} of the {:g} {} that it needs", lack->have, lack->need, lack->of);
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
  if (!now && (time < next_feed_ || store_.dirty())) return;
  // Others wait for it; what has not changed is told now and then, for the clock.
  next_feed_ = time + (feeder_.empty() ? milliseconds(250) : milliseconds(50));
  auto changes = feeder_.take(*graph_, plan_, sequence_);
  auto head = changes.reload ? head_ : nullptr;
  publisher_->feed(std::move(changes), std::move(head), live());
}

/// While nothing can be written: what is wrong is told all the same.
void Engine::Impl::feed_waiting() {
  const auto time = Clock::now();
  if (time < next_feed_) return;
  next_feed_ = time + milliseconds(250);
  Changes none;
  none.sequence = sequence_;
  publisher_->feed(std::move(none), nullptr, live());
}

Live Engine::Impl::live() {
  Live live;
  live.status = status();
  live.last_event = store_.last_event();
  live.last_alarm = last_alarm_;
  for (int i = 0; i < static_cast<int>(plan_.steps.size()); ++i) live.growing.push_back(intake_->growing(i));
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
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const auto& planned = plan_.steps[i];
    const auto files = intake_->counts(static_cast<int>(i));
    const auto counts = graph_->counts(static_cast<int>(i));
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
                 graph_->closed(static_cast<int>(i)),
                 graph_->is_held(static_cast<int>(i)),
                 graph_->is_stopped(static_cast<int>(i)),
                 note_of(static_cast<int>(i))};
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
            {"start_p99_ms", status.start_p99_ms}}}};
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
