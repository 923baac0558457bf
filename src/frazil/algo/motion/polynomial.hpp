// RELION's model of local motion, a third-order polynomial, fitted to a field so that its polishing can read what was
// found.
#pragma once

#include <array>

#include "frazil/algo/motion/frames.hpp"

namespace frazil::motion {

/// Shift beyond the global one at frame z (0 for the first frame of the sum) and place u = x/nx − ½, v = y/ny − ½, in
/// unbinned pixels, with the global shift's sign: Σ c · {1, u, u², v, v², uv} · {z, z², z³}, power of z fastest, as in
/// motion-model version 1 of RELION's per-movie STAR files.
struct ThirdOrder {
  static constexpr std::size_t terms = 18;  ///< three powers of time, six terms of space: RELION's model
  std::array<double, terms> x{}, y{};
  [[nodiscard]] Shift at(double z, double u, double v) const;
};

struct ThirdOrderFit {
  ThirdOrder model;
  double rms_px = 0;  ///< 2-D difference between model and field, over nodes and frames
};

/// Least squares over all frames on a grid over the area.
/// @param track  global shifts, which the model leaves out
[[nodiscard]] ThirdOrderFit fit_third_order(const MotionField& field, const std::vector<Shift>& track, int nx, int ny);

}  // namespace frazil::motion
