#include "frazil/model/optics.hpp"

#include <cmath>
#include <numbers>
#include <utility>

namespace frazil {

using std::numbers::pi;

Angstrom wavelength(Kilovolt voltage) {
  const double v = voltage.value() * 1e3;
  return Angstrom(12.2643247 / std::sqrt(v * (1 + 0.978466e-6 * v)));
}

std::vector<std::string> check_magnification(const std::vector<double>& matrix) {
  if (matrix.empty()) return {};
  if (matrix.size() != 4)
    return {
        fmt::format("magnification: expected the four numbers rlnMagMat00, 01, 10 and 11, found {}", matrix.size())};
  // Microscopes are a few per cent off at most; more is a typing error.
  for (std::size_t i = 0; i < 4; ++i)
    if (!(std::abs(matrix[i] - (i == 0 || i == 3 ? 1 : 0)) <= 0.2))
      return {fmt::format("magnification: the matrix must lie within 0.2 of the unit matrix, entry {} is {}", i,
                          matrix[i])};
  return {};
}

Ctf canonical(Ctf ctf) {
  if (ctf.defocus_u < ctf.defocus_v) {
    std::swap(ctf.defocus_u, ctf.defocus_v);
    ctf.astigmatism_angle += 90_deg;
  }
  double angle = std::fmod(ctf.astigmatism_angle.value(), 180.0);
  if (angle < 0) angle += 180;
  if (angle >= 180) angle = 0;
  ctf.astigmatism_angle = Degrees(angle);
  return ctf;
}

CtfFunction::CtfFunction(const Ctf& ctf, const Optics& optics) {
  const double lambda = wavelength(optics.voltage).value();
  const double mean = ctf.mean_defocus().value(), half = ctf.astigmatism().value() / 2;
  const double angle = to_rad(ctf.astigmatism_angle);
  // Δf(α) k² = mean k² + half (cos 2a₀ (kx² − ky²) + 2 sin 2a₀ kx ky)
  a_xx_ = pi * lambda * (mean + half * std::cos(2 * angle));
  a_yy_ = pi * lambda * (mean - half * std::cos(2 * angle));
  a_xy_ = 2 * pi * lambda * half * std::sin(2 * angle);
  cs_term_ = 0.5 * pi * optics.cs.value() * 1e7 * lambda * lambda * lambda;
  constant_ = to_rad(ctf.phase_shift) + std::asin(optics.amplitude_contrast);
  b_quarter_ = ctf.b_factor.value() / 4;
}

double CtfFunction::operator()(double kx, double ky) const {
  const double envelope = b_quarter_ == 0 ? 1 : std::exp(-b_quarter_ * (kx * kx + ky * ky));
  return std::sin(phase(kx, ky)) * envelope;
}

}  // namespace frazil
