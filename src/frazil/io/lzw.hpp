// Decoder of TIFF's LZW: codes of 9 to 12 bits, most significant bit first, width grows one code early.
#pragma once

#include <cstddef>
#include <span>

namespace frazil::io {

/// Bytes behind the decoded ones that lzw_decode uses as its own.
inline constexpr std::size_t lzw_slack = 320;

enum class LzwStatus { ok, bad_code, old_style };
struct LzwResult {
  LzwStatus status = LzwStatus::ok;
  std::size_t bytes = 0;  ///< decoded
};

/// Decodes one strip until `wanted` bytes, the end code or the end of input; what does not fit is cut off.
/// @param out  at least wanted + lzw_slack bytes
/// Format: TIFF 6.0, section 13. Strips of old LSB-first writers are told by their first bytes and refused.
[[nodiscard]] LzwResult lzw_decode(std::span<const std::byte> in, std::byte* out, std::size_t wanted);

}  // namespace frazil::io
