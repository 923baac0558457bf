#include "frazil/sim/lens.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace frazil::sim {
namespace {

using std::numbers::pi;
constexpr double rest_energy_keV = 510.99895;
constexpr double planck_J_s = 6.62607015e-34, electron_kg = 9.1093837015e-31, charge_C = 1.602176634e-19,
                 light_m_s = 299792458.0;

double beta_squared(Kilovolt voltage) {
  const double gamma = 1 + voltage.value() / rest_energy_keV;
  return 1 - 1 / (gamma * gamma);
}

double relative_to_300kV(Kilovolt voltage) { return beta_squared(voltage) / beta_squared(300_kV); }

double critical_dose(double k_per_A, Kilovolt voltage) {
  return (0.24499 * std::pow(k_per_A, -1.6649) + 2.8141) * relative_to_300kV(voltage);
}

/// Scattering length of one water molecule in Å: two Gaussians fitted to O + 2 H of the International Tables, within
/// 0.02 % below 0.5 1/Å.
double water_form_factor(double k_per_A) {
  const double quarter = k_per_A * k_per_A / 4;
  return 2.1948 * std::exp(-5.2124 * quarter) + 0.8461 * std::exp(-29.348 * quarter);
}

/// Structure factor of vitreous ice: compressibility limit at low k, first peak at 3.7 Å, near 1 beyond.
double water_structure(double k_per_A, double crystalline) {
  const double main_peak = 1.5 * std::exp(-std::pow((k_per_A - 0.27) / 0.04, 2));
  const double gas = 1 / (1 + std::exp(-(k_per_A - 0.36) / 0.03));
  const double rings =
      std::exp(-std::pow((k_per_A - 1 / 3.67) / 0.002, 2)) + 0.4 * std::exp(-std::pow((k_per_A - 1 / 3.9) / 0.002, 2));
  return 0.07 + 0.93 * gas + main_peak + crystalline * rings;
}

}  // namespace

double electron_wavelength_A(Kilovolt voltage) {
  const double energy_J = voltage.value() * 1e3 * charge_C;
  const double momentum =
      std::sqrt(2 * electron_kg * energy_J * (1 + energy_J / (2 * electron_kg * light_m_s * light_m_s)));
  return planck_J_s / momentum * 1e10;
}

double interaction(Kilovolt voltage) {
  return electron_wavelength_A(voltage) * (1 + voltage.value() / rest_energy_keV);
}

Lens::Lens(const Ctf& ctf, const Optics& optics, const Envelope& envelope)
    : ctf_(ctf),
      optics_(optics),
      envelope_(envelope),
      lambda_A_(electron_wavelength_A(optics.voltage)),
      cs_A_(optics.cs.value() * 1e7),
      cos_2a_(std::cos(2 * to_rad(ctf.astigmatism_angle))),
      sin_2a_(std::sin(2 * to_rad(ctf.astigmatism_angle))),
      constant_(to_rad(ctf.phase_shift) + std::asin(optics.amplitude_contrast)) {}

double Lens::transfer(double kx_per_A, double ky_per_A) const {
  const double k2 = kx_per_A * kx_per_A + ky_per_A * ky_per_A;
  if (k2 == 0) return std::sin(constant_);
  const double cos_2 = (kx_per_A * kx_per_A - ky_per_A * ky_per_A) / k2, sin_2 = 2 * kx_per_A * ky_per_A / k2;
  const double defocus_A =
      ctf_.mean_defocus().value() + ctf_.astigmatism().value() / 2 * (cos_2 * cos_2a_ + sin_2 * sin_2a_);
  const double wavefront = 0.5 * lambda_A_ * defocus_A * k2 - 0.25 * cs_A_ * std::pow(lambda_A_, 3) * k2 * k2;
  return std::sin(2 * pi * wavefront + constant_);
}

double Lens::envelope(double k_per_A) const {
  const double k2 = k_per_A * k_per_A;
  const double temporal = 0.5 * std::pow(pi * lambda_A_ * envelope_.focal_spread_A * k2, 2);
  const double slope =
      cs_A_ * std::pow(lambda_A_, 3) * k2 * k_per_A - ctf_.mean_defocus().value() * lambda_A_ * k_per_A;
  const double spatial = std::pow(pi * envelope_.half_angle_mrad * 1e-3 / lambda_A_ * slope, 2);
  return std::exp(-envelope_.b_factor_A2 * k2 / 4 - temporal - spatial);
}

Lens Lens::defocused(Angstrom change) const {
  Lens other(*this);
  other.ctf_.defocus_u += change;
  other.ctf_.defocus_v += change;
  return other;
}

double survival(double k_per_A, double dose_e_per_A2, Kilovolt voltage) {
  if (k_per_A <= 0) return 1;
  return std::exp(-dose_e_per_A2 / (2 * critical_dose(k_per_A, voltage)));
}

double mean_survival(double k_per_A, double from, double to, Kilovolt voltage) {
  if (k_per_A <= 0) return 1;
  const double rate = 1 / (2 * critical_dose(k_per_A, voltage));
  const double span = rate * (to - from);
  if (span < 1e-6) return std::exp(-rate * from);
  return std::exp(-rate * from) * (1 - std::exp(-span)) / span;
}

double Ice::power(double k_per_A, Kilovolt voltage) const {
  constexpr double molecules_per_A3 = 0.0311;
  const double phase_per_molecule = interaction(voltage) * water_form_factor(k_per_A);
  const double molecular =
      molecules_per_A3 * thickness_A * phase_per_molecule * phase_per_molecule * water_structure(k_per_A, crystalline);
  // Undulations of the surfaces: 4.5 V times 8 Å r.m.s., correlated over 200 Å.
  constexpr double k0_per_A = 1.0 / 200;
  const double roughness_rad = interaction(voltage) / 47.878 * 4.5 * 8;
  const double undulation = roughness_rad * roughness_rad / (2 * pi * k0_per_A * k0_per_A) *
                            std::pow(1 + std::pow(k_per_A / k0_per_A, 2), -1.5);
  return strength * strength * (molecular + undulation);
}

double Ice::memory(double k_per_A, double dose_e_per_A2) const {
  return std::exp(-2 * pi * pi * k_per_A * k_per_A * mobility_A2 * dose_e_per_A2);
}

double Ice::averaged(double k_per_A, double dose_e_per_A2) const {
  const double x = 2 * pi * pi * k_per_A * k_per_A * mobility_A2 * dose_e_per_A2;
  return x < 1e-3 ? 1 - x / 3 : 2 * (x - 1 + std::exp(-x)) / (x * x);
}

double transmission(double thickness_A, Kilovolt voltage) {
  return std::exp(-thickness_A / (3000 * relative_to_300kV(voltage)));
}

double detector_mtf(double kx_nyquist, double ky_nyquist, double sharpness) {
  if (sharpness <= 0) return 1;
  const double k2 = std::min(1.0, (kx_nyquist * kx_nyquist + ky_nyquist * ky_nyquist));
  const double response = sinc(kx_nyquist / 2) * sinc(ky_nyquist / 2) * (1 - 0.35 * k2);
  return 1 + sharpness * (response - 1);
}

Ctf random_ctf(Rng& rng) {
  const double mean_A = rng.uniform(5000, 25000);
  const double half_A = std::min(300.0, 100 * std::hypot(rng.normal(), rng.normal()));
  return {Angstrom(mean_A + half_A), Angstrom(mean_A - half_A), Degrees(rng.uniform(0, 180)), Degrees(0), Angstrom2(0)};
}

}  // namespace frazil::sim
