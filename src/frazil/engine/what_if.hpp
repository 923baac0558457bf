// Changed parameters: what they would change, answered from stored records while the engine works on.
#pragma once

#include "frazil/engine/judge.hpp"
#include "frazil/flow/settings.hpp"

namespace frazil::engine {

/// A workflow and its values with some of them replaced, and the plan that follows.
struct Changed {
  flow::Workflow workflow;
  Json values;
  flow::Plan plan;
  flow::FileHashes files = {};
  std::vector<flow::ValueChange> changes = {};  ///< from what to what
};

/// @param values    stored values of the project
/// @param settings  {key: value}: a parameter of the workflow, or step.parameter
/// @param files     contents of the files that parameters name, as far as known
/// @throws Error(bad_input) listing every problem
[[nodiscard]] Changed change(const flow::Workflow& workflow, const flow::Plan& plan, const Json& values,
                             const Json& settings, const flow::Registry& registry, flow::FileHashes files);

/// What becomes of everything under changed parameters, as far as filters decide it.
/// @return {"steps": [{"step", "of", "kept_now", "kept_then", "newly_kept", "newly_set_aside"}], "items": {"of",
/// "kept_now", "kept_then", "to_compute", "failed"}, "computed_again": [step], "seconds"}
/// @throws Error(unsupported) if a filter cannot be asked
[[nodiscard]] Json what_if(const Reading& reading, const Changed& changed, Judge& judge);

/// What filters that can be asked say under the changed parameters of all that they have decided on.
[[nodiscard]] Foretold foretell(const Reading& reading, const Changed& changed, Judge& judge);

}  // namespace frazil::engine
