// Specimen tilt and bend from the defocus of parts of a micrograph.
#pragma once

#include <array>
#include <optional>

#include "frazil/algo/ctf/fit.hpp"

namespace frazil::ctf {

/// A plane of defocus, Δf(x, y) = Δf₀ + slope_x x + slope_y y.
struct Tilt {
  Degrees tilt{}, axis{};  ///< ≥ 0; direction of the axis from +x in [0, 360), defocus grows to its left (axis + 90°)
  Degrees sigma{};         ///< standard error of the tilt
  double slope_x = 0, slope_y = 0;
  std::array<double, 3>
      bend{};  ///< x², xy, y² terms on top of the plane in 1/Å; all 0 unless they explain the parts better by 20
               ///< squared standard deviations (by chance less than once in five thousand)
  double z2 =
      0;  ///< gain of the plane over no tilt in squared standard deviations; above 14 by chance once in a thousand
};

/// Matched filter of every region at every defocus near that of the whole image, with its astigmatism and envelope;
/// then all planes up to `steepest` on a grid, so that none is missed, and a parabola through the best. Nothing when
/// fewer than four regions lie in a plane or the fit has no rings.
[[nodiscard]] std::optional<Tilt> find_tilt(const std::vector<RegionSpectrum>& regions, const PowerSpectrum& whole,
                                            const Optics& optics, const Fit& fit, const FitParams& params,
                                            Degrees steepest = 60_deg);

}  // namespace frazil::ctf
