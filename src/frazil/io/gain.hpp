// Gain references: reading, orientation, inversion.
#pragma once

#include <filesystem>

#include "frazil/image/orientation.hpp"
#include "frazil/io/byte_source.hpp"

namespace frazil::io {

using frazil::gain_orientation_count;
using frazil::gain_orientation_from;
using frazil::GainOrientation;
using frazil::orient;
using frazil::to_string;

/// What the numbers of a gain file do to raw counts. A divisor or mean count of 0 marks a defect and becomes a factor
/// of 0.
enum class GainKind {
  multiply,  ///< corrected = raw × value
  divide,    ///< corrected = raw / value
  average    ///< an image of the evenly lit camera: corrected = raw × mean / value
};
/// What a file holds when nobody says: factors, but for EER movies the averages that cameras wrote before they wrote
/// factors into files named `.gain`.
[[nodiscard]] GainKind usual_gain_kind(const std::filesystem::path& path, bool eer_movie);

/// Gain reference as factors: corrected = raw × gain, in the orientation of the movie; 0 marks a defect.
///
/// MRC, TIFF, DM3 or DM4. TIFF and DM rows are flipped as those of TIFF movies (conventions.md, "Images in memory and
/// on disk"); those of EER's `.gain` files are not, because EER is not. A reference that is finer than the movie by a
/// whole factor is averaged over its good pixels (average: summed), 0 where fewer than half are good; a coarser one is
/// repeated.
/// @param nx,ny  size of a movie frame; 0 accepts any
/// @throws Error(bad_input) when after orienting the size does not fit, values are negative or not finite, or all are
/// zero;
///         else as read_info
[[nodiscard]] Image read_gain(const std::filesystem::path& path, int nx, int ny,
                              GainOrientation orientation = GainOrientation::identity,
                              GainKind kind = GainKind::multiply);
[[nodiscard]] Image read_gain(ByteSource source, int nx, int ny,
                              GainOrientation orientation = GainOrientation::identity,
                              GainKind kind = GainKind::multiply);

}  // namespace frazil::io
