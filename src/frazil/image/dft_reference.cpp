#include "frazil/image/dft_reference.hpp"

#include <cmath>
#include <numbers>

#include "frazil/base/index.hpp"

namespace frazil {
namespace {

using Complex = std::complex<double>;

/// exp(sign · 2πi j/n) for all j < n.
std::vector<Complex> roots_of_unity(int n, int sign) {
  std::vector<Complex> roots;
  for (int j = 0; j < n; ++j) roots.push_back(std::polar(1.0, sign * 2 * std::numbers::pi * j / n));
  return roots;
}

/// Σ_i values[i · stride] roots[k i mod n].
Complex sum_at(const Complex* values, std::size_t stride, std::size_t k, const std::vector<Complex>& roots) {
  double re = 0, im = 0;  // written out: the operator of complex numbers looks for infinities
  for (std::size_t i = 0, turn = 0; i < roots.size(); ++i, turn = (turn + k) % roots.size()) {
    const Complex v = values[i * stride], r = roots[turn];
    re += v.real() * r.real() - v.imag() * r.imag();
    im += v.real() * r.imag() + v.imag() * r.real();
  }
  return {re, im};
}

}  // namespace

std::vector<Complex> dft_reference(ImageView image, int columns) {
  const auto along_x = roots_of_unity(image.nx, -1), along_y = roots_of_unity(image.ny, -1);
  const auto width = z(columns), height = z(image.ny);
  std::vector<Complex> rows(width * height), out(rows.size());
  for (std::size_t y = 0; y < height; ++y) {
    const float* row = image.row(static_cast<int>(y));
    const std::vector<Complex> values(row, row + image.nx);
    for (std::size_t kx = 0; kx < width; ++kx) rows[y * width + kx] = sum_at(values.data(), 1, kx, along_x);
  }
  for (std::size_t ky = 0; ky < height; ++ky)
    for (std::size_t kx = 0; kx < width; ++kx) out[ky * width + kx] = sum_at(rows.data() + kx, width, ky, along_y);
  return out;
}

Image inverse_dft_reference(const std::vector<Complex>& half, int nx, int ny) {
  const auto along_x = roots_of_unity(nx, 1), along_y = roots_of_unity(ny, 1);
  const auto width = z(nx / 2 + 1);
  Image out(nx, ny);
  std::vector<Complex> row(z(nx));
  for (int y = 0; y < ny; ++y) {
    for (std::size_t kx = 0; kx < width; ++kx) {
      row[kx] = sum_at(half.data() + kx, width, z(y), along_y);
      if (kx > 0) row[z(nx) - kx] = std::conj(row[kx]);
    }
    for (int x = 0; x < nx; ++x)
      out(x, y) = static_cast<float>(sum_at(row.data(), 1, z(x), along_x).real() / (static_cast<double>(nx) * ny));
  }
  return out;
}

}  // namespace frazil
