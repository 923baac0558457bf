#include "frazil/protocols/filter_motion.hpp"

#include <cmath>
#include <limits>

#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

struct Criterion {
  std::string rule, title, what;
  Angstrom value;
  std::optional<Angstrom> limit;

  /// Above 1: violated. A value that is not a number breaks its rule.
  [[nodiscard]] double ratio() const {
    if (!limit) return -1;
    if (std::isnan(value.value())) return std::numeric_limits<double>::infinity();
    if (*limit > 0_A) return value / *limit;
    return value > 0_A ? std::numeric_limits<double>::infinity() : 0;
  }
};

}  // namespace

flow::Decision FilterMotion::process(const Motion& motion, flow::Context&) const {
  const bool paper = params.preset == MotionLimits::paper;
  const auto or_preset = [](const std::optional<Angstrom>& given, std::optional<Angstrom> preset) {
    return given ? given : preset;
  };
  const std::vector<Criterion> criteria = {{"max_step_A", "steps too large", "the largest step between frames",
                                            motion.max_step, or_preset(params.max_step, paper ? 5_A : 10_A)},
                                           {"total_path_A", "drift too long", "the path", motion.total_path,
                                            or_preset(params.total_path, paper ? 15_A : 45_A)},
                                           {"net_drift_A", "net drift too long", "the net drift", motion.net_drift,
                                            or_preset(params.net_drift, paper ? std::nullopt : std::optional(40_A))}};
  const Criterion* tightest = &criteria.front();
  for (const auto& c : criteria)
    if (c.ratio() > tightest->ratio()) tightest = &c;
  flow::Decision decision{.verdict = flow::accept_if(tightest->ratio() <= 1),
                          .rule = tightest->rule,
                          .title = tightest->title,
                          .value = tightest->value.value(),
                          .limit = tightest->limit->value()};
  if (!decision.accepted())
    decision.reason = fmt::format("{} is {:.1f} Å, more than {:g} Å", tightest->what, decision.value, decision.limit);
  return decision;
}

template flow::Protocol protocol_of<FilterMotion>();

}  // namespace frazil::protocols
