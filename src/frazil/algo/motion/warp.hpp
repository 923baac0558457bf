// Moves the frames of a movie by their displacement field and adds them up, each with a few weights, straight from
// counts.
#pragma once

#include <vector>

#include "frazil/algo/motion/detector.hpp"
#include "frazil/algo/motion/frames.hpp"

namespace frazil::motion {

/// The B-spline that gathers: taps of its support along each axis.
enum class Spline : int { cubic = 4, quintic = 6 };

struct WarpParams {
  Spline spline = Spline::quintic;
  int threads = 1;
};

/// A_r(x) = Σ_t weights[r][t] · frame_t(x − s_t(x)), frames corrected by `detector`, gathered with the spline without
/// prefilter; mirrored beyond the edges. Displacements are constant over blocks so small that
/// they are off by 0.015 px RMS, in steeper fields over blocks of 16 pixels.
///
/// Work goes by tiles that stay in the second-level cache while all frames of a batch pass through them.
/// @return one image for each row of weights. The same bits for any number of threads, batches and instruction sets.
[[nodiscard]] std::vector<Image> warp_frames(const FrameSource& frames, const Detector& detector,
                                             const MotionField& field, const std::vector<std::vector<double>>& weights,
                                             const WarpParams& params = {});
/// The same one pixel after the other, with the displacement of each.
[[nodiscard]] std::vector<Image> warp_frames_reference(const FrameSource& frames, const Detector& detector,
                                                       const MotionField& field,
                                                       const std::vector<std::vector<double>>& weights,
                                                       Spline spline = Spline::quintic);

/// Side of the blocks over which warp_frames takes the field as constant: 16, 32 or 64 pixels.
[[nodiscard]] int block_side(const MotionField& field);

/// Weights of a gather at fraction `u` in [0, 1) behind tap taps/2 − 1; `out` holds as many as the spline has.
void spline_taps(Spline spline, double u, float* out);

}  // namespace frazil::motion
