// A text that sorts like people count: "movie_9" before "movie_10".
#pragma once

#include <string>
#include <string_view>

namespace frazil::engine {

/// Runs of digits are padded with zeros to 20 places; everything else stays.
[[nodiscard]] inline std::string natural_key(std::string_view text) {
  std::string key;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    if (end == i) {
      key += text[i++];
      continue;
    }
    if (end - i < 20) key.append(20 - (end - i), '0');
    key += text.substr(i, end - i);
    i = end;
  }
  return key;
}

}  // namespace frazil::engine
