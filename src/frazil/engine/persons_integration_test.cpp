// Persons as a place: asked once, answered once, whatever happens to the engine meanwhile.
#include "frazil/engine/test_project.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {
namespace {

class PersonsTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    write_text(folder_ / "workflow.json", R"({"name": "asked",
      "parameters": [{"name": "files", "type": "path", "required": true}],
      "steps": {
        "in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": 2}},
        "other": {"protocol": "add", "inputs": {"left": "in.numbers"}},
        "hand": {"protocol": "add", "executor": "person", "inputs": {"left": "in.numbers"}},
        "eye": {"protocol": "even", "executor": "person", "inputs": {"numbers": "hand.numbers"}},
        "last": {"protocol": "add", "inputs": {"left": "eye.accepted"}, "trigger": {"approve": true}}}})");
    write_numbers(1, 2);
    write_text(folder_ / "seven", "7");
    write_text(folder_ / "eight", "8");
    write_text(folder_ / "words", "not a number");
  }
  void TearDown() override {
    if (process_ > 0) ::kill(process_, SIGKILL), (void)wait_for(process_);
    EngineTest::TearDown();
  }
  void start() { process_ = spawn("p", {}); }
  int end() { return wait_for(std::exchange(process_, -1)); }
  std::vector<Json> questions() const {
    if (!fs::exists(folder_ / "p" / "project.frazil")) return {};
    const auto answer = engine::ask(folder_ / "p", numbers::registry(), {{"command", "status"}});
    const auto list = answer.value("status", Json::object()).value("questions", Json::array());
    return {list.begin(), list.end()};
  }
  bool wait_for_questions(std::size_t count) const {
    for (int i = 0; i < 400; ++i) {
      if (questions().size() == count) return true;
      std::this_thread::sleep_for(50ms);
    }
    return false;
  }
  /// Number of the question of a step about an item.
  std::string number_of(std::string_view step, std::string_view label) const {
    for (const auto& question : questions())
      if (question["step"] == step && question["label"] == label)
        return std::to_string(question["question"].get<std::int64_t>());
    return "none";
  }
  Json answer(const std::string& question, Json more) const {
    more["command"] = "answer";
    more["item"] = question;
    more["actor"] = "Ada";
    return engine::ask(folder_ / "p", numbers::registry(), more);
  }
  Json with_file(const std::string& name) const { return {{"files", Json::array({(folder_ / name).string()})}}; }

  pid_t process_ = -1;
};

TEST_F(PersonsTest, AreAskedAnsweredOnceAndCheckedAndHoldUpNobody) {
  start();
  ASSERT_TRUE(wait_for_questions(2));
  for (int i = 0; i < 400 && values(snapshot("p"), "other", "numbers").size() < 2; ++i)
    std::this_thread::sleep_for(50ms);
  EXPECT_EQ(values(snapshot("p"), "other", "numbers").size(), 2u) << "nothing else waits";
  const auto first = number_of("hand", "n_1");
  EXPECT_FALSE(answer(first, with_file("words")).value("ok", true));
  EXPECT_FALSE(answer(first, Json::object()).value("ok", true)) << "no files";
  EXPECT_EQ(number_of("hand", "n_1"), first) << "the question stays";

  ::kill(process_, SIGKILL);
  (void)end();
  start();
  ASSERT_TRUE(wait_for_questions(2));
  EXPECT_EQ(number_of("hand", "n_1"), first) << "the same question after a kill";
  EXPECT_FALSE(answer("hand", with_file("seven")).value("ok", true)) << "there are two of this step";
  EXPECT_TRUE(answer(first, with_file("seven")).value("ok", false));
  EXPECT_FALSE(answer(first, with_file("eight")).value("ok", true)) << "once";
  EXPECT_TRUE(answer("hand", with_file("eight")).value("ok", false)) << "now there is one";

  ASSERT_TRUE(wait_for_questions(2));
  EXPECT_TRUE(answer(number_of("eye", "n_1"), {{"accept", false}, {"reason", "odd"}}).value("ok", false));
  EXPECT_TRUE(answer(number_of("eye", "n_2"), {{"accept", true}}).value("ok", false));
  ASSERT_TRUE(wait_for_questions(1));
  EXPECT_EQ(questions()[0]["step"], "last");
  EXPECT_TRUE(answer("last", {{"accept", true}}).value("ok", false));
  EXPECT_EQ(end(), 0);

  EXPECT_EQ(values(snapshot("p"), "hand", "numbers"), (std::vector{7, 8}));
  EXPECT_EQ(values(snapshot("p"), "last", "numbers"), std::vector{9});
  store::Project store(folder_ / "p");
  store.for_tasks([&](const store::TaskRow& row) {
    if (row.step != "hand") return;
    EXPECT_EQ(store.item(row.outputs.at(0).second).actor, "Ada");
  });
  for (const auto& decision : store.decisions()) EXPECT_EQ(decision.actor, "Ada");
}

TEST_F(PersonsTest, ApprovalIsAQuestionThatTheOldCommandAnswers) {
  start();
  ASSERT_TRUE(wait_for_questions(2));
  for (const auto* label : {"n_1", "n_2"})
    EXPECT_TRUE(answer(number_of("hand", label), with_file("eight")).value("ok", false));
  ASSERT_TRUE(wait_for_questions(2));
  for (const auto* label : {"n_1", "n_2"})
    EXPECT_TRUE(answer(number_of("eye", label), {{"accept", true}}).value("ok", false));
  ASSERT_TRUE(wait_for_questions(1));
  EXPECT_TRUE(ask("p", "approve", "last").value("ok", false));
  EXPECT_EQ(end(), 0);
  EXPECT_TRUE(questions().empty());
}

}  // namespace
}  // namespace frazil::engine
