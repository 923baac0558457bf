// What somebody sets: which value a key means, and what a change has changed. Every limit has one value: it is that of
// a parameter of the workflow, or, where the workflow gives the step none of those, of the step itself
// (docs/decisions/0018-one-value-a-limit.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frazil/flow/workflow.hpp"

namespace frazil::flow {

/// The value that a key means.
struct Setting {
  std::string key;  ///< the name that counts: "fit_resolution_limit", or "filter-ctf.max_drift"
  FieldInfo field;
};

/// @param key  a parameter of the workflow, or step.parameter. That of a step which is a parameter of the workflow, and
/// of
///        this step alone, means that parameter
/// @return nothing, with a problem, if there is no such value, or if other steps share it: then it names what to set
[[nodiscard]] std::optional<Setting> find_setting(const Workflow& workflow, const Registry& registry,
                                                  const std::string& key, std::vector<Problem>& problems);

/// Problems of a key that changes nothing: no step takes that parameter of the workflow.
void refuse_idle(const Workflow& workflow, const Registry& registry, const std::string& key,
                 std::vector<Problem>& problems);

/// The values of single steps ("step.parameter") among these, put into the parameters of this step.
void put_step_values(const Json& values, const std::string& step, Json& step_json);

/// One value that is another now.
struct ValueChange {
  std::string name;  ///< as in Setting::key
  Json from, to;     ///< in force, defaults too
  std::string unit;
};
[[nodiscard]] std::vector<ValueChange> changes_between(const Workflow& workflow, const Plan& before, const Plan& after);
/// "fit_resolution_limit: 10 → 5 Å"
[[nodiscard]] std::string describe(const ValueChange& change);
/// A value as people read it: text without quotes, "not set" for none.
[[nodiscard]] std::string value_text(const Json& value);

}  // namespace frazil::flow
