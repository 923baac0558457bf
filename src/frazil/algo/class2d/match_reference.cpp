#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/algo/class2d/match.hpp"

namespace frazil::class2d {

double log_likelihood_reference(const PolarGrid& grid, const Prepared& particle, const Harmonics& reference,
                                const Eigen::VectorXf& noise, int rings, double shift_x_px, double shift_y_px,
                                double angle_rad) {
  constexpr double pi = std::numbers::pi;
  double total = 0;
  for (int j = 0; j < rings; ++j) {
    double cross = 0, power = 0;
    for (int m = 0; m < grid.half_angles; ++m) {
      const double phi = pi * m / grid.half_angles;
      const double ramp =
          -2 * pi * grid.radius(j) * (std::cos(phi) * shift_x_px + std::sin(phi) * shift_y_px) / grid.box;
      const std::complex<double> x =
          std::complex<double>(particle.samples.re(j, m), particle.samples.im(j, m)) * std::polar(1.0, ramp);
      std::complex<double> a = reference(j, 0);
      for (int q = 1; q < static_cast<int>(reference.cols() / 2); ++q) {
        const std::complex<double> c(reference(j, 2 * q), reference(j, 2 * q + 1)),
            e = std::polar(1.0, q * (phi - angle_rad));
        a += c * e + (q % 2 == 0 ? 1.0 : -1.0) * std::conj(c) * std::conj(e);
      }
      cross += std::real(std::conj(x) * a);
      power += std::norm(a);
    }
    total += grid.area(j) / noise(j) * (cross - 0.5 * particle.ctf2(j) * power) / grid.half_angles;
  }
  return total;
}

}  // namespace frazil::class2d
