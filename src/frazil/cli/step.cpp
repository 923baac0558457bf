#include "frazil/cli/step.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <set>

#include "frazil/algo/motion/isa.hpp"
#include "frazil/base/durability.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/cli/interruption.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/cli/progress_bar.hpp"
#include "frazil/flow/iterate.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/params/values.hpp"
#include "frazil/protocols/coordinate_files.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

/// What all jobs of a call share.
struct Call {
  Interruption interruption;
  ProgressBar bar{STDERR_FILENO};
  flow::Cache cache;
};

/// How all jobs of a call are run.
struct Manner {
  fs::path folder;
  std::vector<fs::path> inputs;  ///< files given, which no result may replace
  int threads = 1;
  std::int64_t seed = 0;
  bool json = false;
  std::string device;
};

/// Writes into a hidden folder beside the results; `commit` moves the finished files to their place.
class FolderContext final : public flow::Context {
 public:
  FolderContext(const Manner& manner, Rng rng, Call& call)
      : folder_(manner.folder), manner_(manner), rng_(rng), call_(call) {
    work_ = folder_ / fmt::format(".frazil-{}", ::getpid());
    call_.interruption.will_remove(work_);
    make_folders(work_ / "out");
  }
  ~FolderContext() override {
    std::error_code ignored;
    fs::remove_all(work_, ignored);
    call_.interruption.keep(work_);
  }
  FolderContext(const FolderContext&) = delete;
  FolderContext& operator=(const FolderContext&) = delete;

  fs::path output(std::string_view name) override { return work_ / "out" / name; }
  std::string reference(std::string_view name) const override { return (folder_ / name).string(); }
  fs::path input(const std::string& reference) const override {
    // A later port of the same item may read what an earlier part of the task has just written.
    const auto fresh = work_ / "out" / fs::path(reference).filename();
    return !fs::exists(reference) && fs::exists(fresh) ? fresh : fs::path(reference);
  }
  fs::path scratch() override {
    make_folders(work_ / "scratch");
    return work_ / "scratch";
  }
  int threads() const override { return manner_.threads; }
  std::string device() const override { return manner_.device; }
  Rng rng() const override { return rng_; }
  void check_cancelled() const override { Interruption::check(); }
  void progress(double fraction, std::string_view what) override { call_.bar.show(fraction, what); }
  flow::Cache& cache() override { return call_.cache; }

  void commit() {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(work_ / "out"))
      for (const auto& input : manner_.inputs)
        if (fs::equivalent(folder_ / entry.path().filename(), input, none))
          throw Error(ErrorCode::bad_input, "{}: the result would replace this input file; give another folder with -o",
                      input.string());
    for (const auto& entry : fs::directory_iterator(work_ / "out")) {
      std::error_code error;
      fs::rename(entry.path(), folder_ / entry.path().filename(), error);
      if (error)
        throw Error(ErrorCode::io, "{}: the result could not be moved to its place: {}",
                    (folder_ / entry.path().filename()).string(), error.message());
    }
  }

 private:
  fs::path folder_, work_;
  const Manner& manner_;
  Rng rng_;
  Call& call_;
};

struct Job {
  std::string area;
  flow::Records inputs;
  std::string missing;  ///< what lacks for this area; the item fails
};

FieldInfo threads_option() {
  auto threads = option("threads", "integer", "Threads (default: all CPUs of this process)");
  threads.low = 1;
  threads.high = 1024;
  return threads;
}

std::vector<FieldInfo> flags_of(const flow::Protocol& protocol) {
  std::vector<FieldInfo> flags = {
      option("output", "string", "Folder for the results (-o)"),
      option("json", "boolean", "One JSON line an item on standard output"),
      threads_option(),
      option("seed", "integer", "Seed of all random numbers (default 0)"),
      option("isa", "string",
             "Instruction set of the kernels: avx2, avx512 or best (default); the results are the same"),
      option("help", "boolean", "This text")};
  if (protocol.devices.size() > 1)
    flags.push_back(option(
        "device", "string",
        fmt::format("Where the heavy part computes: {} (default cpu)", fmt::join(flow::device_names(protocol), ", "))));
  const auto add = [&](const FieldInfo& field) {
    if (std::none_of(flags.begin(), flags.end(), [&](const FieldInfo& f) { return f.name == field.name; }))
      flags.push_back(field);
  };
  for (const auto& field : protocol.params) add(field);
  for (const auto& port : protocol.inputs) {
    auto named = option(port.name, "string", "File with " + port.kind + " records, beside the positional ones");
    named.advanced = true;
    add(named);
    for (auto field : protocols::settable_fields(port.kind)) {
      field.default_value = nullptr;  // the file's own value, where it has one
      add(field);
    }
  }
  return flags;
}

void print_help(const flow::Protocol& protocol, const std::vector<FieldInfo>& flags) {
  std::cout << "frazil " << protocol.name << " INPUT… -o DIR [--option value]…\n\n" << protocol.help << "\n";
  if (!protocol.thin.empty()) std::cout << "Not there yet: " << protocol.thin << "\n";
  if (!protocol.cites.empty()) std::cout << "Method: doi:" << protocol.cites << "\n";
  std::cout << "\nInputs: ";
  for (std::size_t i = 0; i < protocol.inputs.size(); ++i)
    std::cout << (i > 0 ? ", " : "") << protocol.inputs[i].name << " (" << protocol.inputs[i].kind
              << (protocol.inputs[i].optional ? ", optional)" : ")");
  std::cout << "\n\n" << help_text(flags, true);
}

/// Records of each port from the files, in the order given.
std::vector<std::vector<protocols::FileRecord>> read_inputs(const flow::Protocol& protocol, const Parsed& parsed,
                                                            const Json& settings) {
  std::vector<std::vector<protocols::FileRecord>> ports(protocol.inputs.size());
  const auto take = [&](std::size_t port, const std::string& path) {
    for (auto& record : protocols::records_from_file(protocol.inputs[port].kind, path, settings))
      ports[port].push_back(std::move(record));
  };
  for (std::size_t p = 0; p < ports.size(); ++p)
    if (parsed.values.contains(protocol.inputs[p].name)) take(p, parsed.text(protocol.inputs[p].name));
  // A table of CTF fits or positions also names its micrographs: it stands for them only where nothing else does.
  std::vector<std::pair<std::size_t, std::string>> also;
  for (const auto& path : parsed.positional) {
    std::vector<std::size_t> fitting;
    for (std::size_t p = 0; p < ports.size(); ++p)
      if (protocol.inputs.size() == 1 || protocols::may_hold(protocol.inputs[p].kind, path)) fitting.push_back(p);
    if (fitting.empty()) throw Error(ErrorCode::bad_input, "{}: holds nothing that {} reads", path, protocol.name);
    // Two sets of one kind are given in the order of their ports.
    const auto twin = std::find_if(fitting.begin(), fitting.end(), [&](std::size_t p) {
      return p > fitting.front() && protocol.inputs[p].kind == protocol.inputs[fitting.front()].kind;
    });
    if (twin != fitting.end()) {
      const auto empty = std::find_if(fitting.begin(), fitting.end(), [&](std::size_t p) { return ports[p].empty(); });
      take(empty == fitting.end() ? fitting.back() : *empty, path);
      continue;
    }
    for (const auto p : fitting)
      if (fitting.size() > 1 && protocol.inputs[p].kind == Micrograph::kind)
        also.emplace_back(p, path);
      else
        take(p, path);
  }
  std::vector<bool> given;
  for (const auto& port : ports) given.push_back(!port.empty());
  for (const auto& [p, path] : also)
    if (!given[p]) take(p, path);
  for (std::size_t p = 0; p < ports.size(); ++p)
    if (ports[p].empty() && !protocol.inputs[p].optional)
      throw Error(ErrorCode::bad_input, "no input file gives {} ({}); give one, or --{} FILE", protocol.inputs[p].name,
                  protocol.inputs[p].kind, protocol.inputs[p].name);
  return ports;
}

/// The records of another port that belong to `first`: those that name its image by path, else those of its name; a
/// single one that names no image belongs to a single first.
std::vector<Json> records_for(const protocols::FileRecord& first, const std::vector<protocols::FileRecord>& port,
                              bool first_is_alone) {
  std::vector<Json> by_path, by_name;
  for (const auto& other : port) {
    if (!first.micrograph.empty() && protocols::same_path(other.micrograph, first.micrograph))
      by_path.push_back(other.record);
    if (other.area == first.area) by_name.push_back(other.record);
  }
  if (!by_path.empty()) return by_path;
  if (by_name.empty() && first_is_alone && port.size() == 1) return {port.front().record};
  return by_name;
}

std::vector<Job> make_jobs(const flow::Protocol& protocol,
                           const std::vector<std::vector<protocols::FileRecord>>& ports) {
  std::vector<Job> jobs;
  if (flow::takes_lists(protocol.shape)) {
    Job job{"all", {}, {}};
    for (std::size_t p = 0; p < ports.size(); ++p) {
      std::vector<Json> list;
      for (const auto& record : ports[p]) list.push_back(record.record);
      job.inputs.emplace_back(protocol.inputs[p].name, std::move(list));
    }
    jobs.push_back(std::move(job));
    return jobs;
  }
  std::set<std::string> areas;
  for (const auto& first : ports.front()) {
    if (!areas.insert(first.area).second)
      throw Error(ErrorCode::bad_input,
                  "{}: two of the {} have this name, and their results would overwrite each other; run them into "
                  "folders of their own",
                  first.area, protocol.inputs.front().name);
    Job job{first.area, {{protocol.inputs.front().name, {first.record}}}, {}};
    for (std::size_t p = 1; p < ports.size(); ++p) {
      auto matching = records_for(first, ports[p], ports.front().size() == 1);
      if (matching.empty() && !protocol.inputs[p].optional)
        job.missing = fmt::format("no {} belong to it", protocol.inputs[p].name);
      if (matching.size() > 1 && !protocol.inputs[p].many)
        job.missing = fmt::format("{} of the {} belong to it by name, one is expected: give those of one folder",
                                  matching.size(), protocol.inputs[p].name);
      job.inputs.emplace_back(protocol.inputs[p].name, std::move(matching));
    }
    jobs.push_back(std::move(job));
  }
  return jobs;
}

/// The field that says which item a line is about; a file that was given itself is the "input".
Json identity_of(const flow::Protocol& protocol, const Job& job) {
  const auto& record = job.inputs.front().second.front();
  const auto key = naming_field(protocol.inputs.front().kind, record);
  if (key.empty()) return Json::object();
  return {{key == "path" ? "input" : key, record.at(key)}};
}

Rng seeded(const flow::Protocol& protocol, std::int64_t seed, const std::string& area) {
  return Rng(static_cast<std::uint64_t>(seed)).stream(protocol.name).stream(area);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::round(1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()) / 1e3;
}

/// Says what a step has left out of its result.
void say_left_out(const std::string& area, const Json& record) {
  const auto reasons = record.find("left_out_reasons"), counts = record.find("left_out_counts");
  if (reasons == record.end() || counts == record.end()) return;
  for (std::size_t i = 0; i < std::min(reasons->size(), counts->size()); ++i)
    log::warning("{}: left out: {} {}", area, (*counts)[i].get<int>(), (*reasons)[i].get<std::string>());
}

void run_and_print(const flow::Protocol& protocol, const Job& job, const Json& params, const Manner& manner,
                   Call& call) {
  const auto start = std::chrono::steady_clock::now();
  if (!job.missing.empty()) throw Error(ErrorCode::not_found, "{}: {}", job.area, job.missing);
  FolderContext context(manner, seeded(protocol, manner.seed, job.area), call);
  const auto outputs = protocol.shape == flow::Shape::iterate
                           ? flow::run_iteration(protocol, params, job.inputs, context)
                           : protocol.run(params, job.inputs, nullptr, context);
  context.check_cancelled();  // nothing of an interrupted call is left
  context.commit();
  call.bar.clear();
  bool is_left = false;
  for (const auto& [port, records] : outputs) {
    is_left = is_left || (port == protocol.json_port && !records.empty());
    const auto kind = std::find_if(protocol.outputs.begin(), protocol.outputs.end(),
                                   [&, name = port](const flow::PortInfo& p) { return p.name == name; });
    if (port != protocol.json_port) continue;
    for (const auto& record : records)
      for (auto line : json_lines(kind == protocol.outputs.end() ? "" : kind->kind, record)) {
        if (protocol.shape == flow::Shape::filter) line.update(identity_of(protocol, job));
        line["seconds"] = seconds_since(start);
        if (manner.json) std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
      }
    for (const auto& record : records) say_left_out(job.area, record);
    if (!manner.json) log::info("{}: done in {:.2f} s", job.area, seconds_since(start));
  }
  if (!is_left) log::warning("{}: nothing is left: no {} came of it", job.area, protocol.json_port);
}

int print_failure(const flow::Protocol& protocol, const Job& job, const Manner& manner, ErrorCode code,
                  std::string_view message) {
  Json line = identity_of(protocol, job);
  line["error"] = message;
  line["error_code"] = to_string(code);
  if (manner.json) std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  log::error("{}", message);
  return code == ErrorCode::bug ? defect : some_failed;
}

/// Runs one job and prints its lines; the exit code says how it went. Whatever happens concerns this job alone.
int run_job(const flow::Protocol& protocol, const Job& job, const Json& params, const Manner& manner, Call& call) {
  try {
    run_and_print(protocol, job, params, manner, call);
    return ok;
  } catch (const Error& error) {
    call.bar.clear();
    if (error.code() == ErrorCode::cancelled && Interruption::asked()) return interrupted;
    return print_failure(protocol, job, manner, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    call.bar.clear();
    return print_failure(protocol, job, manner, ErrorCode::resource, fmt::format("{}: memory ran out", job.area));
  } catch (const std::exception& error) {
    call.bar.clear();
    return print_failure(protocol, job, manner, ErrorCode::bug,
                         fmt::format("{}: internal defect: {}", job.area, error.what()));
  }
}

}  // namespace

std::vector<Json> json_lines(const std::string& kind, const Json& record) {
  if (kind != Classes::kind) {
    Json line = record;
    line["kind"] = kind;
    return {line};
  }
  const auto classes = record_from_json<Classes>(record);
  std::vector<Json> lines;
  for (std::size_t c = 0; c < classes.counts.size(); ++c) {
    Json line = {{"class", c + 1}, {"count", classes.counts[c]}};
    line["resolution_A"] = c < classes.resolution.size() ? Json(classes.resolution[c].value()) : Json();
    line["selected"] = c < classes.selected.size() ? Json(classes.selected[c] != 0) : Json();
    if (c < classes.scores.size()) line["score"] = classes.scores[c];
    if (c < classes.reasons.size() && !classes.reasons[c].empty()) line["reason"] = classes.reasons[c];
    lines.push_back(std::move(line));
  }
  return lines;
}

/// Values of flags that no protocol checks: those that describe the input files, and the command's own.
std::vector<std::string> flag_problems(const flow::Protocol& protocol, const std::vector<FieldInfo>& flags,
                                       const Json& values) {
  std::vector<FieldInfo> others;
  Json given = Json::object();
  std::vector<std::string> problems;
  for (const auto& flag : flags) {
    const bool is_param = std::any_of(protocol.params.begin(), protocol.params.end(),
                                      [&](const FieldInfo& f) { return f.name == flag.name; });
    if (is_param || !values.contains(flag.name)) continue;
    const auto& value = values.at(flag.name);
    if (value.is_null() && (flag.type == "number" || flag.type == "integer"))
      problems.push_back(fmt::format("{} must be a number, not ''", flag_of(flag.name)));
    others.push_back(flag);
    given[flag.name] = value;
  }
  for (auto& problem : check_values(others, given)) problems.push_back(std::move(problem));
  return problems;
}

int run_step(const flow::Protocol& protocol, Arguments arguments) {
  const auto flags = flags_of(protocol);
  const auto parsed = parse(arguments, flags);
  if (parsed.has("help")) {
    print_help(protocol, flags);
    return ok;
  }
  motion::pin_isa(parsed.text("isa", "best"));
  set_durable(false);
  if (!parsed.has("output")) throw Error(ErrorCode::bad_input, "say where the results go: -o DIR");
  Json params = Json::object(), settings = Json::object();
  for (const auto& [name, value] : parsed.values.items()) {
    const bool is_param = std::any_of(protocol.params.begin(), protocol.params.end(),
                                      [&, n = name](const FieldInfo& f) { return f.name == n; });
    if (is_param) params[name] = value;
    settings[name] = value;
  }
  auto problems = protocol.check(params);
  for (auto& problem : flag_problems(protocol, flags, parsed.values)) problems.push_back(std::move(problem));
  if (!problems.empty()) {
    for (const auto& problem : problems) log::error("{}", problem);
    if (parsed.has("json"))
      std::cout << Json({{"error", problems.front()}, {"problems", problems}}).dump() << std::endl;
    return bad_usage;
  }
  const Manner manner{parsed.text("output"),
                      {parsed.positional.begin(), parsed.positional.end()},
                      parsed.values.value("threads", available_cpus()),
                      parsed.values.value("seed", std::int64_t{0}),
                      parsed.has("json"),
                      flow::device_of(protocol, parsed.text("device")).name};
  make_folders(manner.folder);
  Call call;
  const auto jobs = make_jobs(protocol, read_inputs(protocol, parsed, settings));

  int worst = ok, done = 0;
  for (const auto& job : jobs) {
    call.bar.begin(job.area, done++, static_cast<int>(jobs.size()));
    worst = std::max(worst, run_job(protocol, job, params, manner, call));
    if (worst == interrupted) break;
  }
  return worst;
}

}  // namespace frazil::cli
