#include "frazil/protocols/filter_ctf.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "frazil/base/finite.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

struct Rule {
  std::string name;
  std::string title;  ///< what is wrong with what breaks it
  std::string words, unit;
  double value = 0, limit = 0;
  bool at_most = true;

  /// Whether it judges the fit, not what the fit says.
  [[nodiscard]] bool of_trust() const {
    constexpr std::array names{"max_fit_resolution_A", "max_sigma_defocus_A", "min_score",     "max_agreement_A",
                               "max_difference",       "min_visibility",      "min_confidence"};
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  /// Above 1 when broken; near 1 when only just met. A value that is not a number breaks its rule.
  [[nodiscard]] double strain() const {
    if (std::isnan(value)) return 1e300;
    if (at_most) return value <= 0 ? 0 : value / limit;
    return value <= 0 ? 1e300 : limit / value;
  }
};

template <class Add>
void add_quality_rules(const FilterCtfParams& p, const CtfQuality& q, const Add& add) {
  add("min_visibility", "rings too faint", "visibility of the rings", "", q.visibility, p.min_visibility, false);
  add("max_strength", "carbon film", "power of the rings over the background, as of carbon,", "", q.strength,
      p.max_strength, true);
  add("max_first_zero_A", "first zero too low", "first zero", " A", q.first_zero.value(), p.max_first_zero.value(),
      true);
  add("max_first_zero_ratio", "first zeros too far apart", "ratio of the first zeros", "", q.first_zero_ratio,
      p.max_first_zero_ratio, true);
  add("max_envelope_end_A", "rings fade early", "resolution at which the rings fall below a tenth", " A",
      q.envelope_end.value(), p.max_envelope_end.value(), true);
  // What noise alone could do is not held against a micrograph.
  add("max_directional_damping", "rings damped on one side", "anisotropy of the rings' strength, as of drift,", "",
      at_least_zero(q.directional_damping - 3 * q.sigma_directional), p.max_directional_damping, true);
  add("max_drift_A", "moved within the exposure", "movement within the exposure, as the rings show it,", " A",
      at_least_zero((q.drift - 3 * q.sigma_drift).value()), p.max_drift.value(), true);
  add("max_overfocus", "overfocused", "overfocus fits better, in standard deviations,", "", q.overfocus,
      p.max_overfocus, true);
  add("max_ice_spots", "ice crystals", "brightest pixel of the ice rings", "", q.ice_spots, p.max_ice_spots, true);
  if (!p.crystalline_ice)
    add("crystalline_ice", "crystalline ice", "number of sharp ice rings", "",
        q.ice_phase == IcePhase::vitreous ? 0 : 1, 0.5, true);
  add("max_background_misfit", "background not smooth", "misfit of the background", "", q.background_misfit,
      p.max_background_misfit, true);
  add("max_outliers", "spots in the spectrum", "share of outlying pixels", "", q.outliers, p.max_outliers, true);
  add("min_confidence", "no certain solution", "probability of this solution", "", q.confidence, p.min_confidence,
      false);
  if (!p.aliasing)
    add("aliasing", "rings too dense for the box", "resolution to which rings can be told apart", " A",
        q.aliasing.value(), p.max_fit_resolution.value(), true);
}

std::vector<Rule> rules_of(const FilterCtfParams& p, const CtfFit& fit) {
  const double mean = (fit.defocus_u + fit.defocus_v).value() / 2;
  std::vector<Rule> rules;
  const auto add = [&](const char* name, const char* title, const char* words, const char* unit, double value,
                       double limit, bool at_most) {
    if (limit > 0) rules.push_back({name, title, words, unit, value, limit, at_most});
  };
  add("min_defocus_A", "defocus too low", "mean defocus", " A", mean, p.min_defocus.value(), false);
  add("max_defocus_A", "defocus too high", "mean defocus", " A", mean, p.max_defocus.value(), true);
  add("max_astigmatism_A", "astigmatism too high", "astigmatism", " A", (fit.defocus_u - fit.defocus_v).value(),
      p.max_astigmatism.value(), true);
  add("max_fit_resolution_A", "rings end early", "fit resolution", " A", fit.fit_resolution.value(),
      p.max_fit_resolution.value(), true);
  add("max_sigma_defocus_A", "defocus uncertain", "standard error of the defocus", " A", fit.sigma_defocus.value(),
      p.max_sigma_defocus.value(), true);
  add("min_score", "rings and model disagree", "score", "", fit.score, p.min_score, false);
  add("max_iceness", "crystalline ice", "iceness", "", std::isnan(fit.iceness) ? 0 : fit.iceness, p.max_iceness,
      true);  // beyond Nyquist: nothing to hold against it
  add("max_agreement_A", "estimates disagree", "resolution to which the estimates agree", " A", fit.agreement.value(),
      p.max_agreement.value(), true);
  add("max_difference", "estimates differ by more than their errors",
      "difference of the estimates over their error bars", "", std::abs(fit.difference_z), p.max_difference, true);
  add("min_phase_shift_deg", "phase shift too low", "phase shift", " deg", fit.phase_shift.value(),
      p.min_phase_shift.value(), false);
  add("max_phase_shift_deg", "phase shift too high", "phase shift", " deg", fit.phase_shift.value(),
      p.max_phase_shift.value(), true);
  add("max_tilt_deg", "tilted too much", "tilt", " deg", std::abs(fit.tilt.value()), p.max_tilt.value(), true);
  add("max_thickness_A", "ice too thick or defocus running", "ice thickness or range of defocus", " A",
      at_least_zero((fit.thickness - 3 * fit.sigma_thickness).value()), p.max_thickness.value(), true);
  add("max_astigmatism_ratio", "astigmatism too high for its defocus", "astigmatism over mean defocus", "",
      (fit.defocus_u - fit.defocus_v).value() / std::max(1.0, std::abs(mean)), p.max_astigmatism_ratio, true);
  if (fit.quality.visibility == 0 && fit.quality.confidence == 0) return rules;  // another program's fit
  add_quality_rules(p, fit.quality, add);
  return rules;
}

}  // namespace

flow::Decision judge(const FilterCtfParams& params, const CtfFit& fit) {
  if (params.max_defocus > 0_A && params.max_defocus <= params.min_defocus)
    throw Error(ErrorCode::bad_input, "max_defocus ({:.0f} A) must exceed min_defocus ({:.0f} A)",
                params.max_defocus.value(), params.min_defocus.value());
  auto rules = rules_of(params, fit);
  const auto distrusts = [](const Rule& rule) { return rule.of_trust() && rule.strain() > 1; };
  if (std::any_of(rules.begin(), rules.end(), distrusts))
    std::erase_if(rules, [&](const Rule& rule) { return !distrusts(rule); });
  flow::Decision decision;
  double tightest = -1;
  for (const auto& rule : rules) {
    const double strain = rule.strain();
    if (strain <= tightest) continue;
    tightest = strain;
    decision.rule = rule.name;
    decision.title = rule.title;
    decision.value = rule.value;
    decision.limit = rule.limit;
    decision.verdict = flow::accept_if(strain <= 1);
    decision.reason = decision.accepted()
                          ? std::string()
                          : fmt::format("{} is {:.4g}{}, {} {:.4g}{} is allowed", rule.words, rule.value, rule.unit,
                                        rule.at_most ? "at most" : "at least", rule.limit, rule.unit);
  }
  return decision;
}

flow::Decision FilterCtf::process(const CtfFit& fit, flow::Context&) const { return judge(params, fit); }

template flow::Protocol protocol_of<FilterCtf>();

}  // namespace frazil::protocols
