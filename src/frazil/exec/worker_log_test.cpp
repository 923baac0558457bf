#include "frazil/exec/worker_log.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"

namespace frazil::exec {
namespace {

TEST(WorkerLog, GoesOnOverTasksAndKeepsWhatAFailedOneSaid) {
  const auto folder = std::filesystem::temp_directory_path() / ("frazil-worker-log-" + std::to_string(::getpid()));
  make_folders(folder);
  const int before = ::dup(STDERR_FILENO);
  TaskHead first, second;
  first.number = 1;
  second.number = 2;
  first.protocol = second.protocol = "align-movie";
  second.reference = "steps/align/m_2";
  second.log_name = "align_m_2.log";
  Result good, bad;
  bad.failed = true;
  bad.message = "m_2: is broken";
  {
    WorkerLog log(folder / "worker-0.log");
    log.begin(first);
    log::warning("a word of the first");
    log.end(first, good);
    log.begin(second);
    log::warning("a word of the second");
    log.end(second, bad);
  }
  {
    WorkerLog log(folder / "worker-0.log", 100);  // another worker: has had enough of the old one
    log.begin(first);
    log.end(first, good);
  }
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  const auto kept = read_text(folder / "align_m_2.log"), old = read_text(folder / "worker-0.log.old");
  EXPECT_EQ(kept.find("first"), std::string::npos) << kept;
  EXPECT_NE(kept.find("a word of the second"), std::string::npos) << kept;
  EXPECT_NE(kept.find("m_2: is broken"), std::string::npos) << kept;
  EXPECT_NE(old.find("a word of the first"), std::string::npos) << old;
  EXPECT_NE(old.find("task 2, align-movie, for steps/align/m_2: begins"), std::string::npos) << old;
  EXPECT_NE(read_text(folder / "worker-0.log").find("task 1, align-movie: done in 0.0 s"), std::string::npos);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace frazil::exec
