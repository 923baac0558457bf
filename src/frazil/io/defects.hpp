// Defective pixels of a camera from a map or a list.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "frazil/io/byte_source.hpp"

namespace frazil::io {

/// Pixels (y · nx + x, ascending) of a movie frame that a file calls defective.
///
/// An image (MRC, TIFF, DM) is a map: what is not 0 is defective. It has the size of the frame, or is finer or coarser
/// by a whole factor; a pixel is then defective when any of its parts is. Text is a list as MotionCor2 and RELION read
/// it: a line "x y width height" for each rectangle, counted from 0 in the frame as it is in memory, '#' begins a
/// comment.
/// @param list_nx,list_ny  size of the frame that a list counts in, when it differs from nx × ny by a whole factor
///        (the sensor, for EER on another grid); 0: nx × ny
/// @throws Error(bad_input) when a size does not fit, a line is no rectangle or lies outside the frame, or all is
/// defective;
///         Error(unsupported) for SerialEM's defect files
[[nodiscard]] std::vector<std::uint64_t> read_defects(const std::filesystem::path& path, int nx, int ny,
                                                      int list_nx = 0, int list_ny = 0);
[[nodiscard]] std::vector<std::uint64_t> read_defects(ByteSource source, int nx, int ny, int list_nx = 0,
                                                      int list_ny = 0);

}  // namespace frazil::io
