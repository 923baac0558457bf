// The engine looks at itself and at what comes in, once a second, and says what is wrong.
#include <fmt/chrono.h>

#include <algorithm>
#include <fstream>

#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {
namespace {

using std::chrono::duration;

/// MemTotal and MemAvailable in MiB; negative where the system does not say.
std::pair<double, double> memory_of_machine_mib() {
  double total = -1, free = -1;
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("MemTotal:")) total = std::strtod(line.c_str() + 9, nullptr) / 1024;
    if (line.starts_with("MemAvailable:")) free = std::strtod(line.c_str() + 13, nullptr) / 1024;
  }
  return {free < 0 ? -1 : total, free};
}

std::tm local_time(double time) {
  const auto seconds = static_cast<std::time_t>(time);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

}  // namespace

std::vector<StreamNow> Engine::Impl::streams_now() const {
  std::vector<StreamNow> list;
  for (int i = 0; i < static_cast<int>(ledger_.plan().steps.size()); ++i) {
    if (step(i).protocol->shape != flow::Shape::source) continue;
    auto now = intake_->now(i);
    now.step = step(i).name;
    now.open = !ledger_.graph().closed(i);
    list.push_back(std::move(now));
  }
  return list;
}

SelfNow Engine::Impl::self_now() const {
  SelfNow now;
  now.waits = paused_ || lost_ || !disk_problem_.empty();
  for (int i = 0; i < static_cast<int>(ledger_.plan().steps.size()); ++i) {
    if (step(i).trigger.mode == flow::Trigger::Mode::none)
      now.behind = std::max(now.behind, ledger_.graph().counts(i).open);
    if (step(i).protocol->shape == flow::Shape::source && intake_->watch(i).expected > 0)
      now.still_expected += std::max(0, intake_->watch(i).expected - intake_->counts(i).files());
    if (options_.place && options_.place(step(i))) now.waiting_elsewhere += dispatcher_->running(i);
  }
  now.running_elsewhere = options_.has_cluster_workers && options_.has_cluster_workers() ? 1 : 0;
  now.through = static_cast<int>(item_latency_.count());
  now.free_mib = static_cast<double>(free_disk_mib_);
  now.reserve_mib = options_.disk_reserve_mib;
  now.disk_problem = disk_problem_;
  std::tie(now.memory_mib, now.free_memory_mib) = memory_of_machine_mib();
  if (publisher_) now.report_problem = publisher_->report_problem();
  now.missing_files = missing_files_;
  now.deaths = deaths_;
  now.last_death = last_death_;
  return now;
}

/// What sources say of their parameters and of what has come.
void Engine::Impl::watch_sources() {
  for (int i = 0; i < static_cast<int>(ledger_.plan().steps.size()); ++i)
    if (step(i).protocol->shape == flow::Shape::source) alarms_.see(step(i).name, findings_of_source(i), store::now());
}

/// Looks around, and at what the watcher of published states has found since the last time.
void Engine::Impl::look_around() {
  const auto time = store::now();
  if (auto watched = publisher_->take_watched())
    for (const auto& [source, findings] : *watched) alarms_.see(source, findings, time);
  if (const auto now = Clock::now(); now >= next_look_) {
    next_look_ = now + std::chrono::seconds(1);
    const double time_s = duration<double>(now - started_).count();
    alarms_.see("engine", guards_.look(lost_ ? std::vector<StreamNow>{} : streams_now(), self_now(), time_s), time);
    if (!lost_) watch_sources();
  }
  alarms_.look(time);
}

/// Nothing will be looked at any more: what is not found in the end is over, and so is what an engine at work alone can
/// suffer from.
void Engine::Impl::look_last() {
  const auto time = store::now();
  watch_sources();
  for (const auto& planned : ledger_.plan().steps)
    if (!stopping_ && planned.protocol->shape == flow::Shape::source) alarms_.end(planned.name, time);
  for (const auto& [source, findings] : publisher_->watch_last(ledger_.sequence())) {
    alarms_.see(source, findings, time);
    if (!stopping_) alarms_.end(source, time);
  }
  alarms_.see("engine", {}, time);
  alarms_.end("engine", time);
  alarms_.tell_all(time);
}

/// An engine that has begun and not ended has died: its successor notes it, a reader says so.
void Engine::Impl::tell_death(bool to_reader) {
  if (ledger_.rows().get("engine").value_or("") != "running") return;
  const auto last = std::stod(ledger_.rows().get("heartbeat").value_or("0"));
  const auto when = last > 0 ? fmt::format(" at about {:%Y-%m-%d %H:%M}", local_time(last)) : std::string();
  if (!to_reader) {
    ledger_.add_event("engine", "", "", "the engine before this one died" + when);
    return;
  }
  alarms_.see("engine",
              {{.kind = AlarmKind::engine,
                .text = fmt::format("the engine died{}: nothing is watched or processed since", when),
                .advice = "give the same frazil run line again: it goes on where it was, nothing is lost"}},
              last > 0 ? last : store::now());
}

/// So that a reader can tell when an engine that has left no word was last alive.
void Engine::Impl::beat() {
  const auto now = Clock::now();
  if (now < next_beat_ || lost_) return;
  next_beat_ = now + std::chrono::seconds(30);
  ledger_.put("heartbeat", std::to_string(store::now()));
}

}  // namespace frazil::engine
