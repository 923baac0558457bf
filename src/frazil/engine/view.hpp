// What anyone may read of a project: columns of every step, published whole a moment after each commit.
//
// How to read, from any thread and without the engine's help:
//   const auto state = view.state();          // stays as it is for as long as it is kept
//   const auto& step = *state->steps[i];      // in the order of state->plan->steps
//   for (const int subject : *state->by_order)
//     if (const auto n = step.ports[0].items[subject]; n > 0) … reader.record(n) …
//
// A subject is what an item descends from (a file, or one version of a fold); the same number joins items of different
// steps. Numbers of records stand in columns (`step.ports[p].numbers`); whole records, tasks and decisions are read
// from the store by the numbers given here, with a store::Reader of one's own: that holds nobody up. A set of a filter
// holds items of an earlier step; `origin` finds the columns with their numbers.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "frazil/engine/changes.hpp"
#include "frazil/engine/column.hpp"
#include "frazil/engine/engine.hpp"

namespace frazil::engine {

class Accountant;

struct SubjectView {
  std::string id, label, order;
  std::string name;  ///< what people are shown: short, and no other's; any name they type finds it (names.hpp)
  int root = 0;      ///< step that introduced it
  std::string path;  ///< of a file: below the watched folder; empty for versions of folds
  double time = 0;   ///< when it came, seconds since 1970; 0 for versions of folds
};

struct FileView {
  std::string step, path, state, subject, reason;
  double time = 0;
};

/// One output of a step, by subject.
struct PortView {
  Column<std::int64_t> items{0};  ///< number in the store of what is in the set; 0: nothing
  int count = 0;
  /// Numbers of the records that the step itself has made; not a number where a record has none. Empty for filters.
  std::map<std::string, Column<double>, std::less<>> numbers;
};

struct VersionView {
  int subject = -1;  ///< −1: it failed
  std::int64_t task = 0;
};

/// One step, by subject.
struct StepView {
  Column<CellState> cells{CellState::unknown};
  Column<std::int64_t> tasks{0};  ///< that settled the subject
  std::vector<PortView> ports;
  // Of filters, by the rule that decided:
  Column<int> rules{-1};  ///< index in rule_names
  Column<double> values, limits;
  std::vector<std::string> rule_names, rule_titles;  ///< titles: what breaking it means, in a few words
  std::vector<VersionView> made;                     ///< of a fold: all versions so far
  std::int64_t changed = 0;                          ///< sequence of the last commit that changed something here
  std::int64_t sets_changed = 0;                     ///< of the last one after which its sets have other members
};

/// The state of the engine itself, and what it sees that is not stored.
struct Live {
  Status status;
  std::vector<std::map<std::string, std::string>> growing;  ///< by step: incomplete files and what they miss
  std::int64_t last_event = 0, last_alarm = 0;              ///< numbers of the last ones that are durable
};

/// What changes only when a project is opened or its workflow is changed.
struct Head {
  flow::Plan plan;
  std::string workflow;          ///< its text
  Json values = Json::object();  ///< as stored: what was chosen
  std::filesystem::path folder;
  double created = 0;                  ///< seconds since 1970
  flow::FileHashes files = {};         ///< that parameters name
  Json last_changes = Json::object();  ///< who changed a value last (settings.hpp)
};

/// Everything at one moment.
struct State {
  std::int64_t sequence = 0;  ///< of the last commit that is in it
  std::int64_t load = 0;      ///< rises when steps and subjects are numbered anew
  std::shared_ptr<const Head> head;
  Live live;
  double read = 1;  ///< how much of the numbers of records stands in the columns already, 0 to 1
  int subject_count = 0;
  Column<std::shared_ptr<const SubjectView>> subjects;
  std::shared_ptr<const std::vector<int>> by_order;  ///< all subjects, sorted by order key
  std::vector<std::shared_ptr<const StepView>> steps;
  int file_count = 0;
  Column<std::shared_ptr<const FileView>> files;
  /// The last decision of a person about an item, by step and subject.
  std::shared_ptr<const std::map<std::pair<int, int>, store::DecisionRow>> people;

  [[nodiscard]] const flow::PlannedStep& planned(int step) const {
    return head->plan.steps[static_cast<std::size_t>(step)];
  }
  [[nodiscard]] const StepView& step(int index) const { return *steps[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const SubjectView& subject(int index) const { return *subjects[index]; }
  /// The subjects in a set, sorted by order key.
  [[nodiscard]] std::vector<int> members(int step, int port) const;
  /// Step and port that made what a subject has in a set: where its numbers stand.
  [[nodiscard]] std::pair<int, int> origin(int step, int port, int subject) const;
};

/// Follows the feed of changes, in the thread that calls it.
class Builder {
 public:
  /// @param reader  of the project; used in the caller's thread only
  explicit Builder(std::unique_ptr<store::Reader> reader);
  ~Builder();

  /// @param head  null unless the changes say that all is anew, or the steps have other parameters
  void apply(const Changes& changes, std::shared_ptr<const Head> head, Live live);
  /// Reads numbers of records that stand in no column yet, for about so long. @return false when there are none left
  bool read_numbers(double most_s);
  [[nodiscard]] std::shared_ptr<const State> publish();
  [[nodiscard]] store::Reader& reader() { return *reader_; }

 private:
  struct Unread {
    int step, port, subject;  ///< port −1: the decision of a filter
    std::int64_t number;      ///< of the item, or of the filter's task
  };
  void begin_anew(std::shared_ptr<const Head> head, std::int64_t sequence);
  StepView& edit(int step);
  void add_subjects(const std::vector<SubjectAdded>& added);
  [[nodiscard]] std::string name_for(const SubjectView& subject);
  void tell_account(Status& status);
  void add_files();
  void add_file(store::FileRow row);
  void place(const ItemPlaced& placed);
  void change(const CellChanged& cell);
  void rewind(int step, int kept);
  void take_version(const VersionMade& made);
  void read_people();
  void note_people(const std::vector<store::DecisionRow>& rows);
  void read(const Unread& one);
  void note_numbers(int step, int port, int subject, std::string_view record);
  void read_decision(int step, int subject, std::int64_t task);
  void note_decision(const RuleDecided& decided);
  void sort_subjects();
  [[nodiscard]] bool is_filter(int step) const;

  std::unique_ptr<store::Reader> reader_;
  std::unique_ptr<Accountant> accountant_;
  State state_;
  std::vector<std::shared_ptr<StepView>> steps_;     ///< those of the state, for editing
  std::vector<std::uint64_t> made_for_;              ///< by step: publication for which it may be edited
  std::vector<std::vector<std::int64_t>> ruled_by_;  ///< by step and subject: task whose decision is in the columns
  std::uint64_t publication_ = 1;
  std::int64_t load_ = 0;
  std::int64_t last_file_ = 0;
  std::unordered_map<std::string, std::pair<std::string, double>> files_of_subjects_;  ///< path and time
  std::unordered_map<std::string, int> subject_by_id_;
  std::unordered_map<std::string, std::string> names_;  ///< short names that are taken: id of the subject
  std::deque<Unread> unread_;
  std::size_t unread_at_start_ = 0;  ///< when there last were none
  std::vector<int> unsorted_;        ///< subjects not yet in by_order
};

/// A moment of a project, and the way to the rows behind it.
struct Reading {
  std::shared_ptr<const State> state;
  store::Reader& reader;
};

/// The states that the engine publishes, prepared in a thread of its own.
class View {
 public:
  explicit View(std::unique_ptr<store::Reader> reader);
  ~View();
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  /// Called by the engine after a commit. Returns at once.
  void apply(Changes changes, std::shared_ptr<const Head> head, Live live);
  /// What was published last; null before the first time.
  [[nodiscard]] std::shared_ptr<const State> state() const;
  /// Waits for a state of a later commit than this. @return null when asked to stop
  [[nodiscard]] std::shared_ptr<const State> wait_for_later(std::int64_t sequence, const std::stop_token& stop) const;
  /// Waits until what this commit changed can be read. @return false if that took longer than `most_s`
  bool wait_for(std::int64_t sequence, double most_s) const;

 private:
  struct Fed {
    Changes changes;
    std::shared_ptr<const Head> head;
    Live live;
  };
  void work(const std::stop_token& stop);

  Builder builder_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::deque<Fed> fed_;
  std::shared_ptr<const State> state_;
  std::jthread thread_;
};

}  // namespace frazil::engine
