// The first pass over a movie: binned frames for alignment, the unaligned sum, noise and fixed pattern.
#pragma once

#include "frazil/algo/motion/detector.hpp"
#include "frazil/algo/motion/frames.hpp"

namespace frazil::motion {

struct Survey {
  std::vector<Image> binned;  ///< one a group of frames
  Image sum;                  ///< unaligned, gain-corrected; defective pixels as they are
  double noise_variance = 0;  ///< of one pixel, summed over frames
  int bin = 1, group = 1;     ///< pixels a side and frames that one binned image holds
};

/// Reads every frame once, multiplies it by the gain and bins it; whole counts are summed exactly. Pixels that the
/// detector declares defective count as they are: see repair. @throws Error(corrupt) when a frame is not finite
[[nodiscard]] Survey survey(const FrameSource& frames, const Detector& detector, int bin, int group, int threads);

/// Binned pixels that hold a defective pixel take the value of a sound neighbour in the same image, picked by hash.
void repair(Survey& survey, const std::vector<std::uint64_t>& defects, int nx, std::uint64_t seed, int threads = 1);

/// Mean of finite pixels; the same for any number of threads.
[[nodiscard]] double mean_of(const Image& image, int threads = 1);

/// Power of a pattern that stands still over the power of the noise in one frame, from what the noise of the unaligned
/// sum exceeds that of its frames; 0 when there is none.
[[nodiscard]] double fixed_pattern(const Survey& survey, int frames);

}  // namespace frazil::motion
