// Parameters of a workflow: read, given values, and those values checked (reading.hpp, workflow.hpp).
#include <algorithm>
#include <cmath>
#include <limits>

#include "frazil/flow/reading.hpp"
#include "frazil/flow/settings.hpp"

namespace frazil::flow {
namespace {

std::string canonical_type(const std::string& type) {
  if (type == "text" || type == "choice" || type == "string") return "string";
  if (type == "file" || type == "folder" || type == "path") return "path";
  if (type == "number" || type == "integer" || type == "boolean") return type;
  return {};
}

/// Calls visit(step name, field) for every field of a step that takes the parameter as it is.
template <class Visit>
void fields_taking(const Workflow& workflow, const Registry& registry, const Parameter& parameter, const Visit& visit) {
  for (const auto& [name, step] : workflow.steps) {
    const Json protocol = step.value("protocol", Json());
    const auto params = step.find("params");
    if (!protocol.is_string() || params == step.end() || !params->is_object()) continue;
    const auto* known = registry.find(protocol.get<std::string>());
    if (known == nullptr) continue;
    for (const auto& field : known->params)
      if (params->value(field.name, Json()) == "${" + parameter.name + "}") visit(name, field);
  }
}

/// Something that a parameter without default might be: legal for every step that takes it.
Json example_value(const Workflow& workflow, const Registry& registry, const Parameter& parameter) {
  if (parameter.type == "boolean") return false;
  if (parameter.type != "integer" && parameter.type != "number")
    return parameter.choices.empty() ? "?" : parameter.choices.front();
  double value = 1, low = -std::numeric_limits<double>::infinity(), high = -low;
  fields_taking(workflow, registry, parameter, [&](const std::string&, const FieldInfo& field) {
    if (field.default_value.is_number()) value = field.default_value.get<double>();
    low = std::max(low, field.low.value_or(low));
    high = std::min(high, field.high.value_or(high));
  });
  value = std::max(low, std::min(value, high));
  return parameter.type == "integer" ? Json(static_cast<std::int64_t>(std::ceil(value))) : Json(value);
}

/// What is wrong with a value, by the parameter itself and by every step that takes it, switched on or not.
std::string value_problem(const Workflow& workflow, const Registry& registry, const Parameter& parameter,
                          const Json& value) {
  auto own = static_cast<const FieldInfo&>(parameter);
  own.default_value = value;  // unset is no case here
  auto problem = problem_of(own, value);
  fields_taking(workflow, registry, parameter, [&](const std::string& step, const FieldInfo& field) {
    if (!problem.empty()) return;
    if (auto found = problem_of(field, value); !found.empty())
      problem = fmt::format("{}: so {} takes it ({})", found, step, field.name);
  });
  return problem;
}

}  // namespace

Parameter parse_parameter(const Json& json, const std::string& place, std::vector<Problem>& problems) {
  unknown_keys(
      json, {"name", "title", "help", "type", "unit", "default", "range", "choices", "required", "advanced", "group"},
      place, problems);
  Parameter parameter;
  parameter.name = text_at(json, "name", place, problems);
  parameter.title = text_at(json, "title", place, problems, parameter.name);
  parameter.help = text_at(json, "help", place, problems);
  parameter.unit = text_at(json, "unit", place, problems);
  const auto type = text_at(json, "type", place, problems, "string");
  const auto canonical = canonical_type(type);
  parameter.file = canonical == "path";
  parameter.type = canonical.empty() || parameter.file ? "string" : canonical;
  if (parameter.name.empty()) problems.push_back({place, "a parameter needs a name"});
  if (canonical.empty())
    problems.push_back({place + ".type", "must be string, path, integer, number or boolean, not \"" + type + "\""});
  parameter.required = json.value("required", Json(false)) == true;
  parameter.advanced = json.value("advanced", Json(false)) == true;
  if (const auto choices = json.find("choices"); choices != json.end()) {
    if (choices->is_array())
      for (const auto& choice : *choices)
        parameter.choices.push_back(choice.is_string() ? choice.get<std::string>() : choice.dump());
    else
      problems.push_back({place + ".choices", "must be a list"});
  }
  if (const auto range = json.find("range"); range != json.end()) {
    if (range->is_array() && range->size() == 2 && (*range)[0].is_number() && (*range)[1].is_number()) {
      parameter.low = (*range)[0].get<double>();
      parameter.high = (*range)[1].get<double>();
    } else {
      problems.push_back({place + ".range", "must be a list of two numbers"});
    }
  }
  const auto value = json.value("default", Json());
  if (!value.is_null() && value != "")
    if (const auto problem = problem_of(parameter, value); !problem.empty())
      problems.push_back({place + ".default", problem});
  parameter.default_value = value;
  return parameter;
}

Json fill_values(const Workflow& workflow, const Registry& registry, const Json& given, std::vector<Problem>& problems,
                 bool check_only) {
  Json values = Json::object();
  for (const auto& parameter : workflow.parameters) {
    const std::string place = "parameters." + parameter.name;
    Json value = given.contains(parameter.name) ? given.at(parameter.name) : parameter.default_value;
    if (value.is_null() || value == "") {
      if (parameter.required && !check_only) problems.push_back({place, "is required: " + parameter.title});
      if (parameter.required && check_only) value = example_value(workflow, registry, parameter);
    } else if (auto problem = value_problem(workflow, registry, parameter, value); !problem.empty()) {
      problems.push_back({place, std::move(problem)});
    }
    values[parameter.name] = std::move(value);
  }
  for (const auto& [key, value] : given.items()) {
    if (values.contains(key)) continue;
    const auto setting = find_setting(workflow, registry, key, problems);
    if (!setting) continue;
    if (setting->key != key)
      problems.push_back({key, "is the workflow's parameter " + setting->key + ": set that"});
    else if (auto problem = value.is_null() ? std::string() : problem_of(setting->field, value); !problem.empty())
      problems.push_back({key, std::move(problem)});
    values[key] = value;
  }
  return values;
}

Json parse_values(const Workflow& workflow, const Registry& registry,
                  const std::vector<std::pair<std::string, std::string>>& settings, std::vector<Problem>& problems) {
  Json values = Json::object();
  for (const auto& [key, text] : settings) {
    const auto setting = find_setting(workflow, registry, key, problems);
    if (!setting) continue;
    try {
      values[setting->key] = text.empty() ? Json() : parse_value(setting->field, text);
    } catch (const Error& error) {
      problems.push_back({key.find('.') == std::string::npos ? "parameters." + key : key, error.what()});
    }
  }
  return values;
}

}  // namespace frazil::flow
