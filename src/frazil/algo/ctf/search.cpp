#include "frazil/algo/ctf/search.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

namespace frazil::ctf {
namespace {

using std::numbers::pi;

constexpr int sectors = 12;  // 15° of the half plane: half a sector hides 3 % of an astigmatism (1 − cos 15°)
// Decay of the rings relative to the background, exp(−B k²/2) of the power.
constexpr std::array<double, 4> envelopes_A2{0, 60, 200, 700};
// Rings that a background spline nearly follows (very low defocus) are taken as this much of their full strength.
constexpr double least_share = 0.05;

/// Background-free profile of each sector and the projector that made it.
struct Profiles {
  std::vector<std::size_t> bins;   ///< bins of the fit
  Eigen::VectorXd weight;          ///< pixels of one sector in each
  Eigen::MatrixXd value;           ///< bin × sector, background removed
  Eigen::MatrixXd basis, inverse;  ///< background splines on the bins; (BᵀWB)⁻¹BᵀW

  [[nodiscard]] Eigen::MatrixXd without_background(const Eigen::MatrixXd& columns) const {
    return columns - basis * (inverse * columns);
  }
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

/// Responses of every sector to rings of one envelope; row d belongs to defocus grid[d].
struct Responses {
  Eigen::ArrayXXf cosine, sine;  ///< defocus × sector: correlation with −cos 2χ₀ and with sin 2χ₀
  Eigen::ArrayXXf norm;          ///< defocus × 3: cc, cs, ss of the two templates
};

/// Templates of all defoci without envelope, bin × defocus.
struct Templates {
  Eigen::MatrixXd cosine, sine;
};

Templates make_templates(const Profiles& profiles, const Rings& rings, const Waves& waves,
                         const std::vector<double>& grid) {
  const auto rows = static_cast<Eigen::Index>(profiles.bins.size()), columns = static_cast<Eigen::Index>(grid.size());
  Templates out{Eigen::MatrixXd(rows, columns), Eigen::MatrixXd(rows, columns)};
  for (Eigen::Index r = 0; r < rows; ++r) {
    const double k = rings.k[profiles.bins[static_cast<std::size_t>(r)]], u = k * k;
    // The grid is even: each defocus turns the phase on by the same angle, so one product replaces a sine and a cosine.
    const double step =
        grid.size() > 1 ? 2 * (waves.chi({grid[1], 0, 0, 0}, u, 0, 0) - waves.chi({grid[0], 0, 0, 0}, u, 0, 0)) : 0;
    const std::complex<double> turn(std::cos(step), std::sin(step));
    const double start = 2 * waves.chi({grid[0], 0, 0, 0}, u, 0, 0);
    std::complex<double> wave(std::cos(start), std::sin(start));
    for (Eigen::Index d = 0; d < columns; ++d, wave *= turn) {
      out.cosine(r, d) = -wave.real();
      out.sine(r, d) = wave.imag();
    }
  }
  return out;
}

Responses respond(const Profiles& profiles, const Rings& rings, const Templates& templates, double b_factor_A2,
                  bool free_phase) {
  const auto rows = static_cast<Eigen::Index>(profiles.bins.size());
  Eigen::VectorXd fall(rows);
  for (Eigen::Index r = 0; r < rows; ++r) {
    const double k = rings.k[profiles.bins[static_cast<std::size_t>(r)]];
    fall(r) = std::exp(-b_factor_A2 * k * k / 2);
  }
  const Eigen::MatrixXd weighted_value = profiles.weight.asDiagonal() * profiles.value;
  const auto weigh = [&](const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) -> Eigen::ArrayXf {
    return (profiles.weight.transpose() * a.cwiseProduct(b)).transpose().array().cast<float>();
  };
  Responses out;
  out.norm.resize(templates.cosine.cols(), 3);
  const Eigen::MatrixXd cosine = fall.asDiagonal() * templates.cosine,
                        cosine_free = profiles.without_background(cosine);
  out.cosine = (cosine_free.transpose() * weighted_value).array().cast<float>();
  const Eigen::ArrayXf floor = static_cast<float>(least_share) * weigh(cosine, cosine);
  out.norm.col(0) = weigh(cosine_free, cosine_free) + floor;
  if (!free_phase) return out;
  const Eigen::MatrixXd sine_free = profiles.without_background(fall.asDiagonal() * templates.sine);
  out.sine = (sine_free.transpose() * weighted_value).array().cast<float>();
  out.norm.col(1) = weigh(cosine_free, sine_free);
  out.norm.col(2) = weigh(sine_free, sine_free) + floor;
  return out;
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

/// Sums over the sectors of one curve, for all mean defoci from row `first` on.
Eigen::ArrayXf add_sectors(const Eigen::ArrayXXf& values, const Curve& curve, Eigen::Index first, Eigen::Index count,
                           bool by_sector, Eigen::Index column = 0) {
  Eigen::ArrayXf sum = Eigen::ArrayXf::Zero(count);
  for (int s = 0; s < sectors; ++s)
    sum += values.col(by_sector ? s : column).segment(first + curve.offset[static_cast<std::size_t>(s)], count);
  return sum;
}

/// Best curve and envelope at each mean defocus: strength and which.
struct Best {
  std::vector<float> strength;
  std::vector<std::size_t> curve;
  std::vector<float> phase;
};

Best best_at_each(const std::vector<Responses>& responses, Eigen::Index first, Eigen::Index count,
                  const std::vector<Curve>& curves, bool free_phase) {
  const auto n = static_cast<std::size_t>(count);
  Best best{std::vector<float>(n, -1e30F), std::vector<std::size_t>(n, 0), std::vector<float>(n, 0)};
  for (const auto& r : responses)
    for (std::size_t c = 0; c < curves.size(); ++c) {
      const auto& curve = curves[c];
      const Eigen::ArrayXf dot = add_sectors(r.cosine, curve, first, count, true),
                           cc = add_sectors(r.norm, curve, first, count, false, 0);
      Eigen::ArrayXf strength = dot * cc.max(1e-30F).rsqrt(), phase;
      if (free_phase) {
        // −cos(2χ₀ + 2φ) = cos 2φ (−cos 2χ₀) + sin 2φ sin 2χ₀: two templates, least squares of both.
        const Eigen::ArrayXf other = add_sectors(r.sine, curve, first, count, true);
        const Eigen::ArrayXf cs = add_sectors(r.norm, curve, first, count, false, 1),
                             ss = add_sectors(r.norm, curve, first, count, false, 2);
        const Eigen::ArrayXf det = (cc * ss - cs * cs).max(1e-30F);
        const Eigen::ArrayXf a = (ss * dot - cs * other) / det, b = (cc * other - cs * dot) / det;
        strength = (a * dot + b * other).max(0.0F).sqrt();
        phase = b.binaryExpr(a, [](float y, float x) { return 0.5F * std::atan2(y, x); });
      }
      for (std::size_t d = 0; d < n; ++d) {
        const auto row = static_cast<Eigen::Index>(d);
        if (strength(row) <= best.strength[d]) continue;
        best.strength[d] = strength(row);
        best.curve[d] = c;
        if (free_phase) best.phase[d] = phase(row);
      }
    }
  return best;
}

}  // namespace

std::vector<Candidate> search(const Rings& rings, const Waves& waves, const SearchRange& range, int count) {
  // Half a radian of 2χ a step at the end of the band or at 4 Å: the fit that follows starts within its own peak.
  const double k_end = std::min(rings.k_max, 0.25);
  const double step = std::clamp(0.5 / (2 * waves.pi_lambda * k_end * k_end), 20.0, 500.0);
  const int margin = static_cast<int>(std::ceil(range.max_astigmatism / 2 / step)) + 2;
  const int inner = std::max(1, static_cast<int>(std::ceil((range.max_defocus - range.min_defocus) / step)));
  std::vector<double> grid;
  for (int i = -margin; i <= inner + margin; ++i) grid.push_back(range.min_defocus + i * step);

  const auto profiles = make_profiles(rings);
  const auto templates = make_templates(profiles, rings, waves, grid);
  std::vector<Responses> responses;
  for (const double b : envelopes_A2) responses.push_back(respond(profiles, rings, templates, b, range.phase_shift));
  const auto curves = make_curves(range.max_astigmatism, step);
  const auto best = best_at_each(responses, margin, inner + 1, curves, range.phase_shift);

  std::vector<Candidate> peaks;
  for (std::size_t i = 0; i < best.strength.size(); ++i) {
    const bool over_left = i == 0 || best.strength[i] >= best.strength[i - 1];
    const bool over_right = i + 1 == best.strength.size() || best.strength[i] > best.strength[i + 1];
    if (!over_left || !over_right) continue;
    const auto& curve = curves[best.curve[i]];
    const double phase = best.phase[i] < 0 ? double{best.phase[i]} + pi : double{best.phase[i]};
    peaks.push_back({{grid[i + static_cast<std::size_t>(margin)], curve.c, curve.s, phase}, double{best.strength[i]}});
  }
  std::stable_sort(peaks.begin(), peaks.end(),
                   [](const Candidate& a, const Candidate& b) { return a.strength > b.strength; });
  if (peaks.size() > static_cast<std::size_t>(count)) peaks.resize(static_cast<std::size_t>(count));
  return peaks;
}

}  // namespace frazil::ctf
