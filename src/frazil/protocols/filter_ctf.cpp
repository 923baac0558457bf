#include "frazil/protocols/filter_ctf.hpp"

#include <cmath>
#include <string>
#include <vector>

namespace frazil::protocols {
namespace {

struct Rule {
  std::string name, words, unit;
  double value = 0, limit = 0;
  bool at_most = true;

  /// Above 1 when broken; near 1 when only just met. A value that is not a number breaks its rule.
  [[nodiscard]] double strain() const {
    if (std::isnan(value)) return 1e300;
    if (at_most) return value <= 0 ? 0 : value / limit;
    return value <= 0 ? 1e300 : limit / value;
  }
};

std::vector<Rule> rules_of(const FilterCtfParams& p, const CtfFit& fit) {
  const double mean = (fit.defocus_u + fit.defocus_v).value() / 2;
  std::vector<Rule> rules;
  const auto add = [&](const char* name, const char* words, const char* unit, double value, double limit, bool at_most) {
    if (limit > 0) rules.push_back({name, words, unit, value, limit, at_most});
  };
  add("min_defocus_A", "mean defocus", " A", mean, p.min_defocus.value(), false);
  add("max_defocus_A", "mean defocus", " A", mean, p.max_defocus.value(), true);
  add("max_astigmatism_A", "astigmatism", " A", (fit.defocus_u - fit.defocus_v).value(), p.max_astigmatism.value(), true);
  add("max_fit_resolution_A", "fit resolution", " A", fit.fit_resolution.value(), p.max_fit_resolution.value(), true);
  add("max_sigma_defocus_A", "standard error of the defocus", " A", fit.sigma_defocus.value(), p.max_sigma_defocus.value(), true);
  add("min_score", "score", "", fit.score, p.min_score, false);
  add("max_iceness", "iceness", "", std::isnan(fit.iceness) ? 0 : fit.iceness, p.max_iceness, true);  // beyond Nyquist: nothing to hold against it
  return rules;
}

}  // namespace

Decision FilterCtf::process(const CtfFit& fit, flow::Context&) const {
  if (params.max_defocus > 0_A && params.max_defocus <= params.min_defocus)
    throw Error(ErrorCode::bad_input, "max_defocus ({:.0f} A) must exceed min_defocus ({:.0f} A)", params.max_defocus.value(), params.min_defocus.value());
  Decision decision;
  double tightest = -1;
  for (const auto& rule : rules_of(params, fit)) {
    const double strain = rule.strain();
    if (strain <= tightest) continue;
    tightest = strain;
    decision.rule = rule.name;
    decision.value = rule.value;
    decision.limit = rule.limit;
    decision.accepted = strain <= 1;
    decision.reason = decision.accepted ? std::string()
                                        : fmt::format("{} is {:.4g}{}, {} {:.4g}{} is allowed", rule.words, rule.value, rule.unit,
                                                      rule.at_most ? "at most" : "at least", rule.limit, rule.unit);
  }
  return decision;
}

}  // namespace frazil::protocols
