// The inside of Engine, shared by its source files.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "frazil/engine/alarms.hpp"
#include "frazil/engine/dispatcher.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/feeder.hpp"
#include "frazil/engine/graph.hpp"
#include "frazil/engine/guards.hpp"
#include "frazil/engine/intake.hpp"
#include "frazil/engine/latency.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/marker.hpp"
#include "frazil/engine/pool.hpp"
#include "frazil/engine/publisher.hpp"
#include "frazil/engine/replay.hpp"
#include "frazil/engine/stream_findings.hpp"
#include "frazil/flow/foresight.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

using Clock = std::chrono::steady_clock;

/// The workflow with its parameters' defaults replaced by what was chosen: replays exactly.
[[nodiscard]] std::string replayable(const flow::Workflow& workflow, const Json& values);

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
  /// While nothing runs.
  Json request(const Json& request);
  Reading reading();
  Status status();

 private:
  // What the graph asks:
  std::optional<Outcome> known(const Digest& key) override;
  double weight(std::int64_t item, const std::string& field) override;
  std::optional<bool> person(int step, const Digest& item) override;
  int parts(int step, std::int64_t state) override;
  // What follows from it:
  void settle();
  void withdraw(int step);
  void commit_batch(const Effects::List& list);
  void subject_through(int subject);
  void step_closed(int step);

  // impl.cpp: opening and the loop
  void take_over();
  void open();
  void load();
  void tell_anew();
  [[nodiscard]] std::string note_of(int step) const;
  [[nodiscard]] int next_timeout_ms() const;
  void commit_if_due();
  void commit();
  void entry_made(const std::filesystem::path& path);
  void check_triggers();
  void report_progress();
  void watch_disk();
  void watch_named_files();
  bool tell_empty_sources();
  void wait_for_disk(const std::string& message, bool is_full);
  void lose(const Error& error);
  bool regain();
  void go_on();
  void take_in();
  void guard(const std::function<void()>& act);
  void begin_stop(End how);
  [[nodiscard]] bool may_end() const;

  // impl_tasks.cpp: running and finishing
  [[nodiscard]] std::vector<Lane> lanes() const;
  exec::Task compose(const Execution& execution, std::uint64_t number);
  [[nodiscard]] int estimated_memory(const Execution& execution, const exec::RecordTexts& inputs) const;
  exec::RecordTexts records_of(const Execution& execution);
  [[nodiscard]] std::string label_of(const Execution& execution) const;
  [[nodiscard]] std::string order_of(const Execution& execution) const;
  [[nodiscard]] std::string reference_of(const Execution& execution) const;
  void finish(Ended ended);
  bool try_again(Ended& ended);
  void publish(const Ended& ended);
  bool move_outputs(Ended& ended);
  std::vector<store::ItemRow> items_of(const store::TaskRow& row, const exec::Result& result) const;
  Marker marker_of(const Ended& ended);
  Outcome store_success(const Ended& ended);
  Outcome store_failure(const Ended& ended);
  store::TaskRow task_row(const Ended& ended) const;

  // impl_iterate.cpp
  void add_call(const Execution& execution, exec::Task& task);
  [[nodiscard]] std::string label_of_call(const Execution& execution) const;
  static std::string_view kind_of_call(const flow::Protocol& protocol, std::string_view port);
  void remove_retired();
  void show_iteration(int step, StepStatus& status);
  std::vector<TaskStatus> long_tasks();
  void fail_cancelled(const Execution& execution, const std::string& actor);
  Json cancel(const Command& command);

  // impl_persons.cpp
  struct Question {
    store::QuestionRow row;
    std::optional<Execution> execution;  ///< none: a trigger waits for approval
  };
  void ask(const Execution& execution);
  void ask_for_approval(int step);
  void ask(store::QuestionRow row, std::optional<Execution> execution);
  void withdraw_question(const Execution& execution);
  [[nodiscard]] std::vector<QuestionStatus> open_questions() const;
  Question& find_question(const std::string& text);
  exec::Result result_of(const Command& answer, const Execution& execution, const std::string& temporary,
                         const std::string& reference);
  Json answer(const Command& answer);
  void approve(int step, const std::string& actor);

  // impl_alarms.cpp
  void forget_sources();
  void watch_versions();
  [[nodiscard]] const std::string& speaker_of(int step) const;
  [[nodiscard]] std::optional<std::vector<Finding>> findings_of(std::int64_t task);
  void write_alarms();
  void alarms_committed();
  Json acknowledge(const Command& command);

  // impl_guards.cpp
  [[nodiscard]] std::vector<StreamNow> streams_now() const;
  [[nodiscard]] SelfNow self_now() const;
  void watch_sources();
  void look_around();
  void look_last();
  void beat();
  void tell_death(bool to_reader);

  // impl_sources.cpp
  void start_sources();
  void take_findings();
  void note_finding(const Found& finding);
  void import(const Found& finding);
  void note_file(store::FileRow file);
  void look_into(int step, const std::string& label, const Json& record, std::vector<Finding> foreseen);
  [[nodiscard]] std::vector<Finding> findings_of_source(int step) const;
  [[nodiscard]] std::string starvation_of(int step) const;
  bool is_first_reading(const std::string& reference, const std::string& content);
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
  void feed_waiting();
  Live live();
  static void note_time(std::deque<Clock::time_point>& times);
  [[nodiscard]] Rate rate(double running_s) const;
  Done execute(const Command& command);
  Done carry_out(const Command& command);
  Json restore(const Command& command);
  Json set_aside(const Command& command);
  Json approve(const Command& command);
  Json set(const Command& command);
  void close_by_hand();
  void decide(int step, int subject, const std::string& item, bool accepted, const Command& command);
  void follow_decisions();
  void follow_params(const std::vector<int>& steps);

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
  std::string identity_;                        ///< of the project
  std::int64_t epoch_ = 0, sequence_ = 0;       ///< of this run; of the last commit
  std::vector<std::filesystem::path> orphans_;  ///< result folders that no stored task owns
  std::string state_ = "stopped";
  Clock::time_point started_ = Clock::now();

  std::optional<Graph> graph_;
  std::optional<Replay> replay_;  ///< while loading
  std::map<std::pair<std::string, std::string>, bool> people_;
  std::vector<std::pair<int, int>> touched_;  ///< steps and subjects that a request has decided on
  std::unique_ptr<Intake> intake_;
  std::map<int, StreamFindings> stream_findings_;  ///< by source
  flow::Samples samples_;                          ///< the last record of each source
  std::vector<flow::Starved> starved_;             ///< by step, as long as records are like these
  std::atomic<bool> leaving_ = false;              ///< the engine ends

  std::unique_ptr<LocalWorkers> pool_;
  std::optional<Dispatcher> dispatcher_;
  std::vector<std::string> programs_;  ///< by step: names and versions of those that compute it
  bool paused_ = false, stopping_ = false;
  bool lost_ = false;  ///< what is loaded is not what is stored
  int epoll_ = -1;
  std::string disk_problem_;  ///< why nothing starts; empty: there is space
  Clock::time_point next_disk_{}, disk_until_{}, next_files_{};
  std::vector<std::string> missing_files_;  ///< that parameters name
  int disk_pause_s_ = 5;                    ///< longer with every failure in a row: quotas do not say what is left
  End end_ = End::finished;
  Clock::time_point stop_until_{};

  std::set<std::string> unsynced_;  ///< folders with new entries that a commit will rely on
  std::set<std::string> durable_;   ///< folders whose own entry is durable, or will be with the next commit
  std::optional<Clock::time_point> dirty_since_;
  Clock::time_point next_status_{}, next_feed_{};
  std::deque<Clock::time_point> came_,
      through_;                                 ///< when items arrived, and when all steps were done with them, lately
  std::vector<std::filesystem::path> retired_;  ///< folders of iterations to remove once all is committed
  std::future<void> removing_;
  std::map<std::int64_t, Question> questions_;  ///< open ones, by number
  Alarms alarms_;
  Guards guards_;
  Clock::time_point next_look_{}, next_beat_{};
  int deaths_ = 0;  ///< of workers, with tasks, since the start
  std::string last_death_;
  std::int64_t free_disk_mib_ = -1;                     ///< negative: nobody says
  std::int64_t last_alarm_ = 0;                         ///< number of the last one that is durable
  std::map<std::string, std::int64_t> versions_seen_;   ///< by step: task of the version whose findings are known
  std::map<int, Clock::time_point> pending_since_;      ///< by step with a time trigger
  std::unordered_map<int, Clock::time_point> arrived_;  ///< subjects under way
  Latency item_latency_;
  Feeder feeder_;
  std::shared_ptr<const Head> head_;  ///< of the workflow as it is
  std::unique_ptr<Publisher> publisher_;
  std::optional<Builder> local_;  ///< what can be read while nothing runs
  std::unique_ptr<Service> local_service_;
  std::shared_ptr<const State> local_state_;
};

}  // namespace frazil::engine
