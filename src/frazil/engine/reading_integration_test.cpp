// Reading a project: beside an engine at work, and where nothing may be written.
#include <atomic>
#include <set>

#include "frazil/engine/test_project.hpp"

namespace frazil::engine {
namespace {

class ReadingTest : public EngineTest {
 protected:
  Json request(const std::string& project, const Json& request, double starting_s = 10) const {
    return engine::ask(folder_ / project, numbers::registry(), request, starting_s);
  }
  /// Names, sizes and times of all that is in a project.
  std::map<std::string, std::string> trace(const std::string& project) const {
    std::map<std::string, std::string> trace;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / project))
      trace[entry.path().string()] = fmt::format("{} {}", entry.is_regular_file() ? entry.file_size() : 0,
                                                 entry.last_write_time().time_since_epoch().count());
    return trace;
  }
  static std::vector<Json> all_reads() {
    return {{{"command", "status"}},
            {{"command", "snapshot"}},
            {{"command", "why"}, {"item", "n_2"}},
            {{"command", "item"}, {"item", "n_2.num"}},
            {{"command", "items"}, {"step", "even"}, {"sort", "-value"}, {"count", 5}},
            {{"command", "series"}, {"step", "add"}, {"columns", {"value"}}},
            {{"command", "events"}, {"since", 3}},
            {{"command", "what-if"}, {"values", {{"by", "3"}}}}};
  }
  /// Runs in a process of an account that owns nothing. @return what `body` returned, −1 if it ended otherwise
  static int as_nobody(const std::function<int()>& body) {
    const auto child = ::fork();
    if (child == 0) {
      if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(100);
      try {
        ::_exit(body());
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
      }
      ::_exit(101);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void make_read_only(const std::string& project, bool read_only) const {
    const auto rights = fs::perms::owner_write | fs::perms::group_write | fs::perms::others_write;
    const auto how = read_only ? fs::perm_options::remove : fs::perm_options::add;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / project))
      if (!entry.is_symlink()) fs::permissions(entry.path(), read_only ? rights : fs::perms::owner_write, how);
    fs::permissions(folder_ / project, read_only ? rights : fs::perms::owner_write, how);
  }
};

TEST_F(ReadingTest, LeavesNoTraceAndNeedsNoRightToWrite) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"expected=12"}), 0);
  const auto expected = snapshot("p").at("steps").dump();
  make_read_only("p", true);
  const auto before = trace("p");
  std::this_thread::sleep_for(100ms);  // the threads that helped to read are at rest: none holds a lock in the copy
  EXPECT_EQ(as_nobody([&] {
              for (const auto& what : all_reads())
                if (!request("p", what).value("ok", false)) return 1;
              return snapshot("p").at("steps").dump() == expected ? 0 : 2;
            }),
            0);
  for (const auto& what : all_reads()) EXPECT_TRUE(request("p", what).value("ok", false)) << request("p", what).dump();
  EXPECT_EQ(trace("p"), before);
  make_read_only("p", false);
}

TEST_F(ReadingTest, TheTableOfASetWithVersionsHoldsTheLatestAlone) {
  write_numbers(1, 12);
  ASSERT_EQ(run("p", {"expected=12"}), 0);
  const auto lines = [&](const std::string& set) {
    const auto text = read_text(folder_ / "p" / "star" / (set + ".star"));
    return std::count(text.begin(), text.end(), '\n') - 1;  // below its title
  };
  EXPECT_EQ(lines("add"), 12);
  const auto versions = values(snapshot("p"), "total", "totals").size();
  EXPECT_EQ(versions, 2u) << "six even sums, four a batch";
  EXPECT_EQ(lines("total"), 1) << "a version of the fold holds all before it";
  EXPECT_EQ(lines("last"), 1);
}

TEST_F(ReadingTest, SeesWhatAKilledEngineHasCommittedAndLeavesItsLogAlone) {
  write_numbers(1, 12);
  const auto process = spawn("p", {"expected=13"});
  for (int i = 0; i < 1000 && fs::exists(folder_ / "in"); ++i) {
    const auto status = send_request(control_socket(folder_ / "p"), {{"command", "status"}});
    if (status && status->value("ok", false) && status->at("status").at("found") == 12) break;
    std::this_thread::sleep_for(10ms);
  }
  ::kill(process, SIGKILL);
  wait_for(process);
  ASSERT_TRUE(fs::exists(folder_ / "p" / "project.frazil-wal"));
  const auto before = trace("p");
  EXPECT_EQ(values(snapshot("p"), "in", "numbers").size(), 12u);
  EXPECT_EQ(request("p", {{"command", "status"}}).at("status").at("found"), 12);
  EXPECT_EQ(trace("p"), before);
  EXPECT_EQ(run("p", {"expected=12"}), 0);
}

TEST_F(ReadingTest, AnEngineThatCannotBeReachedIsNotSaidToHaveStopped) {
  write_numbers(1, 3);
  ASSERT_EQ(run("p", {"expected=3"}), 0);
  const Lease lease(folder_ / "p");
  for (const auto* command : {"stop", "pause", "resume", "status", "restore"})
    EXPECT_THROW((void)request("p", {{"command", command}, {"item", "n_2"}}, 0.1), Error) << command;
}

TEST_F(ReadingTest, AnEngineIsFoundWhereItSaysAlsoFromAnotherSession) {
  write_numbers(1, 3);
  const auto process = spawn("p", {"expected=5"});
  for (int i = 0; i < 500 && !lease_holder(folder_ / "p"); ++i) std::this_thread::sleep_for(10ms);
  const char* before = std::getenv("XDG_RUNTIME_DIR");
  const std::string kept = before != nullptr ? before : "";
  make_folders(folder_ / "elsewhere");
  ::setenv("XDG_RUNTIME_DIR", (folder_ / "elsewhere").c_str(), 1);
  EXPECT_TRUE(request("p", {{"command", "status"}}).value("ok", false));
  EXPECT_TRUE(request("p", {{"command", "stop"}}).value("ok", false));
  if (before != nullptr)
    ::setenv("XDG_RUNTIME_DIR", kept.c_str(), 1);
  else
    ::unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(wait_for(process), 130);
}

TEST_F(ReadingTest, ManyReadWhileTheEngineWorksAndSeeOneStateAtATime) {
  const auto process = spawn("p", {"expected=150", "sleep=2"});
  std::atomic<int> wrong = 0, rounds = 0;
  {
    std::vector<std::jthread> readers;
    for (int r = 0; r < 4; ++r)
      readers.emplace_back([&, r](const std::stop_token& stop) {
        const auto reads = all_reads();
        std::int64_t last = 0, events = 0;
        for (std::size_t i = static_cast<std::size_t>(r); !stop.stop_requested(); ++i) {
          const auto answer = send_request(control_socket(folder_ / "p"), reads[i % reads.size()]);
          if (!answer || !answer->value("ok", false)) continue;  // not there yet, or nothing by this name yet
          ++rounds;
          const auto sequence = answer->value("sequence", last);
          if (sequence < last) ++wrong;
          last = sequence;
          if (!answer->contains("events")) continue;
          for (const auto& event : answer->at("events"))
            if (event.at("n") > answer->at("last")) ++wrong;
          if (answer->at("last") < events) ++wrong;
          events = answer->at("last");
        }
      });
    for (int i = 1; i <= 150; ++i) {
      write_number(i, fmt::format("{}\nend", i));
      if (i % 10 == 0) std::this_thread::sleep_for(20ms);
    }
    EXPECT_EQ(wait_for(process), 0);
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(rounds, 10);
  EXPECT_EQ(values(snapshot("p"), "even", "accepted").size(), 75u);
}

TEST_F(ReadingTest, WhatIsDecidedHasANameAndIsSeenAtOnce) {
  write_numbers(1, 8);
  const auto process = spawn("p", {"expected=9"});
  for (int i = 0; i < 1000; ++i) {
    const auto answer = send_request(control_socket(folder_ / "p"), {{"command", "items"}, {"step", "even"}});
    if (answer && answer->value("total", 0) == 8) break;
    std::this_thread::sleep_for(10ms);
  }
  auto decided = request(
      "p",
      {{"command", "decide"}, {"items", {"n_2", "n_4.num"}}, {"accept", true}, {"reason", "good"}, {"actor", "ada"}});
  ASSERT_TRUE(decided.value("ok", false)) << decided.dump();
  EXPECT_EQ(decided.at("changed").size(), 2u);
  const auto why = request("p", {{"command", "why"}, {"item", "n_4"}}).at("items").at(0);
  EXPECT_EQ(why.at("outcome"), "kept: restored by ada at even");
  EXPECT_EQ(request("p", {{"command", "items"}, {"step", "even"}, {"port", "accepted"}, {"where", {"actor = ada"}}})
                .at("total"),
            2);
  EXPECT_TRUE(request("p", {{"command", "set-aside"}, {"item", "n_2"}}).value("ok", false));
  const auto again = request("p", {{"command", "why"}, {"item", "n_2"}}).at("items").at(0);
  EXPECT_EQ(again.at("outcome"), "set aside by " + login_name() + " at even");
  const auto refused = request("p", {{"command", "decide"}, {"items", {"n_1", "gone"}}, {"accept", false}});
  EXPECT_NE(refused.at("error").get<std::string>().find("no item gone"), std::string::npos);
  EXPECT_EQ(request("p", {{"command", "items"}, {"step", "even"}, {"port", "accepted"}}).at("total"), 5)
      << "1, 3, 5, 7 and 4: all names are looked up before anything changes";
  std::set<std::string> actors;
  const auto events = request("p", {{"command", "events"}}).at("events");
  for (const auto& event : events) actors.insert(event.at("actor"));
  EXPECT_TRUE(actors.contains("ada"));
  write_number(9, "9\nend");
  EXPECT_EQ(wait_for(process), 0);
  EXPECT_EQ(values(snapshot("p"), "join", "numbers"), (std::vector{3, 7, 9, 11, 15, 19}));
}

}  // namespace
}  // namespace frazil::engine
