#include "frazil/sim/formation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/finite.hpp"

namespace frazil::sim {
namespace {
constexpr int table_steps = 4096;
using std::numbers::pi;
}  // namespace

RadialTable::RadialTable(double k_max_per_A, const std::function<double(double)>& function)
    : steps_per_k_(table_steps / k_max_per_A), values_(table_steps + 2) {
  for (int i = 0; i < table_steps + 2; ++i) values_[static_cast<std::size_t>(i)] = function(i / steps_per_k_);
}

double RadialTable::operator()(double k_per_A) const {
  const double position = std::min(k_per_A * steps_per_k_, static_cast<double>(table_steps));
  const auto i = static_cast<std::size_t>(position);
  const double part = position - static_cast<double>(i);
  return values_[i] * (1 - part) + values_[i + 1] * part;
}

void add_coloured_noise(Spectrum& spectrum, const RadialTable& power, const Rng& rng, int threads) {
  const int nx = spectrum.nx(), ny = spectrum.ny();
  const double pixel_A = spectrum.pixel_size.value();
  const double scale = static_cast<double>(nx) * ny / (pixel_A * pixel_A) / 2;
  parallel_for(threads, static_cast<std::size_t>(ny), [&](std::size_t row) {
    Rng own = rng.stream(row);
    const int iy = static_cast<int>(row);
    const double ky = spectrum.ky(iy) / (ny * pixel_A);
    for (int ix = 0; ix < spectrum.columns(); ++ix) {
      const double kx = ix / (nx * pixel_A);
      double sigma = std::sqrt(scale * power(std::sqrt(kx * kx + ky * ky)));
      if (ix == 0 || ix == nx / 2)
        sigma *= std::numbers::sqrt2;  // the inverse transform keeps only the Hermitian half of these columns
      const double re = own.normal(), im = own.normal();
      spectrum(ix, iy) += std::complex<float>(static_cast<float>(sigma * re), static_cast<float>(sigma * im));
    }
  });
  spectrum(0, 0) = {spectrum(0, 0).real(), 0};
}

std::vector<float> contrast_transfer(const Scene& scene, const Lens& lens, int nx, int ny, int threads) {
  std::vector<float> gain(static_cast<std::size_t>(nx / 2 + 1) * static_cast<std::size_t>(ny));
  const RadialTable envelope(corner_k(scene.pixel_size), [&](double k) { return lens.envelope(k); });
  const double nyquist = 0.5 / scene.pixel_size.value();
  for_components(nx, ny, scene.pixel_size, threads, [&](int ix, int iy, double kx, double ky, double k) {
    const double value =
        -2 * lens.transfer(kx, ky) * envelope(k) * detector_mtf(kx / nyquist, ky / nyquist, scene.detector);
    gain[static_cast<std::size_t>(iy) * static_cast<std::size_t>(nx / 2 + 1) + static_cast<std::size_t>(ix)] =
        static_cast<float>(value);
  });
  return gain;
}

void draw_crystal(Image& phase, double x_px, double y_px, double radius_px, Kilovolt voltage, Rng rng) {
  const double pixel_A = phase.pixel_size.value();
  const double thickness_A = rng.uniform(150, 500), height_rad = interaction(voltage) / 47.878 * 4.5 * thickness_A;
  const double turn = rng.uniform(0, pi / 3), squash = rng.uniform(0.5, 1), tilt = rng.uniform(0, pi);
  const double fringe_turn = rng.uniform(0, pi), edge_px = std::max(1.0, 8 / pixel_A);
  const double lattice_rad_px = 2 * pi * pixel_A / 3.67;
  const int reach = static_cast<int>(std::ceil(radius_px + 3 * edge_px));
  for (int iy = std::max(0, static_cast<int>(y_px) - reach); iy < std::min(phase.ny(), static_cast<int>(y_px) + reach);
       ++iy)
    for (int ix = std::max(0, static_cast<int>(x_px) - reach);
         ix < std::min(phase.nx(), static_cast<int>(x_px) + reach); ++ix) {
      const double dx = ix - x_px, dy = iy - y_px;
      const double u = dx * std::cos(tilt) + dy * std::sin(tilt),
                   v = (-dx * std::sin(tilt) + dy * std::cos(tilt)) / squash;
      const double angle = std::atan2(v, u) - turn, sector = std::remainder(angle, pi / 3);
      const double side_px =
          std::hypot(u, v) * std::cos(sector);  // distance from the centre across the nearest side of the hexagon
      const double inside = 1 / (1 + std::exp(std::clamp((side_px - 0.87 * radius_px) / edge_px * 2, -40.0, 40.0)));
      const double fringes =
          lattice_rad_px < pi
              ? 0.1 * std::cos(lattice_rad_px * (dx * std::cos(fringe_turn) + dy * std::sin(fringe_turn)))
              : 0;
      phase(ix, iy) += static_cast<float>(height_rad * inside * (1 - 0.4 * side_px / radius_px + fringes));
    }
}

Copies draw_aggregate(double radius_px, double diameter_px, Rng& rng) {
  Copies copies;
  const double area = std::pow(2 * radius_px / diameter_px, 2);
  const int count = std::max(3, static_cast<int>(std::lround(area * rng.uniform(1.2, 2.2))));
  for (int i = 0; i < count; ++i) {
    const double r = at_least_zero(radius_px - diameter_px / 2) * std::sqrt(rng.uniform()) + 0.15 * diameter_px,
                 phi = rng.uniform(0, 2 * pi);
    copies.offsets_px.push_back({r * std::cos(phi), r * std::sin(phi)});
  }
  return copies;
}

}  // namespace frazil::sim
