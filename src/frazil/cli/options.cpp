#include "frazil/cli/options.hpp"

#include <algorithm>

#include "frazil/base/nearest.hpp"

namespace frazil::cli {

std::string Parsed::text(const std::string& name, const std::string& otherwise) const {
  if (!values.contains(name)) return otherwise;
  const auto& value = values.at(name);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

FieldInfo option(std::string name, std::string type, std::string help) {
  FieldInfo info;
  info.name = std::move(name);
  info.type = std::move(type);
  info.help = std::move(help);
  return info;
}

Parsed parse(Arguments arguments, const std::vector<FieldInfo>& flags, const std::vector<std::string>& repeat) {
  Parsed parsed;
  bool only_positional = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string argument = arguments[i];
    if (only_positional || argument.size() < 2 || argument[0] != '-') {
      parsed.positional.push_back(argument);
      continue;
    }
    if (argument == "--") {
      only_positional = true;
      continue;
    }
    if (argument == "-o") argument = "--output";
    if (argument == "-h") argument = "--help";
    std::optional<std::string> value;
    if (const auto equals = argument.find('='); equals != std::string::npos) {
      value = argument.substr(equals + 1);
      argument.resize(equals);
    }
    const auto found =
        std::find_if(flags.begin(), flags.end(), [&](const FieldInfo& f) { return flag_of(f.name) == argument; });
    if (found == flags.end()) {
      std::vector<std::string> names;
      for (const auto& flag : flags) names.push_back(flag_of(flag.name));
      const auto meant = did_you_mean(argument, names);
      throw Error(ErrorCode::bad_input, "{} is not an option here{}", argument,
                  meant.empty() ? "; --help lists them" : meant);
    }
    if (!value && found->type == "boolean") {
      const bool next_is_value =
          i + 1 < arguments.size() && (arguments[i + 1] == "true" || arguments[i + 1] == "false");
      value = next_is_value ? arguments[++i] : "true";
    }
    if (!value) {
      if (i + 1 >= arguments.size()) throw Error(ErrorCode::bad_input, "{} needs a value", argument);
      value = arguments[++i];
    }
    if (std::find(repeat.begin(), repeat.end(), found->name) != repeat.end())
      parsed.repeated[found->name].push_back(*value);
    else
      parsed.values[found->name] = parse_value(*found, *value);
  }
  return parsed;
}

std::string help_text(const std::vector<FieldInfo>& flags, bool with_advanced) {
  std::string text;
  for (const auto& flag : flags) {
    if (flag.advanced && !with_advanced) continue;
    std::string value = flag.type == "boolean"   ? ""
                        : flag.type == "integer" ? " N"
                        : flag.type == "number"  ? " X"
                                                 : " TEXT";
    if (!flag.choices.empty()) {
      value = " ";
      for (const auto& choice : flag.choices) value += (value.size() > 1 ? "|" : "") + choice;
    }
    std::string notes = flag.help;
    if (!flag.unit.empty()) notes += " [" + flag.unit + "]";
    if (flag.low) notes += fmt::format(" ({:g} to {:g})", *flag.low, *flag.high);
    if (!flag.default_value.is_null() && flag.default_value != "" && flag.type != "object")
      notes += " (default " +
               (flag.default_value.is_string() ? flag.default_value.get<std::string>() : flag.default_value.dump()) +
               ")";
    text += fmt::format("  {:34} {}\n", flag_of(flag.name) + value, notes);
  }
  return text;
}

}  // namespace frazil::cli
