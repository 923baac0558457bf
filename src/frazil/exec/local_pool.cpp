#include "frazil/exec/local_pool.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "frazil/params/json.hpp"

extern char** environ;  // NOLINT: POSIX

namespace frazil::exec {
namespace {

void append_ports(std::string& text, const RecordTexts& ports) {
  text += '[';
  for (std::size_t i = 0; i < ports.size(); ++i) {
    text += (i == 0 ? "[" : ",[") + Json(ports[i].first).dump() + ",[";
    for (std::size_t j = 0; j < ports[i].second.size(); ++j) text += (j == 0 ? "" : ",") + ports[i].second[j];
    text += "]]";
  }
  text += ']';
}

/// The records are JSON text already and are not parsed on their way.
std::string message_of(const Task& task) {
  const Json head = {{"task", task.number},         {"protocol", task.protocol},
                     {"seed", task.seed},           {"temporary", task.temporary},
                     {"reference", task.reference}, {"log", task.log_name},
                     {"threads", task.threads},     {"gpus", task.gpus}};
  auto text = head.dump();
  text.back() = ',';
  text += "\"params\":" + task.params + ",\"inputs\":";
  append_ports(text, task.inputs);
  if (task.has_previous) {
    text += ",\"previous\":";
    append_ports(text, task.previous);
  }
  return text + '}';
}

Result result_of(const Json& json) {
  Result result;
  result.number = json.at("task").get<std::uint64_t>();
  result.seconds = json.value("seconds", 0.0);
  result.peak_mib = json.value("peak_mib", 0);
  result.target = json.value("target", "");
  result.has_files = json.value("files", false);
  if (const auto error = json.find("error"); error != json.end()) {
    result.failed = true;
    result.code = error_code_from(error->at("code").get<std::string>());
    result.message = error->at("message").get<std::string>();
    return result;
  }
  for (const auto& port : json.at("outputs")) {
    std::vector<std::string> records;
    for (const auto& record : port.at(1)) records.push_back(record.dump());
    result.outputs.emplace_back(port.at(0).get<std::string>(), std::move(records));
  }
  return result;
}

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
  pid_t process = -1;
  int socket = -1;
  int slot = 0;
  FrameReader reader;
  std::vector<std::uint64_t> tasks;  ///< without result yet
  [[nodiscard]] bool busy() const { return !tasks.empty(); }
  int threads = 0, memory = 0;
};

LocalPool::LocalPool(PoolSettings settings)
    : settings_(std::move(settings)), account_(settings_.budget), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw Error(ErrorCode::resource, "epoll cannot be created: {}", std::strerror(errno));
}

LocalPool::~LocalPool() {
  kill();
  ::close(epoll_);
}

LocalPool::Worker& LocalPool::idle_worker() {
  for (auto& worker : workers_)
    if (!worker->busy()) return *worker;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    throw Error(ErrorCode::resource, "a socket for a new worker cannot be made: {}", std::strerror(errno));
  auto worker = std::make_unique<Worker>();
  for (worker->slot = 0;
       std::any_of(workers_.begin(), workers_.end(), [&](const auto& w) { return w->slot == worker->slot; });)
    ++worker->slot;

  auto command = settings_.worker_command;
  const auto log = settings_.project / "logs" / fmt::format("worker-{}.log", worker->slot);
  for (const auto& argument :
       {std::string("--socket"), std::string("3"), std::string("--parent"), std::to_string(::getpid()),
        std::string("--project"), settings_.project.string(), std::string("--log"), log.string()})
    command.push_back(argument);
  std::vector<char*> arguments;
  for (auto& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  SpawnOptions options;
  posix_spawn_file_actions_adddup2(&options.actions_, pair[1], 3);
  const int error = ::posix_spawn(&worker->process, command[0].c_str(), &options.actions_, &options.attributes_,
                                  arguments.data(), environ);
  ::close(pair[1]);
  if (error != 0) {
    ::close(pair[0]);
    throw Error(ErrorCode::resource, "{}: cannot be started as a worker: {}", command[0], std::strerror(error));
  }
  worker->socket = pair[0];
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = worker.get();
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, worker->socket, &event);
  workers_.push_back(std::move(worker));
  return *workers_.back();
}

void LocalPool::start(const std::vector<Task>& tasks) {
  auto& worker = idle_worker();
  worker.threads = tasks.front().threads;
  worker.memory = 0;
  std::string message;
  for (const auto& task : tasks) {
    worker.tasks.push_back(task.number);
    worker.memory = std::max(worker.memory, task.memory_mib);
    message += (message.empty() ? "[" : ",") + message_of(task);
  }
  account_.take(worker.threads, worker.memory);
  ++running_;
  // If the worker is gone its socket reports the end, and `collect` the lost tasks.
  (void)send_frame(worker.socket, message + "]");
}

/// One result fewer to wait for; with the last one the worker is free.
void LocalPool::release(Worker& worker, std::uint64_t task) {
  if (std::erase(worker.tasks, task) == 0 || worker.busy()) return;
  account_.give_back(worker.threads, worker.memory);
  --running_;
}

void LocalPool::reap(Worker& worker, std::vector<Result>& results) {
  int status = 0;
  ::kill(worker.process, SIGKILL);  // a closed socket and a living process would be a hang
  ::waitpid(worker.process, &status, 0);
  for (const auto task : std::vector(worker.tasks)) {
    Result result;
    result.number = task;
    result.failed = result.killed = true;
    result.message = "the worker was " + describe_end(status);
    result.threads = worker.threads;
    results.push_back(std::move(result));
    release(worker, task);
  }
  // Closing alone would do, were there not other processes that have just been started: the kernel wakes us before it
  // closes what they must not have.
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, worker.socket, nullptr);
  ::close(worker.socket);
  std::erase_if(workers_, [&](const auto& w) { return w.get() == &worker; });
}

std::vector<Result> LocalPool::collect() {
  std::vector<Result> results;
  epoll_event events[64];
  const int count = ::epoll_wait(epoll_, events, 64, 0);
  for (int i = 0; i < count; ++i) {
    auto& worker = *static_cast<Worker*>(events[i].data.ptr);
    const auto status = worker.reader.fill(worker.socket, false);
    while (const auto text = worker.reader.next()) {
      const auto json = Json::parse(*text);
      if (!json.is_array()) continue;  // progress
      for (const auto& entry : json) {
        results.push_back(result_of(entry));
        results.back().threads = worker.threads;
        release(worker, results.back().number);
      }
    }
    if (status == FrameReader::Status::closed) reap(worker, results);
  }
  return results;
}

void LocalPool::cancel() {
  for (const auto& worker : workers_)
    if (worker->busy()) (void)send_frame(worker->socket, "{}");
}

void LocalPool::kill() {
  for (const auto& worker : workers_) ::kill(worker->process, SIGKILL);
  for (const auto& worker : workers_) {
    ::waitpid(worker->process, nullptr, 0);
    ::close(worker->socket);
    if (worker->busy()) account_.give_back(worker->threads, worker->memory);
  }
  workers_.clear();
  running_ = 0;
}

std::vector<pid_t> LocalPool::processes() const {
  std::vector<pid_t> list;
  for (const auto& worker : workers_) list.push_back(worker->process);
  return list;
}

}  // namespace frazil::exec
