#include "frazil/base/utf8.hpp"

#include <cstddef>
#include <cstdint>

namespace frazil {
namespace {

/// Bytes of the well-formed character at the beginning of `text`; 0: there is none.
std::size_t character_bytes(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const auto first = at(0);
  if (first < 0x80) return 1;
  const std::size_t bytes = first >= 0xC2 && first < 0xE0 ? 2
                            : (first & 0xF0U) == 0xE0     ? 3
                            : (first & 0xF8U) == 0xF0     ? 4
                                                          : 0;
  if (bytes == 0 || text.size() < bytes) return 0;
  std::uint32_t code = first & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((at(i) & 0xC0U) != 0x80) return 0;
    code = code << 6U | (at(i) & 0x3FU);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xD800 && code < 0xE000;
  return code < least[bytes] || is_surrogate || code > 0x10FFFF ? 0 : bytes;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto bytes = character_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string as_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string repaired;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      repaired += c;
    } else {
      repaired += static_cast<char>(0xC0U | byte >> 6U);
      repaired += static_cast<char>(0x80U | (byte & 0x3FU));
    }
  }
  return repaired;
}

std::string printable_name(std::string_view name) {
  std::string shown;
  while (!name.empty()) {
    const auto bytes = character_bytes(name);
    const auto byte = static_cast<unsigned char>(name.front());
    if (bytes == 0 || byte < 0x20 || byte == 0x7F || byte == '"' || byte == '\\' || byte == '%') {
      shown += '%';
      shown += "0123456789ABCDEF"[byte >> 4U];
      shown += "0123456789ABCDEF"[byte & 15U];
      name.remove_prefix(1);
    } else {
      shown += name.substr(0, bytes);
      name.remove_prefix(bytes);
    }
  }
  return shown;
}

}  // namespace frazil
