// The inside of Engine, shared by its source files.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "frazil/engine/control.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/graph.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/watcher.hpp"
#include "frazil/exec/local_pool.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

using Clock = std::chrono::steady_clock;

/// Calls a function with snapshots in a thread of its own; a snapshot that comes while one is worked on is dropped.
class Reporter {
 public:
  explicit Reporter(std::function<void(const Json&, bool)> call);
  ~Reporter();
  [[nodiscard]] bool idle() const;
  void report(Json snapshot);
  /// Waits for the call under way and makes the last one here.
  void finish(const Json& snapshot);

 private:
  std::function<void(const Json&, bool)> call_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Json> waiting_;
  bool busy_ = false;
  std::jthread thread_;
};

class Engine::Impl final : public Host {
 public:
  Impl(Options options, const flow::Registry& registry);
  ~Impl() override;

  End run();
  /// An error that ended the run, in words that say what to do.
  Error last_words(const Error& error) const;
  Json request(const Json& request);
  Status status();
  std::vector<std::string> alarms();
  Json snapshot();

 private:
  struct Work {  // an execution with what happened to it so far
    Execution execution;
    int attempts = 0;     ///< that count
    int kills = 0;        ///< workers that died with it
    int alone_kills = 0;  ///< of these, while nothing else ran
  };
  struct Running {
    Work work;
    bool attached = true;  ///< the graph waits for it
    bool alone = false;
    std::string temporary, reference;
  };
  using Priority = std::tuple<bool, int, std::string, std::uint64_t>;  // optional last; deepest, then earliest first
  struct SourceState {
    std::unique_ptr<Watcher> watcher;
    flow::Watch watch;
    bool scanned = false, by_hand = false, was_closed = false;
    std::string horizon;
    Clock::time_point last_new = Clock::now();
    std::map<std::string, KnownFile> known;
    std::unordered_map<std::string, std::string> path_by_hash;
    std::map<std::string, std::string> growing;  ///< incomplete files and what they miss
    std::map<std::string, std::string> waiting;  ///< those named, because they stay as they are
    int items = 0, broken = 0, duplicates = 0;
  };

  // Host:
  std::optional<Outcome> known(const std::string& key) override;
  void enqueue(Execution execution) override;
  void commit_batch(int step, int number, const std::vector<std::string>& members) override;
  double weight(std::int64_t item, const std::string& field) override;
  std::optional<bool> person(int step, const std::string& item) override;
  void set_changed(int step) override { changed_.insert(step); }
  void step_closed(int step) override;

  // impl.cpp: opening and the loop
  void open();
  void load();
  void start_sources();
  [[nodiscard]] std::string closing(int step) const;
  [[nodiscard]] bool is_closed_for_good(int step);
  void loop();
  void serve(const std::vector<int>& ready);
  [[nodiscard]] int next_timeout_ms() const;
  void commit_if_due();
  void commit();
  void check_sources();
  void write_stars(bool all);
  void report_progress();
  void watch_disk();
  bool disk_is_full(const std::string& message) const;
  void wait_for_disk(const std::string& message);
  void sweep_outputs();
  void begin_stop(End how);
  [[nodiscard]] bool may_end() const;

  // impl_tasks.cpp: running and finishing
  void dispatch();
  void start(Work work, bool alone, int threads);
  [[nodiscard]] int memory_of(const Execution& execution, const exec::RecordTexts& inputs) const;
  exec::RecordTexts records_of(const Execution& execution);
  [[nodiscard]] std::string label_of(const Execution& execution) const;
  [[nodiscard]] std::string order_of(const Execution& execution) const;
  void finish(const exec::Result& result);
  bool try_again(Running& running, const exec::Result& result);
  void publish(const Running& running, const exec::Result& result);
  [[nodiscard]] std::string folder_name(const std::string& label, const std::string& key) const;
  bool move_outputs(const Running& running, exec::Result& result);
  Outcome store_success(const Running& running, const exec::Result& result);
  Outcome store_failure(const Running& running, const exec::Result& result);
  store::TaskRow task_row(const Running& running, const exec::Result& result) const;
  [[nodiscard]] Outcome outcome_of(const store::TaskRow& row, const std::function<std::string(std::int64_t)>& item_id) const;

  // impl_sources.cpp
  void see(const Sighting& sighting);
  void import(const Sighting& sighting);
  void link(const Sighting& sighting) const;

  // impl_requests.cpp
  void show_closed();
  Json why(const std::string& text);
  Json explain(int subject);
  Json restore(const std::string& text);
  Json set_aside(const std::string& text);
  std::vector<int> find_subjects(const std::string& text) const;
  void decide(int step, int subject, const std::string& item, bool accepted);
  void reload();

  const flow::PlannedStep& step(int index) const { return plan_.steps[static_cast<std::size_t>(index)]; }

  Options options_;
  const flow::Registry& registry_;
  Lease lease_;
  store::Project store_;
  flow::Workflow workflow_;
  flow::Plan plan_;
  Order order_ = Order::arrival;
  std::string seed_;
  std::int64_t epoch_ = 0;
  std::string state_ = "stopped";
  Clock::time_point started_ = Clock::now();

  std::optional<Graph> graph_;
  bool loading_ = false;
  std::unordered_map<std::string, Outcome> preloaded_;
  std::map<std::pair<std::string, std::string>, bool> people_;
  std::vector<SourceState> sources_;  ///< by step
  std::mutex inbox_mutex_;
  std::deque<Sighting> inbox_;
  int inbox_event_ = -1;

  std::unique_ptr<exec::LocalPool> pool_;
  std::map<Priority, Work> ready_;
  std::deque<Work> suspects_;                    ///< killed their worker: run alone
  std::multimap<Clock::time_point, Work> later_; ///< after a transient error
  std::unordered_map<std::uint64_t, Running> running_;
  std::unordered_map<std::string, std::uint64_t> running_by_key_;
  std::vector<int> queued_count_, running_count_;  ///< by step
  std::map<std::string, int> peak_mib_;            ///< measured, by protocol
  std::uint64_t next_number_ = 1;
  bool alone_now_ = false, paused_ = false, stopping_ = false;
  std::string disk_problem_;                       ///< why nothing starts; empty: there is space
  Clock::time_point next_disk_{}, disk_until_{};
  int disk_pause_s_ = 5;                           ///< longer with every failure in a row: quotas do not say what is left
  End end_ = End::finished;
  Clock::time_point stop_until_{};
  int signals_seen_ = 0;

  std::set<std::string> unsynced_;  ///< folders with renamed outputs
  std::optional<Clock::time_point> dirty_since_;
  std::set<int> changed_;
  Clock::time_point next_star_{}, next_status_{}, next_progress_{};
  std::deque<Clock::time_point> through_;  ///< when items left the first step, lately
  /// Of each fold: the task of its last version and what alarm that raised.
  std::map<int, std::pair<std::int64_t, std::string>> alarms_;
  int first_step_ = -1;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<ControlServer> control_;
};

}  // namespace frazil::engine
