#include "frazil/engine/watcher.hpp"

#include <fnmatch.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include "frazil/base/content_hash.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/utf8.hpp"
#include "frazil/engine/natural_key.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

/// A clock that nobody sets.
double steady_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// The file that a name leads to.
std::optional<std::pair<dev_t, ino_t>> identity(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return std::nullopt;
  return std::pair{info.st_dev, info.st_ino};
}

/// The first files, and now and then a later one: what they name may change.
bool is_looked_into(int number) { return number < 3 || number % 10 == 0; }

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

bool fits(const flow::Watch& watch, const std::string& pattern, const std::string& path) {
  if (!pattern.empty()) return ::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0;
  const auto& extensions = watch.extensions;
  return extensions.empty() ||
         std::find(extensions.begin(), extensions.end(), lower(fs::path(path).extension())) != extensions.end();
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
  for (const auto& [hash, twin] : settings_.contents) hash_of_[twin.path] = hash;
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

Watcher::~Watcher() {
  thread_.request_stop();
  [[maybe_unused]] const auto woken = ::eventfd_write(wake_, 1);
  thread_.join();
  ::close(wake_);
  if (inotify_ >= 0) ::close(inotify_);
}

// ---- looking ----------------------------------------------------------------------------------------------------

/// Whether the file is one of the stream by its name; others are counted.
bool Watcher::is_fit(const std::string& path) {
  if (fits(settings_.watch, pattern_, path)) return true;
  ++unfit_.count;
  unfit_.example = std::max(unfit_.example, path);
  if (!settings_.watch.extensions.empty() && fits(settings_.watch, {}, path))
    unfit_.near_miss = std::max(unfit_.near_miss, path);
  return false;
}

bool Watcher::is_wanted(const std::string& path, bool all) {
  return is_fit(path) && (all || !settings_.known.contains(printable_name(path)));
}

/// Files that match, sorted by order key; without `all` only those not dealt with, and nothing but names is read of the
/// others.
Listing Watcher::list(bool all) {
  unfit_ = {};
  return list_files(
      base_, [&](const std::string& path) { return is_wanted(path, all); },
      [&](const fs::path& folder) { add_inotify(folder); });
}

/// Those not dealt with. A listing is no snapshot: while it is read, a later file may be seen and an earlier one
/// missed. Whatever a first listing saw, all older files are in a second one; so only what lies before its end is
/// taken.
Listing Watcher::list_new(bool all) {
  const auto is_known = [&](const Seen& seen) {
    const auto found = settings_.known.find(seen.path);
    return found != settings_.known.end() && found->second == seen.state;
  };
  auto first = list(all);
  std::erase_if(first.files, is_known);
  if (first.files.empty()) return first;
  auto second = list(all);
  const auto& last = first.files.back().order;
  std::erase_if(second.files, [&](const Seen& seen) { return is_known(seen) || seen.order > last; });
  return second;
}

Sighting Watcher::sighting(Sighting::Kind kind, std::string path, std::string reason) const {
  Sighting made;
  made.kind = kind;
  made.step = settings_.step;
  made.file = base_ / path;
  made.path = std::move(path);
  made.reason = std::move(reason);
  return made;
}

/// Folders that are passed over are named once, an outage once while it lasts.
void Watcher::tell_left(const Listing& listing) {
  for (const auto& [path, reason] : listing.skipped)
    if (!settings_.known.contains(path) && told_.insert(reason).second)
      report_(sighting(Sighting::Kind::skipped, path, reason));
  const auto unread = listing.unread.empty() ? std::string() : listing.unread.front().reason;
  if (!unread.empty() && unread != unread_)
    report_(sighting(Sighting::Kind::unread, listing.unread.front().path, unread));
  unread_ = unread;
  if (!unread.empty() || unfit_.count == unfit_told_.count) return;
  auto made = sighting(Sighting::Kind::unfit, printable_name(unfit_.example), printable_name(unfit_.near_miss));
  made.size = unfit_.count;
  report_(std::move(made));
  unfit_told_ = unfit_;
}

void Watcher::set_horizon(const std::string& order, const std::string& path) {
  if (order == horizon_) return;
  horizon_ = order;
  auto made = sighting(Sighting::Kind::horizon, path);
  made.order = order;
  report_(std::move(made));
}

/// Examines what was listed. @return order key of the first file, or part of the folder, that is not known yet
std::string Watcher::look_at(const Listing& listing, const std::stop_token& stop) {
  std::string horizon;
  for (const auto& left : listing.unread)
    if (auto order = natural_key(left.path); horizon.empty() || order < horizon) horizon = std::move(order);
  if (!horizon.empty()) set_horizon(horizon, {});
  for (const auto& seen : listing.files) {
    if (stop.stop_requested()) break;
    if (examine(seen) || pending_.at(seen.path).named) continue;
    if (horizon.empty() || seen.order < horizon) horizon = seen.order;
    set_horizon(horizon, seen.path);
  }
  return horizon;
}

/// Files removed again before they were complete.
void Watcher::look_for_gone() {
  std::erase_if(pending_, [&](const auto& entry) {
    KnownFile state;
    if (find_state(entry.second.file, state) || (errno != ENOENT && errno != ENOTDIR)) return false;
    report_(sighting(Sighting::Kind::gone, entry.first));
    return true;
  });
}

void Watcher::look(const std::stop_token& stop) {
  const double start = steady_now();
  has_compared_ = false;
  look_again_at_doubtful();
  const bool all = start >= all_again_;
  const auto listing = list_new(all);
  tell_left(listing);
  if (!listing.unread.empty() && listing.unread.front().path.empty()) return;  // nothing is known of the folder now
  if (all) all_again_ = start + 10;
  const auto horizon = look_at(listing, stop);
  if (stop.stop_requested()) return;
  if (listing.unread.empty()) look_for_gone();
  set_horizon(horizon, {});
  look_s_ = steady_now() - start;
  if (listing.unread.empty()) report_(sighting(Sighting::Kind::scanned));
}

// ---- one file ---------------------------------------------------------------------------------------------------

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

/// The file is dealt with.
bool Watcher::finish(Sighting::Kind kind, const Seen& seen, Sighting sighting, std::string reason) {
  sighting.kind = kind;
  sighting.reason = std::move(reason);
  settings_.known[seen.path] = seen.state;
  pending_.erase(seen.path);
  closed_.erase(seen.file);
  report_(std::move(sighting));
  return true;
}

bool Watcher::keep_waiting(const Seen& seen, Pending& pending, const std::string& reason, bool may_name) {
  const bool name = may_name && !pending.named && steady_now() - pending.since >= settings_.watch.patience_s;
  if (!name && reason == pending.reason) return false;
  pending.named = pending.named || name;
  pending.reason = reason;
  auto made = sighting(name ? Sighting::Kind::waiting : Sighting::Kind::growing, seen.path, reason);
  made.file = seen.file;
  made.size = seen.state.size;
  made.mtime_ns = seen.state.mtime_ns;
  report_(std::move(made));
  return false;
}

/// Some programs, and file servers, give a file its size before its content: unless a writer was seen to close it, it
/// must have been left alone for a moment.
bool Watcher::is_settled(const Seen& seen, double unchanged_s, bool is_doubtful) const {
  const double need_s = is_doubtful ? settings_.watch.settle_s : settings_.watch.quiet_s;
  if (unchanged_s >= need_s || (!is_doubtful && closed_.contains(seen.file))) return true;
  struct stat info {};
  if (::stat(seen.file.c_str(), &info) != 0) return false;
  constexpr std::int64_t block_bytes = 512;  // of st_blocks, whatever the file system's are
  const bool has_holes = static_cast<std::int64_t>(info.st_blocks) * block_bytes < info.st_size;
  const double now_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return !has_holes && now_s - static_cast<double>(seen.state.mtime_ns) * 1e-9 >= need_s;
}

/// What the file is there for, if not for the stream.
std::string Watcher::purpose_of(const Seen& seen) const {
  if (const auto* pattern = excluded_by(settings_.watch.exclude, seen.path))
    return "left out by the pattern " + *pattern;
  for (const auto& [file, purpose] : settings_.watch.apart)
    if (const auto id = identity(file); id && id == identity(seen.file)) return "left out: it is " + purpose;
  return {};
}

/// @return true when the file is dealt with, false when it must be looked at again
bool Watcher::examine(const Seen& seen) {
  const double now = steady_now();
  settings_.known.erase(seen.path);  // it has changed: each look looks at it until it is dealt with again
  auto& pending = pending_.try_emplace(seen.path, Pending{seen.file, seen.state, now}).first->second;
  if (pending.state != seen.state) pending = {seen.file, seen.state, now, false, pending.reason};
  const double unchanged_s = now - pending.since;
  auto made = sighting(Sighting::Kind::broken, seen.path);
  made.file = seen.file;
  made.order = seen.order;
  made.size = seen.state.size;
  made.mtime_ns = seen.state.mtime_ns;
  if (const auto waits = touched_.find(seen.path);
      has_compared_ && waits != touched_.end() && waits->second == seen.state)
    return true;  // its turn comes
  if (auto purpose = purpose_of(seen); !purpose.empty())
    return finish(Sighting::Kind::excluded, seen, std::move(made), std::move(purpose));
  try {
    using State = flow::FileCheck::State;
    const auto check = settings_.protocol->source.check(seen.file);
    if (check.state == State::left_out) return finish(Sighting::Kind::excluded, seen, std::move(made), check.reason);
    if (check.state == State::broken && unchanged_s >= settings_.watch.settle_s)
      return finish(Sighting::Kind::broken, seen, std::move(made), check.reason);
    if (check.state != State::complete) return keep_waiting(seen, pending, check.reason, check.state == State::growing);
    if (!is_settled(seen, unchanged_s, check.is_doubtful))
      return keep_waiting(seen, pending, seen.file.string() + ": was written a moment ago", false);
    return take(seen, pending, check.reason);
  } catch (const Error& error) {
    if (is_transient(error.code())) return keep_waiting(seen, pending, error.what(), true);
    if (unchanged_s < settings_.watch.settle_s) return keep_waiting(seen, pending, error.what(), false);
    return finish(Sighting::Kind::broken, seen, std::move(made), error.what());
  } catch (const std::exception& error) {
    return finish(Sighting::Kind::broken, seen, std::move(made), error.what());
  }
}

/// Reports a whole file. @return false if it waits for its companion, or has changed meanwhile
bool Watcher::take(const Seen& seen, Pending& pending, std::string reason) {
  const bool alone = lacks_companion(seen);
  if (alone && settings_.companions) {
    if (steady_now() - pending.since < settings_.watch.companion_s)
      return keep_waiting(
          seen, pending,
          fmt::format("{}: waits for its metadata file, as others of this stream have one", seen.file.string()), false);
    reason +=
        fmt::format("{}is taken without its metadata file, which did not come within {:g} s, or could not be read",
                    reason.empty() ? "" : "; ", settings_.watch.companion_s);
  }
  auto made = sighting(Sighting::Kind::complete, seen.path);
  made.file = seen.file;
  made.order = seen.order;
  made.size = seen.state.size;
  made.mtime_ns = seen.state.mtime_ns;
  made.companions = settings_.companions;
  const auto samples = sample_hash(seen.file);
  if (is_touched(seen, samples) && has_compared_) {
    touched_[seen.path] = seen.state;
    return true;
  }
  made.hash = identity_of(seen, samples);
  const auto twin = same_as(seen, made.hash);
  if (twin.empty())
    made.record =
        settings_.protocol->source.record(seen.file, settings_.link_folder + "/" + seen.path, settings_.params);
  if (twin.empty() && settings_.foresee && is_looked_into(taken_++)) made.foreseen = settings_.foresee(made.record);
  KnownFile after;
  if (!find_state(seen.file, after) || after != seen.state) return false;  // changed meanwhile
  if (!twin.empty()) {
    settings_.contents.at(made.hash).others.push_back(seen.path);
    return finish(Sighting::Kind::duplicate, seen, std::move(made), "has the same content as " + twin);
  }
  note_content(seen, made.hash);
  if (alone && !settings_.companions) {
    constexpr std::size_t most = 16;
    alone_.push_back(seen.file);
    if (alone_.size() > most) alone_.pop_front();
  }
  return finish(Sighting::Kind::complete, seen, std::move(made), std::move(reason));
}

/// Another file of the stream with this content; empty: none. Where the samples agree the file is read whole, and the
/// other too unless somebody has.
std::string Watcher::same_as(const Seen& seen, const std::string& hash) const {
  const auto found = settings_.contents.find(hash);
  if (found == settings_.contents.end() || found->second.path == seen.path) return {};
  const auto& twin = found->second;
  const auto one = identity(seen.file), other = identity(twin.file);
  auto content = settings_.read->of(twin.path);
  if (one != other && content.empty() && other) settings_.read->set(twin.path, content = content_hash(twin.file));
  // One that was moved away before anybody read it cannot be compared; its name is known to have had these samples.
  const bool is_same = content.empty() || one == other || content_hash(seen.file) == content;
  return is_same ? twin.path : std::string();
}

/// Its content was read once, and nothing but its time has changed since, as far as the samples show.
bool Watcher::is_touched(const Seen& seen, const std::string& samples) const {
  const auto before = hash_of_.find(seen.path);
  return before != hash_of_.end() && before->second.starts_with(samples) && !settings_.read->of(seen.path).empty();
}

/// What tells the file from what it was before under its name. One that was touched is read whole.
std::string Watcher::identity_of(const Seen& seen, const std::string& samples) {
  touched_.erase(seen.path);
  const auto before = hash_of_.find(seen.path);
  if (before == hash_of_.end() || !before->second.starts_with(samples)) {
    settings_.read->set(seen.path, {});
    return samples;
  }
  if (!is_touched(seen, samples)) return before->second;
  has_compared_ = true;
  const auto content = content_hash(seen.file);
  if (content == settings_.read->of(seen.path)) return before->second;
  settings_.read->set(seen.path, content);
  return samples + content;
}

/// A task has read something else in them than was read before.
void Watcher::look_again_at_doubtful() {
  for (const auto& path : settings_.read->take_doubtful()) settings_.known.erase(path);
}

/// The file has this content now. Those left out for the sake of what it had before are looked at again.
void Watcher::note_content(const Seen& seen, const std::string& hash) {
  auto& now = hash_of_[seen.path];
  if (now != hash) {
    if (const auto before = settings_.contents.find(now);
        before != settings_.contents.end() && before->second.path == seen.path) {
      for (const auto& other : before->second.others) settings_.known.erase(other);
      settings_.contents.erase(before);
    }
    now = hash;
  }
  settings_.contents.try_emplace(hash, Twin{seen.path, seen.file, {}});
}

// ---- waiting ----------------------------------------------------------------------------------------------------

void Watcher::add_inotify(const fs::path& folder) {
  if (inotify_ < 0 || watched_.contains(folder.string())) return;
  const int watch = ::inotify_add_watch(inotify_, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE);
  if (watch < 0) return;
  watched_[folder.string()] = watch;
  folder_of_watch_[watch] = folder.string();
}

/// Remembers which files were closed by their writers, or moved here.
void Watcher::note_events(const char* events, std::size_t bytes) {
  constexpr std::size_t most = 100000;  // of files that nobody asks for
  if (closed_.size() > most) closed_.clear();
  for (std::size_t at = 0; at + sizeof(inotify_event) <= bytes;) {
    inotify_event event{};
    std::memcpy(&event, events + at, sizeof(event));
    const char* name = events + at + sizeof(event);
    at += sizeof(event) + event.len;
    const auto folder = folder_of_watch_.find(event.wd);
    if ((event.mask & IN_IGNORED) != 0 && folder != folder_of_watch_.end()) {  // removed: may come again
      watched_.erase(folder->second);
      folder_of_watch_.erase(folder);
      continue;
    }
    if (event.len == 0 || folder == folder_of_watch_.end()) continue;
    const auto file = (fs::path(folder->second) / name).string();
    if ((event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0) {
      closed_.insert(file);
      settings_.known.erase(printable_name(relative_to(base_, file)));  // written anew
    }
    if ((event.mask & IN_CREATE) != 0) closed_.erase(file);  // made anew
  }
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
  for (ssize_t bytes = 0; inotify_ >= 0 && (bytes = ::read(inotify_, events.data(), events.size())) > 0;)
    note_events(events.data(), static_cast<std::size_t>(bytes));
}

void Watcher::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    try {
      look(stop);
    } catch (const std::exception& error) {
      log::warning("{}: {}", settings_.watch.files, error.what());
    }
    wait(stop);
  }
}

}  // namespace frazil::engine
