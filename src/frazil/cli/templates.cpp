#include "frazil/cli/templates.hpp"

#include <filesystem>
#include <iostream>

#include "frazil/base/files.hpp"
#include "frazil/cli/options.hpp"

namespace frazil::cli {

std::string template_text(const std::string& name_or_file) {
  if (std::filesystem::is_regular_file(name_or_file)) return read_text(name_or_file);
  std::string names;
  for (const auto& shipped : shipped_templates()) {
    if (shipped.name == name_or_file) return std::string(shipped.text);
    names += (names.empty() ? "" : ", ") + std::string(shipped.name);
  }
  throw Error(ErrorCode::not_found, "{}: there is no such file, and no shipped template of that name (there are {})", name_or_file, names);
}

std::string_view shipped_scene(std::string_view name) {
  for (const auto& shipped : shipped_scenes())
    if (shipped.name == name) return shipped.text;
  throw Error(ErrorCode::not_found, "there is no shipped scene {}", name);
}

int template_command(Arguments arguments) {
  const auto parsed = parse(arguments, {option("help", "boolean", "This text")});
  const auto verb = parsed.positional.empty() ? std::string() : parsed.positional[0];
  if (verb == "list" && parsed.positional.size() == 1) {
    for (const auto& shipped : shipped_templates()) std::cout << fmt::format("{:18} {}\n", shipped.name, Json::parse(shipped.text).value("title", ""));
    return ok;
  }
  if (verb == "show" && parsed.positional.size() == 2) {
    std::cout << template_text(parsed.positional[1]);
    return ok;
  }
  std::cout << "frazil template list\nfrazil template show NAME\n";
  return parsed.has("help") ? ok : bad_usage;
}

}  // namespace frazil::cli
