// Parameters of a workflow put into its steps.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frazil/flow/workflow.hpp"

namespace frazil::flow {

/// Keys that are notes for people.
inline bool is_comment(std::string_view key) { return key.starts_with("_") || key == "comment"; }

/// Replaces ${name} everywhere in `json`. Text that is nothing but one reference becomes the typed value; members of
/// objects whose value is then null or empty text disappear.
class Substitution {
 public:
  Substitution(const Json& values, std::vector<Problem>& problems) : values_(values), problems_(problems) {}

  Json operator()(const Json& json, const std::string& place) const {
    if (json.is_string()) return text(json.get<std::string>(), place);
    if (json.is_array()) {
      Json list = Json::array();
      for (std::size_t i = 0; i < json.size(); ++i)
        list.push_back((*this)(json[i], place + "[" + std::to_string(i) + "]"));
      return list;
    }
    if (!json.is_object()) return json;
    Json object = Json::object();
    for (const auto& [key, value] : json.items()) {
      if (is_comment(key)) continue;
      auto replaced = (*this)(value, place + "." + key);
      const bool is_reference = value.is_string() && value.get<std::string>().find("${") != std::string::npos;
      if (is_reference && (replaced.is_null() || replaced == "")) continue;
      object[key] = std::move(replaced);
    }
    return object;
  }

 private:
  Json text(const std::string& text, const std::string& place) const {
    std::string result;
    std::size_t at = 0;
    while (true) {
      const auto start = text.find("${", at);
      if (start == std::string::npos) break;
      const auto end = text.find('}', start);
      if (end == std::string::npos) {
        problems_.push_back({place, "\"${\" without \"}\" in \"" + text + "\""});
        return text;
      }
      const auto name = text.substr(start + 2, end - start - 2);
      if (!values_.contains(name)) {
        problems_.push_back({place, "${" + name + "} is not a parameter of this workflow"});
        return text;
      }
      const auto& value = values_.at(name);
      if (start == 0 && end + 1 == text.size()) return value;
      result += text.substr(at, start - at);
      if (value.is_string())
        result += value.get<std::string>();
      else if (!value.is_null())
        result += value.dump();
      at = end + 1;
    }
    return result + text.substr(at);
  }

  const Json& values_;
  std::vector<Problem>& problems_;
};

}  // namespace frazil::flow
