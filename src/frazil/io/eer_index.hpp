// Where the raw frames of an EER file lie and how their electrons are coded: TIFF container or the older form with
// footers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "frazil/base/units.hpp"
#include "frazil/io/byte_source.hpp"
#include "frazil/io/tiff_index.hpp"

namespace frazil::io {

/// One code is the number of empty pixels before an electron, then, unless that number is the largest one and so only
/// says "go on counting", where in its pixel the electron fell. Bits come lowest first.
struct EerCodec {
  int run_bits = 7;
  int sub_x_bits = 2, sub_y_bits = 2;
  bool fixed_length = false;  ///< a code that only counts on is as long as the others

  [[nodiscard]] int code_bits() const { return run_bits + sub_x_bits + sub_y_bits; }
  friend bool operator==(const EerCodec&, const EerCodec&) = default;
};

struct EerFrame {
  std::size_t first_strip = 0, strip_count = 0;
  std::uint64_t bytes = 0;  ///< of all strips, which follow each other without a gap in the stream of bits
};

struct EerIndex {
  int nx = 0, ny = 0;  ///< sensor pixels
  EerCodec codec;
  bool legacy = false;             ///< no TIFF: frames with footers
  Angstrom pixel_size{0};          ///< of a sensor pixel; 0: not told
  double electrons_per_pixel = 0;  ///< in the whole movie, as the camera tells; 0: not told
  std::vector<EerFrame> frames;
  std::vector<TiffStrip> strips;
};

/// Most columns and rows of a sensor that is read.
inline constexpr int eer_largest_side = 8192;

/// 65000, 65001 and 65002.
[[nodiscard]] bool is_eer_compression(unsigned compression);
[[nodiscard]] bool has_eer_frames(const TiffScan& scan);
/// Index from directories that were walked; those of other compressions (a sum that the camera put first, thumbnails)
/// are left out.
/// @throws Error(corrupt) for unfinished or contradicting files, Error(unsupported) for codes that are not read
[[nodiscard]] EerIndex eer_index(TiffScan scan, const ByteSource& source);

/// True when the file ends as the older form does and is no TIFF.
[[nodiscard]] bool looks_like_legacy_eer(const ByteSource& source);
/// True when a frame of the older form ends within the first 4 MiB.
[[nodiscard]] bool begins_as_legacy_eer(const ByteSource& source);
/// How the older form ends: whole when its frames, walked from the end, reach the beginning.
struct LegacyEer {
  EerIndex index;
  std::string problem;  ///< empty: whole
};
[[nodiscard]] LegacyEer scan_legacy_eer(const ByteSource& source);

}  // namespace frazil::io
