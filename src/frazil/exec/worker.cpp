#include "frazil/exec/worker.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <fstream>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/process.hpp"
#include "frazil/exec/cluster.hpp"
#include "frazil/exec/frame.hpp"
#include "frazil/exec/proxy.hpp"

namespace frazil::exec {
namespace {

using Clock = std::chrono::steady_clock;

std::string cpu_target() { return __builtin_cpu_supports("avx512f") ? "avx512" : "avx2"; }

/// Asks the kernel to forget the peak memory so far.
void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << 5; }

int peak_memory_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return static_cast<int>(std::strtol(line.c_str() + 6, nullptr, 10) / 1024);
  return 0;
}

class WorkerContext final : public flow::Context {
 public:
  WorkerContext(const Json& task, const WorkerSettings& settings)
      : settings_(settings),
        temporary_(settings.project / task.at("temporary").get<std::string>()),
        reference_(task.at("reference").get<std::string>()),
        seed_(task.at("seed").get<std::string>()),
        gpus_(task.value("gpus", std::string())),
        number_(task.at("task").get<std::uint64_t>()),
        threads_(settings.threads > 0 ? settings.threads : task.at("threads").get<int>()) {}
  ~WorkerContext() override {
    std::error_code ignored;
    if (has_scratch_) std::filesystem::remove_all(scratch_folder(), ignored);
  }

  std::filesystem::path output(std::string_view name) override {
    has_files_ = true;
    const auto path = temporary_ / name;
    make_folders(path.parent_path());
    return path;
  }
  std::string reference(std::string_view name) const override { return reference_ + "/" + std::string(name); }
  std::filesystem::path input(const std::string& reference) const override { return settings_.project / reference; }
  std::filesystem::path scratch() override {
    make_folders(scratch_folder());
    has_scratch_ = true;
    return scratch_folder();
  }
  int threads() const override { return threads_; }
  std::string gpus() const override { return gpus_; }
  Rng rng() const override {
    const auto digits = hash_of({"rng", seed_}).substr(0, 16);
    std::uint64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return Rng(value);
  }
  void check_cancelled() const override {
    const auto now = Clock::now();
    if (now - last_check_ < std::chrono::milliseconds(20)) return;
    last_check_ = now;
    char byte = 0;
    const auto n = ::recv(settings_.socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n >= 0) throw Error(ErrorCode::cancelled, "the engine asked to stop");  // nothing else is sent during a task
  }
  void progress(double fraction, std::string_view what) override {
    const auto now = Clock::now();
    if (now - last_progress_ < std::chrono::milliseconds(500)) return;
    last_progress_ = now;
    (void)send_frame(settings_.socket, Json({{"task", number_}, {"progress", fraction}, {"what", what}}).dump());
  }

  /// Makes the output files durable. @return true if there are any
  bool sync_outputs() const {
    if (!has_files_ || !std::filesystem::exists(temporary_)) return false;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(temporary_))
      if (entry.is_regular_file() || entry.is_directory()) sync_path(entry.path());
    sync_path(temporary_);
    return true;
  }
  void drop_outputs() const {
    std::error_code ignored;
    if (has_files_) std::filesystem::remove_all(temporary_, ignored);
  }

 private:
  std::filesystem::path scratch_folder() const { return temporary_.string() + ".scratch"; }

  const WorkerSettings& settings_;
  std::filesystem::path temporary_;
  std::string reference_, seed_, gpus_;
  std::uint64_t number_;
  int threads_;
  bool has_files_ = false, has_scratch_ = false;
  mutable Clock::time_point last_check_{};
  Clock::time_point last_progress_ = Clock::now();
};

flow::Records records_from(const Json& ports) {
  flow::Records records;
  for (const auto& port : ports)
    records.emplace_back(port.at(0).get<std::string>(), port.at(1).get<std::vector<Json>>());
  return records;
}

Json run_task(const Json& task, const WorkerSettings& settings, const flow::Registry& registry) {
  const auto start = Clock::now();
  WorkerContext context(task, settings);
  Json result = {{"task", task.at("task")}, {"target", cpu_target()}};
  const auto fail = [&](ErrorCode code, std::string_view message) {
    context.drop_outputs();
    result["error"] = {{"code", to_string(code)}, {"message", message}};
  };
  try {
    const auto& protocol = registry.at(task.at("protocol").get<std::string>());
    const auto inputs = records_from(task.at("inputs"));
    const bool continued = task.contains("previous");
    const auto previous = continued ? records_from(task.at("previous")) : flow::Records{};
    const auto outputs = protocol.run(task.at("params"), inputs, continued ? &previous : nullptr, context);
    result["files"] = context.sync_outputs();
    auto& list = result["outputs"] = Json::array();
    for (const auto& [port, records] : outputs) list.push_back({port, records});
  } catch (const Error& error) {
    fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::resource, "memory ran out");
  } catch (const std::exception& error) {
    fail(ErrorCode::bug, error.what());
  }
  result["seconds"] = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

void redirect_errors(const std::filesystem::path& log) {
  const int file = ::open(log.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) return;  // messages then go where those of the engine go
  ::dup2(file, STDERR_FILENO);
  ::close(file);
}

void keep_log(const WorkerSettings& settings, const Json& task) {
  std::error_code ignored;
  const auto name = task.value("log", std::string());
  if (!settings.log.empty() && !name.empty())
    std::filesystem::copy_file(settings.log, settings.log.parent_path() / name,
                               std::filesystem::copy_options::overwrite_existing, ignored);
}

/// Runs them one after another; results that have gathered for a while go back before the rest is done.
/// @return false when the engine is gone
bool run_tasks(const Json& tasks, const WorkerSettings& settings, const flow::Registry& registry) {
  reset_peak_memory();
  std::vector<Json> results;
  const auto send = [&] {
    const int peak = peak_memory_mib() + take_programs_peak_mib();
    for (auto& result : results) result["peak_mib"] = peak;
    return send_frame(settings.socket,
                      Json(std::exchange(results, {})).dump(-1, ' ', false, Json::error_handler_t::replace));
  };
  auto last = Clock::now();
  for (const auto& task : tasks) {
    if (!results.empty() && Clock::now() - last > std::chrono::milliseconds(20)) {
      if (!send()) return false;
      last = Clock::now();
    }
    if (!settings.log.empty() && ::ftruncate(STDERR_FILENO, 0) != 0) log::debug("the log keeps older lines");
    results.push_back(run_task(task, settings, registry));
    if (results.back().contains("error")) {
      log::error("{}", results.back()["error"]["message"].get<std::string>());
      keep_log(settings, task);
    }
  }
  return send();
}

}  // namespace

int run_worker(const WorkerSettings& given, const flow::Registry& registry) {
  auto settings = given;
  if (!settings.connect.empty()) settings.socket = connect_to_hub(settings.connect, "worker");
  std::optional<Proxy> proxy;
  if (!settings.hub.empty()) proxy.emplace(settings.hub, settings.socket);
  // A worker that a cluster started ends with its connection: what started it there may end a thread at any time.
  if (settings.parent != 0) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (settings.parent != 0 && ::getppid() != settings.parent) return 0;  // the engine died before the line above
  if (!settings.log.empty()) redirect_errors(settings.log);
  FrameReader reader;
  while (true) {
    auto text = proxy ? proxy->next_here(reader) : reader.next();
    if (!text) {
      if (proxy || reader.fill(settings.socket, true) == FrameReader::Status::closed) return 0;
      continue;
    }
    const auto tasks = Json::parse(*text);
    if (!tasks.is_array()) continue;  // a cancellation that came too late
    if (!run_tasks(tasks, settings, registry)) return 0;
  }
}

WorkerSettings parse_worker_arguments(const std::vector<std::string>& arguments) {
  WorkerSettings settings;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const auto& flag = arguments[i];
    const auto& value = arguments[i + 1];
    if (flag == "--socket")
      settings.socket = std::stoi(value);
    else if (flag == "--parent")
      settings.parent = std::stoi(value);
    else if (flag == "--project")
      settings.project = value;
    else if (flag == "--log")
      settings.log = value;
    else if (flag == "--connect")
      settings.connect = value;
    else if (flag == "--hub")
      settings.hub = value;
    else if (flag == "--threads")
      settings.threads = std::stoi(value);
    else
      throw Error(ErrorCode::bad_input, "worker: unknown option {}; workers are started by the engine, not by people",
                  flag);
  }
  if (settings.project.empty())
    throw Error(ErrorCode::bad_input, "worker: --project is missing; workers are started by the engine, not by people");
  return settings;
}

}  // namespace frazil::exec
