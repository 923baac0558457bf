#include "frazil/algo/ctf/fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/criteria.hpp"
#include "frazil/algo/ctf/errors.hpp"
#include "frazil/algo/ctf/model_fit.hpp"
#include "frazil/algo/ctf/quality.hpp"
#include "frazil/algo/ctf/refine.hpp"
#include "frazil/algo/ctf/search.hpp"
#include "frazil/base/finite.hpp"

namespace frazil::ctf {
namespace {

constexpr int candidate_count = 6;  ///< peaks of the search that may be refined: more cost time only

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
  std::erase_if(all, [&](const Candidate& c) {
    return top - c.strength * std::abs(c.strength) > 40 * unit + 0.3 * std::abs(top);
  });
  return all;
}

RefineOptions options_of(const FitParams& params, double unit) {
  const double expected = params.expected_astigmatism.value();
  const auto [c, s] = prior_vector(params);
  return {params.fit_phase_shift, expected > 0 ? unit / (expected * expected) : 0, c, s};
}

/// Every plausible candidate refined, best first, the same peak once.
std::vector<Solution> refine_all(const Rings& rings, const Waves& waves, const FitParams& params, double unit) {
  const SearchRange range{params.min_defocus.value(), params.max_defocus.value(), params.max_astigmatism.value(),
                          params.fit_phase_shift};
  const auto options = options_of(params, unit);
  std::vector<Solution> all;
  const auto candidates = plausible(search(rings, waves, range, candidate_count), unit);
  for (const auto& candidate : candidates) {
    auto solution = refine(rings, waves, candidate.shape, options);
    if (!within_limits(solution.shape, params)) continue;
    const bool known = std::any_of(all.begin(), all.end(), [&](const Solution& other) {
      return std::abs(other.shape.defocus - solution.shape.defocus) < 20;
    });
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
  const double expected = params.expected_astigmatism > 0_A ? params.expected_astigmatism.value()
                                                            : std::max(1.0, params.max_astigmatism.value());
  const auto share = [](double width, double full) { return std::log(std::clamp(width / full, 1e-12, 1.0)); };
  double log_volume = share(root * std::sqrt(solution.covariance(0, 0)), range);
  log_volume += 0.5 * share(unit * solution.covariance(1, 1), expected * expected) +
                0.5 * share(unit * solution.covariance(2, 2), expected * expected);
  if (params.fit_phase_shift) log_volume += share(root * std::sqrt(solution.covariance(3, 3)), std::numbers::pi);
  const auto coefficients = static_cast<double>((solution.envelope.array() > 0).count());
  return -0.5 * solution.cost / unit - 0.5 * coefficients + log_volume;
}

/// Mean square distance of a defocus somewhere in the range from `centre`.
double spread_of_range(double centre, const FitParams& params) {
  const double low = params.min_defocus.value() - centre, high = params.max_defocus.value() - centre;
  return (high * high + high * low + low * low) / 3;
}

/// Probabilities of the solutions. That there are no rings at all is one more alternative, as probable beforehand as
/// that there are.
std::vector<Alternative> alternatives_of(const std::vector<Solution>& all, double cost_without, double unit,
                                         const FitParams& params) {
  const double log_none = -0.5 * cost_without / unit;
  double top = log_none;
  std::vector<double> logs;
  for (const auto& s : all) {
    logs.push_back(s.has_rings ? log_evidence(s, unit, params) : log_none - 40);
    top = std::max(top, logs.back());
  }
  double total = std::exp(log_none - top);
  for (const double l : logs) total += std::exp(l - top);
  std::vector<Alternative> list;
  for (std::size_t i = 0; i < all.size(); ++i)
    list.push_back({Angstrom(all[i].shape.defocus), std::exp(logs[i] - top) / total});
  return list;
}

/// Standard errors and confidence: of the chosen solution, and for the defocus how far the alternatives lie and how
/// likely they are. Without rings the defocus may be anywhere in the range.
void fill_errors(const Eigen::Matrix4d& covariance, double chosen, const FitParams& params, Fit& fit) {
  double none = 1, spread = 0;
  const double own = covariance(0, 0) > 0 ? covariance(0, 0) : spread_of_range(chosen, params);  // else: nothing seen
  for (const auto& a : fit.alternatives) {
    const bool is_chosen = &a == &fit.alternatives.front();
    none -= a.probability;
    spread += a.probability * (own + (is_chosen ? 0 : std::pow(a.defocus.value() - chosen, 2)));
  }
  spread += at_least_zero(none) * spread_of_range(chosen, params);
  fit.sigma_defocus = Angstrom(std::sqrt(spread));
  fit.quality.confidence = fit.alternatives.front().probability * useful_probability(fit.sigma_defocus);
  const double astigmatism = 0.5 * (covariance(1, 1) + covariance(2, 2));
  fit.sigma_astigmatism = astigmatism > 0 ? Angstrom(std::sqrt(astigmatism)) : params.max_astigmatism;  // no rings
  if (params.fit_phase_shift) fit.sigma_phase = from_rad(std::sqrt(at_least_zero(covariance(3, 3))));
}

/// Where the radial profile misses the model by more than noise, errors grow in proportion (Birge 1932,
/// doi:10.1103/PhysRev.40.207).
Eigen::Matrix4d widened(const Eigen::Matrix4d& covariance, const Fit& fit) {
  return std::pow(std::max(1.0, fit.quality.background_misfit), 2) * covariance;
}

/// The first, or in proportion as much as the mean defocus of the second asks for.
Eigen::Matrix4d larger(const Eigen::Matrix4d& covariance, const Eigen::Matrix4d& least) {
  return covariance(0, 0) > 0 ? std::max(1.0, least(0, 0) / covariance(0, 0)) * covariance : least;
}

/// How far the prior's weight moved (C, S): the data alone, whose curvature is that of the fit less the prior's, would
/// rest so far away.
Angstrom pull_of(const Eigen::Matrix4d& covariance, const Shape& shape, const FitParams& params) {
  if (!(params.expected_astigmatism > 0_A) || !(covariance(0, 0) > 0)) return 0_A;
  const double weight = 1 / std::pow(params.expected_astigmatism.value(), 2);
  const Eigen::Vector3d prior(0, weight, weight);
  const Eigen::Matrix3d data = covariance.topLeftCorner<3, 3>().inverse() - Eigen::Matrix3d(prior.asDiagonal());
  const auto [c, s] = prior_vector(params);
  const Eigen::Vector3d move = data.ldlt().solve(weight * Eigen::Vector3d(0, c - shape.c, s - shape.s));
  return Angstrom(move.allFinite() ? std::hypot(move(1), move(2)) : 0);
}

/// What exp(−B k²/2) took off the rings' power at 10 Å. Without it the rings of carbon behind a strong envelope are as
/// weak as those of ice; with it they lie within a factor of 1.5 of each other for a given dose.
double undamped(Angstrom2 b_factor) {
  constexpr double most_A2 = 600;  // e³: what is damped more is too uncertain to be scaled back
  return std::exp(std::clamp(b_factor.value(), 0.0, most_A2) / 200);
}

/// All that says how good a solution is.
void describe(const Rings& rings, const Waves& waves, const Solution& best, const FitParams& params, Fit& out) {
  out.ctf = ctf_of(best.shape);
  out.profile = equi_phase_profile(rings, waves, best);
  out.fit_resolution = fit_resolution(out.profile, params.min_resolution);
  out.iceness = iceness(rings, waves, best);
  out.b_factor = ring_decay(rings, best);
  out.quality = criteria(rings, waves, best);
  out.quality.strength *= undamped(out.b_factor);
}

/// Covariance of what the choice of background and envelope does to the shape: how far softer and stiffer splines move
/// it from `centre`, or from each other where none is given. Where few rings are seen, protein's own structure looks
/// like a part of them; the normal matrix knows nothing of that.
Eigen::Matrix4d choice_of_splines(const Rings& rings, const Waves& waves, const Shape& start,
                                  const RefineOptions& options, bool about_start) {
  std::array<Eigen::Vector4d, 2> moves;
  for (std::size_t i = 0; i < moves.size(); ++i) {
    Rings other = rings;
    set_stiffness(other, i == 0 ? 0.7 : 1.4);
    const auto moved = refine(other, waves, start, options).shape;
    moves[i] = {moved.defocus - start.defocus, moved.c - start.c, moved.s - start.s, moved.phase - start.phase};
  }
  const Eigen::Vector4d centre =
      about_start ? Eigen::Vector4d(Eigen::Vector4d::Zero()) : Eigen::Vector4d(0.5 * (moves[0] + moves[1]));
  Eigen::Matrix4d sum = Eigen::Matrix4d::Zero();
  for (const auto& move : moves) sum += 0.5 * (move - centre) * (move - centre).transpose();
  return sum;
}

/// Lets the rings fade, and have a node where there is one.
void take_envelope(Rings& rings, const Waves& waves, const Solution& solution, double unit, Fit& out) {
  const auto ice = find_thickness(rings, waves, solution, unit);
  out.thickness = Angstrom(ice.t_A);
  out.sigma_thickness = Angstrom(ice.sigma_A);
  if (ice.t_A > 0) set_thickness(rings, waves, ice.t_A);
  set_fade(rings, waves, solution);
}

}  // namespace

std::pair<double, double> prior_vector(const FitParams& params) {
  const double a = params.prior_astigmatism.value(), angle = 2 * to_rad(params.prior_angle);
  return {a * std::cos(angle), a * std::sin(angle)};
}

std::vector<std::string> problems_of(const FitParams& p) {
  std::vector<std::string> list;
  if (p.box % 2 != 0) list.push_back(fmt::format("box: expected an even number, found {}", p.box));
  if (p.max_resolution >= p.min_resolution)
    list.push_back(fmt::format("max_resolution ({:.1f} A) must be finer than min_resolution ({:.1f} A)",
                               p.max_resolution.value(), p.min_resolution.value()));
  if (p.max_defocus <= p.min_defocus)
    list.push_back(fmt::format("max_defocus ({:.0f} A) must exceed min_defocus ({:.0f} A)", p.max_defocus.value(),
                               p.min_defocus.value()));
  return list;
}

Fit fit(const PowerSpectrum& power, const Optics& optics, const FitParams& params) {
  check(params);
  auto rings = make_rings(power, params.min_resolution, params.max_resolution);
  const Waves waves(optics);
  const auto none = solve_without_rings(rings);
  weigh(rings, waves, none);
  const auto flat = solve_without_rings(rings);
  auto all = refine_all(rings, waves, params, noise_unit(rings, waves, flat));
  const double unit = noise_unit(rings, waves, all.front());
  Fit out;
  out.score = score(all.front().cost, flat.cost);
  out.alternatives = alternatives_of(all, flat.cost, unit, params);
  auto best = all.front();
  Rings seen = rings;
  if (best.has_rings) {  // once more with the weights that the rings themselves ask for
    weigh(rings, waves, best);
    const double unit_of_weighted = noise_unit(rings, waves, solve_at(rings, waves, best.shape));
    const auto options = options_of(params, unit_of_weighted);
    best = refine(rings, waves, best.shape, options);
    take_envelope(rings, waves, best, unit_of_weighted, out);
    weigh(rings, waves, solve_at(rings, waves, best.shape));
    seen = seen_part(rings, waves, solve_at(rings, waves, best.shape), unit_of_weighted);
    best = refine(seen, waves, best.shape, options);
  }
  describe(rings, waves, solve_at(rings, waves, best.shape), params, out);
  const double unit_of_best = noise_unit(seen, waves, best);
  const auto options = options_of(params, unit_of_best);
  const Eigen::Matrix4d covariance = unit_of_best * best.covariance;
  out.quality.astigmatism_pull = pull_of(covariance, best.shape, params);
  Eigen::Matrix4d systematic = Eigen::Matrix4d::Zero(), known = covariance;
  if (best.has_rings) {
    systematic = choice_of_splines(seen, waves, best.shape, options, true);
    known = shape_errors(seen, waves, best, options, unit_of_best).covariance;
  }
  fill_errors(larger(known, widened(covariance, out)) + systematic, best.shape.defocus, params, out);
  return out;
}

Fit fit_model(const PowerSpectrum& power, const Optics& optics, const FitParams& params,
              const std::optional<Ctf>& prior) {
  check(params);
  const Waves waves(optics);
  const auto found = fit_spectrum_model(power, waves, params, prior ? std::optional(shape_of(*prior)) : std::nullopt);
  const auto& model = found.models.front();
  Fit out;
  for (std::size_t i = 0; i < found.models.size(); ++i)
    out.alternatives.push_back({Angstrom(found.models[i].shape.defocus), found.probability[i]});
  auto rings = make_rings(power, params.min_resolution, params.max_resolution);
  weigh(rings, waves, solve_without_rings(rings));
  const auto solution = solve_at(rings, waves, model.shape);
  out.score = score(solution.cost, solve_without_rings(rings).cost);
  weigh(rings, waves, solution);
  const auto weighted = solve_at(rings, waves, model.shape);
  take_envelope(rings, waves, weighted, noise_unit(rings, waves, weighted), out);
  describe(rings, waves, solve_at(rings, waves, model.shape), params, out);
  out.quality.astigmatism_pull = pull_of(model.covariance, model.shape, params);
  Eigen::Matrix4d systematic = Eigen::Matrix4d::Zero();
  if (solution.has_rings)
    systematic =
        choice_of_splines(rings, waves, model.shape, options_of(params, noise_unit(rings, waves, solution)), false);
  fill_errors(widened(model.covariance, out) + systematic, model.shape.defocus, params, out);
  return out;
}

}  // namespace frazil::ctf
