#include "frazil/image/ops.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "frazil/base/finite.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil {
namespace {

using std::numbers::pi;

/// Rising cosine step: 0 at or below a, 1 at or above b.
double rise(double x, double a, double b) {
  if (x <= a) return 0;
  if (x >= b) return 1;
  return 0.5 - 0.5 * std::cos(pi * (x - a) / (b - a));
}

template <class T>
double fall_of_mask(T r, double radius, double edge) {
  return edge > 0 ? 1 - rise(r, radius, radius + edge) : (r <= radius ? 1 : 0);
}

void add_finite(Statistics& s, double& sum, double& squares, std::size_t& count, float value) {
  if (!std::isfinite(value)) {
    ++s.not_finite;
    return;
  }
  const double v = value;
  sum += v;
  squares += v * v;
  s.min = std::min(s.min, v);
  s.max = std::max(s.max, v);
  ++count;
}

/// Sums by row first keep the precision of large images.
template <class RowOf>
Statistics statistics_of_rows(int rows, const RowOf& row_of) {
  Statistics s{0, 0, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), 0};
  double total = 0, total_squares = 0;
  std::size_t count = 0;
  for (int y = 0; y < rows; ++y) {
    double sum = 0, squares = 0;
    for (const float value : row_of(y)) add_finite(s, sum, squares, count, value);
    total += sum;
    total_squares += squares;
  }
  if (count == 0) return {0, 0, 0, 0, s.not_finite};
  const auto n = static_cast<double>(count);
  s.mean = total / n;
  s.stddev = std::sqrt(at_least_zero(total_squares / n - s.mean * s.mean));
  return s;
}

}  // namespace

Statistics statistics(ImageView image) {
  return statistics_of_rows(image.ny, [&](int y) { return std::span(image.row(y), z(image.nx)); });
}

Statistics statistics(std::span<const float> values) {
  constexpr std::size_t width = 4096;
  return statistics_of_rows(static_cast<int>(values.size() / width) + 1, [&](int y) {
    return values.subspan(z(y) * width, std::min(width, values.size() - z(y) * width));
  });
}

double quantile(ImageView image, double fraction) {
  const std::size_t total = static_cast<std::size_t>(image.nx) * static_cast<std::size_t>(image.ny);
  const std::size_t step = std::max<std::size_t>(1, total / 65536);
  std::vector<float> sample;
  sample.reserve(total / step + 1);
  for (std::size_t i = 0; i < total; i += step) {
    const float v = image(static_cast<int>(i % static_cast<std::size_t>(image.nx)),
                          static_cast<int>(i / static_cast<std::size_t>(image.nx)));
    if (std::isfinite(v)) sample.push_back(v);
  }
  if (sample.empty()) return 0;
  return at_fraction(sample, std::clamp(fraction, 0.0, 1.0));
}

Image crop(ImageView source, int x0, int y0, int nx, int ny, float fill, Angstrom pixel_size) {
  Image out(nx, ny, pixel_size);
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) {
      const int sx = x + x0, sy = y + y0;
      out(x, y) = sx >= 0 && sx < source.nx && sy >= 0 && sy < source.ny ? source(sx, sy) : fill;
    }
  return out;
}

Spectrum fourier_resize(const Spectrum& spectrum, int nx, int ny) {
  Spectrum out(nx, ny, spectrum.pixel_size * (static_cast<double>(spectrum.nx()) / nx));
  const auto scale =
      static_cast<float>(static_cast<double>(nx) * ny / (static_cast<double>(spectrum.nx()) * spectrum.ny()));
  const int columns = std::min(out.columns(), spectrum.columns());
  const int half = std::min(ny, spectrum.ny()) / 2;
  for (int ky = -half; ky <= half; ++ky) {
    // The Nyquist row of an even length stands once, as +n/2.
    if (2 * ky == -std::min(ny, spectrum.ny())) continue;
    const int from = ky >= 0 ? ky : ky + spectrum.ny();
    const int to = ky >= 0 ? ky : ky + ny;
    std::transform(spectrum.row(from), spectrum.row(from) + columns, out.row(to),
                   [scale](auto v) { return v * scale; });
  }
  return out;
}

Image fourier_resize(const Image& image, int nx, int ny) { return ifft(fourier_resize(fft(image), nx, ny)); }

Volume fourier_resize(const Volume& volume, int n) {
  const auto in = fft(volume);
  VolumeSpectrum out(n, n, n, volume.pixel_size * (static_cast<double>(volume.nx()) / n));
  const auto scale = static_cast<float>(std::pow(static_cast<double>(n), 3) / static_cast<double>(volume.size()));
  const int columns = std::min(out.columns(), in.columns());
  const int half = std::min(n, in.ny()) / 2;
  for (int kz = -half; kz <= half; ++kz)
    for (int ky = -half; ky <= half; ++ky) {
      if (2 * ky == -std::min(n, in.ny()) || 2 * kz == -std::min(n, in.nz())) continue;
      for (int ix = 0; ix < columns; ++ix)
        out(ix, ky >= 0 ? ky : ky + n, kz >= 0 ? kz : kz + n) =
            in(ix, ky >= 0 ? ky : ky + in.ny(), kz >= 0 ? kz : kz + in.nz()) * scale;
    }
  return ifft(out);
}

void fourier_shift(Spectrum& spectrum, double dx_px, double dy_px) {
  for (int iy = 0; iy < spectrum.ny(); ++iy) {
    const double row_phase = -2 * pi * spectrum.ky(iy) * dy_px / spectrum.ny();
    for (int ix = 0; ix < spectrum.columns(); ++ix) {
      const double phase = row_phase - 2 * pi * ix * dx_px / spectrum.nx();
      spectrum(ix, iy) *= std::complex<float>(static_cast<float>(std::cos(phase)), static_cast<float>(std::sin(phase)));
    }
  }
}

Image bin(ImageView image, int factor, Angstrom pixel_size) {
  expect(factor >= 1, "binning factor is at least 1");
  Image out(image.nx / factor, image.ny / factor, pixel_size * factor);
  const float scale = 1.0F / static_cast<float>(factor * factor);
  for (int y = 0; y < out.ny(); ++y)
    for (int j = 0; j < factor; ++j) {
      const float* row = image.row(y * factor + j);
      for (int x = 0; x < out.nx(); ++x) {
        float sum = 0;
        for (int i = 0; i < factor; ++i) sum += row[x * factor + i];
        out(x, y) += sum * scale;
      }
    }
  return out;
}

void filter(Spectrum& spectrum, const std::function<double(double)>& gain) {
  const double step_x = 1 / (spectrum.nx() * spectrum.pixel_size.value());
  const double step_y = 1 / (spectrum.ny() * spectrum.pixel_size.value());
  // The gain is tabulated on a fine frequency grid: a call a component would dominate.
  const double highest = std::hypot(step_x * spectrum.nx() / 2, step_y * spectrum.ny() / 2);
  const int samples = 4 * std::max(spectrum.nx(), spectrum.ny()) + 2;
  std::vector<float> table(static_cast<std::size_t>(samples) + 1);
  for (int i = 0; i <= samples; ++i)
    table[static_cast<std::size_t>(i)] = static_cast<float>(gain(highest * i / (samples - 1)));
  for (int iy = 0; iy < spectrum.ny(); ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix) {
      const double position = std::hypot(ix * step_x, spectrum.ky(iy) * step_y) / highest * (samples - 1);
      const auto i = static_cast<std::size_t>(position);
      const auto t = static_cast<float>(position - static_cast<double>(i));
      spectrum(ix, iy) *= table[i] * (1 - t) + table[i + 1] * t;
    }
}

Image band_pass(const Image& image, Angstrom low_resolution, Angstrom high_resolution, double edge) {
  const double k_low = low_resolution > 0_A ? 1 / low_resolution.value() : 0;
  const double k_high = high_resolution > 0_A ? 1 / high_resolution.value() : 0;
  auto spectrum = fft(image);
  filter(spectrum, [&](double k) {
    double gain = 1;
    if (k_low > 0) gain *= rise(k, k_low * (1 - edge), k_low * (1 + edge));
    if (k_high > 0) gain *= 1 - rise(k, k_high * (1 - edge), k_high * (1 + edge));
    return gain;
  });
  return ifft(spectrum);
}

Image thumbnail(const Image& image, int side, Angstrom resolution) {
  const auto excess = [&](int nx, int ny) { return static_cast<double>(std::max(nx, ny)) / side; };
  auto small = bin(image, std::max(1, static_cast<int>(excess(image.nx(), image.ny()))), image.pixel_size);
  if (const double rest = excess(small.nx(), small.ny()); rest > 1) {
    const auto even = [&](int n) { return std::max(2, 2 * static_cast<int>(n / rest / 2)); };
    small = fourier_resize(small, even(small.nx()), even(small.ny()));
  }
  return small.pixel_size * 2 < resolution ? band_pass(small, 0_A, resolution) : std::move(small);
}

void normalise_background(Image& image, double radius_px) {
  double sum = 0, squares = 0, count = 0;
  const auto outside = [&](int x, int y) { return std::hypot(x - image.nx() / 2, y - image.ny() / 2) > radius_px; };
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x)
      if (outside(x, y)) {
        const double v = image(x, y);
        sum += v;
        squares += v * v;
        count += 1;
      }
  expect(count > 1, "some pixels lie outside the particle radius");
  const double mean = sum / count;
  const double sigma = std::sqrt(at_least_zero(squares / count - mean * mean));
  const double scale = sigma > 0 ? 1 / sigma : 1;
  for (auto& v : image.pixels()) v = static_cast<float>((v - mean) * scale);
}

void remove_plane(Image& image) {
  const double cx = 0.5 * (image.nx() - 1), cy = 0.5 * (image.ny() - 1), nx = image.nx(), ny = image.ny(), n = nx * ny;
  double sum = 0, sum_x = 0, sum_y = 0;
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x) {
      const double v = image(x, y);
      sum += v;
      sum_x += v * (x - cx);
      sum_y += v * (y - cy);
    }
  const double slope_x = nx > 1 ? sum_x / (n * (nx * nx - 1) / 12) : 0,
               slope_y = ny > 1 ? sum_y / (n * (ny * ny - 1) / 12) : 0;
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x)
      image(x, y) -= static_cast<float>(sum / n + slope_x * (x - cx) + slope_y * (y - cy));
}

Image soft_disc(int n, double radius_px, double edge_px, Angstrom pixel_size) {
  Image mask(n, n, pixel_size);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x)
      mask(x, y) = static_cast<float>(fall_of_mask(std::hypot(x - n / 2, y - n / 2), radius_px, edge_px));
  return mask;
}

Volume soft_ball(int n, double radius_px, double edge_px, Angstrom pixel_size) {
  Volume mask(n, n, n, pixel_size);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        mask(x, y, z) =
            static_cast<float>(fall_of_mask(std::hypot(x - n / 2, y - n / 2, z - n / 2), radius_px, edge_px));
  return mask;
}

double correlation(std::span<const float> a, std::span<const float> b) {
  expect(a.size() == b.size(), "correlated arrays have one size");
  const auto sa = statistics(a), sb = statistics(b);
  if (a.empty() || sa.stddev == 0 || sb.stddev == 0) return 0;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - sa.mean) * (b[i] - sb.mean);
  return sum / (static_cast<double>(a.size()) * sa.stddev * sb.stddev);
}

}  // namespace frazil
