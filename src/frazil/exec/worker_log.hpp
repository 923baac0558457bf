// The log of a worker: what it and the programs that it starts say, task after task, in one file that goes on.
#pragma once

#include <filesystem>

#include "frazil/exec/task.hpp"

namespace frazil::exec {

class WorkerLog {
 public:
  /// Standard error goes to the file from now on, behind what stands there. @param file  empty: it is left alone
  explicit WorkerLog(std::filesystem::path file, std::int64_t most_bytes = 4 << 20);

  /// Notes that a task begins. A log that has become long makes way: it is kept as NAME.old.
  void begin(const TaskHead& task);
  /// Notes how it ended. What was said during a failed task is kept as a file of its own, named by the task.
  void end(const TaskHead& task, const Result& result);

 private:
  void open();
  void keep(const TaskHead& task) const;

  std::filesystem::path file_;
  std::int64_t most_bytes_, start_ = 0;  ///< start_: where the task began
};

}  // namespace frazil::exec
