#include "frazil/cli/step.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/cli/command.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/model/records.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

/// Does what the name of its input says.
struct Trip {
  static constexpr flow::Info info{.name = "trip", .title = "Trip", .version = 1, .help = "Stumbles on some inputs."};
  struct Params {
    static constexpr auto fields() { return std::tuple(); }
  };
  using Input = Micrograph;
  using Output = Micrograph;
  Params params;
  Output process(const Micrograph& in, flow::Context& context) const {
    write_text(context.output("half.txt"), "half");
    if (in.path.find("memory") != std::string::npos) throw std::bad_alloc();
    if (in.path.find("defect") != std::string::npos) throw std::out_of_range("no such place");
    if (in.path.find("deaf") != std::string::npos) {
      ::kill(::getpid(), SIGTERM);
      std::this_thread::sleep_for(std::chrono::seconds(30));  // a loop that does not look whether it should stop
    }
    if (in.path.find("looks") != std::string::npos) {
      ::kill(::getpid(), SIGTERM);
      while (true) context.check_cancelled();
    }
    return in;
  }
};

class StepTest : public ::testing::Test {
 protected:
  StepTest() { make_folders(folder_); }
  ~StepTest() override { fs::remove_all(folder_); }
  std::vector<std::string> call(const std::vector<std::string>& names) const {
    std::vector<std::string> arguments;
    for (const auto& name : names) {
      const auto path = folder_ / (name + ".mrc");
      io::write_image(path, Image(32, 32));
      arguments.push_back(path.string());
    }
    for (const auto& argument : {std::string("-o"), (folder_ / "out").string(), std::string("--json"),
                                 std::string("--pixel-size"), std::string("1")})
      arguments.push_back(argument);
    return arguments;
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("frazil-step-{}", ::getpid());
  flow::Protocol protocol_ = flow::make_protocol<Trip>();
};

TEST_F(StepTest, MemoryThatRunsOutAndDefectsConcernOneInput) {
  ::testing::internal::CaptureStdout();
  const int code = run_step(protocol_, call({"a_memory", "b_defect", "c_good"}));
  std::istringstream lines(::testing::internal::GetCapturedStdout());
  std::vector<Json> printed;
  for (std::string line; std::getline(lines, line);) printed.push_back(Json::parse(line));
  EXPECT_EQ(code, defect);
  ASSERT_EQ(printed.size(), 3u);
  EXPECT_EQ(printed[0].value("error_code", ""), "resource");
  EXPECT_EQ(printed[1].value("error_code", ""), "bug");
  EXPECT_FALSE(printed[2].contains("error"));
  EXPECT_TRUE(printed[2].contains("seconds")) << "the remaining files go on";
}

TEST_F(StepTest, ALoopThatLooksEndsAtOnceWhenAskedAndLeavesNothing) {
  EXPECT_EQ(run_step(protocol_, call({"looks"})), interrupted);
  EXPECT_TRUE(fs::is_empty(folder_ / "out"));
}

TEST_F(StepTest, ALoopThatDoesNotLookIsEndedAndLeavesNothing) {
  const auto arguments = call({"deaf"});
  const pid_t child = ::fork();
  if (child == 0) ::_exit(run_step(protocol_, arguments));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), interrupted);
  EXPECT_TRUE(fs::is_empty(folder_ / "out"));
}

}  // namespace
}  // namespace frazil::cli
