// Workflow templates that come with the program, and `frazil template`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frazil/cli/command.hpp"

namespace frazil::cli {

struct Template {
  std::string_view name, text;
};
/// templates/*.json, compiled in.
[[nodiscard]] const std::vector<Template>& shipped_templates();
/// scenes/*.json: what the simulated microscope can be asked for by name.
[[nodiscard]] const std::vector<Template>& shipped_scenes();
/// @throws Error(not_found)
[[nodiscard]] std::string_view shipped_scene(std::string_view name);
/// Text of a template: a file if there is one of that name, else one that was added, else a shipped one. @throws
/// Error(not_found) listing the names
[[nodiscard]] std::string template_text(const std::string& name_or_file);

/// `frazil template list | show NAME | add FILE|FOLDER|GIT-URL | publish NAME|FILE FOLDER|GIT-URL | remove NAME`
int template_command(Arguments arguments);

}  // namespace frazil::cli
