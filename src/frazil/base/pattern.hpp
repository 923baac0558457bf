// Regular expressions, in one place: their header costs seconds wherever it is read.
#pragma once

#include <optional>
#include <string>

namespace frazil {

/// Whether the text is a regular expression (ECMAScript).
[[nodiscard]] bool is_pattern(const std::string& pattern);
/// What its first group matches where the pattern first fits; none where it does not fit or has no group.
/// @throws Error(bad_input) unless is_pattern
[[nodiscard]] std::optional<std::string> find_group(const std::string& text, const std::string& pattern);

}  // namespace frazil
