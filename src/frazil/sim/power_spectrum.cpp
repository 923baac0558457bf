#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/sim/formation.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::sim {
namespace {

using std::numbers::pi;

/// Phase power (rad² Å²) of protein of 465 kDa, one in (250 Å)²: its compact shape and its 65,000 atoms (Wilson
/// statistics).
double protein_power(double k_per_A, Kilovolt voltage) {
  constexpr double total_A = 4e4, gyration_A = 50, atoms = 6.5e4, atom_A = 2;
  const double shape = total_A * total_A * std::exp(-4 * pi * pi * k_per_A * k_per_A * gyration_A * gyration_A / 3);
  const double folds = atoms * atom_A * atom_A * (1 + 30 * std::exp(-std::pow(k_per_A * 12, 2)));
  return std::pow(0.7 * interaction(voltage), 2) / (250.0 * 250.0) * (shape + folds);
}

/// Independent atoms of carbon, 0.1 per Å³ in a film of 150 Å.
double carbon_power(double k_per_A, Kilovolt voltage) {
  return 0.1 * 150 * std::pow(interaction(voltage) * 2.5 * std::exp(-2 * k_per_A * k_per_A), 2);
}

/// Gamma(shape)/shape by Marsaglia & Tsang 2000 (doi:10.1145/358407.358414), shape ≥ 1.
double mean_of_exponentials(int shape, Rng& rng) {
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = rng.normal(), root = 1 + c * x, v = root * root * root;
    if (v > 0 && (x * x < 0.5 || std::log(rng.uniform() + 1e-300) < 0.5 * x * x + d - d * v + d * std::log(v)))
      return d * v / shape;
  }
}

/// Columns kx ≥ 0 of the expected power; calls body(x, y, value).
template <class Body>
void for_half(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec, const Body& body) {
  const int n = spec.box;
  const Lens lens(ctf, optics, spec.envelope);
  const double electrons_per_A2 = spec.dose.value() * transmission(spec.ice.thickness_A, optics.voltage);
  const double nyquist = 0.5 / spec.pixel_size.value(), lambda_A = electron_wavelength_A(optics.voltage),
               ice_share = 1 - spec.carbon;
  Ice vitreous = spec.ice;
  vitreous.crystalline = 0;
  const auto damped = [&](double k, double phase_power) {
    return 4 * electrons_per_A2 * phase_power * std::pow(lens.envelope(k), 2);
  };
  const RadialTable rings(corner_k(spec.pixel_size), [&](double k) {
    const double survived = mean_survival(k, 0, spec.dose.value(), optics.voltage);
    const double water = vitreous.power(k, optics.voltage) * vitreous.averaged(k, spec.dose.value());
    return damped(k, ice_share * (water + spec.protein * protein_power(k, optics.voltage) * survived * survived) +
                         spec.carbon * carbon_power(k, optics.voltage));
  });
  // Crystals hold their atoms: the rings of crystalline ice do not fade by the movement of molecules.
  const RadialTable crystal(corner_k(spec.pixel_size), [&](double k) {
    return damped(k, ice_share * (spec.ice.power(k, optics.voltage) - vitreous.power(k, optics.voltage)));
  });
  const RadialTable contrast(corner_k(spec.pixel_size), [&](double k) {
    return sinc(lambda_A * k * k * spec.depth_A) * sinc(lambda_A * k * k * spec.defocus_range_A);
  });
  const RadialTable floor(corner_k(spec.pixel_size), [&](double k) {
    return 1 - spec.noise_slope * std::pow(std::min(1.0, k / nyquist), 2) + spec.halo * std::exp(-k / 0.015);
  });
  Rng of_spots(77);
  std::array<double, 720> spot{};
  for (double& s : spot) s = of_spots.uniform() < 0.05 ? 20 : 0;
  for (int y = 0; y < n; ++y)
    for (int x = n / 2; x <= n; ++x) {
      const double kx = (x - n / 2) / (n * spec.pixel_size.value()), ky = (y - n / 2) / (n * spec.pixel_size.value()),
                   k = std::hypot(kx, ky);
      const double wave = lens.transfer(kx, ky), mtf = detector_mtf(kx / nyquist, ky / nyquist, spec.detector);
      const double blur = sinc(kx * spec.drift_A[0] + ky * spec.drift_A[1]);
      const double ringed = 0.5 + contrast(k) * (wave * wave - 0.5);
      double sharp = crystal(k);
      if (spec.spots > 0 && sharp > 0)
        sharp *= 1 + spec.spots * (spot[static_cast<std::size_t>((std::atan2(ky, kx) + pi) / (2 * pi) * 719.999)] - 1);
      body(x, y, floor(k) + (rings(k) + sharp) * ringed * mtf * mtf * blur * blur);
    }
}

/// Writes a half-plane value to both places that Friedel's law makes equal.
void place(Image& power, int x, int y, float value) {
  const int n = power.nx();
  power(x % n, y) = value;
  power((n - x) % n, (n - y) % n) = value;
}

}  // namespace

Image expected_power_spectrum(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec) {
  expect(spec.box > 0 && spec.box % 2 == 0, "power spectra have an even box");
  Image power(spec.box, spec.box, spec.pixel_size);
  for_half(ctf, optics, spec, [&](int x, int y, double value) { place(power, x, y, static_cast<float>(value)); });
  return power;
}

Image power_spectrum(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec, Rng& rng) {
  expect(spec.box > 0 && spec.box % 2 == 0, "power spectra have an even box");
  Image power(spec.box, spec.box, spec.pixel_size);
  for_half(ctf, optics, spec, [&](int x, int y, double value) {
    place(power, x, y, static_cast<float>(value * mean_of_exponentials(spec.tiles, rng)));
  });
  return power;
}

DefocusBound defocus_bound(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec, Angstrom finest) {
  const auto values = [&](const Ctf& c) {
    std::vector<double> list;
    for_half(c, optics, spec, [&](int x, int y, double value) {
      const double k = std::hypot(x - spec.box / 2, y - spec.box / 2) / (spec.box * spec.pixel_size.value());
      if (x > spec.box / 2 && x < spec.box && k > 1 / 30.0 && k < 1 / finest.value()) list.push_back(value);
    });
    return list;
  };
  const double angle = 2 * to_rad(ctf.astigmatism_angle), c0 = ctf.astigmatism().value() * std::cos(angle),
               s0 = ctf.astigmatism().value() * std::sin(angle);
  const auto moved = [&](double d, double c, double s) {
    const double mean = ctf.mean_defocus().value() + d, a = std::hypot(c0 + c, s0 + s);
    return Ctf{Angstrom(mean + a / 2), Angstrom(mean - a / 2), from_rad(0.5 * std::atan2(s0 + s, c0 + c)),
               ctf.phase_shift, ctf.b_factor};
  };
  constexpr double step_A = 5;
  const auto centre = values(ctf);
  const std::array derivative{values(moved(step_A, 0, 0)), values(moved(0, step_A, 0)), values(moved(0, 0, step_A))};
  std::array<std::array<double, 3>, 3> f{};
  for (std::size_t i = 0; i < centre.size(); ++i)
    for (std::size_t a = 0; a < 3; ++a)
      for (std::size_t b = 0; b < 3; ++b)
        f[a][b] += spec.tiles * (derivative[a][i] - centre[i]) * (derivative[b][i] - centre[i]) /
                   (centre[i] * centre[i] * step_A * step_A);
  const double minor_d = f[1][1] * f[2][2] - f[1][2] * f[2][1], minor_c = f[0][0] * f[2][2] - f[0][2] * f[2][0],
               minor_s = f[0][0] * f[1][1] - f[0][1] * f[1][0];
  const double all = f[0][0] * minor_d - f[0][1] * (f[1][0] * f[2][2] - f[1][2] * f[2][0]) +
                     f[0][2] * (f[1][0] * f[2][1] - f[1][1] * f[2][0]);
  if (!(all > 0)) return {1e9, 1e9};
  return {std::sqrt(minor_d / all), std::sqrt(0.5 * (minor_c + minor_s) / all)};
}

SpectrumScene random_spectrum_scene(Rng& rng) {
  SpectrumScene scene;
  constexpr std::array voltages{100.0, 200.0, 300.0}, aberrations{1.6, 2.7, 2.7};
  const auto microscope = rng.below(3);
  scene.optics = {Kilovolt(voltages[microscope]), Millimetre(aberrations[microscope]), rng.uniform(0.07, 0.1)};
  const double mean = std::exp(rng.uniform(std::log(3000.0), std::log(40000.0))),
               astigmatism = std::min(rng.uniform(0, 3000), 0.4 * mean);
  scene.ctf = canonical(
      {Angstrom(mean + astigmatism / 2), Angstrom(mean - astigmatism / 2), Degrees(rng.uniform(0, 180)), 0_deg, {}});
  auto& spec = scene.spec;
  spec.pixel_size = Angstrom(rng.uniform(1.0, 1.4));
  spec.dose = Dose(rng.uniform(10, 60));
  spec.tiles = static_cast<int>(rng.uniform(20, 160));
  spec.ice.thickness_A = rng.uniform(200, 1000);
  spec.depth_A = spec.ice.thickness_A;
  spec.protein = rng.uniform(0, 1.5);
  spec.carbon = rng.uniform() < 0.2 ? rng.uniform(0.05, 0.3) : 0;
  spec.envelope = {std::exp(rng.uniform(std::log(40.0), std::log(400.0))), rng.uniform(30, 80),
                   rng.uniform(0.01, 0.05)};
  spec.noise_slope = rng.uniform(0, 0.4);
  spec.halo = rng.uniform(0.5, 5);
  if (rng.uniform() < 0.1) {  // hardly anything there
    spec.ice.strength = rng.uniform(0.05, 0.4);
    spec.protein = rng.uniform(0, 0.1);
    spec.carbon = 0;
  }
  const double drift = rng.uniform(0, 1.5), direction = rng.uniform(0, 2 * pi);
  spec.drift_A = {drift * std::cos(direction), drift * std::sin(direction)};
  return scene;
}

std::string_view to_string(Spoilt kind) {
  constexpr std::array<std::string_view, 5> names{"empty", "drifted", "crystalline", "carbon", "charging"};
  return names[static_cast<std::size_t>(kind)];
}

SpectrumScene spoil(SpectrumScene scene, Spoilt kind, Rng& rng) {
  auto& spec = scene.spec;
  const double direction = rng.uniform(0, 2 * pi);
  const auto drift = [&](double length) {
    spec.drift_A = {length * std::cos(direction), length * std::sin(direction)};
  };
  switch (kind) {
    case Spoilt::empty:
      spec.ice.strength = spec.protein = spec.carbon = 0;
      break;
    case Spoilt::drifted:
      drift(rng.uniform(12, 40));
      break;
    case Spoilt::crystalline:
      spec.ice.crystalline = rng.uniform(20, 80);
      spec.carbon = 0;
      spec.spots = rng.uniform();
      break;
    case Spoilt::carbon:
      spec.carbon = 1;
      spec.ice.thickness_A = spec.depth_A = 150;
      break;
    case Spoilt::charging:
      drift(rng.uniform(4, 15));
      spec.defocus_range_A = rng.uniform(2000, 6000);
      break;
  }
  return scene;
}

}  // namespace frazil::sim
