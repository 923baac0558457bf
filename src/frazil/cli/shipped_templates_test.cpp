// Every shipped template, as a session starts it.
#include <gtest/gtest.h>

#include "frazil/cli/templates.hpp"
#include "frazil/flow/foresight.hpp"
#include "frazil/model/records.hpp"
#include "frazil/plugin/installed.hpp"

namespace frazil::cli {
namespace {

flow::Plan plan_of(std::string_view name, const Json& given) {
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(template_text(std::string(name)), problems);
  Json values = Json::object();
  for (const auto& parameter : workflow.parameters)
    if (given.contains(parameter.name)) values[parameter.name] = given.at(parameter.name);
  auto plan = flow::make_plan(workflow, plugin::registry(), values, problems);
  EXPECT_TRUE(problems.empty()) << name << ": " << flow::describe(problems);
  return plan;
}

/// Samples as the source of a template gives them: movies of this exposure.
flow::Samples samples_of(const flow::Plan& plan, Dose dose) {
  Movie movie;
  movie.nx = movie.ny = 16, movie.frames = 4;
  movie.dose_per_frame = dose;
  flow::Samples samples;
  for (std::size_t i = 0; i < plan.steps.size(); ++i)
    if (plan.steps[i].protocol->name == "import-movies") samples[static_cast<int>(i)] = record_to_json(movie);
  return samples;
}

TEST(ShippedTemplates, EveryStepHasInputWithAndWithoutADose) {
  const Json given = {
      {"movies", "/m"}, {"micrographs", "/m"}, {"particles", "/p.star"}, {"pixel_size", 1.5}, {"diameter", 180}};
  for (const auto& shipped : shipped_templates()) {
    const auto plan = plan_of(shipped.name, given);
    for (const auto dose : {0_e_per_A2, 1_e_per_A2}) {
      const auto starved = flow::starved(plan, samples_of(plan, dose));
      for (std::size_t i = 0; i < plan.steps.size(); ++i)
        EXPECT_EQ(starved[i].reason, "") << shipped.name << ": " << plan.steps[i].name << " at " << dose.value();
    }
  }
}

TEST(ShippedTemplates, TheDoseMayBeANumberZeroOrLeftOut) {
  for (const auto& shipped : shipped_templates()) {
    if (shipped.text.find("import-movies") == std::string_view::npos) continue;
    const auto dose = [&](const Json& value) {
      Json given = {{"movies", "/m"}, {"pixel_size", 1.5}, {"diameter", 180}};
      if (!value.is_null()) given["dose_per_frame"] = value;
      const auto plan = plan_of(shipped.name, given);
      return plan.steps[static_cast<std::size_t>(plan.find("movies"))].params.value("dose_per_frame", Json());
    };
    EXPECT_EQ(dose(2.5), 2.5) << shipped.name;
    EXPECT_EQ(dose(0), 0) << shipped.name << ": no weighting";
    EXPECT_TRUE(dose(nullptr).is_null()) << shipped.name << ": as the microscope's files say";
  }
}

}  // namespace
}  // namespace frazil::cli
