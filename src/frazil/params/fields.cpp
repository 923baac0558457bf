#include "frazil/params/fields.hpp"

#include <charconv>
#include <sstream>

namespace frazil {

namespace detail {

void set_member(Json& object, std::string_view name, std::string_view suffix, Json value) {
  object[std::string(name).append(suffix)] = std::move(value);
}

const Json* find_member(const Json& object, std::string_view name, std::string_view suffix) {
  const auto found = object.find(std::string(name).append(suffix));
  return found == object.end() ? nullptr : &*found;
}

std::string naming(std::string_view name, std::string_view suffix, const std::string& problem) {
  return fmt::format("{}{} {}", name, suffix, problem);
}

void add_info(std::vector<FieldInfo>& list, const FieldText& text, Json default_value) {
  list.push_back({std::string(text.name),
                  std::string(text.help),
                  std::string(text.type),
                  std::string(text.unit),
                  std::string(text.suffix),
                  std::move(default_value),
                  text.low,
                  text.high,
                  {text.choices.begin(), text.choices.end()},
                  text.advanced,
                  text.runtime,
                  text.required,
                  std::string(text.star_label)});
}

bool is_object(const Json& json, std::vector<std::string>& problems) {
  if (!json.is_object() && !json.is_null()) problems.emplace_back("parameters must be an object");
  return json.is_object();
}

void check_member(const Json& json, const FieldText& text, std::vector<std::string>& problems,
                  std::string (*read)(const Json&, void*), void* target) {
  const auto* value = find_member(json, text.name, {});
  if (value == nullptr) {
    if (text.required) problems.push_back(fmt::format("{} is missing: {}", text.name, text.help));
    return;
  }
  if (const auto problem = read(*value, target); !problem.empty()) {
    problems.push_back(fmt::format("{} {}, not {}", text.name, problem, value->dump()));
    return;
  }
  if (!value->is_number() || !text.low) return;
  if (const double number = value->get<double>(); !(number >= *text.low && number <= *text.high))
    problems.push_back(fmt::format("{} must lie in {:g} to {:g} {}, not {}", text.name, *text.low, *text.high,
                                   text.unit, value->dump()));
}

void check_unknown(const Json& json, std::span<const FieldText> known, std::vector<std::string>& problems) {
  for (const auto& entry : json.items())
    if (std::none_of(known.begin(), known.end(), [&](const FieldText& text) { return text.name == entry.key(); }))
      problems.push_back(entry.key() + " is not a parameter");
}

}  // namespace detail

Json json_schema(const std::vector<FieldInfo>& fields) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const auto& field : fields) {
    Json entry = {
        {"type", field.type}, {"title", field.name}, {"description", field.help}, {"default", field.default_value}};
    if (!field.unit.empty()) entry["x-unit"] = field.unit;
    if (field.low) entry["minimum"] = *field.low;
    if (field.high) entry["maximum"] = *field.high;
    if (!field.choices.empty()) entry["enum"] = field.choices;
    if (field.advanced) entry["x-advanced"] = true;
    if (field.runtime) entry["x-runtime"] = true;
    if (field.required) required.push_back(field.name);
    properties[field.name] = std::move(entry);
  }
  return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
          {"type", "object"},
          {"properties", properties},
          {"required", required},
          {"additionalProperties", false}};
}

std::string markdown_table(const std::vector<FieldInfo>& fields) {
  std::string table = "| parameter | default | unit | range | meaning |\n|---|---|---|---|---|\n";
  for (const auto& field : fields) {
    std::string range;
    if (field.low) range = fmt::format("{:g} – {:g}", *field.low, *field.high);
    for (const auto& choice : field.choices) range += (range.empty() ? "" : ", ") + choice;
    table += fmt::format("| `{}` | {} | {} | {} | {} |\n", field.name,
                         field.required ? "required" : field.default_value.dump(), field.unit, range, field.help);
  }
  return table;
}

std::string flag_of(std::string_view name) {
  std::string flag = "--" + std::string(name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

namespace {

/// "5a1a,1oel" or "2,3.5": a list as people type it; what is no number is text.
Json comma_list(const std::string& text) {
  Json list = Json::array();
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    auto value = Json::parse(part, nullptr, false);
    list.push_back(value.is_number() ? value : Json(part));
  }
  return list;
}

}  // namespace

Json parse_value(const FieldInfo& field, const std::string& text) {
  const auto refuse = [&](std::string_view wanted) {
    return Error(ErrorCode::bad_input, "{} must be {}, not '{}'", flag_of(field.name), wanted, text);
  };
  if (text.empty() && field.default_value.is_null()) return nullptr;
  if (field.type == "string") return text;
  if (field.type == "boolean") {
    if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
    if (text == "false" || text == "0" || text == "no" || text == "off") return false;
    throw refuse("true or false");
  }
  if (field.type == "integer") {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) throw refuse("a whole number");
    return value;
  }
  if (field.type == "number") {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) throw refuse("a number");
    return value;
  }
  auto json = Json::parse(text, nullptr, false);
  if (field.type == "array" && !json.is_array()) return comma_list(text);
  if (json.is_discarded()) throw refuse("JSON of type " + field.type);
  return json;
}

}  // namespace frazil
