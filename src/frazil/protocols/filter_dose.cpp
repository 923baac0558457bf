#include "frazil/protocols/filter_dose.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/protocols/monitor_gain.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {

namespace {

/// The level that is usual and nearest to the counts; 0: there is none.
double nearest_level(const DetectorTrend& reference, double counts) {
  double best = 0;
  for (const double level : reference.levels)
    if (best == 0 || std::abs(std::log(counts / level)) < std::abs(std::log(counts / best))) best = level;
  return best;
}

/// What a movie's counts are compared with.
struct Expected {
  bool is_declared = false;
  double ratio = 0;  ///< counts over what is expected; 0: there is nothing to compare with
  double limit = 0;  ///< of the ratio, on the movie's side of 1
};

Expected expected_of(const FilterDoseParams& params, const gain::Exposed& movie, double level) {
  const double declared = movie.declared * movie.pixel_A * movie.pixel_A,
               electrons = gain::electrons_of(movie.counts, movie.noise_ratio);
  Expected out;
  out.is_declared = level == 0 && declared > 0 && electrons > 0;
  if (!out.is_declared && level == 0) return out;
  out.ratio = out.is_declared ? electrons / declared : movie.counts / level;
  if (params.max_deviation > 0)
    out.limit = out.ratio < 1 ? 1 - params.max_deviation : 1 + params.max_deviation;
  else if (out.is_declared)
    out.limit = out.ratio < 1 ? gain::least_declared : gain::most_declared;
  else
    out.limit = out.ratio < 1 ? gain::least_usual : gain::most_usual;
  return out;
}

}  // namespace

flow::Decision FilterDose::process(const FilterDoseInput& input, flow::Context&) const {
  const auto movie = exposed(input.detector);
  const auto reference = input.reference.value_or(DetectorTrend{});
  const double level = nearest_level(reference, movie.counts);
  const auto expected = expected_of(params, movie, level);
  flow::Decision decision{
      .rule = "dose_deviation", .title = "dose off", .value = expected.ratio, .limit = expected.limit};
  const bool is_measured = std::isfinite(movie.counts), is_strict = params.max_deviation > 0 && level > 0;
  if (is_measured &&
      (is_strict ? std::abs(expected.ratio - 1) <= params.max_deviation : gain::is_usual(reference.levels, movie)))
    return decision;
  const bool is_odd = !is_measured || (is_strict && reference.is_sure) ||
                      std::find(reference.odd.begin(), reference.odd.end(), movie.name) != reference.odd.end();
  decision.verdict = is_odd ? flow::Verdict::set_aside : params.hold ? flow::Verdict::held : flow::Verdict::accepted;
  if (decision.accepted()) return decision;
  if (!is_measured)
    decision.reason = "the counts are not finite";
  else if (expected.ratio == 0)
    decision.reason =
        "what is usual is not known yet: no dose is declared that the camera could show, and the camera "
        "monitor has seen too few movies";
  else
    decision.reason =
        fmt::format("the counts are {:.2f} times {} (limit {:g}){}", expected.ratio,
                    expected.is_declared ? "the declared dose" : "what is usual in this session", expected.limit,
                    is_odd ? "" : "; decided when the camera monitor has seen the movie and its neighbours");
  return decision;
}

template flow::Protocol protocol_of<FilterDose>();

}  // namespace frazil::protocols
