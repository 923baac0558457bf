#include "frazil/params/fields.hpp"

#include <charconv>
#include <cmath>
#include <sstream>

#include "frazil/base/nearest.hpp"

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
                  std::string(text.star_label),
                  text.file});
}

bool is_object(const Json& json, std::vector<std::string>& problems) {
  if (!json.is_object() && !json.is_null()) problems.emplace_back("parameters must be an object");
  return json.is_object();
}

namespace {

std::string in_range(const FieldText& text) {
  return fmt::format("must lie in {:g} to {:g}{}{}", *text.low, *text.high, text.unit.empty() ? "" : " ", text.unit);
}

/// Numbers of a value or a list, named `place` in what is said of them.
void check_number(const Json& value, const FieldText& text, const std::string& place,
                  std::vector<std::string>& problems) {
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      check_number(value[i], text, fmt::format("{}[{}]", place, i), problems);
    return;
  }
  const double number = value.is_number() ? value.get<double>() : 0;
  if (value.is_number_float() && !std::isfinite(number)) {
    if (!text.nullable)
      problems.push_back(text.low ? fmt::format("{} {}, not {}", place, in_range(text), number)
                                  : fmt::format("{} must be a finite number, not {}", place, number));
  } else if (value.is_number() && text.low && !(number >= *text.low && number <= *text.high)) {
    problems.push_back(fmt::format("{} {}, not {}", place, in_range(text), value.dump()));
  }
}

}  // namespace

void check_numbers(const Json& record, std::span<const FieldText> known, const std::string& place,
                   std::vector<std::string>& problems) {
  for (const auto& text : known) {
    const auto* value = find_member(record, text.name, text.suffix);
    if (value == nullptr) continue;
    const auto here = fmt::format("{}{}{}", place, text.name, text.suffix);
    if (value->is_object())
      check_numbers(*value, text.members, here + ".", problems);
    else if (value->is_null() && (text.type == "number") && !text.optional && !text.nullable)
      problems.push_back(fmt::format("{} must be a finite number, not null", here));
    else
      check_number(*value, text, here, problems);
  }
}

void read_member(const Json& json, const FieldInfo& field, std::vector<std::string>& problems,
                 std::string (*read)(const Json&, void*), void* target) {
  const auto* value = find_member(json, field.name, {});
  if (value == nullptr) {
    if (field.required) problems.push_back(fmt::format("{} is missing: {}", field.name, field.help));
    return;
  }
  if (const auto problem = problem_of(field, *value); !problem.empty()) {
    problems.push_back(field.name + " " + problem);
    return;
  }
  if (const auto problem = read(*value, target); !problem.empty())  // within lists and objects
    problems.push_back(fmt::format("{} {}, not {}", field.name, problem, value->dump()));
}

void check_unknown(const Json& json, const std::vector<FieldInfo>& known, std::vector<std::string>& problems) {
  std::vector<std::string> names;
  for (const auto& field : known) names.push_back(field.name);
  for (const auto& entry : json.items())
    if (std::find(names.begin(), names.end(), entry.key()) == names.end())
      problems.push_back(entry.key() + " is not a parameter" + did_you_mean(entry.key(), names));
}

std::string read_whole(const Json& json, std::int64_t low, std::int64_t high, std::int64_t& value) {
  const auto outside = [&] { return fmt::format("must be a whole number from {} to {}", low, high); };
  if (json.is_number_unsigned()) {
    if (json.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return outside();
    value = json.get<std::int64_t>();
  } else if (json.is_number_integer()) {
    value = json.get<std::int64_t>();
  } else if (json.is_number_float() && json.get<double>() == std::floor(json.get<double>())) {
    if (std::abs(json.get<double>()) > 9e15) return outside();  // beyond, doubles are not all whole numbers
    value = static_cast<std::int64_t>(json.get<double>());
  } else {
    return "must be a whole number";
  }
  return value < low || value > high ? outside() : std::string();
}

}  // namespace detail

namespace {

/// Empty if `value` is of the field's type.
std::string type_problem(const FieldInfo& field, const Json& value) {
  if (field.type == "boolean") return value.is_boolean() ? "" : "must be true or false";
  if (field.type == "integer") {
    std::int64_t whole = 0;
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    const auto problem = detail::read_whole(value, -most, most, whole);
    return problem.empty() || !value.is_number() ? problem : "must be a whole number";
  }
  if (field.type == "number") return value.is_number() ? "" : "must be a number";
  if (field.type == "array") return value.is_array() ? "" : "must be a list";
  if (field.type == "object") return value.is_object() ? "" : "must be an object";
  return value.is_string() ? "" : "must be text";
}

}  // namespace

std::string problem_of(const FieldInfo& field, const Json& value) {
  if (field.default_value.is_null() && !field.required && (value.is_null() || value == "")) return {};
  if (!field.choices.empty()) {
    const auto text = value.is_string() ? value.get<std::string>() : value.dump();
    if (std::find(field.choices.begin(), field.choices.end(), text) != field.choices.end()) return {};
    return fmt::format("must be one of {}, not {}", fmt::join(field.choices, ", "), value.dump());
  }
  if (const auto problem = type_problem(field, value); !problem.empty())
    return fmt::format("{}, not {}", problem, value.dump());
  if (!value.is_number()) return {};
  const double number = value.get<double>();
  const auto said = std::isfinite(number) ? value.dump() : fmt::format("{}", number);  // JSON would call it null
  if (!field.low && !field.high)
    return std::isfinite(number) ? std::string() : fmt::format("must be a finite number, not {}", said);
  const double low = field.low.value_or(-std::numeric_limits<double>::infinity());
  const double high = field.high.value_or(std::numeric_limits<double>::infinity());
  if (std::isfinite(number) && number >= low && number <= high) return {};
  return fmt::format("must lie in {:g} to {:g}{}{}, not {}", low, high, field.unit.empty() ? "" : " ", field.unit,
                     said);
}

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
    if (field.file) entry["x-file"] = true;
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
