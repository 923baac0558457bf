#include "frazil/algo/class2d/polar.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "frazil/image/fft.hpp"

namespace frazil::class2d {
namespace {

using std::numbers::pi;

/// Fourier transform of Keys' kernel at `u` cycles per sample, by Simpson's rule over its support.
double cubic_transform(double u) {
  const auto kernel = [](double x) {
    x = std::abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0.0;
  };
  constexpr int steps = 64;  // of Simpson's rule: off by less than 2e-7 up to the quarter cycle a pixel that is used
  double sum = 0;
  for (int i = 0; i <= steps; ++i) {
    const double x = 2.0 * i / steps, w = i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2;
    sum += w * kernel(x) * std::cos(2 * pi * u * x);
  }
  return 2 * sum * (2.0 / steps) / 3;
}

/// Doubled box, centre moved to the origin, divided by the kernel's transform.
Image padded(const Image& image) {
  const int n = image.nx(), size = 2 * n;
  std::vector<float> gain(static_cast<std::size_t>(n));
  for (int x = 0; x < n; ++x)
    gain[static_cast<std::size_t>(x)] = static_cast<float>(1 / cubic_transform(static_cast<double>(x - n / 2) / size));
  Image out(size, size);
  for (int y = 0; y < n; ++y) {
    float* row = out.row((y - n / 2 + size) % size);
    for (int x = 0; x < n; ++x)
      row[(x - n / 2 + size) % size] =
          image(x, y) * gain[static_cast<std::size_t>(x)] * gain[static_cast<std::size_t>(y)];
  }
  return out;
}

/// Value of a half-complex spectrum at a possibly negative index.
std::complex<float> at(const Spectrum& spectrum, int kx, int ky) {
  const int n = spectrum.ny();
  if (kx < 0) return std::conj(spectrum(-kx, (n - ky) % n));
  return spectrum(kx, (ky + n) % n);
}

std::complex<float> interpolate(const Spectrum& spectrum, double kx, double ky) {
  const double fx = std::floor(kx), fy = std::floor(ky);
  const auto wx = cubic_weights(kx - fx), wy = cubic_weights(ky - fy);
  const int x0 = static_cast<int>(fx) - 1, y0 = static_cast<int>(fy) - 1;
  std::complex<float> sum = 0;
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < 4; ++i)
      sum += wx[static_cast<std::size_t>(i)] * wy[static_cast<std::size_t>(j)] * at(spectrum, x0 + i, y0 + j);
  return sum;
}

/// Samples with the conjugate half and the negative radii reached by index.
class RingLookup {
 public:
  explicit RingLookup(const PolarSamples& samples)
      : samples_(samples), rings_(static_cast<int>(samples.re.rows())), half_(static_cast<int>(samples.re.cols())) {}

  [[nodiscard]] std::complex<float> operator()(int ring, int angle) const {
    if (ring < 0) {  // through the centre to the other side
      ring = -ring - 1;
      angle += half_;
    }
    if (ring >= rings_) return 0;
    angle = (angle % (2 * half_) + 2 * half_) % (2 * half_);
    const bool mirrored = angle >= half_;
    if (mirrored) angle -= half_;
    return {samples_.re(ring, angle), mirrored ? -samples_.im(ring, angle) : samples_.im(ring, angle)};
  }

 private:
  const PolarSamples& samples_;
  int rings_, half_;
};

}  // namespace

double PolarGrid::area(int ring) const { return 2 * pi * radius(ring) * step; }

int PolarGrid::harmonics_within(int ring_count) const {
  int count = 0;
  while (count < harmonics && first_ring[static_cast<std::size_t>(count)] < ring_count) ++count;
  return count;
}

PolarGrid make_grid(int box, double object_radius_px, double max_radius) {
  expect(box > 0 && object_radius_px > 0 && max_radius > 0,
         "a polar grid needs a box, an object and a frequency range");
  PolarGrid grid;
  grid.box = box;
  grid.step = std::min(1.0, box / (3.5 * object_radius_px));
  grid.rings = std::max(4, static_cast<int>(max_radius / grid.step));
  const auto highest = [&](int ring) {
    return static_cast<int>(std::ceil(2 * pi * grid.radius(ring) * object_radius_px / box)) + 5;
  };
  grid.harmonics = highest(grid.rings - 1) + 1;
  grid.half_angles = good_size(grid.harmonics + 1);
  for (int q = 0; q < grid.harmonics; ++q) {
    int ring = 0;
    while (highest(ring) < q) ++ring;
    grid.first_ring.push_back(ring);
  }
  return grid;
}

PolarSamples sample_rings(const PolarGrid& grid, const Image& image) {
  expect(image.nx() == grid.box && image.ny() == grid.box, "the image has the size of the polar grid's box");
  const Spectrum spectrum = fft(padded(image));
  PolarSamples samples{Matrix(grid.rings, grid.half_angles), Matrix(grid.rings, grid.half_angles)};
  for (int m = 0; m < grid.half_angles; ++m) {
    const double angle_rad = pi * m / grid.half_angles, c = 2 * std::cos(angle_rad), s = 2 * std::sin(angle_rad);
    for (int j = 0; j < grid.rings; ++j) {
      const auto value = interpolate(spectrum, grid.radius(j) * c, grid.radius(j) * s);
      samples.re(j, m) = value.real();
      samples.im(j, m) = value.imag();
    }
  }
  return samples;
}

AngularTransform make_transform(const PolarGrid& grid, int harmonics) {
  const int half = grid.half_angles;
  AngularTransform transform{Matrix(half, 2 * ((harmonics + 1) / 2)), Matrix(half, 2 * (harmonics / 2))};
  for (int q = 0; q < harmonics; ++q)
    for (int m = 0; m < half; ++m) {
      const double angle_rad = pi * q * m / half;
      const float c = static_cast<float>(std::cos(angle_rad) / half),
                  s = static_cast<float>(std::sin(angle_rad) / half);
      // With F(φ + π) = conj F(φ), even harmonics see only Re F, odd ones only i Im F.
      Matrix& target = q % 2 == 0 ? transform.even : transform.odd;
      target(m, 2 * (q / 2)) = q % 2 == 0 ? c : s;
      target(m, 2 * (q / 2) + 1) = q % 2 == 0 ? -s : c;
    }
  return transform;
}

Harmonics to_harmonics(const AngularTransform& transform, const Matrix& re, const Matrix& im) {
  const auto even = transform.even.cols() / 2, odd = transform.odd.cols() / 2;
  const Matrix e = re * transform.even, o = im * transform.odd;
  Harmonics out(re.rows(), 2 * (even + odd));
  for (Eigen::Index p = 0; p < even; ++p) out.middleCols(4 * p, 2) = e.middleCols(2 * p, 2);
  for (Eigen::Index p = 0; p < odd; ++p) out.middleCols(4 * p + 2, 2) = o.middleCols(2 * p, 2);
  return out;
}

PolarSamples from_harmonics(const Harmonics& harmonics, int angles) {
  const auto rings = harmonics.rows();
  const int count = static_cast<int>(harmonics.cols() / 2);
  PolarSamples out{Matrix::Zero(rings, angles), Matrix::Zero(rings, angles)};
  for (int m = 0; m < angles; ++m)
    for (int q = 0; q < count; ++q) {
      const double angle_rad = pi * q * m / angles;
      const auto c = static_cast<float>(std::cos(angle_rad)), s = static_cast<float>(std::sin(angle_rad));
      const float twice = q == 0 ? 1.f : 2.f;
      const auto re = harmonics.col(2 * q), im = harmonics.col(2 * q + 1);
      if (q % 2 == 0)
        out.re.col(m) += twice * (c * re - s * im);
      else
        out.im.col(m) += twice * (s * re + c * im);
    }
  return out;
}

Image to_image(const PolarGrid& grid, const Harmonics& harmonics, Angstrom pixel_size) {
  const int n = grid.box, angles = 2 * grid.half_angles;
  const PolarSamples samples = from_harmonics(harmonics, angles);
  const RingLookup lookup(samples);
  Spectrum spectrum(n, n, pixel_size);
  for (int iy = 0; iy < n; ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix) {
      const double kx = ix, ky = spectrum.ky(iy);
      const double ring = std::hypot(kx, ky) / grid.step - 0.5;
      if (ring > grid.rings - 0.5 || ix == n / 2 || iy == n / 2) continue;
      double angle = std::atan2(ky, kx) * angles / pi;
      const double fr = std::floor(ring), fa = std::floor(angle);
      const auto wr = cubic_weights(ring - fr), wa = cubic_weights(angle - fa);
      std::complex<float> sum = 0;
      for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 4; ++i)
          sum += wr[static_cast<std::size_t>(j)] * wa[static_cast<std::size_t>(i)] *
                 lookup(static_cast<int>(fr) + j - 1, static_cast<int>(fa) + i - 1);
      const bool odd = (ix + iy) % 2 != 0;  // moves the origin to (n/2, n/2)
      spectrum(ix, iy) = odd ? -sum : sum;
    }
  return ifft(spectrum);
}

Harmonics from_image(const PolarGrid& grid, const AngularTransform& transform, const Image& image) {
  const PolarSamples samples = sample_rings(grid, image);
  Harmonics out = to_harmonics(transform, samples.re, samples.im);
  for (Eigen::Index q = 0; q < out.cols() / 2; ++q)
    out.middleCols(2 * q, 2).topRows(grid.first_ring[static_cast<std::size_t>(q)]).setZero();
  return out;
}

Eigen::VectorXf ring_power(const Harmonics& harmonics) { return ring_cross(harmonics, harmonics); }

Eigen::VectorXf ring_cross(const Harmonics& f, const Harmonics& g) {
  Eigen::VectorXf sum = f.col(0).cwiseProduct(g.col(0));
  for (Eigen::Index c = 2; c < f.cols(); ++c) sum += 2 * f.col(c).cwiseProduct(g.col(c));
  return sum;
}

}  // namespace frazil::class2d
