// The plain version of the band: what the fast one is tested against.
#include <complex>
#include <numeric>

#include "frazil/algo/motion/band.hpp"
#include "frazil/base/index.hpp"
#include "frazil/image/dft_reference.hpp"

namespace frazil::motion {
namespace {

/// One frame without its mean, falling off to its sides, transformed.
std::vector<std::complex<double>> softened_transform(const Window& window, int frame) {
  Image part(static_cast<int>(window.taper_x.size()), static_cast<int>(window.taper_y.size()));
  window.part(frame, part);
  const auto pixels = part.pixels();
  const double mean = std::accumulate(pixels.begin(), pixels.end(), 0.0) / static_cast<double>(pixels.size());
  for (int y = 0; y < part.ny(); ++y)
    for (int x = 0; x < part.nx(); ++x)
      part(x, y) = static_cast<float>((part(x, y) - mean) * window.taper_x[z(x)] * window.taper_y[z(y)]);
  return dft_reference(part, part.nx() / 2 + 1);
}

}  // namespace

Band make_band_reference(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits,
                         const Exposure& exposure) {
  Band band = empty_band(frames, window, pixel_size, limits);
  const int nx = static_cast<int>(window.taper_x.size()), ny = static_cast<int>(window.taper_y.size());
  for (int t = 0; t < frames; ++t) {
    const auto transform = softened_transform(window, t);
    for (const auto& row : band.rows)
      for (int i = 0; i < row.count; ++i) {
        const auto shell = band.shell[row.component + z(i)];
        std::complex<double> value = 0;
        if (shell < band.shells) {
          value = transform[z(row.ky >= 0 ? row.ky : row.ky + ny) * z(nx / 2 + 1) + z(row.first_kx + i)];
          band.power[z(t)][shell] += std::norm(value) / band.shell_count[shell];
        }
        band.data[band.at(row, t, i)] = static_cast<float>(value.real());
        band.data[band.at(row, t, i) + Band::lanes] = static_cast<float>(value.imag());
      }
  }
  whiten(band, exposure, 1);
  return band;
}

}  // namespace frazil::motion
