// The one exception type; its code says what the engine does next.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace frazil {

enum class ErrorCode {
  io,           ///< reading or writing failed: try again later
  resource,     ///< memory, disk or another resource ran out: try again later
  external,     ///< an external program failed: try again later
  bad_input,    ///< the user's parameters or data cannot be used: fail the item
  not_found,    ///< something named does not exist: fail the item
  corrupt,      ///< a file contradicts itself: fail the item
  unsupported,  ///< a valid file or wish that frazil cannot serve: fail the item
  cancelled,    ///< somebody asked to stop: say nothing
  bug           ///< a broken precondition: report a defect
};

/// Name of the code as it stands in JSON and the store ("bad_input").
[[nodiscard]] std::string_view to_string(ErrorCode code);
/// Inverse of to_string; anything unknown is `bug`.
[[nodiscard]] ErrorCode error_code_from(std::string_view name);
/// True for the codes after which a repeat of the same task may succeed.
[[nodiscard]] constexpr bool is_transient(ErrorCode code) {
  return code == ErrorCode::io || code == ErrorCode::resource || code == ErrorCode::external;
}

/// Message: one sentence that names the file or item, what was expected and what was found, with units.
class Error : public std::runtime_error {
 public:
  template <class... Args>
  Error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)), code_(code) {}

  [[nodiscard]] ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// Throws Error(bug) naming the place of the call when `condition` is false. Always on.
void expect(bool condition, std::string_view what, const char* file = __builtin_FILE(),
            int line = __builtin_LINE());  // clang 14 has no std::source_location

}  // namespace frazil
