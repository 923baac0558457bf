// Names in braces within a text, replaced.
#pragma once

#include <string>
#include <string_view>

namespace frazil {

/// `text` with every {name} replaced by value_of(name); a brace that is never closed stays.
template <class ValueOf>
std::string fill_braces(std::string_view text, const ValueOf& value_of) {
  std::string filled;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto end = text[i] == '{' ? text.find('}', i) : std::string_view::npos;
    if (end == std::string_view::npos) {
      filled += text[i];
      continue;
    }
    filled += value_of(text.substr(i + 1, end - i - 1));
    i = end;
  }
  return filled;
}

}  // namespace frazil
