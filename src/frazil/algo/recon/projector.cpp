#include "frazil/algo/recon/projector.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/sinc.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::recon {
namespace {

using Complex = std::complex<float>;
using std::numbers::pi;

/// Fall-off along one axis that linear interpolation on the padded grid causes: sinc²(distance / padded side).
std::vector<double> fall_off(int box) {
  std::vector<double> line(static_cast<std::size_t>(box));
  for (int i = 0; i < box; ++i) {
    const double s = sinc(pi * (static_cast<double>(i - box / 2) / (GridShape::padding * box)));
    line[static_cast<std::size_t>(i)] = s * s;
  }
  return line;
}

int wrap(int i, int n) { return i < 0 ? i + n : i; }

/// Calls f(x, y, z, grid index) for every stored index below the padded Nyquist frequency.
template <class F>
void for_stored(const GridShape& shape, F&& f) {
  const int limit = std::min(shape.radius(), GridShape::padding * shape.box / 2 - 1);
  for (int z = -limit; z <= limit; ++z)
    for (int y = -limit; y <= limit; ++y)
      for (int x = 0; x <= limit; ++x) f(x, y, z, shape.index(x, y, z));
}

AlignedVector<Complex> padded_transform(const Volume& volume, const GridShape& shape) {
  const int n = volume.nx(), padded = GridShape::padding * n;
  const auto line = fall_off(n);
  const auto at = [&](int i) { return line[static_cast<std::size_t>(i)]; };
  Volume large(padded, padded, padded, volume.pixel_size);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        large(wrap(x - n / 2, padded), wrap(y - n / 2, padded), wrap(z - n / 2, padded)) =
            static_cast<float>(volume(x, y, z) / (at(x) * at(y) * at(z)));
  const auto spectrum = fft(large);
  AlignedVector<Complex> grid(shape.size());
  for_stored(shape,
             [&](int x, int y, int z, std::size_t i) { grid[i] = spectrum(x, wrap(y, padded), wrap(z, padded)); });
  return grid;
}

/// The eight grid points around a frequency and their weights; `flip`: the conjugate half is stored.
struct Stencil {
  std::size_t base, dy, dz;
  float w[8];
  bool flip;
};

inline Stencil stencil(const GridShape& shape, float x, float y, float z) {
  Stencil s;
  s.flip = x < 0;
  if (s.flip) {
    x = -x;
    y = -y;
    z = -z;
  }
  const float fx = std::floor(x), fy = std::floor(y), fz = std::floor(z);
  const float tx = x - fx, ty = y - fy, tz = z - fz;
  s.base = shape.index(static_cast<int>(fx), static_cast<int>(fy), static_cast<int>(fz));
  s.dy = static_cast<std::size_t>(shape.width());
  s.dz = s.dy * static_cast<std::size_t>(shape.height());
  const float a = (1 - ty) * (1 - tz), b = ty * (1 - tz), c = (1 - ty) * tz, d = ty * tz;
  s.w[0] = (1 - tx) * a;
  s.w[1] = tx * a;
  s.w[2] = (1 - tx) * b;
  s.w[3] = tx * b;
  s.w[4] = (1 - tx) * c;
  s.w[5] = tx * c;
  s.w[6] = (1 - tx) * d;
  s.w[7] = tx * d;
  return s;
}

inline Complex interpolate(const Complex* g, const Stencil& s) {
  const Complex* p0 = g + s.base;
  const Complex *p1 = p0 + s.dy, *p2 = p0 + s.dz, *p3 = p2 + s.dy;
  const auto sum = p0[0] * s.w[0] + p0[1] * s.w[1] + p1[0] * s.w[2] + p1[1] * s.w[3] + p2[0] * s.w[4] + p2[1] * s.w[5] +
                   p3[0] * s.w[6] + p3[1] * s.w[7];
  return s.flip ? std::conj(sum) : sum;
}

/// Frequency of component j in the volume, in padded grid units: Aᵀ (kx, ky, 0).
struct SliceAxes {
  float u[3], v[3];
  explicit SliceAxes(const Matrix3& a) {
    for (int i = 0; i < 3; ++i) {
      u[i] = static_cast<float>(GridShape::padding * a(0, i));
      v[i] = static_cast<float>(GridShape::padding * a(1, i));
    }
  }
  [[nodiscard]] Stencil at(const GridShape& shape, float kx, float ky) const {
    return stencil(shape, u[0] * kx + v[0] * ky, u[1] * kx + v[1] * ky, u[2] * kx + v[2] * ky);
  }
};

void check_plane(const GridShape& shape, const Plane& plane, std::size_t count) {
  expect(plane.max_k <= shape.max_k && count <= plane.size(), "the plane lies inside the grid");
}

}  // namespace

Projector::Projector(const Volume& volume, int max_k) : shape_{volume.nx(), max_k}, pixel_size_(volume.pixel_size) {
  expect(volume.nx() == volume.ny() && volume.nx() == volume.nz() && volume.nx() % 2 == 0,
         "the volume is a cube of even side");
  expect(max_k >= 1 && max_k < volume.nx() / 2, "max_k lies below Nyquist");
  grid_ = padded_transform(volume, shape_);
}

Projector::Projector(GridShape shape, AlignedVector<Complex> grid) : shape_(shape), grid_(std::move(grid)) {
  expect(grid_.size() == shape_.size(), "the grid has the size of its shape");
}

Complex Projector::at(double kx, double ky, double kz) const {
  constexpr double p = GridShape::padding;
  return interpolate(grid_.data(), stencil(shape_, static_cast<float>(p * kx), static_cast<float>(p * ky),
                                           static_cast<float>(p * kz)));
}

void Projector::slice(const Plane& plane, std::size_t count, const Matrix3& a, float* real, float* imag) const {
  check_plane(shape_, plane, count);
  const SliceAxes axes(a);
  for (std::size_t j = 0; j < count; ++j) {
    const auto value = interpolate(grid_.data(), axes.at(shape_, plane.kx[j], plane.ky[j]));
    real[j] = value.real();
    imag[j] = value.imag();
  }
}

void Projector::slice(const Plane& plane, std::size_t count, const Matrix3& a, Complex* out) const {
  check_plane(shape_, plane, count);
  const SliceAxes axes(a);
  for (std::size_t j = 0; j < count; ++j) out[j] = interpolate(grid_.data(), axes.at(shape_, plane.kx[j], plane.ky[j]));
}

Spectrum Projector::project(const Matrix3& a) const {
  const auto plane = half_plane(shape_.box, shape_.max_k);
  std::vector<Complex> components(plane.size());
  slice(plane, plane.size(), a, components.data());
  return scatter(components.data(), plane, pixel_size_);
}

BackProjector::BackProjector(int box, int max_k, Angstrom pixel_size)
    : shape_{box, max_k}, pixel_size_(pixel_size), value_(shape_.size()), weight_(shape_.size()) {
  expect(box % 2 == 0 && max_k >= 1 && max_k < box / 2, "max_k lies below Nyquist of an even box");
}

void BackProjector::insert(const Plane& plane, std::size_t count, const Matrix3& a, const Complex* value,
                           const float* weight) {
  check_plane(shape_, plane, count);
  const SliceAxes axes(a);
  for (std::size_t j = 0; j < count; ++j) {
    const auto s = axes.at(shape_, plane.kx[j], plane.ky[j]);
    const auto v = s.flip ? std::conj(value[j]) : value[j];
    const float w = weight[j];
    for (int corner = 0; corner < 8; ++corner) {
      const auto i = s.base + static_cast<std::size_t>(corner & 1) + ((corner & 2) != 0 ? s.dy : 0) +
                     ((corner & 4) != 0 ? s.dz : 0);
      value_[i] += v * s.w[corner];
      weight_[i] += w * s.w[corner];
    }
  }
}

void BackProjector::add(const BackProjector& other) {
  expect(other.value_.size() == value_.size(), "both back-projections have one grid");
  for (std::size_t i = 0; i < value_.size(); ++i) {
    value_[i] += other.value_[i];
    weight_[i] += other.weight_[i];
  }
}

void BackProjector::scale(float factor) {
  for (auto& v : value_) v *= factor;
  for (auto& w : weight_) w *= factor;
}

void BackProjector::clear() {
  std::fill(value_.begin(), value_.end(), Complex{});
  std::fill(weight_.begin(), weight_.end(), 0.0F);
}

std::vector<double> BackProjector::mean_weight() const {
  const auto rings = static_cast<std::size_t>(shape_.max_k) + 1;
  std::vector<double> sum(rings), count(rings);
  for_stored(shape_, [&](int x, int y, int z, std::size_t i) {
    const auto ring = static_cast<std::size_t>(
        std::lround(std::sqrt(static_cast<double>(x * x + y * y + z * z)) / GridShape::padding));
    if (ring >= rings) return;
    // The plane x = 0 stands twice and is halved by it.
    sum[ring] += weight_[i] * (x == 0 ? 2 : 1);
    count[ring] += 1;
  });
  for (std::size_t r = 0; r < rings; ++r) sum[r] /= std::max(count[r], 1.0);
  return sum;
}

Volume BackProjector::reconstruct(std::span<const double> inverse_tau2) const {
  const auto rings = static_cast<std::size_t>(shape_.max_k) + 1;
  expect(inverse_tau2.empty() || inverse_tau2.size() >= rings, "1/tau² is given for every ring");
  auto regular = mean_weight();
  for (std::size_t r = 0; r < rings; ++r)
    regular[r] = std::max(1e-3 * regular[r], 1e-30) + (inverse_tau2.empty() ? 0 : inverse_tau2[r]);
  const int n = shape_.box, padded = GridShape::padding * n;
  VolumeSpectrum spectrum(padded, padded, padded, pixel_size_);
  for_stored(shape_, [&](int x, int y, int z, std::size_t i) {
    const double radius = std::sqrt(static_cast<double>(x * x + y * y + z * z)) / GridShape::padding;
    const auto ring = static_cast<std::size_t>(std::lround(radius));
    if (radius > shape_.max_k) return;
    auto value = value_[i];
    double weight = weight_[i];
    if (x == 0) {  // samples on either side of this plane went to k and to −k
      const auto mate = shape_.index(0, -y, -z);
      value += std::conj(value_[mate]);
      weight += weight_[mate];
    }
    spectrum(x, wrap(y, padded), wrap(z, padded)) = value / static_cast<float>(weight + regular[ring]);
  });
  const auto large = ifft(spectrum);
  const auto line = fall_off(n);
  const auto at = [&](int i) { return line[static_cast<std::size_t>(i)]; };
  Volume out(n, n, n, pixel_size_);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        out(x, y, z) = static_cast<float>(
            large(wrap(x - n / 2, padded), wrap(y - n / 2, padded), wrap(z - n / 2, padded)) / (at(x) * at(y) * at(z)));
  return out;
}

Volume rotate(const Volume& volume, const Matrix3& a, const Vector3& shift_px, int max_k) {
  const int n = volume.nx();
  const Projector projector(volume, max_k);
  VolumeSpectrum out(n, n, n, volume.pixel_size);
  const Matrix3 back = a.transpose();
  for (int z = -max_k; z <= max_k; ++z)
    for (int y = -max_k; y <= max_k; ++y)
      for (int x = 0; x <= max_k; ++x) {
        if (x * x + y * y + z * z > max_k * max_k) continue;
        const Vector3 k(x, y, z), q = back * k;
        const double phase = -2 * pi * k.dot(shift_px) / n - pi * (x + y + z);
        out(x, wrap(y, n), wrap(z, n)) =
            projector.at(q.x(), q.y(), q.z()) *
            Complex(static_cast<float>(std::cos(phase)), static_cast<float>(std::sin(phase)));
      }
  return ifft(out);
}

Volume mirror(const Volume& volume) {
  const int n = volume.nz();
  Volume out(volume.nx(), volume.ny(), n, volume.pixel_size);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < volume.ny(); ++y)
      for (int x = 0; x < volume.nx(); ++x) out(x, y, (n - z) % n) = volume(x, y, z);
  return out;
}

}  // namespace frazil::recon
