#include "frazil/store/project.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

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

TEST_F(ProjectTest, RefusesADatabaseOfANewerProgram) {
  { Project project(folder_); }
  { Database(folder_ / "project.frazil").execute("PRAGMA user_version = " + std::to_string(migrations.size() + 1)); }
  EXPECT_THROW(Project{folder_}, Error);
}

}  // namespace
}  // namespace frazil::store
