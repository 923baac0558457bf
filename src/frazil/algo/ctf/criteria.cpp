#include "frazil/algo/ctf/criteria.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/drift.hpp"
#include "frazil/algo/ctf/ice.hpp"
#include "frazil/algo/ctf/quality.hpp"
#include "frazil/base/finite.hpp"

namespace frazil::ctf {
namespace {

using std::numbers::pi;

constexpr int azimuths = 36;  ///< evenly spaced: the mean of a smooth function of the angle converges exponentially
constexpr double significant = 4;  // standard deviations of one shell

std::vector<Level> levels(const Rings& rings, const Solution& solution) {
  std::vector<Level> out;
  for (std::size_t b = 0; b < rings.bins(); ++b) out.push_back(level_at(rings, solution, b));
  return out;
}

/// Mean of f(level) over the shells between two resolutions, as far as the fit reaches.
template <class F>
double mean_between(const Rings& rings, const std::vector<Level>& level, double from_A, double to_A, F f) {
  double sum = 0, count = 0;
  for (std::size_t b = 0; b < rings.bins(); ++b)
    if (rings.k[b] <= rings.k_max && rings.k[b] >= 1 / from_A && rings.k[b] <= 1 / to_A) {
      sum += f(level[b]);
      count += 1;
    }
  return count > 0 ? sum / count : 0;
}

/// k² of the first zero of sin χ after k = 0 at a local defocus: smaller root of πλΔf u − c u² + offset = π.
double first_zero_u(const Waves& waves, double defocus, double phase) {
  const double linear = waves.pi_lambda * defocus, wanted = pi - std::fmod(waves.offset + phase, pi);
  if (!(linear > 0)) return 0;
  const double root = linear * linear - 4 * waves.cs_term * wanted;
  if (root < 0) return 0;
  return waves.cs_term != 0 ? 2 * wanted / (linear + std::sqrt(root)) : wanted / linear;
}

void first_zeros(const Waves& waves, const Shape& shape, CtfQuality& out) {
  double low = 1e9, high = 0, sum = 0;
  for (int i = 0; i < azimuths; ++i) {
    const double a = 2 * pi * i / azimuths,
                 defocus = shape.defocus + 0.5 * (shape.c * std::cos(a) + shape.s * std::sin(a));
    const double u = first_zero_u(waves, defocus, shape.phase);
    if (u <= 0) return;
    const double d = 1 / std::sqrt(u);
    low = std::min(low, d);
    high = std::max(high, d);
    sum += d;
  }
  out.first_zero = Angstrom(sum / azimuths);
  out.first_zero_ratio = high / low;
}

/// Where a maximum and the next minimum of cos 2χ are two pixels apart.
double aliasing_A(const Rings& rings, const Waves& waves, const Shape& shape) {
  const double largest = shape.defocus + 0.5 * std::hypot(shape.c, shape.s);
  for (double k = rings.k_min; k < 0.5; k += rings.dk)
    if (std::abs(2 * k * (waves.pi_lambda * largest - 2 * waves.cs_term * k * k)) * 2 * rings.dk > pi / 2) return 1 / k;
  return 2;
}

double envelope_end_A(const Rings& rings, const std::vector<Level>& level) {
  double top = 0, end = rings.k_max;
  for (std::size_t b = 0; b < rings.bins(); ++b)
    if (rings.k[b] <= rings.k_max) top = std::max(top, std::sqrt(at_least_zero(level[b].envelope * rings.baseline[b])));
  bool after = false;
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    if (rings.k[b] > rings.k_max) break;
    const double amplitude = std::sqrt(at_least_zero(level[b].envelope * rings.baseline[b]));
    after = after || amplitude >= 0.99 * top;
    if (after && amplitude < 0.1 * top) {
      end = rings.k[b];
      break;
    }
  }
  return 1 / end;
}

/// Strength of the rings as a function of azimuth, S(α) = a + b cos 2α + c sin 2α, by least squares on all pixels.
void directional(const Rings& rings, const Waves& waves, const Solution& solution, const std::vector<Level>& level,
                 double unit, CtfQuality& out) {
  Eigen::Matrix3d normal = Eigen::Matrix3d::Zero();
  Eigen::Vector3d right = Eigen::Vector3d::Zero();
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    if (rings.in_fit[b] == 0 || !(level[b].envelope > 0)) continue;
    const double wave = -level[b].envelope * waves.cosine(solution.shape, p);
    const Eigen::Vector3d row(wave, wave * double{p.c} / double{p.u}, wave * double{p.s} / double{p.u});
    normal += double{p.w} * row * row.transpose();
    right += double{p.w} * row * (double{p.y} - level[b].background);
  }
  if (!(normal(0, 0) > 0)) return;
  const Eigen::Vector3d x = normal.ldlt().solve(right);
  const Eigen::Matrix3d covariance = unit * normal.inverse();
  if (!(x(0) > 0) || !x.allFinite()) return;
  out.directional_damping = std::min(1.0, std::hypot(x(1), x(2)) / x(0));
  out.sigma_directional = std::sqrt(at_least_zero(0.5 * (covariance(1, 1) + covariance(2, 2)))) / x(0);
}

struct Radial {
  std::vector<double> residual, sigma;  ///< mean over each shell of y minus the model, and its standard error
};

Radial radial(const Rings& rings, const Waves& waves, const Solution& solution, const std::vector<Level>& level,
              double unit) {
  Radial out{std::vector<double>(rings.bins(), 0.0), std::vector<double>(rings.bins(), 0.0)};
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    out.residual[b] += double{p.y} - level[b].background + level[b].envelope * waves.cosine(solution.shape, p);
  }
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    const double n = std::max(1.0, rings.count[b]);
    out.residual[b] /= n;
    out.sigma[b] = std::sqrt(unit / n) * std::max(1e-3, level[b].background);  // y's scatter goes with its expectation
  }
  return out;
}

struct Peak {
  double height = 0, z = 0, d_A = 0, sigma_A = 0;
};

/// Highest shell within ±width (Å) of a spacing over the mean of its flanks.
Peak peak_near(const Rings& rings, const Radial& radial, double spacing_A, double width_A) {
  Peak best;
  double flank = 0, flanks = 0;
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    const double away = std::abs(1 / rings.k[b] - spacing_A);
    if (away < 1.5 * width_A || away > 3.5 * width_A) continue;
    flank += radial.residual[b];
    flanks += 1;
  }
  if (flanks < 2) return best;
  flank /= flanks;
  double sum = 0, moment = 0;
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    if (std::abs(1 / rings.k[b] - spacing_A) > width_A) continue;
    const double height = radial.residual[b] - flank;
    if (height > best.height) best = {height, height / std::max(1e-12, radial.sigma[b]), 0, 0};
    sum += at_least_zero(height);
    moment += at_least_zero(height) * rings.k[b];
  }
  if (sum > 0) {
    const double k = moment / sum;
    best.d_A = 1 / k;
    best.sigma_A = rings.dk / (k * k) * std::max(0.1, 1 / std::max(1.0, best.z));
  }
  return best;
}

/// Mean of y over each shell against a straight line through what lies around a ring: beyond the fit band there is no
/// model.
struct Line {
  double start = 0, slope = 0, scatter = 0;
};
Line line_around(const std::vector<double>& k, const std::vector<double>& mean, double low_k, double high_k) {
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  const auto is_around = [&](double at) {
    return (at > 0.9 * low_k && at < low_k) || (at > high_k && at < 1.1 * high_k);
  };
  for (std::size_t b = 0; b < k.size(); ++b) {
    if (!is_around(k[b])) continue;
    n += 1;
    sx += k[b];
    sy += mean[b];
    sxx += k[b] * k[b];
    sxy += k[b] * mean[b];
  }
  const double spread = n * sxx - sx * sx;
  if (n < 6 || !(spread > 0)) return {};
  Line line{0, (n * sxy - sx * sy) / spread, 0};
  line.start = (sy - line.slope * sx) / n;
  for (std::size_t b = 0; b < k.size(); ++b)
    if (is_around(k[b])) line.scatter += std::pow(mean[b] - line.start - line.slope * k[b], 2) / (n - 2);
  line.scatter = std::sqrt(line.scatter);
  return line;
}

/// Place of the (111) ring of gold, 2.355 Å (a = 4.079 Å): films of gold show it where the foil is in the field. It
/// tells the pixel size; looked for up to 8 % off.
void gold(const Rings& rings, CtfQuality& out) {
  constexpr double spacing_A = 2.355, reach = 0.08, half_width = 0.012;
  const double low_k = (1 - reach) / spacing_A, high_k = (1 + reach) / spacing_A;
  if (rings.k.back() < 1.1 * high_k) return;
  std::vector<double> mean(rings.bins(), 0.0);
  for (const auto& p : rings.pixels) mean[static_cast<std::size_t>(p.bin)] += double{p.y};
  for (std::size_t b = 0; b < rings.bins(); ++b) mean[b] /= std::max(1.0, rings.count[b]);
  const auto line = line_around(rings.k, mean, low_k, high_k);
  if (!(line.scatter > 0)) return;
  const auto height = [&](std::size_t b) { return mean[b] - line.start - line.slope * rings.k[b]; };
  std::size_t best = 0;
  for (std::size_t b = 0; b < rings.bins(); ++b)
    if (rings.k[b] > low_k && rings.k[b] < high_k && (best == 0 || height(b) > height(best))) best = b;
  if (best == 0 || height(best) < 2 * significant * line.scatter || height(best) < 0.03) return;
  double sum = 0, moment = 0;
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    if (std::abs(rings.k[b] / rings.k[best] - 1) > half_width || height(b) < line.scatter) continue;
    sum += height(b);
    moment += height(b) * rings.k[b];
  }
  const double k = moment / sum;
  out.gold_position = Angstrom(1 / k);
  out.sigma_gold_position = Angstrom(0.3 * rings.dk / (k * k));
}

/// The sharpest ring near 3.67 Å, up to 8 % off as a wrong pixel size puts it.
Peak ice_ring(const Rings& rings, const Radial& radial) {
  constexpr double spacing_A = 3.67, half_width_A = 0.09, step_A = 0.03;
  constexpr int steps = 10;
  Peak best;
  for (int i = -steps; i <= steps; ++i) {
    const auto peak = peak_near(rings, radial, spacing_A + i * step_A, half_width_A);
    if (peak.z > best.z) best = peak;
  }
  return best.z > 0 ? peak_near(rings, radial, best.d_A, half_width_A) : best;
}

/// Place of the ring at 3.67 Å, which both ices have, where it stands out by 3 % of the background: it tells the pixel
/// size. Hexagonal ice may show those at 3.90 or 3.44 Å alone.
void ice(const Rings& rings, const Radial& radial, CtfQuality& out) {
  if (rings.k.back() < 1 / 3.5) return;
  const auto common = ice_ring(rings, radial);
  for (std::size_t b = 0; b < rings.bins(); ++b)
    if (rings.k[b] > 1 / 4.0 && rings.k[b] < 1 / 3.4) out.ice_spots = std::max(out.ice_spots, rings.highest[b]);
  if (common.z < significant || common.height < 0.03) return;
  out.ice_position = Angstrom(common.d_A);
  out.sigma_ice_position = Angstrom(common.sigma_A);
}

double background_misfit(const Rings& rings, const Radial& radial) {
  double sum = 0, count = 0;
  for (std::size_t b = 0; b < rings.bins(); ++b)
    if (rings.in_fit[b] != 0) {
      sum += std::pow(radial.residual[b] / std::max(1e-12, radial.sigma[b]), 2);
      count += 1;
    }
  return count > 0 ? std::sqrt(sum / count) : 0;
}

/// Sign of the defocus, spherical aberration and constant phase.
Aberration aberration(const Rings& rings, const Waves& waves, const Solution& solution, double unit, CtfQuality& out) {
  if (!solution.has_rings) return {{}, {}, waves, solution};
  const auto over = refine_overfocus(rings, waves, solution);
  const double gain = solution.cost - over.cost;
  out.overfocus = std::copysign(std::sqrt(std::abs(gain) / unit) / std::max(1.0, out.background_misfit), gain);
  auto found = find_aberration(rings, waves, solution, over, unit);
  out.cs_deviation = Millimetre(found.cs.mm);
  out.sigma_cs = Millimetre(found.cs.sigma_mm);
  out.defocus_per_cs = found.cs.defocus_A_per_mm;
  out.phase_deviation = from_rad(found.phase.rad);
  out.sigma_phase_deviation = from_rad(found.phase.sigma_rad);
  out.phase_over_cs = found.phase.over_cs;
  return found;
}

}  // namespace

CtfQuality criteria(const Rings& rings, const Waves& waves, const Solution& solution) {
  const auto level = levels(rings, solution);
  const double unit = solution.cost / std::max(1.0, solution.pixels) * noise_correlation(rings, waves, solution);
  const auto shells = radial(rings, waves, solution, level, unit);
  CtfQuality out;
  out.visibility = mean_between(rings, level, 1 / rings.k_min, 8,
                                [](const Level& l) { return l.background > 0 ? l.envelope / l.background : 0; });
  out.strength = mean_between(
      rings, level, 12, 7, [](const Level& l) { return 2 * l.envelope / std::max(0.02, l.background - l.envelope); });
  out.astigmatism_ratio =
      std::hypot(solution.shape.c, solution.shape.s) / std::max(1.0, std::abs(solution.shape.defocus));
  first_zeros(waves, solution.shape, out);
  out.aliasing = Angstrom(aliasing_A(rings, waves, solution.shape));
  out.envelope_end = Angstrom(envelope_end_A(rings, level));
  directional(rings, waves, solution, level, unit, out);
  const auto drift = find_drift(rings, waves, solution, unit);
  out.drift = Angstrom(drift.length_A);
  out.sigma_drift = Angstrom(drift.sigma_A);
  gold(rings, out);
  out.ice_phase = find_ice(rings, waves, solution, unit).phase();
  out.background_misfit = background_misfit(rings, shells);
  const auto seen = aberration(rings, waves, solution, unit, out);
  // What rings of wrong optics leave of the Thon rings is no ice.
  ice(rings, radial(rings, seen.waves, seen.solution, levels(rings, seen.solution), unit), out);
  out.outliers =
      static_cast<double>(rings.limited) / static_cast<double>(std::max<std::size_t>(1, rings.pixels.size()));
  return out;
}

}  // namespace frazil::ctf
