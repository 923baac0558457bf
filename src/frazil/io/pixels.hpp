// Pixel types of files, their sizes, and conversion of rows to and from float.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "frazil/image/counts.hpp"

namespace frazil::io {

/// u4: two pixels a byte, low nibble first, rows padded to whole bytes. u8_less_128: 0 to 255 stored as signed bytes
/// that are 128 less.
enum class PixelType { u4, u8, i8, u8_less_128, u16, i16, u32, i32, f16, f32, f64 };

[[nodiscard]] std::string_view to_string(PixelType type);
/// Bytes of one row of `nx` pixels.
[[nodiscard]] std::uint64_t row_bytes(PixelType type, int nx);
/// Bits of one pixel.
[[nodiscard]] int bits_of(PixelType type);

/// Decodes out.size() pixels. `swapped`: stored in the other byte order than this machine's.
/// @param bytes at least row_bytes(type, out.size())
void decode_row(const std::byte* bytes, PixelType type, bool swapped, std::span<float> out);

/// Type that holds all values of `type` in memory.
[[nodiscard]] CountType count_type_of(PixelType type);
/// True when bytes of the file are counts in memory as they stand.
[[nodiscard]] bool is_count_as_stored(PixelType type, bool swapped);
/// As decode_row, to `count` pixels of count_type_of(type).
void decode_row(const std::byte* bytes, PixelType type, bool swapped, std::byte* out, std::size_t count);

/// What went wrong in encode_row.
struct EncodeResult {
  std::ptrdiff_t bad = -1;  ///< first pixel that does not fit, −1: none
};
/// Encodes pixels in this machine's byte order, rounded to nearest. Values that do not fit (or are not finite, for
/// integers and for f16 overflow) are reported, not clamped.
[[nodiscard]] EncodeResult encode_row(std::span<const float> pixels, PixelType type, std::byte* bytes);

/// IEEE binary16; to nearest even, overflow gives infinity.
[[nodiscard]] float half_to_float(std::uint16_t half);
[[nodiscard]] std::uint16_t float_to_half(float value);

}  // namespace frazil::io
