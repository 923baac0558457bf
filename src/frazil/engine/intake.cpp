#include "frazil/engine/intake.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

#include "frazil/base/hash.hpp"
#include "frazil/base/utf8.hpp"

namespace frazil::engine {

namespace {

/// How long more files are waited for when one has come after the end: what follows over the whole set is dear.
Intake::Clock::duration late_wait(const flow::Watch& watch) {
  constexpr double usual_s = 60, most_s = 300;
  return std::chrono::duration_cast<Intake::Clock::duration>(
      std::chrono::duration<double>(watch.idle_s > 0 ? std::min(watch.idle_s, most_s) : usual_s));
}

}  // namespace

Intake::Intake(std::size_t steps) : sources_(steps), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Intake::~Intake() {
  stop();
  ::close(event_);
}

void Intake::stop() {
  leaving_ = true;
  for (auto& source : sources_) source.watcher.reset();
}

std::string_view to_string(FileState state) {
  switch (state) {
    case FileState::growing:
      return "growing";
    case FileState::incomplete:
      return "incomplete";
    case FileState::gone:
      return "gone";
    case FileState::item:
      return "item";
    case FileState::duplicate:
      return "duplicate";
    case FileState::broken:
      return "broken";
    case FileState::excluded:
      return "excluded";
  }
  return "";
}

// ---- what is stored ---------------------------------------------------------------------------------------------

void Intake::forget(int step, flow::Watch watch) {
  auto& s = source(step);
  s.watch = std::move(watch);
  s.counts = {};
  s.left = 0;
  s.contents.clear();
  std::erase_if(s.files, [](const auto& entry) { return entry.second.state != FileState::growing; });  // not stored
  s.counts.growing = static_cast<int>(s.files.size());
  s.unfinished.clear();
  for (const auto& [path, file] : s.files) note(s, path, file);
  s.path_of_label.clear();
}

void Intake::recall(int step, const store::FileRow& row, std::filesystem::path file) {
  auto& s = source(step);
  constexpr std::array all{FileState::growing,   FileState::incomplete, FileState::gone,    FileState::item,
                           FileState::duplicate, FileState::broken,     FileState::excluded};
  const auto as = std::find_if(all.begin(), all.end(), [&](FileState state) { return to_string(state) == row.state; });
  if (as == all.end()) return;
  const auto [place, is_new] = s.files.try_emplace(row.path);
  if (!is_new) {
    if (place->second.state == FileState::item && place->second.subject != row.subject) ++s.counts.replaced;
    take_out(s, place->second);
  }
  const bool was_left = *as == FileState::incomplete;
  place->second = {*as, row.reason, {row.size, row.mtime_ns}, row.hash, row.subject, row.time, false, was_left};
  note(s, row.path, place->second);
  count(s, *as, 1);
  s.left += was_left ? 1 : 0;
  if (*as == FileState::item) {
    (void)label(step, row.path);
    s.contents[row.hash] = {row.path, std::move(file), {}};
  } else if (const auto twin = s.contents.find(row.hash); *as == FileState::duplicate && twin != s.contents.end()) {
    twin->second.others.push_back(row.path);
  }
}

// ---- watching ---------------------------------------------------------------------------------------------------

void Intake::start(Watcher::Settings settings, bool closed) {
  auto& s = source(settings.step);
  s.watch = settings.watch;
  s.last_new = s.started = Clock::now();
  s.was_closed = closed;
  s.companions = settings.companions;
  settings.contents = s.contents;
  settings.read = s.read;
  for (const auto& [path, file] : s.files)
    if (file.state == FileState::item || file.state == FileState::duplicate) settings.known[path] = file.known;
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

std::vector<Found> Intake::take(std::size_t most) {
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
  std::vector<Found> findings;
  for (auto& sighting : some) sort(std::move(sighting), findings);
  return findings;
}

// ---- sorting ----------------------------------------------------------------------------------------------------

void Intake::count(Source& source, FileState state, int by) {
  auto& c = source.counts;
  switch (state) {
    case FileState::growing:
      c.growing += by;
      break;
    case FileState::incomplete:
      c.incomplete += by;
      break;
    case FileState::item:
      c.items += by;
      break;
    case FileState::duplicate:
      c.duplicates += by;
      break;
    case FileState::broken:
      c.broken += by;
      break;
    case FileState::excluded:
      c.excluded += by;
      break;
    case FileState::gone:
      break;
  }
}

/// Of all that is counted.
void Intake::take_out(Source& source, const File& file) {
  count(source, file.state, -1);
  if (file.was_left) --source.left;
}

void Intake::sort(Sighting sighting, std::vector<Found>& findings) {
  auto& s = source(sighting.step);
  Found finding;
  finding.kind = Found::Kind::horizon;
  finding.reason = as_utf8(sighting.reason);
  finding.sighting = std::move(sighting);
  const auto& seen = finding.sighting;
  const auto as = [&](FileState state) {
    finding.state = state;
    if (settle(s, finding)) findings.push_back(std::move(finding));
  };
  switch (seen.kind) {
    case Sighting::Kind::scanned:
      if (!s.outage.empty()) s.last_new = Clock::now();  // what did not come meanwhile may come now
      s.outage.clear();
      if (std::exchange(s.scanned, true)) return;
      first_scan(seen.step, findings);
      finding.sighting.order = s.horizon;
      return findings.push_back(std::move(finding));
    case Sighting::Kind::unfit:
      s.unfit = static_cast<int>(seen.size);
      s.unfit_example = seen.path;
      s.near_miss = finding.reason;
      return;
    case Sighting::Kind::unread:
      s.outage = seen.reason;
      [[fallthrough]];
    case Sighting::Kind::skipped:
      finding.kind = Found::Kind::folder;
      return findings.push_back(std::move(finding));
    case Sighting::Kind::horizon:
      s.horizon = seen.order;
      return findings.push_back(std::move(finding));
    case Sighting::Kind::growing:
      return as(FileState::growing);
    case Sighting::Kind::waiting:
      return as(FileState::incomplete);
    case Sighting::Kind::gone:
      return as(FileState::gone);
    case Sighting::Kind::excluded:
      return as(FileState::excluded);
    case Sighting::Kind::duplicate:
      s.last_new = Clock::now();
      return as(FileState::duplicate);
    case Sighting::Kind::broken:
      s.last_new = Clock::now();
      return as(FileState::broken);
    case Sighting::Kind::complete:
      s.last_new = Clock::now();
      if (s.was_closed) s.late_until = s.last_new + late_wait(s.watch);
      finding.first_companion = seen.companions && !std::exchange(s.companions, true);
      finding.subject = hash_of({"file", seen.path, std::to_string(seen.size), seen.hash});
      return as(FileState::item);
  }
}

/// The file has come to its state.
void Intake::note(Source& source, const std::string& path, const File& file) {
  if (file.state == FileState::growing || file.state == FileState::incomplete)
    source.unfinished[path] = &file;
  else
    source.unfinished.erase(path);
}

/// Takes the file to the finding's state. @return false if that is nothing to write down
bool Intake::settle(Source& source, Found& finding) {
  const auto& seen = finding.sighting;
  const auto state = finding.state;
  finding.kind = Found::Kind::file;
  const auto [place, is_new] = source.files.try_emplace(seen.path);
  auto& file = place->second;
  file.is_seen = true;
  const bool was_item = !is_new && file.state == FileState::item;
  if (was_item && state != FileState::item && state != FileState::duplicate) {
    // Its item stays, as its results do, until there is a whole file in its place.
    finding.kind = Found::Kind::damaged;
    return state == FileState::broken;
  }
  const bool is_same = !is_new && file.state == state && file.reason == finding.reason;
  const bool is_told = !is_new && (file.state == FileState::incomplete || file.state == FileState::broken);
  if (state == FileState::growing && is_told && file.reason == finding.reason) return false;  // named already
  if (was_item) {
    const bool is_touched =
        std::exchange(file.known, {seen.size, seen.mtime_ns}) != KnownFile{seen.size, seen.mtime_ns};
    if (file.subject == finding.subject) return finding.first_companion || is_touched;
    finding.replaced = file.subject;
    ++source.counts.replaced;
  }
  if (!is_new) take_out(source, file);
  count(source, state, 1);
  file = {state, finding.reason, {seen.size, seen.mtime_ns}, seen.hash, finding.subject, store::now(), true, false};
  note(source, seen.path, file);
  if (state == FileState::item) return true;
  return !is_same && state != FileState::growing;
}

/// Incomplete files of the last time that are not there any more.
void Intake::first_scan(int step, std::vector<Found>& findings) {
  auto& s = source(step);
  for (auto& [path, file] : s.files) {
    if (file.is_seen || file.state != FileState::incomplete) continue;
    Found finding;
    finding.state = FileState::gone;
    finding.sighting.step = step;
    finding.sighting.path = path;
    if (settle(s, finding)) findings.push_back(std::move(finding));
  }
}

std::vector<Found> Intake::unfinished(int step) {
  auto& s = source(step);
  std::vector<Found> findings;
  for (auto& [path, file] : s.files) {
    if (file.state != FileState::growing) continue;
    Found finding;
    finding.state = FileState::incomplete;
    finding.reason = file.reason;
    finding.sighting.step = step;
    finding.sighting.path = path;
    finding.sighting.size = file.known.size;
    finding.sighting.mtime_ns = file.known.mtime_ns;
    if (settle(s, finding)) findings.push_back(std::move(finding));
  }
  return findings;
}

// ---- how a stream stands ----------------------------------------------------------------------------------------

/// A file that came since the last engine worked may have been written a moment ago: it is looked at until it has been
/// left alone for long enough, or is found not to be whole.
bool Intake::is_looking(const Source& source) {
  const std::chrono::duration<double> enough(1.5 * source.watch.quiet_s + 0.5);
  return !source.horizon.empty() && Clock::now() - source.started < enough;
}

bool Intake::has_ended(int step) {
  auto& s = source(step);
  if (!s.watcher || !s.scanned) return false;
  if (s.was_closed && !s.by_hand && is_looking(s)) return false;
  const int seen = s.counts.items + s.counts.broken + s.counts.incomplete - s.left;
  const bool expected = s.watch.expected > 0 && seen >= s.watch.expected;
  const bool idle = s.watch.idle_s > 0 && s.horizon.empty() && s.outage.empty() &&
                    Clock::now() - s.last_new >= std::chrono::duration<double>(s.watch.idle_s);
  if (expected || idle || s.by_hand) s.was_closed = true;
  const bool gathers = s.late_until > Clock::time_point{} && (Clock::now() < s.late_until || s.counts.growing > 0);
  return s.was_closed && !gathers;
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

StreamNow Intake::now(int step) const {
  const auto& s = source(step);
  StreamNow now;
  now.files = s.watch.files;
  now.scanned = s.scanned;
  now.incomplete = s.counts.growing + s.counts.incomplete;
  now.stuck = s.counts.incomplete - s.left;
  now.items = s.counts.files() - now.incomplete;
  now.unfit = s.unfit;
  now.example = s.unfit_example;
  now.near_miss = s.near_miss;
  now.outage = s.outage;
  constexpr int some = 3;  // else nobody asks for an example
  if (now.incomplete >= some)
    for (const auto& [path, file] : s.files)
      if (file.state == FileState::incomplete || (file.state == FileState::growing && now.stuck == 0))
        now.example = path;
  return now;
}

std::map<std::string, std::string> Intake::growing(int step) const {
  std::map<std::string, std::string> list;
  for (const auto& [path, file] : source(step).unfinished) list[path] = file->reason;
  return list;
}

/// A file's name in the store is its path; people read a label. "square_3/movie_7.tiff" → "square_3_movie_7", and
/// "square_3_movie_7 (mrc)" if another file has that.
std::string Intake::label(int step, const std::string& path) {
  auto& labels = source(step).path_of_label;
  const auto is_free = [&](const std::string& label) { return labels.try_emplace(label, path).first->second == path; };
  auto label = std::filesystem::path(path).replace_extension().string();
  std::replace(label.begin(), label.end(), '/', '_');
  if (is_free(label)) return label;
  auto extension = std::filesystem::path(path).extension().string();
  if (!extension.empty()) extension.erase(0, 1);
  for (int i = 1;; ++i)
    if (auto other = fmt::format("{} ({}{})", label, extension, i == 1 ? "" : " " + std::to_string(i)); is_free(other))
      return other;
}

}  // namespace frazil::engine
