#include "frazil/protocols/consensus_motion.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

/// Shifts of one axis about their mean.
std::vector<double> centred(const Motion& motion, std::size_t axis) {
  std::vector<double> values;
  double mean = 0;
  for (const auto& shift : motion.shifts_px) {
    values.push_back(shift.at(axis));
    mean += shift.at(axis) / static_cast<double>(motion.shifts_px.size());
  }
  for (double& v : values) v -= mean;
  return values;
}

double range(const std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return *high - *low;
}

}  // namespace

flow::Decision ConsensusMotion::process(const TwoMotions& motions, flow::Context&) const {
  if (motions.motion.shifts_px.size() != motions.other.shifts_px.size())
    throw Error(ErrorCode::bad_input, "{}: {} frames in one alignment, {} in the other: align the same frames",
                motions.motion.movie, motions.motion.shifts_px.size(), motions.other.shifts_px.size());
  double ab = 0, aa = 0, bb = 0, widest = 0;
  for (const std::size_t axis : {0U, 1U}) {
    const auto a = centred(motions.motion, axis), b = centred(motions.other, axis);
    widest = std::max({widest, range(a), range(b)});
    for (std::size_t t = 0; t < a.size(); ++t) {
      ab += a[t] * b[t];
      aa += a[t] * a[t];
      bb += b[t] * b[t];
    }
  }
  const double correlation = aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
  flow::Decision decision{.rule = "motion_agreement",
                          .title = "two alignments disagree",
                          .value = correlation,
                          .limit = params.min_correlation};
  // NaN in a track: std::minmax_element and the test of aa and bb would pass over it.
  const bool finite = std::isfinite(aa + bb);
  if (!finite) decision.value = std::numeric_limits<double>::quiet_NaN();
  if ((finite && widest <= params.min_range) || correlation >= params.min_correlation) return decision;
  decision.verdict = flow::Verdict::set_aside;
  if (!finite) {
    decision.reason = "a trajectory holds values that are not finite";
    return decision;
  }
  decision.reason = fmt::format(
      "two alignments disagree: their trajectories correlate by {:.2f} over {:.1f} px, at least {:g} is asked for",
      correlation, widest, params.min_correlation);
  return decision;
}

template flow::Protocol protocol_of<ConsensusMotion>();

}  // namespace frazil::protocols
