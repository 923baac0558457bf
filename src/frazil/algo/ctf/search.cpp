#include "frazil/algo/ctf/search.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>

namespace frazil::ctf {
namespace {

using std::numbers::pi;

constexpr int sectors = 12;
// Decay of the rings relative to the background, exp(−B k²/2) of the power.
constexpr std::array<double, 4> envelopes_A2{0, 60, 200, 700};
// Rings that a background spline nearly follows (very low defocus) are taken as this much of their full strength.
constexpr double least_share = 0.05;

/// Background-free profile of each sector and the projector that made it.
struct Profiles {
  std::vector<std::size_t> bins;             ///< bins of the fit
  Eigen::VectorXd weight;                    ///< pixels of one sector in each
  Eigen::MatrixXd value;                     ///< bin × sector, background removed
  Eigen::MatrixXd basis, inverse;            ///< background splines on the bins; (BᵀWB)⁻¹BᵀW

  [[nodiscard]] Eigen::MatrixXd without_background(const Eigen::MatrixXd& columns) const { return columns - basis * (inverse * columns); }
};

int sector_of(const RingPixel& p) {
  double angle = 0.5 * std::atan2(double{p.s}, double{p.c});  // in (−90, 90] degrees
  if (angle < 0) angle += pi;
  return std::min(sectors - 1, static_cast<int>(angle / pi * sectors));
}

Profiles make_profiles(const Rings& rings) {
  Profiles out;
  std::vector<int> row(rings.bins(), -1);
  for (std::size_t b = 0; b < rings.bins(); ++b)
    if (rings.in_fit[b] != 0) {
      row[b] = static_cast<int>(out.bins.size());
      out.bins.push_back(b);
    }
  const auto rows = static_cast<Eigen::Index>(out.bins.size());
  out.value = Eigen::MatrixXd::Zero(rows, sectors);
  Eigen::MatrixXd count = Eigen::MatrixXd::Zero(rows, sectors);
  for (const auto& p : rings.pixels) {
    const int r = row[static_cast<std::size_t>(p.bin)];
    if (r < 0) continue;
    const int s = sector_of(p);
    out.value(r, s) += double{p.y} - 1;
    count(r, s) += 1;
  }
  out.value = (count.array() > 0).select(out.value.array() / count.array().max(1.0), 0.0).matrix();
  out.weight = count.rowwise().sum() / sectors;
  out.basis = Eigen::MatrixXd::Zero(rows, rings.background.size());
  for (Eigen::Index r = 0; r < rows; ++r) {
    const auto& at = rings.background_at[out.bins[static_cast<std::size_t>(r)]];
    for (int i = 0; i < 4; ++i) out.basis(r, at.first + i) = at.weight[static_cast<std::size_t>(i)];
  }
  const Eigen::MatrixXd weighted = out.weight.asDiagonal() * out.basis;
  Eigen::MatrixXd normal = out.basis.transpose() * weighted;
  normal.diagonal().array() += 1e-9 * normal.trace();
  out.inverse = normal.ldlt().solve(weighted.transpose());
  out.value = out.without_background(out.value);
  return out;
}

/// Responses of every sector to rings of one envelope at each defocus of the grid.
struct Responses {
  std::vector<std::array<double, sectors>> cosine, sine;  ///< correlation with −cos 2χ₀ and sin 2χ₀
  std::vector<std::array<double, 3>> norm;                ///< cc, cs, ss of the two templates
};

Responses respond(const Profiles& profiles, const Rings& rings, const Waves& waves, double b_factor_A2, const std::vector<double>& grid) {
  const auto rows = static_cast<Eigen::Index>(profiles.bins.size());
  Responses out;
  out.cosine.resize(grid.size());
  out.sine.resize(grid.size());
  out.norm.resize(grid.size());
  const Eigen::MatrixXd weighted_value = profiles.weight.asDiagonal() * profiles.value;
  Eigen::MatrixXd pair(rows, 2);
  for (std::size_t d = 0; d < grid.size(); ++d) {
    for (Eigen::Index r = 0; r < rows; ++r) {
      const double k = rings.k[profiles.bins[static_cast<std::size_t>(r)]], u = k * k;
      const double chi = waves.chi({grid[d], 0, 0, 0}, u, 0, 0), fall = std::exp(-b_factor_A2 * u / 2);
      pair(r, 0) = -fall * std::cos(2 * chi);
      pair(r, 1) = fall * std::sin(2 * chi);
    }
    const double full = (profiles.weight.array() * pair.col(0).array().square()).sum();
    const Eigen::MatrixXd free = profiles.without_background(pair);
    const Eigen::MatrixXd dots = weighted_value.transpose() * free;
    for (int s = 0; s < sectors; ++s) {
      out.cosine[d][static_cast<std::size_t>(s)] = dots(s, 0);
      out.sine[d][static_cast<std::size_t>(s)] = dots(s, 1);
    }
    const Eigen::Matrix2d gram = free.transpose() * profiles.weight.asDiagonal() * free;
    out.norm[d] = {gram(0, 0) + least_share * full, gram(0, 1), gram(1, 1) + least_share * full};
  }
  return out;
}

/// Largest output of the filter over the phase, and that phase; or at phase 0.
std::pair<double, double> strength_of(const std::array<double, 2>& dot, const std::array<double, 3>& norm, bool free_phase) {
  if (!free_phase) return {dot[0] / std::sqrt(std::max(norm[0], 1e-30)), 0.0};
  // −cos(2χ₀ + 2φ) = cos 2φ (−cos 2χ₀) + sin 2φ sin 2χ₀
  const double det = std::max(norm[0] * norm[2] - norm[1] * norm[1], 1e-30);
  const double a = (norm[2] * dot[0] - norm[1] * dot[1]) / det, b = (norm[0] * dot[1] - norm[1] * dot[0]) / det;
  double phase = 0.5 * std::atan2(b, a);
  if (phase < 0) phase += pi;
  return {std::sqrt(std::max(0.0, a * dot[0] + b * dot[1])), phase};
}

struct Curve {
  double c = 0, s = 0;                ///< astigmatism components, Å
  std::array<int, sectors> offset{};  ///< grid steps by which each sector's defocus differs from the mean
};

std::vector<Curve> make_curves(double max_astigmatism, double step) {
  std::vector<Curve> curves{Curve{}};
  for (double a = 2 * step; a <= max_astigmatism + step; a += 2 * step) {
    const int angles = std::clamp(static_cast<int>(std::ceil(pi * a / (2 * step))), 4, 24);
    for (int i = 0; i < angles; ++i) {
      const double angle = 2 * pi * i / angles;  // 2α₀
      Curve curve{a * std::cos(angle), a * std::sin(angle), {}};
      for (int s = 0; s < sectors; ++s)
        curve.offset[static_cast<std::size_t>(s)] =
            static_cast<int>(std::lround(0.5 * a * std::cos(2 * pi * (s + 0.5) / sectors - angle) / step));
      curves.push_back(curve);
    }
  }
  return curves;
}

/// Best curve and envelope at each mean defocus.
std::vector<Candidate> best_at_each(const std::vector<Responses>& responses, const std::vector<double>& grid, int first, int last,
                                    const std::vector<Curve>& curves, bool free_phase) {
  std::vector<Candidate> best;
  for (int d = first; d <= last; ++d) {
    Candidate top{{grid[static_cast<std::size_t>(d)], 0, 0, 0}, -1e300};
    for (const auto& r : responses)
      for (const auto& curve : curves) {
        std::array<double, 2> dot{};
        std::array<double, 3> norm{};
        for (std::size_t s = 0; s < sectors; ++s) {
          const auto at = static_cast<std::size_t>(std::clamp(d + curve.offset[s], 0, static_cast<int>(grid.size()) - 1));
          dot[0] += r.cosine[at][s];
          norm[0] += r.norm[at][0];
          if (!free_phase) continue;
          dot[1] += r.sine[at][s];
          norm[1] += r.norm[at][1];
          norm[2] += r.norm[at][2];
        }
        const auto [strength, phase] = strength_of(dot, norm, free_phase);
        if (strength > top.strength) top = {{grid[static_cast<std::size_t>(d)], curve.c, curve.s, phase}, strength};
      }
    best.push_back(top);
  }
  return best;
}

}  // namespace

std::vector<Candidate> search(const Rings& rings, const Waves& waves, const SearchRange& range, int count) {
  // Half a radian of 2χ a step at the end of the band or at 4 Å: the fit that follows starts within its own peak.
  const double k_end = std::min(rings.k_max, 0.25);
  const double step = std::clamp(0.5 / (2 * waves.pi_lambda * k_end * k_end), 20.0, 500.0);
  const int margin = static_cast<int>(std::ceil(range.max_astigmatism / 2 / step)) + 1;
  const int inner = std::max(1, static_cast<int>(std::ceil((range.max_defocus - range.min_defocus) / step)));
  std::vector<double> grid;
  for (int i = -margin; i <= inner + margin; ++i) grid.push_back(range.min_defocus + i * step);

  const auto profiles = make_profiles(rings);
  std::vector<Responses> responses;
  for (const double b : envelopes_A2) responses.push_back(respond(profiles, rings, waves, b, grid));
  const auto curves = make_curves(range.max_astigmatism, step);
  auto best = best_at_each(responses, grid, margin, margin + inner, curves, range.phase_shift);

  std::vector<Candidate> peaks;
  for (std::size_t i = 0; i < best.size(); ++i) {
    const bool over_left = i == 0 || best[i].strength >= best[i - 1].strength;
    const bool over_right = i + 1 == best.size() || best[i].strength > best[i + 1].strength;
    if (over_left && over_right) peaks.push_back(best[i]);
  }
  std::stable_sort(peaks.begin(), peaks.end(), [](const Candidate& a, const Candidate& b) { return a.strength > b.strength; });
  if (peaks.size() > static_cast<std::size_t>(count)) peaks.resize(static_cast<std::size_t>(count));
  return peaks;
}

}  // namespace frazil::ctf
