#include "frazil/flow/protocol.hpp"

#include <gtest/gtest.h>

namespace frazil::flow {
namespace {

struct Number {
  static constexpr std::string_view kind = "Number";
  int value = 0;
  static constexpr auto fields() { return std::tuple(field(&Number::value, "value", "A number")); }
};
struct NoParams {
  int add = 1;
  static constexpr auto fields() { return std::tuple(field(&NoParams::add, "add", "What to add").range(0, 100)); }
};
struct Pair {
  Number left;
  std::optional<Number> right;
  static constexpr auto ports() { return std::tuple(port(&Pair::left, "left"), port(&Pair::right, "right")); }
};

struct Add {
  static constexpr Info info{.name = "add", .title = "Add", .version = 1, .help = "Adds."};
  using Params = NoParams;
  using Input = Pair;
  using Output = Number;
  Params params;
  Output process(const Input& in, Context&) const {
    return {in.left.value + (in.right ? in.right->value : 0) + params.add};
  }
};
struct Even {
  static constexpr Info info{.name = "even", .title = "Even", .version = 1, .help = "Keeps even numbers."};
  using Params = NoParams;
  using Input = Number;
  using Output = Decision;
  Params params;
  Output process(const Input& in, Context&) const {
    return {accept_if(in.value % 2 == 0), "even", "odd", double(in.value), 0, ""};
  }
};
struct Sum {
  static constexpr Info info{.name = "sum", .title = "Sum", .version = 1, .help = "Sums."};
  using Params = NoParams;
  using Input = Number;
  using Output = Number;
  Params params;
  Output fold(const Output* previous, const std::vector<Input>& batch, Context&) const {
    Number total = previous ? *previous : Number{};
    for (const auto& n : batch) total.value += n.value;
    return total;
  }
};

class NoContext final : public Context {
 public:
  std::filesystem::path output(std::string_view) override { return {}; }
  std::string reference(std::string_view) const override { return {}; }
  std::filesystem::path input(const std::string& r) const override { return r; }
  std::filesystem::path scratch() override { return {}; }
  int threads() const override { return 1; }
  Rng rng() const override { return Rng(0); }
  void check_cancelled() const override {}
  void progress(double, std::string_view) override {}
};

TEST(Protocol, MapJoinsItsPortsAndLeavesOptionalOnesOut) {
  const auto add = make_protocol<Add>();
  NoContext context;
  EXPECT_EQ(add.shape, Shape::map);
  EXPECT_TRUE(add.inputs[1].optional);
  const Records both = {{"left", {{{"value", 3}}}}, {"right", {{{"value", 4}}}}};
  EXPECT_EQ(add.run({{"add", 10}}, both, nullptr, context)[0].second[0]["value"], 17);
  EXPECT_EQ(add.run(Json::object(), {{"left", {{{"value", 3}}}}}, nullptr, context)[0].second[0]["value"], 4);
  EXPECT_THROW(add.run({{"add", 1000}}, both, nullptr, context), Error);
}

TEST(Protocol, FilterGivesADecision) {
  const auto even = make_protocol<Even>();
  NoContext context;
  EXPECT_EQ(even.shape, Shape::filter);
  EXPECT_EQ(even.outputs[0].name, "accepted");
  EXPECT_EQ(even.run(Json::object(), {{"numbers", {{{"value", 3}}}}}, nullptr, context)[0].second[0]["accepted"],
            false);
}

TEST(Decision, SaysAcceptedBesideItsVerdictAndReadsEither) {
  Decision held{.verdict = Verdict::held, .rule = "dose", .title = "dose off", .value = 3, .limit = 2};
  const auto json = decision_to_json(held);
  EXPECT_EQ(json.at("accepted"), false);
  EXPECT_EQ(json.at("verdict"), "held");
  EXPECT_EQ(decision_from_json(json).verdict, Verdict::held);
  EXPECT_EQ(decision_from_json(json).title, "dose off");
  EXPECT_EQ(decision_from_json({{"accepted", false}}).verdict, Verdict::set_aside);
  EXPECT_TRUE(decision_from_json({{"verdict", "accepted"}}).accepted());
  for (const Json& bad : {Json({{"rule", "dose"}}), Json({{"accepted", "yes"}}), Json({{"accepted", nullptr}}),
                          Json({{"accepted", true}, {"verdict", "held"}}), Json({{"verdict", "maybe"}}), Json(3)})
    EXPECT_THROW((void)decision_from_json(bad), Error) << bad.dump();
}

TEST(Protocol, FoldContinuesFromItsPreviousVersion) {
  const auto sum = make_protocol<Sum>();
  NoContext context;
  EXPECT_EQ(sum.shape, Shape::fold);
  const auto first = sum.run(Json::object(), {{"numbers", {{{"value", 1}}, {{"value", 2}}}}}, nullptr, context);
  const auto second = sum.run(Json::object(), {{"numbers", {{{"value", 5}}}}}, &first, context);
  EXPECT_EQ(second[0].second[0]["value"], 8);
}

TEST(Registry, NamesTheNearestProtocol) {
  Registry registry;
  registry.add(make_protocol<Add>());
  try {
    (void)registry.at("ad");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean add"), std::string::npos);
  }
}

struct Length {
  static constexpr std::string_view kind = "Length";
  std::string path;
  Angstrom size = 1_A;
  static constexpr auto fields() {
    using P = Length;
    return std::tuple(field(&P::path, "path", "File"), field(&P::size, "size", "Size").range(0.1_A, 100_A));
  }
};
struct Divide {
  static constexpr Info info{.name = "divide", .title = "Divide", .version = 1, .help = "Divides."};
  using Params = NoParams;
  using Input = Length;
  using Output = Length;
  Params params;
  Output process(const Input& in, Context&) const {
    if (params.add == 7) throw Error(ErrorCode::bad_input, "frame 4 holds values that are not finite");
    return {in.path, in.size / static_cast<double>(params.add)};
  }
};

TEST(Protocol, RefusesNumbersThatNoRecordMayHold) {
  const auto divide = make_protocol<Divide>();
  NoContext context;
  const auto error = [&](int by, const Json& size) -> std::string {
    try {
      (void)divide.run({{"add", by}}, {{"lengths", {{{"path", "a/movie.mrc"}, {"size_A", size}}}}}, nullptr, context);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::bad_input);
      return e.what();
    }
    return {};
  };
  EXPECT_EQ(error(1, 2.0), "");
  EXPECT_EQ(error(0, 2.0), "a/movie.mrc: lengths: size_A must lie in 0.1 to 100 Å, not inf") << "of the result";
  EXPECT_EQ(error(1, nullptr), "a/movie.mrc: lengths: size_A must be a finite number, not null") << "of the input";
  EXPECT_EQ(error(1, 300), "a/movie.mrc: lengths: size_A must lie in 0.1 to 100 Å, not 300");
  EXPECT_EQ(error(7, 2.0), "a/movie.mrc: frame 4 holds values that are not finite") << "errors begin with their file";
}

}  // namespace
}  // namespace frazil::flow
