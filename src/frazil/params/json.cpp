#include "frazil/params/json.hpp"

#include <string_view>

using nlohmann::json;

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
