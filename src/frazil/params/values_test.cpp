#include "frazil/params/values.hpp"

#include <gtest/gtest.h>

#include "frazil/params/json_depth.hpp"

namespace frazil {
namespace {

TEST(DescribedValues, AreCheckedByTheirDescriptionAlone) {
  std::vector<std::string> problems;
  const std::vector fields = {
      field_from_json({{"name", "radius"}, {"type", "number"}, {"unit", "Å"}, {"range", {1, 10}}, {"required", true}},
                      problems),
      field_from_json({{"name", "mode"}, {"type", "string"}, {"choices", {"a", "b"}}, {"default", "a"}}, problems),
      field_from_json({{"name", "threads"}, {"type", "integer"}, {"default", 1}, {"runtime", true}}, problems)};
  EXPECT_TRUE(problems.empty());
  EXPECT_TRUE(check_values(fields, {{"radius", 2.5}}).empty());
  EXPECT_EQ(check_values(fields, {{"radius", 11}, {"mode", "c"}, {"threads", 1.5}, {"more", 1}}).size(), 4u);
  EXPECT_EQ(check_values(fields, Json::object()).size(), 1u);
  EXPECT_EQ(result_key(fields, {{"radius", 2.5}, {"threads", 8}}), R"({"mode":"a","radius":2.5})");
  EXPECT_EQ(with_defaults(fields, {{"radius", 2.5}})["threads"], 1);
}

TEST(DescribedValues, SayWhatIsWrongWithADescription) {
  std::vector<std::string> problems;
  (void)field_from_json({{"name", "Bad Name"}, {"type", "float"}, {"unknown", 1}, {"default", 3}, {"range", {1}}},
                        problems);
  EXPECT_GE(problems.size(), 4u);
}

TEST(Json, NestedOnThousandsOfLevelsIsRefused) {
  const auto nested = [](int levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_TRUE(Json::parse(nested(deepest_json), nullptr, false).is_array());
  EXPECT_TRUE(Json::parse(nested(deepest_json + 1), nullptr, false).is_discarded());
  EXPECT_TRUE(Json::parse(nested(300000), nullptr, false).is_discarded());
  EXPECT_THROW(Json::parse(nested(300000)), Json::parse_error);
  EXPECT_TRUE(Json::parse("\"" + std::string(1000, '[') + "\\\"" + std::string(1000, '{') + "\"").is_string());
  EXPECT_FALSE(is_nested_deeper("[[],[],[{}]]", 3));
  EXPECT_TRUE(is_nested_deeper("[[],[],[{}]]", 2));
}

}  // namespace
}  // namespace frazil
