#include <cmath>
#include <numbers>

#include "frazil/sim/formation.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::sim {
namespace {

constexpr double pi = std::numbers::pi;

/// Phase power (rad² Å²) of protein of 465 kDa, one in (250 Å)²: its compact shape and its 65,000 atoms (Wilson statistics).
double protein_power(double k_per_A, Kilovolt voltage) {
  constexpr double total_A = 4e4, gyration_A = 50, atoms = 6.5e4, atom_A = 2;
  const double shape = total_A * total_A * std::exp(-4 * pi * pi * k_per_A * k_per_A * gyration_A * gyration_A / 3);
  const double folds = atoms * atom_A * atom_A * (1 + 30 * std::exp(-std::pow(k_per_A * 12, 2)));
  return std::pow(0.7 * interaction(voltage), 2) / (250.0 * 250.0) * (shape + folds);
}

/// Gamma(shape)/shape by Marsaglia & Tsang 2000 (doi:10.1145/358407.358414), shape ≥ 1.
double mean_of_exponentials(int shape, Rng& rng) {
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = rng.normal(), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(rng.uniform() + 1e-300) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v / shape;
  }
}

}  // namespace

Image expected_power_spectrum(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec) {
  expect(spec.box > 0 && spec.box % 2 == 0, "power spectra have an even box");
  const int n = spec.box;
  const Lens lens(ctf, optics, spec.envelope);
  const double electrons_per_A2 = spec.dose.value() * transmission(spec.ice.thickness_A, optics.voltage);
  const double nyquist = 0.5 / spec.pixel_size.value();
  const RadialTable rings(corner_k(spec.pixel_size), [&](double k) {
    const double survived = mean_survival(k, 0, spec.dose.value(), optics.voltage);
    const double phase_power = spec.ice.power(k, optics.voltage) * spec.ice.averaged(k, spec.dose.value()) + spec.protein * protein_power(k, optics.voltage) * survived * survived;
    return 4 * electrons_per_A2 * phase_power * std::pow(lens.envelope(k), 2);
  });
  Image power(n, n, spec.pixel_size);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const double kx = (x - n / 2) / (n * spec.pixel_size.value()), ky = (y - n / 2) / (n * spec.pixel_size.value()), k = std::hypot(kx, ky);
      const double wave = lens.transfer(kx, ky) * detector_mtf(kx / nyquist, ky / nyquist, spec.detector);
      const double halo = 2 * std::exp(-k / 0.015);  // inelastic scattering stays near the centre
      power(x, y) = static_cast<float>(1 + halo + rings(k) * wave * wave);
    }
  return power;
}

Image power_spectrum(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec, Rng& rng) {
  auto power = expected_power_spectrum(ctf, optics, spec);
  const int n = spec.box;
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const int mate_x = (n - x) % n, mate_y = (n - y) % n;  // Friedel: k and −k are the same number
      if (mate_y < y || (mate_y == y && mate_x < x)) power(x, y) = power(mate_x, mate_y);
      else power(x, y) *= static_cast<float>(mean_of_exponentials(spec.tiles, rng));
    }
  return power;
}

}  // namespace frazil::sim
