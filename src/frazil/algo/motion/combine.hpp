// From summed frames to micrographs: the exposure basis combined, the spline's response divided out, the result cropped
// in Fourier space.
#pragma once

#include <complex>
#include <optional>
#include <vector>

#include "frazil/algo/motion/dose.hpp"
#include "frazil/image/image.hpp"

namespace frazil::motion {

struct Sums {
  Image plain;                     ///< Σ_t frame_t(x − s_t)
  std::optional<Image> weighted;   ///< noise power as in `plain`; empty when the exposure is unknown
  std::optional<Image> odd, even;  ///< of frames 1, 3, … and 2, 4, …; weighted when the exposure is known
};

/// What each frequency is multiplied by after the sum: the inverse of the gather's mean response, one factor along x
/// and one along y.
struct Response {
  std::vector<std::complex<float>> x, y;  ///< nx / 2 + 1 and ny values in Fourier order
};

/// Row r of `sums` is Σ_t b_r(t) frame_t, or, with halves, rows 2r and 2r + 1 that of odd and even frames.
/// @param binning  ≥ 1: results are Fourier-cropped by this factor, to even sides; what is cropped is not computed
/// Cost: one transform for each row and one for each result.
[[nodiscard]] Sums combine(std::vector<Image>&& sums, const DoseBasis& basis, const Response& response, double binning,
                           bool halves, int threads);

}  // namespace frazil::motion
