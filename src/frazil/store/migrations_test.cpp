// Projects of every older schema, kept as dumps in test_data/schema_<N>.sql, are opened and lose nothing.
#include "frazil/store/migrations.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "frazil/base/files.hpp"
#include "frazil/store/project.hpp"

namespace frazil::store {
namespace {

namespace fs = std::filesystem;

std::string dump_of(int schema) {
  const auto name = fmt::format("src/frazil/store/test_data/schema_{}.sql", schema);
  std::ifstream file(name);
  if (!file)
    throw Error(ErrorCode::not_found,
                "{} is missing: every schema that a released program wrote needs the dump of a small project", name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Statements that make the tables and indices of a database.
std::vector<std::string> schema_of(const fs::path& file) {
  Database database(file);
  std::vector<std::string> statements;
  auto query = database.query("SELECT COALESCE(sql, name) FROM sqlite_master ORDER BY name");
  while (query.step()) statements.push_back(query.text());
  return statements;
}

class MigrationsTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("frazil-migrations-{}-{}", ::getpid(), GetParam());
    make_folders(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_P(MigrationsTest, TheStoredProjectHasTheSchemaThatTheStepsMake) {
  Database(folder_ / "stored").execute(dump_of(GetParam()));
  for (int step = 0; step < GetParam(); ++step)
    Database(folder_ / "made").execute(migrations[static_cast<std::size_t>(step)]);
  EXPECT_EQ(schema_of(folder_ / "stored"), schema_of(folder_ / "made"))
      << "a step that a released program has taken must not be changed";
}

TEST_P(MigrationsTest, EverythingIsFoundAgain) {
  const auto file = folder_ / "project.frazil";
  Database(file).execute(dump_of(GetParam()));
  {
    Project project(folder_);
    std::vector<TaskRow> tasks;
    project.for_tasks([&](TaskRow&& row) { tasks.push_back(std::move(row)); });
    ASSERT_EQ(tasks.size(), 4u);
    EXPECT_EQ(tasks[0].key, "aa01");
    EXPECT_EQ(tasks[0].outputs, (std::vector<std::pair<std::string, std::int64_t>>{{"doubled", 4}}));
    EXPECT_EQ(tasks[0].programs, GetParam() < 3 ? "" : "frazil 0.1.0; numbers 1");
    EXPECT_TRUE(tasks[1].failed);
    EXPECT_EQ(tasks[1].message, "two.txt: ends after 3 of 8 bytes");
    EXPECT_EQ(tasks[1].attempts, 3);
    EXPECT_DOUBLE_EQ(tasks[2].finished, 1767225602.25);
    EXPECT_EQ(project.failed_tasks(), std::vector<std::int64_t>{2});
    EXPECT_EQ(project.find_item("f3a2")->label, "two µ");
    EXPECT_EQ(project.item(4).record, R"({"value":2,"file":"steps/double/one_0c11aa22/n.txt"})");
    EXPECT_EQ(project.batches().at(0).members, (std::vector<std::string>{"f3a1", "f3a2"}));
    const auto decisions = project.decisions();
    ASSERT_EQ(decisions.size(), 3u);
    EXPECT_FALSE(decisions[0].accepted);
    EXPECT_DOUBLE_EQ(decisions[0].limit, 1.5);
    EXPECT_TRUE(std::isnan(decisions[1].value));
    EXPECT_EQ(decisions[0].actor, "least_value");
    EXPECT_EQ(decisions[2].actor, GetParam() < 4 ? "" : "ada");
    EXPECT_EQ(project.item(4).actor, GetParam() < 4 ? "" : "double");
    ASSERT_EQ(project.decisions_of_people().size(), 1u);
    EXPECT_EQ(project.decisions_of_people()[0].reason, "looks fine");
    const auto files = project.files();
    ASSERT_EQ(files.size(), 3u);
    EXPECT_EQ(files[0].mtime_ns, 1767225000000000001);
    EXPECT_EQ(files[2].state, "broken");
    EXPECT_EQ(project.events(10).back().text, "two.txt: ends after 3 of 8 bytes");
    EXPECT_EQ(project.get("workflow"), R"({"name":"numbers","steps":[]})");
    EXPECT_EQ(project.costs().size(), GetParam() < 2 ? 0u : 1u);
    EXPECT_EQ(project.open_questions().size(), GetParam() < 7 ? 0u : 1u);
    EXPECT_EQ(project.last_alarm(), 0) << "none was stored then";
  }
  const bool older = GetParam() < static_cast<int>(migrations.size());
  EXPECT_EQ(fs::exists(file.string() + fmt::format(".v{}", GetParam())), older) << "the copy from before";
}

TEST_P(MigrationsTest, TheMigratedProjectTakesNewRows) {
  Database(folder_ / "project.frazil").execute(dump_of(GetParam()));
  Project project(folder_);
  TaskRow task;
  task.key = "aa02";
  task.step = "double";
  task.programs = "numbers 2";
  task.outputs = {
      {"doubled", project.add_item({0, "0c13", "Number", "double", "doubled", "f3a2", "2", "two µ", "{}"})}};
  project.add_task(task);
  project.put_alarm({1, "double", {.kind = AlarmKind::frames, .text = "half of them"}, 5, 0, "", 0, ""});
  project.commit();
  EXPECT_EQ(project.standing_alarms().at(0).finding.text, "half of them");
  EXPECT_TRUE(project.failed_tasks().empty());
  EXPECT_EQ(project.find_task("aa02")->programs, "numbers 2");
  EXPECT_EQ(project.find_task("aa02")->outputs.size(), 1u);
}

// A new step of the schema makes this demand the file of the schema before it.
INSTANTIATE_TEST_SUITE_P(Schemas, MigrationsTest,
                         ::testing::Range(1, std::max(3, static_cast<int>(migrations.size()) - 1) + 1));

}  // namespace
}  // namespace frazil::store
