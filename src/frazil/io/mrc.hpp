// The MRC container: header, byte order, sign of mode 0, sections.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "frazil/image/counts.hpp"
#include "frazil/io/byte_source.hpp"
#include "frazil/io/image_file.hpp"

namespace frazil::io {

inline constexpr std::size_t mrc_header_bytes = 1024;

/// What a header promises; nothing of it has been compared with the file yet, except by open_mrc.
struct MrcHeader {
  int nx = 0, ny = 0, nz = 0;
  int mode = 2;
  bool swapped = false;                ///< other byte order than this machine's
  std::uint64_t extended = 0;          ///< bytes between header and data
  std::uint64_t missing_extended = 0;  ///< NSYMBT, where the file is whole without what it promises
  int mx = 0, my = 0, mz = 0, ispg = 0;
  std::array<float, 3> cell{};  ///< Å
  bool imod_stamp = false;      ///< IMOD wrote it and says whether mode 0 is signed
  bool imod_signed = false;
  bool is_own = false;  ///< this program wrote it: signed bytes are what they are, stamp or not
  PixelType type = PixelType::f32;

  [[nodiscard]] std::uint64_t data_offset() const { return mrc_header_bytes + extended; }
  [[nodiscard]] std::uint64_t section_bytes() const;
  /// Size of the whole file; headers with more than 2^50 pixels are refused, so it cannot overflow.
  [[nodiscard]] std::uint64_t file_bytes() const {
    return data_offset() + section_bytes() * static_cast<std::uint64_t>(nz);
  }
  /// cell x / mx; 0 when either makes no sense.
  [[nodiscard]] Angstrom pixel_size() const;
};

/// True when the first bytes look like an MRC header in either byte order.
[[nodiscard]] bool looks_like_mrc(std::span<const std::byte> head);
/// Header in the byte order in which mode and sizes are plausible; of two, the one whose size matches `file_size`.
/// Headers copied from other files promise extended headers that are not there: if the file has exactly the size of
/// header and data, NSYMBT is taken for wrong.
/// @throws Error(corrupt) when neither is plausible, Error(unsupported) for a mode of the standard that is not read
[[nodiscard]] MrcHeader parse_mrc_header(std::span<const std::byte> head, std::uint64_t file_size,
                                         const std::string& name);

/// Header with its promise held against the file, and the sign of mode 0 settled: by IMOD's stamp, whose signed bytes
/// stand for counts 128 higher (IMOD, doc/mrc_format: it works with 0 to 255 and adds 128 on reading), else by the
/// first section: signed unless its histogram runs on over 127 | 128 and not over 255 | 0.
/// @throws Error(corrupt) when the file is shorter than promised
[[nodiscard]] MrcHeader open_mrc(const ByteSource& source);

/// Reads section `index` in bands of about 1 MB; `out` has nx × ny pixels.
void read_mrc_section(const ByteSource& source, const MrcHeader& header, int index, ImageSpan out);
/// The same as counts of count_type_of(header.type); what the file holds as counts is read in place.
void read_mrc_section(const ByteSource& source, const MrcHeader& header, int index, Counts& out);

}  // namespace frazil::io
