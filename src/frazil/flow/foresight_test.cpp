#include "frazil/flow/foresight.hpp"

#include <gtest/gtest.h>

namespace frazil::flow {
namespace {

struct Shot {
  static constexpr std::string_view kind = "Shot";
  double dose = 0;
  static constexpr auto fields() { return std::tuple(field(&Shot::dose, "dose", "Exposure")); }
};

struct NothingToSet {
  static constexpr auto fields() { return std::tuple(); }
};

struct TakeShots {
  static constexpr Info info{.name = "take", .title = "Shots", .version = 1};
  struct Params {
    std::string files;
    static constexpr auto fields() { return std::tuple(field(&Params::files, "files", "Folder").runtime()); }
  };
  using Output = Shot;
  Params params;
  [[nodiscard]] Watch watch() const { return {.files = params.files}; }
  [[nodiscard]] static FileCheck check(const std::filesystem::path&) { return {}; }
  [[nodiscard]] Shot record(const std::filesystem::path&, const std::string&) const { return {}; }
  [[nodiscard]] std::vector<Finding> contradictions(const Shot& shot) const {
    if (shot.dose > 0) return {};
    return {{.kind = AlarmKind::dose, .text = "no dose"}};
  }
};

/// Gives a weighted sum only of shots with a dose.
struct SumShots {
  static constexpr Info info{.name = "sum", .title = "SumShots", .version = 1};
  struct Output {
    Shot plain;
    std::optional<Shot> weighted;
    static constexpr auto ports() {
      return std::tuple(port(&Output::plain, "plain"), port(&Output::weighted, "weighted"));
    }
  };
  using Input = Shot;
  using Params = NothingToSet;
  Params params;
  [[nodiscard]] Output process(const Shot& shot, Context&) const { return {shot, shot}; }
  [[nodiscard]] std::vector<Withheld> withholds(const Shot& shot) const {
    return shot.dose > 0 ? std::vector<Withheld>{} : std::vector<Withheld>{{"weighted", "no dose"}};
  }
  [[nodiscard]] double bytes_written(const Shot& shot) const { return 2 * shot.dose; }
  [[nodiscard]] Foresight foresee(const Shot& shot, const Context& context) const {
    if (shot.dose < 100) return {};
    return {.problems = {{.kind = AlarmKind::dose, .text = context.input("shot").string() + ": burnt"}}};
  }
};

struct Look {
  static constexpr Info info{.name = "look", .title = "Look", .version = 1};
  using Input = Shot;
  using Output = Shot;
  using Params = NothingToSet;
  Params params;
  [[nodiscard]] Shot process(const Shot& shot, Context&) const { return shot; }
};

class Foresee : public ::testing::Test {
 protected:
  Foresee() {
    registry_.add(make_source<TakeShots>());
    registry_.add(make_protocol<SumShots>());
    registry_.add(make_protocol<Look>());
    std::vector<Problem> problems;
    const auto workflow = parse_workflow(
        R"({"steps": {"in": {"protocol": "take", "params": {"files": "x"}},
          "sum": {"protocol": "sum", "inputs": {"shots": "in.shots"}},
          "look": {"protocol": "look", "inputs": {"shots": "sum.weighted"}},
          "again": {"protocol": "look", "inputs": {"shots": "look.shots"}},
          "either": {"protocol": "look", "inputs": {"shots": ["sum.weighted", "sum.plain"]}},
          "where": {"protocol": "look", "inputs": {"shots": "sum.plain"}, "where": ["sum.weighted"]}}})",
        problems);
    plan_ = make_plan(workflow, registry_, Json::object(), problems);
    EXPECT_TRUE(problems.empty()) << describe(problems);
  }
  [[nodiscard]] Starved of(const std::vector<Starved>& list, const char* step) const {
    return list.at(static_cast<std::size_t>(plan_.find(step)));
  }

  Registry registry_;
  Plan plan_;
};

TEST_F(Foresee, AStepWhoseOnlyInputIsWithheldIsStarvedAndSoIsWhatFollows) {
  const auto found = starved(plan_, {{0, {{"dose", 0}}}});
  EXPECT_EQ(of(found, "look").reason, "has no input on shots: sum gives no weighted: no dose");
  EXPECT_TRUE(of(found, "look").is_first);
  EXPECT_EQ(of(found, "again").reason, "has no input on shots: look has none either");
  EXPECT_FALSE(of(found, "again").is_first);
  EXPECT_EQ(of(found, "where").reason, "has no input: sum gives no weighted: no dose");
  for (const auto* fed : {"in", "sum", "either"}) EXPECT_EQ(of(found, fed).reason, "") << fed;
}

TEST_F(Foresee, NothingIsStarvedWhereTheInputComesOrNothingIsKnownYet) {
  for (const auto& samples : {Samples{{0, {{"dose", 1}}}}, Samples{}})
    for (const auto& step : starved(plan_, samples)) EXPECT_EQ(step.reason, "");
}

TEST_F(Foresee, WhatStepsForeseeIsGatheredAndFilesLieBelowTheBase) {
  EXPECT_TRUE(foresee(plan_, {{0, {{"dose", 1}}}}, "/base").problems.empty());
  const auto problems = foresee(plan_, {{0, {{"dose", 100}}}}, "/base").problems;
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].text, "/base/shot: burnt");
  EXPECT_EQ(bytes_written(plan_, {{0, {{"dose", 100}}}}), 200);
  const auto& source = registry_.at("take").source;
  ASSERT_TRUE(source.contradictions);
  EXPECT_EQ(source.contradictions({{"dose", 0}}, {{"files", "x"}}).size(), 1U);
  EXPECT_TRUE(source.contradictions({{"dose", 1}}, {{"files", "x"}}).empty());
}

}  // namespace
}  // namespace frazil::flow
