// The inside of Engine, shared by its source files.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <thread>
#include <unordered_map>

#include "frazil/engine/alarms.hpp"
#include "frazil/engine/dispatcher.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/guards.hpp"
#include "frazil/engine/intake.hpp"
#include "frazil/engine/latency.hpp"
#include "frazil/engine/ledger.hpp"
#include "frazil/engine/pool.hpp"
#include "frazil/engine/publisher.hpp"

namespace frazil::engine {

using Clock = std::chrono::steady_clock;

void watch_descriptor(int epoll, int file);

/// The loop that connects intake, ledger, dispatcher and publisher.
class Engine::Impl final : public Duties {
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
  // What the ledger has us do:
  void start(Execution execution, std::string order) override;
  void drop(const Execution& execution) override;
  std::vector<int> withdraw(int step) override;
  void through(int subject) override;

  // impl.cpp: opening and the loop
  void load();
  [[nodiscard]] int next_timeout_ms() const;
  void commit_if_due();
  void commit();
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
  [[nodiscard]] int estimated_memory(const Execution& execution, const exec::RecordTexts& inputs) const;
  void finish(Ended ended);
  bool try_again(Ended& ended);
  void publish(const Ended& ended);

  // impl_iterate.cpp
  void show_iteration(int step, StepStatus& status);
  std::vector<TaskStatus> long_tasks();
  void fail_cancelled(const Execution& execution, const std::string& actor);
  Json cancel(const Command& command);

  // impl_persons.cpp
  [[nodiscard]] std::vector<QuestionStatus> open_questions() const;
  exec::Result result_of(const Command& answer, const Execution& execution, const std::string& temporary,
                         const std::string& reference);
  Json answer(const Command& answer);

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
  [[nodiscard]] std::vector<Finding> findings_of_source(int step) const;
  void note_unfinished();
  /// Somebody has read a file to its end. @return whether it is one of a source, of which nobody knew what it holds
  bool is_first_reading(const std::string& reference, const std::string& content) {
    return note_reading(ledger_.plan(), *intake_, reference, content);
  }
  void check_sources();

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
  Json approve(const Command& command);
  Json set(const Command& command);
  void close_by_hand();

  [[nodiscard]] const flow::PlannedStep& step(int index) const { return ledger_.step(index); }

  Options options_;
  const flow::Registry& registry_;
  Ledger ledger_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<LocalWorkers> pool_;
  std::optional<Dispatcher> dispatcher_;
  std::string state_ = "stopped";
  Clock::time_point started_ = Clock::now();
  std::atomic<bool> leaving_ = false;  ///< the engine ends

  bool paused_ = false, stopping_ = false;
  bool lost_ = false;  ///< what is loaded is not what is stored
  int epoll_ = -1;
  std::string disk_problem_;  ///< why nothing starts; empty: there is space
  Clock::time_point next_disk_{}, disk_until_{}, next_files_{};
  std::vector<std::string> missing_files_;  ///< that parameters name
  int disk_pause_s_ = 5;                    ///< longer with every failure in a row: quotas do not say what is left
  End end_ = End::finished;
  Clock::time_point stop_until_{};

  std::optional<Clock::time_point> dirty_since_;
  Clock::time_point next_status_{}, next_feed_{};
  std::deque<Clock::time_point> came_,
      through_;  ///< when items arrived, and when all steps were done with them, lately
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
  std::unique_ptr<Publisher> publisher_;
  std::optional<Builder> local_;  ///< what can be read while nothing runs
  std::unique_ptr<Service> local_service_;
  std::shared_ptr<const State> local_state_;
};

}  // namespace frazil::engine
