// Test helper: noise with the power spectrum of a micrograph, its CTF written another way than the program's.
#pragma once

#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/base/random.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/model/optics.hpp"

namespace frazil::ctf::synthetic {

struct Scene {
  int nx = 1024, ny = 1024;
  double pixel_A = 1.5, voltage_V = 300e3, cs_A = 2.7e7, amplitude_contrast = 0.1;
  double defocus_1_A = 15000, defocus_2_A = 14700, angle_rad = 0.5, phase_rad = 0;
  double contrast = 0.15;  ///< ring power over the flat noise at k → 0
  double decay_A2 = 60;    ///< ring power × exp(−decay k²/2)
  double slope = 3;        ///< background 1 + slope × exp(−k / 0.04) of structured noise
};

/// Wave aberration from the optical path: 2π/λ (½ z θ² − ¼ Cs θ⁴) with θ = λk (radians), λ from de Broglie with SI
/// constants.
inline double path_phase(const Scene& s, double kx, double ky) {
  // CODATA 2018: Planck constant, elementary charge, electron mass, speed of light, SI.
  constexpr double h = 6.62607015e-34, e = 1.602176634e-19, m = 9.1093837015e-31, c = 299792458;
  const double energy = e * s.voltage_V, momentum = std::sqrt(2 * m * energy * (1 + energy / (2 * m * c * c)));
  const double lambda = h / momentum * 1e10;
  const double azimuth = std::atan2(ky, kx) - s.angle_rad, theta = lambda * std::hypot(kx, ky);
  const double z =
      s.defocus_1_A * std::cos(azimuth) * std::cos(azimuth) + s.defocus_2_A * std::sin(azimuth) * std::sin(azimuth);
  return 2 * std::numbers::pi / lambda * (z * theta * theta / 2 - s.cs_A * std::pow(theta, 4) / 4);
}

inline double ring_power(const Scene& s, double kx, double ky) {
  const double chi = path_phase(s, kx, ky) + s.phase_rad, a = s.amplitude_contrast;
  const double transfer = std::sqrt(1 - a * a) * std::sin(chi) + a * std::cos(chi);
  return transfer * transfer;
}

inline double power_at(const Scene& s, double kx, double ky) {
  const double k = std::hypot(kx, ky);
  return 1 + s.slope * std::exp(-k / 0.04) +
         s.contrast * std::exp(-s.decay_A2 * k * k / 2) * (1 + 2 * s.slope * std::exp(-k / 0.06)) *
             ring_power(s, kx, ky);
}

/// A micrograph: white noise coloured by the square root of power_at.
inline Image micrograph(const Scene& s, Rng& rng) {
  Image image(s.nx, s.ny, Angstrom(s.pixel_A));
  for (float& v : image.pixels()) v = static_cast<float>(rng.normal());
  auto spectrum = fft(image);
  for (int iy = 0; iy < spectrum.ny(); ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix)
      spectrum(ix, iy) *=
          static_cast<float>(std::sqrt(power_at(s, ix / (s.nx * s.pixel_A), spectrum.ky(iy) / (s.ny * s.pixel_A))));
  return ifft(spectrum);
}

inline Scene random_scene(Rng& rng) {
  Scene s;
  const double mean = rng.uniform(5000, 25000), astigmatism = rng.uniform(0, 1000);
  s.defocus_1_A = mean + astigmatism / 2;
  s.defocus_2_A = mean - astigmatism / 2;
  s.angle_rad = rng.uniform(0, std::numbers::pi);
  s.contrast = std::exp(rng.uniform(std::log(0.05), std::log(0.4)));
  s.decay_A2 = rng.uniform(30, 120);
  return s;
}

}  // namespace frazil::ctf::synthetic
