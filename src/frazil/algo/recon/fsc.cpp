#include "frazil/algo/recon/fsc.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "frazil/image/fft.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::recon {
namespace {

void check_cube(const Volume& v) {
  expect(v.nx() == v.ny() && v.nx() == v.nz() && v.nx() % 2 == 0 && v.nx() > 0, "the map is a cube of even side");
}

VolumeSpectrum masked_transform(const Volume& volume, const Volume* mask) {
  if (mask == nullptr) return fft(volume);
  expect(mask->size() == volume.size(), "the mask has the size of the map");
  auto copy = volume.clone();
  for (std::size_t i = 0; i < copy.size(); ++i) copy.data()[i] *= mask->data()[i];
  return fft(copy);
}

/// f(ix, iy, iz, radius, multiplicity) over the stored half.
template <class F>
void for_half(int n, F&& f) {
  for (int iz = 0; iz < n; ++iz)
    for (int iy = 0; iy < n; ++iy)
      for (int ix = 0; ix <= n / 2; ++ix) {
        const int y = iy <= n / 2 ? iy : iy - n, z = iz <= n / 2 ? iz : iz - n;
        f(ix, iy, iz, std::sqrt(static_cast<double>(ix * ix + y * y + z * z)), ix == 0 || 2 * ix == n ? 1.0 : 2.0);
      }
}

template <class Gain>
Volume filtered(const Volume& volume, Gain&& gain) {
  check_cube(volume);
  auto spectrum = fft(volume);
  for_half(volume.nx(),
           [&](int x, int y, int z, double radius, double) { spectrum(x, y, z) *= static_cast<float>(gain(radius)); });
  return ifft(spectrum);
}

double cosine_fall(double distance, double width) {
  if (distance <= 0) return 1;
  return distance >= width ? 0 : 0.5 * (1 + std::cos(std::numbers::pi * distance / width));
}

/// Squared distances to the nearest set voxel along one axis (lower envelope of parabolas, Felzenszwalb & Huttenlocher
/// 2012).
void distance_along(std::vector<double>& f) {
  const int n = static_cast<int>(f.size());
  std::vector<double> out(f.size());
  std::vector<int> vertex(f.size());
  std::vector<double> bound(f.size() + 1);
  const auto at = [&](int i) { return f[static_cast<std::size_t>(i)]; };
  int k = -1;
  for (int q = 0; q < n; ++q) {
    if (std::isinf(at(q))) continue;
    double s = -std::numeric_limits<double>::infinity();
    for (; k >= 0; --k) {
      const int p = vertex[static_cast<std::size_t>(k)];
      s = ((at(q) + q * q) - (at(p) + p * p)) / (2.0 * (q - p));
      if (s > bound[static_cast<std::size_t>(k)]) break;
      s = -std::numeric_limits<double>::infinity();
    }
    ++k;
    vertex[static_cast<std::size_t>(k)] = q;
    bound[static_cast<std::size_t>(k)] = s;
  }
  if (k < 0) return;
  const int last = k;
  k = 0;
  for (int q = 0; q < n; ++q) {
    while (k < last && bound[static_cast<std::size_t>(k) + 1] < q) ++k;
    const int p = vertex[static_cast<std::size_t>(k)];
    out[static_cast<std::size_t>(q)] = (q - p) * (q - p) + at(p);
  }
  f = out;
}

}  // namespace

Fsc fourier_shell_correlation(const Volume& a, const Volume& b, const Volume* mask) {
  check_cube(a);
  expect(a.nx() == b.nx() && a.size() == b.size(), "both maps have one size");
  const int n = a.nx();
  const auto fa = masked_transform(a, mask), fb = masked_transform(b, mask);
  const auto shells = static_cast<std::size_t>(n / 2);
  std::vector<double> cross(shells), power_a(shells), power_b(shells);
  for_half(n, [&](int x, int y, int z, double radius, double count) {
    const auto s = static_cast<std::size_t>(std::lround(radius));
    if (s >= shells) return;
    const std::complex<double> u(fa(x, y, z)), v(fb(x, y, z));
    cross[s] += count * (u * std::conj(v)).real();
    power_a[s] += count * std::norm(u);
    power_b[s] += count * std::norm(v);
  });
  Fsc curve{n, a.pixel_size, mask != nullptr, std::vector<double>(shells)};
  for (std::size_t s = 0; s < shells; ++s) {
    const double scale = std::sqrt(power_a[s] * power_b[s]);
    curve.values[s] = scale > 0 ? cross[s] / scale : 0;
  }
  return curve;
}

std::optional<Angstrom> fsc_at(const Fsc& curve, double threshold) {
  for (std::size_t s = 1; s < curve.values.size(); ++s) {
    if (curve.values[s] >= threshold) continue;
    if (s == 1) return curve.resolution(1);
    const double before = curve.values[s - 1], after = curve.values[s];
    return curve.resolution(static_cast<double>(s) - 1 + (before - threshold) / (before - after));
  }
  return std::nullopt;
}

Volume low_pass(const Volume& volume, Angstrom resolution) {
  const double cut = volume.nx() * (volume.pixel_size / resolution);
  return filtered(volume, [cut](double radius) { return cosine_fall(radius - (cut - 1), 2); });
}

Volume weight_shells(const Volume& volume, const std::vector<double>& weights) {
  return filtered(volume, [&](double radius) {
    const auto s = static_cast<std::size_t>(radius);
    const double t = radius - static_cast<double>(s);
    const auto at = [&](std::size_t i) { return i < weights.size() ? weights[i] : 0.0; };
    return (1 - t) * at(s) + t * at(s + 1);
  });
}

double masked_correlation(const Volume& a, const Volume& b, const Volume* mask) {
  expect(a.size() == b.size() && (mask == nullptr || mask->size() == a.size()), "maps and mask have one size");
  double sum = 0, sa = 0, sb = 0;
  const auto weight = [&](std::size_t i) { return mask == nullptr ? 1.0 : static_cast<double>(mask->data()[i]); };
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += weight(i);
    sa += weight(i) * a.data()[i];
    sb += weight(i) * b.data()[i];
  }
  if (sum <= 0) return 0;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double u = a.data()[i] - sa / sum, v = b.data()[i] - sb / sum;
    ab += weight(i) * u * v;
    aa += weight(i) * u * u;
    bb += weight(i) * v * v;
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

Volume soft_mask(const Volume& map, double threshold, Angstrom edge) {
  check_cube(map);
  const int n = map.nx();
  std::vector<double> squared(map.size());
  for (std::size_t i = 0; i < map.size(); ++i)
    squared[i] = map.data()[i] > threshold ? 0 : std::numeric_limits<double>::infinity();
  const auto count = static_cast<std::size_t>(n);
  std::vector<double> line(count);
  for (const std::size_t stride : {std::size_t{1}, count, count * count})
    for (std::size_t i = 0; i < count * count; ++i) {
      const std::size_t start = stride == 1 ? i * count : stride == count ? (i / count) * count * count + i % count : i;
      for (std::size_t j = 0; j < count; ++j) line[j] = squared[start + j * stride];
      distance_along(line);
      for (std::size_t j = 0; j < count; ++j) squared[start + j * stride] = line[j];
    }
  Volume mask(n, n, n, map.pixel_size);
  const double width = std::max(to_px(edge, map.pixel_size), 1e-6);
  for (std::size_t i = 0; i < mask.size(); ++i)
    mask.data()[i] = static_cast<float>(cosine_fall(std::sqrt(squared[i]), width));
  return mask;
}

Volume ball_mask(int box, Angstrom pixel_size, Angstrom diameter, Angstrom edge) {
  return soft_ball(box, to_px(diameter / 2, pixel_size), to_px(edge, pixel_size), pixel_size);
}

}  // namespace frazil::recon
