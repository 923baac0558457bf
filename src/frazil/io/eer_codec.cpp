#include "frazil/io/eer_codec.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

std::uint64_t load(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

/// Codes whose lengths the compiler knows.
template <int Run, int Sub, bool Fixed>
struct KnownCodec {
  static constexpr unsigned run_bits = Run, code_bits = Run + Sub, sub_mask = (1U << Sub) - 1, most = (1U << Run) - 1,
                            further = Fixed ? Run + Sub : Run;
  static constexpr int codes_a_load = 57 / (Run + Sub);  // a load at any bit holds 57
};

/// All others.
struct AnyCodec {
  unsigned run_bits, code_bits, sub_mask, most, further;
  static constexpr int codes_a_load = 1;
  explicit AnyCodec(const EerCodec& c)
      : run_bits(static_cast<unsigned>(c.run_bits)),
        code_bits(static_cast<unsigned>(c.code_bits())),
        sub_mask((1U << static_cast<unsigned>(c.sub_x_bits + c.sub_y_bits)) - 1),
        most((1U << run_bits) - 1),
        further(c.fixed_length ? code_bits : run_bits) {}
};

/// Calls `body` with the codec in the form that is fastest.
template <class Body>
void with_codec(const EerCodec& codec, const Body& body) {
  if (codec == EerCodec{7, 2, 2, false})
    body(KnownCodec<7, 4, false>{});
  else if (codec == EerCodec{8, 2, 2, true})
    body(KnownCodec<8, 4, true>{});
  else if (codec == EerCodec{7, 1, 1, false})
    body(KnownCodec<7, 2, false>{});
  else if (codec == EerCodec{8, 1, 1, false})
    body(KnownCodec<8, 2, false>{});
  else
    body(AnyCodec(codec));
}

struct CodeCursor {
  std::uint64_t bit = 0;
  std::uint32_t pixel = 0;
};

/// Decodes until the pixel count reaches `end` or the codes run out; `emit(pixel, symbol)` for every electron before
/// `end`, `group(cursor)` before each load.
template <class Codec, class Emit, class Group>
void decode(const std::byte* bytes, std::uint64_t end_bit, const Codec& codec, CodeCursor& c, std::uint32_t end,
            const Emit& emit, const Group& group) {
  while (c.pixel < end) {
    group(c);
    std::uint64_t word = load(bytes + (c.bit >> 3U)) >> (c.bit & 7U);
    if (c.bit + 64 <= end_bit) {
      for (int i = 0; i < Codec::codes_a_load; ++i) {
        const auto run = static_cast<std::uint32_t>(word) & codec.most;
        c.pixel += run;
        if (run == codec.most) {
          c.bit += codec.further;
          break;
        }
        if (c.pixel >= end) return;
        emit(c.pixel++, static_cast<std::uint32_t>(word >> codec.run_bits) & codec.sub_mask);
        c.bit += codec.code_bits;
        word >>= codec.code_bits;
      }
      continue;
    }
    // The last codes, one by one.
    if (c.bit + codec.run_bits > end_bit) return;
    const auto run = static_cast<std::uint32_t>(word) & codec.most;
    c.pixel += run;
    if (run == codec.most) {
      c.bit += codec.further;
      continue;
    }
    if (c.pixel >= end || c.bit + codec.code_bits > end_bit) return;
    emit(c.pixel++, static_cast<std::uint32_t>(word >> codec.run_bits) & codec.sub_mask);
    c.bit += codec.code_bits;
  }
}

/// Centre of the cell that `bits` bits tell, in eighths of a pixel; the number is signed, finer bits than two are
/// dropped.
unsigned eighths(unsigned value, int bits) {
  if (bits == 0) return 4;
  value ^= 1U << static_cast<unsigned>(bits - 1);
  return bits == 1 ? 4 * value + 2 : 2 * (value >> static_cast<unsigned>(bits - 2)) + 1;
}

/// Offsets of every symbol, y in the upper half; x is in the lower bits of the symbol.
std::array<std::uint32_t, 256> symbol_offsets(const EerCodec& codec) {
  std::array<std::uint32_t, 256> table{};
  const auto x_bits = static_cast<unsigned>(codec.sub_x_bits), y_bits = static_cast<unsigned>(codec.sub_y_bits);
  for (unsigned s = 0; s < 1U << (x_bits + y_bits); ++s)
    table[s] = eighths(s >> x_bits, codec.sub_y_bits) << 16U | eighths(s & ((1U << x_bits) - 1), codec.sub_x_bits);
  return table;
}

}  // namespace

EerMarks mark_eer_frame(std::span<const std::byte> bytes, const EerCodec& codec, int nx, int ny) {
  expect(bytes.size() >= eer_slack && nx > 0 && ny > 0 && nx <= eer_largest_side && ny <= eer_largest_side,
         "an EER frame has its slack and a known size");
  EerMarks found;
  const auto total = static_cast<std::uint32_t>(nx) * static_cast<std::uint32_t>(ny);
  const auto step = static_cast<std::uint32_t>(nx) * EerMarks::rows_per_mark;
  const std::uint64_t end_bit = 8 * static_cast<std::uint64_t>(bytes.size() - eer_slack);
  if (end_bit > 0xffffffffU) return found;
  found.marks.reserve(static_cast<std::size_t>(ny / EerMarks::rows_per_mark + 1));
  with_codec(codec, [&](const auto& known) {
    CodeCursor cursor;
    EerMark last;
    std::uint32_t next = 0, electrons = 0;
    // A boundary that the codes of one load cross can be decoded from where the load began.
    const auto settle = [&](std::uint32_t pixel) {
      while (next < total && next < pixel) {
        found.marks.push_back(last);
        next += step;
      }
    };
    decode(
        bytes.data(), end_bit, known, cursor, total, [&](std::uint32_t, std::uint32_t) { ++electrons; },
        [&](const CodeCursor& c) {
          if (c.pixel > next) settle(c.pixel);
          last = {static_cast<std::uint32_t>(c.bit), c.pixel};
        });
    settle(total);
    found.electrons = electrons;
    found.whole = cursor.pixel == total;
  });
  return found;
}

std::pair<std::uint64_t, std::uint64_t> eer_bytes_of_rows(const EerMarks& marks, std::uint64_t frame_bytes,
                                                          int first_row, int last_row) {
  const auto first = static_cast<std::size_t>(first_row / EerMarks::rows_per_mark);
  // Codes up to the mark after the last row, and those of the load that begins there.
  const auto last = static_cast<std::size_t>((last_row + EerMarks::rows_per_mark - 1) / EerMarks::rows_per_mark);
  const std::uint64_t begin = marks.marks.at(first).bit / 8;
  const std::uint64_t end =
      last < marks.marks.size() ? std::min<std::uint64_t>(frame_bytes, marks.marks[last].bit / 8 + 16) : frame_bytes;
  return {begin, end};
}

std::span<const Electron> decode_eer_rows(std::span<const std::byte> bytes, std::uint64_t start, const EerCodec& codec,
                                          int nx, const EerMarks& marks, int first_row, int last_row,
                                          std::vector<Electron>& scratch) {
  expect(marks.whole && first_row >= 0 && first_row < last_row, "rows of a whole frame");
  const EerMark mark = marks.marks.at(static_cast<std::size_t>(first_row / EerMarks::rows_per_mark));
  const auto columns = static_cast<std::uint32_t>(nx), first_pixel = static_cast<std::uint32_t>(first_row) * columns,
             end_pixel = static_cast<std::uint32_t>(last_row) * columns;
  const auto table = symbol_offsets(codec);
  const auto last = eer_bytes_of_rows(marks, start + bytes.size() - eer_slack, first_row, last_row).second;
  const std::uint64_t end_bit = 8 * std::min(last - start, static_cast<std::uint64_t>(bytes.size() - eer_slack));
  CodeCursor cursor{mark.bit - 8 * start, mark.pixel};
  const auto most = static_cast<std::size_t>(
      (end_bit - std::min(end_bit, cursor.bit)) / static_cast<std::uint64_t>(codec.code_bits()) + 64);
  if (scratch.size() < most) scratch.resize(most);
  static_assert(std::endian::native == std::endian::little);
  Electron* at = scratch.data();
  with_codec(codec, [&](const auto& known) {
    std::uint32_t row_end = first_pixel + columns, base = static_cast<std::uint32_t>(first_row) << 19U;
    std::uint32_t row_begin8 = first_pixel * 8;  // modulo 2³², as are the differences below
    decode(
        bytes.data(), end_bit, known, cursor, end_pixel,
        [&](std::uint32_t pixel, std::uint32_t symbol) {
          if (pixel < first_pixel) return;
          while (pixel >= row_end) row_end += columns, row_begin8 += columns * 8, base += 1U << 19U;
          *at++ = std::bit_cast<Electron>(base + (pixel * 8 - row_begin8) + table[symbol]);
        },
        [](const CodeCursor&) {});
  });
  return {scratch.data(), at};
}

}  // namespace frazil::io
