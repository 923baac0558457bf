// Fourier transforms of real images by their definition, in double precision: slow and plainly right. What fast ones
// are checked against.
#pragma once

#include <complex>
#include <vector>

#include "frazil/image/image.hpp"

namespace frazil {

/// F(k) = Σ f(x) exp(−2πi k·x/n) for kx < columns and all ky, row by row: the layout of Spectrum.
/// Cost: columns · ny · (nx + ny) products.
[[nodiscard]] std::vector<std::complex<double>> dft_reference(ImageView image, int columns);
/// The real image whose transform has these nx/2 + 1 columns, divided by the number of pixels.
[[nodiscard]] Image inverse_dft_reference(const std::vector<std::complex<double>>& half, int nx, int ny);

}  // namespace frazil
