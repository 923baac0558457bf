#include "frazil/io/tiff_index.hpp"

#include <algorithm>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

PixelType type_of(const TiffDirectory& d, const std::string& name) {
  if (d.sample_format == 3 && d.bits == 32) return PixelType::f32;
  if (d.sample_format == 3 && d.bits == 16) return PixelType::f16;
  if (d.sample_format == 3 && d.bits == 64) return PixelType::f64;
  const bool is_signed = d.sample_format == 2, is_unsigned = d.sample_format == 1 || d.sample_format == 4;
  if (is_signed || is_unsigned) {
    if (d.bits == 8) return is_signed ? PixelType::i8 : PixelType::u8;
    if (d.bits == 16) return is_signed ? PixelType::i16 : PixelType::u16;
    if (d.bits == 32) return is_signed ? PixelType::i32 : PixelType::u32;
  }
  throw Error(ErrorCode::unsupported,
              "{}: TIFF pixels of {} bits in sample format {} are not read, only 8, 16 or 32 bits and floats", name,
              d.bits, d.sample_format);
}

void refuse_unsupported(const TiffDirectory& d, std::size_t index, const std::string& name) {
  const auto refuse = [&](std::string_view what) {
    throw Error(ErrorCode::unsupported, "{}: frame {} {}", name, index + 1, what);
  };
  if (d.tiled) refuse("is stored in tiles, only strips are read");
  if (d.samples != 1) refuse(fmt::format("has {} values a pixel, only grey images are read", d.samples));
  const bool known = d.compression == 1 || d.compression == 5 || d.compression == 8 || d.compression == 32946 ||
                     d.compression == 32773;
  if (!known)
    refuse(fmt::format("has TIFF compression {}, only none, LZW, deflate and PackBits are read", d.compression));
  if (d.fill_order != 1) refuse("has its bits in reverse order (FillOrder 2), which is not read");
  if (d.predictor > 2) refuse(fmt::format("has predictor {}, only 1 and 2 are read", d.predictor));
  if (d.predictor == 2 && (d.sample_format == 3 || d.compression == 1 || d.compression == 32773))
    refuse("has a predictor that does not go with its pixels or compression");
}

/// Most bytes that one byte of input can become.
std::uint64_t expansion(unsigned compression) {
  switch (compression) {
    case 1:
      return 1;
    case 32773:
      return 64;
    case 5:
      return 1500;  // 3,838 codes of growing strings between two clear codes
    default:
      return 1040;  // deflate: 258 bytes in 2 bits
  }
}

void check_strips(const TiffScan& scan, const TiffDirectory& d, std::uint64_t row, std::size_t index,
                  const std::string& name) {
  for (std::size_t i = 0; i < d.strip_count; ++i) {
    const auto rows = std::min(d.rows_per_strip, d.ny - static_cast<std::uint64_t>(i) * d.rows_per_strip);
    const auto wanted = rows * row, stored = scan.strips[d.first_strip + i].bytes;
    if (stored * expansion(d.compression) + 64 * (d.compression != 1 ? 1U : 0U) < wanted)
      throw Error(ErrorCode::corrupt, "{}: strip {} of frame {} has {} bytes, which cannot hold {} rows of {} bytes",
                  name, i + 1, index + 1, stored, rows, row);
    if (wanted > (std::uint64_t{1} << 31U))
      throw Error(ErrorCode::unsupported, "{}: frame {} has strips of more than 2 GiB", name, index + 1);
  }
}

Angstrom pixel_size_of(const TiffDirectory& d) {
  if (!(d.pixels_per_unit > 0)) return Angstrom{0};
  const double unit_A = d.resolution_unit == 2 ? 2.54e8 : d.resolution_unit == 3 ? 1e8 : 0;
  const double size = unit_A / d.pixels_per_unit;
  return Angstrom{size >= 0.01 && size <= 1000 ? size : 0};
}

}  // namespace

TiffIndex read_tiff_index(const ByteSource& source) { return read_tiff_index(scan_tiff(source), source); }

TiffIndex read_tiff_index(TiffScan scan, const ByteSource& source) {
  const auto& name = source.name();
  if (scan.end != TiffEnd::whole)
    throw Error(ErrorCode::corrupt, "{}: the TIFF file is {}: {}", name,
                scan.end == TiffEnd::cut ? "unfinished or cut off" : "damaged", scan.problem);
  TiffIndex index;
  index.swapped = scan.swapped;
  for (std::size_t i = 0; i < scan.directories.size(); ++i) {
    const auto& d = scan.directories[i];
    if ((d.subfile & 1U) != 0) continue;
    refuse_unsupported(d, i, name);
    const auto type = type_of(d, name);
    const int nx = static_cast<int>(d.nx), ny = static_cast<int>(d.ny);
    if (index.frames.empty()) {
      index.nx = nx, index.ny = ny, index.type = type, index.pixel_size = pixel_size_of(d);
    } else if (nx != index.nx || ny != index.ny || type != index.type) {
      throw Error(ErrorCode::unsupported, "{}: frame {} has {} x {} pixels ({}), the first has {} x {} ({})", name,
                  i + 1, nx, ny, to_string(type), index.nx, index.ny, to_string(index.type));
    }
    check_strips(scan, d, row_bytes(type, nx), i, name);
    index.frames.push_back(
        {d.first_strip, d.strip_count, static_cast<int>(d.rows_per_strip), d.compression, d.predictor == 2});
  }
  if (index.frames.empty()) throw Error(ErrorCode::corrupt, "{}: the TIFF file holds no image but thumbnails", name);
  index.strips = std::move(scan.strips);
  return index;
}

}  // namespace frazil::io
