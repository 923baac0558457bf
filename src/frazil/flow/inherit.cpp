// Parameters of a template that inherit what the field of a step declares (workflow.hpp).
#include <algorithm>
#include <cmath>

#include "frazil/flow/workflow.hpp"
#include "frazil/params/json_depth.hpp"

namespace frazil::flow {
namespace {

using OrderedJson = nlohmann::ordered_json;

/// The field that "STEP.FIELD" means, with the step's protocol found by `steps`.
const FieldInfo* find_field(const std::string& of, const OrderedJson& steps, const Registry& registry,
                            const std::string& place, std::vector<Problem>& problems) {
  const auto dot = of.rfind('.');
  const auto step = steps.is_object() && dot != std::string::npos ? steps.find(of.substr(0, dot)) : steps.end();
  if (dot == std::string::npos || !steps.is_object() || step == steps.end() || !step->is_object()) {
    problems.push_back({place, "must be \"STEP.FIELD\" of a step of this workflow, not \"" + of + "\""});
    return nullptr;
  }
  const auto name = step->value("protocol", OrderedJson());
  const auto* protocol = name.is_string() ? registry.find(name.get<std::string>()) : nullptr;
  if (protocol == nullptr) return nullptr;  // reported with the step
  for (const auto& field : protocol->params)
    if (field.name == of.substr(dot + 1)) return &field;
  problems.push_back({place, fmt::format("{} has no parameter \"{}\"", protocol->name, of.substr(dot + 1))});
  return nullptr;
}

/// 300 for 300.0.
OrderedJson as_people_write(const Json& value) {
  if (value.is_number_float() && std::abs(value.get<double>()) < 1e15 &&
      value.get<double>() == std::floor(value.get<double>()))
    return static_cast<std::int64_t>(value.get<double>());
  return OrderedJson::parse(value.dump());
}

/// A parameter with what it inherits written out, in the order of keys that people read.
OrderedJson inherited(const OrderedJson& parameter, const FieldInfo& field) {
  OrderedJson full;
  const auto put = [&](const char* key, const OrderedJson& otherwise) {
    if (const auto own = parameter.find(key); own != parameter.end())
      full[key] = *own;
    else if (!otherwise.is_null())
      full[key] = otherwise;
  };
  put("name", field.name);
  put("title", field.help);
  put("type", field.file ? "path" : field.type);
  const bool required =
      parameter.value("required", OrderedJson(field.required && !parameter.contains("default"))) == true;
  if (!required) put("default", field.default_value.is_null() ? OrderedJson("") : as_people_write(field.default_value));
  put("unit", field.unit.empty() ? OrderedJson() : OrderedJson(field.unit));
  put("choices", field.choices.empty() ? OrderedJson() : OrderedJson(field.choices));
  if (required) full["required"] = true;
  for (const auto& [key, value] : parameter.items())
    if (key != "of" && key != "required" && !full.contains(key)) full[key] = value;
  return full;
}

}  // namespace

std::string inherit(std::string_view text, const Registry& registry, std::vector<Problem>& problems) {
  if (is_nested_deeper(text)) return std::string(text);  // parse_workflow says so
  auto root = OrderedJson::parse(text, nullptr, false);
  if (!root.is_object() || !root.contains("parameters") || !root["parameters"].is_array()) return std::string(text);
  bool changed = false;
  for (std::size_t i = 0; i < root["parameters"].size(); ++i) {
    auto& parameter = root["parameters"][i];
    if (!parameter.is_object() || !parameter.contains("of")) continue;
    const auto place = fmt::format("parameters[{}].of", i);
    if (!parameter["of"].is_string()) {
      problems.push_back({place, "must be \"STEP.FIELD\", not " + parameter["of"].dump()});
      continue;
    }
    const auto* field =
        find_field(parameter["of"].get<std::string>(), root.value("steps", OrderedJson()), registry, place, problems);
    if (field == nullptr) continue;
    parameter = inherited(parameter, *field);
    changed = true;
  }
  return changed ? root.dump(2) + "\n" : std::string(text);
}

}  // namespace frazil::flow
