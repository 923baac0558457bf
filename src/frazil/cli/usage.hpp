// How a command is called, and the help that every command has.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frazil/cli/options.hpp"

namespace frazil::cli {

/// What a command takes. Every one takes --help too.
struct Usage {
  std::string text;  ///< "frazil status [DIR]" and what it does; may be several lines
  std::vector<FieldInfo> options = {};
  std::vector<std::string> repeat = {};  ///< options that may come several times
};

/// The arguments as the usage has them; nothing after --help, which prints the usage. @throws Error(bad_input)
[[nodiscard]] std::optional<Parsed> parse_or_help(Arguments arguments, const Usage& usage);
/// For arguments that do not fit: what is missing, and how the command is called.
[[nodiscard]] Error misuse(const Usage& usage, const std::string& what);

}  // namespace frazil::cli
