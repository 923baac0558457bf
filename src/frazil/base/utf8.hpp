// Text from outside: is it UTF-8, and what to show of it if not.
#pragma once

#include <string>
#include <string_view>

namespace frazil {

/// True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);
/// The text itself if it is UTF-8; else each byte is taken as a letter of Latin-1, as older programs write them.
[[nodiscard]] std::string as_utf8(std::string_view text);
/// A file's name as it can stand in any table: bytes that are not UTF-8, control characters, double quotes, backslashes
/// and the per cent sign become %XX. Two names never become one.
[[nodiscard]] std::string printable_name(std::string_view name);

}  // namespace frazil
