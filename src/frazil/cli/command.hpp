// The subcommands of `frazil`: each is a function from its arguments to an exit code.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace frazil::cli {

using Arguments = std::span<const std::string>;

/// Exit codes of design: 0 all items done, 1 some failed, 2 wrong usage or unreadable input, 3 internal defect, 130
/// interrupted.
enum ExitCode { ok = 0, some_failed = 1, bad_usage = 2, defect = 3, interrupted = 130 };

struct Command {
  std::string_view name;
  std::string_view summary;
  int (*run)(Arguments arguments);
};

/// Every subcommand that is not a protocol, in the order of `frazil --help`.
[[nodiscard]] const std::vector<Command>& commands();

}  // namespace frazil::cli
