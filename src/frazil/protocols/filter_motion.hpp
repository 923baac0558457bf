// Sets movies aside that moved too much.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// `paper`: 5 Å from frame to frame and 15 Å in all, as Maluenda et al. 2019 used.
enum class MotionLimits { standard, paper };
constexpr auto names_of(MotionLimits) { return std::array{"default", "paper"}; }

struct FilterMotionParams {
  MotionLimits preset = MotionLimits::standard;
  std::optional<Angstrom> max_step, total_path, net_drift;

  static constexpr auto fields() {
    using P = FilterMotionParams;
    return std::tuple(
        field(&P::preset, "preset",
              "Limits that hold where none is given: default (10 A a step, 45 A path, 40 A net) or paper (5 A, 15 A, "
              "no net limit)"),
        field(&P::max_step, "max_step", "Largest step between frames of the smoothed path").range(0_A, 10000_A),
        field(&P::total_path, "total_path", "Longest smoothed path").range(0_A, 10000_A),
        field(&P::net_drift, "net_drift", "Largest distance from first to last frame").range(0_A, 10000_A));
  }
};

struct FilterMotion {
  static constexpr flow::Info info{.name = "filter-motion",
                                   .title = "Drift filter",
                                   .version = 2,
                                   .cites = "10.1107/S2059798319011860",
                                   .help = "Set aside movies with a large step, a long path or a large net drift."};
  using Params = FilterMotionParams;
  using Input = Motion;
  using Output = flow::Decision;
  Params params;

  /// The criterion nearest to its limit decides, and is told when the movie is accepted too.
  [[nodiscard]] flow::Decision process(const Motion& motion, flow::Context& context) const;
};

}  // namespace frazil::protocols
