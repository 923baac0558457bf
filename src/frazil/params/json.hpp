// JSON, with the heavy parts of nlohmann/json compiled once, in json.cpp, and not again in every translation unit
// (about 5 s each).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace frazil {
using Json = nlohmann::json;
}

// Declared, so that no translation unit instantiates the library's own; include nlohmann/json.hpp through this header
// only.
template <>
std::string nlohmann::json::dump(int indent, char indent_char, bool ensure_ascii,
                                 nlohmann::json::error_handler_t error_handler) const;
template <>
template <>
nlohmann::json nlohmann::json::parse(const std::string& text, nlohmann::json::parser_callback_t callback,
                                     bool allow_exceptions, bool ignore_comments);
template <>
template <>
nlohmann::json nlohmann::json::parse(std::string& text, nlohmann::json::parser_callback_t callback,
                                     bool allow_exceptions, bool ignore_comments);
template <>
template <>
nlohmann::json nlohmann::json::parse(std::string&& text, nlohmann::json::parser_callback_t callback,
                                     bool allow_exceptions, bool ignore_comments);
template <>
template <>
nlohmann::json nlohmann::json::parse(std::string_view& text, nlohmann::json::parser_callback_t callback,
                                     bool allow_exceptions, bool ignore_comments);
template <>
template <>
nlohmann::json nlohmann::json::parse(std::string_view&& text, nlohmann::json::parser_callback_t callback,
                                     bool allow_exceptions, bool ignore_comments);
