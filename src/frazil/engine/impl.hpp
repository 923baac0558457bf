// The inside of Engine, shared by its source files.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "frazil/engine/control.hpp"
#include "frazil/engine/dispatcher.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/graph.hpp"
#include "frazil/engine/intake.hpp"
#include "frazil/engine/latency.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/marker.hpp"
#include "frazil/engine/pool.hpp"
#include "frazil/engine/replay.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

using Clock = std::chrono::steady_clock;

/// The workflow with its parameters' defaults replaced by what was chosen: replays exactly.
[[nodiscard]] std::string replayable(const flow::Workflow& workflow, const Json& values);

/// Calls a function with snapshots in a thread of its own; a snapshot that comes while one is worked on is dropped.
class Reporter {
 public:
  Reporter(std::function<Json()> make, std::function<void(const Json&, bool)> call);
  ~Reporter();
  [[nodiscard]] bool idle() const;
  void report();
  [[nodiscard]] double last_s() const { return last_s_; }  ///< how long the last call took
  /// Waits for the call under way.
  void stop();
  /// The same, and makes the last call here.
  void finish(const Json& snapshot);

 private:
  std::function<Json()> make_;
  std::function<void(const Json&, bool)> call_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool busy_ = false;
  std::atomic<double> last_s_ = 0;
  std::jthread thread_;
};

/// Formats and writes STAR files in a thread of its own, in the order asked for.
class StarWriter {
 public:
  struct Job {
    int step = 0;
    SetView view;  ///< without records
    std::filesystem::path file;
    std::vector<std::string> texts;  ///< the records as JSON text
  };
  explicit StarWriter(std::function<std::optional<std::string>(const SetView&)> format);
  [[nodiscard]] bool busy() const;
  void add(Job job);
  void wait();
  /// Step and error of a file that could not be written.
  [[nodiscard]] std::optional<std::pair<int, Error>> take_failure();

 private:
  void write(Job& job) const;

  std::function<std::optional<std::string>(const SetView&)> format_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_, idle_;
  std::deque<Job> jobs_;
  std::optional<std::pair<int, Error>> failed_;
  std::jthread thread_;
};

/// Another engine has taken the project: this one must write no more.
class Fenced : public Error {
 public:
  using Error::Error;
};

void watch_descriptor(int epoll, int file);

class Engine::Impl final : public Knowledge {
 public:
  Impl(Options options, const flow::Registry& registry);
  ~Impl() override;

  End run();
  /// An error that ended the run, in words that say what to do.
  Error last_words(const Error& error) const;
  Json request(const Json& request);
  Status status();
  std::vector<std::string> alarms();
  /// `breathe` is called now and then, with nothing half done.
  Json snapshot(const std::function<void()>& breathe = [] {});

 private:
  // What the graph asks:
  std::optional<Outcome> known(const Digest& key) override;
  double weight(std::int64_t item, const std::string& field) override;
  std::optional<bool> person(int step, const Digest& item) override;
  // What follows from it:
  void settle();
  void withdraw(int step);
  void commit_batch(const Effects::List& list);
  void subject_through(int subject);
  void step_closed(int step);

  // impl.cpp: opening and the loop
  void open();
  void load();
  [[nodiscard]] std::string note_of(int step) const;
  [[nodiscard]] int next_timeout_ms() const;
  void commit_if_due();
  void commit();
  void entry_made(const std::filesystem::path& path);
  void check_triggers();
  void report_progress();
  void watch_disk();
  void wait_for_disk(const std::string& message, bool is_full);
  void lose(const Error& error);
  bool regain();
  void go_on();
  void take_in();
  void guard(const std::function<void()>& act);
  void begin_stop(End how);
  [[nodiscard]] bool may_end() const;

  // impl_files.cpp
  void breathe(std::unique_lock<std::mutex>& lock, std::uint64_t generation) const;
  Json snapshot_beside();
  void write_stars(bool all);
  bool next_set();

  // impl_tasks.cpp: running and finishing
  [[nodiscard]] std::vector<Lane> lanes() const;
  exec::Task compose(const Execution& execution, std::uint64_t number);
  [[nodiscard]] int estimated_memory(const Execution& execution, const exec::RecordTexts& inputs) const;
  exec::RecordTexts records_of(const Execution& execution);
  [[nodiscard]] std::string label_of(const Execution& execution) const;
  [[nodiscard]] std::string order_of(const Execution& execution) const;
  void finish(Ended ended);
  bool try_again(Ended& ended);
  void publish(const Ended& ended);
  bool move_outputs(Ended& ended);
  std::vector<store::ItemRow> items_of(const store::TaskRow& row, const exec::Result& result) const;
  Marker marker_of(const Ended& ended);
  Outcome store_success(const Ended& ended);
  Outcome store_failure(const Ended& ended);
  store::TaskRow task_row(const Ended& ended) const;

  // impl_sources.cpp
  void start_sources();
  void take_findings();
  void note_finding(const Finding& finding);
  void import(const Finding& finding);
  void link(const Sighting& sighting);
  void check_sources();
  [[nodiscard]] std::string closing(int step) const;
  [[nodiscard]] bool is_closed_for_good(int step);
  void recall_files(const std::vector<store::FileRow>& files, const std::vector<Digest>& imported);

  // impl_requests.cpp
  void show_closed();
  Json why(const std::string& text);
  Json explain(int subject);
  Json restore(const std::string& text);
  Json set_aside(const std::string& text);
  Json approve(const std::string& step);

  // impl_what_if.cpp
  struct Changed {
    flow::Workflow workflow;
    Json values;
    flow::Plan plan;
  };
  struct Decided {  // what a filter has decided on
    std::vector<std::vector<int>> inputs;
    std::shared_ptr<const void> record;
  };
  Changed change(const Json& settings);
  void read_decided(int index, int first, int count);
  void note_undecided(int index, int subject);
  void read_some_decided();
  Json what_if(const Json& settings);
  Json set(const Json& settings);
  std::vector<int> find_subjects(const std::string& text) const;
  void decide(int step, int subject, const std::string& item, bool accepted);
  void follow_decisions();
  void follow_params(const std::vector<int>& steps);

  const flow::PlannedStep& step(int index) const { return plan_.steps[static_cast<std::size_t>(index)]; }

  Options options_;
  const flow::Registry& registry_;
  Lease lease_;
  store::Project store_;
  flow::Workflow workflow_;
  flow::Plan plan_;
  Order order_ = Order::arrival;
  bool oldest_first_ = false;  ///< under backlog too
  std::string seed_;
  std::int64_t epoch_ = 0;
  std::vector<std::filesystem::path> orphans_;  ///< result folders that no stored task owns
  std::string state_ = "stopped";
  Clock::time_point started_ = Clock::now();

  std::optional<Graph> graph_;
  std::optional<Replay> replay_;  ///< while loading
  std::map<std::pair<std::string, std::string>, bool> people_;
  std::vector<std::pair<int, int>> touched_;  ///< steps and subjects that a request has decided on
  std::unique_ptr<Intake> intake_;
  std::atomic<bool> leaving_ = false;  ///< the engine ends

  std::unique_ptr<LocalWorkers> pool_;
  std::optional<Dispatcher> dispatcher_;
  std::vector<std::string> programs_;  ///< by step: names and versions of those that compute it
  bool paused_ = false, stopping_ = false;
  bool lost_ = false;  ///< what is loaded is not what is stored
  int epoll_ = -1;
  std::string disk_problem_;  ///< why nothing starts; empty: there is space
  Clock::time_point next_disk_{}, disk_until_{};
  int disk_pause_s_ = 5;  ///< longer with every failure in a row: quotas do not say what is left
  End end_ = End::finished;
  Clock::time_point stop_until_{};

  std::set<std::string> unsynced_;  ///< folders with new entries that a commit will rely on
  std::set<std::string> durable_;   ///< folders whose own entry is durable, or will be with the next commit
  std::optional<Clock::time_point> dirty_since_;
  std::set<int> changed_;
  Clock::time_point next_star_{}, next_status_{}, next_progress_{};
  std::deque<Clock::time_point> through_;  ///< when items left the first step, lately
  /// Of each fold: the task of its last version and what alarm that raised.
  std::map<int, std::pair<std::int64_t, std::string>> alarms_;
  std::map<int, std::unordered_map<int, Decided>> decided_;  ///< by step and subject: what what-if asks
  std::deque<std::pair<int, int>> undecided_;                ///< steps and subjects not yet read into it
  Clock::time_point next_reading_ = Clock::now();
  std::map<int, Clock::time_point> pending_since_;      ///< by step with a time trigger
  std::unordered_map<int, Clock::time_point> arrived_;  ///< subjects under way
  Latency item_latency_;
  int first_step_ = -1;
  std::optional<StarWriter> star_writer_;
  std::optional<std::pair<StarWriter::Job, std::vector<std::int64_t>>>
      star_job_;  ///< a set whose records are being gathered
  int star_step_ = -1;
  std::size_t star_port_ = 0;
  Clock::time_point star_started_{};
  std::mutex state_mutex_;            ///< held while the engine works, not while it waits
  std::atomic<bool> wanted_ = false;  ///< the engine wants to go on
  std::uint64_t generation_ = 0;      ///< of the graph
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<ControlServer> control_;
};

}  // namespace frazil::engine
