// Connected regions of flagged pixels.
#pragma once

#include <vector>

namespace frazil {

/// The pixels (y · nx + x) connected to `seed` by sides, the seed first; they are taken out of `open` (nx × ny flags).
[[nodiscard]] std::vector<int> take_region(std::vector<char>& open, int seed, int nx, int ny);

/// More than 1.5 times the area of a disc of this diameter, or longer than two diameters along an axis.
[[nodiscard]] bool is_larger_than_disc(const std::vector<int>& region, int nx, double diameter_px);

}  // namespace frazil
