// Protocols that add numbers: what the engine is tested with.
#pragma once

#include <fmt/format.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <thread>

#include "frazil/base/content_hash.hpp"
#include "frazil/base/files.hpp"
#include "frazil/flow/iterate.hpp"

namespace frazil::numbers {

struct Number {
  static constexpr std::string_view kind = "Number";
  int value = 0;
  std::string path;
  static constexpr auto fields() {
    return std::tuple(field(&Number::value, "value", "The number"), field(&Number::path, "path", "File that holds it"));
  }
};

/// Reads files `*.num`: "number<newline>end" is complete, without the end still growing, "bad" broken.
struct Import {
  static constexpr flow::Info info{
      .name = "import-numbers", .title = "Import numbers", .version = 1, .help = "Reads numbers from files."};
  struct Params {
    std::string files, exclude, reference;
    int expected = 0;
    double idle = 0, patience = 60;
    static constexpr auto fields() {
      using P = Params;
      return std::tuple(field(&P::files, "files", "Folder or pattern").required().runtime(),
                        field(&P::exclude, "exclude", "Pattern to leave out").runtime(),
                        field(&P::reference, "reference", "File that every number is added to").file(),
                        field(&P::expected, "expected", "Close after so many").runtime(),
                        field(&P::idle, "idle", "Close after so many seconds").runtime(),
                        field(&P::patience, "patience", "Name incomplete files after so many seconds").runtime());
    }
  };
  using Output = Number;
  Params params;
  [[nodiscard]] flow::Watch watch() const {
    flow::Watch watch{params.files, {".num"}, params.expected, params.idle, params.patience, 0.1};
    watch.quiet_s = 0.1;
    if (!params.exclude.empty()) watch.exclude.push_back(params.exclude);
    return watch;
  }
  static flow::FileCheck check(const std::filesystem::path& path) {
    const auto text = read_text(path);
    if (text.starts_with("bad")) return {flow::FileCheck::State::broken, "holds no number"};
    if (!text.ends_with("end")) return {flow::FileCheck::State::growing, "has no end"};
    return {};
  }
  [[nodiscard]] Number record(const std::filesystem::path& path, const std::string& reference) const {
    const int base = params.reference.empty() ? 0 : std::stoi(read_text(params.reference));
    return {base + std::stoi(read_text(path)), reference};
  }
};

struct AddParams {
  int add = 1;
  int sleep_ms = 0;
  int fail_at = -1;   ///< bad input for this number
  int flaky_at = -1;  ///< a transient error, the first time only
  int crash_at = -1;  ///< kills its own process
  std::string needs;  ///< a file without which nothing works
  static constexpr auto fields() {
    using P = AddParams;
    return std::tuple(field(&P::add, "add", "What to add"),
                      field(&P::sleep_ms, "sleep_ms", "Pretend to work").runtime(),
                      field(&P::fail_at, "fail_at", "Refuse this number"),
                      field(&P::flaky_at, "flaky_at", "Fail once at this number").runtime(),
                      field(&P::crash_at, "crash_at", "Die at this number").runtime(),
                      field(&P::needs, "needs", "A file that must be there").runtime());
  }
};

/// Adds a constant, and the number on the second port if connected; writes the sum to a file too.
struct Add {
  static constexpr flow::Info info{.name = "add", .title = "Add", .version = 1, .help = "Adds."};
  struct Pair {
    Number left;
    std::optional<Number> right;
    static constexpr auto ports() {
      return std::tuple(flow::port(&Pair::left, "left"), flow::port(&Pair::right, "right"));
    }
  };
  using Params = AddParams;
  using Input = Pair;
  using Output = Number;
  Params params;
  Output process(const Input& in, flow::Context& context) const {
    if (params.sleep_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(params.sleep_ms));
    const int value = in.left.value;
    if (!params.needs.empty() && !std::filesystem::exists(params.needs))
      throw Error(ErrorCode::not_found, "{}: there is no such file. Nothing can be added", params.needs);
    if (value == params.fail_at) throw Error(ErrorCode::bad_input, "{} is refused", value);
    if (value == params.crash_at) ::kill(::getpid(), SIGSEGV);
    if (value == params.flaky_at) {
      const auto mark = context.input("flaky");
      if (!std::filesystem::exists(mark)) {
        std::ofstream(mark) << "once";
        throw Error(ErrorCode::external, "{} fails once", value);
      }
    }
    if (in.left.path.starts_with("raw/")) context.has_read(in.left.path, content_hash(context.input(in.left.path)));
    const int sum = value + (in.right ? in.right->value : 0) + params.add;
    std::ofstream(context.output("sum.txt")) << sum;
    return {sum, context.reference("sum.txt")};
  }
};

/// Adds a constant, and the number on the second port if connected; no files.
struct Shift {
  static constexpr flow::Info info{.name = "shift", .title = "Shift", .version = 1, .help = "Adds, without a file."};
  struct Params {
    int by = 1;
    static constexpr auto fields() { return std::tuple(field(&Params::by, "by", "What to add")); }
  };
  using Input = Add::Pair;
  using Output = Number;
  Params params;
  Output process(const Input& in, flow::Context&) const {
    return {in.left.value + (in.right ? in.right->value : 0) + params.by, ""};
  }
};

struct Even {
  static constexpr flow::Info info{
      .name = "even", .title = "Even numbers", .version = 1, .help = "Keeps what divides by `by`."};
  struct Params {
    int by = 2;
    static constexpr auto fields() { return std::tuple(field(&Params::by, "by", "Divisor")); }
  };
  using Input = Number;
  using Output = flow::Decision;
  Params params;
  Output process(const Input& in, flow::Context&) const {
    const int rest = in.value % params.by;
    return {flow::accept_if(rest == 0),        "remainder", "no multiple", double(rest), 0,
            rest == 0 ? "" : "does not divide"};
  }
};

/// One version of a running total; order matters: total = 31 × total + value, modulo a prime.
struct Total {
  static constexpr std::string_view kind = "Total";
  std::int64_t total = 0;
  int count = 0, versions = 0;
  static constexpr auto fields() {
    using P = Total;
    return std::tuple(field(&P::total, "total", "The total"), field(&P::count, "count", "Numbers in it"),
                      field(&P::versions, "versions", "Batches in it"));
  }
};

struct Sum {
  static constexpr flow::Info info{.name = "total", .title = "Running total", .version = 1, .help = "Totals in order."};
  struct Params {
    int sleep_ms = 0;
    static constexpr auto fields() {
      return std::tuple(field(&Params::sleep_ms, "sleep_ms", "Pretend to work").runtime());
    }
  };
  using Input = Number;
  using Output = Total;
  Params params;
  Output fold(const Output* previous, const std::vector<Input>& batch, flow::Context&) const {
    if (params.sleep_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(params.sleep_ms));
    Total total = previous != nullptr ? *previous : Total{};
    for (const auto& n : batch) total.total = (total.total * 31 + n.value) % 1000000007;
    total.count += static_cast<int>(batch.size());
    ++total.versions;
    return total;
  }
};

/// What one batch of numbers says.
struct Watched {
  static constexpr std::string_view kind = "Watched";
  int numbers = 0;
  std::vector<Finding> findings;
  static constexpr auto fields() {
    using W = Watched;
    return std::tuple(field(&W::numbers, "numbers", "Numbers so far"),
                      field(&W::findings, "findings", "What is wrong with the last batch"));
  }
};

/// Finds it wrong when a batch holds more than so many numbers of a range.
struct Watch {
  static constexpr flow::Info info{.name = "watch", .title = "Watch", .version = 1, .help = "Watches numbers."};
  struct Params {
    int from = 0, to = 0;
    static constexpr auto fields() {
      return std::tuple(field(&Params::from, "from", "The first that is wrong"),
                        field(&Params::to, "to", "The last that is wrong"));
    }
  };
  using Input = Number;
  using Output = Watched;
  Params params;
  Output fold(const Output* previous, const std::vector<Input>& batch, flow::Context&) const {
    Watched watched;
    watched.numbers = static_cast<int>(batch.size()) + (previous != nullptr ? previous->numbers : 0);
    int wrong = 0;
    for (const auto& n : batch) wrong += n.value >= params.from && n.value <= params.to ? 1 : 0;
    if (wrong > 0)
      watched.findings.push_back({.kind = AlarmKind::frames,
                                  .text = fmt::format("{} of {} are wrong", wrong, batch.size()),
                                  .seen = std::to_string(wrong),
                                  .expected = "0",
                                  .advice = "count better",
                                  .sure = 0.99});
    return watched;
  }
};

/// Keeps even numbers; not sure of it before it has a total of `count` numbers.
struct Sure {
  static constexpr flow::Info info{
      .name = "sure", .title = "Even for sure", .version = 1, .help = "Holds until the reference is good enough."};
  static constexpr bool may_hold = true;
  struct Pair {
    Number number;
    std::optional<Total> reference;
    static constexpr auto ports() {
      return std::tuple(flow::port(&Pair::number, "numbers"), flow::port(&Pair::reference, "reference"));
    }
  };
  struct Params {
    int count = 4;
    static constexpr auto fields() { return std::tuple(field(&Params::count, "count", "Numbers that make it sure")); }
  };
  using Input = Pair;
  using Output = flow::Decision;
  Params params;
  Output process(const Input& in, flow::Context&) const {
    flow::Decision decision{flow::accept_if(in.number.value % 2 == 0), "even", "odd", double(in.number.value % 2), 0,
                            in.number.value % 2 == 0 ? "" : "is odd"};
    if (in.reference && in.reference->count >= params.count) return decision;
    decision.otherwise = decision.verdict;
    decision.verdict = flow::Verdict::held;
    decision.reason = fmt::format("the total holds {} numbers", in.reference ? in.reference->count : 0);
    return decision;
  }
};

/// Turns a total back into a number.
struct Report {
  static constexpr flow::Info info{.name = "report-total", .title = "Report", .version = 1, .help = "Tells how many."};
  struct Params {
    static constexpr auto fields() { return std::tuple(); }
  };
  using Input = Total;
  using Output = Number;
  Params params;
  Output process(const Input& in, flow::Context&) const { return {in.count, ""}; }
};

/// Uses a CPU for a time and touches memory, as parts of a refinement do.
inline void burn(double seconds, int memory_mib, flow::Context& context) {
  const std::vector<char> memory(static_cast<std::size_t>(memory_mib) << 20, 1);
  timespec used{};
  const auto cpu_s = [&] {
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return double(used.tv_sec) + 1e-9 * double(used.tv_nsec);
  };
  volatile double value = 1;
  for (const double end_s = cpu_s() + seconds; cpu_s() < end_s;) {
    for (int i = 0; i < 100000; ++i) value = value * 1.0000001 + double(memory[0]);
    context.check_cancelled();
  }
}

struct SumState {
  static constexpr std::string_view kind = "SumState";
  int round = 0;
  double sum = 0;
  std::string members, file;
  static constexpr auto fields() {
    using S = SumState;
    return std::tuple(field(&S::round, "round", "Steps done"), field(&S::sum, "sum", "The sum"),
                      field(&S::members, "members", "File with the numbers"),
                      field(&S::file, "file", "File of its own"));
  }
};

struct SumPart {
  static constexpr std::string_view kind = "SumPart";
  double sum = 0;
  std::string file;
  static constexpr auto fields() {
    return std::tuple(field(&SumPart::sum, "sum", "Sum of a part"), field(&SumPart::file, "file", "File with it"));
  }
};

struct Outcome {
  static constexpr std::string_view kind = "Outcome";
  double sum = 0;
  int rounds = 0;
  std::string file;
  static constexpr auto fields() {
    using O = Outcome;
    return std::tuple(field(&O::sum, "sum", "The sum"), field(&O::rounds, "rounds", "Steps"),
                      field(&O::file, "file", "File with all digits"));
  }
};

/// Sums again and again, in parts, each time over what the last sum makes of the numbers: every digit depends on the
/// order in which parts are added up.
struct IterateSum {
  static constexpr flow::Info info{
      .name = "iterate-sum", .title = "Iterated sum", .version = 1, .help = "Sums again and again, in parts."};
  struct Params {
    int parts = 4, rounds = 3, memory_mib = 1, bad_round = -1;
    double burn_s = 0;
    static constexpr auto fields() {
      using P = Params;
      return std::tuple(field(&P::parts, "parts", "Parts of a step").range(1, 10000),
                        field(&P::rounds, "rounds", "Steps").range(0, 10000),
                        field(&P::memory_mib, "memory_mib", "Memory of a part, MiB").runtime(),
                        field(&P::bad_round, "bad_round", "Fail in this step"),
                        field(&P::burn_s, "burn_s", "Core seconds of a part").runtime());
    }
  };
  using Input = Number;
  using State = SumState;
  using Part = SumPart;
  using Output = Outcome;
  Params params;

  State start(const std::vector<Number>& numbers, flow::Context& context) const {
    std::ofstream file(context.output("members.txt"));
    for (const auto& number : numbers) file << number.value << "\n";
    return {0, 1, context.reference("members.txt"), ""};
  }
  bool done(const State& state) const { return state.round >= params.rounds; }
  double fraction(const State& state) const { return double(state.round) / params.rounds; }
  int parts(const State&) const { return params.parts; }
  int memory_mib(flow::Stage stage) const { return stage == flow::Stage::part ? params.memory_mib + 20 : 50; }
  Part part(const State& state, int index, int count, flow::Context& context) const {
    if (state.round == params.bad_round && index == count / 2)
      throw Error(ErrorCode::bad_input, "round {} is refused", state.round);
    burn(params.burn_s, params.memory_mib, context);
    std::ifstream file(context.input(state.members));
    double sum = 0, value = 0;
    for (int i = 0; file >> value; ++i)
      if (i % count == index) sum += value / (3 + std::fmod(state.sum, 7.0));
    std::ofstream(context.output("part.txt")) << fmt::format("{:a}\n", sum);
    return {sum, context.reference("part.txt")};
  }
  State gather(const State& state, const std::vector<Part>& parts, flow::Context& context) const {
    double sum = state.sum / 3;
    for (const auto& part : parts) {
      std::string digits;
      std::ifstream(context.input(part.file)) >> digits;
      if (digits != fmt::format("{:a}", part.sum)) throw Error(ErrorCode::corrupt, "{}: is another's", part.file);
      sum = sum * 1.0000001 + part.sum;
    }
    std::ofstream(context.output("sum.txt")) << fmt::format("{} {:a}\n", state.round + 1, sum);
    return {state.round + 1, sum, state.members, context.reference("sum.txt")};
  }
  Output finish(const State& state, flow::Context& context) const {
    std::ofstream(context.output("outcome.txt")) << fmt::format("{} {:a}\n", state.round, state.sum);
    return {state.sum, state.round, context.reference("outcome.txt")};
  }
};

inline const flow::Registry& registry() {
  static const flow::Registry all = [] {
    flow::Registry r;
    r.add(flow::make_source<Import>());
    r.add(flow::make_protocol<Add>());
    r.add(flow::make_protocol<Shift>());
    r.add(flow::make_protocol<Even>());
    r.add(flow::make_protocol<Sum>());
    r.add(flow::make_protocol<Watch>());
    r.add(flow::make_protocol<Sure>());
    r.add(flow::make_protocol<Report>());
    r.add(flow::make_iterate<IterateSum>());
    return r;
  }();
  return all;
}

}  // namespace frazil::numbers
