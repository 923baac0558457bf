// Command-line flags made from field descriptions, shared by all subcommands.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frazil/cli/command.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::cli {

/// A flag: `--name value`, or `--name` alone for a switch. The value comes typed as the field says.
struct Parsed {
  std::vector<std::string> positional;
  Json values = Json::object();                              ///< name → value, for the flags that were given
  std::map<std::string, std::vector<std::string>> repeated;  ///< name → all texts, for flags declared with repeat()
  [[nodiscard]] bool has(const std::string& name) const { return values.contains(name) || repeated.contains(name); }
  [[nodiscard]] std::string text(const std::string& name, const std::string& otherwise = {}) const;
};

/// One option of a subcommand that is no protocol parameter.
[[nodiscard]] FieldInfo option(std::string name, std::string type, std::string help);

/// Parses arguments. Flags take `--name value` or `--name=value`; booleans may stand alone; `-o` is `--output`.
/// `repeat` lists the flags that may come several times. @throws Error(bad_input) naming the flag and what it expects
[[nodiscard]] Parsed parse(Arguments arguments, const std::vector<FieldInfo>& flags,
                           const std::vector<std::string>& repeat = {});

/// One line a flag for `--help`.
[[nodiscard]] std::string help_text(const std::vector<FieldInfo>& flags, bool with_advanced);

}  // namespace frazil::cli
