// The plain version of the objective: what the fast one is tested against.
#include <complex>
#include <numbers>

#include "frazil/algo/motion/objective.hpp"

namespace frazil::motion {

std::array<Objective, 2> evaluate_halves_reference(const Band& band, const std::vector<double>& weight,
                                                   const std::vector<double>& amplitude, const TrackA& track) {
  const auto frames = static_cast<std::size_t>(band.frames);
  std::array<Objective, 2> halves;
  halves.fill({0, std::vector<double>(frames), std::vector<double>(frames), std::vector<double>(frames),
               std::vector<double>(static_cast<std::size_t>(band.shells))});
  std::vector<std::complex<double>> turned(frames);
  for (std::size_t r = 0; r < band.rows.size(); ++r) {
    const auto& row = band.rows[r];
    auto& total = halves[half_of(r)];
    for (int i = 0; i < row.count; ++i) {
      const auto shell = band.shell[row.component + static_cast<std::size_t>(i)];
      if (shell >= band.shells) continue;
      const double kx = (row.first_kx + i) * band.step_x_per_A, ky = row.ky * band.step_y_per_A;
      std::complex<double> sum = 0;
      for (std::size_t t = 0; t < frames; ++t) {
        const auto at = band.at(row, static_cast<int>(t), i);
        const std::complex<double> value(static_cast<double>(band.data[at]),
                                         static_cast<double>(band.data[at + Band::lanes]));
        turned[t] = value * std::polar(1.0, -2 * std::numbers::pi * (kx * track.x[t] + ky * track.y[t]));
        sum += amplitude[t] * turned[t];
      }
      total.value += weight[shell] * std::norm(sum);
      total.sum_power[shell] += std::norm(sum);
      for (std::size_t t = 0; t < frames; ++t) {
        const std::complex<double> slope = weight[shell] * std::conj(sum) * turned[t];
        total.gradient_x[t] += 4 * std::numbers::pi * kx * amplitude[t] * slope.imag();
        total.gradient_y[t] += 4 * std::numbers::pi * ky * amplitude[t] * slope.imag();
        total.overlap[t] += slope.real();
      }
    }
  }
  return halves;
}

}  // namespace frazil::motion
