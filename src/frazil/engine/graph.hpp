// What follows from the items, results, member lists and people's decisions known so far: which executions exist,
// which of them may start, which sets have closed. Pure bookkeeping in memory; a restart replays it from the store.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "frazil/base/hash.hpp"
#include "frazil/flow/workflow.hpp"

namespace frazil::engine {

/// In which order triggers form their member lists.
enum class Order {
  arrival,     ///< as their inputs became ready
  acquisition  ///< by order key, waiting for everything earlier that is known: independent of arrival
};

/// An item as the graph sees it.
struct ItemHandle {
  std::int64_t n = 0;  ///< number in the store
  Digest id;
};

/// What joins match on: an imported file, or one version of a fold.
struct Subject {
  std::string id, label, order;
  int root = 0;       ///< step that introduced it
  bool gone = false;  ///< a version that has been made anew since
};

/// Which call of an iteration an execution is.
struct Call {
  flow::Stage stage = flow::Stage::start;
  int round = 0;              ///< steps before it
  int part = 0, count = 0;    ///< of the parts of a step
  int state = -1;             ///< item that it goes on from
  std::vector<int> gathered;  ///< of a step: items of its parts
};

/// One execution of a step. Input ports hold indices into Graph::item.
struct Execution {
  int step = 0;
  int subject = -1;                                   ///< −1: a fold
  int batch = -1;                                     ///< number of the fold's member list
  std::vector<int> members;                           ///< subjects of the batch
  std::vector<std::vector<int>> inputs;               ///< by planned input; for a fold member after member
  std::vector<std::pair<std::string, int>> previous;  ///< of a fold: port and item of the last version
  std::string key;                                    ///< reuse key
  std::optional<Call> call;                           ///< of an iteration, which is of a list like a fold
};

/// Where an iteration stands.
struct IterationView {
  int batch = 0, round = 0;  ///< number of its list, steps done
  std::int64_t state = 0;    ///< number of its last state in the store; 0: none yet
  int parts = 0, parts_done = 0;
};

/// How an execution ended.
struct Outcome {
  std::int64_t task = 0;  ///< number in the store
  bool failed = false;
  std::string message;
  std::vector<std::pair<std::string, ItemHandle>> outputs;
  flow::Verdict verdict = flow::Verdict::accepted;    ///< of a filter
  flow::Verdict otherwise = flow::Verdict::accepted;  ///< of one that holds: what it says if nothing better comes
};

/// The port under which a filter's verdict is stored, and back: "accepted", "set_aside", or one of two for what is
/// held.
[[nodiscard]] std::string_view port_of(const Outcome& outcome);
void read_verdict(std::string_view port, Outcome& outcome);

/// What the graph asks. Nothing it asks for changes anything.
class Knowledge {
 public:
  virtual ~Knowledge() = default;
  /// The result stored under this key, if any.
  virtual std::optional<Outcome> known(const Digest& key) = 0;
  /// Number in a field of an item's record, for triggers that sum it.
  virtual double weight(std::int64_t item, const std::string& field) = 0;
  /// What a person decided about an item at a step.
  virtual std::optional<bool> person(int step, const Digest& item) = 0;
  /// Of an iteration in this state (an item): calls that its next step consists of; 0: it is done.
  virtual int parts(int step, std::int64_t state) = 0;
};

/// What follows from what the graph was told, for its owner to carry out in the order of the members.
struct Effects {
  struct List {  ///< the member list of one execution of a trigger, to be stored before its result
    int step = 0, number = 0;
    std::vector<std::string> members;  ///< ids of subjects
  };
  struct Cell {
    int step = 0, subject = 0;
    friend bool operator==(const Cell&, const Cell&) = default;
  };
  struct Verdict {  ///< on an item that was held when the stream closed: by the best reference that there was
    int step = 0, subject = 0;
    std::int64_t task = 0;  ///< number in the store of the one that held it
    flow::Verdict verdict = flow::Verdict::accepted;
  };
  std::vector<List> batch;
  /// Asked for before and wanted no more: step, subject and batch of each.
  std::vector<Execution> dropped;
  std::vector<Execution> start;  ///< not known yet: to be run
  /// Steps that take nothing new: the owner takes back what has not begun and tells `Graph::withdrawn`.
  std::vector<int> withdrawn;
  std::vector<Verdict> final;
  std::vector<int> rewound;        ///< folds that have taken versions back
  std::vector<int> closed;         ///< steps whose output is complete
  std::vector<int> through;        ///< subjects that all steps which take them by themselves, optional ones apart, are
                                   ///< through with for the first time
  std::vector<int> set_changed;    ///< steps whose output is not what it was; may be named more than once
  std::vector<Cell> cell_changed;  ///< the same
  std::vector<Execution> retired;  ///< of iterations: what they wrote is not needed any more once all this is committed
};

/// Counts of one step for people.
struct Counts {
  int open = 0;     ///< known subjects not yet through (waiting, ready or running)
  int waiting = 0;  ///< of these, for their inputs
  int done = 0, failed = 0;
  int accepted = 0, set_aside = 0;  ///< of a filter
  int held = 0;                     ///< of these that are open: neither accepted nor set aside yet
  int absent = 0;                   ///< subjects that never reach this step
  int versions = 0;                 ///< of a fold
};

/// What a step lacks to start.
struct Lack {
  double have = 0, need = 0;
  std::string of;  ///< what is counted
};

/// Where a step stands.
///
///   phase     what the step does with a subject whose inputs are there      leaves it for
///   held      lets it wait                                                  open: a person approves · enough: stopped
///   open      starts it; with a trigger: puts it in line for the next list  cut: its static list is formed or replayed
///                                                                           flowing: its dynamic list is
///                                                                           enough: a trigger after it has what it
///                                                                           needs stopping: a stored list says that
///                                                                           this was so
///   cut       takes the members of its one list, nobody else                –
///   flowing   starts it; a fold: puts it in line, takes all when idle       –
///   stopping  takes a known result, starts nothing                          enough: the list that stopped it is
///   replayed enough    the same, and the step may close before its inputs do         –
///
/// Apart from that a step is closed or not: its output is complete. What comes later opens it again, unless it is cut,
/// stopping or has enough. Only steps without a trigger of their own are stopped, so no phase is a mixture of two.
enum class Phase : std::uint8_t { held, open, cut, flowing, stopping, enough };

class Graph {
 public:
  Graph(const flow::Plan& plan, std::string seed, Order order, Knowledge& knowledge);

  /// Replays a member list committed earlier; before any subject is added, in the order of their numbers.
  void add_committed(int step, int number, std::vector<std::string> members);
  /// A source's item. @return the subject's index
  int add_source_item(int step, Subject subject, ItemHandle item);
  /// Subjects of this source from this order key on must not be put into lists yet: an earlier file is still growing.
  void set_horizon(int step, std::string order);
  /// Nothing of this source may be put into lists by acquisition until its next horizon is set.
  void hold(int step) { state(step).horizon = ""; }
  /// Nothing of this step starts until `approve`.
  void wait_for_person(int step) { state(step).phase = Phase::held; }
  void approve(int step);
  [[nodiscard]] Phase phase(int step) const { return state(step).phase; }
  [[nodiscard]] bool is_held(int step) const { return phase(step) == Phase::held; }
  [[nodiscard]] bool is_stopped(int step) const { return takes_nothing_new(phase(step)); }
  /// Why nothing has started although inputs are there: too little to work on, or to the count of a trigger.
  [[nodiscard]] std::optional<Lack> lack(int step) const;
  /// Members wait for a list that is not full.
  [[nodiscard]] bool has_pending(int step) const;
  /// Forms the list from those that wait.
  void cut_pending(int step);
  void close_source(int step);
  /// The stream goes on after all.
  void reopen(int step);
  /// What a person says of an item that this subject brings to this step has changed, or its failure is forgotten, or
  /// the step's parameters are others. Everything that followed from it is taken back and follows anew: downstream
  /// steps, and the versions of folds from the first list on that holds it.
  void reconsider(int step, int subject);
  /// The same of all subjects of a step.
  void reconsider(int step);
  /// The execution by which a filter with the parameters that it has now decides on a subject that it has decided on;
  /// none: it has not, or may not now.
  [[nodiscard]] std::optional<Execution> decision_of(int step, int subject);
  /// A filter's parameters are others, and what it says under them is known of some: with those of whom it says what it
  /// said before nothing changes but the task; all others are reconsidered.
  void reconsider(int step, const std::vector<std::pair<Execution, Outcome>>& known);
  void finish(const Execution& execution, const Outcome& outcome);
  /// These subjects were taken back before their tasks at this step began.
  void withdrawn(int step, const std::vector<int>& subjects);
  /// Follows all consequences of the above. @return what is to be done about them, since the last time
  [[nodiscard]] Effects settle();

  [[nodiscard]] bool closed(int step) const { return states_[static_cast<std::size_t>(step)].closed; }
  [[nodiscard]] bool all_closed() const;
  [[nodiscard]] bool all_sources_closed() const;
  [[nodiscard]] Counts counts(int step) const;
  [[nodiscard]] const Subject& subject(int index) const { return subjects_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const ItemHandle& item(int index) const { return items_[static_cast<std::size_t>(index)]; }
  /// The items present in a set, sorted by order key: (subject, item).
  [[nodiscard]] std::vector<std::pair<int, int>> members(int step, int port) const;
  /// Item of a subject in a set, −1 if absent or not there yet.
  [[nodiscard]] int find(int step, int port, int subject) const;
  /// The items that a subject brings to a step, by input.
  [[nodiscard]] std::vector<std::vector<int>> inputs_of(int step, int subject) { return gather(step, subject).inputs; }
  [[nodiscard]] std::size_t subject_count() const { return subjects_.size(); }
  /// Number of the task that settled a subject at a step, 0 if none has.
  [[nodiscard]] std::int64_t task(int step, int subject) const;
  /// Tasks of a fold's versions, failed ones included.
  [[nodiscard]] const std::vector<std::int64_t>& fold_tasks(int step) const { return state(step).fold_tasks; }
  /// waiting, ready, running, done, failed, absent, held; empty if the subject never came near.
  [[nodiscard]] std::string_view cell_name(int step, int subject) const;
  /// The iteration under way at a step.
  [[nodiscard]] std::optional<IterationView> iteration(int step) const;
  /// One of its calls that have not ended; null if there is none.
  [[nodiscard]] const Execution* open_call(int step) const;
  [[nodiscard]] int find_subject(const std::string& id) const;
  /// Item that a filter holds of a subject, −1 if it holds none.
  [[nodiscard]] int held_item(int step, int subject);
  /// Subjects that entered at this source or fold.
  [[nodiscard]] int introduced(int step) const { return states_[static_cast<std::size_t>(step)].introduced; }

 private:
  enum class Cell : std::uint8_t { unknown, waiting, ready, running, done, failed, absent, held, again };
  static constexpr int unknown = -1, absent = -2;

  struct ByOrder {
    const std::vector<Subject>* subjects = nullptr;
    bool operator()(int a, int b) const;
  };
  struct Batch {
    int number = 0;
    std::vector<int> members;
  };
  struct Committed {
    int number = 0;
    std::vector<std::string> members;
    std::size_t missing = 0;
  };
  struct Version {
    int number = 0;                                    ///< of its list
    int subject = -1;                                  ///< −1: it failed
    std::vector<std::pair<std::string, int>> outputs;  ///< what the next one builds on: of the last that succeeded
  };
  struct Consumer {
    int step = 0;
    bool broadcast = false;
  };
  struct Chain {  ///< an iteration
    int batch = 0;
    std::vector<int> members;
    std::vector<std::vector<int>> inputs;
    int round = 0, state = -1;
    int count = -1;                ///< calls of the next step; −1: not asked yet
    std::vector<int> parts;        ///< items of its parts
    std::vector<Execution> open;   ///< started, no result yet
    std::vector<Execution> made;   ///< parts of this step that have ended
    std::deque<Execution> states;  ///< those that made the states whose files are kept
  };
  struct StepState {
    std::vector<Cell> cells;                ///< by subject
    std::vector<std::vector<int>> outputs;  ///< [port][subject]: item, unknown or absent
    std::vector<std::int64_t> tasks;        ///< by subject
    std::vector<std::int64_t> fold_tasks;
    std::vector<Consumer> consumers;
    std::vector<int> last;                     ///< by port, while closed: last item in order
    std::vector<int> latest_items;             ///< by port: the same while open; empty: to be looked for
    std::unordered_map<int, Outcome> held_by;  ///< of a filter, by subject: what holds it
    Phase phase = Phase::open;
    bool closed = false;
    bool told_closed = false;  ///< by an effect
    int again = 0;             ///< cells that were taken back and are evaluated soon
    int open = 0, waiting = 0, held = 0, done = 0, failed = 0, absent = 0, accepted = 0, set_aside = 0, introduced = 0;
    // Triggers:
    std::vector<int> pending;  ///< ready members of the next list, in order
    double weight = 0;
    std::set<int, ByOrder> known;  ///< order=acquisition: subjects not yet in a list
    std::deque<Committed> committed;
    std::unordered_map<std::string, int> committed_in;  ///< subject id → number of its list, of lists that were stored
    std::vector<int> list_of;                           ///< the same by subject, of all lists; −1: in none
    int next_batch = 0;
    std::optional<std::string> horizon;  ///< of a source
    std::optional<Lack> lack;            ///< what was too little when it was last looked at
    // Folds:
    std::deque<Batch> queue;
    std::vector<Committed> formed;  ///< all lists that have been consumed, in order of their numbers
    std::optional<int> running;     ///< number of the list at work
    std::vector<Version> versions;
    // Sources and folds:
    std::unordered_map<int, std::vector<int>> withdrawn;  ///< by subject: items by port that a person has set aside
    std::optional<Chain> chain;
  };
  struct Work {
    enum class Kind { evaluate, close } kind;
    int step = 0, subject = 0;
  };
  struct Gathered {
    Cell state = Cell::waiting;
    std::vector<std::vector<int>> inputs;
  };

  const flow::PlannedStep& step(int index) const { return plan_.steps[static_cast<std::size_t>(index)]; }
  StepState& state(int index) { return states_[static_cast<std::size_t>(index)]; }
  const StepState& state(int index) const { return states_[static_cast<std::size_t>(index)]; }
  bool takes_lists(int index) const { return flow::takes_lists(step(index).protocol->shape); }
  static bool takes_nothing_new(Phase phase) { return phase == Phase::stopping || phase == Phase::enough; }
  static bool is_new(Cell cell) { return cell == Cell::unknown || cell == Cell::again; }
  static bool is_cut(const StepState& state) { return state.phase == Phase::cut; }
  static bool is_flowing(const StepState& state) { return state.phase == Phase::flowing; }
  bool in_domain(int step, int root) const;

  int add_subject(Subject subject);
  int add_item(ItemHandle item);
  void note_task(int step, int subject, std::int64_t task);
  void put(int step, int port, int subject, int item);
  void push(int step, int subject);
  Cell& cell(int step, int subject);
  void set_cell(int step, int subject, Cell to);
  int broadcast_item(const flow::PlannedInput& input);
  int reference_item(const flow::PlannedInput& input);
  [[nodiscard]] bool may_hold(int step) const { return this->step(step).protocol->may_hold; }
  std::optional<Outcome> find_decided(Execution execution);
  void new_reference(int step);
  void decide_held(int step);
  int last_item(int step, int port);
  int choose(const flow::PlannedInput& input, int subject, std::vector<int>& chosen) const;
  Gathered gather(int step, int subject);
  void take_in_line(int step, int subject);
  void flow_on(int step);
  void stop(int step);
  void evaluate(int step, int subject);
  void resolve_absent(int step, int subject, Cell as);
  void offer(int step, int subject);
  void note_committed(int step, int subject);
  [[nodiscard]] int list_of(int step, int subject);
  void note_members(int step, int number, const std::vector<int>& members);
  Committed* find_committed(int step, int number);
  void advance(int step);
  bool blocked(int subject) const;
  [[nodiscard]] int latest_listed(int step);
  bool suffices(int step, const std::vector<int>& members);
  void cut(int step, bool remainder);
  void replay_committed(int step, bool force);
  void consume(int step, Committed list, std::vector<int> members);
  void start(int step, int subject);
  void pump(int step);
  void apply_map(const Execution& execution, const Outcome& outcome);
  void apply_fold(const Execution& execution, const Outcome& outcome);
  void add_version(const Execution& execution, const Outcome& outcome);
  std::vector<std::vector<int>> inputs_of_members(int step, const std::vector<int>& members);
  void begin_iteration(int step);
  void iterate(int step);
  void launch(int step, flow::Stage stage, int part);
  void apply_call(const Execution& execution, const Outcome& outcome);
  void end_iteration(const Execution& execution, const Outcome& outcome);
  void drop_iteration(int step);
  void hash_call(Hasher& hasher, const Call& call) const;
  Digest key_of(const Execution& execution) const;
  void check_closed(int step);
  void close(int step);
  void look_again(int step, int subject);
  void decide_anew(const Execution& execution, const Outcome& outcome);
  void retract(int step, int subject);
  void retract_after(int step, int subject);
  void drop(int step, int subject, int batch);
  void leave_line(int step, int subject);
  void rewind(int step, int number);
  void bury(int step, const Version& version);
  void open_again(int step);
  bool place(int step, int subject);
  [[nodiscard]] bool has_other_last(int step, const std::vector<int>& before);
  void note_set(int step);
  void note_cell(int step, int subject);
  bool inputs_closed(int step) const;
  void drop_rest(int step);

  const flow::Plan& plan_;
  std::string seed_;
  Order order_;
  Knowledge& knowledge_;
  std::vector<Subject> subjects_;
  std::unordered_map<std::string, int> subject_by_id_;
  std::vector<ItemHandle> items_;
  std::vector<StepState> states_;
  std::vector<bool> is_followed_;     ///< by step: takes each subject by itself, and not only if there is time
  std::vector<int> open_of_subject_;  ///< cells of followed steps that are not through; −1: told
  std::vector<int> maybe_through_;
  std::deque<Work> work_;
  Effects effects_;  ///< since the last time that all was settled
};

}  // namespace frazil::engine
