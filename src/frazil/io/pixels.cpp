#include "frazil/io/pixels.hpp"

#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

template <class T>
T byte_swapped(T value) {
  if constexpr (sizeof(T) == 1) return value;
  if constexpr (sizeof(T) == 2) return std::bit_cast<T>(__builtin_bswap16(std::bit_cast<std::uint16_t>(value)));
  if constexpr (sizeof(T) == 4) return std::bit_cast<T>(__builtin_bswap32(std::bit_cast<std::uint32_t>(value)));
  if constexpr (sizeof(T) == 8) return std::bit_cast<T>(__builtin_bswap64(std::bit_cast<std::uint64_t>(value)));
}

template <class T, bool swapped, class To>
void decode(const std::byte* bytes, std::span<To> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    if constexpr (swapped) value = byte_swapped(value);
    out[i] = static_cast<To>(value);
  }
}

template <class T, class To>
void decode(const std::byte* bytes, bool swapped, std::span<To> out) {
  swapped ? decode<T, true>(bytes, out) : decode<T, false>(bytes, out);
}

void decode_half(const std::byte* bytes, bool swapped, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t value;
    std::memcpy(&value, bytes + 2 * i, 2);
    out[i] = half_to_float(swapped ? byte_swapped(value) : value);
  }
}

template <class To>
void decode_nibbles(const std::byte* bytes, std::span<To> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto pair = std::to_integer<unsigned>(bytes[i / 2]);
    out[i] = static_cast<To>(i % 2 == 0 ? pair & 15U : pair >> 4U);
  }
}

template <class To>
void decode_less_128(const std::byte* bytes, std::span<To> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<To>(std::to_integer<unsigned>(bytes[i]) ^ 128U);
}

template <class T>
EncodeResult encode(std::span<const float> pixels, std::byte* bytes) {
  constexpr double low = static_cast<double>(std::numeric_limits<T>::lowest());
  constexpr double high = static_cast<double>(std::numeric_limits<T>::max());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const double value = std::nearbyint(static_cast<double>(pixels[i]));
    if (!(value >= low && value <= high)) return {static_cast<std::ptrdiff_t>(i)};
    const T stored = static_cast<T>(value);
    std::memcpy(bytes + i * sizeof(T), &stored, sizeof(T));
  }
  return {};
}

EncodeResult encode_half(std::span<const float> pixels, std::byte* bytes) {
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const auto half = float_to_half(pixels[i]);
    const bool overflow = (half & 0x7fffU) == 0x7c00U && std::isfinite(pixels[i]);
    if (overflow) return {static_cast<std::ptrdiff_t>(i)};
    std::memcpy(bytes + 2 * i, &half, 2);
  }
  return {};
}

EncodeResult encode_nibbles(std::span<const float> pixels, std::byte* bytes) {
  std::memset(bytes, 0, (pixels.size() + 1) / 2);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const float value = std::nearbyint(pixels[i]);
    if (!(value >= 0.0F && value <= 15.0F)) return {static_cast<std::ptrdiff_t>(i)};
    const auto nibble = static_cast<unsigned>(value);
    bytes[i / 2] |= static_cast<std::byte>(i % 2 == 0 ? nibble : nibble << 4U);
  }
  return {};
}

}  // namespace

std::string_view to_string(PixelType type) {
  switch (type) {
    case PixelType::u4:
      return "4-bit unsigned";
    case PixelType::u8:
      return "8-bit unsigned";
    case PixelType::i8:
      return "8-bit signed";
    case PixelType::u8_less_128:
      return "8-bit unsigned, stored less 128";
    case PixelType::u16:
      return "16-bit unsigned";
    case PixelType::i16:
      return "16-bit signed";
    case PixelType::u32:
      return "32-bit unsigned";
    case PixelType::i32:
      return "32-bit signed";
    case PixelType::f16:
      return "16-bit float";
    case PixelType::f32:
      return "32-bit float";
    case PixelType::f64:
      return "64-bit float";
  }
  return "unknown";
}

int bits_of(PixelType type) {
  switch (type) {
    case PixelType::u4:
      return 4;
    case PixelType::u8:
    case PixelType::i8:
    case PixelType::u8_less_128:
      return 8;
    case PixelType::u16:
    case PixelType::i16:
    case PixelType::f16:
      return 16;
    case PixelType::u32:
    case PixelType::i32:
    case PixelType::f32:
      return 32;
    case PixelType::f64:
      return 64;
  }
  return 0;
}

std::uint64_t row_bytes(PixelType type, int nx) {
  expect(nx >= 0, "a row has no negative length");
  return (static_cast<std::uint64_t>(nx) * static_cast<std::uint64_t>(bits_of(type)) + 7) / 8;
}

float half_to_float(std::uint16_t half) { return _cvtsh_ss(half); }
std::uint16_t float_to_half(float value) {
  return static_cast<std::uint16_t>(_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT), 0));
}

void decode_row(const std::byte* bytes, PixelType type, bool swapped, std::span<float> out) {
  switch (type) {
    case PixelType::u4:
      return decode_nibbles(bytes, out);
    case PixelType::u8:
      return decode<std::uint8_t>(bytes, false, out);
    case PixelType::i8:
      return decode<std::int8_t>(bytes, false, out);
    case PixelType::u8_less_128:
      return decode_less_128(bytes, out);
    case PixelType::u16:
      return decode<std::uint16_t>(bytes, swapped, out);
    case PixelType::i16:
      return decode<std::int16_t>(bytes, swapped, out);
    case PixelType::u32:
      return decode<std::uint32_t>(bytes, swapped, out);
    case PixelType::i32:
      return decode<std::int32_t>(bytes, swapped, out);
    case PixelType::f16:
      return decode_half(bytes, swapped, out);
    case PixelType::f32:
      return decode<float>(bytes, swapped, out);
    case PixelType::f64:
      return decode<double>(bytes, swapped, out);
  }
}

CountType count_type_of(PixelType type) {
  switch (type) {
    case PixelType::u4:
    case PixelType::u8:
    case PixelType::u8_less_128:
      return CountType::u8;
    case PixelType::u16:
      return CountType::u16;
    case PixelType::i8:
    case PixelType::i16:
      return CountType::i16;
    default:
      return CountType::f32;
  }
}

bool is_count_as_stored(PixelType type, bool swapped) {
  return type == PixelType::u8 ||
         (!swapped && (type == PixelType::u16 || type == PixelType::i16 || type == PixelType::f32));
}

void decode_row(const std::byte* bytes, PixelType type, bool swapped, std::byte* out, std::size_t count) {
  if (is_count_as_stored(type, swapped)) {
    std::memcpy(out, bytes, static_cast<std::size_t>(row_bytes(type, static_cast<int>(count))));
    return;
  }
  const auto as = [&]<class T>(T*) {
    return std::span<T>(reinterpret_cast<T*>(out), count);
  };  // NOLINT: rows of Counts are aligned for their type
  switch (type) {
    case PixelType::u4:
      return decode_nibbles(bytes, as(static_cast<std::uint8_t*>(nullptr)));
    case PixelType::u8_less_128:
      return decode_less_128(bytes, as(static_cast<std::uint8_t*>(nullptr)));
    case PixelType::i8:
      return decode<std::int8_t>(bytes, false, as(static_cast<std::int16_t*>(nullptr)));
    case PixelType::u16:
      return decode<std::uint16_t>(bytes, swapped, as(static_cast<std::uint16_t*>(nullptr)));
    case PixelType::i16:
      return decode<std::int16_t>(bytes, swapped, as(static_cast<std::int16_t*>(nullptr)));
    default:
      return decode_row(bytes, type, swapped, as(static_cast<float*>(nullptr)));
  }
}

EncodeResult encode_row(std::span<const float> pixels, PixelType type, std::byte* bytes) {
  switch (type) {
    case PixelType::u4:
      return encode_nibbles(pixels, bytes);
    case PixelType::u8:
      return encode<std::uint8_t>(pixels, bytes);
    case PixelType::i8:
      return encode<std::int8_t>(pixels, bytes);
    case PixelType::u16:
      return encode<std::uint16_t>(pixels, bytes);
    case PixelType::i16:
      return encode<std::int16_t>(pixels, bytes);
    case PixelType::u32:
      return encode<std::uint32_t>(pixels, bytes);
    case PixelType::i32:
      return encode<std::int32_t>(pixels, bytes);
    case PixelType::f16:
      return encode_half(pixels, bytes);
    case PixelType::f32:
      std::memcpy(bytes, pixels.data(), pixels.size_bytes());
      return {};
    case PixelType::u8_less_128:
    case PixelType::f64:
      break;
  }
  expect(false, "64-bit pixels and bytes less 128 are not written");
  return {};
}

}  // namespace frazil::io
