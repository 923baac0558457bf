#include "frazil/algo/ctf/ice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "frazil/algo/ctf/quality.hpp"

namespace frazil::ctf {
namespace {

constexpr std::array ring_A{3.67, 3.90, 3.44};
constexpr double window_low_k = 1 / 4.7, window_high_k = 1 / 3.1;
constexpr double largest_scale = 0.03, scale_step = 0.004, spot_half_width = 0.015;
constexpr int scales = 15;  // −2.8 % to 2.8 %
constexpr int nuisances = 6, heights = 3, terms = nuisances + heights;
static_assert((scales - 1) * scale_step / 2 <= largest_scale);

struct Shell {
  double k = 0, n = 0, mean = 0, wave = 0, weight = 0;  ///< mean of y and of cos 2χ, 1/σ² of the former
  double square = 0, fourth = 0;                        ///< sums of powers of the weighted residuals
};

std::vector<Shell> shells_of(const Rings& rings, const Waves& waves, const Solution& solution, double unit) {
  std::vector<Shell> shells(rings.bins());
  std::vector<Level> level(rings.bins());
  for (std::size_t b = 0; b < rings.bins(); ++b) level[b] = level_at(rings, solution, b);
  const auto wave_of = [&](const RingPixel& p) { return std::cos(2 * waves.chi(solution.shape, double{p.u}, double{p.c}, double{p.s})); };
  for (const auto& p : rings.pixels) {
    auto& s = shells[static_cast<std::size_t>(p.bin)];
    s.n += 1;
    s.mean += double{p.y};
    s.wave += wave_of(p);
  }
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    auto& s = shells[b];
    s.k = rings.k[b];
    if (s.n == 0) continue;
    s.mean /= s.n;
    s.wave /= s.n;
    s.weight = s.n / (unit * std::pow(std::max(1e-3, level[b].background), 2));
  }
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    auto& s = shells[b];
    if (s.k < window_low_k || s.k > window_high_k) continue;
    // Against the shell's own mean, so that a smooth misfit of the background is no scatter.
    const double d = double{p.y} - s.mean + level[b].envelope * (wave_of(p) - s.wave), r2 = double{p.w} * d * d;
    s.square += r2;
    s.fourth += r2 * r2;
  }
  std::erase_if(shells, [](const Shell& s) { return s.n == 0 || s.k < window_low_k || s.k > window_high_k; });
  return shells;
}

struct Heights {
  std::array<double, heights> z{};
  double together = 0;
};

/// Heights of the three rings over their errors with the pixel size scaled by 1 + `scale`.
Heights heights_at(const std::vector<Shell>& shells, double scale, double width_k) {
  Eigen::Matrix<double, terms, terms> normal = Eigen::Matrix<double, terms, terms>::Zero();
  Eigen::Matrix<double, terms, 1> right = Eigen::Matrix<double, terms, 1>::Zero();
  double total = 0;
  for (const auto& s : shells) {
    const double t = (2 * s.k - window_low_k - window_high_k) / (window_high_k - window_low_k);
    Eigen::Matrix<double, terms, 1> row;
    row << 1, t, t * t, t * t * t, s.wave, s.wave * t, 0, 0, 0;
    for (int j = 0; j < heights; ++j) row(nuisances + j) = std::exp(-0.5 * std::pow((s.k - (1 + scale) / ring_A[static_cast<std::size_t>(j)]) / width_k, 2));
    normal += s.weight * row * row.transpose();
    right += s.weight * s.mean * row;
    total += s.weight * s.mean * s.mean;
  }
  // Spectra that end before 3.44 Å have no such ring, and Thon rings may be finer than the shells: a small ridge keeps the matrix regular.
  normal.diagonal() += 1e-9 * normal.trace() * Eigen::Matrix<double, terms, 1>::Ones();
  const auto solver = normal.ldlt();
  const Eigen::Matrix<double, terms, 1> x = solver.solve(right);
  const Eigen::Matrix<double, terms, terms> covariance = solver.solve(Eigen::Matrix<double, terms, terms>::Identity());
  const double misfit = std::max(1.0, (total - x.dot(right)) / (static_cast<double>(shells.size()) - terms));
  Heights out;
  for (int j = 0; j < heights; ++j) out.z[static_cast<std::size_t>(j)] = x(nuisances + j) / std::sqrt(misfit * covariance(nuisances + j, nuisances + j));
  out.together = x.tail<heights>().sum() / std::sqrt(misfit * covariance.bottomRightCorner<heights, heights>().sum());
  return out;
}

/// Mean square of the residuals near one ring less that elsewhere, over its error.
double spot_excess(const std::vector<Shell>& shells, double spacing_A, double correlation) {
  const auto near = [](double k, double d_A) { return std::abs(k * d_A - 1) < spot_half_width; };
  double here = 0, here_n = 0, beside = 0, beside_fourth = 0, beside_n = 0;
  for (const auto& s : shells) {
    if (near(s.k, spacing_A)) {
      here += s.square;
      here_n += s.n;
    } else if (std::none_of(ring_A.begin(), ring_A.end(), [&](double d) { return near(s.k, d); })) {
      beside += s.square;
      beside_fourth += s.fourth;
      beside_n += s.n;
    }
  }
  if (here_n < 1 || beside_n < 1) return 0;
  here /= here_n;
  beside /= beside_n;
  const double variance = correlation * (beside_fourth / beside_n - beside * beside) * (1 / here_n + 1 / beside_n);
  return variance > 0 ? (here - beside) / std::sqrt(variance) : 0;
}

}  // namespace

IcePhase IceRings::phase() const {
  if (!seen()) return IcePhase::vitreous;
  return hexagonal > limit ? IcePhase::hexagonal : IcePhase::cubic;
}

IceRings find_ice(const Rings& rings, const Waves& waves, const Solution& solution, double unit) {
  IceRings out;
  out.limit = normal_quantile(ice_false_alarms / (scales * (heights + 1) + heights));
  const auto shells = shells_of(rings, waves, solution, unit);
  if (rings.k.back() < 1 / 3.5 || shells.size() < 2 * terms) {
    out.even = out.hexagonal = out.spots = std::numeric_limits<double>::quiet_NaN();
    return out;
  }
  const double width_k = std::max(0.0014, 0.6 * rings.dk);
  for (int i = 0; i < scales; ++i) {
    const auto at = heights_at(shells, (i - scales / 2) * scale_step, width_k);
    const double best = std::max({at.z[0], at.z[1], at.z[2], at.together});
    if (best <= out.even) continue;
    out.even = best;
    out.hexagonal = std::max(at.z[1], at.z[2]);
  }
  const double correlation = unit * std::max(1.0, solution.pixels) / std::max(1e-300, solution.cost);
  for (const double d : ring_A) out.spots = std::max(out.spots, spot_excess(shells, d, correlation));
  return out;
}

}  // namespace frazil::ctf
