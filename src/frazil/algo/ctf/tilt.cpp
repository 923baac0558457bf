#include "frazil/algo/ctf/tilt.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/quality.hpp"
#include "frazil/algo/ctf/refine.hpp"
#include "frazil/base/finite.hpp"

namespace frazil::ctf {
namespace {

using std::numbers::pi;

constexpr double defocus_step_A = 60, correlation_of_pixels = 2.2;  // a Hann window's noise bandwidth, both axes
constexpr int finer_rounds = 6;                                     // to 1/64 of the grid's step

/// Everything about shells that is the same for all regions.
struct Shells {
  std::vector<int> bin;  ///< of each half-plane pixel at the radius where the mean defocus has its phase; −1: not used
  Eigen::VectorXd weight;          ///< pixels of each shell over the square of the expected power
  Eigen::MatrixXd basis, inverse;  ///< background splines; (BᵀWB)⁻¹BᵀW
  Eigen::MatrixXd templates;       ///< shell × defocus step, background removed
  Eigen::VectorXd norm;            ///< ‖template‖² with the weights
  double first_A = 0;              ///< defocus offset of the first template
};

double radius_of_phase(const Shape& shape, const Waves& waves, const RingPixel& p) {
  const double chi =
      waves.pi_lambda * (shape.defocus * double{p.u} + 0.5 * (shape.c * double{p.c} + shape.s * double{p.s})) -
      waves.cs_term * double{p.u} * double{p.u};
  const double linear = waves.pi_lambda * shape.defocus, root = linear * linear - 4 * waves.cs_term * chi;
  if (root < 0 || (waves.cs_term > 0 && double{p.u} > linear / (2 * waves.cs_term))) return std::sqrt(double{p.u});
  return std::sqrt(at_least_zero(2 * chi / (linear + std::sqrt(root))));
}

Shells make_shells(const Rings& rings, const Waves& waves, const Solution& solution, double reach_A) {
  Shells out;
  const auto bins = static_cast<Eigen::Index>(rings.bins());
  const int half = rings.n / 2;
  out.bin.assign(static_cast<std::size_t>(rings.n) * static_cast<std::size_t>(half + 1), -1);
  Eigen::VectorXd count = Eigen::VectorXd::Zero(bins);
  const double first = rings.k.front() / rings.dk;
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<Eigen::Index>(std::lround(radius_of_phase(solution.shape, waves, p) / rings.dk - first));
    if (b < 0 || b >= bins || rings.in_fit[static_cast<std::size_t>(b)] == 0) continue;
    out.bin[static_cast<std::size_t>(p.iy) * static_cast<std::size_t>(half + 1) + static_cast<std::size_t>(p.ix)] =
        static_cast<int>(b);
    count(b) += 1;
  }
  out.weight = Eigen::VectorXd::Zero(bins);
  out.basis = Eigen::MatrixXd::Zero(bins, rings.background.size());
  Eigen::VectorXd envelope(bins);
  for (Eigen::Index b = 0; b < bins; ++b) {
    const auto i = static_cast<std::size_t>(b);
    const auto level = level_at(rings, solution, i);
    if (level.background > 0) out.weight(b) = count(b) / std::pow(level.background * rings.baseline[i], 2);
    envelope(b) = level.envelope * rings.baseline[i];
    for (int j = 0; j < 4; ++j)
      out.basis(b, rings.background_at[i].first + j) =
          rings.baseline[i] * rings.background_at[i].weight[static_cast<std::size_t>(j)];
  }
  const Eigen::MatrixXd weighted = out.weight.asDiagonal() * out.basis;
  Eigen::MatrixXd normal = out.basis.transpose() * weighted;
  normal.diagonal().array() += 1e-9 * normal.trace();
  out.inverse = normal.ldlt().solve(weighted.transpose());
  const auto steps = static_cast<Eigen::Index>(2 * std::ceil(reach_A / defocus_step_A) + 1);
  out.first_A = -defocus_step_A * static_cast<double>(steps / 2);
  out.templates.resize(bins, steps);
  for (Eigen::Index d = 0; d < steps; ++d)
    for (Eigen::Index b = 0; b < bins; ++b) {
      const double k = rings.k[static_cast<std::size_t>(b)];
      out.templates(b, d) =
          -envelope(b) *
          std::cos(2 * waves.chi({solution.shape.defocus + out.first_A + defocus_step_A * static_cast<double>(d), 0, 0,
                                  solution.shape.phase},
                                 k * k, 0, 0));
    }
  out.templates -= out.basis * (out.inverse * out.templates);
  out.norm = (out.weight.transpose() * out.templates.cwiseAbs2()).transpose();
  return out;
}

/// Twice the log likelihood of rings in one region at each defocus, in units of its noise.
Eigen::VectorXd strengths(const Shells& shells, const RegionSpectrum& region) {
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(shells.weight.size()), count = sum;
  for (std::size_t i = 0; i < shells.bin.size(); ++i)
    if (const int b = shells.bin[i]; b >= 0) {
      sum(b) += double{region.half[i]};
      count(b) += 1;
    }
  const Eigen::VectorXd mean = (count.array() > 0).select(sum.array() / count.array().max(1.0), 0.0).matrix();
  const Eigen::VectorXd rest = mean - shells.basis * (shells.inverse * mean);
  const Eigen::VectorXd response = shells.templates.transpose() * (shells.weight.asDiagonal() * rest);
  const double unit = correlation_of_pixels / region.tiles;
  return (response.array() > 0)
      .select(response.array().square() / (shells.norm.array().max(1e-300) * unit), 0.0)
      .matrix();
}

struct Plane {
  double offset = 0, x = 0, y = 0;
  std::array<double, 3> bend{};
  [[nodiscard]] double at(const RegionSpectrum& r) const {
    return offset + x * r.x_A + y * r.y_A + bend[0] * r.x_A * r.x_A + bend[1] * r.x_A * r.y_A + bend[2] * r.y_A * r.y_A;
  }
};

double value_at(const Shells& shells, const std::vector<RegionSpectrum>& regions, const Eigen::MatrixXd& strength,
                const Plane& plane) {
  double sum = 0;
  for (std::size_t g = 0; g < regions.size(); ++g) {
    const double at = (plane.at(regions[g]) - shells.first_A) / defocus_step_A;
    const auto i = static_cast<Eigen::Index>(std::floor(at));
    if (i < 0 || i + 1 >= strength.rows()) continue;
    const double f = at - static_cast<double>(i);
    sum += (1 - f) * strength(i, static_cast<Eigen::Index>(g)) + f * strength(i + 1, static_cast<Eigen::Index>(g));
  }
  return sum;
}

/// Quadratic terms by Newton steps on the parts' strengths, each a parabola near the surface so far; nothing when they
/// gain too little.
std::array<double, 3> find_bend(const Shells& shells, const std::vector<RegionSpectrum>& regions,
                                const Eigen::MatrixXd& strength, const Plane& plane) {
  constexpr double least_gain = 20;   // as χ² for three freedoms: by chance in 2e-4
  constexpr std::size_t fewest = 12;  // parts: six terms are to be known from them
  if (regions.size() < fewest) return {};
  const double before = value_at(shells, regions, strength, plane);
  Plane best = plane;
  double top = before;
  for (int step = 0; step < 4; ++step) {
    Eigen::Matrix<double, 6, 6> normal = Eigen::Matrix<double, 6, 6>::Zero();
    Eigen::Matrix<double, 6, 1> right = Eigen::Matrix<double, 6, 1>::Zero();
    for (std::size_t g = 0; g < regions.size(); ++g) {
      const auto& r = regions[g];
      const auto i = static_cast<Eigen::Index>(std::lround((best.at(r) - shells.first_A) / defocus_step_A));
      constexpr Eigen::Index reach = 2;  // steps of defocus: wide enough that noise bends the parabola little
      if (i < reach || i + reach >= strength.rows()) continue;
      const auto column = static_cast<Eigen::Index>(g);
      const double h = reach * defocus_step_A, low = strength(i - reach, column), mid = strength(i, column),
                   high = strength(i + reach, column);
      const double curvature = (2 * mid - low - high) / (h * h);
      if (!(curvature > 0)) continue;
      Eigen::Matrix<double, 6, 1> row;
      row << 1, r.x_A, r.y_A, r.x_A * r.x_A, r.x_A * r.y_A, r.y_A * r.y_A;
      normal += curvature * row * row.transpose();
      right += row * ((high - low) / (2 * h));
    }
    const Eigen::Matrix<double, 6, 1> scale = normal.diagonal().cwiseMax(1e-300).cwiseSqrt().cwiseInverse();
    Eigen::Matrix<double, 6, 6> scaled = scale.asDiagonal() * normal * scale.asDiagonal();
    scaled.diagonal().array() += 1e-6;
    const Eigen::Matrix<double, 6, 1> move = scale.asDiagonal() * scaled.ldlt().solve(scale.asDiagonal() * right);
    if (!move.allFinite()) break;
    const Plane next{best.offset + move(0),
                     best.x + move(1),
                     best.y + move(2),
                     {best.bend[0] + move(3), best.bend[1] + move(4), best.bend[2] + move(5)}};
    const double value = value_at(shells, regions, strength, next);
    if (value <= top) break;
    top = value;
    best = next;
  }
  return top - before > least_gain ? best.bend : std::array<double, 3>{};
}

}  // namespace

std::optional<Tilt> find_tilt(const std::vector<RegionSpectrum>& regions, const PowerSpectrum& whole,
                              const Optics& optics, const Fit& fit, const FitParams& params, Degrees steepest) {
  double arm = 0, spread_x = 0, spread_y = 0;
  for (const auto& r : regions) {
    arm = std::max(arm, std::abs(r.x_A) + std::abs(r.y_A));
    spread_x = std::max(spread_x, std::abs(r.x_A));
    spread_y = std::max(spread_y, std::abs(r.y_A));
  }
  if (regions.size() < 4 || spread_x == 0 || spread_y == 0) return std::nullopt;
  const auto rings = make_rings(whole, params.min_resolution, params.max_resolution);
  const Waves waves(optics);
  const auto solution = solve_at(rings, waves, shape_of(fit.ctf));
  if (!solution.has_rings) return std::nullopt;
  const double limit = std::tan(to_rad(steepest)), slack_A = 600;
  const auto shells = make_shells(rings, waves, solution, limit * arm + slack_A);
  Eigen::MatrixXd strength(shells.templates.cols(), static_cast<Eigen::Index>(regions.size()));
  for (std::size_t g = 0; g < regions.size(); ++g)
    strength.col(static_cast<Eigen::Index>(g)) = strengths(shells, regions[g]);
  const auto value = [&](const Plane& p) { return value_at(shells, regions, strength, p); };

  Plane best;
  double top = value(best), flat = top;
  const double step = 1.5 * defocus_step_A / std::max(spread_x, spread_y);
  const int reach = static_cast<int>(limit / step), offsets = static_cast<int>(slack_A / (2 * defocus_step_A));
  for (int o = -offsets; o <= offsets; ++o) {
    const double offset = 2 * defocus_step_A * o;
    flat = std::max(flat, value({offset, 0, 0}));
    for (int i = -reach; i <= reach; ++i)
      for (int j = -reach; j <= reach; ++j) {
        const Plane p{offset, step * i, step * j};
        if (p.x * p.x + p.y * p.y > limit * limit) continue;
        if (const double v = value(p); v > top) {
          top = v;
          best = p;
        }
      }
  }
  double fine = step;
  for (int round = 0; round < finer_rounds; ++round, fine /= 2)
    for (int o = -1; o <= 1; ++o)
      for (int i = -1; i <= 1; ++i)
        for (int j = -1; j <= 1; ++j) {
          const Plane p{best.offset + o * defocus_step_A * fine / step, best.x + i * fine, best.y + j * fine};
          if (const double v = value(p); v > top) {
            top = v;
            best = p;
          }
        }
  // Curvature over a distance at which interpolation is smooth: variance of the slope along the gradient and across it,
  // the larger one.
  const double h = 2 * step;
  const auto variance = [&](double dx, double dy) {
    const double bend = (2 * top - value({best.offset, best.x + h * dx, best.y + h * dy}) -
                         value({best.offset, best.x - h * dx, best.y - h * dy})) /
                        (h * h);
    return bend > 0 ? 2 / bend : limit * limit;
  };
  const double slope = std::hypot(best.x, best.y), worst = std::max(variance(1, 0), variance(0, 1));
  Tilt out;
  out.slope_x = best.x;
  out.slope_y = best.y;
  out.tilt = from_rad(std::atan(slope));
  out.sigma = from_rad(std::sqrt(worst) / (1 + slope * slope));
  double axis = std::atan2(best.y, best.x) - pi / 2;
  if (axis < 0) axis += 2 * pi;
  out.axis = from_rad(axis);
  out.z2 = top - flat;
  out.bend = find_bend(shells, regions, strength, best);
  return out;
}

}  // namespace frazil::ctf
