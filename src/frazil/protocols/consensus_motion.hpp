// Protocol consensus-motion: do two alignments of one movie tell the same story?
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct ConsensusMotionParams {
  double min_correlation = 0.75;
  double min_range = 3;

  static constexpr auto fields() {
    using P = ConsensusMotionParams;
    return std::tuple(
        field(&P::min_correlation, "min_correlation", "Least correlation of the two trajectories").range(-1, 1),
        field(&P::min_range, "min_range",
              "Trajectories that stay within so many pixels of the movie are accepted: there is nothing to correlate")
            .range(0, 1000));
  }
};

struct TwoMotions {
  Motion motion, other;
  static constexpr auto ports() {
    return std::tuple(flow::port(&TwoMotions::motion, "motion"), flow::port(&TwoMotions::other, "other"));
  }
};

struct ConsensusMotion {
  static constexpr flow::Info info{
      .name = "consensus-motion",
      .title = "Agreement of two alignments",
      .version = 2,
      .cites = "10.1107/S2059798319011860",
      .help =
          "Set aside movies whose frames two alignments (other parameters, or RELION's motion STAR) move differently."};
  using Params = ConsensusMotionParams;
  using Input = TwoMotions;
  using Output = flow::Decision;
  Params params;

  /// Correlation of the shifts, x and y together, each with its mean over the frames taken off. The range is the longer
  /// side of the box around either trajectory. @throws Error(bad_input) when the numbers of frames differ
  [[nodiscard]] flow::Decision process(const TwoMotions& motions, flow::Context& context) const;
};

}  // namespace frazil::protocols
