#include "frazil/params/fields.hpp"

#include <gtest/gtest.h>

namespace frazil {
namespace {

enum class Shape { round, square };
struct Example {
  int box = 512;
  Angstrom low = 30_A;
  bool deep = false;
  Shape shape = Shape::round;
  std::optional<Angstrom> diameter;
  int threads = 1;
  static constexpr auto fields() {
    using P = Example;
    return std::tuple(field(&P::box, "box", "Side").range(128, 2048), field(&P::low, "low", "Limit").range(10_A, 100_A),
                      field(&P::deep, "deep", "Try harder"), field(&P::shape, "shape", "Shape"),
                      field(&P::diameter, "diameter", "Diameter"), field(&P::threads, "threads", "Threads").runtime());
  }
};

}  // namespace

template <>
struct EnumNames<Shape> {
  static constexpr std::array names{"round", "square"};
};

namespace {

TEST(Fields, ReportsEveryProblemAtOnce) {
  std::vector<std::string> problems;
  (void)params_from_json<Example>({{"box", 7}, {"low", "x"}, {"depe", true}, {"shape", "oval"}}, problems);
  EXPECT_EQ(problems.size(), 4u);
}

TEST(Fields, RoundTripsThroughJson) {
  Example e;
  e.low = 12_A;
  e.shape = Shape::square;
  e.diameter = 150_A;
  std::vector<std::string> problems;
  const auto back = params_from_json<Example>(params_to_json(e), problems);
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(params_to_json(back), params_to_json(e));
  EXPECT_EQ(record_to_json(e).at("low_A"), 12.0);
  EXPECT_EQ(record_to_json(record_from_json<Example>(record_to_json(e))), record_to_json(e));
}

TEST(Fields, RuntimeFieldsStayOutOfTheKey) {
  Example a, b;
  b.threads = 8;
  EXPECT_EQ(result_key(a), result_key(b));
  b.box = 256;
  EXPECT_NE(result_key(a), result_key(b));
}

TEST(Fields, DescribeThemselves) {
  const auto list = describe<Example>();
  EXPECT_EQ(list[1].unit, "Å");
  EXPECT_EQ(list[1].default_value, 30.0);
  EXPECT_EQ(list[3].choices.size(), 2u);
  const auto schema = json_schema(list);
  EXPECT_EQ(schema["properties"]["box"]["minimum"], 128.0);
  EXPECT_EQ(flag_of("fit_phase_shift"), "--fit-phase-shift");
  EXPECT_EQ(parse_value(list[0], "640"), 640);
  EXPECT_THROW((void)parse_value(list[0], "6.5x"), Error);
  FieldInfo names;
  names.type = "array";
  EXPECT_EQ(parse_value(names, "5a1a,1oel"), Json({"5a1a", "1oel"}));
  EXPECT_EQ(parse_value(names, "[1, 2.5]"), parse_value(names, "1,2.5"));
}

}  // namespace
}  // namespace frazil
