// The plain version of the objective: what the fast one is tested against.
#include <complex>
#include <numbers>

#include "frazil/algo/motion/objective.hpp"

namespace frazil::motion {

Objective evaluate_reference(const Band& band, const std::vector<double>& weight, const std::vector<double>& amplitude, const TrackA& track) {
  const auto frames = static_cast<std::size_t>(band.frames);
  Objective total{0, std::vector<double>(frames), std::vector<double>(frames)};
  std::vector<std::complex<double>> turned(frames);
  for (const auto& row : band.rows)
    for (int i = 0; i < row.count; ++i) {
      const auto shell = band.shell[row.component + static_cast<std::size_t>(i)];
      if (shell >= band.shells) continue;
      const double kx = (row.first_kx + i) * band.step_x_per_A, ky = row.ky * band.step_y_per_A;
      std::complex<double> sum = 0;
      for (std::size_t t = 0; t < frames; ++t) {
        const auto at = row.offset + t * static_cast<std::size_t>(row.count) + static_cast<std::size_t>(i);
        const std::complex<double> value(static_cast<double>(band.re[at]), static_cast<double>(band.im[at]));
        turned[t] = amplitude[t] * value * std::polar(1.0, -2 * std::numbers::pi * (kx * track.x[t] + ky * track.y[t]));
        sum += turned[t];
      }
      total.value += weight[shell] * std::norm(sum);
      for (std::size_t t = 0; t < frames; ++t) {
        const double slope = 4 * std::numbers::pi * weight[shell] * std::imag(std::conj(sum) * turned[t]);
        total.gradient_x[t] += kx * slope;
        total.gradient_y[t] += ky * slope;
      }
    }
  return total;
}

}  // namespace frazil::motion
