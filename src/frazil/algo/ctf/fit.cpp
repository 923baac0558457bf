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
  const auto candidates = plausible(search(rings, waves, range, candidate_count), unit);
  for (const auto& candidate : candidates) {
    auto solution = refine(rings, waves, candidate.shape, options);
    if (!within_limits(solution.shape, params)) continue;
    const bool known = std::any_of(all.begin(), all.end(), [&](const Solution& other) { return std::abs(other.shape.defocus - solution.shape.defocus) < 20; });
    if (!known) all.push_back(std::move(solution));
  }
  if (all.empty()) all.push_back(solve_at(rings, waves, candidates.front().shape));
  std::stable_sort(all.begin(), all.end(), [](const Solution& a, const Solution& b) { return a.cost < b.cost; });
  return all;
}

/// Log of how much one solution accounts for: likelihood × share of the prior's volume that its errors leave open. Each
/// fitted envelope coefficient costs half a unit, what it gains by chance.
double log_evidence(const Solution& solution, double unit, const FitParams& params) {
  const double range = (params.max_defocus - params.min_defocus).value(), root = std::sqrt(2 * std::numbers::pi * unit);
  const double expected = params.expected_astigmatism > 0_A ? params.expected_astigmatism.value() : std::max(1.0, params.max_astigmatism.value());
  const auto share = [](double width, double full) { return std::log(std::clamp(width / full, 1e-12, 1.0)); };
  double log_volume = share(root * std::sqrt(solution.covariance(0, 0)), range);
  log_volume += 0.5 * share(unit * solution.covariance(1, 1), expected * expected) + 0.5 * share(unit * solution.covariance(2, 2), expected * expected);
  if (params.fit_phase_shift) log_volume += share(root * std::sqrt(solution.covariance(3, 3)), std::numbers::pi);
  const auto coefficients = static_cast<double>((solution.envelope.array() > 0).count());
  return -0.5 * solution.cost / unit - 0.5 * coefficients + log_volume;
}

/// Probabilities of the solutions and, from them, the error of the mean defocus. That there are no rings at all is one
/// more alternative, as probable beforehand as that there are; it leaves the defocus anywhere in the range.
void fill_errors(const std::vector<Solution>& all, double cost_without, double unit, const FitParams& params, Fit& fit) {
  const auto& best = all.front();
  const double log_none = -0.5 * cost_without / unit;
  double top = log_none;
  std::vector<double> logs;
  for (const auto& s : all) {
    logs.push_back(s.has_rings ? log_evidence(s, unit, params) : log_none - 40);
    top = std::max(top, logs.back());
  }
  double total = std::exp(log_none - top);
  const double from_low = params.min_defocus.value() - best.shape.defocus, from_high = params.max_defocus.value() - best.shape.defocus;
  double spread = total * (from_high * from_high + from_high * from_low + from_low * from_low) / 3;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double p = std::exp(logs[i] - top), gap = all[i].shape.defocus - best.shape.defocus;
    total += p;
    spread += p * (all[i].covariance(0, 0) * unit + gap * gap);
    fit.alternatives.push_back({Angstrom(all[i].shape.defocus), p});
  }
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
  out.b_factor = ring_decay(rings, best);
  return out;
}

}  // namespace frazil::ctf
