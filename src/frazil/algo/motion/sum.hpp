// The sum of moved frames, plain and weighted by exposure, with a few large Fourier transforms instead of one a frame.
#pragma once

#include <optional>

#include "frazil/algo/motion/dose.hpp"
#include "frazil/algo/motion/frames.hpp"

namespace frazil::motion {

struct Sums {
  Image plain;                    ///< Σ_t frame_t(x − s_t)
  std::optional<Image> weighted;  ///< noise power as in `plain`; empty when the exposure is unknown
};

/// Moves every frame by its displacement and sums.
///
/// Frames are gathered with the quintic B-spline (6 × 6 taps, no prefilter) into one accumulator for each row of the dose
/// basis; the basis is combined, and the response of the spline divided out, in Fourier space: the mean over frames of
/// the exact response at their sub-pixel positions, so that a still movie gives back its plain sum.
/// Beyond the edges frames are mirrored.
///
/// @param frames   corrected frames; read once, `threads` in memory at a time
/// @param field    of as many frames
/// @param binning  ≥ 1: the result is Fourier-cropped by this factor, to even sides
/// Cost: a frame's 12 + 2·rank flops a pixel; rank + 2 transforms. The same result for any number of threads.
[[nodiscard]] Sums sum_frames(const FrameSource& frames, const MotionField& field, const DoseBasis& basis, double binning = 1, int threads = 1);

/// The same by a Fourier transform of each frame and exact phase shifts, periodic at the edges; global fields only.
[[nodiscard]] Sums sum_frames_reference(const FrameSource& frames, const MotionField& field, const Exposure& exposure);

/// The six weights of a gather at fraction `u` in [0, 1) behind the third tap.
void quintic_taps(double u, float taps[6]);

}  // namespace frazil::motion
