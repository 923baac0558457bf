#include "frazil/flow/workflow.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "frazil/base/index.hpp"
#include "frazil/flow/draw.hpp"

namespace frazil::flow {
namespace {

Protocol fake(std::string name, Shape shape, std::vector<PortInfo> inputs, std::vector<PortInfo> outputs) {
  Protocol protocol;
  protocol.name = std::move(name);
  protocol.shape = shape;
  protocol.inputs = std::move(inputs);
  protocol.outputs = std::move(outputs);
  protocol.check = [](const Json& params) {
    std::vector<std::string> problems;
    for (const auto& [key, value] : params.items())
      if (key != "by") problems.push_back(key + " is not a parameter");
    return problems;
  };
  protocol.key = [](const Json& params) { return params.dump(); };
  return protocol;
}

Registry make_registry() {
  Registry r;
  r.add(fake("read", Shape::source, {}, {{"numbers", "Number"}}));
  r.add(fake("add", Shape::map, {{"left", "Number"}, {"right", "Number", true}}, {{"sums", "Number"}}));
  r.add(fake("even", Shape::filter, {{"numbers", "Number"}}, {{"accepted", "Number"}, {"set_aside", "Number"}}));
  r.add(fake("total", Shape::fold, {{"numbers", "Number"}}, {{"totals", "Total"}}));
  r.add(
      fake("total-of-pairs", Shape::fold, {{"numbers", "Number"}, {"others", "Number", true}}, {{"totals", "Total"}}));
  auto limited = fake("limited", Shape::map, {{"numbers", "Number"}}, {{"numbers", "Number"}});
  FieldInfo by;
  by.name = "by";
  by.type = "number";
  by.default_value = 0.0;
  by.low = 20;
  by.high = 5000;
  by.unit = "Å";
  limited.params = {by};
  limited.check = [](const Json& params) {
    return params.value("by", 20.0) < 20 ? std::vector<std::string>{"by: must lie in 20 to 5000"}
                                         : std::vector<std::string>{};
  };
  r.add(std::move(limited));
  auto heavy = fake("heavy", Shape::map, {{"numbers", "Number"}}, {{"numbers", "Number"}});
  heavy.devices = {{"cpu"}, {"abacus", 1}};
  r.add(std::move(heavy));
  static const std::vector<FieldInfo> of_number = [] {
    FieldInfo value, name;
    value.name = "value";
    value.type = "number";
    value.unit = "Å";
    value.suffix = "_A";
    name.name = "name";
    name.type = "string";
    return std::vector{value, name};
  }();
  r.add(fake("measure", Shape::map, {{"numbers", "Number"}}, {{"numbers", "Number", false, false, &of_number}}));
  return r;
}

const Registry& registry() {
  static const Registry made = make_registry();
  return made;
}

std::string problems_of(const std::string& text, const Json& values = Json::object()) {
  std::vector<Problem> problems;
  const auto workflow = parse_workflow(text, problems);
  (void)make_plan(workflow, registry(), values, problems);
  return describe(problems);
}

Plan plan_of(const std::string& text, const Json& values = Json::object()) {
  std::vector<Problem> problems;
  auto plan = make_plan(parse_workflow(text, problems), registry(), values, problems);
  EXPECT_EQ(describe(problems), "");
  return plan;
}

TEST(Workflow, ReportsEverythingAtOnceWithItsPlace) {
  const auto text =
      problems_of(R"({"parameters":[{"name":"n","type":"integer"},{"name":"x","type":"colour"}], "stepz":1,
    "steps":{"in":{"protocol":"reed"}, "s":{"protocol":"add","params":{"wrong":1,"by":"${gone}"},
      "inputs":{"left":"nowhere.numbers","up":"t.totals"}},
             "t":{"protocol":"total","inputs":{"numbers":"e.acepted"},"trigger":{"mode":"sometimes"}},
        "e":{"protocol":"even"}}})",
                  {{"n", 1.5}});
  for (const auto* expected :
       {"unknown key \"stepz\"", "parameters[1].type", "parameters.n: must be a whole number",
        "steps.in.protocol: there is no protocol reed, did you mean read?", "wrong is not a parameter",
        "${gone} is not a parameter", "there is no step \"nowhere\"", "steps.s.inputs.up: add has no input",
        "has no output \"acepted\"", "must be static, dynamic, batches or closed",
        "steps.e.inputs.numbers: is not connected"})
    EXPECT_NE(text.find(expected), std::string::npos) << expected << "\nin\n" << text;
}

TEST(Workflow, TheDeviceOfAStepIsItsOwnOrTheWorkflowsAndStandsInItsKey) {
  const auto plan = [](const std::string& of_workflow, const std::string& of_step) {
    return plan_of(R"({"device": ")" + of_workflow + R"(", "steps": {"r": {"protocol": "read"},
        "a": {"protocol": "add", "inputs": {"left": "r.numbers"}},
        "h": {"protocol": "heavy", "device": ")" +
                   of_step + R"(", "inputs": {"numbers": "r.numbers"}}}})");
  };
  const auto usual = plan("", ""), all = plan("abacus", ""), one = plan("", "abacus"), none = plan("abacus", "cpu");
  const auto h = z(usual.find("h")), a = z(usual.find("a"));
  EXPECT_EQ(usual.steps[h].device, "cpu");
  EXPECT_EQ(usual.steps[h].gpus, 0);
  for (const auto* on_abacus : {&all, &one}) {
    EXPECT_EQ(on_abacus->steps[h].device, "abacus");
    EXPECT_EQ(on_abacus->steps[h].gpus, 1) << "what the device takes is reserved";
    EXPECT_EQ(on_abacus->steps[h].key, one.steps[h].key);
    EXPECT_NE(on_abacus->steps[h].key, usual.steps[h].key);
  }
  EXPECT_EQ(none.steps[h].key, usual.steps[h].key);
  EXPECT_EQ(all.steps[a].device, "cpu") << "it cannot choose";
  EXPECT_EQ(all.steps[a].key, usual.steps[a].key);
  EXPECT_NE(problems_of(R"({"steps": {"r": {"protocol": "read"},
      "h": {"protocol": "heavy", "device": "quantum", "inputs": {"numbers": "r.numbers"}}}})")
                .find(R"(steps.h.device: heavy computes on cpu, abacus, not on "quantum")"),
            std::string::npos);
  EXPECT_EQ(problems_of(R"({"device": "quantum", "steps": {"r": {"protocol": "read"}}})"),
            R"(device: nothing computes on "quantum")");
  EXPECT_NE(problems_of(R"({"steps": {"r": {"protocol": "read"},
      "a": {"protocol": "add", "device": "abacus", "inputs": {"left": "r.numbers"}}}})")
                .find(R"(steps.a.device: add computes on cpu, not on "abacus")"),
            std::string::npos);
}

TEST(Workflow, RefusesCyclesAndKindsThatDoNotFit) {
  EXPECT_NE(problems_of(
                R"({"steps":{"a":{"protocol":"add","inputs":{"left":"b.sums"}},"b":{"protocol":"add",
        "inputs":{"left":"a.sums"}}}})")
                .find("wait for each other: a, b"),
            std::string::npos);
  EXPECT_NE(problems_of(
                R"({"steps":{"r":{"protocol":"read"},"t":{"protocol":"total","inputs":{"numbers":"r.numbers"}},
        "e":{"protocol":"even","inputs":{"numbers":"t.totals"}}}})")
                .find("takes Number, but t.totals gives Total"),
            std::string::npos);
}

TEST(Workflow, SubstitutesTypedValuesAndDropsEmptyOnes) {
  const auto text = R"({"parameters":[{"name":"by","type":"integer","default":3},{"name":"none","default":""}],
    "steps":{"_note":"ignored","r":{"protocol":"read"},"a":{"protocol":"add","comment":"x","params":{"by":"${by}"},
      "inputs":{"left":"r"}},
             "b":{"protocol":"add","params":{"by":"${none}"},"inputs":{"left":"a.sums"}}}})";
  const auto plan = plan_of(text, {{"by", 7}});
  EXPECT_EQ(plan.steps[1].params, Json({{"by", 7}}));
  EXPECT_EQ(plan.steps[2].params, Json::object());
  EXPECT_NE(plan_of(text, {{"by", 7}}).steps[1].key, plan_of(text, {{"by", 8}}).steps[1].key);
}

TEST(Workflow, OrdersStepsAndKnowsWhereSubjectsComeFrom) {
  const auto plan = plan_of(
      R"({"steps":{"last":{"protocol":"add","inputs":{"left":"e.accepted"},"where":["e.accepted"]},
        "e":{"protocol":"even","inputs":{"numbers":"r.numbers"}},
    "t":{"protocol":"total","inputs":{"numbers":["last.sums","e.set_aside"]}},"r":{"protocol":"read"}}})");
  EXPECT_EQ(plan.steps[0].name, "r");
  EXPECT_EQ(plan.steps[3].name, "t");
  EXPECT_EQ(plan.steps[3].depth, 3);
  EXPECT_EQ(plan.steps[2].roots, std::vector<int>{0});
  EXPECT_EQ(plan.steps[3].out_roots, std::vector<int>{3});
  EXPECT_EQ(plan.steps[3].trigger.mode, Trigger::Mode::closed);
}

TEST(Workflow, GivesEveryStepATitleOfItsOwn) {
  const auto plan = plan_of(
      R"({"steps":{"r":{"protocol":"read","title":"Numbers"},"e":{"protocol":"even","title":"Even",
        "inputs":{"numbers":"r.numbers"}},
    "again":{"protocol":"even","title":"Even","inputs":{"numbers":"e.accepted"}},"t":{"protocol":"total",
      "inputs":{"numbers":"again.accepted"}}}})");
  const auto title = [&](const char* name) { return plan.steps[static_cast<std::size_t>(plan.find(name))].title; };
  EXPECT_EQ(title("r"), "Numbers");
  EXPECT_EQ(title("e"), "Even (e)");
  EXPECT_EQ(title("again"), "Even (again)");
  EXPECT_EQ(title("t"), "t") << "neither the workflow nor the protocol has one";
  EXPECT_NE(problems_of(R"({"steps":{"r":{"protocol":"read","title":3}}})").find("steps.r.title: must be text"),
            std::string::npos);
}

TEST(Workflow, ASwitchedOffStepTakesItsDependentsAlongButNotOptionalPorts) {
  const auto plan = plan_of(R"({"parameters":[{"name":"on","type":"boolean","default":false}],
    "steps":{"r":{"protocol":"read"},"e":{"protocol":"even","enabled":"${on}","inputs":{"numbers":"r.numbers"}},
             "a":{"protocol":"add","inputs":{"left":"r.numbers","right":"e.accepted"}},"t":{"protocol":"total",
        "inputs":{"numbers":"e.accepted"}}}})");
  ASSERT_EQ(plan.steps.size(), 2u);
  EXPECT_EQ(plan.steps[1].inputs.size(), 1u);
}

TEST(Workflow, RefusesOptionalPortsOfFolds) {
  const std::string steps =
      R"({"steps":{"r":{"protocol":"read"},"t":{"protocol":"total-of-pairs","inputs":{"numbers":"r.numbers")";
  EXPECT_EQ(problems_of(steps + "}}}}"), "");
  EXPECT_NE(
      problems_of(steps + R"(,"others":"r.numbers"}}}})").find("steps.t.inputs.others: total-of-pairs gathers batches"),
      std::string::npos);
}

TEST(Workflow, ChecksWithoutValuesWithLegalPlaceholders) {
  std::vector<Problem> problems;
  const auto workflow = parse_workflow(R"({"parameters":[{"name":"diameter","type":"number","required":true}],
    "steps":{"r":{"protocol":"read"},"l":{"protocol":"limited","params":{"by":"${diameter}"},
      "inputs":{"numbers":"r.numbers"}}}})",
                                       problems);
  const auto plan = make_plan(workflow, registry(), Json::object(), problems, true);
  EXPECT_EQ(describe(problems), "");
  EXPECT_EQ(plan.values.at("diameter"), 20);
  (void)make_plan(workflow, registry(), Json::object(), problems);
  EXPECT_EQ(describe(problems).find("parameters.diameter: is required"), 0u) << describe(problems);
}

TEST(Workflow, ReadsTriggersAndRefusesThoseThatCannotBe) {
  const std::string start =
      R"({"steps":{"r":{"protocol":"read"},"a":{"protocol":"add","inputs":{"left":"r"}},"t":{"protocol":"total",
        "inputs":{"numbers":"a"},"trigger":)";
  const auto trigger =
      plan_of(start + R"({"mode":"dynamic","count":100,"of":"count","every_s":60,"approve":true,"stops":["a"]}}}})")
          .steps[2]
          .trigger;
  EXPECT_EQ(trigger.mode, Trigger::Mode::dynamic);
  EXPECT_EQ(trigger.every_s, 60);
  EXPECT_TRUE(trigger.approve);
  EXPECT_EQ(trigger.stops, std::vector<int>{1});
  EXPECT_EQ(plan_of(start + R"({"approve":true}}}})").steps[2].trigger.mode, Trigger::Mode::closed)
      << "as a fold without trigger";
  EXPECT_NE(
      problems_of(start + R"({"mode":"static","count":0}}}})").find("steps.t.trigger.count: must be a number above 0"),
      std::string::npos);
  EXPECT_NE(problems_of(start + R"({"mode":"batches"}}}})").find("needs \"count\", \"every_s\" or both"),
            std::string::npos);
  EXPECT_NE(problems_of(start + R"({"mode":"batches","count":3,"stops":["a"]}}}})")
                .find("only static and dynamic triggers stop"),
            std::string::npos);
  EXPECT_NE(problems_of(start + R"({"mode":"static","count":3,"stops":["r","x"]}}}})")
                .find("r does not take its items one by one"),
            std::string::npos);
}

TEST(Workflow, RefusesAParameterInAnotherUnit) {
  const std::string text = R"({"parameters":[{"name":"d","type":"number","unit":"UNIT","default":50}],
    "steps":{"r":{"protocol":"read"},"l":{"protocol":"limited","params":{"by":"${d}"},"inputs":{"numbers":"r"}}}})";
  const auto with = [&](const std::string& unit) {
    return problems_of(std::string(text).replace(text.find("UNIT"), 4, unit));
  };
  EXPECT_EQ(with("Å"), "");
  EXPECT_EQ(with("px"), "steps.l.params.by: is measured in Å, but the parameter d in px");
}

TEST(Workflow, HoldsAParameterAgainstTheStepsThatTakeIt) {
  const std::string text = R"({"parameters":[{"name":"d","type":"number","default":50},{"name":"on","type":"boolean",
    "default":false}],"steps":{"r":{"protocol":"read"},
    "l":{"protocol":"limited","enabled":"${on}","params":{"by":"${d}"},"inputs":{"numbers":"r"}}}})";
  EXPECT_EQ(problems_of(text), "");
  for (const Json& bad : {Json(7), Json("x"), Json(1e300)})
    EXPECT_EQ(problems_of(text, {{"d", bad}}).find("parameters.d: must "), 0u) << bad << " though the step is off";
  EXPECT_NE(problems_of(text, {{"d", 7}}).find("20 to 5000 Å, not 7: so l takes it (by)"), std::string::npos);
  EXPECT_NE(problems_of(std::string(text).replace(text.find("50}"), 2, "19")).find("parameters.d"), std::string::npos)
      << "a default is no better";
}

constexpr const char* inheriting = R"({
  "name": "w",
  "parameters": [
    {"name": "least", "of": "l.by"},
    {"name": "most", "of": "l.by", "title": "Most", "default": 100, "help": "h"},
    {"name": "must", "of": "l.by", "required": true}
  ],
  "steps": {"r": {"protocol": "read"}, "l": {"protocol": "limited", "inputs": {"numbers": "r"}}}
})";

TEST(Workflow, ParametersInheritWhatTheFieldOfAStepDeclares) {
  std::vector<Problem> problems;
  const auto text = inherit(inheriting, registry(), problems);
  EXPECT_EQ(describe(problems), "");
  EXPECT_EQ(nlohmann::ordered_json::parse(text)["parameters"].dump(),
            R"([{"name":"least","title":"","type":"number","default":0,"unit":"Å"},)"
            R"({"name":"most","title":"Most","type":"number","default":100,"unit":"Å","help":"h"},)"
            R"({"name":"must","title":"","type":"number","unit":"Å","required":true}])");
  EXPECT_EQ(inherit(text, registry(), problems), text) << "nothing is left to inherit";
  const auto workflow = parse_workflow(text, problems);
  EXPECT_EQ(workflow.parameters.at(1).unit, "Å");
  EXPECT_EQ(describe(problems), "");
  const auto problem = [](const std::string& of) {
    std::vector<Problem> found;
    (void)inherit(R"({"parameters":[{"name":"p","of":)" + of + R"(}],"steps":{"l":{"protocol":"limited"}}})",
                  registry(), found);
    return describe(found);
  };
  EXPECT_EQ(problem(R"("l.height")"), "parameters[0].of: limited has no parameter \"height\"");
  EXPECT_EQ(problem(R"("k.by")").find("parameters[0].of: must be \"STEP.FIELD\""), 0u);
  EXPECT_EQ(problem("3").find("parameters[0].of: must be"), 0u);
}

TEST(Workflow, AlarmRulesAreReadAndCheckedWithTheirPlace) {
  const auto with = [](const std::string& rules, const std::string& enabled = "true") {
    return R"({"parameters":[{"name":"limit","type":"number","default":4}],"steps":{"r":{"protocol":"read"},
      "m":{"protocol":"measure","enabled":)" +
           enabled + R"(,"inputs":{"numbers":"r"}}},"monitors":[)" + rules + "]}";
  };
  const std::string good = R"({"name":"far","title":"Too far","from":"m.numbers","field":"value","above":"${limit}",
    "count":2,"in_last":5,"kind":"drift","advice":"Wait."})";
  const auto plan = plan_of(with(good));
  ASSERT_EQ(plan.monitors.size(), 1u);
  const auto& rule = plan.monitors.front();
  EXPECT_EQ(rule.field, "value_A");
  EXPECT_EQ(rule.unit, "Å");
  EXPECT_EQ(plan.steps.at(static_cast<std::size_t>(rule.step)).name, "m");
  EXPECT_EQ(rule.count, 2);
  EXPECT_EQ(rule.in_last, 5);
  EXPECT_TRUE(rule.breaks(4.1));
  EXPECT_FALSE(rule.breaks(4));
  EXPECT_FALSE(rule.breaks(std::nan("")));
  EXPECT_TRUE(plan_of(with(good, "false")).monitors.empty()) << "its step is off";
  const std::pair<const char*, const char*> wrong[] = {
      {R"("x")", "monitors[0]: must be an object"},
      {R"({"name":"a","from":"m","field":"value","above":1,"colour":1})", "monitors[0]: unknown key \"colour\""},
      {R"({"from":"m","field":"value","above":1})", "monitors[0]: a rule needs a name"},
      {R"({"name":"a","from":"m","field":"value"})", "monitors[0]: needs a limit"},
      {R"({"name":"a","from":"q","field":"value","above":1})", "monitors[0].from: there is no step \"q\""},
      {R"({"name":"a","from":"m.out","field":"value","above":1})", "monitors[0].from: m has no output \"out\""},
      {R"({"name":"a","from":"m","field":"name","above":1})", "Number has no number \"name\"; it has value"},
      {R"({"name":"a","from":"m","field":"value","above":"high"})", "monitors[0].above: must be a number"},
      {R"({"name":"a","from":"m","field":"value","above":1,"count":0})", "monitors[0].count: must be a whole number"},
      {R"({"name":"a","from":"m","field":"value","above":1,"count":3,"in_last":2})", "3 of the last 2 can never be"},
      {R"({"name":"a","from":"m","field":"value","above":1,"kind":"mood"})", "monitors[0].kind: must be one of"},
      {R"({"name":"a","from":"m","field":"value","below":1},{"name":"a","from":"m","field":"value","below":1})",
       "monitors[1]: there is another rule a"}};
  for (const auto& [rules, told] : wrong)
    EXPECT_NE(problems_of(with(rules)).find(told), std::string::npos) << problems_of(with(rules));
  EXPECT_NE(problems_of(R"({"steps":{"r":{"protocol":"read"}},"monitors":{}})").find("monitors: must be a list"),
            std::string::npos);
}

TEST(Workflow, IsDrawnWithEveryStepAndSet) {
  const auto svg = draw(plan_of(
      R"({"steps":{"r":{"protocol":"read"},"e":{"protocol":"even","inputs":{"numbers":"r"}},"a":{"protocol":"add",
        "inputs":{"left":"r"},"where":["e.accepted"]},
    "t":{"protocol":"total","inputs":{"numbers":"a"},"trigger":{"mode":"batches","count":20}}}})"));
  for (const auto* expected : {">e<", ">even<", ">accepted<", "every 20 items", "stroke-dasharray=\"5 4\"", "</svg>"})
    EXPECT_NE(svg.find(expected), std::string::npos) << expected << "\n" << svg;
}

TEST(Workflow, ParsesSettingsByDeclaredType) {
  std::vector<Problem> problems;
  const auto workflow = parse_workflow(
      R"({"parameters":[{"name":"n","type":"integer"},{"name":"s"}],"steps":{"r":{"protocol":"read"}}})", problems);
  EXPECT_EQ(parse_values(workflow, registry(), {{"n", "12"}, {"s", "12"}}, problems), Json({{"n", 12}, {"s", "12"}}));
  EXPECT_TRUE(problems.empty());
  (void)parse_values(workflow, registry(), {{"n", "x"}, {"m", "1"}}, problems);
  EXPECT_EQ(problems.size(), 2u);
}

}  // namespace
}  // namespace frazil::flow
