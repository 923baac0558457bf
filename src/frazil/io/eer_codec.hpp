// Decoding the codes of one raw EER frame: a first pass that checks it and marks its rows, and the electrons of some
// rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "frazil/io/eer_index.hpp"
#include "frazil/model/electron.hpp"

namespace frazil::io {

/// A place in a raw frame from which decoding can go on.
struct EerMark {
  std::uint32_t bit = 0;    ///< of the first code
  std::uint32_t pixel = 0;  ///< first pixel that the code counts
};

/// What the first pass finds.
struct EerMarks {
  static constexpr int rows_per_mark = 4;
  bool whole = false;  ///< its codes fill the sensor exactly
  std::uint32_t electrons = 0;
  std::vector<EerMark> marks;  ///< for rows 0, 4, 8, … the last place from which they can be decoded
};

/// Bytes behind the codes that must be readable.
inline constexpr std::size_t eer_slack = 16;

/// @param bytes  the frame, followed by eer_slack bytes of any value that belong to the span
[[nodiscard]] EerMarks mark_eer_frame(std::span<const std::byte> bytes, const EerCodec& codec, int nx, int ny);

/// Electrons of rows first_row … last_row − 1, in the order of the file. They stand in `scratch`, which grows when it
/// must. Only for frames whose marks say that they are whole.
/// @param bytes      the part of the frame from byte `start` on, followed by eer_slack bytes
/// @param first_row  decoding begins at the mark of this row
[[nodiscard]] std::span<const Electron> decode_eer_rows(std::span<const std::byte> bytes, std::uint64_t start,
                                                        const EerCodec& codec, int nx, const EerMarks& marks,
                                                        int first_row, int last_row, std::vector<Electron>& scratch);

/// Bytes of the frame that decode_eer_rows needs: [first, second).
[[nodiscard]] std::pair<std::uint64_t, std::uint64_t> eer_bytes_of_rows(const EerMarks& marks,
                                                                        std::uint64_t frame_bytes, int first_row,
                                                                        int last_row);

}  // namespace frazil::io
