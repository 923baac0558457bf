#include "frazil/params/values.hpp"

#include <algorithm>
#include <cmath>

namespace frazil {
namespace {

std::string list_of(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// {"a": …} without the keys that no field has.
Json filled(const std::vector<FieldInfo>& fields, const Json& values, bool with_runtime) {
  Json object = Json::object();
  for (const auto& field : fields)
    if (with_runtime || !field.runtime)
      object[field.name] =
          values.is_object() && values.contains(field.name) ? values.at(field.name) : field.default_value;
  return object;
}

}  // namespace

std::vector<std::string> check_values(const std::vector<FieldInfo>& fields, const Json& values) {
  std::vector<std::string> problems;
  if (!values.is_object()) {
    if (!values.is_null()) problems.emplace_back("parameters must be an object");
    return problems;
  }
  for (const auto& field : fields) {
    if (!values.contains(field.name)) {
      if (field.required) problems.push_back(field.name + " is missing: " + field.help);
    } else if (const auto problem = problem_of(field, values.at(field.name)); !problem.empty()) {
      problems.push_back(field.name + " " + problem);
    }
  }
  detail::check_unknown(values, fields, problems);
  return problems;
}

Json with_defaults(const std::vector<FieldInfo>& fields, const Json& values) { return filled(fields, values, true); }
std::string result_key(const std::vector<FieldInfo>& fields, const Json& values) {
  return filled(fields, values, false).dump();
}

Json field_to_json(const FieldInfo& field) {
  Json entry = {{"name", field.name}, {"flag", flag_of(field.name)},
                {"type", field.type}, {"default", field.default_value},
                {"unit", field.unit}, {"help", field.help}};
  if (field.low) entry["range"] = {*field.low, *field.high};
  if (!field.choices.empty()) entry["choices"] = field.choices;
  entry["required"] = field.required;
  entry["advanced"] = field.advanced;
  entry["runtime"] = field.runtime;
  entry["file"] = field.file;
  return entry;
}

FieldInfo field_from_json(const Json& json, std::vector<std::string>& problems) {
  FieldInfo field;
  if (!json.is_object()) {
    problems.emplace_back("a parameter must be an object");
    return field;
  }
  const auto text = [&](const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
  };
  field.name = text("name");
  field.type = text("type");
  field.unit = text("unit");
  field.help = text("help");
  const auto place = "parameter " + (field.name.empty() ? "without name" : field.name);
  if (field.name.empty() || field.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos)
    problems.push_back(place + ": a name holds small letters, digits and _ only");
  static const std::vector<std::string> types = {"boolean", "integer", "number", "string", "array", "object"};
  if (std::find(types.begin(), types.end(), field.type) == types.end())
    problems.push_back(place + ": type must be one of " + list_of(types));
  static const std::vector<std::string> known = {"name",  "flag",    "type",     "default",  "unit",    "help",
                                                 "range", "choices", "required", "advanced", "runtime", "file"};
  for (const auto& [key, value] : json.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      problems.push_back(place + ": \"" + key + "\" is not known; known are " + list_of(known));
  field.required = json.value("required", Json(false)) == true;
  field.advanced = json.value("advanced", Json(false)) == true;
  field.runtime = json.value("runtime", Json(false)) == true;
  field.file = json.value("file", Json(false)) == true;
  if (field.file && field.type != "string") problems.push_back(place + ": only a string can name a file");
  for (const auto& choice : json.value("choices", Json::array()))
    field.choices.push_back(choice.is_string() ? choice.get<std::string>() : choice.dump());
  if (const auto range = json.value("range", Json());
      range.is_array() && range.size() == 2 && range[0].is_number() && range[1].is_number()) {
    field.low = range[0].get<double>();
    field.high = range[1].get<double>();
  } else if (!range.is_null()) {
    problems.push_back(place + ": range must be a list of two numbers");
  }
  field.default_value = json.value("default", Json());
  if (!field.default_value.is_null())
    if (const auto problem = problem_of(field, field.default_value); !problem.empty())
      problems.push_back(fmt::format("{}: its default {}", place, problem));
  return field;
}

}  // namespace frazil
