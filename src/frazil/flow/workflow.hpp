// A workflow as data: parameters, steps, inputs by name and triggers; read, checked and resolved into a plan.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frazil/flow/file_hashes.hpp"
#include "frazil/flow/protocol.hpp"

namespace frazil::flow {

/// Something wrong with a workflow, and where ("steps.align.inputs.movies").
struct Problem {
  std::string place, text;
};
/// "place: text" lines joined by newlines.
[[nodiscard]] std::string describe(const std::vector<Problem>& problems);

/// A value the user of a template may set; a form can be drawn from it. In JSON the type of text that names a file is
/// "path".
struct Parameter : FieldInfo {
  std::string title;
};

/// When a step acts on its input set as a whole.
struct Trigger {
  enum class Mode {
    none,     ///< every member as it comes
    first,    ///< JSON "static": the first `count` members, then the output closes
    dynamic,  ///< from `count` members on: those, then every member as it comes (a fold: what has gathered, whenever it
              ///< is idle)
    batches,  ///< every `count` members, and the remainder when the input closes
    closed    ///< once, when the input has closed; of a set with versions its latest
  } mode = Mode::none;
  double count = 0;
  std::string of;       ///< sum this field of the first input's record instead of counting members; empty: count
  double at_least = 0;  ///< with less of that nothing starts, not even at the end of the stream
  double every_s =
      0;  ///< a list is formed at the latest so long after its first member was ready; 0: however long it takes
  bool approve = false;    ///< nothing starts before a person has approved the step
  std::vector<int> stops;  ///< steps that take nothing new once this trigger (static or dynamic) has fired
};

/// A rule of alarms on a number of a step's results: raised when `count` of the last `in_last` lie beyond the limit.
struct Monitor {
  std::string name, title, advice;  ///< title: what is wrong, in a few words; advice: what to do, may be empty
  std::string kind = "filter";      ///< of the alarm: drift, ctf, …
  int step = 0, port = 0;           ///< whose records are looked at
  std::string field;                ///< key in the record, with its unit ("total_path_A")
  std::string unit;                 ///< of that number, for people
  std::optional<double> above, below;
  int count = 1, in_last = 1;

  [[nodiscard]] bool breaks(double value) const { return (above && value > *above) || (below && value < *below); }
};

/// A workflow as it was written; `${name}` not yet replaced.
struct Workflow {
  std::string name, title, help;
  std::vector<Parameter> parameters;
  std::vector<std::pair<std::string, Json>> steps;  ///< in the order of the file
  Json monitors = Json::array();                    ///< the rules of its alarms
  std::string device;  ///< of the steps that name none and can compute there; empty: the CPU
  std::string text;    ///< the JSON it was read from
};

/// A workflow whose parameters inherit ("of": "STEP.FIELD") what the field of that step's protocol declares: type,
/// unit, default, choices, and its help as title, each unless the parameter says otherwise. The text with all of it
/// written out; unchanged where nothing inherits. Appends unknown steps and fields.
[[nodiscard]] std::string inherit(std::string_view text, const Registry& registry, std::vector<Problem>& problems);

/// Reads a workflow that inherits nothing any more. Appends one problem for everything that is not as the language
/// wants it.
[[nodiscard]] Workflow parse_workflow(std::string_view text, std::vector<Problem>& problems);

/// Turns `key=value` texts into typed values. Keys are parameters of the workflow, or step.parameter (settings.hpp says
/// which value that means). Appends unknown keys and wrong types.
[[nodiscard]] Json parse_values(const Workflow& workflow, const Registry& registry,
                                const std::vector<std::pair<std::string, std::string>>& settings,
                                std::vector<Problem>& problems);

/// One output port of one planned step.
struct Endpoint {
  int step = 0, port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// An input port and where its items come from.
struct PlannedInput {
  std::string port;
  std::vector<Endpoint> from;  ///< several: the first that has the subject, or all of them if the port is a list
  bool optional = false, many = false;
  /// Its subjects have nothing to do with those of the first port: waits until the set is closed and takes its last
  /// item.
  bool broadcast = false;
};

/// What a step needs to start (Need), its port resolved.
struct PlannedNeed {
  int input = 0;      ///< index into PlannedStep::inputs
  std::string field;  ///< empty: items are counted
  double at_least = 0;
  std::string of;  ///< what is counted, for people
};

/// A step with everything resolved.
struct PlannedStep {
  std::string name, title;  ///< title: the workflow's for this step, else the protocol's; no other step has it
  const Protocol* protocol = nullptr;
  Json params = Json::object();
  std::vector<PlannedInput> inputs;
  std::vector<Endpoint> where;  ///< only subjects that are present in all of these sets
  Trigger trigger;
  std::vector<PlannedNeed> needs;
  bool optional = false;  ///< the first to wait under backlog
  int threads = 0;        ///< 0: as many as are free
  int gpus = 0;
  std::string device = std::string(cpu_device);  ///< where its heavy part computes; in the key unless it is the CPU
  bool by_person = false;                        ///< its results are a person's answers: nothing runs
  std::string key;                               ///< hash of protocol, version and result-relevant parameters
  int depth = 0;                                 ///< longest way from a source
  std::vector<int> roots;                        ///< the sources and folds whose subjects arrive here, sorted
  std::vector<int> out_roots;                    ///< those of what leaves: itself for sources and folds
  bool versioned = false;                        ///< its input subjects are versions of folds
};

/// Whether what it puts out are versions of one set, of which the last holds all: those of a fold, and what is made of
/// them.
[[nodiscard]] inline bool gives_versions(const PlannedStep& step) {
  return step.versioned || takes_lists(step.protocol->shape);
}

/// Steps in topological order, ready to run.
struct Plan {
  std::string name, title;
  Json values = Json::object();  ///< parameters with defaults filled in; "step.parameter": those set for one step
  std::vector<PlannedStep> steps;
  std::vector<Monitor> monitors;                        ///< those whose step is switched on
  [[nodiscard]] int find(std::string_view step) const;  ///< −1: none
};

/// Resolves a workflow. `values` holds typed values by parameter name, or "step.parameter"; missing ones take their
/// defaults.
/// `check_only` lets required parameters be missing. Appends every problem: unknown keys, protocols, ports and
/// parameters, kinds that do not fit, missing inputs, cycles.
/// @param files  contents of files that parameters name go into the keys by these; null: keys hold their names
[[nodiscard]] Plan make_plan(const Workflow& workflow, const Registry& registry, const Json& values,
                             std::vector<Problem>& problems, bool check_only = false, FileHashes* files = nullptr);

/// The files that parameters of the plan name, each with the place that names it ("import-movies.gain").
[[nodiscard]] std::vector<std::pair<std::string, std::string>> named_files(const Plan& plan);

}  // namespace frazil::flow
