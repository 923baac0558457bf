// How the parts of a workflow's text are read: what the files of this folder share and nobody else needs.
#pragma once

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "frazil/flow/workflow.hpp"

namespace frazil::flow {

/// A problem for each key that is neither known nor a note for people.
void unknown_keys(const Json& object, std::initializer_list<std::string_view> known, const std::string& place,
                  std::vector<Problem>& problems);
/// The text of a key; `fallback` where it is missing or, with a problem, no text.
std::string text_at(const Json& object, std::string_view key, const std::string& place, std::vector<Problem>& problems,
                    std::string fallback = {});
/// "a, b"
[[nodiscard]] std::string port_names(const std::vector<PortInfo>& ports);

[[nodiscard]] Parameter parse_parameter(const Json& json, const std::string& place, std::vector<Problem>& problems);
/// All values, defaults filled in and each held against its parameter and all steps that take it.
[[nodiscard]] Json fill_values(const Workflow& workflow, const Registry& registry, const Json& given,
                               std::vector<Problem>& problems, bool check_only);

/// Reads the rules of alarms into a plan whose steps are complete; those on steps that are switched off (in
/// `all_steps`, but not in the plan) are passed over.
void add_monitors(Plan& plan, const Json& monitors, const std::set<std::string>& all_steps,
                  std::vector<Problem>& problems);

}  // namespace frazil::flow
