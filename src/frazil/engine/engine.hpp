// The engine of one project: watches sources, runs what is ready, remembers what is done, survives being killed.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frazil/engine/account.hpp"
#include "frazil/engine/alarms.hpp"
#include "frazil/engine/guards.hpp"
#include "frazil/exec/budget.hpp"
#include "frazil/flow/answer.hpp"
#include "frazil/flow/kept_table.hpp"
#include "frazil/flow/set_table.hpp"
#include "frazil/flow/workflow.hpp"

namespace frazil::engine {

struct Reading;

/// One set as it is told to whoever writes its STAR file.
struct SetView {
  std::string step, protocol, port, kind;
  std::filesystem::path project;  ///< files named in records are relative to it
};

/// Files that a source has seen.
struct FileCounts {
  int items = 0, replaced = 0, duplicates = 0, broken = 0, incomplete = 0;
  int left_out = 0;  ///< by patterns, or because they are something else
};

/// Numbers of one step for the status line.
struct StepStatus {
  std::string name, title, protocol;
  int waiting = 0, queued = 0, running = 0, done = 0, failed = 0, accepted = 0, set_aside = 0, versions = 0;
  int items = 0;  ///< of a source
  bool is_source = false, is_filter = false, is_fold = false, closed = false;
  bool needs_approval = false,
       stopped = false;  ///< starts when a person says so; a trigger has told it to take nothing new
  std::string note;      ///< why nothing has started yet, or never did
  int held = 0;          ///< neither accepted nor set aside yet
  /// Of an iteration under way: done, 0 to 1, NaN where that is not known; negative: there is none.
  double progress = -1;
  std::string doing = {};  ///< and in words
  FileCounts files = {};
};

/// What a person is asked.
struct QuestionStatus {
  std::int64_t number = 0;
  std::string step, label, text;
  double asked = 0;  ///< seconds since 1970
};

/// A task that takes long.
struct TaskStatus {
  std::uint64_t number = 0;
  std::string step, label;
  double seconds = 0;    ///< since its start
  double progress = -1;  ///< done, 0 to 1; negative: it has not told; NaN: it does not know
  std::string doing = {};
  bool paused = false;  ///< live tasks have its threads
};

/// Items within the last `window_s`: since the engine started, ten minutes at most.
struct Rate {
  double window_s = 0;
  int arrived = 0;
  int through = 0;  ///< all steps that take items one by one are done with them
};

struct Status {
  std::string project, state;           ///< state: running, paused, stopping, finished, stopped
  std::string note;                     ///< why nothing starts although it could, e.g. a full disk
  std::vector<store::AlarmRow> alarms;  ///< that stand, the gravest first
  std::vector<StepStatus> steps;
  std::vector<QuestionStatus> questions;  ///< that wait for an answer: nothing else waits for them
  std::vector<TaskStatus> tasks;          ///< those that have run for more than 2 s
  int found = 0;                          ///< items of all sources
  int broken = 0, duplicates = 0, growing = 0;
  int excluded = 0;  ///< left out: by patterns, or because they are something else
  int replaced = 0;  ///< items whose file was written anew
  int files = 0;     ///< all that were seen: found and the five above
  int behind = 0;    ///< items not yet through the slowest of the steps that take one at a time
  int running = 0, queued = 0;
  Rate rate;
  double per_hour = 0;    ///< items through, at the rate above
  double seconds = 0;     ///< since the engine started
  int items_through = 0;  ///< since then
  double item_p50_s = 0,
         item_p95_s = 0;  ///< from a file's being whole to the end of all steps that take it by itself, lately
  double start_p50_ms = 0, start_p99_ms = 0;  ///< from a task's being ready to its start, lately
  /// How long the engine's loop has waited for people and pages who read the project, since it started: altogether and
  /// at most. They share nothing else with it.
  double held_total_ms = 0, held_most_ms = 0;
  int failed = 0;
  Account account;  ///< where it all has gone; added by the view
};
[[nodiscard]] Json to_json(const Status& status);

struct Options {
  std::filesystem::path project;
  std::string program;                      ///< name and version of this program: noted with every task
  std::vector<std::string> worker_command;  ///< program and arguments that lead to exec::run_worker
  int threads = 0;                          ///< 0: all CPUs of this process
  std::vector<std::string> gpus;  ///< numbers of the GPUs that tasks may have, as CUDA_VISIBLE_DEVICES wants them
  std::shared_ptr<exec::Budget> budget;  ///< shared by several engines of this process; none: made from the three above
  /// Where the tasks of a step run if not here, and how many of them at once; none: on this machine, as threads and
  /// memory allow.
  std::function<std::optional<std::pair<std::string, int>>(const flow::PlannedStep& step)> place;
  int memory_mib = 0;          ///< 0: four fifths of what is free at the start
  bool until_closed = true;    ///< end when all sets are closed; else stay and watch for more
  bool handle_signals = true;  ///< SIGINT and SIGTERM stop in order, a second one at once
  int disk_reserve_mib = 200;  ///< nothing starts while the project's disk has less space than that
  double retry_base_s = 1;     ///< pause before the first repeat after a transient error; then 4, 16 times as long
  int attempts = 4;
  double poll_s = 1;         ///< how often folders are listed even if the kernel is silent
  double stop_grace_s = 10;  ///< running tasks may take so long to end when the engine stops
  double progress_interval_s = 5;
  Alarms::Settings alarms;      ///< when alarms are over
  GuardSettings guards;         ///< when the engine's own watchers say that something is wrong
  StateWatchSettings watch;     ///< and those of what has become of items
  double watch_interval_s = 1;  ///< how often the latter look
  /// Whether a cluster has workers at work for this engine. None: there is no cluster.
  std::function<bool()> has_cluster_workers;
  double star_interval_s = 2;
  /// Reads what persons answer with files. None: such answers are refused.
  flow::ReadAnswer read_answer;
  /// How the STAR file of a set is written, from its records in the order of their order keys; null: this kind has
  /// none. Must not depend on anything but the set.
  std::function<std::unique_ptr<flow::TableFormat>(const SetView&)> star;
  /// Which tables of what is kept stand beside those of the sets; none: none do.
  std::function<std::vector<flow::KeptTable>(const flow::Plan&)> kept_tables;
  /// Called in a thread of its own, one call at a time, with what can be read then (view.hpp); `last`: nothing follows.
  std::function<void(const Reading& reading, bool last)> on_progress;
  bool read_only = false;  ///< nobody works on the project and nothing is written: no lease is taken, nothing can run
  /// Called in the engine's thread a few times a second.
  std::function<void(const Status& status)> on_status;
};

/// Four fifths of the memory that is free now.
[[nodiscard]] int default_memory_mib();

/// How a run ended.
enum class End {
  finished,     ///< all sets closed, nothing failed
  some_failed,  ///< all sets closed, some items failed, or files stayed broken or incomplete
  stopped,      ///< on request; continues when run again
  interrupted   ///< by a signal
};

/// One project, open. Making it takes the lease and replays what is stored; nothing runs before `run`.
class Engine {
 public:
  /// Opens the project folder. @throws Error(not_found) if there is none, Error(resource) if another engine works on it
  Engine(Options options, const flow::Registry& registry);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] End run();
  /// Serves one request (service.hpp) of a project that does not run.
  /// @return {"ok": true, …} or {"ok": false, "error": …}
  [[nodiscard]] Json request(const Json& request);
  [[nodiscard]] Status status() const;
  /// What can be read of a project that does not run; see view.hpp.
  [[nodiscard]] Reading reading();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Creates the project folder, or changes the workflow or values of an existing one. Values not given keep those
/// stored before, or their defaults. Nothing is made if that cannot be. Takes the lease meanwhile. @throws
/// Error(bad_input) listing every problem, or the choices when results lie here whose database is missing, damaged or
/// older
/// @param rebuild  find such results again, from what their folders say; values not given are those of workflow.json
/// @return what it has changed of a project that was there, a sentence each
std::vector<std::string> prepare_project(const std::filesystem::path& project, const flow::Workflow& workflow,
                                         const Json& values, const flow::Registry& registry, bool rebuild = false);

/// The values that `prepare_project` would run with. Changes nothing.
[[nodiscard]] Json values_with(const std::filesystem::path& project, const flow::Workflow& workflow,
                               const flow::Registry& registry, const Json& given);

/// Sends a request to the engine that works on the project. If none does, the project is opened here: with a lease for
/// what changes it, else for reading alone.
/// @param starting_s  how long an engine may take to open its project before it answers
/// @throws Error(resource) if an engine works on it but cannot be reached, Error(io) if it does not answer
[[nodiscard]] Json ask(const std::filesystem::path& project, const flow::Registry& registry, const Json& request,
                       double starting_s = 10);

}  // namespace frazil::engine
