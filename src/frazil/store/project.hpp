// The project database: what was found, made and decided; the only SQL of the program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frazil/flow/protocol.hpp"
#include "frazil/params/finding.hpp"
#include "frazil/store/database.hpp"

namespace frazil::store {

/// One item as stored; `record` is JSON text.
struct ItemRow {
  std::int64_t n = 0;  ///< number in this project
  std::string id, kind, step, port, subject, order, label, record;
  std::string actor = {};  ///< protocol, plugin or person that made it; empty in projects made before it was noted
};

/// One execution, done or failed. Executions under way are the engine's and are not stored.
struct TaskRow {
  std::int64_t n = 0;
  std::string key, step, protocol;
  int version = 1;
  std::string subject;  ///< id of the subject, or of the batch's version for a fold
  std::string label, order;
  bool failed = false;
  std::string code, message;  ///< of the error
  int attempts = 1;
  double seconds = 0;
  int peak_mib = 0, threads = 1;
  std::string target;  ///< CPU target it ran on
  std::string inputs;  ///< JSON list of item numbers
  std::string
      programs;  ///< names and versions of the programs that computed it; empty in projects made before they were noted
  double finished = 0;                                        ///< seconds since 1970
  std::vector<std::pair<std::string, std::int64_t>> outputs;  ///< port and item number, in order
};

/// The committed member list of one execution of a trigger: subject ids in order.
struct BatchRow {
  std::string step;
  int number = 0;
  std::vector<std::string> members;
};

/// Acceptance or setting aside of an item; the latest of a person beats all of rules.
struct DecisionRow {
  std::int64_t n = 0;
  std::string step, item, subject, label;
  bool accepted = true;
  std::string rule;
  double value = 0, limit = 0;
  std::string reason;
  std::string by;   ///< "rule" or "person"
  std::string key;  ///< of the task that decided; empty for a person
  double time = 0;
  std::string actor = {};  ///< the rule, or the person's name; empty: a person, before names were noted
  std::string title = {};  ///< what breaking the rule means, in a few words; empty where the rule says no more
  bool held = false;       ///< neither accepted nor set aside yet
};

/// A task of a filter, and what it has decided.
struct DecidedRow {
  TaskRow task;  ///< that did not fail
  DecisionRow decision;
};

/// A file that a source has seen and finished with.
struct FileRow {
  std::int64_t n = 0;
  std::string step, path;  ///< path relative to the watched folder
  std::int64_t size = 0, mtime_ns = 0;
  std::string state;  ///< "item", "duplicate", "broken", "excluded", "incomplete", "gone"; of several the last holds
  std::string hash, subject, reason;
  double time = 0;
};

struct EventRow {
  std::int64_t n = 0;
  double time = 0;
  std::string kind, step, label, text;
  std::string actor = {};  ///< whose doing it was; empty: the engine's
};

/// What a person is asked, once.
struct QuestionRow {
  std::int64_t n = 0;
  std::string key;          ///< of the execution that is answered; "approve STEP" for a trigger's approval
  std::string step, label;  ///< who asks, and about what
  std::string text;         ///< in a sentence
  double asked = 0;         ///< seconds since 1970
  double answered = 0;      ///< 0: not yet
  std::string answer = {}, actor = {};
};

/// Something that is wrong with the acquisition or the project, from its raising to its end.
struct AlarmRow {
  std::int64_t n = 0;       ///< its number in this project, from 1
  std::string source;       ///< who says so: a step, a rule of the workflow, or "engine"
  Finding finding;          ///< as it was found last
  double since = 0;         ///< seconds since 1970
  double until = 0;         ///< 0: it stands
  std::string actor;        ///< who has acknowledged it; empty: nobody
  double acknowledged = 0;  ///< when
  std::string reason;       ///< what that person said to it
};

/// What executions of a step have cost so far, for inputs of one size class.
struct CostRow {
  std::string key;  ///< of the planned step: protocol, version and parameters
  int size = 0;
  int peak_mib = 0;    ///< the most
  double seconds = 0;  ///< mean of the last ones
  std::int64_t count = 0;
};

/// Workers that have died with a task that has not ended yet.
struct KillRow {
  std::string key;  ///< of the task
  int deaths = 0;
  int alone = 0;  ///< of these, while nothing else was at work
};

/// What a project's database holds, read row by row. Made from a Project it is for other threads than the one that
/// writes: each call waits at most while a commit becomes durable, and holds up the writer for the reading of one row.
/// It may see rows that are not committed yet; whoever must not goes by numbers of rows that are.
class Reader {
 public:
  /// Over the connection of another, which may be in use meanwhile.
  explicit Reader(const Reader& other) : database_(other.database_->share()) {}
  virtual ~Reader() = default;
  Reader& operator=(const Reader&) = delete;

  [[nodiscard]] std::optional<std::string> get(const std::string& key);
  /// Those whose keys begin like this, which ends in an ASCII character.
  void for_settings(const std::string& start,
                    const std::function<void(const std::string& key, const std::string& value)>& visit);
  [[nodiscard]] ItemRow item(std::int64_t n);
  [[nodiscard]] std::string record(std::int64_t n);
  [[nodiscard]] std::string item_id(std::int64_t n);
  [[nodiscard]] std::optional<ItemRow> find_item(const std::string& id);
  /// Numbers of items whose ids begin like this, `most` at most.
  [[nodiscard]] std::vector<std::int64_t> items_with_id(const std::string& start, int most);
  /// Order key and label of an item.
  [[nodiscard]] std::pair<std::string, std::string> item_name(std::int64_t n);
  void for_item_ids(const std::function<void(std::int64_t n, std::string_view id)>& visit);
  void for_tasks(const std::function<void(TaskRow&&)>& visit);
  /// Numbers and keys of all tasks.
  void for_task_keys(const std::function<void(std::int64_t n, std::string_view key)>& visit);
  /// Outputs of all tasks, sorted by task and place.
  void for_outputs(const std::function<void(std::int64_t task, std::string_view port, std::int64_t item)>& visit);
  [[nodiscard]] std::vector<std::int64_t> failed_tasks();
  /// True if a task of this step that did not fail has a key with this beginning.
  [[nodiscard]] bool has_task(const std::string& step, const std::string& key_start);
  [[nodiscard]] std::vector<CostRow> costs();
  [[nodiscard]] std::vector<KillRow> kills();
  [[nodiscard]] std::optional<TaskRow> find_task(const std::string& key);
  /// Visits the task with this number, if there is one.
  void for_task(std::int64_t n, const std::function<void(const TaskRow&)>& visit);
  [[nodiscard]] std::vector<BatchRow> batches();
  /// All decisions in the order they were made.
  [[nodiscard]] std::vector<DecisionRow> decisions();
  [[nodiscard]] std::vector<DecisionRow> decisions_of_people();
  /// Of one rule that is no filter's, in the order they were made.
  [[nodiscard]] std::vector<DecisionRow> decisions_of_rule(const std::string& rule);
  [[nodiscard]] std::vector<DecisionRow> decisions_of_task(const std::string& key);
  /// What the rule of a filter's task has decided.
  [[nodiscard]] std::optional<DecisionRow> decision_of_task(std::int64_t n);
  /// Number of the list of a trigger that holds this subject.
  [[nodiscard]] std::optional<int> batch_with(const std::string& step, const std::string& subject);
  [[nodiscard]] std::vector<FileRow> files();
  [[nodiscard]] std::vector<FileRow> files_after(std::int64_t n, int count);
  /// Those that nobody has answered, in the order in which they were asked.
  [[nodiscard]] std::vector<QuestionRow> open_questions();
  [[nodiscard]] std::optional<QuestionRow> find_question(const std::string& key);
  /// Alarms that are not over, in the order in which they were raised.
  [[nodiscard]] std::vector<AlarmRow> standing_alarms();
  /// Alarms with higher numbers than this, over or not.
  [[nodiscard]] std::vector<AlarmRow> alarms_after(std::int64_t n, int count);
  /// Number of the last one; 0: there has been none.
  [[nodiscard]] std::int64_t last_alarm();
  /// Number of the last event before this time (seconds since 1970); 0: there is none.
  [[nodiscard]] std::int64_t last_event_before(double time);
  /// The last `count` events, oldest first.
  [[nodiscard]] std::vector<EventRow> events(int count);
  [[nodiscard]] std::vector<EventRow> events_after(std::int64_t n, int count);

 protected:
  explicit Reader(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  std::unique_ptr<Database> database_;
};

/// The database of one project, opened by one process alone. Writes go into one open transaction until `commit`.
class Project : public Reader {
 public:
  /// Opens PROJECT/project.frazil, creating or migrating it; an older schema is first copied to project.frazil.v<N>.
  /// For reading alone: the file stays as it is, nothing is written beside it; a log that a killed engine has left is
  /// read too, and an older schema migrated, in a private copy.
  /// @throws Error(resource) when it is in use, Error(unsupported) when a newer program wrote it
  explicit Project(const std::filesystem::path& folder, Access access = Access::write);
  ~Project() override;

  void put(const std::string& key, const std::string& value);
  /// Adds the item, or finds the one with this id. @return its number
  std::int64_t add_item(const ItemRow& item);
  /// Replaces what is known under the key. @return its number
  std::int64_t add_task(const TaskRow& task);
  void add_batch(const BatchRow& batch);
  void add_decision(const DecisionRow& decision);
  /// What a filter has decided on many items: as `add_decision` and `add_task` store one, in less time.
  /// @return numbers of the tasks, in the same order; 0: there was one under its key, and it stands with its decision
  [[nodiscard]] std::vector<std::int64_t> add_decided(const std::vector<DecidedRow>& list);
  void add_file(const FileRow& file);
  /// @param actor  whose doing it is; empty: the engine's
  void add_event(std::string_view kind, std::string_view step, std::string_view label, std::string_view text,
                 std::string_view actor = {});
  /// The verdict of a filter's task that held its item: what became of it in the end, and a few words to its reason.
  void end_hold(std::int64_t task, bool accepted, std::string_view why);
  /// In the records of a step's items a file has a new name.
  void rename_in_records(const std::string& step, const std::string& from, const std::string& to);
  /// Stores a question, or finds the open one with this key; one that was answered is asked anew. @return its number
  std::int64_t ask(const QuestionRow& question);
  void answer_question(std::int64_t n, const std::string& answer, const std::string& actor);
  /// Forgets a question that nobody asks any more.
  void forget_question(const std::string& key);
  /// Forgets a failure, so that it is tried again.
  void forget_task(const std::string& key);
  /// Stores an alarm under its number, or how it stands now.
  void put_alarm(const AlarmRow& alarm);
  void put_cost(const CostRow& cost);
  void put_kills(const KillRow& kills);
  void forget_kills(const std::string& key);

  [[nodiscard]] bool dirty() const { return dirty_; }
  /// Makes everything written so far durable. When that fails all of it is dropped: nothing is half there. @return the
  /// number of this commit: one more than that of the last one that changed something, over restarts too
  std::int64_t commit();
  /// Drops everything written since the last commit. Whoever has gone on from it must read the store again.
  void rollback();
  /// Writes the whole database into a new file.
  void copy_to(const std::filesystem::path& file) { database_->backup(file); }
  /// Number of the last event that is durable.
  [[nodiscard]] std::int64_t last_event() const { return durable_event_; }
  /// How long whoever writes has waited for readers, since this was opened.
  [[nodiscard]] const Waits& waits() const { return database_->waits(); }

 private:
  using Numbers = std::map<std::string, std::int64_t>;
  [[nodiscard]] std::int64_t number_of(const std::string& text, Numbers& known, const char* insert, const char* select);
  std::vector<std::int64_t> add_new_tasks(const std::vector<DecidedRow>& list, const std::vector<std::size_t>& order);
  void begin();
  void read_counters();
  void migrate(const std::filesystem::path& file);
  [[nodiscard]] std::int64_t version();
  void remove_copy();

  Access access_;
  std::filesystem::path copy_;  ///< private folder with what is read instead; empty: none
  Numbers program_numbers_, actor_numbers_;
  std::int64_t sequence_ = 0, event_ = 0, durable_event_ = 0;
  bool dirty_ = false;
};

/// Seconds since 1970.
[[nodiscard]] double now();

}  // namespace frazil::store
