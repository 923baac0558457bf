#include "frazil/flow/settings.hpp"

#include <gtest/gtest.h>

namespace frazil::flow {
namespace {

struct Area {
  static constexpr std::string_view kind = "Area";
  int n = 0;
  static constexpr auto fields() { return std::tuple(field(&Area::n, "n", "Number")); }
};

struct ScanAreas {
  static constexpr Info info{.name = "scan", .title = "Scan", .version = 1};
  struct Params {
    static constexpr auto fields() { return std::tuple(); }
  };
  using Output = Area;
  Params params;
  [[nodiscard]] Watch watch() const { return {}; }
  [[nodiscard]] static FileCheck check(const std::filesystem::path&) { return {}; }
  [[nodiscard]] Area record(const std::filesystem::path&, const std::string&) const { return {}; }
};

struct Judge {
  static constexpr Info info{.name = "judge", .title = "Judge", .version = 1};
  struct Params {
    double limit = 10, deviation = 0.1, diameter = 0;
    static constexpr auto fields() {
      using P = Params;
      return std::tuple(field(&P::limit, "limit", "Rings must reach").range(1, 50),
                        field(&P::deviation, "deviation", "Most deviation").range(0, 1),
                        field(&P::diameter, "diameter", "Diameter").range(0, 1000));
    }
  };
  using Input = Area;
  using Output = Area;
  Params params;
  [[nodiscard]] Area process(const Area& area, Context&) const { return area; }
};

class Settings : public ::testing::Test {
 protected:
  Settings() {
    registry_.add(make_source<ScanAreas>());
    registry_.add(make_protocol<Judge>());
    workflow_ = parse_workflow(
        R"({"parameters": [{"name": "ring_limit", "title": "Rings must reach", "type": "number", "default": 10,
              "unit": "Å"},
            {"name": "diameter", "type": "number", "default": 100}, {"name": "idle_one", "title": "Most deviation",
              "type": "number"}, {"name": "user"}],
          "steps": {"in": {"protocol": "scan"},
            "first": {"protocol": "judge", "params": {"limit": "${ring_limit}", "diameter": "${diameter}"},
              "inputs": {"areas": "in.areas"}},
            "second": {"protocol": "judge", "params": {"diameter": "${diameter}", "deviation": 0.3},
              "inputs": {"areas": "in.areas"}}}})",
        problems_);
  }
  [[nodiscard]] std::string key_of(const std::string& key) {
    problems_.clear();
    const auto setting = find_setting(workflow_, registry_, key, problems_);
    return setting ? setting->key : "refused: " + describe(problems_);
  }
  [[nodiscard]] Plan plan(const Json& values) {
    problems_.clear();
    return make_plan(workflow_, registry_, values, problems_);
  }
  [[nodiscard]] static Json param(const Plan& plan, const char* step, const char* name) {
    return plan.steps.at(static_cast<std::size_t>(plan.find(step))).params.value(name, Json());
  }

  Registry registry_;
  Workflow workflow_;
  std::vector<Problem> problems_;
};

TEST_F(Settings, AStepsParameterThatIsOneOfTheWorkflowIsThatOne) {
  EXPECT_EQ(key_of("ring_limit"), "ring_limit");
  EXPECT_EQ(key_of("first.limit"), "ring_limit") << "no other step has it";
  EXPECT_EQ(key_of("second.limit"), "second.limit") << "the workflow gives it none";
  EXPECT_EQ(key_of("second.deviation"), "second.deviation") << "the workflow's own value may be changed";
  EXPECT_EQ(key_of("first.diameter"),
            "refused: first.diameter: is the workflow's parameter diameter, as second.diameter too: set diameter");
}

TEST_F(Settings, MisspeltNamesAreToldWhatWasMeant) {
  for (const auto& [key, meant] : {std::pair{"ring_limt", "did you mean ring_limit?"},
                                   {"fisrt.limit", "did you mean first?"},
                                   {"first.limitt", "did you mean limit?"},
                                   {"deviation", "first.deviation"}})
    EXPECT_NE(key_of(key).find(meant), std::string::npos) << key_of(key);
}

TEST_F(Settings, WhatNoStepTakesIsRefusedWithTheNameThatCounts) {
  problems_.clear();
  refuse_idle(workflow_, registry_, "idle_one", problems_);
  ASSERT_EQ(problems_.size(), 1U);
  EXPECT_EQ(problems_[0].text, "no step takes it: it would change nothing; set second.deviation");
  problems_.clear();
  for (const auto* used : {"ring_limit", "diameter", "user", "second.limit"})
    refuse_idle(workflow_, registry_, used, problems_);
  EXPECT_TRUE(problems_.empty()) << describe(problems_);
}

TEST_F(Settings, ValuesOfStepsTakeEffectAndAreCheckedAsAllOthers) {
  const auto changed = plan({{"ring_limit", 5}, {"second.limit", 7}, {"second.deviation", nullptr}});
  EXPECT_TRUE(problems_.empty()) << describe(problems_);
  EXPECT_EQ(param(changed, "first", "limit"), 5);
  EXPECT_EQ(param(changed, "second", "limit"), 7);
  EXPECT_EQ(param(changed, "second", "deviation"), 0.3) << "taken back: as the workflow says";
  for (const Json& wrong : {Json({{"second.limit", 70}}), Json({{"second.limit", "x"}}), Json({{"ring_limit", 70}}),
                            Json({{"first.limit", 5}}), Json({{"third.limit", 5}})}) {
    (void)plan(wrong);
    EXPECT_FALSE(problems_.empty()) << wrong;
  }
  problems_.clear();
  EXPECT_EQ(parse_values(workflow_, registry_, {{"first.limit", "4"}, {"second.limit", "6"}}, problems_),
            Json({{"ring_limit", 4}, {"second.limit", 6}}));
}

TEST_F(Settings, AWrongValueIsSaidOnceUnderItsName) {
  (void)plan({{"ring_limit", 70}, {"diameter", -1}});
  ASSERT_EQ(problems_.size(), 2U) << describe(problems_);
  EXPECT_EQ(problems_[0].place, "parameters.ring_limit");
  EXPECT_EQ(problems_[1].place, "parameters.diameter");
}

TEST_F(Settings, ChangesAreToldFromWhatToWhat) {
  const auto before = plan(Json::object()), after = plan({{"ring_limit", 5.5}, {"second.limit", 7}, {"user", "gb"}});
  std::vector<std::string> told;
  for (const auto& change : changes_between(workflow_, before, after)) told.push_back(describe(change));
  EXPECT_EQ(told, (std::vector<std::string>{"ring_limit: 10 → 5.5 Å", "second.limit: 10 → 7", "user: not set → gb"}));
  EXPECT_TRUE(changes_between(workflow_, after, after).empty());
  EXPECT_EQ(changes_between(workflow_, after, before).size(), 3U) << "taking back is a change too";
}

}  // namespace
}  // namespace frazil::flow
