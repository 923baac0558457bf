#include "frazil/params/fields.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace frazil {
namespace {

enum class Shape { round, square };
constexpr auto names_of(Shape) { return std::array{"round", "square"}; }
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

struct Lens {
  double contrast = 0.1;
  static constexpr auto fields() { return std::tuple(field(&Lens::contrast, "contrast", "Contrast").range(0, 1)); }
};
struct Measured {
  Angstrom size = 1_A;
  double score = 0;
  double iceness = 0;
  std::optional<double> stage{};
  std::vector<double> track{};
  Lens lens{};
  int count = 0;
  static constexpr auto fields() {
    using P = Measured;
    return std::tuple(field(&P::size, "size", "Pixel").range(0.05_A, 100_A), field(&P::score, "score", "Score"),
                      field(&P::iceness, "iceness", "Ice").nullable(), field(&P::stage, "stage", "Stage"),
                      field(&P::track, "track", "Track"), field(&P::lens, "lens", "Lens"),
                      field(&P::count, "count", "Count"));
  }
};

TEST(Fields, NumbersOfARecordAreFiniteAndInTheirRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto problem = [](const Measured& m) {
    const auto list = record_problems<Measured>(record_to_json(m));
    return list.empty() ? std::string() : list.front();
  };
  EXPECT_EQ(problem({}), "");
  EXPECT_EQ(problem({.size = 0_A}), "size_A must lie in 0.05 to 100 Å, not 0.0");
  EXPECT_EQ(problem({.size = Angstrom(nan)}), "size_A must lie in 0.05 to 100 Å, not nan");
  EXPECT_EQ(problem({.score = nan}), "score must be a finite number, not nan");
  EXPECT_EQ(problem({.iceness = nan}), "") << "not measured";
  EXPECT_EQ(problem({.stage = nan}), "stage must be a finite number, not nan");
  EXPECT_EQ(problem({.track = {0, 1, -INFINITY}}), "track[2] must be a finite number, not -inf");
  EXPECT_EQ(problem({.lens = {7}}), "lens.contrast must lie in 0 to 1, not 7.0");
  // As the store gives it back: null is NaN.
  EXPECT_EQ(record_problems<Measured>(Json::parse(record_to_json(Measured{.score = nan}).dump())).size(), 1U);
}

TEST(Fields, AParameterIsNeverNullUnlessItIsOptional) {
  std::vector<std::string> problems;
  (void)params_from_json<Example>({{"low", nullptr}, {"diameter", nullptr}}, problems);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0], "low must be a number, not null");
}

TEST(Fields, AParameterThatIsNotFiniteIsToldItsRange) {
  std::vector<std::string> problems;
  (void)params_from_json<Example>({{"low", std::numeric_limits<double>::quiet_NaN()}}, problems);
  (void)params_from_json<Lens>({{"contrast", INFINITY}}, problems);
  (void)params_from_json<Measured>({{"score", -INFINITY}}, problems);
  EXPECT_EQ(problems,
            (std::vector<std::string>{"low must lie in 10 to 100 Å, not nan", "contrast must lie in 0 to 1, not inf",
                                      "score must be a finite number, not -inf"}));
}

TEST(Fields, WholeNumbersAreReadWithinTheirType) {
  Measured m;
  for (const auto& json : {Json(1e300), Json(3e9), Json(std::int64_t{1} << 40), Json(2.5), Json(-INFINITY),
                           Json(std::numeric_limits<std::uint64_t>::max())})
    EXPECT_NE(detail::value_from_json(Json{{"count", json}}, m), "") << json;
  EXPECT_EQ(detail::value_from_json(Json{{"count", 7.0}}, m), "");
  EXPECT_EQ(m.count, 7);
}

TEST(Fields, ReportsEveryProblemAtOnce) {
  std::vector<std::string> problems;
  (void)params_from_json<Example>({{"box", 7}, {"low", "x"}, {"depe", true}, {"shape", "oval"}}, problems);
  EXPECT_EQ(problems.size(), 4u);
}

TEST(Fields, WholeNumbersAreReadWithoutWrappingRound) {
  struct Wide {
    std::int64_t wide = 0;
    int narrow = 0;
    static constexpr auto fields() {
      return std::tuple(field(&Wide::wide, "wide", "64 bits"), field(&Wide::narrow, "narrow", "32 bits, no range"));
    }
  };
  const auto problem = [](const char* key, const Json& value) {
    std::vector<std::string> problems;
    (void)params_from_json<Wide>({{key, value}}, problems);
    return problems.empty() ? std::string() : problems.front();
  };
  for (const Json& good : {Json(7), Json(-7), Json(7.0), Json(2147483647)}) EXPECT_EQ(problem("narrow", good), "");
  for (const Json& bad : {Json(2147483648), Json(1e300), Json(-1e300), Json(4294967296 + 5), Json(1.5), Json("7"),
                          Json(nullptr), Json(true), Json(18446744073709551615u), Json(std::nan(""))})
    EXPECT_EQ(problem("narrow", bad).find("narrow must be a"), 0u) << bad << ": " << problem("narrow", bad);
  EXPECT_EQ(problem("wide", 9223372036854775807), "");
  EXPECT_NE(problem("wide", 18446744073709551615u), "");
  EXPECT_NE(problem("wide", 1e19), "");
  EXPECT_THROW((void)record_from_json<Wide>({{"narrow", 4294967301}}), Error) << "records are read the same way";
}

TEST(Fields, NothingIsNotANumberForParameters) {
  const auto problems_of = [](const Json& json) {
    std::vector<std::string> problems;
    (void)params_from_json<Example>(json, problems);
    return problems;
  };
  EXPECT_EQ(problems_of({{"low", nullptr}}), std::vector<std::string>{"low must be a number, not null"});
  EXPECT_EQ(problems_of({{"low", std::nan("")}}).size(), 1u);
  EXPECT_EQ(problems_of({{"low", 7}}), std::vector<std::string>{"low must lie in 10 to 100 Å, not 7"});
  EXPECT_TRUE(problems_of({{"diameter", nullptr}}).empty()) << "optional: not given";
  EXPECT_TRUE(problems_of({{"diameter", ""}}).empty());
  EXPECT_EQ(problems_of({{"diameter", "wide"}}).size(), 1u);
  EXPECT_TRUE(std::isnan(record_from_json<Example>({{"low_A", nullptr}}).low.value())) << "records keep it";
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
