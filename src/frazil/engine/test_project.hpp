// What engine tests share: a folder with input files and projects, and the program of number protocols that works on
// them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/engine/command.hpp"
#include "frazil/engine/control.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/marker.hpp"
#include "frazil/engine/numbers.hpp"
#include "frazil/engine/snapshot.hpp"

extern char** environ;  // NOLINT: POSIX

namespace frazil::engine {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

inline constexpr const char* full_workflow = R"({"name": "numbers",
  "parameters": [{"name": "files", "type": "path", "required": true}, {"name": "expected", "type": "integer",
    "default": 0}, {"name": "idle", "type": "number", "default": 0},
                 {"name": "order", "default": "acquisition"}, {"name": "exclude", "default": ""},
                 {"name": "reference", "default": ""}, {"name": "sleep",
        "type": "integer", "default": 0}, {"name": "fail_at", "type": "integer", "default": -1},
                 {"name": "flaky_at", "type": "integer", "default": -1}, {"name": "crash_at", "type": "integer",
        "default": -1}, {"name": "by", "type": "integer", "default": 2}],
  "steps": {
    "in": {"protocol": "import-numbers", "params": {"files": "${files}", "exclude": "${exclude}",
      "reference": "${reference}",
      "expected": "${expected}", "idle": "${idle}", "patience": 0.4}},
    "add": {"protocol": "add", "params": {"sleep_ms": "${sleep}", "fail_at": "${fail_at}", "flaky_at": "${flaky_at}",
      "crash_at": "${crash_at}"}, "inputs": {"left": "in.numbers"}},
    "even": {"protocol": "even", "params": {"by": "${by}"}, "inputs": {"numbers": "add.numbers"}},
    "join": {"protocol": "add", "params": {"add": 0, "sleep_ms": "${sleep}"}, "inputs": {"left": "add.numbers",
      "right": "in.numbers"}, "where": ["even.accepted"]},
    "total": {"protocol": "total", "params": {"sleep_ms": "${sleep}"}, "inputs": {"numbers": "join.numbers"},
      "trigger": {"mode": "batches", "count": 4}},
    "sample": {"protocol": "total", "inputs": {"numbers": "add.numbers"}, "trigger": {"mode": "static", "count": 5}},
    "size": {"protocol": "report-total", "inputs": {"totals": "sample.totals"}},
    "shifted": {"protocol": "add", "inputs": {"left": "join.numbers", "right": "size.numbers"}},
    "last": {"protocol": "report-total", "inputs": {"totals": "total.totals"}, "trigger": {"mode": "closed"}}}})";

/// A folder with input files and projects, and the program that works on them.
class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    static int counter = 0;
    folder_ = fs::temp_directory_path() / fmt::format("frazil-engine-{}-{}", ::getpid(), counter++);
    make_folders(folder_ / "in");
    write_text(folder_ / "workflow.json", full_workflow);
  }
  void TearDown() override {
    if (!HasFailure()) fs::remove_all(folder_);
  }

  void write_number(int name, const std::string& text) const {
    const auto hidden = folder_ / "in" / fmt::format(".n_{}", name);
    std::ofstream(hidden) << text;
    fs::rename(hidden, folder_ / "in" / fmt::format("n_{}.num", name));
  }
  void write_numbers(int first, int last) const {
    for (int i = first; i <= last; ++i) write_number(i, fmt::format("{}\nend", i));
  }

  pid_t spawn(const std::string& project, const std::vector<std::string>& settings) const {
    std::vector<std::string> command = {FRAZIL_NUMBERS, "run", (folder_ / project).string(),
                                        (folder_ / "workflow.json").string(), "files=" + (folder_ / "in").string()};
    command.insert(command.end(), settings.begin(), settings.end());
    std::vector<char*> arguments;
    for (auto& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    pid_t process = -1;
    EXPECT_EQ(::posix_spawn(&process, command[0].c_str(), nullptr, nullptr, arguments.data(), environ), 0);
    return process;
  }
  static int wait_for(pid_t process) {
    int status = 0;
    ::waitpid(process, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int run(const std::string& project, const std::vector<std::string>& settings) const {
    return wait_for(spawn(project, settings));
  }

  Json ask(const std::string& project, const std::string& command, const std::string& item = {}) const {
    return engine::ask(folder_ / project, numbers::registry(), {{"command", command}, {"item", item}});
  }
  Json snapshot(const std::string& project) const { return read_snapshot(folder_ / project, numbers::registry()); }

  /// What must be the same however a run went: items, decisions and failures of every step, and the STAR files.
  std::map<std::string, std::string> result_of(const std::string& project) const {
    std::map<std::string, std::string> result;
    const auto state = snapshot(project);
    for (const auto& step : state.at("steps")) {
      const auto name = step.at("name").get<std::string>();
      for (const auto& set : step.at("sets"))
        result[name + "." + set.at("port").get<std::string>()] = set.at("items").dump(1);
      std::vector<std::string> rest;
      for (const auto& d : step.at("decisions"))
        rest.push_back(fmt::format("{} {} {} {}", d.at("item").dump(), d.at("accepted").dump(), d.at("rule").dump(),
                                   d.at("value").dump()));
      for (const auto& f : step.at("failures"))
        rest.push_back(fmt::format("{} {}", f.at("label").dump(), f.at("message").dump()));
      for (const auto& t : step.at("tasks")) rest.push_back("task " + t.at("subject").dump());
      std::sort(rest.begin(), rest.end());
      for (const auto& line : rest) result[name + " decisions"] += line + "\n";
    }
    for (const auto& file : fs::directory_iterator(folder_ / project / "star"))
      result["star/" + file.path().filename().string()] = read_text(file.path());
    for (const auto& file : fs::recursive_directory_iterator(folder_ / project / "steps"))
      if (file.is_regular_file() && file.path().filename() != marker_name)
        result[fs::relative(file.path(), folder_ / project)] = read_text(file.path());
    return result;
  }
  static std::vector<int> values(const Json& snapshot, std::string_view step, std::string_view port) {
    std::vector<int> list;
    for (const auto& s : snapshot.at("steps"))
      if (s.at("name") == step)
        for (const auto& set : s.at("sets"))
          if (set.at("port") == port)
            for (const auto& item : set.at("items"))
              list.push_back(item.at("record").contains("value") ? item["record"]["value"].get<int>()
                                                                 : item["record"]["count"].get<int>());
    return list;
  }

  fs::path folder_;
};

}  // namespace frazil::engine
