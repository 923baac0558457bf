#include "frazil/store/project.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <map>
#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/store/migrations.hpp"

namespace frazil::store {
namespace {

class ProjectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("frazil-store-{}", ::getpid());
    make_folders(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(ProjectTest, KeepsWhatWasCommittedAndLeavesOneFile) {
  {
    Project project(folder_);
    const auto n = project.add_item({0, "a1", "Number", "in", "numbers", "s", "0001", "one", "{\"value\":1}"});
    EXPECT_EQ(project.add_item({0, "a1", "Number", "in", "numbers", "s", "0001", "one", "{\"value\":1}"}), n)
        << "an id names one item";
    TaskRow task;
    task.key = "k";
    task.step = "add";
    task.outputs = {{"sums", n}};
    project.add_task(task);
    project.add_task(task);
    project.add_batch({"total", 0, {"s", "t"}});
    DecisionRow decision;
    decision.by = "rule";
    decision.key = "k";
    decision.value = std::nan("");
    project.add_decision(decision);
    project.commit();
  }
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) names.push_back(entry.path().filename());
  EXPECT_EQ(names, std::vector<std::string>{"project.frazil"});
  Project project(folder_);
  int tasks = 0;
  project.for_tasks([&](TaskRow&& row) {
    ++tasks;
    EXPECT_EQ(row.outputs.size(), 1u);
  });
  EXPECT_EQ(tasks, 1);
  EXPECT_EQ(project.batches().at(0).members.at(1), "t");
  EXPECT_TRUE(std::isnan(project.decisions().at(0).value));
  EXPECT_EQ(project.find_item("a1")->label, "one");
  EXPECT_EQ(project.find_task("k")->outputs.at(0).first, "sums");
}

/// The largest file that this process may write, in bytes.
void limit_files(rlim_t bytes) {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = std::min(bytes, limit.rlim_max);
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

TEST_F(ProjectTest, WhatCannotBeCommittedIsDroppedAsAWhole) {
  ::signal(SIGXFSZ, SIG_IGN);
  Project project(folder_);
  project.put("a", "1");
  const auto sequence = project.commit();
  project.put("a", "2");
  project.add_item({0, "big", "Number", "in", "numbers", "s", "0001", "one", std::string(1 << 20, ' ')});
  limit_files(64 << 10);
  EXPECT_THROW(project.commit(), Error);
  limit_files(RLIM_INFINITY);
  EXPECT_FALSE(project.dirty());
  EXPECT_EQ(project.get("a"), "1");
  EXPECT_FALSE(project.find_item("big").has_value());
  project.put("a", "3");
  EXPECT_EQ(project.commit(), sequence + 1);
  EXPECT_EQ(project.get("a"), "3");
}

/// Tasks of a filter on `count` items that were made before, and what they decided.
std::vector<DecidedRow> some_decisions(const std::string& limit, int count, const std::vector<std::int64_t>& items) {
  std::vector<DecidedRow> rows;
  for (int i = 0; i < count; ++i) {
    DecidedRow row;
    auto& t = row.task;
    t.key = std::to_string(i * 7919 % 1000) + limit;
    t.step = t.protocol = "filter";
    t.subject = t.label = "n" + std::to_string(i);
    t.programs = i % 2 == 0 ? "one" : "";
    t.outputs = {{i % 3 == 0 ? "accepted" : "set_aside", items[static_cast<std::size_t>(i)]}};
    row.decision = {0, "filter", "item", t.subject, t.label, i % 3 == 0, "rule",  i % 5 == 0 ? std::nan("") : double(i),
                    2, limit,    "rule", t.key,     3,       "rule",     "title", i % 4 == 0};
    rows.push_back(std::move(row));
  }
  return rows;
}

TEST_F(ProjectTest, ManyDecisionsAtOnceAreStoredLikeSingleOnes) {
  Project project(folder_);
  std::vector<std::int64_t> items;
  for (int i = 0; i < 50; ++i)
    items.push_back(project.add_item({0, "i" + std::to_string(i), "Number", "in", "numbers", "s", "1", "l", "{}"}));
  const auto rows = some_decisions("a", 50, items);
  for (const auto& row : rows) {
    project.add_decision(row.decision);
    (void)project.add_task(row.task);
  }
  const auto others = some_decisions("b", 50, items);
  const auto numbers = project.add_decided(others);
  const auto text_of = [&](std::int64_t n) {
    std::string text;
    project.for_task(n, [&](const TaskRow& t) {
      text = fmt::format("{} {} {} {}", t.step, t.subject, t.programs, t.outputs.at(0).first) +
             std::to_string(t.outputs.at(0).second);
      const auto d = project.decision_of_task(t.n).value();
      text += fmt::format(" {} {} {} {} {} {} {}", d.subject, d.accepted, d.value, d.limit, d.by, d.title, d.held);
    });
    return text;
  };
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(text_of(numbers[i]), text_of(project.find_task(rows[i].task.key)->n)) << i;
  EXPECT_EQ(project.add_decided(others), std::vector<std::int64_t>(50, 0)) << "they are there";
  EXPECT_EQ(project.decisions().size(), 100u);
}

TEST_F(ProjectTest, TellsHowLongWhoeverWritesHasWaitedForReaders) {
  Project project(folder_);
  for (int i = 0; i < 2000; ++i)
    project.add_item({0, "i" + std::to_string(i), "Number", "in", "numbers", "s", "1", "l", "{}"});
  project.commit();
  EXPECT_EQ(project.waits().count, 0);
  std::atomic<bool> reads = false;
  std::jthread other([&, reader = std::make_unique<Reader>(project)](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      reads = true;
      (void)reader->batch_with("in", "s");
      reader->for_item_ids([](std::int64_t, std::string_view) {});
    }
  });
  while (!reads) std::this_thread::yield();
  for (int i = 0; i < 100000 && project.waits().count == 0; ++i) (void)project.get("a");
  EXPECT_GT(project.waits().count, 0);
  EXPECT_GE(project.waits().total_s, project.waits().longest_s);
  EXPECT_GT(project.waits().longest_s, 0);
}

TEST_F(ProjectTest, RemembersWorkersThatDiedWithATask) {
  {
    Project project(folder_);
    project.put_kills({"k", 2, 1});
    project.put_kills({"k", 3, 2});
    project.put_kills({"other", 1, 0});
    project.forget_kills("other");
    project.commit();
  }
  Project project(folder_);
  ASSERT_EQ(project.kills().size(), 1u);
  EXPECT_EQ(project.kills()[0].deaths, 3);
  EXPECT_EQ(project.kills()[0].alone, 2);
}

TEST_F(ProjectTest, KeepsQuestionsUntilTheyAreAnswered) {
  Project project(folder_);
  const auto first = project.ask({0, "key 1", "pick", "mic_1", "pick on mic_1", 5});
  const auto second = project.ask({0, "key 2", "pick", "mic_2", "pick on mic_2", 6});
  EXPECT_EQ(project.ask({0, "key 1", "pick", "mic_1", "other words", 7}), first) << "asked once";
  EXPECT_EQ(project.open_questions().at(0).text, "pick on mic_1");
  project.answer_question(first, "files", "Ada");
  ASSERT_EQ(project.open_questions().size(), 1u);
  EXPECT_EQ(project.find_question("key 1")->actor, "Ada");
  project.forget_question("key 2");
  project.forget_question("key 1");
  EXPECT_TRUE(project.open_questions().empty());
  EXPECT_FALSE(project.find_question("key 2").has_value());
  EXPECT_TRUE(project.find_question("key 1").has_value()) << "an answer is not forgotten";
  EXPECT_EQ(project.ask({0, "key 1", "pick", "mic_1", "pick on mic_1", 8}), first) << "but may be asked for anew";
  EXPECT_EQ(project.open_questions().at(0).asked, 8);
  (void)second;
}

TEST_F(ProjectTest, KeepsAlarmsAsTheyStandNow) {
  Finding turned{AlarmKind::gain, "panel 2", "turned by 180°", "rotate-180", "identity", "turn it", 0.999};
  {
    Project project(folder_);
    EXPECT_EQ(project.last_alarm(), 0);
    project.put_alarm({1, "monitor-gain", turned, 10, 0, "", 0, ""});
    project.put_alarm({2, "engine", {.kind = AlarmKind::disk, .text = "nearly full"}, 11, 0, "", 0, ""});
    project.put_alarm({1, "monitor-gain", turned, 10, 0, "ada", 12, "is being changed"});
    project.put_alarm({2, "engine", {.kind = AlarmKind::disk, .text = "nearly full"}, 11, 13, "", 0, ""});
    project.commit();
  }
  Project project(folder_);
  const auto standing = project.standing_alarms();
  ASSERT_EQ(standing.size(), 1u);
  EXPECT_EQ(record_to_json(standing[0].finding), record_to_json(turned));
  EXPECT_EQ(standing[0].source, "monitor-gain");
  EXPECT_EQ(standing[0].actor, "ada");
  EXPECT_EQ(standing[0].acknowledged, 12);
  EXPECT_EQ(standing[0].reason, "is being changed");
  EXPECT_EQ(project.last_alarm(), 2);
  ASSERT_EQ(project.alarms_after(1, 10).size(), 1u);
  EXPECT_EQ(project.alarms_after(1, 10)[0].until, 13);
}

TEST_F(ProjectTest, FindsEventsByTheirTime) {
  Project project(folder_);
  const auto before = now();
  project.add_event("engine", "", "", "started");
  project.add_event("engine", "", "", "stopped");
  EXPECT_EQ(project.last_event_before(before), 0);
  EXPECT_EQ(project.last_event_before(now() + 1), 2);
}

TEST_F(ProjectTest, RefusesADatabaseOfANewerProgram) {
  { Project project(folder_); }
  { Database(folder_ / "project.frazil").execute("PRAGMA user_version = " + std::to_string(migrations.size() + 1)); }
  EXPECT_THROW(Project{folder_}, Error);
}

TEST_F(ProjectTest, CommitsAreNumberedOnAndEverythingHasItsActor) {
  std::int64_t last = 0;
  {
    Project project(folder_);
    project.add_item({0, "a1", "Number", "in", "numbers", "s", "0001", "one", "{}", "import-numbers"});
    DecisionRow decision;
    decision.by = "person";
    decision.actor = "ada";
    project.add_decision(decision);
    project.add_event("restored", "in", "one", "by hand", "ada");
    const auto first = project.commit();
    EXPECT_EQ(project.commit(), first) << "nothing was changed";
    project.add_event("engine", "", "", "started");
    EXPECT_EQ(project.last_event(), 1) << "the second one is not durable yet";
    last = project.commit();
    EXPECT_EQ(last, first + 1);
  }
  Project project(folder_);
  EXPECT_EQ(project.last_event(), 2);
  EXPECT_EQ(project.find_item("a1")->actor, "import-numbers");
  EXPECT_EQ(project.decisions_of_people().at(0).actor, "ada");
  ASSERT_EQ(project.events_after(0, 10).size(), 2u);
  EXPECT_EQ(project.events_after(0, 10).at(0).actor, "ada");
  EXPECT_EQ(project.events_after(1, 10).at(0).kind, "engine");
  project.add_event("engine", "", "", "stopped");
  EXPECT_EQ(project.commit(), last + 1) << "over restarts too";
}

TEST_F(ProjectTest, AQueryWithinTheSameQueryDisturbsNeither) {
  Project project(folder_);
  for (int i = 0; i < 10; ++i) {
    TaskRow task;
    task.key = fmt::format("k{}", i);
    project.add_task(task);
  }
  int outer = 0, inner = 0;
  project.for_tasks([&](TaskRow&&) {
    ++outer;
    project.for_tasks([&](TaskRow&&) { ++inner; });
  });
  EXPECT_EQ(outer, 10);
  EXPECT_EQ(inner, 100);
}

TEST_F(ProjectTest, OthersReadByNumberWhileOneWrites) {
  Project project(folder_);
  std::atomic<std::int64_t> last = 0;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> readers;
  for (int r = 0; r < 3; ++r)
    readers.emplace_back([&](const std::stop_token& stop) {
      Reader reader(project);
      while (!stop.stop_requested())
        for (std::int64_t n = 1; n <= last; n += 7)
          if (reader.record(n) != fmt::format("{{\"value\":{}}}", n)) ++wrong;
    });
  for (int i = 1; i <= 2000; ++i) {
    const auto n = project.add_item(
        {0, fmt::format("id{}", i), "Number", "in", "numbers", "s", "0001", "one", fmt::format("{{\"value\":{}}}", i)});
    if (i % 50 != 0) continue;
    project.commit();
    last = n;
  }
  readers.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Reader(project).items_with_id("id19", 200).size(), 111u) << "19, 190 to 199, 1900 to 1999";
}

/// Names, sizes and times of all files of a folder.
std::map<std::string, std::string> trace_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> trace;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    trace[entry.path().filename()] =
        fmt::format("{} {}", entry.file_size(), entry.last_write_time().time_since_epoch().count());
  return trace;
}

TEST_F(ProjectTest, ReadingAloneLeavesNoTraceAlsoWhenALogWasLeftByAKill) {
  if (const auto child = ::fork(); child == 0) {
    Project project(folder_);
    project.put("key", "value");
    project.commit();
    ::_exit(0);  // the log stays
  } else {
    ::waitpid(child, nullptr, 0);
  }
  ASSERT_TRUE(std::filesystem::exists(folder_ / "project.frazil-wal"));
  auto before = trace_of(folder_);
  {
    Project project(folder_, Access::read);
    EXPECT_EQ(project.get("key"), "value") << "what is only in the log";
    EXPECT_THROW(project.put("key", "other"), Error);
  }
  EXPECT_EQ(trace_of(folder_), before);
  { Project project(folder_); }
  before = trace_of(folder_);
  ASSERT_EQ(before.size(), 1u);
  {
    Project project(folder_, Access::read);
    EXPECT_EQ(Reader(project).get("key"), "value");
    EXPECT_EQ(trace_of(folder_), before);
  }
  EXPECT_EQ(trace_of(folder_), before);
}

}  // namespace
}  // namespace frazil::store
