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

#include "frazil/engine/engine.hpp"
#include "frazil/engine/feeder.hpp"
#include "frazil/engine/graph.hpp"
#include "frazil/engine/intake.hpp"
#include "frazil/engine/latency.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/marker.hpp"
#include "frazil/engine/publisher.hpp"
#include "frazil/engine/replay.hpp"
#include "frazil/exec/local_pool.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

using Clock = std::chrono::steady_clock;

/// The workflow with its parameters' defaults replaced by what was chosen: replays exactly.
[[nodiscard]] std::string replayable(const flow::Workflow& workflow, const Json& values);

class Engine::Impl final : public Knowledge {
 public:
  Impl(Options options, const flow::Registry& registry);
  ~Impl() override;

  End run();
  /// An error that ended the run, in words that say what to do.
  Error last_words(const Error& error) const;
  /// While nothing runs.
  Json request(const Json& request);
  Reading reading();
  Status status();

 private:
  struct Work {  // an execution with what happened to it so far
    Execution execution;
    int attempts = 0;                        ///< that count
    int kills = 0;                           ///< workers that died with it
    int alone_kills = 0;                     ///< of these, while nothing else ran
    Clock::time_point since = Clock::now();  ///< ready to run
  };
  struct Queue;
  struct Claim {  // a place elsewhere or GPUs, given back at its end
    Impl& engine;
    Queue& queue;
    std::vector<std::string> gpus = {};
    ~Claim();
  };
  struct Running {
    Work work;
    bool attached = true;  ///< the graph waits for it
    bool alone = false;
    std::string temporary, reference;
    std::shared_ptr<const Claim> claim;  ///< shared by the tasks of one message
  };
  using Priority = std::tuple<bool, int, std::string, std::uint64_t>;  // optional last; deepest, then earliest first
  struct Queue {  // tasks that wait for the same thing: room on this machine, a GPU of it, a worker of one kind
    std::map<Priority, Work> ready;
    int free = 0;  ///< places elsewhere
    bool elsewhere = false;
  };
  // What the graph asks:
  std::optional<Outcome> known(const Digest& key) override;
  double weight(std::int64_t item, const std::string& field) override;
  std::optional<bool> person(int step, const Digest& item) override;
  // What follows from it:
  void settle();
  void enqueue(Execution execution);
  void commit_batch(const Effects::List& list);
  void subject_through(int subject);
  void step_closed(int step);
  std::vector<int> withdraw(int step);

  // impl.cpp: opening and the loop
  void take_over();
  void open();
  void load();
  [[nodiscard]] std::string note_of(int step) const;
  void loop();
  void serve(const std::vector<int>& ready);
  [[nodiscard]] int next_timeout_ms() const;
  void commit_if_due();
  void commit();
  void entry_made(const std::filesystem::path& path);
  void check_triggers();
  void report_progress();
  void watch_disk();
  bool disk_is_full(const std::string& message) const;
  void wait_for_disk(const std::string& message);
  void begin_stop(End how);
  [[nodiscard]] bool may_end() const;

  // impl_tasks.cpp: running and finishing
  void dispatch();
  void sort_queues();
  void put_in_line(Work work);
  [[nodiscard]] bool has_room(const Queue& queue) const;
  [[nodiscard]] bool has_gpus(const Queue& queue) const;
  [[nodiscard]] Queue* next_queue();
  [[nodiscard]] std::shared_ptr<const Claim> claim(Queue& queue, int step);
  std::map<Priority, Work>::iterator next_ready(Queue& queue);
  bool start_next(Queue& queue);
  void start_short(Queue& queue, std::map<Priority, Work>::iterator next, int free);
  exec::Task make_task(Work work, bool alone, int threads, std::shared_ptr<const Claim> claim);
  void begin(Work work, bool alone, int threads);
  [[nodiscard]] const store::CostRow* cost_of(const Execution& execution) const;
  void note_cost(const Execution& execution, const exec::Result& result);
  [[nodiscard]] int memory_of(const Execution& execution, const exec::RecordTexts& inputs) const;
  exec::RecordTexts records_of(const Execution& execution);
  [[nodiscard]] std::string label_of(const Execution& execution) const;
  [[nodiscard]] std::string order_of(const Execution& execution) const;
  void finish(const exec::Result& result);
  bool try_again(Running& running, const exec::Result& result);
  void publish(const Running& running, const exec::Result& result);
  [[nodiscard]] std::string folder_name(const std::string& label, const std::string& key) const;
  bool move_outputs(const Running& running, exec::Result& result);
  std::vector<store::ItemRow> items_of(const store::TaskRow& row, const exec::Result& result) const;
  Marker marker_of(const Running& running, const exec::Result& result);
  Outcome store_success(const Running& running, const exec::Result& result);
  Outcome store_failure(const Running& running, const exec::Result& result);
  store::TaskRow task_row(const Running& running, const exec::Result& result) const;

  // impl_sources.cpp
  void start_sources();
  void take_findings();
  void note_finding(const Finding& finding);
  void import(const Finding& finding);
  void note_file(store::FileRow file);
  void retire(int step, const std::string& subject, const std::string& path);
  void note_unfinished();
  void link(const Sighting& sighting);
  void check_sources();
  [[nodiscard]] std::string closing(int step) const;
  [[nodiscard]] bool is_closed_for_good(int step);
  void recall_files(const std::vector<store::FileRow>& files, const std::vector<Digest>& imported);

  // impl_requests.cpp
  void show_closed();
  /// Tells readers what the last commit has changed. @param now  even if they were told a moment ago
  void feed(bool now);
  Live live();
  Done execute(const Command& command);
  Json restore(const Command& command);
  Json set_aside(const Command& command);
  Json approve(const Command& command);
  Json set(const Command& command);
  void close_by_hand();
  void decide(int step, int subject, const std::string& item, bool accepted, const Command& command);
  void reload();

  const flow::PlannedStep& step(int index) const { return plan_.steps[static_cast<std::size_t>(index)]; }

  Options options_;
  const flow::Registry& registry_;
  std::optional<Lease> lease_;  ///< none: for reading alone
  store::Project store_;
  flow::Workflow workflow_;
  flow::FileHashes files_;  ///< that parameters name
  flow::Plan plan_;
  Order order_ = Order::arrival;
  bool oldest_first_ = false;  ///< under backlog too
  std::string seed_;
  std::int64_t epoch_ = 0, sequence_ = 0;       ///< of this run; of the last commit
  std::vector<std::filesystem::path> orphans_;  ///< result folders that no stored task owns
  std::string state_ = "stopped";
  Clock::time_point started_ = Clock::now();

  std::optional<Graph> graph_;
  std::optional<Replay> replay_;  ///< while loading
  std::map<std::pair<std::string, std::string>, bool> people_;
  std::unique_ptr<Intake> intake_;
  bool has_replaced_ = false;          ///< an item was set aside: the graph is to be read again
  std::atomic<bool> leaving_ = false;  ///< the engine ends

  std::unique_ptr<exec::LocalPool> pool_;
  std::map<std::string, Queue> queues_;  ///< by place; "": this machine; "gpus N": N of its GPUs
  std::vector<Queue*> queue_of_step_;
  std::deque<Work> suspects_;                     ///< killed their worker: run alone
  std::multimap<Clock::time_point, Work> later_;  ///< after a transient error
  std::unordered_map<std::uint64_t, Running> running_;
  std::unordered_map<std::string, std::uint64_t> running_by_key_;
  std::vector<int> queued_count_, running_count_;  ///< by step
  std::vector<std::string> programs_;              ///< by step: names and versions of those that compute it
  std::map<std::pair<std::string, int>, store::CostRow> costs_;  ///< measured, by key of the step and size class
  std::uint64_t next_number_ = 1, turn_ = 0;
  bool alone_now_ = false, paused_ = false, stopping_ = false;
  std::string disk_problem_;  ///< why nothing starts; empty: there is space
  Clock::time_point next_disk_{}, disk_until_{};
  int disk_pause_s_ = 5;  ///< longer with every failure in a row: quotas do not say what is left
  End end_ = End::finished;
  Clock::time_point stop_until_{};
  int signals_seen_ = 0;

  std::set<std::string> unsynced_;  ///< folders with new entries that a commit will rely on
  std::set<std::string> durable_;   ///< folders whose own entry is durable, or will be with the next commit
  std::optional<Clock::time_point> dirty_since_;
  Clock::time_point next_status_{}, next_feed_{};
  std::deque<Clock::time_point> through_;               ///< when items left the first step, lately
  std::map<int, Clock::time_point> pending_since_;      ///< by step with a time trigger
  std::unordered_map<int, Clock::time_point> arrived_;  ///< subjects under way
  Latency start_latency_, item_latency_;
  int first_step_ = -1;
  Feeder feeder_;
  std::shared_ptr<const Head> head_;  ///< of the workflow as it is
  std::unique_ptr<Publisher> publisher_;
  std::optional<Builder> local_;  ///< what can be read while nothing runs
  std::unique_ptr<Service> local_service_;
  std::shared_ptr<const State> local_state_;
};

}  // namespace frazil::engine
