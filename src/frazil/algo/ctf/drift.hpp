// Movement within the exposure, from what it takes off the Thon rings.
#pragma once

#include "frazil/algo/ctf/refine.hpp"

namespace frazil::ctf {

struct Drift {
  double length_A = 0, sigma_A = 0;  ///< sigma 0: the rings cannot tell
  double angle_rad = 0;              ///< from +x to the direction of the movement
};

/// Steady movement d during the exposure multiplies an image's spectrum by sinc(k · d) (Frank 1969, Optik 30:171), so
/// that the rings' power is e(k) sinc²(k · d) (1 − c cos 2χ) over the noise. Sums over cells of shell × sector are made
/// once; for each d of a polar grid to 45 Å background and envelope are solved along, and the smallest cost is refined
/// by parabolas in length and direction. Its curvature in length gives the error. A loss of rings that is the same in
/// all directions is no drift: the envelope takes it up.
/// @param unit variance of a weighted pixel, correlation of pixels counted
[[nodiscard]] Drift find_drift(const Rings& rings, const Waves& waves, const Solution& solution, double unit);

}  // namespace frazil::ctf
