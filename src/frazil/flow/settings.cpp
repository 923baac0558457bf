#include "frazil/flow/settings.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "frazil/base/nearest.hpp"

namespace frazil::flow {
namespace {

/// Parameters that the engine and the report read themselves.
constexpr std::array read_elsewhere = {"project_name", "user", "sample", "order", "backlog"};

std::string reference_to(const std::string& parameter) { return "${" + parameter + "}"; }

const Json* step_named(const Workflow& workflow, const std::string& name) {
  for (const auto& [step, json] : workflow.steps)
    if (step == name) return &json;
  return nullptr;
}

const Protocol* protocol_of(const Json& step, const Registry& registry) {
  const Json name = step.value("protocol", Json());
  return name.is_string() ? registry.find(name.get<std::string>()) : nullptr;
}

const FieldInfo* field_named(const Protocol& protocol, const std::string& name) {
  for (const auto& field : protocol.params)
    if (field.name == name) return &field;
  return nullptr;
}

/// What the workflow gives a step for a parameter; null: nothing.
Json given(const Json& step, const std::string& parameter) {
  const auto params = step.find("params");
  return params != step.end() && params->is_object() ? params->value(parameter, Json()) : Json();
}

/// How often a parameter stands anywhere in steps and rules of alarms.
int count_uses(const Workflow& workflow, const std::string& parameter) {
  std::string all = workflow.monitors.dump();
  for (const auto& [name, json] : workflow.steps) all += json.dump();
  const auto text = reference_to(parameter);
  int count = 0;
  for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + text.size())) ++count;
  return count;
}

/// "extract.diameter, mask.feature_size": parameters of steps that are this parameter of the workflow.
std::string users_of(const Workflow& workflow, const std::string& parameter, const std::string& besides) {
  std::string list;
  for (const auto& [name, json] : workflow.steps)
    if (const auto params = json.find("params"); params != json.end() && params->is_object())
      for (const auto& [key, value] : params->items())
        if (value == reference_to(parameter) && name + "." + key != besides)
          list += (list.empty() ? "" : ", ") + name + "." + key;
  return list;
}

std::optional<Setting> find_parameter(const Workflow& workflow, const Registry& registry, const std::string& key,
                                      std::vector<Problem>& problems) {
  std::vector<std::string> names;
  for (const auto& parameter : workflow.parameters) {
    if (parameter.name == key) return Setting{key, parameter};
    names.push_back(parameter.name);
  }
  auto text = "is not a parameter of this workflow" + did_you_mean(key, names);
  for (const auto& [step, json] : workflow.steps)
    if (const auto* protocol = protocol_of(json, registry);
        protocol != nullptr && field_named(*protocol, key) != nullptr)
      text += fmt::format("; {} has one of this name: {}.{}", step, step, key);
  problems.push_back({"parameters." + key, text});
  return std::nullopt;
}

std::optional<Setting> find_in_step(const Workflow& workflow, const Registry& registry, const std::string& key,
                                    std::vector<Problem>& problems) {
  const auto dot = key.rfind('.');
  const auto step = key.substr(0, dot), name = key.substr(dot + 1);
  const auto refuse = [&](std::string text) {
    problems.push_back({key, std::move(text)});
    return std::nullopt;
  };
  const auto* json = step_named(workflow, step);
  if (json == nullptr) {
    std::vector<std::string> names;
    for (const auto& [other, unused] : workflow.steps) names.push_back(other);
    return refuse("there is no step \"" + step + "\"" + did_you_mean(step, names));
  }
  const auto* protocol = protocol_of(*json, registry);
  if (protocol == nullptr) return refuse("the protocol of " + step + " is not known");
  const auto* field = field_named(*protocol, name);
  if (field == nullptr) {
    std::vector<std::string> names;
    for (const auto& other : protocol->params) names.push_back(other.name);
    return refuse(step + " has no parameter \"" + name + "\"" + did_you_mean(name, names));
  }
  const auto value = given(*json, name);
  const auto text = value.is_string() ? value.get<std::string>() : std::string();
  if (text.find("${") == std::string::npos) return Setting{key, *field};
  for (const auto& parameter : workflow.parameters) {
    if (text != reference_to(parameter.name)) continue;
    if (count_uses(workflow, parameter.name) == 1) return Setting{parameter.name, parameter};
    const auto others = users_of(workflow, parameter.name, key);
    return refuse(fmt::format("is the workflow's parameter {}, as {}: set {}", parameter.name,
                              others.empty() ? "others are" : others + " too", parameter.name));
  }
  return refuse("is made of parameters of the workflow (" + text + "): set those");
}

Json value_in_force(const Plan& plan, const std::string& key) {
  const auto dot = key.rfind('.');
  if (dot == std::string::npos) return plan.values.value(key, Json());
  const int index = plan.find(key.substr(0, dot));
  if (index < 0) return {};
  const auto& step = plan.steps[static_cast<std::size_t>(index)];
  const auto name = key.substr(dot + 1);
  if (const auto found = step.params.find(name); found != step.params.end()) return *found;
  const auto* field = field_named(*step.protocol, name);
  return field == nullptr ? Json() : field->default_value;
}

std::string unit_of(const Workflow& workflow, const Plan& plan, const std::string& key) {
  for (const auto& parameter : workflow.parameters)
    if (parameter.name == key) return parameter.unit;
  const auto dot = key.rfind('.');
  const int index = dot == std::string::npos ? -1 : plan.find(key.substr(0, dot));
  const auto* field =
      index < 0 ? nullptr : field_named(*plan.steps[static_cast<std::size_t>(index)].protocol, key.substr(dot + 1));
  return field == nullptr ? std::string() : field->unit;
}

bool are_equal(const Json& a, const Json& b) {
  const auto is_empty = [](const Json& value) { return value.is_null() || value == ""; };
  return a == b || (is_empty(a) && is_empty(b));
}

}  // namespace

std::optional<Setting> find_setting(const Workflow& workflow, const Registry& registry, const std::string& key,
                                    std::vector<Problem>& problems) {
  return key.find('.') == std::string::npos ? find_parameter(workflow, registry, key, problems)
                                            : find_in_step(workflow, registry, key, problems);
}

void refuse_idle(const Workflow& workflow, const Registry& registry, const std::string& key,
                 std::vector<Problem>& problems) {
  const bool is_elsewhere = std::find(read_elsewhere.begin(), read_elsewhere.end(), key) != read_elsewhere.end();
  if (key.find('.') != std::string::npos || is_elsewhere || count_uses(workflow, key) > 0) return;
  const auto parameter = std::find_if(workflow.parameters.begin(), workflow.parameters.end(),
                                      [&](const Parameter& p) { return p.name == key; });
  if (parameter == workflow.parameters.end()) return;
  std::string instead;
  for (const auto& [step, json] : workflow.steps)  // the same limit in a step that has its own value
    if (const auto* protocol = protocol_of(json, registry))
      for (const auto& field : protocol->params)
        if (!given(json, field.name).is_null() && (field.help == parameter->title || field.name == key))
          instead += (instead.empty() ? "; set " : " or ") + step + "." + field.name;
  problems.push_back({"parameters." + key, "no step takes it: it would change nothing" + instead});
}

void put_step_values(const Json& values, const std::string& step, Json& step_json) {
  for (const auto& [key, value] : values.items())
    if (const auto dot = key.rfind('.'); dot != std::string::npos && key.substr(0, dot) == step && !value.is_null())
      step_json["params"][key.substr(dot + 1)] = value;
}

std::vector<ValueChange> changes_between(const Workflow& workflow, const Plan& before, const Plan& after) {
  std::set<std::string> keys;
  for (const auto* plan : {&before, &after})
    for (const auto& [key, value] : plan->values.items()) keys.insert(key);
  std::vector<ValueChange> changes;
  for (const auto& key : keys) {
    auto from = value_in_force(before, key), to = value_in_force(after, key);
    if (!are_equal(from, to)) changes.push_back({key, std::move(from), std::move(to), unit_of(workflow, after, key)});
  }
  return changes;
}

std::string value_text(const Json& value) {
  if (value.is_null() || value == "") return "not set";
  return value.is_string()         ? value.get<std::string>()
         : value.is_number_float() ? fmt::format("{:g}", value.get<double>())
                                   : value.dump();
}

std::string describe(const ValueChange& change) {
  const bool is_number = change.to.is_number() && !change.unit.empty();
  return fmt::format("{}: {} → {}{}", change.name, value_text(change.from), value_text(change.to),
                     is_number ? " " + change.unit : "");
}

}  // namespace frazil::flow
