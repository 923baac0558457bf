#include "frazil/algo/ctf/drift.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/finite.hpp"
#include "frazil/base/sinc.hpp"

namespace frazil::ctf {
namespace {

using std::numbers::pi;

constexpr int drift_sectors = 36;  // of the half circle
constexpr int directions = 9;      // of the half circle
/// 1.5 Å take 7 % of the power at 10 Å and 39 % at 4 Å, sinc²(k · d): less is lost in the envelope. 45 Å leave 0.5 % at
/// 10 Å. Steps of 30 % are refined afterwards.
constexpr double shortest_A = 1.5, longest_A = 45, step = 1.3;

/// Sums over the pixels of one shell in one sector, rings f (1 − c cos 2χ).
struct Cell {
  double kx = 0, ky = 0;  ///< π times the frequency of the middle
  std::size_t bin = 0;
  RingSums sums;
};

std::vector<Cell> cells_of(const Rings& rings, const Waves& waves, const Solution& solution) {
  std::vector<Cell> cells(rings.bins() * drift_sectors);
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    if (rings.in_fit[b] == 0) continue;
    const double angle = std::atan2(p.iy - rings.n / 2, p.ix);  // −π/2 to π/2: columns right of the axis
    const auto sector = std::min(static_cast<std::size_t>(drift_sectors - 1),
                                 static_cast<std::size_t>((angle / pi + 0.5) * drift_sectors));
    auto& cell = cells[b * drift_sectors + sector];
    const double w = double{p.w};
    cell.bin = b;
    cell.kx += w * p.ix;
    cell.ky += w * (p.iy - rings.n / 2);
    cell.sums.add(w, rings.fade[b] * (1 - rings.contrast[b] * waves.cosine(solution.shape, p)), double{p.y});
  }
  std::erase_if(cells, [](const Cell& c) { return !(c.sums.one > 0); });
  for (auto& c : cells) {
    c.kx *= pi * rings.dk / c.sums.one;
    c.ky *= pi * rings.dk / c.sums.one;
  }
  return cells;
}

/// sinc²(x/π) = (sin x / x)² by linear interpolation, x from 0 to 150, error below 3e-5.
class SquaredSinc {
 public:
  SquaredSinc() {
    for (int i = 0; i < points; ++i) {
      const double x = i / per_unit;
      table_[static_cast<std::size_t>(i)] = std::pow(sinc(x), 2);
    }
  }
  [[nodiscard]] double operator()(double x) const {
    const double t = std::min(std::abs(x) * per_unit, static_cast<double>(points - 2));
    const auto i = static_cast<std::size_t>(t);
    return table_[i] + (t - static_cast<double>(i)) * (table_[i + 1] - table_[i]);
  }

 private:
  static constexpr double per_unit = 64;  ///< h = 1/64: h²/8 times the largest curvature, ⅔
  static constexpr int points = 9600;     ///< 150 · 64
  std::vector<double> table_ = std::vector<double>(static_cast<std::size_t>(points));
};

class Costs {
 public:
  Costs(const Rings& rings, const Waves& waves, const Solution& solution)
      : rings_(rings), cells_(cells_of(rings, waves, solution)) {}

  /// Σ w (y − n − e sinc²(k · d) (1 − c cos 2χ))² with the best n and e ≥ 0: the image's power between the rings fades
  /// with them.
  [[nodiscard]] double at(double length_A, double angle) const {
    static const SquaredSinc squared_sinc;
    const double dx = length_A * std::cos(angle), dy = length_A * std::sin(angle);
    std::vector<RingSums> sums(rings_.bins());
    for (const auto& c : cells_) {
      const double f = squared_sinc(c.kx * dx + c.ky * dy);
      auto& s = sums[c.bin];
      s.one += c.sums.one;
      s.q += f * c.sums.q;
      s.qq += f * f * c.sums.qq;
      s.y += c.sums.y;
      s.qy += f * c.sums.qy;
      s.yy += c.sums.yy;
    }
    return solve_sums(rings_, sums).cost;
  }

 private:
  const Rings& rings_;
  std::vector<Cell> cells_;
};

/// Where the parabola through three equally spaced values is lowest, in steps from the middle one, and its second
/// derivative.
struct Valley {
  double shift = 0, bend = 0;
};
Valley valley(double before, double middle, double after) {
  const double bend = before - 2 * middle + after;
  return {bend > 0 ? std::clamp(0.5 * (before - after) / bend, -1.0, 1.0) : 0, bend};
}

}  // namespace

Drift find_drift(const Rings& rings, const Waves& waves, const Solution& solution, double unit) {
  if (!solution.has_rings || !(unit > 0)) return {};
  const Costs costs(rings, waves, solution);
  double length = 0, angle = 0, least = costs.at(0, 0);
  for (double l = shortest_A; l <= longest_A; l *= step)
    for (int i = 0; i < directions; ++i) {
      const double a = pi * i / directions, cost = costs.at(l, a);
      if (cost >= least) continue;
      least = cost;
      length = l;
      angle = a;
    }
  if (length == 0) return {0, shortest_A, 0};
  double fine_length = 0.5 * (step - 1) * length, fine_angle = 0.5 * pi / directions;
  Valley along;
  for (int round = 0; round < 4; ++round) {
    const double middle = costs.at(length, angle);
    angle +=
        fine_angle * valley(costs.at(length, angle - fine_angle), middle, costs.at(length, angle + fine_angle)).shift;
    along =
        valley(costs.at(length - fine_length, angle), costs.at(length, angle), costs.at(length + fine_length, angle));
    along.bend /= fine_length * fine_length;
    length = at_least_zero(length + fine_length * along.shift);
    fine_angle *= 0.5;
    if (round < 2) fine_length *= 0.7;
  }
  const double sigma = along.bend > 0 ? std::sqrt(2 * unit / along.bend) : length;
  return {length, std::max(sigma, 0.1), angle};
}

}  // namespace frazil::ctf
