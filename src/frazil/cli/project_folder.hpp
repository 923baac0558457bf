// Which project a command is about: the one that is named, or the only one that is here.
#pragma once

#include <filesystem>
#include <string>

#include "frazil/cli/usage.hpp"

namespace frazil::cli {

/// The project of --project, or else of the first argument if `takes_folder` (which is then taken away), or else this
/// folder if it is one, or else the only one in it. @throws Error(bad_input) naming those there are
[[nodiscard]] std::filesystem::path project_of(Parsed& parsed, const Usage& usage, bool takes_folder);

[[nodiscard]] FieldInfo project_option();

}  // namespace frazil::cli
