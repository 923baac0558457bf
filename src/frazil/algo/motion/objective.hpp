// The likelihood of a track given the band of components, and its gradient.
#pragma once

#include <array>
#include <vector>

#include "frazil/algo/motion/band.hpp"

namespace frazil::motion {

/// Track in Å, x and y for each frame; aligned(r) = frame(r − s).
struct TrackA {
  std::vector<double> x, y;
};

struct Objective {
  double value = 0;
  std::vector<double> gradient_x, gradient_y;  ///< per frame, 1/Å
  std::vector<double> overlap;    ///< per frame Σ_k w Re(S* F_t exp(−2πi k·s_t)): half the slope of J along a_t
  std::vector<double> sum_power;  ///< per shell Σ_k |S|²
};

/// J = Σ_k w(k) |S(k)|², S = Σ_t a_t F_t(k) exp(−2πi k·s_t), and its gradient: the log-likelihood of the track, up to a
/// constant, when the specimen is Gaussian with power P(k), the noise white with power 1, and w = P/(1 + P Σ a² q²).
///
/// @param weight     one a shell
/// @param amplitude  a_t of each frame
/// Cost: one pass over the band, about 30 flops a component and frame. The same result for any number of threads.
[[nodiscard]] Objective evaluate(const Band& band, const std::vector<double>& weight,
                                 const std::vector<double>& amplitude, const TrackA& track, int threads);
/// The same in two halves that share no component: alternate blocks of 8 rows.
[[nodiscard]] std::array<Objective, 2> evaluate_halves(const Band& band, const std::vector<double>& weight,
                                                       const std::vector<double>& amplitude, const TrackA& track,
                                                       int threads);
/// `sum_power` of those two halves alone, at half the cost.
[[nodiscard]] std::array<std::vector<double>, 2> power_of_sum(const Band& band, const std::vector<double>& amplitude,
                                                              const TrackA& track, int threads);
/// The two halves written component by component in double precision.
[[nodiscard]] std::array<Objective, 2> evaluate_halves_reference(const Band& band, const std::vector<double>& weight,
                                                                 const std::vector<double>& amplitude,
                                                                 const TrackA& track);
/// What two halves say together.
[[nodiscard]] Objective sum_of(std::array<Objective, 2> halves);
/// Which half a row of the band is in.
[[nodiscard]] constexpr std::size_t half_of(std::size_t row) { return row / 8 % 2; }

}  // namespace frazil::motion
