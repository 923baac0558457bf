#include "frazil/engine/intake.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "frazil/base/hash.hpp"

namespace frazil::engine {

Intake::Intake(std::size_t steps) : sources_(steps), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Intake::~Intake() {
  stop();
  ::close(event_);
}

void Intake::stop() {
  leaving_ = true;
  for (auto& source : sources_) source.watcher.reset();
}

// ---- what is stored ---------------------------------------------------------------------------------------------

void Intake::forget(int step, flow::Watch watch) {
  auto& s = source(step);
  s.watch = std::move(watch);
  s.items = s.broken = s.duplicates = 0;
  s.path_by_hash.clear();
  s.subject_by_path.clear();
}

void Intake::recall_item(int step, const std::string& path, const std::string& hash, const std::string& subject,
                         KnownFile known) {
  auto& s = source(step);
  ++s.items;
  s.path_by_hash[hash] = path;
  s.subject_by_path[path] = subject;
  s.known[path] = known;
}

void Intake::recall_other(int step, const std::string& path, std::string_view state, KnownFile known) {
  auto& s = source(step);
  if (state == "broken") ++s.broken;
  if (state == "duplicate") ++s.duplicates;
  s.known[path] = known;
}

// ---- watching ---------------------------------------------------------------------------------------------------

void Intake::start(Watcher::Settings settings, bool closed) {
  auto& s = source(settings.step);
  s.watch = settings.watch;
  s.last_new = Clock::now();
  s.was_closed = closed;
  s.companions = settings.companions;
  settings.known = s.known;
  s.watcher = std::make_unique<Watcher>(std::move(settings), [this](Sighting sighting) { put(std::move(sighting)); });
}

/// Called by the watchers' threads.
void Intake::put(Sighting sighting) {
  constexpr std::size_t most = 1000;  // a folder of a million files is not read faster than taken in
  std::unique_lock lock(mutex_);
  while (inbox_.size() > most && !leaving_) {
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    lock.lock();
  }
  inbox_.push_back(std::move(sighting));
  ::eventfd_write(event_, 1);
}

bool Intake::empty() const {
  const std::lock_guard lock(mutex_);
  return inbox_.empty();
}

std::vector<Finding> Intake::take(std::size_t most) {
  eventfd_t ignored = 0;
  ::eventfd_read(event_, &ignored);
  std::vector<Sighting> some;
  {
    const std::lock_guard lock(mutex_);
    while (!inbox_.empty() && some.size() < most) {
      some.push_back(std::move(inbox_.front()));
      inbox_.pop_front();
    }
    if (!inbox_.empty()) ::eventfd_write(event_, 1);
  }
  std::vector<Finding> findings;
  for (auto& sighting : some)
    if (auto finding = sort(std::move(sighting))) findings.push_back(std::move(*finding));
  return findings;
}

// ---- sorting ----------------------------------------------------------------------------------------------------

std::optional<Finding> Intake::sort(Sighting sighting) {
  auto& s = source(sighting.step);
  Finding finding{Finding::Kind::horizon, std::move(sighting), {}, {}, false};
  const auto& seen = finding.sighting;
  const auto settle = [&](Finding::Kind kind) {
    s.growing.erase(seen.path);
    s.waiting.erase(seen.path);
    s.known[seen.path] = {seen.size, seen.mtime_ns};
    finding.kind = kind;
    finding.reason = seen.reason;
  };
  switch (seen.kind) {
    case Sighting::Kind::scanned:
      if (std::exchange(s.scanned, true)) return std::nullopt;
      finding.sighting.order = s.horizon;
      return finding;
    case Sighting::Kind::horizon:
      s.horizon = seen.order;
      return finding;
    case Sighting::Kind::growing:
      s.growing[seen.path] = seen.reason;
      return std::nullopt;
    case Sighting::Kind::gone:
      s.growing.erase(seen.path);
      s.waiting.erase(seen.path);
      return std::nullopt;
    case Sighting::Kind::waiting:
      s.growing[seen.path] = s.waiting[seen.path] = seen.reason;
      finding.kind = Finding::Kind::incomplete;
      finding.reason = seen.reason;
      return finding;
    case Sighting::Kind::excluded:
      settle(Finding::Kind::excluded);
      return finding;
    case Sighting::Kind::broken:
      settle(Finding::Kind::broken);
      s.last_new = Clock::now();
      ++s.broken;
      return finding;
    case Sighting::Kind::complete:
      settle(Finding::Kind::item);
      s.last_new = Clock::now();
      finding.first_companion = seen.companions && !std::exchange(s.companions, true);
      return sort_complete(s, std::move(finding));
  }
  return std::nullopt;
}

/// Is a whole file new, known already, or another name of a known one?
std::optional<Finding> Intake::sort_complete(Source& source, Finding finding) {
  const auto& seen = finding.sighting;
  finding.subject = hash_of({"file", seen.path, std::to_string(seen.size), seen.hash});
  const auto [twin, is_new] = source.path_by_hash.try_emplace(seen.hash, seen.path);
  if (!is_new && twin->second != seen.path) {
    finding.kind = Finding::Kind::duplicate;
    finding.reason = "has the same content as " + twin->second;
    ++source.duplicates;
    return finding;
  }
  auto& subject = source.subject_by_path[seen.path];
  if (subject == finding.subject) return std::nullopt;  // touched, but the same
  subject = finding.subject;
  ++source.items;
  return finding;
}

// ---- how a stream stands ----------------------------------------------------------------------------------------

bool Intake::has_ended(int step) {
  auto& s = source(step);
  if (!s.watcher || !s.scanned) return false;
  const int seen = s.items + s.broken + static_cast<int>(s.waiting.size());
  const bool expected = s.watch.expected > 0 && seen >= s.watch.expected;
  const bool idle = s.watch.idle_s > 0 && s.horizon.empty() &&
                    Clock::now() - s.last_new >= std::chrono::duration<double>(s.watch.idle_s);
  if (expected || idle || s.by_hand) s.was_closed = true;
  return s.was_closed;
}

std::optional<Intake::Clock::time_point> Intake::next_end() const {
  std::optional<Clock::time_point> next;
  for (const auto& s : sources_) {
    if (!s.watcher || s.watch.idle_s <= 0) continue;
    const auto end =
        s.last_new + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s.watch.idle_s));
    next = next ? std::min(*next, end) : end;
  }
  return next;
}

IntakeCounts Intake::counts(int step) const {
  const auto& s = source(step);
  return {s.items, s.broken, s.duplicates, static_cast<int>(s.growing.size())};
}

}  // namespace frazil::engine
