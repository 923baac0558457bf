// The sum of moved frames, plain and weighted by exposure, with a few large Fourier transforms instead of one a frame.
#pragma once

#include "frazil/algo/motion/backend.hpp"
#include "frazil/algo/motion/combine.hpp"

namespace frazil::motion {

struct SumParams {
  double binning = 1;   ///< ≥ 1: the result is Fourier-cropped by this factor, to even sides
  bool halves = false;  ///< also the sums of odd and of even frames
  int threads = 1;
  const Backend* backend = &cpu_backend();
};

/// Moves every frame by its displacement and sums.
///
/// Frames are gathered with a B-spline (warp.hpp) into one accumulator for each row of the dose basis, or two with
/// halves; the basis is combined, and the response of the spline divided out, in Fourier space: the mean over frames of
/// the exact response at their sub-pixel positions, so that a still movie gives back its plain sum. Six taps; four
/// where the result is binned twice or more, which leaves only frequencies at which those are as good.
///
/// @param frames   raw frames, each read once
/// @param detector corrects them
/// @param field    of as many frames
/// Cost: a frame's 12 + 2·rank flops a pixel; rank + 2 transforms. The same result for any number of threads.
[[nodiscard]] Sums sum_frames(const FrameSource& frames, const Detector& detector, const MotionField& field,
                              const DoseBasis& basis, const SumParams& params = {});

/// The same by a Fourier transform of each frame and exact phase shifts, periodic at the edges; global fields only.
[[nodiscard]] Sums sum_frames_reference(const FrameSource& frames, const Detector& detector, const MotionField& field,
                                        const Exposure& exposure);

/// Weights of the frames in each sum: the rows of the basis, each split into odd (first, third, …) and even frames when
/// halves are asked for.
[[nodiscard]] std::vector<std::vector<double>> rows_of(const DoseBasis& basis, bool halves);

/// Inverse of the mean response of a gather with `spline`, over all frames and places of the field.
[[nodiscard]] Response inverse_response(int nx, int ny, const MotionField& field, Spline spline);

}  // namespace frazil::motion
