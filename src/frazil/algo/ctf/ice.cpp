#include "frazil/algo/ctf/ice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "frazil/algo/ctf/quality.hpp"

namespace frazil::ctf {
namespace {

constexpr std::array ring_A{3.67, 3.90, 3.44};
// The three rings moved by 3 %, and half their span on either side to tell the background by. Steps of 0.4 % are less
// than the standard deviation of the narrowest ring, 0.0014 1/Å at 0.27 1/Å.
constexpr double window_low_k = 1 / 4.7, window_high_k = 1 / 3.1;
constexpr double largest_scale = 0.03, scale_step = 0.004;
constexpr int scales = 15;  // −2.8 % to 2.8 %
constexpr double spot_reach = 0.015, annulus_width_k = 0.005, wedge_pixels = 2;
constexpr int spot_tests = 20;  // annuli near the rings that do not share their pixels, generously
constexpr int nuisances = 7, heights = 3, terms = nuisances + heights;  // a cubic (4), a parabola (3), the rings
static_assert((scales - 1) * scale_step / 2 <= largest_scale);

struct Shell {
  double k = 0, n = 0, mean = 0, wave = 0, weight = 0;  ///< mean of y and of cos 2χ, 1/σ² of the former
  std::vector<double> wedge, wedge_n;                   ///< weighted residuals by azimuth: their sum and number
};

std::vector<Shell> shells_of(const Rings& rings, const Waves& waves, const Solution& solution, double unit) {
  const auto wedges = static_cast<std::size_t>(std::ceil(std::numbers::pi / (3.67 * rings.dk) / wedge_pixels));
  std::vector<Shell> shells(rings.bins());
  std::vector<Level> level(rings.bins());
  for (std::size_t b = 0; b < rings.bins(); ++b) level[b] = level_at(rings, solution, b);
  const auto wave_of = [&](const RingPixel& p) { return waves.cosine(solution.shape, p); };
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
    s.wedge.assign(wedges, 0.0);
    s.wedge_n.assign(wedges, 0.0);
  }
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    auto& s = shells[b];
    if (s.n == 0 || s.k < window_low_k || s.k > window_high_k) continue;
    // Against the shell's own mean, so that a smooth misfit of the background is no scatter.
    const double d = double{p.y} - s.mean + level[b].envelope * (wave_of(p) - s.wave),
                 angle = 0.5 * std::atan2(double{p.s}, double{p.c}) / std::numbers::pi + 0.5;
    const auto j = std::min(wedges - 1, static_cast<std::size_t>(angle * static_cast<double>(wedges)));
    s.wedge[j] += std::sqrt(double{p.w}) * d;
    s.wedge_n[j] += 1;
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
    row << 1, t, t * t, t * t * t, s.wave, s.wave * t, s.wave * t * t, 0, 0, 0;
    for (int j = 0; j < heights; ++j)
      row(nuisances + j) =
          std::exp(-0.5 * std::pow((s.k - (1 + scale) / ring_A[static_cast<std::size_t>(j)]) / width_k, 2));
    normal += s.weight * row * row.transpose();
    right += s.weight * s.mean * row;
    total += s.weight * s.mean * s.mean;
  }
  // Spectra that end before 3.44 Å have no such ring, and Thon rings may be finer than the shells: a small ridge keeps
  // the matrix regular.
  normal.diagonal() += 1e-9 * normal.trace() * Eigen::Matrix<double, terms, 1>::Ones();
  const auto solver = normal.ldlt();
  const Eigen::Matrix<double, terms, 1> x = solver.solve(right);
  const Eigen::Matrix<double, terms, terms> covariance = solver.solve(Eigen::Matrix<double, terms, terms>::Identity());
  const double misfit = std::max(1.0, (total - x.dot(right)) / (static_cast<double>(shells.size()) - terms));
  Heights out;
  for (int j = 0; j < heights; ++j)
    out.z[static_cast<std::size_t>(j)] =
        x(nuisances + j) / std::sqrt(misfit * covariance(nuisances + j, nuisances + j));
  out.together = x.tail<heights>().sum() / std::sqrt(misfit * covariance.bottomRightCorner<heights, heights>().sum());
  return out;
}

/// Squares of the wedges' sums of one annulus over their numbers of pixels.
std::vector<double> wedge_powers(const std::vector<Shell>& shells, double centre_k, double width_k) {
  const std::size_t wedges = shells.front().wedge.size();
  std::vector<double> sum(wedges, 0.0), n(wedges, 0.0), out;
  for (const auto& s : shells) {
    if (std::abs(s.k - centre_k) > width_k / 2) continue;
    for (std::size_t j = 0; j < wedges; ++j) {
      sum[j] += s.wedge[j];
      n[j] += s.wedge_n[j];
    }
  }
  for (std::size_t j = 0; j < wedges; ++j)
    if (n[j] > 0) out.push_back(sum[j] * sum[j] / n[j]);
  return out;
}

struct Powers {
  double sum = 0, squares = 0, n = 0;
  void add(const std::vector<double>& values) {
    for (const double v : values) {
      sum += v;
      squares += v * v;
      n += 1;
    }
  }
};

/// Largest significance of an annulus near a ring whose wedges scatter more than those of annuli beside all rings.
double spot_excess(const std::vector<Shell>& shells, double dk) {
  const double width_k = std::max(annulus_width_k, dk);
  const auto away_from_rings = [](double k) {  // relative distance to the nearest
    double least = 1;
    for (const double d : ring_A) least = std::min(least, std::abs(k * d - 1));
    return least;
  };
  std::vector<Powers> near, apart;
  Powers beside;
  double last_k = 0;
  for (const auto& s : shells) {
    if (s.k < window_low_k + width_k / 2 || s.k > shells.back().k - width_k / 2) continue;
    const double away = away_from_rings(s.k);
    if (away < spot_reach)
      near.emplace_back().add(wedge_powers(shells, s.k, width_k));
    else if (away > spot_reach + width_k / s.k && s.k >= last_k + width_k) {
      const auto powers = wedge_powers(shells, s.k, width_k);
      beside.add(powers);
      apart.emplace_back().add(powers);
      last_k = s.k;
    }
  }
  if (near.empty() || beside.n < 2 || !(beside.sum > 0)) return 0;
  const double mean = beside.sum / beside.n, variance = beside.squares / beside.n / (mean * mean) - 1;
  // A mean of squares, made normal by its cube root (Wilson & Hilferty 1931, doi:10.1073/pnas.17.12.684).
  const auto deviate = [&](const Powers& here) {
    const double freedom = 2 / (variance * (1 / here.n + 1 / beside.n)), spread = 2 / (9 * freedom);
    return (std::cbrt(here.sum / here.n / mean) - (1 - spread)) / std::sqrt(spread);
  };
  double most = 0, scatter = 0;
  for (const auto& here : near) most = std::max(most, deviate(here));
  for (const auto& here : apart) scatter += std::pow(deviate(here), 2) / static_cast<double>(apart.size());
  return most / std::sqrt(std::max(1.0, scatter));  // what the fit of the rings leaves scatters too
}

}  // namespace

IcePhase IceRings::phase() const {
  if (!seen()) return IcePhase::vitreous;
  return hexagonal > limit ? IcePhase::hexagonal : IcePhase::cubic;
}

IceRings find_ice(const Rings& rings, const Waves& waves, const Solution& solution, double unit) {
  IceRings out;
  out.limit = normal_quantile(ice_false_alarms / (scales * (heights + 1) + spot_tests));
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
  out.spots = spot_excess(shells, rings.dk);
  return out;
}

}  // namespace frazil::ctf
