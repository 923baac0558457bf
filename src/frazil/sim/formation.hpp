// Steps of image formation shared by particle images, micrographs and movies; internal to the simulator.
#pragma once

#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/sim/scene.hpp"

namespace frazil::sim {

/// A function of |k| sampled finely once (4096 steps, linear between).
class RadialTable {
 public:
  RadialTable() = default;
  RadialTable(double k_max_per_A, const std::function<double(double)>& function);
  [[nodiscard]] double operator()(double k_per_A) const;

 private:
  double steps_per_k_ = 1;
  std::vector<double> values_;
};

/// Largest |k| on the half spectrum of a grid of this pixel.
[[nodiscard]] inline double corner_k(Angstrom pixel_size) { return 0.7072 / pixel_size.value(); }

/// Calls body(ix, iy, kx, ky, |k|) for each component; k in 1/Å.
template <class Body>
void for_components(int nx, int ny, Angstrom pixel_size, int threads, const Body& body) {
  parallel_for(threads, static_cast<std::size_t>(ny), [&](std::size_t row) {
    const int iy = static_cast<int>(row);
    const double ky = (iy <= ny / 2 ? iy : iy - ny) / (ny * pixel_size.value());
    for (int ix = 0; ix <= nx / 2; ++ix) {
      const double kx = ix / (nx * pixel_size.value());
      body(ix, iy, kx, ky, std::sqrt(kx * kx + ky * ky));
    }
  });
}

/// Adds Gaussian noise of power spectrum `power` (unit² Å²) to a spectrum; rows have their own streams of `rng`.
void add_coloured_noise(Spectrum& spectrum, const RadialTable& power, const Rng& rng, int threads);

/// −2 · CTF · envelope · detector on the half spectrum: turns phase into contrast (image intensity = mean · (1 +
/// contrast)).
[[nodiscard]] std::vector<float> contrast_transfer(const Scene& scene, const Lens& lens, int nx, int ny, int threads);

/// Draws the phase of a hexagonal ice crystal (soft polygon with lattice fringes) onto an image.
void draw_crystal(Image& phase, double x_px, double y_px, double radius_px, Kilovolt voltage, Rng rng);

/// Phase of aggregated protein: overlapping copies within `radius_px`.
struct Copies {
  std::vector<std::array<double, 2>> offsets_px;
};
[[nodiscard]] Copies draw_aggregate(double radius_px, double diameter_px, Rng& rng);

}  // namespace frazil::sim
