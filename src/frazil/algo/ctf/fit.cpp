#include "frazil/algo/ctf/fit.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/quality.hpp"
#include "frazil/algo/ctf/refine.hpp"
#include "frazil/algo/ctf/search.hpp"

namespace frazil::ctf {
namespace {

constexpr int candidate_count = 6;

void check(const FitParams& params) {
  std::string all;
  for (const auto& problem : problems_of(params)) all += (all.empty() ? "" : "; ") + problem;
  if (!all.empty()) throw Error(ErrorCode::bad_input, "{}", all);
}

bool within_limits(const Shape& p, const FitParams& params) {
  return p.defocus > 0.5 * params.min_defocus.value() && p.defocus < 1.2 * params.max_defocus.value() &&
         std::hypot(p.c, p.s) < 1.5 * params.max_astigmatism.value() + 500;
}

/// Variance that one unit of `Solution::covariance` stands for: residual variance × correlation of neighbours.
double noise_unit(const Rings& rings, const Waves& waves, const Solution& solution) {
  return solution.cost / std::max(1.0, solution.pixels) * noise_correlation(rings, waves, solution);
}

/// Candidates that the best one does not rule out; what refinement may still add to each is generously allowed for.
std::vector<Candidate> plausible(std::vector<Candidate> all, double unit) {
  const double top = all.front().strength * std::abs(all.front().strength);
  std::erase_if(all, [&](const Candidate& c) { return top - c.strength * std::abs(c.strength) > 40 * unit + 0.3 * std::abs(top); });
  return all;
}

/// Every plausible candidate refined, best first, the same peak once.
std::vector<Solution> refine_all(const Rings& rings, const Waves& waves, const FitParams& params, double unit) {
  const SearchRange range{params.min_defocus.value(), params.max_defocus.value(), params.max_astigmatism.value(), params.fit_phase_shift};
  const double expected = params.expected_astigmatism.value();
  const RefineOptions options{params.fit_phase_shift, expected > 0 ? unit / (expected * expected) : 0};
  std::vector<Solution> all;
  for (const auto& candidate : plausible(search(rings, waves, range, candidate_count), unit)) {
    auto solution = refine(rings, waves, candidate.shape, options);
    if (!within_limits(solution.shape, params)) solution = solve_at(rings, waves, candidate.shape);
    const bool known = std::any_of(all.begin(), all.end(), [&](const Solution& other) { return std::abs(other.shape.defocus - solution.shape.defocus) < 20; });
    if (!known) all.push_back(std::move(solution));
  }
  std::stable_sort(all.begin(), all.end(), [](const Solution& a, const Solution& b) { return a.cost < b.cost; });
  return all;
}

/// Probabilities of the solutions and, from them, the error of the mean defocus. What the data leave to chance is spread
/// over the whole range: one more alternative with the likelihood of no rings at all.
void fill_errors(const std::vector<Solution>& all, double alone, double unit, const FitParams& params, Fit& fit) {
  const auto& best = all.front();
  const double low = params.min_defocus.value(), high = params.max_defocus.value();
  const auto likelihood = [&](double cost) { return std::exp(-0.5 * (cost - best.cost) / unit); };
  double total = 0, spread = 0;
  for (const auto& s : all) {
    const double p = likelihood(s.cost), gap = s.shape.defocus - best.shape.defocus;
    total += p;
    spread += p * (s.covariance(0, 0) * unit + gap * gap);
    fit.alternatives.push_back({Angstrom(s.shape.defocus), p});
  }
  const double p_none = likelihood(alone), from_low = low - best.shape.defocus, from_high = high - best.shape.defocus;
  spread += p_none * (from_high * from_high + from_high * from_low + from_low * from_low) / 3;
  total += p_none;
  for (auto& a : fit.alternatives) a.probability /= total;
  fit.sigma_defocus = Angstrom(std::sqrt(spread / total));
  fit.sigma_astigmatism = Angstrom(std::sqrt(0.5 * (best.covariance(1, 1) + best.covariance(2, 2)) * unit));
  if (params.fit_phase_shift) fit.sigma_phase = from_rad(std::sqrt(best.covariance(3, 3) * unit));
}

}  // namespace

std::vector<std::string> problems_of(const FitParams& p) {
  std::vector<std::string> list;
  if (p.box % 2 != 0) list.push_back(fmt::format("box: expected an even number, found {}", p.box));
  if (p.max_resolution >= p.min_resolution)
    list.push_back(fmt::format("max_resolution ({:.1f} A) must be finer than min_resolution ({:.1f} A)", p.max_resolution.value(), p.min_resolution.value()));
  if (p.max_defocus <= p.min_defocus)
    list.push_back(fmt::format("max_defocus ({:.0f} A) must exceed min_defocus ({:.0f} A)", p.max_defocus.value(), p.min_defocus.value()));
  return list;
}

Fit fit(const PowerSpectrum& power, const Optics& optics, const FitParams& params) {
  check(params);
  const auto rings = make_rings(power, params.min_resolution, params.max_resolution);
  const Waves waves(optics);
  const auto none = solve_without_rings(rings);
  const auto all = refine_all(rings, waves, params, noise_unit(rings, waves, none));
  const auto& best = all.front();
  Fit out;
  out.ctf = ctf_of(best.shape);
  fill_errors(all, none.cost, noise_unit(rings, waves, best), params, out);
  out.profile = equi_phase_profile(rings, waves, best);
  out.fit_resolution = fit_resolution(out.profile, params.min_resolution);
  out.score = score(best.cost, none.cost);
  out.iceness = iceness(rings, waves, best);
  out.b_factor = ring_decay(rings, best, out.fit_resolution);
  return out;
}

}  // namespace frazil::ctf
