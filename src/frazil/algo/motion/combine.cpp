#include "frazil/algo/motion/combine.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::motion {
namespace {

int cropped(int n, double binning) {
  return binning <= 1 ? n : std::max(2, 2 * static_cast<int>(std::lround(n / binning / 2)));
}

/// Interpolates weights given at multiples of a step along |k|.
class Curve {
 public:
  Curve(const std::vector<double>& values, double step_per_A, const Spectrum& shape)
      : table_(values.begin(), values.end()) {
    table_.push_back(table_.back());
    kx2_ = static_cast<float>(std::pow(1 / (shape.nx() * shape.pixel_size.value() * step_per_A), 2));
    ky2_ = std::pow(1 / (shape.ny() * shape.pixel_size.value() * step_per_A), 2);
  }
  void add_row(const std::complex<float>* __restrict source, std::complex<float>* __restrict target, int columns,
               int ky) const {
    const auto row = static_cast<float>(ky2_ * ky * ky);
    const auto last = static_cast<float>(table_.size() - 2);
    for (int ix = 0; ix < columns; ++ix) {
      const float position = std::min(last, std::sqrt(row + kx2_ * static_cast<float>(ix) * static_cast<float>(ix)));
      const auto i = static_cast<int>(position);
      const float f = position - static_cast<float>(i), low = table_[z(i)];
      const float w = low + f * (table_[z(i) + 1] - low);
      target[ix] += source[ix] * w;
    }
  }

 private:
  std::vector<float> table_;
  float kx2_ = 0;
  double ky2_ = 0;
};

void add(Spectrum& target, const Spectrum& source, const std::vector<double>& weights, double step_per_A, int threads) {
  const Curve curve(weights, step_per_A, source);
  parallel_for(threads, z(source.ny()), [&](std::size_t row) {
    const int iy = static_cast<int>(row);
    curve.add_row(source.row(iy), target.row(iy), source.columns(), source.ky(iy));
  });
}

/// Without the checks for infinities that the operator makes.
std::complex<float> product(std::complex<float> a, std::complex<float> b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

/// Divides the spline out and transforms back; pixel values keep the scale of the uncropped sum of nx × ny pixels.
Image finish(Spectrum&& spectrum, const Response& response, int nx, int ny, int threads) {
  const auto scale =
      static_cast<float>(static_cast<double>(spectrum.nx()) * spectrum.ny() / (static_cast<double>(nx) * ny));
  parallel_for(threads, z(spectrum.ny()), [&](std::size_t row) {
    const int ky = spectrum.ky(static_cast<int>(row));
    const auto y = response.y[z(ky >= 0 ? ky : ky + ny)] * scale;
    auto* values = spectrum.row(static_cast<int>(row));
    for (int ix = 0; ix < spectrum.columns(); ++ix) values[ix] = product(product(values[ix], response.x[z(ix)]), y);
  });
  return ifft(std::move(spectrum), threads);
}

/// Results that are still spectra.
struct Accumulated {
  Spectrum plain, weighted, odd, even;
};

void add_to(Spectrum& target, const Spectrum& source, const DoseBasis& basis, int r, int threads) {
  if (target.size() == 0) target = Spectrum(source.nx(), source.ny(), source.pixel_size);
  add(target, source, basis.weighted() ? basis.a[z(r)] : std::vector<double>{1, 1},
      basis.weighted() ? basis.step_per_A : 1, threads);
}

}  // namespace

Sums combine(std::vector<Image>&& sums, const DoseBasis& basis, const Response& response, double binning, bool halves,
             int threads) {
  expect(!sums.empty() && sums.size() == z(basis.rank()) * (halves ? 2 : 1),
         "one sum for each row of the basis, two with halves");
  const int nx = sums[0].nx(), ny = sums[0].ny(), small_x = cropped(nx, binning), small_y = cropped(ny, binning);
  const Angstrom pixel_size = sums[0].pixel_size * (static_cast<double>(nx) / small_x);
  Accumulated found;
  const auto take = [&](Spectrum&& spectrum, std::size_t row) {
    const int r = static_cast<int>(halves ? row / 2 : row);
    if (basis.weighted()) add_to(found.weighted, spectrum, basis, r, threads);
    if (halves) add_to(row % 2 == 0 ? found.odd : found.even, spectrum, basis, r, threads);
    if (r > 0) return;
    if (found.plain.size() == 0)
      found.plain = std::move(spectrum);
    else
      for (std::size_t i = 0; i < spectrum.size(); ++i) found.plain.data()[i] += spectrum.data()[i];
  };
  for (std::size_t row = 0; row < sums.size(); ++row) {
    Spectrum spectrum = fft_cropped(sums[row].view(), small_x, small_y, pixel_size, threads);
    sums[row] = Image();
    take(std::move(spectrum), row);
  }
  Sums results;
  results.plain = finish(std::move(found.plain), response, nx, ny, threads);
  if (basis.weighted()) results.weighted = finish(std::move(found.weighted), response, nx, ny, threads);
  if (halves) {
    results.odd = finish(std::move(found.odd), response, nx, ny, threads);
    results.even = finish(std::move(found.even), response, nx, ny, threads);
  }
  return results;
}

}  // namespace frazil::motion
