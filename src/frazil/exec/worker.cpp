#include "frazil/exec/worker.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <fstream>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/no_space.hpp"
#include "frazil/base/process.hpp"
#include "frazil/exec/cluster.hpp"
#include "frazil/exec/messages.hpp"
#include "frazil/exec/orders.hpp"
#include "frazil/exec/proxy.hpp"
#include "frazil/exec/worker_log.hpp"

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

/// What all tasks of a worker share.
struct Surroundings {
  const WorkerSettings& settings;
  const flow::Registry& registry;
  Orders& orders;
  flow::Cache& cache;
  WorkerLog& log;
};

class WorkerContext final : public flow::Context {
 public:
  WorkerContext(const TaskHead& task, const Surroundings& around)
      : around_(around),
        temporary_(around.settings.project / task.temporary),
        reference_(task.reference),
        seed_(task.seed),
        gpus_(task.gpus),
        device_(task.device),
        number_(task.number),
        threads_(around.settings.threads > 0 ? around.settings.threads : task.threads) {}
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
  std::filesystem::path input(const std::string& reference) const override {
    return around_.settings.project / reference;
  }
  std::filesystem::path scratch() override {
    make_folders(scratch_folder());
    has_scratch_ = true;
    return scratch_folder();
  }
  int threads() const override { return threads_; }
  std::string gpus() const override { return gpus_; }
  std::string device() const override { return device_; }
  Rng rng() const override {
    const auto digits = hash_of({"rng", seed_}).substr(0, 16);
    std::uint64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return Rng(value);
  }
  void check_cancelled() const override { around_.orders.check(number_); }
  bool should_yield() const override { return around_.orders.should_yield(number_); }
  void progress(double fraction, std::string_view what) override {
    auto last = last_progress_.load();
    const auto now = Clock::now();
    if (now - last < std::chrono::milliseconds(500) || !last_progress_.compare_exchange_strong(last, now)) return;
    (void)around_.orders.send(encode(Progress{number_, fraction, std::string(what)}));
  }
  flow::Cache& cache() override { return around_.cache; }
  void has_read(const std::string& reference, const std::string& content) override {
    read_.insert(read_.end(), {reference, content});
  }
  const std::vector<std::string>& read() const { return read_; }

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

  const Surroundings& around_;
  std::filesystem::path temporary_;
  std::string reference_, seed_, gpus_, device_;
  std::uint64_t number_;
  int threads_;
  bool has_files_ = false, has_scratch_ = false;
  std::vector<std::string> read_;
  std::atomic<Clock::time_point> last_progress_{Clock::now()};
};

RecordTexts texts_of(const flow::Records& records) {
  RecordTexts texts;
  for (const auto& [port, list] : records) {
    texts.emplace_back(port, std::vector<std::string>{});
    for (const auto& record : list)
      texts.back().second.push_back(record.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return texts;
}

Result run_task(const ReceivedTask& task, const Surroundings& around) {
  const auto start = Clock::now();
  WorkerContext context(task, around);
  Result result;
  result.number = task.number;
  result.target = target_of(task.device);
  const auto fail = [&](ErrorCode code, std::string_view message) {
    context.drop_outputs();
    result.failed = true;
    result.code = code;
    result.message = message;
  };
  try {
    if (around.orders.is_cancelled(task.number)) throw Error(ErrorCode::cancelled, "the engine asked to stop");
    const auto& protocol = around.registry.at(task.protocol);
    if (const auto device = flow::device_of(protocol, task.device); device.name != flow::cpu_device)
      log::info("{} computes on the device {}", protocol.name, device.name);
    const auto outputs = protocol.run(task.params, task.inputs, task.previous ? &*task.previous : nullptr, context);
    result.has_files = context.sync_outputs();
    result.outputs = texts_of(outputs);
    result.read = context.read();
  } catch (const NoSpace& error) {
    fail(error.code(), error.what());
    result.no_space = true;
  } catch (const Error& error) {
    fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::resource, "memory ran out");
  } catch (const std::system_error& error) {
    fail(ErrorCode::io, error.what());
    result.no_space = is_no_space(error.code().value());
  } catch (const std::exception& error) {
    fail(ErrorCode::bug, error.what());
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

/// Where the pool looks which task a dead worker was at.
void mark(const WorkerSettings& settings, std::uint64_t task) {
  if (settings.marker >= 0 && ::pwrite(settings.marker, &task, sizeof(task), 0) != sizeof(task))
    log::debug("the task under way could not be noted");
}

/// Sends the results. What is too long for a message becomes a failure of its task.
/// @return false when the engine is gone
bool send_results(std::vector<Result> results, Orders& orders) {
  const int peak = peak_memory_mib() + take_programs_peak_mib();
  for (auto& result : results) result.peak_mib = peak;
  auto text = encode(results);
  if (text.size() <= max_frame) return orders.send(text);
  for (auto& result : results) {
    result.failed = true;
    result.code = ErrorCode::unsupported;
    result.message =
        fmt::format("the records of the result take {} bytes, at most {} are possible", text.size(), max_frame);
    result.outputs.clear();
  }
  return orders.send(encode(results));
}

/// Runs them one after another; results that have gathered for a while go back before the rest is done.
/// @return false when the engine is gone
bool run_tasks(const std::vector<ReceivedTask>& tasks, const Surroundings& around) {
  reset_peak_memory();
  const auto& settings = around.settings;
  std::vector<Result> results;
  auto last = Clock::now();
  for (const auto& task : tasks) {
    if (!results.empty() && Clock::now() - last > std::chrono::milliseconds(20)) {
      if (!send_results(std::exchange(results, {}), around.orders)) return false;
      last = Clock::now();
    }
    around.log.begin(task);
    mark(settings, task.number);
    if (tasks.size() > 1 && !settings.connect.empty() && !around.orders.send(encode(Started{task.number})))
      return false;
    results.push_back(run_task(task, around));
    around.log.end(task, results.back());
  }
  around.orders.forget();
  return send_results(std::move(results), around.orders);
}

}  // namespace

std::string target_of(std::string_view device) {
  return device == flow::cpu_device ? cpu_target() : std::string(device) + " " + cpu_target();
}

int run_worker(const WorkerSettings& given, const flow::Registry& registry) {
  auto settings = given;
  if (!settings.connect.empty()) settings.socket = connect_to_hub(settings.connect, "worker");
  std::optional<Proxy> proxy;
  if (!settings.hub.empty()) proxy.emplace(settings.hub, settings.socket);
  // A worker that a cluster started ends with its connection: what started it there may end a thread at any time.
  if (settings.parent != 0) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (settings.parent != 0 && ::getppid() != settings.parent) return 0;  // the engine died before the line above
  WorkerLog log(settings.log);
  FrameReader reader;
  Orders orders(settings.socket, reader);
  flow::Cache cache;
  const Surroundings around{settings, registry, orders, cache, log};
  while (true) {
    std::optional<std::string> text;
    if (auto& waiting = orders.others(); !waiting.empty()) {
      text = std::move(waiting.front());
      waiting.pop_front();
    } else {
      text = proxy ? proxy->next_here(reader) : reader.next();
    }
    if (!text) {
      if (proxy || reader.fill(settings.socket, true) == FrameReader::Status::closed) return 0;
      continue;
    }
    const Message message(*text);
    if (!message.has_tasks()) continue;  // an order that came too late
    if (!run_tasks(message.tasks(), around)) return 0;
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
    else if (flag == "--marker")
      settings.marker = std::stoi(value);
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
