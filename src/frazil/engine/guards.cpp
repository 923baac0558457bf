#include "frazil/engine/guards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace frazil::engine {
namespace {

constexpr std::size_t most_intervals = 100, fewest_intervals = 8;
constexpr int samples_a_window = 240;

/// The value below which this share of the values lies.
double quantile_of(std::vector<double> values, double share) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::string files_in_words(int count) { return count == 1 ? "1 file" : fmt::format("{} files", count); }

std::string space_in_words(double mib) {
  return mib < 10'240 ? fmt::format("{:.0f} MiB", mib) : fmt::format("{:.0f} GiB", mib / 1024);
}

}  // namespace

std::string span_in_words(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{:.1f} h", seconds / 3600);
  return fmt::format("{:.0f} days", seconds / 86400);
}

// ---- files that come --------------------------------------------------------------------------------------------

double ArrivalGuard::interval_s(double quantile) const {
  return quantile_of({intervals_.begin(), intervals_.end()}, quantile);
}

double ArrivalGuard::limit_s(const GuardSettings& settings) const {
  if (intervals_.size() < fewest_intervals) return settings.silence_s;
  return std::max(settings.silence_s, settings.silence_rhythm * interval_s(0.95));
}

void ArrivalGuard::note(const StreamNow& now, double time_s) {
  if (!started_ || !now.open) {
    started_ = true;
    last_s_ = time_s;
    items_ = now.items;
    unfit_ = unfit_then_ = now.unfit;
    live_ = now.scanned;
  }
  if (!live_) {  // what lay there before tells nothing of the rhythm
    live_ = now.scanned;
    unfit_ = unfit_then_ = now.unfit;
    if (now.items != items_) last_s_ = time_s;
    items_ = now.items;
    return;
  }
  if (now.items > items_) {
    intervals_.push_back(time_s - last_s_);
    if (intervals_.size() > most_intervals) intervals_.pop_front();
  }
  if (now.items != items_) {
    last_s_ = time_s;
    unfit_then_ = now.unfit;
    unfit_since_s_ = -1;
  }
  items_ = now.items;
  if (now.unfit > unfit_ && unfit_since_s_ < 0) unfit_since_s_ = time_s;
  unfit_ = now.unfit;
}

std::vector<Finding> ArrivalGuard::look(const StreamNow& now, const GuardSettings& settings, double time_s) {
  note(now, time_s);
  if (now.outage.empty())
    outage_since_s_ = -1;
  else if (outage_since_s_ < 0)
    outage_since_s_ = time_s;
  if (!now.open) return {};
  if (!now.outage.empty()) {
    last_s_ = time_s;  // what does not come meanwhile is not missed
    if (time_s - outage_since_s_ < settings.outage_s) return {};
    return {{.kind = AlarmKind::files,
             .about = now.step,
             .text = now.outage,
             .advice = "see whether the disk or share is mounted and may be read; what comes is taken in when it can"}};
  }
  if (!now.near_miss.empty() && now.items + now.incomplete == 0)
    return {{.kind = AlarmKind::files,
             .about = now.step,
             .text = fmt::format("the pattern {} fits none of the files, e.g. {}", now.files, now.near_miss),
             .seen = files_in_words(now.unfit),
             .advice = "stop the project and run it with a pattern that fits, or with the folder"}};
  const double silent_s = time_s - last_s_;
  const int come = now.unfit - unfit_then_;
  const double usual_s = intervals_.empty() ? 0 : interval_s(0.5);
  if (come >= 3 && unfit_since_s_ >= 0 && time_s - unfit_since_s_ >= std::max(settings.unfit_s, 5 * usual_s))
    return {{.kind = AlarmKind::files,
             .about = now.step,
             .text = fmt::format("files arrive that nothing takes, e.g. {}", now.example),
             .seen = fmt::format("{} since the last that was taken", files_in_words(come)),
             .expected = now.files,
             .advice = "see under which names and in which format the microscope writes; stop the project and run it "
                       "with the right pattern"}};
  if (silent_s < limit_s(settings) || now.incomplete > now.stuck) return {};
  const auto since =
      items_ == 0 ? "since the start" : fmt::format("for {}", span_in_words(std::floor(silent_s / 60) * 60));
  return {{.kind = AlarmKind::arrival,
           .about = now.step,
           .text = fmt::format("no file has come {}", since),
           .seen = span_in_words(std::floor(silent_s / 60) * 60),
           .expected = intervals_.size() < fewest_intervals
                           ? ""
                           : fmt::format("one every {} (the median of this session)", span_in_words(usual_s)),
           .advice = "look at the microscope and at the copying; if nothing more will come: frazil close"}};
}

// ---- what falls behind ------------------------------------------------------------------------------------------

std::optional<int> GrowthGuard::at(double time_s) const {
  std::optional<int> value;
  for (const auto& [time, seen] : seen_) {
    if (time > time_s) break;
    value = seen;
  }
  return value;
}

int GrowthGuard::look(int value, double time_s, double window_s, int least) {
  if (seen_.empty() || time_s - seen_.back().first >= window_s / samples_a_window) seen_.emplace_back(time_s, value);
  while (seen_.size() > 1 && seen_[1].first <= time_s - window_s) seen_.pop_front();
  const auto first = at(time_s - window_s);
  if (!first || value - *first < least) return 0;
  int before = *first;
  for (const double part : {2.0 / 3, 1.0 / 3, 0.0}) {
    const int then = part > 0 ? at(time_s - part * window_s).value_or(before) : value;
    if (then <= before) return 0;
    before = then;
  }
  return value - *first;
}

std::vector<Finding> Guards::copying(const StreamNow& stream, double time_s) {
  if (!stream.open) return {};
  std::vector<Finding> list;
  const auto example = stream.example.empty() ? "" : ", e.g. " + stream.example;
  if (copies_[stream.step].look(stream.incomplete, time_s, settings_.copy_window_s, settings_.copy_files) > 0)
    list.push_back({.kind = AlarmKind::copy,
                    .about = stream.step,
                    .text = "copying falls behind: files come faster than they become whole" + example,
                    .seen = fmt::format("{} incomplete", files_in_words(stream.incomplete)),
                    .advice = "see what slows the copying from the microscope down: network, disk, another transfer"});
  if (stream.stuck >= settings_.copy_files)
    list.push_back({.kind = AlarmKind::copy,
                    .about = stream.step + " stuck",
                    .text = fmt::format("{} stay incomplete and do not grow{}", files_in_words(stream.stuck), example),
                    .seen = files_in_words(stream.stuck),
                    .advice = "copy them again: frazil takes them when they are whole"});
  return list;
}

std::vector<Finding> Guards::processing(const SelfNow& self, double time_s) {
  if (self.waits) {
    lag_.forget();
    return {};
  }
  const int growth = lag_.look(self.behind, time_s, settings_.lag_window_s, settings_.lag_items);
  if (growth == 0) return {};
  return {{.kind = AlarmKind::task,
           .about = "behind",
           .text = "processing falls behind: more comes in than gets through",
           .seen = fmt::format("{} behind, {} more than {} ago", self.behind, growth,
                               span_in_words(settings_.lag_window_s)),
           .advice = "give it more threads or another machine, leave out steps, or let it catch up at the end"}};
}

// ---- room -------------------------------------------------------------------------------------------------------

std::optional<double> DiskGuard::mib_per_hour(const GuardSettings& settings) const {
  if (samples_.size() < 5 || samples_.back().time_s - samples_.front().time_s < settings.disk_least_s)
    return std::nullopt;
  std::vector<double> slopes;
  for (std::size_t i = 0; i < samples_.size(); ++i)
    for (std::size_t j = i + 1; j < samples_.size(); ++j)
      slopes.push_back((samples_[i].free_mib - samples_[j].free_mib) / (samples_[j].time_s - samples_[i].time_s) *
                       3600);
  return quantile_of(std::move(slopes), 0.5);
}

std::vector<Finding> DiskGuard::look(const SelfNow& now, const GuardSettings& settings, double time_s) {
  if (now.free_mib < 0) return {};
  if (!now.disk_problem.empty()) {
    samples_.clear();
    return {{.kind = AlarmKind::disk,
             .about = "waits",
             .text = now.disk_problem,
             .seen = space_in_words(now.free_mib),
             .expected = fmt::format("at least {}", space_in_words(now.reserve_mib)),
             .advice = "free some space: the work goes on by itself, nothing is lost"}};
  }
  if (samples_.empty() || time_s - samples_.back().time_s >= 60)
    samples_.push_back({time_s, now.free_mib, now.through});
  while (time_s - samples_.front().time_s > settings.disk_window_s) samples_.pop_front();
  const auto rate = mib_per_hour(settings);
  if (!rate || *rate <= 0) return {};
  const double left_mib = now.free_mib - now.reserve_mib, hours = left_mib / *rate;
  const int items = now.through - samples_.front().through;
  const double mib_an_item = items > 0 ? (samples_.front().free_mib - now.free_mib) / items : 0;
  const bool too_little = now.still_expected > 0 && items >= 10 && mib_an_item * now.still_expected > left_mib;
  if (hours >= settings.disk_hours && !too_little) return {};
  return {
      {.kind = AlarmKind::disk,
       .about = "lasts",
       .text = too_little && hours >= settings.disk_hours
                   ? fmt::format("the disk is too small for the {} files still to come", now.still_expected)
                   : fmt::format("the disk will be full in {}", span_in_words(std::max(hours, 0.0) * 3600)),
       .seen = fmt::format("{} free, {} an hour less{}", space_in_words(now.free_mib), space_in_words(*rate),
                           items >= 10 ? fmt::format(", {:.0f} MiB a file", mib_an_item) : ""),
       .expected = too_little ? space_in_words(mib_an_item * now.still_expected) + " for what is still to come" : "",
       .advice = "free some space on the project's disk, or see who else fills it"}};
}

std::vector<Finding> Guards::memory(const SelfNow& self, double time_s) {
  const bool is_scarce = self.memory_mib > 0 && self.free_memory_mib < settings_.memory_share * self.memory_mib;
  if (!is_scarce) {
    scarce_since_s_.reset();
    return {};
  }
  if (!scarce_since_s_) scarce_since_s_ = time_s;
  if (time_s - *scarce_since_s_ < settings_.memory_s) return {};
  return {{.kind = AlarmKind::memory,
           .text = "this machine has hardly any memory left: programs may be ended by the system",
           .seen = fmt::format("{} of {} free", space_in_words(self.free_memory_mib), space_in_words(self.memory_mib)),
           .advice = "end what else runs here, or run the project again with less --memory"}};
}

std::vector<Finding> Guards::workers(const SelfNow& self, double time_s) {
  std::vector<Finding> list;
  if (deaths_.empty() || deaths_.back().second != self.deaths) deaths_.emplace_back(time_s, self.deaths);
  while (deaths_.size() > 1 && deaths_[1].first <= time_s - settings_.deaths_s) deaths_.pop_front();
  if (const int died = self.deaths - deaths_.front().second; died >= settings_.deaths)
    list.push_back({.kind = AlarmKind::worker,
                    .text = fmt::format("workers have died {} times in {}, the last with {}", died,
                                        span_in_words(settings_.deaths_s), self.last_death),
                    .seen = fmt::format("{} times", died),
                    .expected = "never",
                    .advice = "see whether the machine lacks memory; frazil log tells with which tasks they died"});
  if (self.waiting_elsewhere == 0 || self.running_elsewhere > 0)
    cluster_since_s_.reset();
  else if (!cluster_since_s_)
    cluster_since_s_ = time_s;
  if (cluster_since_s_ && time_s - *cluster_since_s_ >= settings_.cluster_s)
    list.push_back({.kind = AlarmKind::worker,
                    .about = "cluster",
                    .text = fmt::format("the jobs of the cluster have not started for {}",
                                        span_in_words(std::floor((time_s - *cluster_since_s_) / 60) * 60)),
                    .seen = fmt::format("{} tasks wait, none runs", self.waiting_elsewhere),
                    .advice = "look at the cluster's queue (squeue) and at PROJECT/logs"});
  return list;
}

std::vector<Finding> Guards::look(const std::vector<StreamNow>& streams, const SelfNow& self, double time_s) {
  std::vector<Finding> all;
  const auto take = [&](std::vector<Finding> some) { std::move(some.begin(), some.end(), std::back_inserter(all)); };
  for (const auto& stream : streams) {
    take(arrivals_[stream.step].look(stream, settings_, time_s));
    take(copying(stream, time_s));
  }
  for (const auto& file : self.missing_files)
    all.push_back({.kind = AlarmKind::files,
                   .about = file,
                   .text = file + " is not there any more: what needs it waits and is tried again",
                   .advice = "see whether its disk or share is mounted, or put the file back"});
  if (!self.report_problem.empty())
    all.push_back({.kind = AlarmKind::disk,
                   .about = "report",
                   .text = "the report cannot be written: " + self.report_problem,
                   .advice = "see who may write into PROJECT/report; the page shows an older state"});
  take(processing(self, time_s));
  take(disk_.look(self, settings_, time_s));
  take(memory(self, time_s));
  take(workers(self, time_s));
  return all;
}

}  // namespace frazil::engine
