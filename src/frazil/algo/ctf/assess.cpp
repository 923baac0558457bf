// Judges a given CTF against a spectrum, and draws the rings.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/algo/ctf/quality.hpp"
#include "frazil/algo/ctf/refine.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::ctf {
namespace {

constexpr int wrong_defoci = 64;  ///< tell a spread to a seventh: a MAD of n Gaussian values errs by 1.17/√n

/// Frequency up to which two CTFs agree within a quarter turn of χ, worst azimuth.
double agreeing_k(const Shape& a, const Shape& b, const Waves& waves, double k_max) {
  const double mean = std::abs(a.defocus - b.defocus), astigmatism = 0.5 * std::hypot(a.c - b.c, a.s - b.s);
  double phase = std::fmod(std::abs(a.phase - b.phase), std::numbers::pi);
  phase = std::min(phase, std::numbers::pi - phase);
  const double slope = waves.pi_lambda * (mean + astigmatism), room = std::numbers::pi / 2 - phase;
  if (room <= 0) return 0;
  return slope > 0 ? std::min(k_max, std::sqrt(room / slope)) : k_max;
}

/// Ring strength by chance: √(cost without rings − cost with rings) at defoci spread over the range, those left out
/// at which the phases agree with the given or the best CTF over a part of the band.
std::vector<double> chance_strengths(const Rings& rings, const Waves& waves, const Shape& given, const Shape& best,
                                     double alone, const FitParams& params) {
  std::vector<double> list;
  for (int i = 0; i < wrong_defoci; ++i) {
    Shape wrong = given;
    wrong.defocus =
        params.min_defocus.value() + (params.max_defocus - params.min_defocus).value() * (i + 0.5) / wrong_defoci;
    const double start = rings.k_min + 0.25 * (rings.k_max - rings.k_min);
    if (agreeing_k(wrong, given, waves, rings.k_max) > start || agreeing_k(wrong, best, waves, rings.k_max) > start)
      continue;
    list.push_back(std::sqrt(at_least_zero(alone - solve_at(rings, waves, wrong).cost)));
  }
  return list;
}

}  // namespace

Assessment assess(const PowerSpectrum& power, const Optics& optics, const Ctf& given_ctf, const FitParams& params,
                  double significance) {
  expect(significance > 0 && significance < 0.5, "a level of significance lies between 0 and 0.5");
  const auto found = fit(power, optics, params);
  const auto rings = make_rings(power, params.min_resolution, params.max_resolution);
  const Waves waves(optics);
  const auto given_shape = shape_of(given_ctf), best_shape = shape_of(found.ctf);
  const auto given = solve_at(rings, waves, given_shape), best = solve_at(rings, waves, best_shape);
  const double alone = solve_without_rings(rings).cost;
  const double unit = best.cost / std::max(1.0, best.pixels) * noise_correlation(rings, waves, best);

  Assessment out;
  out.best = found.ctf;
  out.score = score(given.cost, alone);
  out.fit_resolution = fit_resolution(equi_phase_profile(rings, waves, given), params.min_resolution);
  const auto chance = chance_strengths(rings, waves, given_shape, best_shape, alone, params);
  const double centre = median(chance);
  std::vector<double> deviation;
  for (const double c : chance) deviation.push_back(std::abs(c - centre));
  const double spread = std::max(sigma_over_mad * median(deviation), 0.5 * std::sqrt(unit));
  out.z = (std::sqrt(at_least_zero(alone - given.cost)) - centre) / spread;
  out.z_limit = normal_quantile(significance);
  const double agree_k = agreeing_k(given_shape, best_shape, waves, rings.k_max);
  out.agreement = Angstrom(1 / std::max(agree_k, 1e-3));

  // Twice the log likelihood ratio against the best CTF, as a normal deviate for one freedom.
  const double worse_by = std::sqrt(at_least_zero((given.cost - best.cost) / unit));
  const bool rings_seen = out.z > out.z_limit;
  const bool elsewhere = worse_by > out.z_limit && agree_k < 1 / found.fit_resolution.value() && agree_k < rings.k_max;
  out.accepted = rings_seen && !elsewhere;
  if (!rings_seen)
    out.reason = fmt::format(
        "no rings at the given CTF: their strength lies {:.1f} standard deviations above that at wrong defoci, {:.1f} "
        "are needed",
        out.z, out.z_limit);
  else if (elsewhere)
    out.reason = fmt::format(
        "a mean defocus of {:.0f} A explains the rings better than the given {:.0f} A ({:.0f} standard deviations); "
        "their phases agree to {:.1f} A only",
        found.ctf.mean_defocus().value(), given_ctf.mean_defocus().value(), worse_by, out.agreement.value());
  else
    out.reason = fmt::format("rings at the given CTF lie {:.1f} standard deviations above chance and reach {:.1f} A",
                             out.z, out.fit_resolution.value());
  return out;
}

Image ring_picture(const PowerSpectrum& power, const Optics& optics, const Ctf& ctf, const FitParams& params) {
  const auto rings = make_rings(power, params.min_resolution, params.max_resolution);
  const Waves waves(optics);
  const auto solution = solve_at(rings, waves, shape_of(ctf));
  const int n = rings.n, h = n / 2;
  Image over_background(n, n), known(n, n);  // half plane x ≥ 0
  for (const auto& p : rings.pixels) {
    over_background(h + p.ix, p.iy) =
        static_cast<float>(double{p.y} - level_at(rings, solution, static_cast<std::size_t>(p.bin)).background);
    known(h + p.ix, p.iy) = 1;
  }
  // Rings are drawn at equal strength as far as they rise over the noise of the 3 × 3 mean that is shown.
  const double noise = std::sqrt(solution.cost / std::max(1.0, solution.pixels)) / 2;
  Image picture(n, n, power.pixel_size);
  const auto first_bin = static_cast<int>(std::lround(rings.k.front() / rings.dk));
  for (int y = 1; y < n; ++y)
    for (int x = h + 1; x + 1 < n; ++x) {
      const int kx = x - h, ky = y - h, bin = static_cast<int>(std::lround(std::hypot(kx, ky))) - first_bin;
      if (bin < 0 || bin >= static_cast<int>(rings.bins()) || y + 1 >= n) continue;
      double sum = 0, count = 0;
      for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx) {
          sum += double{over_background(x + dx, y + dy)};
          count += double{known(x + dx, y + dy)};
        }
      const double strength = std::max(level_at(rings, solution, static_cast<std::size_t>(bin)).envelope, noise);
      picture(x, y) = static_cast<float>(sum / std::max(1.0, count) / (1.5 * strength));
      const double scale = rings.dk * rings.dk, u = (kx * kx + ky * ky) * scale;
      if (u <= rings.k_max * rings.k_max)
        picture(h - kx, n - y) = static_cast<float>(
            -std::cos(2 * waves.chi(solution.shape, u, (kx * kx - ky * ky) * scale, 2.0 * kx * ky * scale)));
    }
  return picture;
}

}  // namespace frazil::ctf
