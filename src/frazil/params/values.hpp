// Parameters known by their description alone, as those of plugins are: checked, filled in, and made part of the reuse
// key.
#pragma once

#include <string>
#include <vector>

#include "frazil/params/fields.hpp"

namespace frazil {

/// One sentence for each unknown key, missing value, wrong type, value out of range or not among the choices.
[[nodiscard]] std::vector<std::string> check_values(const std::vector<FieldInfo>& fields, const Json& values);
/// The values with defaults filled in.
[[nodiscard]] Json with_defaults(const std::vector<FieldInfo>& fields, const Json& values);
/// The part that can change a result, in canonical text.
[[nodiscard]] std::string result_key(const std::vector<FieldInfo>& fields, const Json& values);

/// A parameter as `frazil protocols NAME --json` describes it.
[[nodiscard]] Json field_to_json(const FieldInfo& field);
/// Inverse. Of "name", "type", "default", "unit", "help", "range", "choices", "required", "advanced", "runtime" and
/// "file" only the first two are needed. Appends what is wrong.
[[nodiscard]] FieldInfo field_from_json(const Json& json, std::vector<std::string>& problems);

}  // namespace frazil
