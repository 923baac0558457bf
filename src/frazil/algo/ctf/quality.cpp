#include "frazil/algo/ctf/quality.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "frazil/base/finite.hpp"

namespace frazil::ctf {
namespace {

/// k² at which the mean defocus alone has the phase that this pixel has; the pixel's own k² past the turning point of
/// χ.
double equi_phase_u(const Shape& p, const Waves& waves, double u, double uc, double us) {
  if (p.c == 0 && p.s == 0) return u;
  const double linear = waves.pi_lambda * p.defocus, quadratic = waves.cs_term;
  const double x = linear * u + 0.5 * waves.pi_lambda * (p.c * uc + p.s * us) - quadratic * u * u;
  if (std::abs(quadratic) < 1e-12) return linear > 0 ? x / linear : u;
  const double discriminant = linear * linear - 4 * quadratic * x;
  if (discriminant < 0 || (quadratic > 0 && u > linear / (2 * quadratic))) return u;
  const double root = (linear - std::sqrt(discriminant)) / (2 * quadratic);
  return root > 0 ? root : u;
}

double pearson(const std::vector<double>& a, const std::vector<double>& b, std::size_t first, std::size_t last) {
  double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
  for (std::size_t i = first; i <= last; ++i) {
    sa += a[i];
    sb += b[i];
  }
  const double n = static_cast<double>(last - first + 1), ma = sa / n, mb = sb / n;
  for (std::size_t i = first; i <= last; ++i) {
    saa += (a[i] - ma) * (a[i] - ma);
    sbb += (b[i] - mb) * (b[i] - mb);
    sab += (a[i] - ma) * (b[i] - mb);
  }
  return saa > 0 && sbb > 0 ? sab / std::sqrt(saa * sbb) : 0;
}

/// Correlation of `measured` and the bare rings in a window of the CTFFIND kind around every bin; `sign` is −1 beyond a
/// node.
std::vector<double> sliding_correlation(const std::vector<double>& k, const std::vector<double>& measured,
                                        const std::vector<double>& sign, const Shape& shape, const Waves& waves) {
  std::vector<double> rings(k.size()), out(k.size());
  for (std::size_t i = 0; i < k.size(); ++i) rings[i] = -sign[i] * std::cos(2 * waves.chi(shape, k[i] * k[i], 0, 0));
  const double dk = k.size() > 1 ? k[1] - k[0] : 1;
  const double chi_start = waves.chi(shape, 0, 0, 0);
  for (std::size_t i = 0; i < k.size(); ++i) {
    const double u = k[i] * k[i];
    const double slope = 2 * k[i] * std::abs(waves.pi_lambda * shape.defocus - 2 * waves.cs_term * u);  // dχ/dk
    const double to_next = (std::numbers::pi / 2) / std::max(slope, 1e-9) / dk;  // bins between extrema of cos 2χ
    const double extrema = std::abs(waves.chi(shape, u, 0, 0) - chi_start) / (std::numbers::pi / 2);
    const double half = std::max(static_cast<double>(k.size()) / 40, (1 + 0.1 * extrema) * to_next);
    const auto reach = static_cast<std::ptrdiff_t>(std::min(half, static_cast<double>(k.size()) / 4));
    const auto at = static_cast<std::ptrdiff_t>(i), end = static_cast<std::ptrdiff_t>(k.size()) - 1;
    out[i] = pearson(measured, rings, static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, at - reach)),
                     static_cast<std::size_t>(std::min(end, at + reach)));
  }
  return out;
}

/// Mean over each bin of y minus the model.
std::vector<double> radial_residual(const Rings& rings, const Waves& waves, const Solution& solution) {
  std::vector<double> sum(rings.bins(), 0.0);
  std::vector<Level> level(rings.bins());
  for (std::size_t b = 0; b < rings.bins(); ++b) level[b] = level_at(rings, solution, b);
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    sum[b] += double{p.y} - level[b].background + level[b].envelope * waves.cosine(solution.shape, p);
  }
  for (std::size_t b = 0; b < rings.bins(); ++b) sum[b] /= std::max(1.0, rings.count[b]);
  return sum;
}

}  // namespace

Profile equi_phase_profile(const Rings& rings, const Waves& waves, const Solution& solution) {
  Profile out;
  const double step = rings.dk / 2, first = rings.k.front() - rings.dk / 2;
  const std::size_t bins = 2 * rings.bins();
  std::vector<double> sum(bins, 0.0), weight(bins, 0.0);
  std::vector<Level> level(rings.bins());
  for (std::size_t b = 0; b < rings.bins(); ++b) level[b] = level_at(rings, solution, b);
  for (const auto& p : rings.pixels) {
    const double u = equi_phase_u(solution.shape, waves, double{p.u}, double{p.c}, double{p.s});
    const double x = (std::sqrt(u) - first) / step - 0.5;
    const auto i = static_cast<std::ptrdiff_t>(std::floor(x));
    const double f = x - static_cast<double>(i),
                 value = double{p.y} - level[static_cast<std::size_t>(p.bin)].background;
    if (i >= 0 && i < static_cast<std::ptrdiff_t>(bins)) {
      sum[static_cast<std::size_t>(i)] += (1 - f) * value;
      weight[static_cast<std::size_t>(i)] += 1 - f;
    }
    if (i + 1 >= 0 && i + 1 < static_cast<std::ptrdiff_t>(bins)) {
      sum[static_cast<std::size_t>(i + 1)] += f * value;
      weight[static_cast<std::size_t>(i + 1)] += f;
    }
  }
  std::vector<double> sign;
  for (std::size_t i = 0; i < bins; ++i) {
    if (weight[i] < 1) continue;
    const double k = first + (static_cast<double>(i) + 0.5) * step;
    const auto& here = level[std::min(rings.bins() - 1, i / 2)];
    out.k_per_A.push_back(k);
    sign.push_back(rings.contrast[std::min(rings.bins() - 1, i / 2)] < 0 ? -1 : 1);
    out.measured.push_back(sum[i] / weight[i]);
    out.model.push_back(-here.envelope * std::cos(2 * waves.chi(solution.shape, k * k, 0, 0)));
  }
  out.correlation = sliding_correlation(out.k_per_A, out.measured, sign, solution.shape, waves);
  return out;
}

Angstrom fit_resolution(const Profile& profile, Angstrom min_resolution) {
  const auto& c = profile.correlation;
  const std::size_t patience = std::max<std::size_t>(4, c.size() / 25);
  const auto stays_below = [&](std::size_t from, double level) {
    const std::size_t end = std::min(c.size(), from + patience);
    return std::all_of(c.begin() + static_cast<std::ptrdiff_t>(from), c.begin() + static_cast<std::ptrdiff_t>(end),
                       [level](double value) { return value < level; });
  };
  int above_low = 0, above_high = 0;
  std::size_t last = c.size();
  for (std::size_t i = c.size() / 10; i < c.size(); ++i) {
    if ((above_low > 3 && c[i] < 0.1 && stays_below(i, 0.5)) || (above_high > 3 && stays_below(i, 0.5))) {
      last = i;
      break;
    }
    if (c[i] > 0.1) ++above_low;
    if (c[i] > 0.66) ++above_high;
  }
  if (above_high <= 3) return min_resolution;  // never agreed
  return Angstrom(1 / profile.k_per_A[std::min(last, c.size() - 1)]);
}

double normal_quantile(double p) {
  double low = 0, high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    (0.5 * std::erfc(middle / std::numbers::sqrt2) > p ? low : high) = middle;
  }
  return low;
}

double score(double cost, double alone) { return alone > 0 ? std::sqrt(at_least_zero(1 - cost / alone)) : 0; }

double noise_correlation(const Rings& rings, const Waves& waves, const Solution& solution) {
  const int n = rings.n, half = n / 2;
  std::vector<float> residual(static_cast<std::size_t>(half) * static_cast<std::size_t>(n), 0.0F);
  const auto at = [&](int x, int y) -> float& {
    return residual[static_cast<std::size_t>(y) * static_cast<std::size_t>(half) + static_cast<std::size_t>(x)];
  };
  std::vector<Level> level(rings.bins());
  for (std::size_t b = 0; b < rings.bins(); ++b) level[b] = level_at(rings, solution, b);
  double variance = 0;
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    if (rings.in_fit[b] == 0) continue;
    const double r = std::sqrt(double{p.w}) *
                     (double{p.y} - level[b].background + level[b].envelope * waves.cosine(solution.shape, p));
    at(p.ix, p.iy) = static_cast<float>(r);
    variance += r * r;
  }
  if (!(variance > 0)) return 1;
  double sum = 1;  // lag zero
  for (int dy = 0; dy <= 3; ++dy)
    for (int dx = -3; dx <= 3; ++dx) {
      if (dy == 0 && dx <= 0) continue;
      double product = 0;
      for (int y = 0; y + dy < n; ++y)
        for (int x = std::max(0, -dx); x < std::min(half, half - dx); ++x)
          product += double{at(x, y)} * double{at(x + dx, y + dy)};
      sum += 2 * product / variance;
    }
  return std::max(1.0, sum);
}

double iceness(const Rings& rings, const Waves& waves, const Solution& solution) {
  constexpr double outer_k = 1 / 4.6, inner_k = 1 / 3.2;  // the ring's window and as much on either side for the line
  if (rings.k.back() < 1 / 3.6) return std::numeric_limits<double>::quiet_NaN();
  const auto residual = radial_residual(rings, waves, solution);
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;  // straight line through both sides of the ring
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    const double k = rings.k[b];
    if (k < outer_k || k > inner_k || (k > ice_low_k && k < ice_high_k)) continue;
    n += 1;
    sx += k;
    sy += residual[b];
    sxx += k * k;
    sxy += k * residual[b];
  }
  const double spread = n * sxx - sx * sx;
  const double slope = rings.k.back() > ice_high_k && spread > 0 ? (n * sxy - sx * sy) / spread : 0,
               start = n > 0 ? (sy - slope * sx) / n : 0;
  double peak = 0;
  for (std::size_t b = 1; b + 1 < rings.bins(); ++b) {
    const double k = rings.k[b];
    if (k < ice_low_k || k > ice_high_k) continue;
    const double height = (residual[b - 1] + residual[b] + residual[b + 1]) / 3 - start - slope * k;
    peak = std::max(peak, height / std::max(1e-6, level_at(rings, solution, b).background));
  }
  return peak;
}

Angstrom2 ring_decay(const Rings& rings, const Solution& solution) {
  const double low = rings.k_max > 1 / 7.0 ? 1 / 10.0 : rings.k_min;
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    if (rings.in_fit[b] == 0 || rings.k[b] < low) continue;
    const double e = level_at(rings, solution, b).envelope;
    if (!(e > 0)) continue;
    const double w = rings.count[b] * e * e, x = rings.k[b] * rings.k[b], y = std::log(e * rings.baseline[b]);
    n += w;
    sx += w * x;
    sy += w * y;
    sxx += w * x * x;
    sxy += w * x * y;
  }
  const double spread = n * sxx - sx * sx;
  return Angstrom2(spread > 0 ? -2 * (n * sxy - sx * sy) / spread : 0);
}

}  // namespace frazil::ctf
