// frazil run-all: several projects at once, with fair shares of one machine.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>

#include "frazil/base/log.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/cli/run.hpp"
#include "frazil/cli/status_line.hpp"
#include "frazil/cli/version.hpp"
#include "frazil/plugin/installed.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

std::vector<FieldInfo> options_of_run_all() {
  return {option("until_closed", "boolean", "End when all streams have closed; otherwise keep watching until stopped"),
          option("threads", "integer", "Threads in use at once by all projects; default: all CPUs of this process"),
          option("memory", "integer", "MiB reserved at once by all projects; default: four fifths of what is free"),
          option("gpus", "string", "Numbers of the GPUs in use, as in CUDA_VISIBLE_DEVICES: 0,1"),
          option("quiet", "boolean", "No status lines"),
          option("help", "boolean", "This text")};
}

/// One project in a thread of its own.
class Runner {
 public:
  Runner(fs::path project, engine::Options settings, bool quiet)
      : project_(std::move(project)), writer_(project_, version()), page_(project_ / "report" / "report.html") {
    auto options = engine_options(project_, writer_, page_);
    options.budget = std::move(settings.budget);
    options.until_closed = settings.until_closed;
    options.handle_signals = false;
    if (!quiet)
      options.on_status = [this](const engine::Status& status) {
        if (status.seconds < next_s_ && status.state == "running") return;
        next_s_ = status.seconds + 10;
        std::cerr << fmt::format("{}: {}\n", project_.filename().string(), status_line(status, 0));
      };
    engine_.emplace(std::move(options), plugin::registry());
  }
  void start() {
    thread_ = std::jthread([this] {
      try {
        end_ = engine_->run();
      } catch (const std::exception& error) {
        log::error("{}: {}", project_.string(), error.what());
        broken_ = true;
      }
      done_ = true;
    });
  }
  [[nodiscard]] bool is_done() const { return done_; }
  void stop() const { (void)engine::ask(project_, plugin::registry(), {{"command", "stop"}}); }
  int tell() {
    thread_.join();
    return broken_ ? bad_usage : tell_end(*engine_, end_, project_, page_);
  }

 private:
  fs::path project_;
  report::Writer writer_;
  fs::path page_;
  double next_s_ = 0;
  std::optional<engine::Engine> engine_;
  engine::End end_ = engine::End::stopped;
  bool broken_ = false;
  std::atomic<bool> done_ = false;
  std::jthread thread_;
};

}  // namespace

int run_all_command(Arguments arguments) {
  const auto flags = options_of_run_all();
  const auto parsed = parse(arguments, flags, {});
  if (parsed.has("help") || parsed.positional.empty()) {
    (parsed.has("help") ? std::cout : std::cerr) << "frazil run-all PROJECT…   works on all of them, with fair shares "
                                                    "of this machine (make them with frazil run --prepare)\n"
                                                 << help_text(flags, true);
    return parsed.has("help") ? ok : bad_usage;
  }
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGINT);
  sigaddset(&wanted, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &wanted, nullptr);  // before there are threads: they inherit it

  const int threads = parsed.values.value("threads", 0), memory = parsed.values.value("memory", 0);
  engine::Options shared;
  shared.until_closed = parsed.values.value("until_closed", false);
  shared.budget =
      std::make_shared<exec::Budget>(threads > 0 ? threads : available_cpus(),
                                     memory > 0 ? memory : engine::default_memory_mib(), gpus_of(parsed.text("gpus")));
  std::vector<std::unique_ptr<Runner>> runners;
  for (const auto& name : parsed.positional)
    runners.push_back(
        std::make_unique<Runner>(fs::absolute(name).lexically_normal(), shared, parsed.values.value("quiet", false)));
  for (auto& runner : runners) runner->start();
  while (!std::all_of(runners.begin(), runners.end(), [](const auto& runner) { return runner->is_done(); })) {
    const timespec while_s{0, 200'000'000};
    if (::sigtimedwait(&wanted, nullptr, &while_s) <= 0) continue;
    for (const auto& runner : runners)
      if (!runner->is_done()) runner->stop();
  }
  int result = ok;
  for (auto& runner : runners) result = std::max(result, runner->tell());
  return result;
}

}  // namespace frazil::cli
