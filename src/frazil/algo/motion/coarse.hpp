// A first track by cross-correlation, good to about a pixel of the coarse grid, whatever the drift.
#pragma once

#include "frazil/algo/motion/objective.hpp"

namespace frazil::motion {

/// Correlates each frame with the sum of the others, at resolutions coarser than 16 Å: first outwards from the middle
/// frame with a growing reference, then twice against all other frames. The peak is chosen by height in standard
/// deviations less half the square of its distance from where the neighbours let expect it, in units of 15 Å, so that
/// weak peaks must lie near and lattices cannot draw a frame to a neighbouring period.
///
/// @param fixed_pattern  power of what does not move over that of the noise in one frame; the peak it is expected
///        to give is subtracted
/// The same for any number of threads.
[[nodiscard]] TrackA coarse_track(const Band& band, double fixed_pattern, int threads = 1);

}  // namespace frazil::motion
