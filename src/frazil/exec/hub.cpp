#include "frazil/exec/hub.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <regex>
#include <sstream>
#include <thread>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/process.hpp"
#include "frazil/exec/frame.hpp"
#include "frazil/exec/proxy.hpp"

namespace frazil::exec {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

std::string new_token() {
  std::random_device random;
  std::string token;
  for (int i = 0; i < 8; ++i) token += fmt::format("{:08x}", random());
  return token;
}

void write_private(const fs::path& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0 || ::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    if (file >= 0) ::close(file);
    throw Error(ErrorCode::io, "{}: cannot be written: {}", path.string(), std::strerror(errno));
  }
  ::close(file);
}

std::string host_name() {
  char name[256] = "localhost";
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

std::vector<std::uint64_t> task_numbers(const Json& message) {
  std::vector<std::uint64_t> numbers;
  if (!message.is_array()) return numbers;  // progress or a cancellation
  for (const auto& entry : message)
    if (entry.is_object() && entry.contains("task")) numbers.push_back(entry["task"].get<std::uint64_t>());
  return numbers;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> parse_listing(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> jobs;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, state;
    if (words >> id >> state) jobs.emplace_back(id, state);
  }
  return jobs;
}

class Hub::Impl {
 public:
  Impl(ClusterSettings settings, fs::path project, std::vector<std::string> worker_command)
      : settings_(std::move(settings)),
        project_(std::move(project)),
        worker_command_(std::move(worker_command)),
        token_(new_token()) {
    make_folders(project_ / "cluster");
    make_folders(project_ / "logs");
    cancel_leftovers();
    listen();
    write_files();
    sigset_t all, before;  // Ctrl-C is for the engine's thread alone
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
    queue_ = std::jthread([this](const std::stop_token& stop) { mind_queue(stop); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  ~Impl() {
    thread_.request_stop();
    queue_.request_stop();
    ::eventfd_write(wake_, 1);
    thread_.join();
    queue_.join();
    for (auto& [socket, peer] : peers_) ::close(socket);
    for (const auto& job : jobs_) cancel(job.id);
    std::error_code ignored;
    fs::remove(project_ / "cluster" / "jobs.json", ignored);
    ::close(listen_);
    ::close(epoll_);
    ::close(wake_);
  }

  [[nodiscard]] const fs::path& file() const { return file_; }
  [[nodiscard]] std::optional<std::pair<std::string, int>> place(const std::string& step) const {
    const auto& here = settings_.local_steps;
    if (std::find(here.begin(), here.end(), step) != here.end()) return std::nullopt;
    const auto flavour = flavour_of(step);
    return std::pair(flavour, resources(flavour).workers);
  }

 private:
  enum class Role { unknown, worker, proxy };
  struct Peer {
    Role role = Role::unknown;
    FrameReader reader;
    std::string flavour;  ///< of a worker: the step it serves, empty: all others
    std::string host, job;
    int partner = -1;
    std::string message;                 ///< of a proxy: what waits for a worker or runs
    std::vector<std::uint64_t> pending;  ///< of a proxy: tasks without result
  };
  struct Job {
    std::string id, flavour;
    int alive = 0;
  };

  [[nodiscard]] std::string flavour_of(const std::string& step) const {
    return settings_.steps.contains(step) ? step : std::string();
  }
  [[nodiscard]] const WorkerResources& resources(const std::string& flavour) const {
    return flavour.empty() ? settings_.resources : settings_.steps.at(flavour);
  }
  [[nodiscard]] fs::path file_of(const std::string& flavour) const {
    return project_ / "cluster" / ("connect-" + (flavour.empty() ? "any" : flavour) + ".json");
  }

  void listen() {
    listen_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int on = 1;
    ::setsockopt(listen_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr =
        htonl(settings_.address == "127.0.0.1" || settings_.address == "localhost" ? INADDR_LOOPBACK : INADDR_ANY);
    address.sin_port = htons(static_cast<std::uint16_t>(settings_.port));
    socklen_t size = sizeof(address);
    if (listen_ < 0 || ::bind(listen_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::listen(listen_, 256) != 0 || ::getsockname(listen_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw Error(ErrorCode::resource, "port {}: workers of the cluster cannot be listened for: {}", settings_.port,
                  std::strerror(errno));
    port_ = ntohs(address.sin_port);
    watch(listen_);
    watch(wake_);
  }

  void watch(int file) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = file;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, file, &event);
  }

  /// The token reaches the nodes through the shared file system, where only this user can read it; it is on no command
  /// line.
  void write_files() {
    const auto write = [&](const std::string& flavour, const std::string& host, const fs::path& path) {
      write_private(path, Json({{"host", host},
                                {"port", port_},
                                {"token", token_},
                                {"flavour", flavour},
                                {"local_steps", settings_.local_steps}})
                              .dump());
    };
    const auto host = settings_.address.empty() ? host_name() : settings_.address;
    write({}, host, file_of({}));
    for (const auto& [step, resources] : settings_.steps) write(step, host, file_of(step));
    file_ = project_ / "cluster" / "connect-here.json";
    write({}, "127.0.0.1", file_);
  }

  // ---- tasks and workers, in one thread ----

  void serve(const std::stop_token& stop) {
    epoll_event events[64];
    while (!stop.stop_requested()) {
      const int count = ::epoll_wait(epoll_, events, 64, 1000);
      const std::lock_guard lock(mutex_);
      for (int i = 0; i < count; ++i) {
        const int file = events[i].data.fd;
        if (file == listen_)
          accept();
        else if (file == wake_)
          continue;
        else if (peers_.contains(file))
          read(file);
      }
      match();
    }
  }

  void accept() {
    const int socket = ::accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const int on = 1, idle_s = 15, every_s = 10, tries = 3;
    ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));  // a node that falls silent is noticed within 45 s
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    peers_[socket];
    watch(socket);
  }

  void read(int socket) {
    auto& peer = peers_.at(socket);
    FrameReader::Status status{};
    try {
      status = peer.reader.fill(socket, false);
      while (const auto text = peer.reader.next()) {
        if (!take(socket, peer, *text)) return drop(socket, "it did not know the token of this run");
      }
    } catch (const std::exception& error) {
      return drop(socket, error.what());
    }
    if (status == FrameReader::Status::closed) drop(socket, "its job ended");
  }

  /// @return false when the peer is none of ours
  bool take(int socket, Peer& peer, const std::string& text) {
    if (peer.role == Role::unknown) {
      const auto hello = Json::parse(text, nullptr, false);
      if (!hello.is_object() || hello.value("token", "") != token_) return false;
      peer.role = hello.value("role", "") == "proxy" ? Role::proxy : Role::worker;
      peer.flavour = hello.value("flavour", "");
      peer.host = hello.value("host", "");
      peer.job = hello.value("job", "");
      if (peer.role == Role::worker)
        log::info("cluster: a worker has come from {}{}", peer.host, peer.job.empty() ? "" : ", job " + peer.job);
      return true;
    }
    if (peer.role == Role::proxy) return take_from_proxy(socket, peer, text);
    if (peer.partner < 0) return true;  // a late word of a task nobody waits for
    auto& proxy = peers_.at(peer.partner);
    if (!send_frame(peer.partner, text)) return true;  // its closing is noticed on its own
    const auto json = Json::parse(text, nullptr, false);
    for (const auto number : task_numbers(json)) {
      std::erase(proxy.pending, number);
      fruitless_ = 0;
    }
    if (proxy.pending.empty()) finish(peer.partner);
    return true;
  }

  bool take_from_proxy(int socket, Peer& peer, const std::string& text) {
    const auto json = Json::parse(text, nullptr, false);
    const auto numbers = task_numbers(json);
    if (numbers.empty()) {  // a cancellation
      if (peer.partner >= 0)
        (void)send_frame(peer.partner, text);
      else if (std::erase(waiting_, socket) > 0)
        fail(socket, "cancelled", "the engine asked to stop");
      return true;
    }
    peer.message = text;
    peer.pending = numbers;
    peer.flavour = flavour_of(step_of(json));
    waiting_.push_back(socket);
    return true;
  }

  /// Gives waiting tasks to free workers of their kind.
  void match() {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      auto& proxy = peers_.at(*it);
      const auto worker = std::find_if(peers_.begin(), peers_.end(), [&](const auto& entry) {
        return entry.second.role == Role::worker && entry.second.partner < 0 && entry.second.flavour == proxy.flavour;
      });
      if (given_up_) {
        fail(*it, "resource",
             "the cluster's jobs end without doing anything; the logs cluster-* in the project say why");
        it = waiting_.erase(it);
      } else if (worker != peers_.end() && send_frame(worker->first, proxy.message)) {
        proxy.partner = worker->first;
        worker->second.partner = *it;
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
  }

  /// All results of a proxy's message are there: both sides are free again.
  void finish(int socket) {
    auto& proxy = peers_.at(socket);
    if (proxy.partner >= 0) peers_.at(proxy.partner).partner = -1;
    proxy.partner = -1;
    proxy.pending.clear();
    proxy.message.clear();
  }

  /// Tells a proxy that its open tasks have ended with an error.
  void fail(int socket, std::string_view code, const std::string& message) {
    auto& proxy = peers_.at(socket);
    Json results = Json::array();
    for (const auto number : proxy.pending)
      results.push_back({{"task", number}, {"error", {{"code", code}, {"message", message}}}});
    (void)send_frame(socket, results.dump());
    finish(socket);
  }

  void drop(int socket, const std::string& why) {
    const auto peer = std::move(peers_.at(socket));
    close_peer(socket);
    std::erase(waiting_, socket);
    if (peer.role == Role::worker)
      log::warning("cluster: the worker on {}{} is gone: {}", peer.host, peer.job.empty() ? "" : ", job " + peer.job,
                   why);
    if (peer.partner < 0 || !peers_.contains(peer.partner)) return;
    auto& partner = peers_.at(peer.partner);
    if (peer.role == Role::worker) {
      // Not the task's fault, unless it happens again and again: a time limit that is too short, say.
      const int losses = ++losses_[losing_key(partner.message)];
      partner.partner = -1;
      if (losses < settings_.losses)
        fail(peer.partner, "cancelled", "its worker was lost: " + why);
      else
        fail(peer.partner, "bad_input",
             fmt::format("was lost with its job {} times: its time or memory limit may be too small for this step",
                         losses));
    } else {
      (void)send_frame(peer.partner,
                       "{}");  // the engine is gone, or has killed its proxy: nobody waits for this result
      partner.partner = -1;
      close_peer(peer.partner);
    }
  }

  void close_peer(int socket) {
    peers_.erase(socket);
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, socket,
                nullptr);  // a program that is just being started may hold a copy for a moment
    ::close(socket);
  }

  /// What stays the same when a task is tried again: everything but its number and temporary folder; its seed tells it
  /// all.
  static std::string losing_key(const std::string& message) {
    const auto json = Json::parse(message, nullptr, false);
    const auto& first = json.is_array() && !json.empty() ? json.front() : json;
    return first.is_object() ? first.value("seed", std::string()) : std::string();
  }

  // ---- the queue, in another thread: its commands may take long ----

  void mind_queue(const std::stop_token& stop) {
    auto next_listing = Clock::now();
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      try {
        if (Clock::now() >= next_listing) {
          list();
          next_listing = Clock::now() + std::chrono::milliseconds(static_cast<int>(1000 * settings_.poll_s));
        }
        submit_missing();
      } catch (const std::exception& error) {
        log::warning("cluster: {}", error.what());
        next_listing = Clock::now() + std::chrono::milliseconds(static_cast<int>(1000 * settings_.poll_s));
        for (int i = 0; i < 10 * settings_.poll_s && !stop.stop_requested(); ++i)
          std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    }
  }

  Finished command(const std::vector<std::string>& arguments) const {
    Command line{arguments};
    line.time_limit_s = settings_.command_limit_s;
    return run_program(line);
  }

  void cancel(const std::string& job) const {
    try {
      (void)command(fill_command(settings_.cancel, {{"job", job}}, {}));
    } catch (const std::exception& error) {
      log::warning("cluster: job {} was not cancelled: {}", job, error.what());
    }
  }

  /// Jobs of a run that was killed would find nobody to work for.
  void cancel_leftovers() const {
    const auto path = project_ / "cluster" / "jobs.json";
    if (!fs::exists(path)) return;
    const auto left = Json::parse(read_text(path), nullptr, false);
    if (left.is_array())
      for (const auto& job : left)
        if (job.is_string()) cancel(job.get<std::string>());
    fs::remove(path);
  }

  /// Which jobs still live: one that is in no listing any more has ended, with or without a trace.
  void list() {
    if (jobs_.empty()) return;
    std::string ids;
    for (const auto& job : jobs_) ids += (ids.empty() ? "" : ",") + job.id;
    const auto done = command(fill_command(settings_.list, {{"jobs", ids}}, {}));
    // Slurm says "Invalid job id specified" when all of them are gone.
    if (!done.ok() && done.output.find("nvalid job") == std::string::npos)
      throw Error(ErrorCode::external, "the queue cannot be listed: {}: {}", done.how(), done.last_lines(2));
    const auto listing = done.ok() ? parse_listing(done.output) : std::vector<std::pair<std::string, std::string>>{};
    const auto lives = [&](const std::string& state) {
      return std::find(settings_.waiting.begin(), settings_.waiting.end(), state) != settings_.waiting.end() ||
             std::find(settings_.running.begin(), settings_.running.end(), state) != settings_.running.end();
    };
    const std::lock_guard lock(mutex_);
    for (auto& job : jobs_) {
      int alive = 0;
      for (const auto& [id, state] : listing)
        if ((id == job.id || id.starts_with(job.id + "_") || id.starts_with(job.id + "[") ||
             id.starts_with(job.id + ".")) &&
            lives(state))
          ++alive;
      fruitless_ += std::max(0, job.alive - alive);
      job.alive = alive;
    }
    std::erase_if(jobs_, [](const Job& job) { return job.alive == 0; });
    if (fruitless_ >= settings_.give_up_after && !given_up_ && !any_worker()) {
      given_up_ = true;
      log::error(
          "cluster: {} jobs have ended without doing a task; no more are submitted. See logs/cluster-* of the project",
          fruitless_);
    }
    remember_jobs();
  }

  bool any_worker() const {
    return std::any_of(peers_.begin(), peers_.end(),
                       [](const auto& entry) { return entry.second.role == Role::worker; });
  }

  void remember_jobs() const {
    Json ids = Json::array();
    for (const auto& job : jobs_) ids.push_back(job.id);
    write_text(project_ / "cluster" / "jobs.json", ids.dump());
  }

  /// As many jobs as there are tasks for, up to the limit of each kind of worker.
  void submit_missing() {
    std::map<std::string, int> wanted;
    {
      const std::lock_guard lock(mutex_);
      if (given_up_) return;
      for (const auto& [socket, peer] : peers_)
        if (peer.role == Role::proxy && !peer.pending.empty()) ++wanted[peer.flavour];
      for (const auto& job : jobs_) wanted[job.flavour] -= job.alive;
    }
    for (const auto& [flavour, missing] : wanted) {
      int alive = 0;
      for (const auto& job : jobs_) alive += job.flavour == flavour ? job.alive : 0;
      const int count = std::min(missing, resources(flavour).workers - alive);
      if (count > 0) submit(flavour, count);
    }
  }

  void submit(const std::string& flavour, int count) {
    const auto& r = resources(flavour);
    std::string worker;
    for (const auto& part : worker_command_) worker += quoted(part) + " ";
    worker += fmt::format("--connect {} --project {} --threads {}", quoted(file_of(flavour).string()),
                          quoted(project_.string()), r.threads);
    std::map<std::string, std::string> values = {{"count", std::to_string(count)},
                                                 {"threads", std::to_string(r.threads)},
                                                 {"memory_mib", std::to_string(r.memory_mib)},
                                                 {"time", r.time},
                                                 {"partition", r.partition},
                                                 {"logs", (project_ / "logs").string()},
                                                 {"name", "frazil-" + (flavour.empty() ? "worker" : flavour)},
                                                 {"worker", worker}};
    const auto script = project_ / "cluster" / ("job-" + (flavour.empty() ? "any" : flavour) + ".sh");
    write_text(script, fill_template(settings_.script, values));
    ::chmod(script.c_str(), 0755);
    values["script"] = script.string();
    const auto done = command(fill_command(settings_.submit, values, r.options));
    std::smatch match;
    if (!done.ok() || !std::regex_search(done.output, match, std::regex(settings_.job_pattern)) || match.size() < 2)
      throw Error(ErrorCode::external,
                  "jobs of {} threads, {} MiB and {} cannot be submitted (other numbers stand in the file given to "
                  "--cluster): {}: {}",
                  r.threads, r.memory_mib, r.time, done.how(), done.last_lines(2));
    const std::lock_guard lock(mutex_);
    jobs_.push_back({match[1].str(), flavour, count});
    remember_jobs();
    log::info("cluster: {} jobs submitted as {}", count, jobs_.back().id);
  }

  /// For the job script, which a shell reads.
  static std::string quoted(const std::string& text) {
    std::string result = "'";
    for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return result + "'";
  }

  ClusterSettings settings_;
  fs::path project_, file_;
  std::vector<std::string> worker_command_;
  std::string token_;
  int listen_ = -1, epoll_ = -1, wake_ = -1, port_ = 0;
  std::mutex mutex_;
  std::map<int, Peer> peers_;  ///< by socket
  std::deque<int> waiting_;    ///< proxies whose message waits for a worker
  std::map<std::string, int> losses_;
  std::vector<Job> jobs_;  ///< changed by the queue's thread alone
  int fruitless_ = 0;      ///< jobs that ended since the last result
  bool given_up_ = false;
  std::jthread thread_, queue_;
};

Hub::Hub(ClusterSettings settings, std::filesystem::path project, std::vector<std::string> worker_command)
    : impl_(std::make_unique<Impl>(std::move(settings), std::move(project), std::move(worker_command))) {}
Hub::~Hub() = default;
const std::filesystem::path& Hub::file() const { return impl_->file(); }
std::optional<std::pair<std::string, int>> Hub::place(const std::string& step) const { return impl_->place(step); }

}  // namespace frazil::exec
