// What has happened to a project, and what follows from it: its database, of which this is the only writer, and the
// graph over it. An event in, changes out; a commit numbers them. Knows nothing of threads, workers, folders that are
// watched, sockets or clocks: who carries out what follows is told through Duties.
#pragma once

#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "frazil/engine/command.hpp"
#include "frazil/engine/contents.hpp"
#include "frazil/engine/dispatcher.hpp"
#include "frazil/engine/feeder.hpp"
#include "frazil/engine/graph.hpp"
#include "frazil/engine/intake.hpp"
#include "frazil/engine/judge.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/marker.hpp"
#include "frazil/engine/replay.hpp"
#include "frazil/engine/stream_findings.hpp"
#include "frazil/flow/foresight.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

/// The workflow with its parameters' defaults replaced by what was chosen: replays exactly.
[[nodiscard]] std::string replayable(const flow::Workflow& workflow, const Json& values);

/// Another engine has taken the project: this one must write no more.
class Fenced : public Error {
 public:
  using Error::Error;
};

/// What follows from events, for whoever runs things to carry out, in the order in which it is told.
class Duties {
 public:
  virtual ~Duties() = default;
  /// To be run. @param order  among those of its step
  virtual void start(Execution execution, std::string order) = 0;
  /// Asked for before, and wanted no more.
  virtual void drop(const Execution& execution) = 0;
  /// Takes back what has not begun of a step. @return the subjects
  virtual std::vector<int> withdraw(int step) = 0;
  /// All steps that take this subject by itself are through with it for the first time.
  virtual void through(int subject) = 0;
};

/// Tells the intake what a file holds that somebody has read to its end. @return whether it is one of a source, of
/// which nobody knew that
bool note_reading(const flow::Plan& plan, Intake& intake, const std::string& reference, const std::string& content);

/// A question that nobody has answered yet.
struct Question {
  store::QuestionRow row;
  std::optional<Execution> execution;  ///< none: a trigger waits for approval
};

class Ledger final : private Knowledge {
 public:
  struct Settings {
    std::filesystem::path project;
    std::string program;     ///< name and version of this program: noted with every task
    bool read_only = false;  ///< takes no lease and writes nothing
  };

  /// Opens the project folder and makes it this process's. @throws Error(not_found) if there is none, Error(resource)
  /// if another engine works on it, Error(bad_input) if its database is older than its results
  Ledger(Settings settings, const flow::Registry& registry, Duties& duties);
  ~Ledger() override;

  // ---- ledger.cpp: opening, and making durable
  /// Replays what is stored into a fresh graph; the files into the intake. What follows is told as if it were new.
  void load(Intake& intake);
  /// From now on what happens is worth an event.
  void begin() { is_at_work_ = true; }
  [[nodiscard]] bool dirty() const { return store_.dirty(); }
  /// Makes everything so far durable. @throws Fenced, Error(io|resource): nothing of it is there then, and it must be
  /// loaded again
  void commit();
  /// Drops what happened since the last commit. It must be loaded again.
  void rollback() { store_.rollback(); }
  /// Number of the last commit.
  [[nodiscard]] std::int64_t sequence() const { return sequence_; }
  /// What the last commit has changed, and the head if it is another.
  [[nodiscard]] std::pair<Changes, std::shared_ptr<const Head>> take_changes();
  [[nodiscard]] bool has_changes() const { return !feeder_.empty() || untold_head_ != nullptr; }

  // ---- what is so
  [[nodiscard]] const flow::Plan& plan() const { return plan_; }
  [[nodiscard]] const flow::PlannedStep& step(int index) const { return plan_.steps[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Graph& graph() const { return *graph_; }
  [[nodiscard]] const std::filesystem::path& project() const { return settings_.project; }
  [[nodiscard]] bool is_read_only() const { return settings_.read_only; }
  [[nodiscard]] std::int64_t epoch() const { return epoch_; }
  [[nodiscard]] const store::Project& store() const { return store_; }
  /// For reading rows in the thread of the owner.
  [[nodiscard]] store::Reader& rows() { return store_; }
  /// Result folders that no stored task owned when the project was opened.
  [[nodiscard]] const std::vector<std::filesystem::path>& orphans() const { return orphans_; }
  /// What a step waits for that is not there, or never came, in one sentence; empty: nothing.
  [[nodiscard]] std::string note_of(int step) const;
  /// The record of an item of the graph as JSON.
  [[nodiscard]] Json record_of(std::int64_t item) { return Json::parse(store_.record(item)); }
  [[nodiscard]] bool is_closed_for_good(int step);
  [[nodiscard]] bool has_companions(int step) { return store_.get("companions:" + this->step(step).name).has_value(); }
  [[nodiscard]] bool knows(const std::string& subject) const { return graph_->find_subject(subject) >= 0; }

  // ---- ledger_sources.cpp: what intake has found
  /// @param label  what people call the file of an item
  /// @return the subject that it has become, −1: none
  int note_finding(const Found& finding, const std::string& label);
  /// Lets everything follow from what has been found and decided.
  void settle();
  void close_stream(int step);
  /// Lets everything follow from what has been decided about files that were replaced.
  void follow_decisions();
  /// The stream is to end when its files are in.
  void note_end(int step) { store_.put("closed:" + this->step(step).name, closing(step)); }
  /// As at the end of a stream, for readers alone: nothing of it is stored.
  void show_closed(int step) { graph_->close_source(step); }
  /// Forms the list from those that wait for it.
  void cut_pending(int step);
  /// All that is wrong with what comes from a source.
  [[nodiscard]] std::vector<Finding> findings_of(int step) const;

  // ---- ledger_tasks.cpp: what is run, and what has ended
  [[nodiscard]] std::string label_of(const Execution& execution) const;
  [[nodiscard]] std::string order_of(const Execution& execution) const;
  /// Where the results will lie, relative to the project.
  [[nodiscard]] std::string reference_of(const Execution& execution) const;
  [[nodiscard]] exec::RecordTexts records_of(const Execution& execution);
  [[nodiscard]] exec::Task compose(const Execution& execution, std::uint64_t number);
  /// Renames the temporary folder to its final name. @return false when that failed; the result then says so
  bool move_outputs(Ended& ended);
  /// Takes the result in, and lets everything follow from it.
  void record(const Ended& ended);
  void note_cost(const store::CostRow& cost) { store_.put_cost(cost); }
  void note_kills(const store::KillRow& kills) { store_.put_kills(kills); }
  void put_alarm(const store::AlarmRow& alarm) { store_.put_alarm(alarm); }
  void put(const std::string& key, const std::string& value) { store_.put(key, value); }
  void add_event(std::string_view kind, std::string_view step, std::string_view label, std::string_view text,
                 std::string_view actor = {}) {
    store_.add_event(kind, step, label, text, actor);
  }

  // ---- ledger_persons.cpp
  [[nodiscard]] const std::map<std::int64_t, Question>& questions() const { return questions_; }
  /// By number, or by the name of the step or item if it is the only one of that name.
  /// @throws Error(not_found|bad_input)
  [[nodiscard]] const Question& find_question(const std::string& text) const;
  /// The question is answered: its execution ends with what `record` is told next.
  void answered(std::int64_t question, std::string_view answer, const std::string& reason, const std::string& actor);
  /// A step that waits for a person may start.
  void approve(int step, const std::string& actor);

  // ---- ledger_requests.cpp: what people decide
  [[nodiscard]] Json restore(const Command& command);
  [[nodiscard]] Json set_aside(const Command& command);
  /// Other parameters. What was changed is durable when this returns.
  struct Set {
    Json changed = Json::array(), values = Json::array();  ///< steps; from what to what (settings.hpp)
    std::vector<int> steps;                                ///< that have other parameters: `follow_params` comes next
    bool is_anew = false;                                  ///< the graph is another: `load` comes next
  };
  [[nodiscard]] Set set(const Command& command);
  /// Steps whose parameters are others now: what they have made and decided is looked at anew.
  void follow_params(const std::vector<int>& steps, const Command& command);

 private:
  // What the graph asks:
  std::optional<Outcome> known(const Digest& key) override;
  double weight(std::int64_t item, const std::string& field) override;
  std::optional<bool> person(int step, const Digest& item) override;
  int parts(int step, std::int64_t state) override;

  void take_over();
  void open();
  void tell_anew();
  void tell_parameters();
  void recall_files(Intake& intake, const std::vector<store::FileRow>& files, const std::vector<Digest>& imported);
  /// Something in the project has a new name that the next commit relies on.
  void entry_made(const std::filesystem::path& path);
  void remove_retired();
  [[nodiscard]] std::string closing(int step) const;

  int import(const Found& finding, const std::string& label);
  void look_into(int step, const std::string& label, const Json& record, std::vector<Finding> foreseen);
  [[nodiscard]] std::string starvation_of(int step) const;
  void note_file(store::FileRow file);
  void retire(int step, const std::string& subject, const std::string& path);
  void link(const Sighting& sighting);

  void withdraw(int step);
  void commit_batch(const Effects::List& list);
  void step_closed(int step);
  [[nodiscard]] std::string label_of_call(const Execution& execution) const;
  static std::string_view kind_of_call(const flow::Protocol& protocol, std::string_view port);
  void add_call(const Execution& execution, exec::Task& task);
  std::vector<store::ItemRow> items_of(const store::TaskRow& row, const exec::Result& result) const;
  Marker marker_of(const Ended& ended);
  Outcome store_success(const Ended& ended);
  Outcome store_failure(const Ended& ended);
  store::TaskRow task_row(const Ended& ended) const;
  store::DecisionRow decision_row(const store::TaskRow& task, const ItemHandle& passed, const flow::Decision& decision,
                                  const std::string& actor) const;

  void ask(const Execution& execution);
  void ask_for_approval(int step);
  void ask(store::QuestionRow row, std::optional<Execution> execution);
  void withdraw_question(const Execution& execution);

  void decide(int step, int subject, const std::string& item, bool accepted, const Command& command);
  void decide_anew(int step, const std::vector<Said>& list);
  [[nodiscard]] std::string labels_of(const Command& command) const;

  Settings settings_;
  const flow::Registry& registry_;
  Duties& duties_;
  std::optional<Lease> lease_;  ///< none: for reading alone
  store::Project store_;
  flow::Workflow workflow_;
  flow::FileHashes files_;  ///< that parameters name
  flow::Plan plan_;
  Order order_ = Order::arrival;
  std::string seed_;
  std::string identity_;                        ///< of the project
  std::int64_t epoch_ = 0, sequence_ = 0;       ///< of this run; of the last commit
  std::vector<std::filesystem::path> orphans_;  ///< result folders that no stored task owns
  std::vector<std::string> programs_;           ///< by step: names and versions of those that compute it
  bool is_at_work_ = false;

  std::optional<Graph> graph_;
  std::optional<Replay> replay_;  ///< while loading
  std::map<std::pair<std::string, std::string>, bool> people_;
  std::vector<std::pair<int, int>> touched_;    ///< steps and subjects that a request has decided on
  std::map<std::int64_t, Question> questions_;  ///< open ones, by number

  std::map<int, StreamFindings> stream_findings_;  ///< by source
  flow::Samples samples_;                          ///< the last record of each source
  std::vector<flow::Starved> starved_;             ///< by step, as long as records are like these

  std::set<std::string> unsynced_;              ///< folders with new entries that a commit will rely on
  std::set<std::string> durable_;               ///< folders whose own entry is durable, or will be with the next commit
  std::vector<std::filesystem::path> retired_;  ///< folders of iterations to remove once all is committed
  std::future<void> removing_;
  Feeder feeder_;
  std::shared_ptr<const Head> head_, untold_head_;  ///< of the workflow as it is; what readers do not know of it yet
};

}  // namespace frazil::engine
