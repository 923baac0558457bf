// The directories of a TIFF or BigTIFF file, walked once with pread: frames, strips, and how the file ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "frazil/base/units.hpp"
#include "frazil/io/byte_source.hpp"
#include "frazil/io/pixels.hpp"

namespace frazil::io {

struct TiffStrip {
  std::uint64_t offset = 0, bytes = 0;
};

/// One image file directory as it stands in the file.
struct TiffDirectory {
  std::uint64_t nx = 0, ny = 0;
  std::uint64_t rows_per_strip = 0;  ///< at most ny
  unsigned compression = 1, predictor = 1, samples = 1, bits = 1, sample_format = 1, fill_order = 1, planar = 1;
  unsigned subfile = 0;  ///< bit 0: a thumbnail
  bool tiled = false;
  std::size_t first_strip = 0, strip_count = 0;  ///< in TiffScan::strips
  double pixels_per_unit = 0;                    ///< XResolution
  unsigned resolution_unit = 2;                  ///< 2 inch, 3 centimetre
  std::string description;                       ///< first 256 characters of ImageDescription
  std::string metadata;  ///< private tag 65001 of EER: XML, first 64 KiB; of the first two directories only
  int run_bits = -1, sub_x_bits = -1, sub_y_bits = -1;  ///< private tags 65007 to 65009 of EER; −1: absent
};

/// How a walk ended.
enum class TiffEnd {
  whole,  ///< the chain ends and all strips lie in the file
  cut,    ///< something points behind the end of the file: unfinished or truncated
  broken  ///< contradictions that more bytes cannot resolve
};

struct TiffScan {
  bool big = false, swapped = false;
  std::vector<TiffDirectory> directories;  ///< up to where the walk ended; one a frame, if a description tells of more
                                           ///< frames than there are directories
  std::vector<TiffStrip> strips;
  std::uint64_t extent = 0;  ///< end of the last byte that a directory, a table or a strip uses
  TiffEnd end = TiffEnd::broken;
  std::string problem;  ///< sentence without the file's name, empty when whole
};

[[nodiscard]] bool looks_like_tiff(std::span<const std::byte> head);
/// Never throws for what the bytes say; memory is bounded by the size of the file. Linear in the number of directories.
[[nodiscard]] TiffScan scan_tiff(const ByteSource& source);

/// One frame, ready to be decoded.
struct TiffFrame {
  std::size_t first_strip = 0, strip_count = 0;
  int rows_per_strip = 0;
  unsigned compression = 1;
  bool predictor = false;
};

/// Equal frames of one type.
struct TiffIndex {
  int nx = 0, ny = 0;
  PixelType type = PixelType::u8;
  bool swapped = false;
  Angstrom pixel_size{0};  ///< from the resolution tags when they give a length between 0.01 and 1000 Å
  std::vector<TiffFrame> frames;
  std::vector<TiffStrip> strips;
};

/// Index of a whole file; thumbnails are left out.
/// @throws Error(corrupt) for unfinished or contradicting files, Error(unsupported) for tiles, colour and other
///         compressions (EER's, see eer_index.hpp) or pixel types than the ones read here
[[nodiscard]] TiffIndex read_tiff_index(const ByteSource& source);
[[nodiscard]] TiffIndex read_tiff_index(TiffScan scan, const ByteSource& source);

}  // namespace frazil::io
