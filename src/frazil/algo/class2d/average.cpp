#include "frazil/algo/class2d/average.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "frazil/algo/class2d/polar.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::class2d {
namespace {

/// Sums behind one half of a class.
struct HalfSums {
  Image signal;                ///< Σ turned CTF·x
  std::vector<double> weight;  ///< Σ turned CTF² on the half-complex grid
  int count = 0;
};

/// sum += image moved by the origin and turned back by psi: the point r of the average lies at R(psi) r − origin.
void add_turned_back(const Image& image, double psi_rad, double origin_x_px, double origin_y_px, Image& sum) {
  const int n = image.nx(), half = n / 2;
  const double c = std::cos(psi_rad), s = std::sin(psi_rad);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const double px = c * (x - half) - s * (y - half) - origin_x_px + half,
                   py = s * (x - half) + c * (y - half) - origin_y_px + half;
      const double fx = std::floor(px), fy = std::floor(py);
      const int x0 = static_cast<int>(fx) - 1, y0 = static_cast<int>(fy) - 1;
      if (x0 < 0 || y0 < 0 || x0 + 3 >= n || y0 + 3 >= n) continue;
      const auto wx = cubic_weights(px - fx), wy = cubic_weights(py - fy);
      float value = 0;
      for (int j = 0; j < 4; ++j) {
        const float* row = image.row(y0 + j) + x0;
        value += wy[static_cast<std::size_t>(j)] * (wx[0] * row[0] + wx[1] * row[1] + wx[2] * row[2] + wx[3] * row[3]);
      }
      sum(x, y) += value;
    }
}

void add_particle(const ParticleSet& set, std::size_t index, const Assignment& a, double work_scale, HalfSums& sums) {
  Image image = set.image(index);
  const int n = image.nx();
  const double k_per_px = 1 / (n * set.pixel_size.value());
  const CtfFunction function(set.ctf[index], set.optics[index]);
  // Turning a particle back turns its CTF back: the axis of astigmatism moves by −psi.
  Ctf turned = set.ctf[index];
  turned.astigmatism_angle = turned.astigmatism_angle - Degrees(a.turn_deg);
  const CtfFunction turned_function(turned, set.optics[index]);
  Spectrum spectrum = fft(image.view(), set.pixel_size);
  std::size_t i = 0;
  for (int iy = 0; iy < n; ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix, ++i) {
      const double kx = ix * k_per_px, ky = spectrum.ky(iy) * k_per_px;
      double gain = function(kx, ky);
      if (set.phase_flipped) gain = std::abs(gain);
      spectrum(ix, iy) *= static_cast<float>(gain);
      const double g = turned_function(kx, ky);
      sums.weight[i] += g * g;
    }
  ifft_into(spectrum, image);
  add_turned_back(image, a.turn_deg * std::numbers::pi / 180, a.origin_x_px * work_scale, a.origin_y_px * work_scale,
                  sums.signal);
  ++sums.count;
}

/// Sums over the rings round(|k|) of a half-complex grid; columns other than 0 and n/2 stand for two components.
template <class F>
std::vector<double> ring_sums(const Spectrum& grid, F&& value) {
  const int n = grid.nx();
  std::vector<double> out(static_cast<std::size_t>(n / 2 + 1));
  for (int iy = 0; iy < n; ++iy)
    for (int ix = 0; ix < grid.columns(); ++ix) {
      const auto ring = static_cast<std::size_t>(std::lround(std::hypot(ix, grid.ky(iy))));
      if (ring < out.size()) out[ring] += (ix == 0 || 2 * ix == n ? 1 : 2) * value(ix, iy);
    }
  return out;
}

std::vector<double> smoothed(const std::vector<double>& v) {
  std::vector<double> out(v.size());
  for (std::size_t i = 0; i < v.size(); ++i) {
    const std::size_t first = i == 0 ? 0 : i - 1, last = std::min(v.size() - 1, i + 1);
    for (std::size_t j = first; j <= last; ++j) out[i] += v[j];
  }
  return out;
}

Spectrum divided(const Image& signal, const std::vector<double>& weight, double floor) {
  Spectrum out = fft(signal);
  for (std::size_t i = 0; i < out.size(); ++i) out.data()[i] /= static_cast<float>(weight[i] + floor);
  return out;
}

ClassAverage finish(const Geometry& geometry, std::array<HalfSums, 2>& halves) {
  ClassAverage out;
  const int n = geometry.box;
  out.count = halves[0].count + halves[1].count;
  out.image = Image(n, n, geometry.pixel_size);
  out.resolution = geometry.pixel_size * static_cast<double>(n);
  if (halves[0].count == 0 || halves[1].count == 0) return out;
  const double radius = to_px(geometry.diameter, geometry.pixel_size) / 2;
  const Image mask = soft_disc(n, std::min(radius, n / 2.0 - 3), std::max(3.0, 0.06 * radius), geometry.pixel_size);
  std::array<Spectrum, 2> masked;
  for (std::size_t h = 0; h < 2; ++h) {
    halves[h].signal.pixel_size = geometry.pixel_size;
    Image image = ifft(divided(halves[h].signal, halves[h].weight, 0.05 * halves[h].count));
    for (std::size_t i = 0; i < image.size(); ++i) image.pixels()[i] *= mask.pixels()[i];
    masked[h] = fft(image);
  }
  const auto cross = smoothed(
      ring_sums(masked[0], [&](int x, int y) { return std::real(std::conj(masked[0](x, y)) * masked[1](x, y)); }));
  const auto p0 = smoothed(ring_sums(masked[0], [&](int x, int y) { return std::norm(masked[0](x, y)); }));
  const auto p1 = smoothed(ring_sums(masked[1], [&](int x, int y) { return std::norm(masked[1](x, y)); }));
  for (std::size_t i = 0; i < cross.size(); ++i) out.frc.push_back(cross[i] / std::sqrt(p0[i] * p1[i] + 1e-30));
  std::size_t good = 1;
  while (good + 1 < out.frc.size() && out.frc[good + 1] > 1.0 / 3) ++good;
  out.resolution = geometry.pixel_size * (static_cast<double>(n) / static_cast<double>(good));

  // SNR of the mean of both halves is 2 FRC / (1 − FRC); what it needs of the mean weight is the Wiener constant.
  Spectrum sum = fft(halves[0].signal), other = fft(halves[1].signal);
  std::vector<double> weight(halves[0].weight);
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] += halves[1].weight[i];
  auto ring_weight = ring_sums(sum, [&](int x, int y) {
    return weight[static_cast<std::size_t>(y) * static_cast<std::size_t>(sum.columns()) + static_cast<std::size_t>(x)];
  });
  const auto ring_count = ring_sums(sum, [](int, int) { return 1.0; });
  for (int iy = 0; iy < n; ++iy)
    for (int ix = 0; ix < sum.columns(); ++ix) {
      const auto ring = static_cast<std::size_t>(std::lround(std::hypot(ix, sum.ky(iy))));
      if (ring >= out.frc.size()) {
        sum(ix, iy) = 0;
        continue;
      }
      const double frc = std::clamp(out.frc[ring], 0.01, 0.999), snr = 2 * frc / (1 - frc);
      const double beyond =
          ring > good + 2
              ? std::exp(-0.5 * std::pow((static_cast<double>(ring) - static_cast<double>(good) - 2) / 2, 2))
              : 1;
      const auto i =
          static_cast<std::size_t>(iy) * static_cast<std::size_t>(sum.columns()) + static_cast<std::size_t>(ix);
      sum(ix, iy) = (sum(ix, iy) + other(ix, iy)) *
                    static_cast<float>(beyond / (weight[i] + ring_weight[ring] / ring_count[ring] / snr));
    }
  out.image = ifft(sum);
  return out;
}

}  // namespace

std::vector<ClassAverage> average_classes(const State& state, const ParticleSet& particles, int most, int threads,
                                          const std::function<void()>& check_cancelled) {
  const auto& geometry = state.geometry;
  std::vector<std::vector<std::size_t>> members(static_cast<std::size_t>(state.classes()));
  for (std::size_t i = 0; i < state.assignments.size(); ++i)
    if (state.assignments[i].index >= 0) members[static_cast<std::size_t>(state.assignments[i].index)].push_back(i);
  std::vector<ClassAverage> out(members.size());
  const double work_scale = geometry.work_pixel() / geometry.pixel_size;
  parallel_for(threads, members.size(), [&](std::size_t k) {
    auto& list = members[k];
    const int all = static_cast<int>(list.size());
    std::stable_sort(list.begin(), list.end(), [&](auto a, auto b) {
      return state.assignments[a].probability > state.assignments[b].probability;
    });
    if (static_cast<int>(list.size()) > most) list.resize(static_cast<std::size_t>(most));
    std::array<HalfSums, 2> halves;
    for (auto& half : halves) {
      half.signal = Image(geometry.box, geometry.box, geometry.pixel_size);
      half.weight.assign(static_cast<std::size_t>(geometry.box) * static_cast<std::size_t>(geometry.box / 2 + 1), 0);
    }
    for (const auto i : list) {
      if (check_cancelled) check_cancelled();
      add_particle(particles, i, state.assignments[i], work_scale, halves[i % 2]);
    }
    out[k] = finish(geometry, halves);
    if (statistics(out[k].image).not_finite > 0)
      throw Error(ErrorCode::bad_input, "2D classification: the average of class {} is not finite", k + 1);
    out[k].count = all;
  });
  return out;
}

}  // namespace frazil::class2d
