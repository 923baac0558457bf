// Version of the program, how it was built and with which libraries.
#pragma once

#include <string>

namespace frazil::cli {

/// "0.1.0 (commit)".
[[nodiscard]] std::string version();
/// Several lines: program, commit, compiler, CPU target, libraries.
[[nodiscard]] std::string version_text();
/// Opens a database in memory, writes and reads; gives the version of the library. @throws Error when it fails
[[nodiscard]] std::string store_self_test();

}  // namespace frazil::cli
