// The engine under load: small items through a ten-step workflow with real workers and full durability.
//
//   engine_bench load DIR [--items N] [--threads N]     all files are there at once; then the time of a restart
//   engine_bench decide DIR [--items N]                a person restores items, and changes a limit for all of them
//   engine_bench restart DIR                            opens the project that `load` has left in DIR again
//   engine_bench what-if DIR [--items N]                asks a project of N CTF fits what other limits of filter-ctf
//   would keep engine_bench live DIR [--rate PER_HOUR] [--seconds N] [--threads N]   files come at the rate of a
//   microscope
//
// All print one JSON object. `live` works on the project that `load` has left in DIR, if there is one.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "frazil/base/log.hpp"
#include "frazil/engine/control.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/numbers.hpp"
#include "frazil/exec/worker.hpp"
#include "frazil/protocols/filter_ctf.hpp"

namespace {

using namespace frazil;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* workflow_text = R"({"name": "load",
  "parameters": [{"name": "files", "type": "path", "required": true}, {"name": "expected", "type": "integer",
    "default": 0}],
  "steps": {
    "in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": "${expected}"}},
    "a": {"protocol": "shift", "inputs": {"left": "in.numbers"}},
    "b": {"protocol": "shift", "inputs": {"left": "a.numbers"}},
    "keep": {"protocol": "even", "params": {"by": 1}, "inputs": {"numbers": "b.numbers"}},
    "c": {"protocol": "shift", "inputs": {"left": "keep.accepted"}},
    "d": {"protocol": "shift", "inputs": {"left": "c.numbers"}},
    "e": {"protocol": "shift", "inputs": {"left": "d.numbers"}},
    "join": {"protocol": "shift", "inputs": {"left": "e.numbers", "right": "a.numbers"}},
    "half": {"protocol": "even", "inputs": {"numbers": "join.numbers"}},
    "total": {"protocol": "total", "inputs": {"numbers": "join.numbers"}, "where": ["half.accepted"],
      "trigger": {"mode": "batches", "count": 1000}}}})";

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A line of /proc/self/status, in MiB.
int memory_mib(std::string_view key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key)) return static_cast<int>(std::strtol(line.c_str() + key.size() + 1, nullptr, 10) / 1024);
  return 0;
}

/// CPU time of this process so far.
double cpu_s() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void write_number(const fs::path& folder, int number) {
  const auto place = folder / fmt::format("square_{:03}", number / 1000);
  if (!fs::exists(place)) fs::create_directories(place);
  const auto hidden = place / fmt::format(".{:06}.num", number);
  std::ofstream(hidden) << number << "\nend";
  fs::rename(hidden, place / fmt::format("{:06}.num", number));
}

engine::Options options_for(const fs::path& project, int threads) {
  engine::Options options;
  options.project = project;
  options.worker_command = {fs::read_symlink("/proc/self/exe"), "worker"};
  options.threads = threads;
  return options;
}

void prepare(const fs::path& folder, int expected) {
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(workflow_text, problems);
  engine::prepare_project(folder / "project", workflow, {{"files", (folder / "in").string()}, {"expected", expected}},
                          numbers::registry());
}

/// Items, tasks and memory while it ran. @return exit code
int load(const fs::path& folder, int items, int threads) {
  for (int i = 0; i < items; ++i) write_number(folder / "in", i);
  prepare(folder, items);
  Json memory = Json::array();
  auto next = Clock::now();
  auto options = options_for(folder / "project", threads);
  options.on_status = [&](const engine::Status& status) {
    if (Clock::now() < next) return;
    next = Clock::now() + std::chrono::seconds(10);
    memory.push_back(memory_mib("VmRSS"));
    log::warning("{} found, {} behind, {} MiB", status.found, status.behind, memory.back().dump());
  };
  const auto start = Clock::now();
  {
    engine::Engine engine(std::move(options), numbers::registry());
    if (engine.run() != engine::End::finished) return 1;
  }
  const double run_s = seconds_since(start);
  const auto again = Clock::now();
  engine::Engine engine(options_for(folder / "project", threads), numbers::registry());
  const double restart_s = seconds_since(again);
  const auto status = engine.status();
  std::int64_t tasks = 0;
  for (const auto& step : status.steps)
    if (!step.is_source) tasks += step.is_fold ? step.versions : step.done;
  for (const auto& step : status.steps)
    if (!step.is_fold && step.done != items)
      throw Error(ErrorCode::bug, "{}: {} of {} items are through", step.name, step.done, items);
  fmt::print("{}\n", Json({{"items", items},
                           {"tasks", tasks},
                           {"seconds", run_s},
                           {"items_per_s", items / run_s},
                           {"tasks_per_s", static_cast<double>(tasks) / run_s},
                           {"restart_s", restart_s},
                           {"memory_mib", memory},
                           {"peak_mib", memory_mib("VmHWM")}})
                         .dump());
  return 0;
}

int restart(const fs::path& folder, int threads) {
  const auto start = Clock::now();
  const double before_s = cpu_s();
  engine::Engine engine(options_for(folder / "project", threads), numbers::registry());
  const double restart_s = seconds_since(start), restart_cpu_s = cpu_s() - before_s;
  fmt::print("{}\n", Json({{"items", engine.status().found},
                           {"restart_s", restart_s},
                           {"restart_cpu_s", restart_cpu_s},
                           {"peak_mib", memory_mib("VmHWM")}})
                         .dump());
  return 0;
}

/// A CTF fit for each file: full records without images.
struct ImportFits {
  static constexpr flow::Info info{
      .name = "import-fits", .title = "Import fits", .version = 1, .help = "Makes CTF fits from numbers in files."};
  using Params = numbers::Import::Params;
  using Output = CtfFit;
  Params params;
  [[nodiscard]] flow::Watch watch() const { return numbers::Import{params}.watch(); }
  static flow::FileCheck check(const fs::path& path) { return numbers::Import::check(path); }
  [[nodiscard]] CtfFit record(const fs::path& path, const std::string& reference) const {
    Rng rng(static_cast<std::uint64_t>(std::stoi(read_text(path))));
    CtfFit fit;
    fit.micrograph = fit.name = reference;
    fit.defocus_u = Angstrom(rng.uniform(8000, 30000));
    fit.defocus_v = fit.defocus_u - Angstrom(rng.uniform(0, 500));
    fit.fit_resolution = Angstrom(rng.uniform(3, 9));
    fit.sigma_defocus = Angstrom(rng.uniform(5, 50));
    fit.score = rng.uniform(0, 1);
    fit.quality.confidence = 1;
    fit.power_spectrum = fit.star = fit.profile = reference;
    return fit;
  }
};

const flow::Registry& fits_registry() {
  static const flow::Registry all = [] {
    flow::Registry r;
    r.add(flow::make_source<ImportFits>());
    r.add(flow::make_protocol<protocols::FilterCtf>());
    return r;
  }();
  return all;
}

int what_if(const fs::path& folder, int items, int threads) {
  constexpr const char* text =
      R"({"name": "fits", "parameters": [{"name": "files", "type": "path", "required": true}, {"name": "expected",
        "type": "integer", "default": 0}, {"name": "limit", "type": "number", "default": 8}],
    "steps": {"in": {"protocol": "import-fits", "params": {"files": "${files}", "expected": "${expected}"}},
              "filter": {"protocol": "filter-ctf", "params": {"max_fit_resolution": "${limit}"},
        "inputs": {"ctf_fits": "in.ctf_fits"}}}})";
  if (!fs::exists(folder / "fits"))
    for (int i = 0; i < items; ++i) write_number(folder / "fits", i);
  std::vector<flow::Problem> problems;
  engine::prepare_project(folder / "fits.frazil", flow::parse_workflow(text, problems),
                          {{"files", (folder / "fits").string()}, {"expected", items + 1}}, fits_registry());
  const auto ask = [&](const std::function<Json(const Json&)>& request) {
    Json seconds = Json::array(), answer;
    for (const double limit : {4.0, 5.0, 6.0}) {
      const auto start = Clock::now();
      answer = request({{"command", "what-if"}, {"values", {{"limit", limit}}}});
      seconds.push_back(seconds_since(start));
    }
    return Json({{"seconds", seconds}, {"answer", answer}});
  };
  auto options = options_for(folder / "fits.frazil", threads);
  options.worker_command.back() = "fits-worker";
  Json at_work, again;
  {
    engine::Engine engine(options, fits_registry());
    std::jthread running([&] { (void)engine.run(); });
    const auto request = [&](const Json& what) -> Json {
      return engine::send_request(engine::control_socket(folder / "fits.frazil"), what).value_or(Json::object());
    };
    const auto done = [&] {  // nobody answers before the engine listens
      const auto answer = request({{"command", "status"}});
      return answer.contains("status") && answer.at("status").at("steps").at(1).at("done") == items;
    };
    while (!done()) std::this_thread::sleep_for(std::chrono::seconds(1));
    std::this_thread::sleep_for(
        std::chrono::seconds(15));  // it reads what it decided on while there is little else to do
    at_work = ask(request);
    write_number(folder / "fits", items);
  }
  const auto start = Clock::now();
  engine::Engine engine(options, fits_registry());
  again = ask([&](const Json& what) { return engine.request(what); });
  fmt::print("{}\n", Json({{"items", engine.status().found},
                           {"at_work", at_work},
                           {"opened_again", again},
                           {"opening_and_answers_s", seconds_since(start)},
                           {"peak_mib", memory_mib("VmHWM")}})
                         .dump());
  return at_work["answer"].value("ok", false) && again["answer"].value("ok", false) ? 0 : 1;
}

/// What people decide in a project of many items at work: one item, and a limit for all.
int decide(const fs::path& folder, int items, int threads) {
  constexpr const char* text =
      R"({"name": "decide", "parameters": [{"name": "files", "type": "path", "required": true}, {"name": "expected",
        "type": "integer", "default": 0}, {"name": "by", "type": "integer", "default": 2}],
    "steps": {"in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": "${expected}"}},
      "first": {"protocol": "shift", "params": {"by": 0}, "inputs": {"left": "in.numbers"}},
      "filter": {"protocol": "even", "params": {"by": "${by}"}, "inputs": {"numbers": "first.numbers"}},
      "next": {"protocol": "shift", "inputs": {"left": "filter.accepted"}},
      "total": {"protocol": "total", "inputs": {"numbers": "next.numbers"}, "trigger": {"mode": "batches",
        "count": 500}}}})";
  for (int i = 0; i < items; ++i) write_number(folder / "in", i);
  std::vector<flow::Problem> problems;
  engine::prepare_project(folder / "project", flow::parse_workflow(text, problems),
                          {{"files", (folder / "in").string()}, {"expected", items + 1}}, numbers::registry());
  engine::Engine engine(options_for(folder / "project", threads), numbers::registry());
  std::jthread running([&] { (void)engine.run(); });
  const auto ask = [&](const Json& what) -> Json {
    return engine::send_request(engine::control_socket(folder / "project"), what).value_or(Json::object());
  };
  const auto done = [&](int step) {
    const auto answer = ask({{"command", "status"}});
    return answer.contains("status")
               ? answer.at("status").at("steps").at(static_cast<std::size_t>(step)).at("done").get<int>()
               : 0;
  };
  const auto seconds_until = [&](const Json& request, const std::function<bool()>& is_so) {
    const auto start = Clock::now();
    const auto answer = ask(request);
    if (!answer.value("ok", false)) throw Error(ErrorCode::bug, "{}", answer.dump());
    const double answered_s = seconds_since(start);
    while (!is_so()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Json({{"answer_s", answered_s}, {"done_s", seconds_since(start)}});
  };
  while (done(2) < items || done(3) < items / 2) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  std::this_thread::sleep_for(std::chrono::seconds(3));
  Json restored = Json::array();
  for (const int number : {101, items / 2 + 1, items - 1}) {
    const int before = done(3);
    const auto label = fmt::format("square_{:03}_{:06}", number / 1000, number);
    restored.push_back(seconds_until({{"command", "restore"}, {"item", label}}, [&] { return done(3) > before; }));
  }
  const auto limit = seconds_until({{"command", "set"}, {"values", {{"by", "3"}}}}, [&] { return done(2) == items; });
  fmt::print(
      "{}\n",
      Json({{"items", items}, {"restored", restored}, {"limit", limit}, {"peak_mib", memory_mib("VmHWM")}}).dump());
  (void)ask({{"command", "stop"}});
  return 0;
}

int live(const fs::path& folder, double rate, double seconds, int threads) {
  const int before = [&] {
    int count = 0;
    if (fs::exists(folder / "in"))
      for (const auto& entry : fs::recursive_directory_iterator(folder / "in"))
        count += entry.path().extension() == ".num";
    return count;
  }();
  fs::create_directories(folder / "in");
  const int more = static_cast<int>(rate / 3600 * seconds);
  prepare(folder, before + more);
  auto options = options_for(folder / "project", threads);
  Json latency;
  options.on_status = [&](const engine::Status& status) { latency = to_json(status)["latency"]; };
  const auto again = Clock::now();
  engine::Engine engine(std::move(options), numbers::registry());
  const double restart_s = seconds_since(again);
  std::jthread microscope([&] {
    for (int i = 0; i < more; ++i) {
      std::this_thread::sleep_for(std::chrono::duration<double>(3600 / rate));
      write_number(folder / "in", before + i);
    }
  });
  if (engine.run() != engine::End::finished) return 1;
  fmt::print("{}\n", Json({{"items_before", before},
                           {"items", more},
                           {"per_hour", rate},
                           {"restart_s", restart_s},
                           {"latency", latency},
                           {"peak_mib", memory_mib("VmHWM")}})
                         .dump());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.at(0) == "fits-worker")
      return exec::run_worker(exec::parse_worker_arguments({arguments.begin() + 1, arguments.end()}), fits_registry());
    if (arguments.at(0) == "worker")
      return exec::run_worker(exec::parse_worker_arguments({arguments.begin() + 1, arguments.end()}),
                              numbers::registry());
    std::map<std::string, double> values = {{"--items", 100000}, {"--threads", 2}, {"--rate", 1500}, {"--seconds", 60}};
    for (std::size_t i = 2; i + 1 < arguments.size(); i += 2) values.at(arguments[i]) = std::stod(arguments[i + 1]);
    const int threads = static_cast<int>(values["--threads"]);
    if (arguments.at(0) == "load")
      return load(fs::absolute(arguments.at(1)), static_cast<int>(values["--items"]), threads);
    if (arguments.at(0) == "restart") return restart(fs::absolute(arguments.at(1)), threads);
    if (arguments.at(0) == "what-if")
      return what_if(fs::absolute(arguments.at(1)), static_cast<int>(values["--items"]), threads);
    if (arguments.at(0) == "decide")
      return decide(fs::absolute(arguments.at(1)), static_cast<int>(values["--items"]), threads);
    if (arguments.at(0) == "live")
      return live(fs::absolute(arguments.at(1)), values["--rate"], values["--seconds"], threads);
    fmt::print(stderr,
               "engine_bench load|restart|what-if|decide|live DIR [--items N] [--threads N] [--rate PER_HOUR] "
               "[--seconds N]\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
  }
  return 2;
}
