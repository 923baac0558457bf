#include "frazil/io/lzw.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace frazil::io {
namespace {

constexpr unsigned clear_code = 256, end_code = 257, first_free = 258, table_size = 4096;

/// Codes off the input, most significant bit first; zeros follow its end.
class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> in) : at_(in.data()), end_(in.data() + in.size()) {}
  /// At least 57 bits are ready after this, or all that is left.
  void refill() {
    if (end_ - at_ >= 8) {
      std::uint64_t word;
      std::memcpy(&word, at_, 8);
      buffer_ |= __builtin_bswap64(word) >> ready_;
      const unsigned bytes = (63U - ready_) >> 3U;
      at_ += bytes;
      ready_ += bytes * 8U;
      return;
    }
    while (ready_ <= 56 && at_ != end_) {
      buffer_ |= static_cast<std::uint64_t>(std::to_integer<unsigned>(*at_++)) << (56U - ready_);
      ready_ += 8;
    }
  }
  [[nodiscard]] unsigned ready() const { return ready_; }
  unsigned take(unsigned bits) {
    const auto code = static_cast<unsigned>(buffer_ >> (64U - bits));
    buffer_ <<= bits;
    ready_ -= bits;
    return code;
  }

 private:
  const std::byte *at_, *end_;
  std::uint64_t buffer_ = 0;
  unsigned ready_ = 0;
};

/// A string of the table is a piece of the output: the string before it and the byte after that. The 256 single bytes
/// stand behind the output, so that one way of copying serves all.
struct Entry {
  std::uint32_t start, size;
};

/// 16 bytes by way of a register: the two places may overlap.
inline void copy_16(std::byte* to, const std::byte* from) {
  std::byte piece[16];
  std::memcpy(piece, from, 16);
  std::memcpy(to, piece, 16);
}

/// Copies forwards in pieces of 16 bytes, the last of which may run past the end.
inline void copy_piece(std::byte* to, const std::byte* from, std::size_t size) {
  copy_16(to, from);
  for (std::size_t i = 16; i < size; i += 16) copy_16(to + i, from + i);
}

unsigned width_for(unsigned next) { return next >= 2047 ? 12 : next >= 1023 ? 11 : next >= 511 ? 10 : 9; }

}  // namespace

LzwResult lzw_decode(std::span<const std::byte> in, std::byte* out, std::size_t wanted) {
  if (in.size() >= 2 && in[0] == std::byte{0} && (in[1] & std::byte{1}) != std::byte{0})
    return {LzwStatus::old_style, 0};
  constexpr std::size_t gap = 32;  // what the last copy may overrun
  Entry table[table_size];
  for (unsigned i = 0; i < 256; ++i) {
    out[wanted + gap + i] = static_cast<std::byte>(i);
    table[i] = {static_cast<std::uint32_t>(wanted + gap + i), 1};
  }
  BitReader bits(in);
  unsigned next = first_free, width = 9, wider_at = 511;
  std::size_t done = 0, last_start = 0, last_size = 0;
  while (done < wanted) {
    bits.refill();
    if (bits.ready() < width) break;
    const unsigned code = bits.take(width);
    if (code == clear_code) {
      next = first_free, width = 9, wider_at = 511, last_size = 0;
      continue;
    }
    if (code == end_code) break;
    unsigned fresh = table_size;
    if (last_size > 0 &&
        next < table_size) {  // this code completes a string: the last one and the first byte of this one
      fresh = next++;
      table[fresh] = {static_cast<std::uint32_t>(last_start), static_cast<std::uint32_t>(last_size + 1)};
      if (next >= wider_at) width = width_for(next), wider_at = width == 12 ? table_size + 1 : (1U << width) - 1;
    }
    if (code >= next) return {LzwStatus::bad_code, done};
    const auto entry = table[code];
    const std::size_t size = std::min<std::size_t>(entry.size, wanted - done);
    copy_piece(out + done, out + entry.start, size);
    if (code == fresh && entry.size == size)
      out[done + size - 1] = out[done];  // completed by itself: its last byte is its first
    last_start = done, last_size = size;
    done += size;
  }
  return {LzwStatus::ok, done};
}

}  // namespace frazil::io
