// Gain references: reading, orientation, inversion.
#pragma once

#include <filesystem>

#include "frazil/image/orientation.hpp"
#include "frazil/io/byte_source.hpp"

namespace frazil::io {

using frazil::GainOrientation;
using frazil::gain_orientation_count;
using frazil::gain_orientation_from;
using frazil::orient;
using frazil::to_string;

/// What the numbers of a gain file do to raw counts. A divisor of 0 marks a defect and becomes a factor of 0.
enum class GainKind { multiply, divide };

/// Gain reference as factors: corrected = raw × gain, in the orientation of the movie; 0 marks a defect.
/// @param nx,ny  size of a movie frame; 0 accepts any
/// @throws Error(bad_input) when after orienting the size differs, values are negative or not finite, or all are zero;
///         else as read_info
[[nodiscard]] Image read_gain(const std::filesystem::path& path, int nx, int ny,
                              GainOrientation orientation = GainOrientation::identity, GainKind kind = GainKind::multiply);
[[nodiscard]] Image read_gain(ByteSource source, int nx, int ny, GainOrientation orientation = GainOrientation::identity,
                              GainKind kind = GainKind::multiply);

}  // namespace frazil::io
