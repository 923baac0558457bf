#include "frazil/engine/watcher.hpp"

#include <fnmatch.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/natural_key.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

/// A clock that nobody sets.
double steady_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool find_state(const fs::path& file, KnownFile& state) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  state = {info.st_size, info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec};
  return true;
}

bool same(const KnownFile& a, const KnownFile& b) { return a.size == b.size && a.mtime_ns == b.mtime_ns; }

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

const std::string* excluded_by(const std::vector<std::string>& patterns, const std::string& path) {
  const auto name = fs::path(path).filename().string();
  const auto fits = [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0 ||
           ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  };
  const auto found = std::find_if(patterns.begin(), patterns.end(), fits);
  return found == patterns.end() ? nullptr : &*found;
}

std::pair<fs::path, std::string> split_pattern(const std::string& files) {
  const auto wildcard = files.find_first_of("*?[");
  if (wildcard != std::string::npos) {
    const auto slash = files.rfind('/', wildcard);
    if (slash == std::string::npos) return {fs::absolute("."), files};
    return {fs::absolute(slash == 0 ? "/" : files.substr(0, slash)), files.substr(slash + 1)};
  }
  const fs::path path = fs::absolute(files);
  if (fs::is_regular_file(path)) {
    std::string escaped;
    for (const char c : path.filename().string()) {
      if (std::string_view("*?[]\\").find(c) != std::string_view::npos) escaped += '\\';
      escaped += c;
    }
    return {path.parent_path(), escaped};
  }
  return {path, {}};
}

Watcher::Watcher(Settings settings, std::function<void(Sighting)> report)
    : settings_(std::move(settings)),
      report_(std::move(report)),
      inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  std::tie(base_, pattern_) = split_pattern(settings_.watch.files);
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

Watcher::~Watcher() {
  thread_.request_stop();
  [[maybe_unused]] const auto woken = ::eventfd_write(wake_, 1);
  thread_.join();
  ::close(wake_);
  if (inotify_ >= 0) ::close(inotify_);
}

void Watcher::add_inotify(const fs::path& folder) {
  if (inotify_ < 0 || watched_.contains(folder.string())) return;
  const int watch = ::inotify_add_watch(inotify_, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE);
  if (watch >= 0) watched_[folder.string()] = watch;
}

/// Files that match, sorted by order key; without `all` only those not dealt with, and nothing but names is read of the
/// others.
std::vector<Watcher::Seen> Watcher::list(bool all) const {
  std::vector<Seen> found;
  const auto base = base_.string();
  const auto start = base.ends_with('/') ? base.size() : base.size() + 1;
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied | fs::directory_options::follow_directory_symlink;
  for (auto it = fs::recursive_directory_iterator(base_, options, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const auto name = it->path().filename().string();
    std::error_code ignored;
    if (name.starts_with(".")) {
      if (it->is_directory(ignored)) it.disable_recursion_pending();
      continue;
    }
    if (it->is_directory(ignored)) continue;
    auto relative = it->path().string().substr(start);
    if (!all && settings_.known.contains(relative)) continue;
    if (!pattern_.empty() && ::fnmatch(pattern_.c_str(), relative.c_str(), FNM_PATHNAME | FNM_PERIOD) != 0) continue;
    const auto& extensions = settings_.watch.extensions;
    if (pattern_.empty() && !extensions.empty() &&
        std::find(extensions.begin(), extensions.end(), lower(it->path().extension())) == extensions.end())
      continue;
    Seen seen{relative, natural_key(relative), it->path(), {}};
    if (find_state(seen.file, seen.state)) found.push_back(std::move(seen));
  }
  std::sort(found.begin(), found.end(), [](const Seen& a, const Seen& b) { return a.order < b.order; });
  return found;
}

/// Those not dealt with. A listing is no snapshot: while it is read, a later file may be seen and an earlier one
/// missed. Whatever a first listing saw, all older files are in a second one; so only what lies before its end is
/// taken.
std::vector<Watcher::Seen> Watcher::list_new(bool all) const {
  const auto is_known = [&](const Seen& seen) {
    const auto found = settings_.known.find(seen.path);
    return found != settings_.known.end() && same(found->second, seen.state);
  };
  auto first = list(all);
  std::erase_if(first, is_known);
  if (first.empty()) return {};
  auto second = list(all);
  std::erase_if(second, [&](const Seen& seen) { return is_known(seen) || seen.order > first.back().order; });
  return second;
}

void Watcher::look(const std::stop_token& stop) {
  const double start = steady_now();
  std::string horizon;
  const bool all = start >= all_again_;
  if (all) all_again_ = start + 10;
  for (const auto& seen : list_new(all)) {
    if (stop.stop_requested()) return;
    const bool finished = examine(seen);
    if (finished) continue;
    const auto& pending = pending_.at(seen.path);
    if (horizon.empty() && !pending.named) {
      horizon = seen.order;
      if (horizon != horizon_)
        report_({Sighting::Kind::horizon, settings_.step, seen.path, seen.file, horizon, {}, {}, 0, 0, {}});
      horizon_ = horizon;
    }
  }
  std::erase_if(pending_, [&](const auto& entry) {  // removed again before it was complete
    KnownFile state;
    if (find_state(base_ / entry.first, state)) return false;
    report_({Sighting::Kind::gone, settings_.step, entry.first, base_ / entry.first, {}, {}, {}, 0, 0, {}});
    return true;
  });
  if (horizon != horizon_) {
    horizon_ = horizon;
    report_({Sighting::Kind::horizon, settings_.step, {}, {}, horizon, {}, {}, 0, 0, {}});
  }
  look_s_ = steady_now() - start;
  report_({Sighting::Kind::scanned, settings_.step, {}, {}, {}, {}, {}, 0, 0, {}});
}

/// Companions that come after their files are seen when the next file comes.
bool Watcher::lacks_companion(const Seen& seen) {
  const auto& has_companion = settings_.protocol->source.has_companion;
  if (!has_companion || settings_.watch.companion_s <= 0) return false;
  if (has_companion(seen.file, settings_.params)) {
    settings_.companions = true;
    return false;
  }
  if (!settings_.companions)
    settings_.companions = std::any_of(alone_.begin(), alone_.end(),
                                       [&](const fs::path& file) { return has_companion(file, settings_.params); });
  return true;
}

/// @return true when the file is dealt with, false when it must be looked at again
bool Watcher::examine(const Seen& seen) {
  const double now = steady_now();
  auto& pending = pending_.try_emplace(seen.path, Pending{seen.state, now}).first->second;
  if (!same(pending.state, seen.state)) pending = {seen.state, now, false, pending.reason};
  Sighting sighting{Sighting::Kind::complete, settings_.step,      seen.path, seen.file, seen.order, {}, {},
                    seen.state.size,          seen.state.mtime_ns, {}};
  const auto finish = [&](Sighting::Kind kind, std::string reason) {
    sighting.kind = kind;
    sighting.reason = std::move(reason);
    settings_.known[seen.path] = seen.state;
    pending_.erase(seen.path);
    report_(std::move(sighting));
    return true;
  };
  if (const auto* pattern = excluded_by(settings_.watch.exclude, seen.path))
    return finish(Sighting::Kind::excluded, "left out by the pattern " + *pattern);
  const auto& source = settings_.protocol->source;
  const double unchanged_s = now - pending.since;
  const auto keep_waiting = [&](const std::string& reason, bool may_name) {
    const bool name = may_name && !pending.named && unchanged_s >= settings_.watch.patience_s;
    if (!name && reason == pending.reason) return false;
    pending.named = pending.named || name;
    pending.reason = reason;
    sighting.kind = name ? Sighting::Kind::waiting : Sighting::Kind::growing;
    sighting.reason = reason;
    report_(std::move(sighting));
    return false;
  };
  try {
    const auto check = source.check(seen.file);
    if (check.state == flow::FileCheck::State::broken && unchanged_s >= settings_.watch.settle_s)
      return finish(Sighting::Kind::broken, check.reason);
    if (check.state != flow::FileCheck::State::complete)
      return keep_waiting(check.reason, check.state == flow::FileCheck::State::growing);
    const bool alone = lacks_companion(seen);
    if (alone && settings_.companions) {
      if (unchanged_s < settings_.watch.companion_s)
        return keep_waiting(
            fmt::format("{}: waits for its metadata file, as others of this stream have one", seen.file.string()),
            false);
      sighting.reason = fmt::format("is taken without its metadata file, which did not come within {:g} s",
                                    settings_.watch.companion_s);
    }
    sighting.companions = settings_.companions;
    sighting.hash = hash_file(seen.file);
    sighting.record = source.record(seen.file, settings_.link_folder + "/" + seen.path, settings_.params);
    KnownFile after;
    if (!find_state(seen.file, after) || !same(after, seen.state)) return false;  // changed meanwhile
    if (alone && !settings_.companions) {
      constexpr std::size_t most = 16;
      alone_.push_back(seen.file);
      if (alone_.size() > most) alone_.pop_front();
    }
    return finish(Sighting::Kind::complete, sighting.reason);
  } catch (const Error& error) {
    if (is_transient(error.code())) return keep_waiting(error.what(), true);
    if (unchanged_s < settings_.watch.settle_s) return keep_waiting(error.what(), false);
    return finish(Sighting::Kind::broken, error.what());
  } catch (const std::exception& error) {
    return finish(Sighting::Kind::broken, error.what());
  }
}

void Watcher::watch_folders() {
  add_inotify(base_);
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(base_, fs::directory_options::skip_permission_denied, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error))
    if (std::error_code ignored; it->is_directory(ignored)) add_inotify(it->path());
}

void Watcher::wait(const std::stop_token& stop) {
  std::array<pollfd, 2> files{{{wake_, POLLIN, 0}, {inotify_, POLLIN, 0}}};
  // Files under way are looked at soon again: their last bytes may come without a message.
  const double pause_s = pending_.empty() ? settings_.poll_s : std::min(settings_.poll_s, 0.25);
  if (stop.stop_requested()) return;
  // A folder that takes long to list is not listed all the time, however often files come.
  if (look_s_ > 0.01) (void)::poll(files.data(), 1, static_cast<int>(std::min(look_s_, 1.0) * 1000));
  if (::poll(files.data(), inotify_ >= 0 ? 2 : 1, static_cast<int>(pause_s * 1000)) <= 0) return;
  std::array<char, 16384> events;
  while (inotify_ >= 0 && ::read(inotify_, events.data(), events.size()) > 0) {
  }
}

void Watcher::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    try {
      watch_folders();  // before looking, so that nothing falls between
      look(stop);
    } catch (const std::exception& error) {
      log::warning("{}: {}", settings_.watch.files, error.what());
    }
    wait(stop);
  }
}

}  // namespace frazil::engine
