#include "frazil/base/error.hpp"

#include <array>
#include <utility>

namespace frazil {
namespace {
constexpr std::array<std::pair<ErrorCode, std::string_view>, 9> code_names = {{{ErrorCode::io, "io"},
                                                                               {ErrorCode::resource, "resource"},
                                                                               {ErrorCode::external, "external"},
                                                                               {ErrorCode::bad_input, "bad_input"},
                                                                               {ErrorCode::not_found, "not_found"},
                                                                               {ErrorCode::corrupt, "corrupt"},
                                                                               {ErrorCode::unsupported, "unsupported"},
                                                                               {ErrorCode::cancelled, "cancelled"},
                                                                               {ErrorCode::bug, "bug"}}};
}  // namespace

std::string_view to_string(ErrorCode code) {
  for (const auto& [value, name] : code_names)
    if (value == code) return name;
  return "bug";
}

ErrorCode error_code_from(std::string_view name) {
  for (const auto& [value, known] : code_names)
    if (known == name) return value;
  return ErrorCode::bug;
}

void expect(bool condition, std::string_view what, const char* file, int line) {
  if (!condition) throw Error(ErrorCode::bug, "{}:{}: broken precondition: {}", file, line, what);
}

}  // namespace frazil
