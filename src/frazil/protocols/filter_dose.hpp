// Sets movies aside whose dose is not that of the others.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/camera.hpp"

namespace frazil::protocols {

struct FilterDoseParams {
  double max_deviation = 0;
  bool hold = true;

  static constexpr auto fields() {
    using P = FilterDoseParams;
    return std::tuple(
        field(&P::max_deviation, "max_deviation",
              "Largest relative difference of a movie's counts from the nearest usual level; 0: what ice explains, "
              "40 % either way")
            .range(0, 10),
        field(&P::hold, "hold",
              "Hold movies that may be odd until the camera monitor has seen them; false: accept them"));
  }
};

struct FilterDoseInput {
  Detector detector;
  std::optional<DetectorTrend> reference;
  static constexpr auto ports() {
    using I = FilterDoseInput;
    return std::tuple(flow::port(&I::detector, "detector"), flow::port(&I::reference, "reference"));
  }
};

struct FilterDose {
  static constexpr flow::Info info{.name = "filter-dose",
                                   .title = "Dose filter",
                                   .version = 3,
                                   .cites = "10.1016/j.jsb.2018.06.007",
                                   .help =
                                       "Set aside movies whose counts neither ice nor the session explains: beam cut "
                                       "or blocked, dose of another session. Hold them until that is sure."};
  using Params = FilterDoseParams;
  using Input = FilterDoseInput;
  using Output = flow::Decision;
  Params params;

  static constexpr bool may_hold = true;
  /// Accepted where ice explains the difference from a level that is usual in this session, or from the declared dose.
  /// Whether a movie beyond that is odd or the session has changed the camera monitor tells, which knows its
  /// neighbours: until it has seen the movie, that is held. Which movies are set aside so depends on no order of
  /// processing. With `max_deviation` the declared dose counts for nothing, and a movie that is farther from the usual
  /// levels is set aside as soon as these are sure.
  [[nodiscard]] flow::Decision process(const FilterDoseInput& input, flow::Context& context) const;
};

}  // namespace frazil::protocols
