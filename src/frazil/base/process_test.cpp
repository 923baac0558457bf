#include "frazil/base/process.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"

namespace frazil {
namespace {

TEST(RunProgram, PassesArgumentsAsTheyAre) {
  const auto done = run_program({{"printf", "%s|", "a b", "$(touch x); `y` * \"z\"", ""}});
  EXPECT_EQ(done.code, 0);
  EXPECT_EQ(done.output, "a b|$(touch x); `y` * \"z\"||");
}

TEST(RunProgram, TellsCodesSignalsAndTheLastLines) {
  const auto failed = run_program({{"sh", "-c", "echo one; echo two >&2; echo three; exit 7"}});
  EXPECT_EQ(failed.code, 7);
  EXPECT_EQ(failed.last_lines(2), "two\nthree");
  const auto killed = run_program({{"sh", "-c", "kill -9 $$"}});
  EXPECT_EQ(killed.signal, 9);
  EXPECT_THROW((void)run_program({{"no-such-program-anywhere"}}), Error);
}

TEST(RunProgram, GivesFolderEnvironmentAndInput) {
  Command command{{"sh", "-c", "pwd; echo $FRAZIL_X; cat"}};
  command.folder = "/";
  command.environment = {{"FRAZIL_X", "value"}};
  command.input = "text";
  EXPECT_EQ(run_program(command).output, "/\nvalue\ntext");
}

TEST(RunProgram, EndsWhatTakesTooLongWithAllItStarted) {
  Command command{{"sh", "-c", "sleep 300 & echo $!; wait"}};
  command.time_limit_s = 0.3;
  const auto done = run_program(command);
  EXPECT_TRUE(done.timed_out);
  const pid_t left = std::stoi(done.output);
  for (int i = 0; i < 100 && ::kill(left, 0) == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_NE(::kill(left, 0), 0);
}

TEST(RunProgram, StopsWhenPollThrows) {
  Command command{{"sleep", "300"}};
  command.poll = [] { throw Error(ErrorCode::cancelled, "stop"); };
  EXPECT_THROW((void)run_program(command), Error);
}

TEST(RunProgram, LeavesNothingBehindWhenItsOwnerIsKilled) {
  const auto note = std::filesystem::temp_directory_path() / fmt::format("frazil-process-test-{}", ::getpid());
  const pid_t owner = ::fork();
  if (owner == 0) {
    (void)run_program({{"sh", "-c", "sleep 300 & echo $! > \"$0\".part; mv \"$0\".part \"$0\"; wait", note.string()}});
    ::_exit(0);
  }
  for (int i = 0; i < 500 && !std::filesystem::exists(note); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(std::filesystem::exists(note));
  const pid_t left = std::stoi(read_text(note));
  std::filesystem::remove(note);
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  for (int i = 0; i < 200 && ::kill(left, 0) == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_NE(::kill(left, 0), 0);
}

}  // namespace
}  // namespace frazil
