#include "frazil/exec/local_pool.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "frazil/base/log.hpp"
#include "frazil/exec/frame.hpp"

extern char** environ;  // NOLINT: POSIX

namespace frazil::exec {

using Clock = std::chrono::steady_clock;

namespace {

std::string describe_end(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("ended by itself with exit code {}", WEXITSTATUS(status));
}

class SpawnOptions {  // own process group, no signals blocked: Ctrl-C is for the engine alone
 public:
  SpawnOptions() {
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_init(&actions_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnOptions() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;
  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
};

}  // namespace

struct LocalPool::Worker {
  Worker(pid_t pid, int socket) : process(pid), channel(socket) {}
  ~Worker() {
    if (death >= 0) ::close(death);
    if (marker >= 0) ::close(marker);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  std::uint64_t id = 0;
  pid_t process;
  Channel channel;
  int death = -1;   ///< descriptor that is readable once the process has ended
  int marker = -1;  ///< file in which it notes the task that it is at
  int slot = 0;
  std::vector<std::uint64_t> tasks;  ///< without result yet
  int threads = 0, memory = 0;
  bool writes = false;                           ///< epoll also looks whether it takes more
  bool paused = false, stopped = false;          ///< its threads are given back; by a signal
  std::optional<Clock::time_point> yield_since;  ///< asked to pause, no answer yet
  std::optional<Clock::time_point> doomed;       ///< killed
  [[nodiscard]] bool busy() const { return !tasks.empty(); }
  [[nodiscard]] std::uint64_t noted() const {
    std::uint64_t task = 0;
    return marker >= 0 && ::pread(marker, &task, sizeof(task), 0) == sizeof(task) ? task : 0;
  }
};

LocalPool::LocalPool(PoolSettings settings)
    : settings_(std::move(settings)), account_(settings_.budget), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw Error(ErrorCode::resource, "epoll cannot be created: {}", std::strerror(errno));
}

LocalPool::~LocalPool() {
  kill();
  ::close(epoll_);
}

// ---- starting ---------------------------------------------------------------------------------------------------

LocalPool::Worker& LocalPool::idle_worker() {
  for (auto& [id, worker] : workers_)
    if (!worker->busy() && !worker->doomed) return *worker;
  return spawn();
}

LocalPool::Worker& LocalPool::spawn() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    throw Error(ErrorCode::resource, "a socket for a new worker cannot be made: {}", std::strerror(errno));
  auto worker = std::make_unique<Worker>(-1, pair[0]);
  while (std::any_of(workers_.begin(), workers_.end(), [&](const auto& w) { return w.second->slot == worker->slot; }))
    ++worker->slot;
  worker->marker = ::memfd_create("frazil-marker", MFD_CLOEXEC);

  auto command = settings_.worker_command;
  const auto log = settings_.project / "logs" / fmt::format("worker-{}.log", worker->slot);
  for (const auto& argument :
       {std::string("--socket"), std::string("3"), std::string("--parent"), std::to_string(::getpid()),
        std::string("--project"), settings_.project.string(), std::string("--log"), log.string(),
        std::string("--marker"), std::string(worker->marker >= 0 ? "4" : "-1")})
    command.push_back(argument);
  std::vector<char*> arguments;
  for (auto& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  // Numbers above those they get: one copy must not overwrite the other's original.
  const int socket = ::fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
  const int marker = worker->marker >= 0 ? ::fcntl(worker->marker, F_DUPFD_CLOEXEC, 10) : -1;
  SpawnOptions options;
  posix_spawn_file_actions_adddup2(&options.actions_, socket, 3);
  if (marker >= 0) posix_spawn_file_actions_adddup2(&options.actions_, marker, 4);
  const int error = ::posix_spawn(&worker->process, command[0].c_str(), &options.actions_, &options.attributes_,
                                  arguments.data(), environ);
  for (const int file : {pair[1], socket, marker})
    if (file >= 0) ::close(file);
  if (error != 0)
    throw Error(ErrorCode::resource, "{}: cannot be started as a worker: {}", command[0], std::strerror(error));
  worker->id = next_id_++;
  worker->death = static_cast<int>(::syscall(SYS_pidfd_open, worker->process, 0));
  auto& added = *(workers_[worker->id] = std::move(worker));
  watch(added);
  return added;
}

/// Events carry twice the worker's id, and one more when they tell of its death.
void LocalPool::watch(Worker& worker) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 2 * worker.id;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, worker.channel.socket(), &event);
  event.data.u64 = 2 * worker.id + 1;
  if (worker.death >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_ADD, worker.death, &event);
}

void LocalPool::start(const std::vector<Task>& tasks) {
  const auto message = encode(tasks);
  if (message.size() > max_frame) {
    for (const auto& task : tasks) {
      Result result;
      result.number = task.number;
      result.failed = true;
      result.code = ErrorCode::unsupported;
      result.message = fmt::format("its inputs take {} bytes, at most {} are possible", message.size(), max_frame);
      refused_.push_back(std::move(result));
    }
    running_ += static_cast<int>(tasks.size());
    return;
  }
  auto& worker = idle_worker();
  worker.threads = tasks.front().threads;
  worker.memory = 0;
  for (const auto& task : tasks) {
    worker.tasks.push_back(task.number);
    worker.memory = std::max(worker.memory, task.memory_mib);
  }
  account_.take(worker.threads, worker.memory);
  ++running_;
  tell(worker, message);
}

/// If the worker is gone its socket reports the end, and `collect` the lost tasks.
void LocalPool::tell(Worker& worker, const std::string& text) {
  if (worker.doomed) return;
  if (!worker.channel.send(text)) return doom(worker);
  look_for_room(worker);
}

/// Asks to be told when more can be sent, as long as something waits for that.
void LocalPool::look_for_room(Worker& worker) const {
  if (worker.writes == worker.channel.has_output()) return;
  worker.writes = !worker.writes;
  epoll_event event{};
  event.events = worker.writes ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = 2 * worker.id;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, worker.channel.socket(), &event);
}

// ---- ends -------------------------------------------------------------------------------------------------------

/// One result fewer to wait for; with the last one the worker is free.
void LocalPool::release(Worker& worker, std::uint64_t task) {
  progress_.erase(task);
  if (std::erase(worker.tasks, task) == 0 || worker.busy()) return;
  account_.give_back(worker.paused ? 0 : worker.threads, worker.memory);
  worker.paused = false;
  worker.yield_since.reset();
  --running_;
}

/// Makes sure that it ends: a closed socket and a living process would be a hang.
void LocalPool::doom(Worker& worker) const {
  if (worker.doomed) return;
  worker.doomed = Clock::now();
  ::kill(worker.process, SIGKILL);
  // Closing alone would do, were there not other processes that have just been started: the kernel wakes us before it
  // closes what they must not have.
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, worker.channel.socket(), nullptr);
}

/// @return true if the worker is gone, or is no longer waited for
bool LocalPool::bury(Worker& worker, std::vector<Result>& results) {
  int status = 0;
  if (::waitpid(worker.process, &status, WNOHANG) != 0) {
    report_lost(worker, "was " + describe_end(status), results);
    return true;
  }
  if (!worker.doomed || Clock::now() - *worker.doomed < std::chrono::duration<double>(settings_.patience_s))
    return false;
  left_.push_back(worker.process);
  report_lost(worker, "does not end although it was killed: it hangs in the kernel, as on a mount that does not answer",
              results);
  return true;
}

/// Of several tasks only the one under way is to blame.
void LocalPool::report_lost(Worker& worker, const std::string& how, std::vector<Result>& results) {
  const auto tasks = worker.tasks;
  const auto noted = worker.noted();
  const bool known = std::find(tasks.begin(), tasks.end(), noted) != tasks.end();
  for (const auto task : tasks) {
    Result result;
    result.number = task;
    result.failed = result.killed = true;
    result.blamed = known ? task == noted : task == tasks.front();
    result.message = "the worker " + how;
    result.threads = worker.threads;
    results.push_back(std::move(result));
    release(worker, task);
  }
}

void LocalPool::take(Worker& worker, const std::string& text, std::vector<Result>& results) {
  const Message message(text);
  if (message.has_results()) {
    for (auto& result : message.results()) {
      results.push_back(std::move(result));
      results.back().threads = worker.threads;
      release(worker, results.back().number);
    }
  } else if (auto told = message.find<Progress>()) {
    if (worker_of(told->number) != nullptr) progress_[told->number] = std::move(*told);
  } else if (message.find<Paused>() && worker.yield_since) {
    set_paused(worker, true);
  }
}

void LocalPool::read(Worker& worker, std::vector<Result>& results) {
  auto status = worker.channel.fill();
  try {
    while (const auto text = worker.channel.next()) take(worker, *text, results);
  } catch (const Error& error) {
    log::warning("worker {}: {}", worker.slot, error.what());
    status = FrameReader::Status::closed;
  }
  if (status == FrameReader::Status::closed || !worker.channel.flush()) return doom(worker);
  look_for_room(worker);
}

std::vector<Result> LocalPool::collect() {
  auto results = std::exchange(refused_, {});
  running_ -= static_cast<int>(results.size());
  epoll_event events[64];
  const int count = ::epoll_wait(epoll_, events, 64, 0);
  for (int i = 0; i < count; ++i) {
    const auto found = workers_.find(events[i].data.u64 / 2);
    if (found == workers_.end()) continue;
    auto& worker = *found->second;
    if (!worker.doomed) read(worker, results);
    if (events[i].data.u64 % 2 == 0) continue;
    doom(worker);
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, worker.death, nullptr);  // it would tell so again and again
  }
  for (auto it = workers_.begin(); it != workers_.end();)
    if (it->second->doomed && bury(*it->second, results))
      it = workers_.erase(it);
    else
      ++it;
  look_after();
  return results;
}

/// What needs no event: processes that end late, tasks that do not look whether they should pause.
void LocalPool::look_after() {
  std::erase_if(left_, [](pid_t process) { return ::waitpid(process, nullptr, WNOHANG) != 0; });
  for (auto& [id, worker] : workers_)
    if (worker->yield_since && Clock::now() - *worker->yield_since > std::chrono::seconds(1)) {
      worker->stopped = true;
      ::kill(worker->process, SIGSTOP);
      set_paused(*worker, true);
    }
}

// ---- orders -----------------------------------------------------------------------------------------------------

LocalPool::Worker* LocalPool::worker_of(std::uint64_t task) const {
  for (const auto& [id, worker] : workers_)
    if (std::find(worker->tasks.begin(), worker->tasks.end(), task) != worker->tasks.end()) return worker.get();
  return nullptr;
}

void LocalPool::cancel() {
  for (const auto& [id, worker] : workers_) {
    if (!worker->busy()) continue;
    if (worker->stopped) ::kill(worker->process, SIGCONT);
    tell(*worker, encode(Cancel{}));
  }
}

bool LocalPool::cancel(std::uint64_t task) {
  auto* worker = worker_of(task);
  if (worker == nullptr) return false;
  if (worker->stopped) ::kill(worker->process, SIGCONT);
  tell(*worker, encode(Cancel{{task}}));
  return true;
}

void LocalPool::pause(std::uint64_t task) {
  auto* worker = worker_of(task);
  if (worker == nullptr || worker->threads == 0 || worker->paused || worker->yield_since) return;
  worker->yield_since = Clock::now();
  tell(*worker, encode(Yield{task}));
}

void LocalPool::resume(std::uint64_t task) {
  auto* worker = worker_of(task);
  if (worker == nullptr || (!worker->paused && !worker->yield_since)) return;
  worker->yield_since.reset();
  if (worker->paused) set_paused(*worker, false);
  if (std::exchange(worker->stopped, false)) ::kill(worker->process, SIGCONT);
  tell(*worker, encode(Resume{task}));
}

bool LocalPool::is_paused(std::uint64_t task) const {
  const auto* worker = worker_of(task);
  return worker != nullptr && worker->paused;
}

void LocalPool::set_paused(Worker& worker, bool paused) {
  worker.yield_since.reset();
  if (std::exchange(worker.paused, paused) == paused) return;
  if (paused)
    account_.give_back(worker.threads, 0);
  else
    account_.take(worker.threads, 0);
}

void LocalPool::kill() {
  for (const auto& [id, worker] : workers_) ::kill(worker->process, SIGKILL);
  const auto until = Clock::now() + std::chrono::duration<double>(settings_.patience_s);
  for (const auto& [id, worker] : workers_) {
    pid_t ended = 0;
    while ((ended = ::waitpid(worker->process, nullptr, WNOHANG)) == 0 && Clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (ended == 0) {
      left_.push_back(worker->process);
      log::warning("worker {}: process {} does not end although it was killed; it is left to itself", worker->slot,
                   worker->process);
    }
    if (worker->busy()) account_.give_back(worker->paused ? 0 : worker->threads, worker->memory);
  }
  workers_.clear();
  progress_.clear();
  refused_.clear();
  running_ = 0;
}

}  // namespace frazil::exec
