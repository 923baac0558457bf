// The independent Fourier components of a real square image, ordered by frequency.
#pragma once

#include <complex>
#include <vector>

#include "frazil/image/image.hpp"

namespace frazil::recon {

/// Components (kx, ky) of a box × box image with |k| ≤ max_k index units, one of each ±k pair, sorted by |k|, zero
/// frequency first: a lower resolution limit is a prefix.
struct Plane {
  int box = 0, max_k = 0;
  std::vector<float> kx, ky;  ///< kx ≥ 0
  std::vector<int> ring;      ///< |k| rounded
  std::vector<int> prefix;    ///< prefix[r]: number of components with |k| ≤ r, r = 0 … max_k

  [[nodiscard]] std::size_t size() const { return kx.size(); }
};

/// @param max_k at most box/2 − 1
[[nodiscard]] Plane half_plane(int box, int max_k);

/// Components with the phase origin at the image centre (box/2, box/2).
void gather(const Spectrum& spectrum, const Plane& plane, std::complex<float>* out);
/// Inverse of gather; components outside the plane become zero.
[[nodiscard]] Spectrum scatter(const std::complex<float>* components, const Plane& plane, Angstrom pixel_size);

}  // namespace frazil::recon
