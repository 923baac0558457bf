#include "frazil/io/mrc.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

constexpr int max_side = 1 << 20;                  // a section of 2^40 pixels is absurd
constexpr std::uint64_t max_pixels = 1ULL << 50U;  // times 8 bytes and a header stays far below 2^63
constexpr std::uint32_t imod_stamp_value = 1146047817;

// Byte offsets in the header, doi:10.1016/j.jsb.2015.04.002 (Cheng et al. 2015) and IMOD's extension.
enum Offset : std::size_t {
  at_nx = 0,
  at_mode = 12,
  at_mx = 28,
  at_cell = 40,
  at_ispg = 88,
  at_nsymbt = 92,
  at_imod_stamp = 152,
  at_imod_flags = 156,
  at_label_count = 220,
  at_labels = 224
};

class Words {
 public:
  Words(std::span<const std::byte> head, bool swapped) : head_(head), swapped_(swapped) {}
  [[nodiscard]] std::uint32_t word(std::size_t offset) const {
    std::uint32_t value;
    std::memcpy(&value, head_.data() + offset, 4);
    return swapped_ ? __builtin_bswap32(value) : value;
  }
  [[nodiscard]] int integer(std::size_t offset) const { return static_cast<int>(word(offset)); }
  [[nodiscard]] float real(std::size_t offset) const {
    const auto bits = word(offset);
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }

 private:
  std::span<const std::byte> head_;
  bool swapped_;
};

bool known_mode(int mode) {
  return (mode >= 0 && mode <= 4) || mode == 6 || mode == 7 || mode == 12 || mode == 16 || mode == 101;
}

MrcHeader header_in_order(std::span<const std::byte> head, bool swapped) {
  const Words words(head, swapped);
  MrcHeader h;
  h.swapped = swapped;
  h.nx = words.integer(at_nx), h.ny = words.integer(at_nx + 4), h.nz = words.integer(at_nx + 8);
  h.mode = words.integer(at_mode);
  h.mx = words.integer(at_mx), h.my = words.integer(at_mx + 4), h.mz = words.integer(at_mx + 8);
  for (std::size_t i = 0; i < 3; ++i) h.cell[i] = words.real(at_cell + 4 * i);
  h.ispg = words.integer(at_ispg);
  const int extended = words.integer(at_nsymbt);
  h.extended = extended > 0 ? static_cast<std::uint64_t>(extended) : 0;
  h.imod_stamp = words.word(at_imod_stamp) == imod_stamp_value;
  h.imod_signed = (words.word(at_imod_flags) & 1U) != 0;
  constexpr std::string_view own = "Written by frazil";
  // Programs that write a changed copy add a label of their own.
  h.is_own = words.integer(at_label_count) == 1 && head.size() >= at_labels + own.size() &&
             std::memcmp(head.data() + at_labels, own.data(), own.size()) == 0;
  return h;
}

bool plausible(const MrcHeader& h) {
  return known_mode(h.mode) && h.nx >= 1 && h.ny >= 1 && h.nz >= 1 && h.nx <= max_side && h.ny <= max_side &&
         h.nz <= (1 << 22) &&
         static_cast<std::uint64_t>(h.nx) * static_cast<std::uint64_t>(h.ny) <=
             max_pixels / static_cast<std::uint64_t>(h.nz);
}

std::optional<PixelType> type_of_mode(int mode) {
  switch (mode) {
    case 0:
      return PixelType::i8;
    case 1:
      return PixelType::i16;
    case 2:
      return PixelType::f32;
    case 6:
      return PixelType::u16;
    case 12:
      return PixelType::f16;
    case 101:
      return PixelType::u4;
    default:
      return std::nullopt;
  }
}

/// Bytes behind the header that the file at hand has, if any, begin an extended header of FEI: it names its own size.
bool begins_with_metadata(std::span<const std::byte> head, const MrcHeader& h) {
  if (head.size() < mrc_header_bytes + 4) return false;
  const auto size = Words(head, h.swapped).word(mrc_header_bytes);
  return size == 768 || size == 888;  // FEI1 and FEI2: bytes of metadata a frame
}

std::optional<MrcHeader> choose_order(std::span<const std::byte> head, std::uint64_t file_size) {
  const auto plain = header_in_order(head, false), turned = header_in_order(head, true);
  if (!plausible(plain) && !plausible(turned)) return std::nullopt;
  if (!plausible(turned)) return plain;
  if (!plausible(plain)) return turned;
  const auto matches = [&](MrcHeader h) {
    const auto type = type_of_mode(h.mode);
    if (!type) return false;
    h.type = *type;
    return h.file_bytes() == file_size;
  };
  return matches(turned) && !matches(plain) ? turned : plain;
}

/// Bytes read as unsigned: does the histogram say that values from 128 on are negative numbers?
bool histogram_is_signed(std::span<const std::byte> sample) {
  std::array<std::uint64_t, 256> count{};
  for (const auto byte : sample) ++count[std::to_integer<std::size_t>(byte)];
  const auto sum = [&](std::size_t from, std::size_t to) {
    std::uint64_t total = 0;
    for (std::size_t i = from; i < to; ++i) total += count[i];
    return total;
  };
  if (sum(128, 256) == 0) return true;  // both readings agree; the standard says signed
  const auto below_128 = sum(124, 128), from_128 = sum(128, 132), minus = sum(252, 256), from_0 = sum(0, 4);
  const bool runs_over_zero = minus * 1000 > from_0 && from_0 * 1000 > minus;  // a few saturated 255s are not a slope
  return runs_over_zero && std::min(minus, from_0) > std::min(below_128, from_128);
}

bool bytes_are_signed(const ByteSource& source, const MrcHeader& h) {
  if (h.imod_stamp) return false;
  constexpr std::uint64_t most = 1 << 22;
  std::vector<std::byte> sample(static_cast<std::size_t>(std::min(most, h.section_bytes())));
  source.read(h.data_offset(), sample);
  return histogram_is_signed(sample);
}

/// Reads section `index` in bands and hands each row to `put(bytes, y)`.
template <class Put>
void read_rows(const ByteSource& source, const MrcHeader& header, int index, Put put) {
  const auto row = row_bytes(header.type, header.nx);
  const auto rows_in_band =
      static_cast<int>(std::clamp<std::uint64_t>((1U << 20U) / row, 1, static_cast<std::uint64_t>(header.ny)));
  std::vector<std::byte> band(static_cast<std::size_t>(row) * static_cast<std::size_t>(rows_in_band));
  const auto start = header.data_offset() + header.section_bytes() * static_cast<std::uint64_t>(index);
  for (int y0 = 0; y0 < header.ny; y0 += rows_in_band) {
    const int rows = std::min(rows_in_band, header.ny - y0);
    const std::span<std::byte> bytes(band.data(), static_cast<std::size_t>(row) * static_cast<std::size_t>(rows));
    source.read(start + row * static_cast<std::uint64_t>(y0), bytes);
    for (int y = 0; y < rows; ++y)
      put(bytes.data() + static_cast<std::size_t>(row) * static_cast<std::size_t>(y), y0 + y);
  }
}

void expect_section(const ByteSource& source, const MrcHeader& header, int index) {
  if (index < 0 || index >= header.nz)
    throw Error(ErrorCode::bad_input, "{}: section {} is asked for, the file has {}", source.name(), index + 1,
                header.nz);
}

}  // namespace

std::uint64_t MrcHeader::section_bytes() const { return row_bytes(type, nx) * static_cast<std::uint64_t>(ny); }

Angstrom MrcHeader::pixel_size() const {
  if (mx <= 0 || !std::isfinite(cell[0])) return Angstrom{0};
  const double size = static_cast<double>(cell[0]) / mx;
  return Angstrom{size > 1e-3 && size < 1e6 ? size : 0};
}

bool looks_like_mrc(std::span<const std::byte> head) {
  return head.size() >= mrc_header_bytes && choose_order(head, 0).has_value();
}

MrcHeader parse_mrc_header(std::span<const std::byte> head, std::uint64_t file_size, const std::string& name) {
  if (head.size() < mrc_header_bytes)
    throw Error(ErrorCode::corrupt, "{}: an MRC header has {} bytes, the file has {}", name, mrc_header_bytes,
                file_size);
  const auto chosen = choose_order(head, file_size);
  if (!chosen) {
    const auto h = header_in_order(head, false);
    throw Error(ErrorCode::corrupt,
                "{}: not an MRC file: mode {} and size {} x {} x {} make no sense in either byte order", name, h.mode,
                h.nx, h.ny, h.nz);
  }
  auto h = *chosen;
  const auto type = type_of_mode(h.mode);
  if (!type)
    throw Error(ErrorCode::unsupported, "{}: MRC mode {} is not read, only 0, 1, 2, 6, 12 and 101", name, h.mode);
  h.type = *type;
  if (h.extended > 0 && file_size == h.file_bytes() - h.extended && !begins_with_metadata(head, h))
    h.missing_extended = std::exchange(h.extended, 0);
  return h;
}

MrcHeader open_mrc(const ByteSource& source) {
  auto h = parse_mrc_header(source.head(mrc_header_bytes + 4), source.size(), source.name());
  if (h.file_bytes() > source.size())
    throw Error(ErrorCode::corrupt,
                "{}: the header promises {} x {} x {} pixels of mode {}{} ({} bytes), the file has {} bytes",
                source.name(), h.nx, h.ny, h.nz, h.mode,
                h.extended > 0 ? fmt::format(" behind an extended header of NSYMBT = {} bytes", h.extended) : "",
                h.file_bytes(), source.size());
  if (h.mode != 0) return h;
  if (h.imod_stamp && h.imod_signed)
    h.type = h.is_own ? PixelType::i8 : PixelType::u8_less_128;
  else if (!bytes_are_signed(source, h))
    h.type = PixelType::u8;
  return h;
}

void read_mrc_section(const ByteSource& source, const MrcHeader& header, int index, ImageSpan out) {
  expect(out.nx == header.nx && out.ny == header.ny, "the image has the size of the section");
  expect_section(source, header, index);
  read_rows(source, header, index, [&](const std::byte* bytes, int y) {
    decode_row(bytes, header.type, header.swapped, {out.row(y), static_cast<std::size_t>(out.nx)});
  });
}

void read_mrc_section(const ByteSource& source, const MrcHeader& header, int index, Counts& out) {
  expect(out.nx() == header.nx && out.ny() == header.ny && out.type() == count_type_of(header.type),
         "the counts have size and type of the section");
  expect_section(source, header, index);
  if (is_count_as_stored(header.type, header.swapped)) {
    source.read(header.data_offset() + header.section_bytes() * static_cast<std::uint64_t>(index),
                {out.row(0), static_cast<std::size_t>(header.section_bytes())});
    return;
  }
  read_rows(source, header, index, [&](const std::byte* bytes, int y) {
    decode_row(bytes, header.type, header.swapped, out.row(y), static_cast<std::size_t>(header.nx));
  });
}

}  // namespace frazil::io
