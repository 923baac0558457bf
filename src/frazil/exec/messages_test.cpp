#include "frazil/exec/messages.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "frazil/base/error.hpp"

namespace frazil::exec {
namespace {

TEST(Messages, TasksArriveAsTheyWereSent) {
  Task task;
  task.number = 7;
  task.protocol = "add";
  task.params = R"({"add":2})";
  task.inputs = {{"left", {R"({"value":1})", R"({"value":2})"}}};
  task.has_previous = true;
  task.seed = "abc";
  task.log_name = "a.log";
  task.threads = 3;
  const auto tasks = Message(encode(std::vector{task})).tasks();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].number, 7u);
  EXPECT_EQ(tasks[0].params["add"], 2);
  EXPECT_EQ(tasks[0].inputs[0].second[1]["value"], 2);
  EXPECT_TRUE(tasks[0].previous.has_value());
  EXPECT_EQ(tasks[0].log_name, "a.log");
  EXPECT_EQ(tasks[0].threads, 3);
}

TEST(Messages, ResultsArriveAsTheyWereSentEvenWithTextThatIsNoUtf8) {
  Result done, failed;
  done.number = 1;
  done.outputs = {{"sums", {R"({"value":3})"}}};
  done.seconds = 1.5;
  failed.number = 2;
  failed.failed = true;
  failed.code = ErrorCode::corrupt;
  failed.message = "bad \xff name";
  const auto results = Message(encode(std::vector{done, failed})).results();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].outputs, done.outputs);
  EXPECT_EQ(results[0].seconds, 1.5);
  EXPECT_EQ(results[1].code, ErrorCode::corrupt);
  EXPECT_NE(results[1].message.find(" name"), std::string::npos);
}

TEST(Messages, RecordsThatAreCutOffOrNoJsonAreRefused) {
  Result result;
  result.outputs = {{"sums", {R"({"value":3})", R"({"value":"two\nlines"})"}}, {"empty", {}}};
  const auto text = encode(std::vector{result, result});
  EXPECT_EQ(Message(text).results().at(1).outputs, result.outputs);
  for (std::size_t size = text.find('\n'); size < text.size(); ++size)
    EXPECT_THROW((void)Message(text.substr(0, size)).results(), Error) << size;
  auto broken = text;
  broken.back() = ']';
  EXPECT_THROW((void)Message(broken).results(), Error);
}

TEST(Messages, TheNamesOfAllErrorCodesAreThoseOfTheStore) {
  for (std::size_t i = 0; i < enum_names<ErrorCode>.size(); ++i)
    EXPECT_EQ(enum_names<ErrorCode>[i], to_string(static_cast<ErrorCode>(i)));
}

TEST(Messages, AnUnknownFractionStaysUnknown) {
  EXPECT_TRUE(std::isnan(Message(encode(Progress{1, NAN, "reading"})).find<Progress>()->fraction));
}

TEST(Messages, EachIsOfOneKind) {
  const Message message(encode(Cancel{{3, 4}}));
  EXPECT_FALSE(message.has_tasks());
  EXPECT_FALSE(message.find<Yield>().has_value());
  EXPECT_EQ(message.find<Cancel>()->tasks, (std::vector<std::uint64_t>{3, 4}));
  EXPECT_THROW((void)message.results(), Error);
}

}  // namespace
}  // namespace frazil::exec
