#include "frazil/engine/publisher.hpp"

#include <time.h>

#include <algorithm>
#include <chrono>

#include "frazil/base/log.hpp"

namespace frazil::engine {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr double patience_s = 10;  ///< until what was commanded can be read

constexpr double star_rest_per_s = 20, watch_rest_per_s = 20,
                 report_rest_per_s = 60;  ///< the report: a second of a minute at most

/// Processor time of this thread so far.
double thread_cpu_s() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Sleeps for so long. @return false when asked to stop
bool pause(const std::stop_token& stop, double most_s) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  (void)never.wait_for(lock, stop, Seconds(most_s), [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

// ---- following --------------------------------------------------------------------------------------------------

Follower::Follower(const View& view, Pace pace, Act act) {
  thread_ = std::jthread(
      [this, &view, pace, act = std::move(act)](const std::stop_token& stop) { work(stop, view, pace, act); });
}

void Follower::work(const std::stop_token& stop, const View& view, const Pace& pace, const Act& act) {
  std::int64_t last = -1;
  while (const auto state = view.wait_for_later(last, stop)) {
    const double started_s = thread_cpu_s();
    last = state->sequence;
    act(state);
    if (!pause(stop, std::max(pace.interval_s, pace.rest_per_s * (thread_cpu_s() - started_s)))) return;
  }
}

void Follower::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

// ---- publishing -------------------------------------------------------------------------------------------------

Publisher::Publisher(const store::Project& store, const flow::Registry& registry, const Options& options)
    : options_(options),
      report_reader_(std::make_unique<store::Reader>(store)),
      watch_reader_(std::make_unique<store::Reader>(store)),
      view_(std::make_unique<store::Reader>(store)),
      service_({[this] { return view_.state(); }, [this](const Command& command) { return act(command); }},
               std::make_unique<store::Reader>(store), registry),
      stars_(std::make_unique<store::Reader>(store), options.star, options.kept_tables) {
  if (options_.star)
    star_follower_.emplace(view_, Follower::Pace{options_.star_interval_s, star_rest_per_s},
                           [this](const std::shared_ptr<const State>& state) { write_stars(*state); });
  if (options_.on_progress)
    report_follower_.emplace(view_, Follower::Pace{options_.progress_interval_s, report_rest_per_s},
                             [this](const std::shared_ptr<const State>& state) { report(state, false); });
  watch_follower_.emplace(view_, Follower::Pace{options_.watch_interval_s, watch_rest_per_s},
                          [this](const std::shared_ptr<const State>& state) { watch(*state); });
  ahead_ = std::jthread([this](const std::stop_token& stop) { read_ahead(stop); });
}

Publisher::~Publisher() {
  mailbox_.close();
  control_.reset();
}

void Publisher::open(const std::filesystem::path& socket) {
  (void)view_.wait_for(0, 60);  // for the first state
  control_ = std::make_unique<ControlServer>(
      socket, [this](const Json& request, const ControlServer::Write& write) { service_.serve(request, write); });
}

void Publisher::feed(Changes changes, std::shared_ptr<const Head> head, Live live) {
  view_.apply(std::move(changes), std::move(head), std::move(live));
}

Json Publisher::act(const Command& command) {
  auto done = mailbox_.post(command);
  (void)view_.wait_for(done.sequence, patience_s);
  return std::move(done.answer);
}

void Publisher::watch(const State& state) {
  try {
    auto found = watch_state(state, *watch_reader_, options_.watch);
    const std::lock_guard lock(mutex_);
    watched_ = std::move(found);
  } catch (const std::exception& error) {  // looked at again
    log::debug("watching: {}", error.what());
  }
}

std::optional<Watched> Publisher::take_watched() {
  const std::lock_guard lock(mutex_);
  return std::exchange(watched_, std::nullopt);
}

Watched Publisher::watch_last(std::int64_t sequence) {
  (void)view_.wait_for(sequence, 60);
  watch_follower_->stop();
  if (const auto state = view_.state()) watch(*state);
  return take_watched().value_or(Watched{});
}

void Publisher::write_stars(const State& state) {
  try {
    stars_.write(state);
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    star_failure_ = error;
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    star_failure_ = Error(ErrorCode::bug, "the STAR files: {}", error.what());
  }
}

void Publisher::report(const std::shared_ptr<const State>& state, bool last) {
  std::string problem;
  try {
    options_.on_progress({state, *report_reader_}, last);
  } catch (const std::exception& error) {  // a report that cannot be written must not stop the acquisition
    problem = error.what();
    log::warning("the report was not written: {}", problem);
  }
  const std::lock_guard lock(mutex_);
  report_problem_ = std::move(problem);
}

std::string Publisher::report_problem() {
  const std::lock_guard lock(mutex_);
  return report_problem_;
}

/// A little at a time, so that the first question is answered as fast as the next.
void Publisher::read_ahead(const std::stop_token& stop) {
  constexpr double slice_s = 0.003, pause_s = 0.06, long_pause_s = 2;
  const auto reader = std::make_unique<store::Reader>(*report_reader_);
  while (true) {
    const auto state = view_.state();
    bool more = false;
    try {
      more = state != nullptr && service_.judge().read_ahead({state, *reader}, slice_s);
    } catch (const std::exception& error) {  // who asks is told
      log::debug("reading ahead: {}", error.what());
    }
    if (!pause(stop, more ? pause_s : long_pause_s)) return;
  }
}

std::optional<Error> Publisher::take_star_failure() {
  const std::lock_guard lock(mutex_);
  return std::exchange(star_failure_, std::nullopt);
}

void Publisher::finish(std::int64_t sequence) {
  (void)view_.wait_for(sequence, 60);
  ahead_.request_stop();
  watch_follower_->stop();
  if (star_follower_) star_follower_->stop();
  if (report_follower_) report_follower_->stop();
  const auto state = view_.state();
  if (options_.star && state != nullptr) stars_.write(*state);
  if (options_.on_progress && state != nullptr) report(state, true);
  mailbox_.close();
  control_.reset();
  ahead_.join();
}

}  // namespace frazil::engine
