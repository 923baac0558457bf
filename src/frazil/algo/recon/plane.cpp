#include "frazil/algo/recon/plane.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace frazil::recon {
namespace {

float centre_sign(int kx, int ky) { return ((kx + ky) & 1) != 0 ? -1.0F : 1.0F; }

}  // namespace

Plane half_plane(int box, int max_k) {
  expect(box % 2 == 0 && max_k >= 1 && max_k < box / 2, "max_k lies below Nyquist of an even box");
  std::vector<std::tuple<int, int, int>> order;  // k², kx, ky
  for (int kx = 0; kx <= max_k; ++kx)
    for (int ky = -max_k; ky <= max_k; ++ky)
      if (const int k2 = kx * kx + ky * ky; k2 <= max_k * max_k && (kx > 0 || ky >= 0)) order.emplace_back(k2, kx, ky);
  std::sort(order.begin(), order.end());
  Plane plane{box, max_k, {}, {}, {}, std::vector<int>(static_cast<std::size_t>(max_k) + 1)};
  for (const auto& [k2, kx, ky] : order) {
    plane.kx.push_back(static_cast<float>(kx));
    plane.ky.push_back(static_cast<float>(ky));
    plane.ring.push_back(static_cast<int>(std::lround(std::sqrt(k2))));
    for (int r = max_k; r >= 0 && r * r >= k2; --r) ++plane.prefix[static_cast<std::size_t>(r)];
  }
  return plane;
}

void gather(const Spectrum& spectrum, const Plane& plane, std::complex<float>* out) {
  expect(spectrum.nx() == plane.box && spectrum.ny() == plane.box, "spectrum has the box of the plane");
  for (std::size_t j = 0; j < plane.size(); ++j) {
    const int kx = static_cast<int>(plane.kx[j]), ky = static_cast<int>(plane.ky[j]);
    out[j] = spectrum(kx, ky >= 0 ? ky : ky + plane.box) * centre_sign(kx, ky);
  }
}

Spectrum scatter(const std::complex<float>* components, const Plane& plane, Angstrom pixel_size) {
  Spectrum out(plane.box, plane.box, pixel_size);
  for (std::size_t j = 0; j < plane.size(); ++j) {
    const int kx = static_cast<int>(plane.kx[j]), ky = static_cast<int>(plane.ky[j]);
    const auto value = components[j] * centre_sign(kx, ky);
    out(kx, ky >= 0 ? ky : ky + plane.box) = value;
    if (kx == 0 && ky > 0) out(0, plane.box - ky) = std::conj(value);
  }
  return out;
}

}  // namespace frazil::recon
