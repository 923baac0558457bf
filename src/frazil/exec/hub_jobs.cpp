#include "frazil/exec/hub_jobs.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/pattern.hpp"

namespace frazil::exec {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

/// For the job script, which a shell reads.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
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

Jobs::Jobs(const ClusterSettings& settings, fs::path project, std::vector<std::string> worker_command,
           std::function<fs::path(const std::string&)> connect_file, std::function<Demand()> demand)
    : settings_(settings),
      project_(std::move(project)),
      worker_command_(std::move(worker_command)),
      connect_file_(std::move(connect_file)),
      demand_(std::move(demand)) {
  cancel_leftovers();
}

void Jobs::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { mind(stop); });
}

Jobs::~Jobs() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  for (const auto& job : jobs_) cancel(job.id);
  std::error_code ignored;
  fs::remove(project_ / "cluster" / "jobs.json", ignored);
}

const WorkerResources& Jobs::resources(const std::string& flavour) const {
  return flavour.empty() ? settings_.resources : settings_.steps.at(flavour);
}

void Jobs::mind(const std::stop_token& stop) {
  const auto pause = Clock::duration(std::chrono::milliseconds(static_cast<int>(1000 * settings_.poll_s)));
  auto next_listing = Clock::now();
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    try {
      if (Clock::now() >= next_listing) {
        list();
        next_listing = Clock::now() + pause;
      }
      submit_missing();
    } catch (const std::exception& error) {
      log::warning("cluster: {}", error.what());
      next_listing = Clock::now() + pause;
      while (Clock::now() < next_listing && !stop.stop_requested())
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
}

Finished Jobs::command(const std::vector<std::string>& arguments) const {
  Command line{arguments};
  line.time_limit_s = settings_.command_limit_s;
  return run_program(line);
}

void Jobs::cancel(const std::string& job) const {
  try {
    (void)command(fill_command(settings_.cancel, {{"job", job}}, {}));
  } catch (const std::exception& error) {
    log::warning("cluster: job {} was not cancelled: {}", job, error.what());
  }
}

/// Jobs of a run that was killed would find nobody to work for.
void Jobs::cancel_leftovers() const {
  const auto path = project_ / "cluster" / "jobs.json";
  if (!fs::exists(path)) return;
  const auto left = Json::parse(read_text(path), nullptr, false);
  if (left.is_array())
    for (const auto& job : left)
      if (job.is_string()) cancel(job.get<std::string>());
  fs::remove(path);
}

/// Which jobs still live: one that is in no listing any more has ended, with or without a trace.
void Jobs::list() {
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
  if (fruitless_ >= settings_.give_up_after && !given_up_ && !demand_().has_workers) {
    given_up_ = true;
    log::error(
        "cluster: {} jobs have ended without doing a task; no more are submitted. See logs/cluster-* of the project",
        fruitless_.load());
  }
  remember();
}

void Jobs::remember() const {
  Json ids = Json::array();
  for (const auto& job : jobs_) ids.push_back(job.id);
  write_text(project_ / "cluster" / "jobs.json", ids.dump());
}

/// As many jobs as there are tasks for, up to the limit of each kind of worker.
void Jobs::submit_missing() {
  if (given_up_) return;
  auto wanted = demand_().wanted;
  for (const auto& job : jobs_) wanted[job.flavour] -= job.alive;
  for (const auto& [flavour, missing] : wanted) {
    int alive = 0;
    for (const auto& job : jobs_) alive += job.flavour == flavour ? job.alive : 0;
    const int count = std::min(missing, resources(flavour).workers - alive);
    if (count > 0) submit(flavour, count);
  }
}

void Jobs::submit(const std::string& flavour, int count) {
  const auto& r = resources(flavour);
  std::string worker;
  for (const auto& part : worker_command_) worker += quoted(part) + " ";
  worker += fmt::format("--connect {} --project {} --threads {}", quoted(connect_file_(flavour).string()),
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
  const auto id = done.ok() ? find_group(done.output, settings_.job_pattern) : std::nullopt;
  if (!id)
    throw Error(ErrorCode::external,
                "jobs of {} threads, {} MiB and {} cannot be submitted (other numbers stand in the file given to "
                "--cluster): {}: {}",
                r.threads, r.memory_mib, r.time, done.how(), done.last_lines(2));
  jobs_.push_back({*id, flavour, count});
  remember();
  log::info("cluster: {} jobs submitted as {}", count, jobs_.back().id);
}

}  // namespace frazil::exec
