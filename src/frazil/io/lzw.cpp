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

/// A string of the table is a piece of what was decoded: the string before it and the byte after that.
struct Entry {
  std::uint32_t start, size;
};

/// Copies forwards; pieces of 16 bytes may run past the end, into the slack.
inline void copy_piece(std::byte* to, const std::byte* from, std::size_t size) {
  const auto distance = static_cast<std::size_t>(to - from);
  if (distance >= 16) {
    for (std::size_t i = 0; i < size; i += 16) std::memcpy(to + i, from + i, 16);
  } else {
    for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
  }
}

}  // namespace

LzwResult lzw_decode(std::span<const std::byte> in, std::byte* out, std::size_t wanted) {
  if (in.size() >= 2 && in[0] == std::byte{0} && (in[1] & std::byte{1}) != std::byte{0}) return {LzwStatus::old_style, 0};
  Entry table[table_size];
  BitReader bits(in);
  unsigned next = first_free, width = 9;
  std::size_t done = 0, last_start = 0, last_size = 0;
  while (done < wanted) {
    bits.refill();
    if (bits.ready() < width) break;
    const unsigned code = bits.take(width);
    if (code == clear_code) {
      next = first_free, width = 9, last_size = 0;
      continue;
    }
    if (code == end_code) break;
    if (last_size > 0 && next < table_size) {  // this code completes a string: the last one and the first byte of this one
      table[next++] = {static_cast<std::uint32_t>(last_start), static_cast<std::uint32_t>(last_size + 1)};
      width = next >= 2047 ? 12 : next >= 1023 ? 11 : next >= 511 ? 10 : 9;
    }
    std::size_t size = 1;
    if (code < clear_code) {
      out[done] = static_cast<std::byte>(code);
    } else {
      if (code >= next) return {LzwStatus::bad_code, done};
      size = std::min<std::size_t>(table[code].size, wanted - done);
      copy_piece(out + done, out + table[code].start, size);
    }
    last_start = done, last_size = size;
    done += size;
  }
  return {LzwStatus::ok, done};
}

}  // namespace frazil::io
