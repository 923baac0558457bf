// Several engines on one machine, and steps that ask for more than a thread.
#include "frazil/engine/test_project.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {
namespace {

class SharesTest : public EngineTest {
 protected:
  void prepare(const std::string& project, const std::string& steps, const std::string& parameters = "") const {
    std::vector<flow::Problem> problems;
    const auto workflow =
        flow::parse_workflow(R"({"name": "shares", "parameters": [)" + parameters +
                                 R"(], "steps": {"in": {"protocol": "import-numbers", "params": {"files": ")" +
                                 (folder_ / "in").string() + R"(", "expected": 60}}, )" + steps + "}}",
                             problems);
    ASSERT_EQ(flow::describe(problems), "");
    prepare_project(folder_ / project, workflow, Json::object(), numbers::registry());
  }
  Options options(const std::string& project) const {
    Options options;
    options.project = folder_ / project;
    options.worker_command = {FRAZIL_NUMBERS, "worker"};
    options.handle_signals = false;
    options.poll_s = 0.2;
    return options;
  }
  /// All tasks in the order in which they ended.
  std::vector<store::TaskRow> tasks_of(const std::string& project) const {
    std::vector<store::TaskRow> tasks;
    store::Project store(folder_ / project);
    store.for_tasks([&](store::TaskRow&& row) { tasks.push_back(std::move(row)); });
    std::sort(tasks.begin(), tasks.end(), [](const auto& a, const auto& b) { return a.finished < b.finished; });
    return tasks;
  }
  std::vector<double> ends_of(const std::string& project) const {
    std::vector<double> ends;
    for (const auto& task : tasks_of(project)) ends.push_back(task.finished);
    return ends;
  }
};

TEST_F(SharesTest, TwoProjectsWithBacklogGetHalfOfTheMachineEach) {
  write_numbers(1, 60);
  const auto budget = std::make_shared<exec::Budget>(2, 4000);
  std::vector<std::jthread> threads;
  for (const auto* name : {"a", "b"}) {
    prepare(name, R"("add": {"protocol": "add", "params": {"sleep_ms": 10}, "inputs": {"left": "in.numbers"}})");
    threads.emplace_back([this, budget, name] {
      auto settings = options(name);
      settings.budget = budget;
      Engine engine(settings, numbers::registry());
      EXPECT_EQ(engine.run(), End::finished);
    });
  }
  threads.clear();
  const auto a = ends_of("a"), b = ends_of("b");
  ASSERT_EQ(a.size(), 60u);
  ASSERT_EQ(b.size(), 60u);
  // While both had work, neither was far ahead of the other.
  const auto from = std::max(a.front(), b.front()), to = std::min(a.back(), b.back());
  const auto during = [&](const std::vector<double>& ends) {
    return std::count_if(ends.begin(), ends.end(), [&](double t) { return t >= from && t <= to; });
  };
  EXPECT_GT(during(a), 30) << "most of the time both worked";
  EXPECT_GT(during(b), 30);
}

TEST_F(SharesTest, TheOldestComeFirstWhereThatIsAskedFor) {
  write_numbers(1, 60);
  prepare("p", R"("add": {"protocol": "add", "params": {"sleep_ms": 10}, "inputs": {"left": "in.numbers"}})",
          R"({"name": "backlog", "default": "oldest"})");
  auto settings = options("p");
  settings.threads = 1;
  {
    Engine engine(settings, numbers::registry());
    EXPECT_EQ(engine.run(), End::finished);
  }
  std::vector<std::string> labels;
  for (const auto& task : tasks_of("p")) labels.push_back(task.order);
  EXPECT_TRUE(std::is_sorted(labels.begin(), labels.end()));
}

TEST_F(SharesTest, UnderBacklogTheNewestComeFirstTheOldestAreFilledInAndWhatIsOptionalWaits) {
  write_numbers(1, 60);
  prepare("p",
          R"("add": {"protocol": "add", "params": {"sleep_ms": 20}, "inputs": {"left": "in.numbers"}},
        "next": {"protocol": "add", "inputs": {"left": "add.numbers"}},
                  "extra": {"protocol": "add", "params": {"add": 2}, "optional": true,
        "inputs": {"left": "in.numbers"}})");
  auto settings = options("p");
  settings.threads = 1;
  {
    Engine engine(settings, numbers::registry());
    EXPECT_EQ(engine.run(), End::finished);
  }
  std::vector<int> begun;  // in the order in which they began: one thread
  int extra_before_last = 0, extra = 0;
  for (const auto& task : tasks_of("p")) {
    if (task.step == "add") begun.push_back(std::stoi(task.label.substr(2))), extra_before_last = extra;
    extra += task.step == "extra";
  }
  ASSERT_EQ(begun.size(), 60u);
  EXPECT_EQ(extra, 60) << "nothing is dropped";
  EXPECT_LE(extra_before_last, 3) << "what is optional waits while anything else is there to do";
  const std::vector<int> early(begun.begin() + 8,
                               begun.begin() + 32);  // the first began before the folder was read to its end
  const auto newest = std::count_if(early.begin(), early.end(), [](int n) { return n > 36; }),
             oldest = std::count_if(early.begin(), early.end(), [](int n) { return n <= 20; });
  EXPECT_GE(newest, 14) << "three of four are the newest";
  EXPECT_GE(oldest, 4) << "every fourth is the oldest";
}

TEST_F(SharesTest, AStepThatNeedsMoreGpusThanThereAreIsRefused) {
  write_numbers(1, 60);
  prepare("p", R"("add": {"protocol": "add", "gpus": 2, "inputs": {"left": "in.numbers"}})");
  auto settings = options("p");
  settings.gpus = {"0"};
  Engine engine(settings, numbers::registry());
  EXPECT_THROW((void)engine.run(), Error);
}

TEST_F(SharesTest, GpusAreReservedForOneTaskAtATime) {
  write_numbers(1, 60);
  prepare("p",
          R"("add": {"protocol": "add", "gpus": 1, "params": {"sleep_ms": 5}, "inputs": {"left": "in.numbers"}},
        "more": {"protocol": "shift", "inputs": {"left": "in.numbers"}})");
  auto settings = options("p");
  settings.threads = 4;
  settings.gpus = {"1"};
  int most = 0;
  settings.place = [](const flow::PlannedStep&) { return std::nullopt; };
  settings.on_status = [&](const Status& status) { most = std::max(most, status.steps.at(1).running); };
  Engine engine(settings, numbers::registry());
  EXPECT_EQ(engine.run(), End::finished);
  EXPECT_LE(most, 1);
  EXPECT_EQ(values(snapshot_of(engine.reading()), "add", "numbers").size(), 60u);
}

TEST_F(SharesTest, PlacesElsewhereTakeAsManyTasksAsTheyHaveWorkers) {
  write_numbers(1, 60);
  prepare("p",
          R"("add": {"protocol": "add", "params": {"sleep_ms": 5}, "inputs": {"left": "in.numbers"}},
        "more": {"protocol": "shift", "inputs": {"left": "in.numbers"}})");
  auto settings = options("p");
  settings.threads = 1;
  settings.place = [](const flow::PlannedStep& step) {
    return step.name == "add" ? std::optional(std::pair(std::string("far"), 2)) : std::nullopt;
  };
  int most = 0;
  settings.on_status = [&](const Status& status) { most = std::max(most, status.steps.at(1).running); };
  Engine engine(settings, numbers::registry());
  EXPECT_EQ(engine.run(), End::finished);
  EXPECT_LE(most, 2);
  EXPECT_EQ(values(snapshot_of(engine.reading()), "more", "numbers").size(), 60u)
      << "the thread here was not taken by what ran there";
}

}  // namespace
}  // namespace frazil::engine
