#include "frazil/base/pattern.hpp"

// GCC 12 takes the inside of std::regex for uninitialised when it is compiled for the address sanitizer (its bug
// 105562).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <regex>

#include "frazil/base/error.hpp"

namespace frazil {
namespace {

std::optional<std::regex> compiled(const std::string& pattern) {
  try {
    return std::regex(pattern);
  } catch (const std::regex_error&) {
    return std::nullopt;
  }
}

}  // namespace

bool is_pattern(const std::string& pattern) { return compiled(pattern).has_value(); }

std::optional<std::string> find_group(const std::string& text, const std::string& pattern) {
  const auto expression = compiled(pattern);
  if (!expression) throw Error(ErrorCode::bad_input, "\"{}\" is no regular expression", pattern);
  std::smatch match;
  if (!std::regex_search(text, match, *expression) || match.size() < 2) return std::nullopt;
  return match[1].str();
}

}  // namespace frazil

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
