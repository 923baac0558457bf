// Which task runs next, where, and with how much of the machine; again when its failure may not be its own. Knows
// queues, places, threads, memory, GPUs and what tasks have cost; not what a step means, nor what a result says.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "frazil/engine/graph.hpp"
#include "frazil/engine/latency.hpp"
#include "frazil/engine/pool.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

/// What the tasks of one step want.
struct Lane {
  std::string key;          ///< names what computes them: costs are known by it
  bool optional = false;    ///< they wait while anything else is there to do
  int depth = 0;            ///< steps from a source: what has begun is brought to its end first
  bool background = false;  ///< they give way to the others, running or not
  bool is_whole = false;    ///< they work on many items at once and may take long
  int threads = 0;          ///< 0: as many as there are to share
  int gpus = 0;
  std::optional<std::pair<std::string, int>> place = {};  ///< not here: where, and how many at once
};

struct DispatcherSettings {
  double retry_base_s = 1;         ///< pause after the first transient error; then 4, 16 times as long
  int attempts = 4;                ///< that end in a transient error
  bool oldest_first = false;       ///< under backlog too
  double suspect_patience_s = 20;  ///< so long a suspect waits for the machine to itself before others wait for it
  double suspect_share_s = 10;     ///< so long others wait at least while it has it, or three times what it may take
  double long_task_s = 2;          ///< tasks that may take longer do not start while a suspect waits for the machine
};

/// Workers that have died with a task, over restarts too.
struct Kills {
  int all = 0;
  int alone = 0;  ///< of these, while nothing else was at work
};

/// A task that has ended, no longer the dispatcher's until it is handed back.
struct Ended {
  Execution execution;
  exec::Result result;
  std::string temporary, reference;  ///< folders, relative to the project
  std::string order;
  int attempts = 0;  ///< that ended in a transient error before
  Kills kills;
  bool alone = false;      ///< a suspect, with nothing else at work as long as it ran
  bool wanted = true;      ///< somebody waits for it
  std::string actor = {};  ///< the person who did it; empty: a protocol
};

/// How a failure goes on.
struct Retry {
  std::string why;           ///< in words; empty: not worth any
  bool counts_kill = false;  ///< `Ended::kills` has changed and is to be kept
};

class Dispatcher {
 public:
  using Clock = std::chrono::steady_clock;
  /// Everything of a task but its share of the machine.
  using Compose = std::function<exec::Task(const Execution& execution, std::uint64_t number)>;
  /// Memory in MiB by the look of its input, for the time until some have been measured.
  using Estimate = std::function<int(const Execution& execution, const exec::RecordTexts& inputs)>;

  Dispatcher(DispatcherSettings settings, Compose compose, Estimate estimate,
             std::function<Clock::time_point()> clock = Clock::now);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  /// Where tasks run from now on.
  void attach(Pool& pool) { pool_ = &pool; }
  [[nodiscard]] bool is_attached() const { return pool_ != nullptr; }
  /// The steps by index. Forgets what has not begun; what runs is no longer wanted until it is asked for again.
  void reset(std::vector<Lane> lanes);
  /// A step's tasks are computed by something else now.
  void rename(int step, std::string key) { lanes_[static_cast<std::size_t>(step)].key = std::move(key); }
  /// More items may still come in: tasks on many items leave a thread to them.
  void set_streaming(bool streaming) { streaming_ = streaming; }

  /// Asks for an execution. One that runs already under this key is wanted again. @param order  among those of its step
  void add(Execution execution, std::string order);
  /// Takes back what has not begun of a step. @return the subjects
  std::vector<int> withdraw(int step);
  /// Nobody waits for this execution any more: what has not begun is forgotten, what runs is told to stop.
  void drop(const Execution& execution);
  /// Tells a task that runs to stop, for good or to be started again: that is for whoever gets its end to say.
  void cancel(std::uint64_t number);

  /// Starts what there is room for. Does nothing but give way while `may_start` is false.
  void dispatch(bool may_start);
  /// When `dispatch` has something to do though nothing has ended; none: never.
  [[nodiscard]] std::optional<Clock::time_point> next_time() const;
  /// Takes what has ended from the pool. @return one of those, one at a time; what it had of the machine is free again
  [[nodiscard]] std::optional<Ended> next_ended();
  /// Queues a failed task again if its failure may not be its own. @return nothing when the result stands
  std::optional<Retry> again(Ended& ended, bool stopping);
  /// Queues it again as if it had not run. @param pause_s  not before so long
  void repeat(const Ended& ended, double pause_s = 0);
  /// Forgets all that runs, its places included: its workers are gone.
  void forget_running();

  [[nodiscard]] int queued(int step) const { return counts_[static_cast<std::size_t>(step)].queued; }
  [[nodiscard]] int running(int step) const { return counts_[static_cast<std::size_t>(step)].running; }
  [[nodiscard]] bool is_idle() const { return running_.empty(); }
  struct AtWork {
    std::uint64_t number = 0;
    const Execution* execution = nullptr;
    double seconds = 0;  ///< since it was started
    bool paused = false;
  };
  /// Tasks that run, the first started first; good until the next call of anything.
  [[nodiscard]] std::vector<AtWork> at_work() const;
  /// How long tasks waited from being ready to their start.
  [[nodiscard]] const Latency& start_latency() const { return start_latency_; }

  void restore_cost(store::CostRow cost) { costs_[{cost.key, cost.size}] = std::move(cost); }
  void restore_kills(const std::string& key, Kills kills) { kills_[key] = kills; }
  /// Learns from a result. @return what is worth being stored
  std::optional<store::CostRow> note_cost(const Execution& execution, const exec::Result& result);

 private:
  struct Work {
    Execution execution;
    std::string order;
    std::optional<exec::Task> task;   ///< once composed
    std::optional<int> estimate_mib;  ///< once asked for
    int attempts = 0;
    Kills kills;
    Clock::time_point since;  ///< ready to run
  };
  struct Queue;
  struct Claim;
  struct Running {
    Work work;
    bool wanted = true;
    bool alone = true;  ///< nothing else has been at work since it started
    bool suspect = false;
    bool gives_way = false;    ///< asked to pause
    bool told_to_end = false;  ///< to give way in another manner
    int threads = 0;
    std::string temporary, reference;
    Clock::time_point started;
    std::shared_ptr<const Claim> claim;  ///< shared by the tasks of one message
  };
  enum Rank { live, background, optional };
  using Priority = std::tuple<int, int, std::string, std::uint64_t>;  // by rank; deepest, then earliest first
  using Ready = std::map<Priority, Work>;
  struct Queue {  // tasks that wait for the same thing: room on this machine, a GPU of it, a worker of one kind
    Ready ready;
    int free = 0;  ///< places elsewhere
    bool elsewhere = false;
  };
  struct Counts {
    int queued = 0, running = 0;
  };
  struct Cell {  // names an execution: step and subject, or −1 and number of the list
    int step, subject, batch;
    std::int64_t call;
    friend auto operator<=>(const Cell&, const Cell&) = default;
  };

  [[nodiscard]] const Lane& lane(const Execution& e) const { return lanes_[static_cast<std::size_t>(e.step)]; }
  [[nodiscard]] Queue& queue_of(const Execution& e) const { return *queue_of_step_[static_cast<std::size_t>(e.step)]; }
  [[nodiscard]] static Cell cell_of(const Execution& execution);
  [[nodiscard]] static bool has_live(const Queue& queue);
  [[nodiscard]] int live_wanting() const;
  void let_go_on();
  void make_way();
  void stop_newest(const Queue& queue);
  void put_in_line(Work work);
  void put_back(Work work);
  exec::Task& composed(Work& work);
  [[nodiscard]] bool has_gpus(const Queue& queue) const;
  [[nodiscard]] bool has_room(const Queue& queue) const;
  [[nodiscard]] Queue* next_queue();
  Ready::iterator next_ready(Queue& queue);
  [[nodiscard]] int threads_for(const Queue& queue, const Lane& lane, bool is_part, int free) const;
  bool start_next(Queue& queue);
  Work take(Queue& queue, Ready::iterator place);
  [[nodiscard]] bool is_alone(const Queue& queue, bool ends_it);
  bool start_suspect();
  [[nodiscard]] static bool share_machine(const Queue& a, const Queue& b);
  [[nodiscard]] bool makes_gap(const Queue& queue) const;
  [[nodiscard]] bool stands_still(const Queue& queue) const;
  [[nodiscard]] bool may_take_long(const Execution& execution) const;
  [[nodiscard]] Clock::duration share_of(const Execution& execution) const;
  [[nodiscard]] std::shared_ptr<const Claim> claim(Queue& queue, int step);
  void start_short(Queue& queue, Ready::iterator next, int free);
  void start_one(Work work, bool suspect, int threads);
  exec::Task begin(Work work, bool suspect, int threads, std::shared_ptr<const Claim> claim);
  [[nodiscard]] const store::CostRow* cost_of(const Execution& execution) const;
  [[nodiscard]] int memory_of(Work& work);
  std::optional<Retry> again_after_kill(Ended& ended, bool stopping);
  [[nodiscard]] Work work_of(const Ended& ended) const;

  DispatcherSettings settings_;
  Compose compose_;
  Estimate estimate_;
  std::function<Clock::time_point()> clock_;
  Pool* pool_ = nullptr;
  std::vector<Lane> lanes_;
  std::vector<Counts> counts_;           ///< by step
  std::map<std::string, Queue> queues_;  ///< by place; "": this machine; "gpus N": N of its GPUs
  std::vector<Queue*> queue_of_step_;
  std::map<Cell, Priority> queued_;               ///< where in the queues they are
  std::map<std::uint64_t, Work> suspects_;        ///< have killed their workers; by the order in which they wait
  std::multimap<Clock::time_point, Work> later_;  ///< after a transient error
  std::map<std::uint64_t, Running> running_;      ///< by number of the task
  std::unordered_map<std::string, std::uint64_t> running_by_key_;
  std::unordered_map<std::string, Kills> kills_;                 ///< of tasks that have not ended yet
  std::map<std::pair<std::string, int>, store::CostRow> costs_;  ///< measured, by key of the lane and size class
  std::uint64_t next_number_ = 1, next_place_ = 1, turn_ = 0;
  bool streaming_ = true;
  std::deque<exec::Result> ended_;  ///< not asked for yet
  Latency start_latency_;
};

}  // namespace frazil::engine
