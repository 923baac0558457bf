#include "frazil/params/json.hpp"

#include <fmt/format.h>

#include <string_view>

#include "frazil/params/json_depth.hpp"

using nlohmann::json;

bool frazil::is_nested_deeper(std::string_view text, int most) {
  int depth = 0;
  bool is_quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        is_quoted = false;
    } else if (c == '"') {
      is_quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > most) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

template <>
std::string json::dump(int indent, char indent_char, bool ensure_ascii, json::error_handler_t error_handler) const {
  std::string text;
  serializer writer(nlohmann::detail::output_adapter<char, std::string>(text), indent_char, error_handler);
  writer.dump(*this, indent >= 0, ensure_ascii, static_cast<unsigned>(indent >= 0 ? indent : 0));
  return text;
}

template <>
template <>
json json::parse(std::string_view&& text, json::parser_callback_t callback, bool allow_exceptions,
                 bool ignore_comments) {
  if (frazil::is_nested_deeper(text)) {
    if (!allow_exceptions) return json(value_t::discarded);
    throw parse_error::create(101, text.size(), fmt::format("nested on more than {} levels", frazil::deepest_json),
                              nullptr);
  }
  json result;
  parser(nlohmann::detail::input_adapter(text), std::move(callback), allow_exceptions, ignore_comments)
      .parse(true, result);
  return result;
}

template <>
template <>
json json::parse(std::string_view& text, json::parser_callback_t callback, bool allow_exceptions,
                 bool ignore_comments) {
  return parse(std::string_view(text), std::move(callback), allow_exceptions, ignore_comments);
}

template <>
template <>
json json::parse(const std::string& text, json::parser_callback_t callback, bool allow_exceptions,
                 bool ignore_comments) {
  return parse(std::string_view(text), std::move(callback), allow_exceptions, ignore_comments);
}

template <>
template <>
json json::parse(std::string& text, json::parser_callback_t callback, bool allow_exceptions, bool ignore_comments) {
  return parse(std::string_view(text), std::move(callback), allow_exceptions, ignore_comments);
}

template <>
template <>
json json::parse(std::string&& text, json::parser_callback_t callback, bool allow_exceptions, bool ignore_comments) {
  return parse(std::string_view(text), std::move(callback), allow_exceptions, ignore_comments);
}
