// What the engine writes beside the store, in threads of their own: STAR files of the sets, snapshots for the report.
#include <algorithm>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {

// ---- reporter ---------------------------------------------------------------------------------------------------

Reporter::Reporter(std::function<Json()> make, std::function<void(const Json&, bool)> call)
    : make_(std::move(make)), call_(std::move(call)) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (true) {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return busy_; })) return;
      lock.unlock();
      const auto started = Clock::now();
      try {
        call_(make_(), false);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::cancelled) log::warning("report: {}", error.what());
      } catch (const std::exception& error) {
        log::warning("report: {}", error.what());
      }
      last_s_ = std::chrono::duration<double>(Clock::now() - started).count();
      lock.lock();
      busy_ = false;
    }
  });
}

Reporter::~Reporter() { thread_.request_stop(); }

bool Reporter::idle() const {
  const std::lock_guard lock(mutex_);
  return !busy_;
}

void Reporter::report() {
  const std::lock_guard lock(mutex_);
  busy_ = true;
  changed_.notify_all();
}

void Reporter::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Reporter::finish(const Json& snapshot) {
  stop();
  try {
    call_(snapshot, true);
  } catch (const std::exception& error) {
    log::warning("report: {}", error.what());
  }
}

// ---- sharing the state with the reporter ------------------------------------------------------------------------

/// Lets the engine work for a moment, if it wants to. @throws Error(cancelled) when the state has been built anew
void Engine::Impl::breathe(std::unique_lock<std::mutex>& lock, std::uint64_t generation) const {
  if (!wanted_) return;
  lock.unlock();
  while (wanted_ && !leaving_) std::this_thread::sleep_for(std::chrono::microseconds(50));
  lock.lock();
  if (generation != generation_) throw Error(ErrorCode::cancelled, "the project changed while it was being told of");
}

Json Engine::Impl::snapshot_beside() {
  std::unique_lock lock(state_mutex_);
  if (leaving_) throw Error(ErrorCode::cancelled, "the engine ends");
  const auto generation = generation_;
  return snapshot([&] { breathe(lock, generation); });
}

// ---- STAR files -------------------------------------------------------------------------------------------------

StarWriter::StarWriter(std::function<std::optional<std::string>(const SetView&)> format) : format_(std::move(format)) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (true) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [this] { return !jobs_.empty(); });
      if (jobs_.empty()) return;  // what was asked for is written before the end
      auto job = std::move(jobs_.front());
      lock.unlock();
      std::optional<Error> error;
      try {
        write(job);
      } catch (const Error& e) {
        error = e;
      } catch (const std::exception& e) {
        error = Error(ErrorCode::bug, "{}: {}", job.file.string(), e.what());
      }
      lock.lock();
      jobs_.pop_front();
      if (error) failed_ = std::pair{job.step, *error};
      idle_.notify_all();
    }
  });
}

void StarWriter::write(Job& job) const {
  for (const auto& text : job.texts) job.view.records.push_back(Json::parse(text));
  job.texts.clear();
  const auto text = format_(job.view);
  if (text && (!std::filesystem::exists(job.file) || read_text(job.file) != *text)) write_text(job.file, *text);
}

bool StarWriter::busy() const {
  const std::lock_guard lock(mutex_);
  return !jobs_.empty();
}

void StarWriter::add(Job job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  changed_.notify_all();
}

void StarWriter::wait() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return jobs_.empty(); });
}

std::optional<std::pair<int, Error>> StarWriter::take_failure() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failed_, std::nullopt);
}

/// Gathers the records of changed sets, a few at a time unless `all`, and hands each set to the writer.
void Engine::Impl::write_stars(bool all) {
  if (!options_.star) return;
  if (!star_writer_) star_writer_.emplace(options_.star);
  do {
    if (const auto failure = star_writer_->take_failure()) {
      changed_.insert(failure->first);
      throw failure->second;
    }
    if (!star_job_ && !next_set()) {
      if (changed_.empty() || (!all && (Clock::now() < next_star_ || star_writer_->busy()))) break;
      star_step_ = *changed_.begin();
      star_port_ = 0;
      star_started_ = Clock::now();
      changed_.erase(changed_.begin());
      continue;
    }
    auto& [job, items] = *star_job_;
    for (int some = 0; some < 1000 && job.texts.size() < items.size(); ++some)
      job.texts.push_back(store_.record(items[job.texts.size()]));
    if (job.texts.size() < items.size()) continue;
    star_writer_->add(std::move(job));
    star_job_.reset();
    // A large set is written less often, so that writing stays a twentieth of the time.
    if (changed_.empty())
      next_star_ =
          Clock::now() +
          std::max(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.star_interval_s)),
                   20 * (Clock::now() - star_started_));
  } while (all);
  if (!all) return;
  star_writer_->wait();
  if (const auto failure = star_writer_->take_failure()) throw failure->second;
}

/// Begins with the next set of the step under way. @return false when all its sets are done
bool Engine::Impl::next_set() {
  if (star_step_ < 0) return false;
  const auto& planned = step(star_step_);
  if (star_port_ >= planned.protocol->outputs.size()) {
    star_step_ = -1;
    return false;
  }
  const auto port = star_port_++;
  const auto& output = planned.protocol->outputs[port];
  StarWriter::Job job{
      star_step_,
      {planned.name, planned.protocol->name, output.name, output.kind, options_.project, {}},
      options_.project / "star" / (port == 0 ? planned.name + ".star" : planned.name + "." + output.name + ".star"),
      {}};
  std::vector<std::int64_t> items;
  for (const auto& [subject, item] : graph_->members(star_step_, static_cast<int>(port)))
    items.push_back(graph_->item(item).n);
  star_job_.emplace(std::move(job), std::move(items));
  return true;
}

}  // namespace frazil::engine
