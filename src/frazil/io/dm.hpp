// Images in Gatan's DM3 and DM4 files: gain references, mostly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "frazil/image/image.hpp"
#include "frazil/io/byte_source.hpp"
#include "frazil/io/pixels.hpp"

namespace frazil::io {

/// The image of a DM file (the first that is no thumbnail).
struct DmImage {
  int nx = 0, ny = 0, nz = 1;
  PixelType type = PixelType::f32;
  bool swapped = false;
  std::uint64_t offset = 0;  ///< of the first section
  Angstrom pixel_size{0};    ///< 0: unknown

  [[nodiscard]] std::uint64_t section_bytes() const { return row_bytes(type, nx) * static_cast<std::uint64_t>(ny); }
};

[[nodiscard]] bool looks_like_dm(std::span<const std::byte> head);
/// Walks the tags. @throws Error(corrupt) for damaged files, Error(unsupported) for complex or colour images
[[nodiscard]] DmImage open_dm(const ByteSource& source);
/// Section `index` with its rows flipped, as those of TIFF: the file's first row is the one at the top (conventions.md,
/// "Images in memory and on disk"). `out` has nx × ny pixels.
void read_dm_section(const ByteSource& source, const DmImage& image, int index, ImageSpan out);

}  // namespace frazil::io
