#include "frazil/exec/worker_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "frazil/base/log.hpp"

namespace frazil::exec {

namespace fs = std::filesystem;

namespace {

std::string name_of_task(const TaskHead& task) {
  return fmt::format("task {}, {}{}", task.number, task.protocol,
                     task.reference.empty() ? "" : ", for " + task.reference);
}

}  // namespace

WorkerLog::WorkerLog(fs::path file, std::int64_t most_bytes) : file_(std::move(file)), most_bytes_(most_bytes) {
  if (!file_.empty()) open();
}

void WorkerLog::open() {
  const int file = ::open(file_.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) return;  // messages then go where those of the engine go
  ::dup2(file, STDERR_FILENO);
  ::close(file);
}

void WorkerLog::begin(const TaskHead& task) {
  if (file_.empty()) return;
  std::error_code ignored;
  const auto size = fs::file_size(file_, ignored);
  if (!ignored && static_cast<std::int64_t>(size) > most_bytes_) {
    fs::rename(file_, file_.string() + ".old", ignored);
    open();
  }
  start_ = static_cast<std::int64_t>(fs::file_size(file_, ignored));
  if (ignored) start_ = 0;
  log::info("{}: begins", name_of_task(task));
}

void WorkerLog::end(const TaskHead& task, const Result& result) {
  if (result.failed) log::error("{}: failed after {:.1f} s: {}", name_of_task(task), result.seconds, result.message);
  if (file_.empty()) return;
  if (result.failed)
    keep(task);
  else
    log::info("{}: done in {:.1f} s", name_of_task(task), result.seconds);
}

void WorkerLog::keep(const TaskHead& task) const {
  if (task.log_name.empty()) return;
  std::ifstream from(file_, std::ios::binary);
  from.seekg(start_);
  std::ofstream to(file_.parent_path() / task.log_name, std::ios::binary);
  to << from.rdbuf();
}

}  // namespace frazil::exec
