// Exposure weighting: critical exposure, weight of each frame at each frequency, and the low-rank basis that replaces a
// Fourier transform for each frame by a few for the whole movie.
#pragma once

#include <vector>

#include "frazil/base/units.hpp"

namespace frazil::motion {

/// Critical exposure Ne of the amplitude filter exp(−D / (2 Ne)): Ne(k) = 0.24499 k^−1.6649 + 2.8141 e⁻/Å² at 300 kV
/// (Grant & Grigorieff 2015, doi:10.7554/eLife.06980, eq. 3). At other voltages in proportion to β² of the electrons,
/// because the energy deposited by each goes as 1/β² (0.80 at 200 kV, 0.50 at 100 kV).
/// @param k_per_A above 0
[[nodiscard]] Dose critical_exposure(double k_per_A, Kilovolt voltage);

/// Exposure history of the frames that are summed.
struct Exposure {
  Dose per_frame{};  ///< 0: unknown, all frames weigh the same
  Dose before{};     ///< received before the first frame of the sum
  Kilovolt voltage = 300_kV;
};

/// Fraction of the amplitude at k that is left on average during frame `index`: the mean of exp(−D/(2 Ne)) over the
/// frame. 1 when the exposure is unknown or k is 0.
[[nodiscard]] double frame_weight(const Exposure& exposure, int index, double k_per_A);

/// Weighted sum q_t(k) F_t(k) √T / √Σ q_t(k)² (noise power as in the plain sum) written with a few frame weights:
/// Σ_r a_r(k) Σ_t b_r(t) F_t(k). Row 0 of b is all ones, so the plain sum comes free.
struct DoseBasis {
  std::vector<std::vector<double>> b;  ///< [r][frame]
  std::vector<std::vector<double>> a;  ///< [r][bin], bin i at frequency i · step_per_A
  double step_per_A = 0;
  double max_error = 0;  ///< largest relative L2 error of the weights over all bins

  [[nodiscard]] int rank() const { return static_cast<int>(b.size()); }
  [[nodiscard]] bool weighted() const { return !a.empty(); }
};

/// Smallest basis whose error stays below `tolerance`.
/// @param highest_per_A  highest frequency that will be asked for (the corner of the transform)
[[nodiscard]] DoseBasis dose_basis(const Exposure& exposure, int frames, double highest_per_A, double tolerance = 2e-3);

/// Weights of the exposure filter as they are applied, without the basis: √T q_t(k) / √Σ q².
[[nodiscard]] std::vector<double> filter_weights(const Exposure& exposure, int frames, double k_per_A);

}  // namespace frazil::motion
