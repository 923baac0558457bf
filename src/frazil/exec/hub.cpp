#include "frazil/exec/hub.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/process.hpp"
#include "frazil/exec/hub_jobs.hpp"
#include "frazil/exec/hub_match.hpp"
#include "frazil/exec/hub_peers.hpp"
#include "frazil/exec/messages.hpp"

namespace frazil::exec {
namespace {

namespace fs = std::filesystem;

std::string new_token() {
  std::random_device random;
  std::string token;
  for (int i = 0; i < 8; ++i) token += fmt::format("{:08x}", random());
  return token;
}

/// In a time that does not tell how much of it is right.
bool is_same_token(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

void write_private(const fs::path& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0 || ::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    if (file >= 0) ::close(file);
    throw Error(ErrorCode::io, "{}: cannot be written: {}", path.string(), std::strerror(errno));
  }
  ::close(file);
}

}  // namespace

class Hub::Impl {
 public:
  Impl(ClusterSettings settings, fs::path project, std::vector<std::string> worker_command)
      : settings_(std::move(settings)),
        project_(std::move(project)),
        token_(new_token()),
        peers_(settings_.address, settings_.port, limits(),
               {[this](int peer, const std::string& text) { return take(peer, text); },
                [this](int peer, const std::string& why) { matching_.lose(peer, why); }}),
        matching_({settings_.losses, [this](const std::string& step) { return flavour_of(step); }},
                  {[this](int peer, const std::string& text) { peers_.send(peer, text); },
                   [this](int peer) { peers_.hang_up(peer); }}),
        jobs_(
            settings_, project_, std::move(worker_command),
            [this](const std::string& flavour) { return file_of(flavour); }, [this] { return demand(); }) {
    make_folders(project_ / "cluster");
    make_folders(project_ / "logs");
    write_files();
    sigset_t all, before;  // Ctrl-C is for the engine's thread alone
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
    jobs_.start();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  ~Impl() {
    thread_.request_stop();
    peers_.wake();
    thread_.join();
  }

  [[nodiscard]] const fs::path& file() const { return file_; }
  [[nodiscard]] bool has_workers() {
    const std::lock_guard lock(mutex_);
    return matching_.has_workers();
  }
  [[nodiscard]] std::optional<std::pair<std::string, int>> place(const std::string& step) const {
    const auto& here = settings_.local_steps;
    if (std::find(here.begin(), here.end(), step) != here.end()) return std::nullopt;
    const auto flavour = flavour_of(step);
    return std::pair(flavour, jobs_.resources(flavour).workers);
  }

 private:
  [[nodiscard]] Peers::Limits limits() const {
    Peers::Limits limits;
    limits.stall_s = settings_.stall_s;
    return limits;
  }
  [[nodiscard]] std::string flavour_of(const std::string& step) const {
    return settings_.steps.contains(step) ? step : std::string();
  }
  [[nodiscard]] fs::path file_of(const std::string& flavour) const {
    return project_ / "cluster" / ("connect-" + (flavour.empty() ? "any" : flavour) + ".json");
  }

  /// The token reaches the nodes through the shared file system, where only this user can read it; it is on no command
  /// line.
  void write_files() {
    const auto write = [&](const std::string& flavour, const std::string& host, const fs::path& path) {
      write_private(path, record_to_json(HubFile{host, peers_.port(), token_, flavour, settings_.local_steps}).dump());
    };
    const auto host = settings_.address.empty() ? host_name() : settings_.address;
    write({}, host, file_of({}));
    for (const auto& [step, resources] : settings_.steps) write(step, host, file_of(step));
    file_ = project_ / "cluster" / "connect-here.json";
    write({}, settings_.address.empty() ? "127.0.0.1" : settings_.address, file_);
  }

  void serve(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      peers_.wait(200);
      const std::lock_guard lock(mutex_);
      peers_.serve();
      if (jobs_.given_up())
        matching_.fail_waiting(
            "the cluster's jobs end without doing anything; the logs cluster-* in the project say why");
      else
        matching_.match();
    }
  }

  bool take(int peer, const std::string& text) {
    if (!known_.contains(peer)) return greet(peer, text);
    if (matching_.take(peer, text) > 0) jobs_.note_results();
    return true;
  }

  /// @return false when the peer is none of ours
  bool greet(int peer, const std::string& text) {
    const auto hello = Message(text).find<Hello>();
    if (!hello || !is_same_token(hello->token, token_)) return false;
    peers_.welcome(peer);
    known_.insert(peer);
    if (hello->role == "proxy")
      matching_.add_proxy(peer);
    else
      matching_.add_worker(peer, hello->flavour, hello->host + (hello->job.empty() ? "" : ", job " + hello->job));
    return true;
  }

  Jobs::Demand demand() {
    const std::lock_guard lock(mutex_);
    return {matching_.demand(), matching_.has_workers()};
  }

  ClusterSettings settings_;
  fs::path project_, file_;
  std::string token_;
  std::set<int> known_;  ///< peers that have shown the token
  std::mutex mutex_;     ///< of peers and matching
  Peers peers_;
  Matching matching_;
  Jobs jobs_;
  std::jthread thread_;
};

Hub::Hub(ClusterSettings settings, std::filesystem::path project, std::vector<std::string> worker_command)
    : impl_(std::make_unique<Impl>(std::move(settings), std::move(project), std::move(worker_command))) {}
Hub::~Hub() = default;
bool Hub::has_workers() const { return impl_->has_workers(); }
const std::filesystem::path& Hub::file() const { return impl_->file(); }
std::optional<std::pair<std::string, int>> Hub::place(const std::string& step) const { return impl_->place(step); }

}  // namespace frazil::exec
