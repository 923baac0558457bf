#include "frazil/protocols/filter_dose.hpp"

#include <cmath>

#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {

flow::Decision FilterDose::process(const FilterDoseInput& input, flow::Context&) const {
  const auto& movie = input.detector;
  const bool declared = !input.reference;
  const double measured = declared ? movie.dose_per_frame.value() : movie.counts;
  const double expected = declared ? movie.declared_dose_per_frame.value() : input.reference->counts;
  flow::Decision decision{.rule = "dose_deviation",
                          .title = "dose off",
                          .limit = declared ? params.max_declared_deviation : params.max_deviation};
  if (expected <= 0) return decision;  // nothing to compare with; what is not a number breaks the rule below
  decision.value = std::abs(measured / expected - 1);
  decision.verdict = flow::accept_if(decision.value <= decision.limit);
  if (!decision.accepted())
    decision.reason =
        declared ? fmt::format("the dose is {:.3g} e/A2 a frame, {:.1f} % off the declared {:.3g} e/A2 (limit {:g} %)",
                               measured, 100 * decision.value, expected, 100 * decision.limit)
                 : fmt::format(
                       "the dose is {:.3g} counts a pixel and frame, {:.1f} % off the median {:.3g} of the reference "
                       "movies (limit {:g} %)",
                       measured, 100 * decision.value, expected, 100 * decision.limit);
  return decision;
}

template flow::Protocol protocol_of<FilterDose>();

}  // namespace frazil::protocols
