// What a protocol is to the rest of the program: a name, parameters, typed ports and one function from items to items.
//
// A map takes one item on each input port and returns a record, or a struct of named ports:
//
//   struct EstimateCtf {
//     static constexpr flow::Info info{.name = "estimate-ctf", .title = "CTF estimation", .version = 1, ...};
//     using Params = ctf::FitParams;
//     using Input = Micrograph;             // a record, or a struct with ports()
//     using Output = CtfFit;                // likewise
//     Params params;
//     Output process(const Input&, flow::Context&) const;
//   };
//
// A filter is a map whose Output is Decision: the item of its first input port goes, unchanged, to the port `accepted`
// or `set_aside`. A fold has `Output fold(const Output* previous, const std::vector<Input>& batch, Context&) const`:
// a pure function of the previous version of its output (null at first) and the next members of its input set.
// An iteration works on a whole set for minutes to hours, as executions of minutes: see iterate.hpp.
// A source has no Input: `flow::Watch watch() const` says which files to look for, `static flow::FileCheck check(path)`
// whether one is whole, and `Output record(path, reference) const` what it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "frazil/base/random.hpp"
#include "frazil/flow/cache.hpp"
#include "frazil/flow/decision.hpp"
#include "frazil/params/fields.hpp"
#include "frazil/params/finding.hpp"

namespace frazil::flow {

/// How far a protocol has come; shown by `frazil protocols`.
enum class State { stable, first_version };

struct Info {
  std::string_view name, title;
  int version = 1;              ///< raise it when numbers change: old results then count as outdated
  std::string_view cites = {};  ///< DOI of the method
  std::string_view help = {};
  State state = State::first_version;
  std::string_view thin = {};  ///< what is still missing, in one sentence; empty: nothing
};

/// The device every program has: results on it carry no mark of a device in their keys.
inline constexpr std::string_view cpu_device = "cpu";

/// A class of devices that a protocol can compute on.
struct Device {
  std::string name;
  int gpus = 0;  ///< that one execution has for itself
};

/// What a running protocol may use of its surroundings. There is nothing else: no globals, no clock, no paths of its
/// own.
class Context {
 public:
  virtual ~Context() = default;
  /// Path to write an output file to now. `name` is relative to the folder of this task's outputs; files appear under
  /// their final name together, when the task has succeeded.
  [[nodiscard]] virtual std::filesystem::path output(std::string_view name) = 0;
  /// What a record must hold to name that file: relative to the project, or as the user will find it.
  [[nodiscard]] virtual std::string reference(std::string_view name) const = 0;
  /// Path on disk of a file that an input record names.
  [[nodiscard]] virtual std::filesystem::path input(const std::string& reference) const = 0;
  /// Tells what an input file holds that was read to its end: its content_hash. Whoever watches that file then notices
  /// when it is written anew.
  virtual void has_read(const std::string& reference, const std::string& content) {
    (void)reference;
    (void)content;
  }
  /// Folder for temporary files, removed afterwards.
  [[nodiscard]] virtual std::filesystem::path scratch() = 0;
  [[nodiscard]] virtual int threads() const = 0;
  /// Numbers of the GPUs reserved for this task, as CUDA_VISIBLE_DEVICES wants them; empty: none are.
  [[nodiscard]] virtual std::string gpus() const { return {}; }
  /// Class of the device that the heavy part of the task computes on: one of its protocol's `devices`.
  [[nodiscard]] virtual std::string device() const { return std::string(cpu_device); }
  /// Seeded by project seed, step and input ids, never by time.
  [[nodiscard]] virtual Rng rng() const = 0;
  /// Throws Error(cancelled) when somebody asked to stop; call it now and then in long loops.
  virtual void check_cancelled() const = 0;
  /// True when others wait for the threads of this task. `check_cancelled` then pauses until they are free again; a
  /// task that would rather begin anew throws Error(cancelled): it is started again later.
  [[nodiscard]] virtual bool should_yield() const { return false; }
  /// Tells how far the task has come. @param fraction  done, 0 to 1; NaN: not known
  virtual void progress(double fraction, std::string_view what) = 0;
  /// What this process keeps from one task to the next: `cache().cached<T>(key, make)`.
  [[nodiscard]] virtual Cache& cache() { return own_cache_; }
  /// What every task of a worker needs anew otherwise: weights, references, plans. The key names all that the value
  /// follows from, files by their content. See cache.hpp.
  template <class T, class Make>
  [[nodiscard]] std::shared_ptr<const T> cached(const std::string& key, Make&& make) {
    return cache().get<T>(key, std::forward<Make>(make));
  }

 private:
  Cache own_cache_;
};

struct PortInfo {
  std::string name, kind;
  bool optional = false;                           ///< may stay unconnected (input) or empty (output)
  bool many = false;                               ///< a list
  const std::vector<FieldInfo>* fields = nullptr;  ///< of its records; null: of a kind that only a plugin knows
};

/// Declares a member of an Input or Output struct as a port.
template <class S, class T>
struct Port {
  T S::*member;
  std::string_view name;
};
template <class S, class T>
constexpr Port<S, T> port(T S::*member, std::string_view name) {
  return {member, name};
}

template <class T>
concept Record = Described<T> && requires {
  { T::kind } -> std::convertible_to<std::string_view>;
};
template <class T>
concept Ported = requires {
  T::ports();
};

enum class Shape { source, map, filter, fold, iterate };
constexpr auto names_of(Shape) { return std::array{"source", "map", "filter", "fold", "iterate"}; }
[[nodiscard]] constexpr std::string_view to_string(Shape shape) { return name_of(shape); }
/// Works on lists of items and gives versions of its own.
[[nodiscard]] constexpr bool takes_lists(Shape shape) { return shape == Shape::fold || shape == Shape::iterate; }

/// The calls of an iteration, in order; `part` and `step` come again and again.
enum class Stage { start, part, step, finish };

/// Is a file whole? `growing` is looked at again, `broken` is quarantined once it has stopped changing, `left_out` is
/// no part of the stream. A reason with `complete` is said when the file is taken.
struct FileCheck {
  enum class State { complete, growing, broken, left_out } state = State::complete;
  std::string reason = {};
  bool is_doubtful = false;  ///< whole against what its header says: taken only when it has stopped changing
};

/// Which files a source watches, and when its stream ends.
struct Watch {
  std::string files;                         ///< folder (with all below it), glob pattern or single file
  std::vector<std::string> extensions = {};  ///< lower case with dot; empty: any
  int expected = 0;                          ///< closes after so many files; 0: no such limit
  double idle_s = 0;                         ///< closes after so long without a new file; 0: no such limit
  double patience_s = 60;  ///< a file incomplete and unchanged for so long is named, and no longer waited for
  double settle_s = 5;     ///< a broken file unchanged for so long is quarantined
  double companion_s =
      0;  ///< where files of the stream have companions, one without waits so long for its own; 0: no file waits
  std::vector<std::string> exclude = {};  ///< patterns of paths below the folder, or of file names, that are left out
  std::vector<Finding> notes = {};        ///< what cannot be meant like this: alarms from the start on
  double quiet_s = 1;  ///< a file that nobody was seen to close must not have changed for so long: space can be there
                       ///< before content
  std::vector<std::pair<std::string, std::string>> apart = {};  ///< files with another purpose, and which: left out
};

/// The least that an execution can work on: the sum of a field over the records of one input port. Of a fold: over its
/// first list.
struct Need {
  std::string port, field;  ///< field empty: records are counted
  double at_least = 0;
  std::string of;  ///< what is counted, as people call it: "particles"
};

/// What can be told of an execution before it runs.
struct Foresight {
  std::vector<Finding> problems = {};  ///< why it would fail
  std::vector<Finding> findings = {};  ///< it would not, and yet this is wrong
};
/// A value of a parameter that a file tells.
struct ToldValue {
  std::string parameter;
  double value = 0;
  std::string from;  ///< which file: "EPU's XML"
};
/// An output port that stays empty, and why.
struct Withheld {
  std::string port, reason;
};

/// What a source adds to a protocol. The engine watches, orders, hashes and remembers the files.
struct Source {
  std::function<Watch(const Json& params)> watch;
  std::function<FileCheck(const std::filesystem::path& path)> check;
  /// The record of one complete file; `reference` is how the record must name it. @throws Error: the file is
  /// quarantined
  std::function<Json(const std::filesystem::path& path, const std::string& reference, const Json& params)> record;
  /// Whether the companion of a file is there: what another program says about it, which the record takes up. None:
  /// files come alone.
  std::function<bool(const std::filesystem::path& path, const Json& params)> has_companion;
  /// Where the record of a file contradicts the parameters. None: nothing is compared.
  std::function<std::vector<Finding>(const Json& record, const Json& params)> contradictions;
  /// What the record of a file tells of parameters, set or not. None: nothing.
  std::function<std::vector<ToldValue>(const Json& record, const Json& params)> told;
  /// A short name for a file, of which people can read where it comes from; empty: its own name is that. None: always.
  std::function<std::string(const std::string& path)> short_name;
};

/// Records on the input ports of one execution: port name → records (one for a map, the batch for a fold).
using Records = std::vector<std::pair<std::string, std::vector<Json>>>;

/// What an iteration adds to a protocol. Asked by the engine, so quick, and of nothing but its arguments.
struct Iterate {
  std::string state_kind, part_kind;  ///< kinds of their records; no kind of parts: a step is one call
  int kept = 2;                       ///< states whose files stay, the last first
  /// Calls that the next step consists of; 0: it is done.
  std::function<int(const Json& params, const Json& state)> parts;
  /// Done of the whole, 0 to 1; NaN: not known.
  std::function<double(const Json& params, const Json& state)> fraction;
};

/// A protocol with its types erased: what the registry holds and the engine runs.
struct Protocol {
  std::string name, title, cites, help, thin;
  int version = 1;
  State state = State::first_version;
  Shape shape = Shape::map;
  std::vector<PortInfo> inputs, outputs;
  std::string json_port;  ///< output port whose records are the --json lines of the protocol
  std::vector<FieldInfo> params;
  /// All problems of a parameter object, empty when it is good.
  std::function<std::vector<std::string>(const Json& params)> check;
  /// The canonical text of result-relevant parameters.
  std::function<std::string(const Json& params)> key;
  /// Runs it. For a filter the result has one port "decision"; for a fold `previous` is its last output or null.
  std::function<Records(const Json& params, const Records& inputs, const Records* previous, Context& context)> run;
  /// Estimate of peak memory in MiB from the input records; the engine refines it from what was measured.
  std::function<int(const Json& params, const Records& inputs)> memory_mib;
  /// Empty: works on anything. With less nothing starts, and that is no failure.
  std::function<std::vector<Need>(const Json& params)> needs;
  int gpus = 0;  ///< that one execution has for itself
  /// Where its heavy part may compute, if that can be chosen; "cpu" among them. Of P: `static std::vector<flow::Device>
  /// devices()`.
  std::vector<Device> devices;
  /// Of filters: may hold an item. Inputs whose set is another stream's are its reference: it goes by their latest item
  /// instead of waiting for the last, and what it holds is decided again when there is a later one.
  bool may_hold = false;
  /// Names and versions of the other programs that it calls; unset: none.
  std::function<std::vector<std::string>()> programs;
  /// What can be told before it runs; reads the files that its inputs name. None: nothing can.
  std::function<Foresight(const Json& params, const Records& inputs, const Context& context)> foresee;
  /// Bytes that it writes for such inputs, about. None: nobody knows.
  std::function<double(const Json& params, const Records& inputs)> bytes_written;
  /// Optional outputs that it does not give for such inputs. None: it may give all.
  std::function<std::vector<Withheld>(const Json& params, const Records& inputs)> withholds;
  /// Set for the shape `source` alone.
  Source source;
  /// Set for the shape `iterate` alone.
  Iterate iterate;
  /// Set for filters alone: reads the inputs of one execution once, so that they can be decided on again and again.
  std::function<std::shared_ptr<const void>(const Records& inputs)> parse_inputs;
  /// Of filters: what it says of such inputs under these parameters, as `run` would. The answer throws
  /// Error(unsupported) if the filter reads files.
  std::function<std::function<Decision(const void* inputs)>(const Json& params)> decide;
};

/// Names of the devices that it can compute on; "cpu" alone where that cannot be chosen.
[[nodiscard]] std::vector<std::string> device_names(const Protocol& protocol);
/// The device of that name; "" is the CPU. @throws Error(unsupported) naming those that the protocol has
[[nodiscard]] Device device_of(const Protocol& protocol, std::string_view name);

/// Every protocol of the program, by name.
class Registry {
 public:
  void add(Protocol protocol);
  /// Null when there is none.
  [[nodiscard]] const Protocol* find(std::string_view name) const;
  /// @throws Error(not_found) with the nearest names
  [[nodiscard]] const Protocol& at(std::string_view name) const;
  [[nodiscard]] const std::vector<Protocol>& all() const { return protocols_; }

 private:
  std::vector<Protocol> protocols_;
};

/// "Micrograph" → "micrographs": the name of a lone port.
[[nodiscard]] std::string default_port(std::string_view kind);
/// The ports of a filter with these inputs: what goes in on the first comes out on one of them.
[[nodiscard]] std::vector<PortInfo> filter_outputs(const std::vector<PortInfo>& inputs);
/// JSON description of a protocol, as `frazil protocols NAME --json` prints it.
[[nodiscard]] Json describe(const Protocol& protocol);

namespace detail {

template <class T>
struct PortType {
  using Record = T;
  static constexpr bool optional = false, many = false;
};
template <class T>
struct PortType<std::optional<T>> {
  using Record = T;
  static constexpr bool optional = true, many = false;
};
template <class T>
struct PortType<std::vector<T>> {
  using Record = T;
  static constexpr bool optional = false, many = true;
};

template <class T>
std::vector<PortInfo> ports_of() {
  std::vector<PortInfo> list;
  if constexpr (Ported<T>) {
    std::apply(
        [&](const auto&... p) {
          (([&] {
             using Member = std::remove_cvref_t<decltype(std::declval<T>().*(p.member))>;
             using Type = PortType<Member>;
             list.push_back({std::string(p.name), std::string(Type::Record::kind), Type::optional, Type::many,
                             &infos_of<typename Type::Record>()});
           }()),
           ...);
        },
        T::ports());
  } else {
    list.push_back({default_port(T::kind), std::string(T::kind), false, false, &infos_of<T>()});
  }
  return list;
}

const std::vector<Json>* find_port(const Records& records, std::string_view name);

/// @throws Error(bad_input) with the port and all problems, if there are any
void refuse(std::string_view port, const std::vector<std::string>& problems);
/// The same error, its message beginning with the file of the first input record (and how many others there are) unless
/// it names that file already.
[[noreturn]] void rethrow_named(const Error& error, const Records& inputs);

/// The record as JSON, if its numbers may stand in a record. @throws Error(bad_input) naming the field that may not
template <class R>
Json checked_json(const R& record, std::string_view port) {
  auto json = record_to_json(record);
  refuse(port, record_problems<R>(json));
  return json;
}

/// The same for what a filter answers.
[[nodiscard]] Json checked_decision(const Decision& decision);

/// Refuses every record on the input ports of an execution whose numbers may not stand in a record.
template <class T>
void check_inputs(const Records& records) {
  const auto check = [&]<class R>(const R*, std::string_view port) {
    if (const auto* list = find_port(records, port))
      for (const auto& json : *list) refuse(port, record_problems<R>(json));
  };
  if constexpr (Ported<T>)
    std::apply(
        [&](const auto&... p) {
          (check(static_cast<
                     const typename PortType<std::remove_cvref_t<decltype(std::declval<T>().*(p.member))>>::Record*>(
                     nullptr),
                 p.name),
           ...);
        },
        T::ports());
  else
    check(static_cast<const T*>(nullptr), default_port(T::kind));
}

template <class T>
T input_from(const Records& records, std::size_t index) {
  const auto one = [&](std::string_view name, bool optional) -> const Json* {
    const auto* list = find_port(records, name);
    if (list == nullptr || index >= list->size()) {
      if (optional) return nullptr;
      throw Error(ErrorCode::bug, "input port {} has no record {}", name, index);
    }
    return &(*list)[index];
  };
  if constexpr (Ported<T>) {
    T input{};
    std::apply(
        [&](const auto&... p) {
          (([&] {
             using Member = std::remove_cvref_t<decltype(input.*(p.member))>;
             using Type = PortType<Member>;
             if constexpr (Type::many) {
               if (const auto* list = find_port(records, p.name))
                 for (const auto& json : *list)
                   (input.*(p.member)).push_back(record_from_json<typename Type::Record>(json));
             } else if (const auto* json = one(p.name, Type::optional)) {
               input.*(p.member) = record_from_json<typename Type::Record>(*json);
             }
           }()),
           ...);
        },
        T::ports());
    return input;
  } else {
    return record_from_json<T>(*one(default_port(T::kind), false));
  }
}

template <class T>
Records output_to(const T& output) {
  Records records;
  if constexpr (Ported<T>) {
    std::apply(
        [&](const auto&... p) {
          (([&] {
             using Member = std::remove_cvref_t<decltype(output.*(p.member))>;
             using Type = PortType<Member>;
             std::vector<Json> list;
             if constexpr (Type::many) {
               for (const auto& record : output.*(p.member)) list.push_back(checked_json(record, p.name));
             } else if constexpr (Type::optional) {
               if (output.*(p.member)) list.push_back(checked_json(*(output.*(p.member)), p.name));
             } else {
               list.push_back(checked_json(output.*(p.member), p.name));
             }
             records.emplace_back(std::string(p.name), std::move(list));
           }()),
           ...);
        },
        T::ports());
  } else {
    const auto port = default_port(T::kind);
    records.emplace_back(port, std::vector<Json>{checked_json(output, port)});
  }
  return records;
}

template <class P>
typename P::Params parse_params(const Json& json) {
  std::vector<std::string> problems;
  auto params = params_from_json<typename P::Params>(json, problems);
  if (!problems.empty()) {
    std::string all;
    for (const auto& problem : problems) all += (all.empty() ? "" : "; ") + problem;
    throw Error(ErrorCode::bad_input, "{}: {}", P::info.name, all);
  }
  return params;
}

}  // namespace detail

/// For folds, which are given many records: refuses one whose numbers may not stand in a record.
/// @throws Error(bad_input) beginning with `place`
template <Record R>
void refuse_impossible(const R& record, std::string_view place) {
  detail::refuse(place, record_problems<R>(record_to_json(record)));
}

namespace detail {

/// Surroundings of a filter that is asked what it would decide.
class NoFiles final : public Context {
 public:
  std::filesystem::path output(std::string_view) override { refuse(); }
  std::string reference(std::string_view) const override { refuse(); }
  std::filesystem::path input(const std::string&) const override { refuse(); }
  std::filesystem::path scratch() override { refuse(); }
  int threads() const override { return 1; }
  Rng rng() const override { return Rng(1); }
  void check_cancelled() const override {}
  void progress(double, std::string_view) override {}

 private:
  [[noreturn]] static void refuse() {
    throw Error(ErrorCode::unsupported, "this filter reads files: its answer cannot be told from stored numbers");
  }
};

/// What all shapes have in common.
template <class P>
Protocol protocol_header() {
  Protocol protocol;
  protocol.name = P::info.name;
  protocol.title = P::info.title;
  protocol.cites = P::info.cites;
  protocol.help = P::info.help;
  protocol.thin = P::info.thin;
  protocol.version = P::info.version;
  protocol.state = P::info.state;
  protocol.params = frazil::describe<typename P::Params>();
  protocol.check = [](const Json& json) {
    std::vector<std::string> problems;
    (void)params_from_json<typename P::Params>(json, problems);
    return problems;
  };
  protocol.key = [](const Json& json) { return result_key(parse_params<P>(json)); };
  return protocol;
}

}  // namespace detail

/// Erases the types of source P.
template <class P>
Protocol make_source() {
  Protocol protocol = detail::protocol_header<P>();
  protocol.shape = Shape::source;
  protocol.outputs = detail::ports_of<typename P::Output>();
  protocol.run = [](const Json&, const Records&, const Records*, Context&) -> Records {
    throw Error(ErrorCode::bug, "{} is a source: the engine watches its files and never runs it", P::info.name);
  };
  protocol.memory_mib = [](const Json&, const Records&) { return 0; };
  protocol.source.watch = [](const Json& json) { return P{detail::parse_params<P>(json)}.watch(); };
  protocol.source.check = [](const std::filesystem::path& path) { return P::check(path); };
  protocol.source.record = [](const std::filesystem::path& path, const std::string& reference, const Json& json) {
    return detail::checked_json(P{detail::parse_params<P>(json)}.record(path, reference), path.string());
  };
  if constexpr (requires(const P& p, const std::filesystem::path& path) { p.has_companion(path); })
    protocol.source.has_companion = [](const std::filesystem::path& path, const Json& json) {
      return P{detail::parse_params<P>(json)}.has_companion(path);
    };
  if constexpr (requires(const P& p, const typename P::Output& record) { p.told(record); })
    protocol.source.told = [](const Json& record, const Json& json) {
      return P{detail::parse_params<P>(json)}.told(record_from_json<typename P::Output>(record));
    };
  if constexpr (requires(const P& p, const typename P::Output& record) { p.contradictions(record); })
    protocol.source.contradictions = [](const Json& record, const Json& json) {
      return P{detail::parse_params<P>(json)}.contradictions(record_from_json<typename P::Output>(record));
    };
  if constexpr (requires(const std::string& path) { P::short_name(path); })
    protocol.source.short_name = [](const std::string& path) { return P::short_name(path); };
  return protocol;
}

/// Erases the types of map, filter or fold P.
template <class P>
Protocol make_protocol() {
  using Input = typename P::Input;
  using Output = typename P::Output;
  constexpr bool is_fold = requires(const P& p, const Output* o, const std::vector<Input>& b, Context& c) {
    p.fold(o, b, c);
  };
  constexpr bool is_filter = std::is_same_v<Output, Decision>;
  Protocol protocol = detail::protocol_header<P>();
  protocol.shape = is_fold ? Shape::fold : is_filter ? Shape::filter : Shape::map;
  protocol.inputs = detail::ports_of<Input>();
  if constexpr (is_filter)
    protocol.outputs = filter_outputs(protocol.inputs);
  else
    protocol.outputs = detail::ports_of<Output>();
  if constexpr (requires { P::json_port; })
    protocol.json_port = P::json_port;
  else
    protocol.json_port = is_filter ? "decision" : protocol.outputs.front().name;
  protocol.run = [](const Json& json, const Records& inputs, const Records* previous, Context& context) -> Records {
    const P instance{detail::parse_params<P>(json)};
    try {
      if constexpr (is_fold) {
        std::optional<Output> last;
        if (previous != nullptr) last = detail::input_from<Output>(*previous, 0);
        std::vector<Input> batch;
        const auto* first = inputs.empty() ? nullptr : &inputs.front().second;
        for (std::size_t i = 0; first != nullptr && i < first->size(); ++i)
          batch.push_back(detail::input_from<Input>(inputs, i));
        return detail::output_to(instance.fold(last ? &*last : nullptr, batch, context));
      } else {
        // What a filter cannot judge breaks its rule; others would compute with it.
        if constexpr (!is_filter) detail::check_inputs<Input>(inputs);
        const auto output = instance.process(detail::input_from<Input>(inputs, 0), context);
        if constexpr (is_filter)
          return {{"decision", {detail::checked_decision(output)}}};
        else
          return detail::output_to(output);
      }
    } catch (const Error& error) {
      detail::rethrow_named(error, inputs);
    }
  };
  if constexpr (requires { P::may_hold; }) protocol.may_hold = P::may_hold;
  if constexpr (requires(const P& p, const Input& i, const Context& c) { p.foresee(i, c); })
    protocol.foresee = [](const Json& json, const Records& inputs, const Context& context) {
      return P{detail::parse_params<P>(json)}.foresee(detail::input_from<Input>(inputs, 0), context);
    };
  if constexpr (requires(const P& p, const Input& i) { p.bytes_written(i); })
    protocol.bytes_written = [](const Json& json, const Records& inputs) {
      return P{detail::parse_params<P>(json)}.bytes_written(detail::input_from<Input>(inputs, 0));
    };
  if constexpr (requires(const P& p, const Input& i) { p.withholds(i); })
    protocol.withholds = [](const Json& json, const Records& inputs) {
      return P{detail::parse_params<P>(json)}.withholds(detail::input_from<Input>(inputs, 0));
    };
  if constexpr (requires { P::devices(); }) protocol.devices = P::devices();
  if constexpr (is_filter) {
    protocol.parse_inputs = [](const Records& inputs) -> std::shared_ptr<const void> {
      return std::make_shared<const Input>(detail::input_from<Input>(inputs, 0));
    };
    protocol.decide = [](const Json& json) -> std::function<Decision(const void*)> {
      return [instance = P{detail::parse_params<P>(json)}](const void* inputs) {
        detail::NoFiles context;
        return instance.process(*static_cast<const Input*>(inputs), context);
      };
    };
  }
  if constexpr (requires(const P& p) {
                  { p.needs() } -> std::same_as<std::vector<Need>>;
                })
    protocol.needs = [](const Json& json) { return P{detail::parse_params<P>(json)}.needs(); };
  protocol.memory_mib = [](const Json& json, const Records& inputs) -> int {
    if constexpr (requires(const P& p, const Input& i) {
                    { p.memory_mib(i) } -> std::convertible_to<int>;
                  }) {
      if constexpr (!is_fold) return P{detail::parse_params<P>(json)}.memory_mib(detail::input_from<Input>(inputs, 0));
    }
    (void)json;
    (void)inputs;
    return 512;
  };
  return protocol;
}

}  // namespace frazil::flow
