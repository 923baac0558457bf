// Sets movies aside whose dose is not that of the others.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/camera.hpp"

namespace frazil::protocols {

struct FilterDoseParams {
  double max_deviation = 0.05, max_declared_deviation = 0.3;

  static constexpr auto fields() {
    using P = FilterDoseParams;
    return std::tuple(
        field(&P::max_deviation, "max_deviation",
              "Largest relative difference of a movie's counts from those of the reference")
            .range(0.001, 10),
        field(&P::max_declared_deviation, "max_declared_deviation",
              "The same from the declared dose, where no reference is connected: ice takes a part of the beam")
            .range(0.001, 10));
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
                                   .version = 2,
                                   .cites = "10.1107/S2059798319011860",
                                   .help =
                                       "Set aside movies whose counts differ from the median of the reference movies, "
                                       "or from the declared dose where no reference is connected."};
  using Params = FilterDoseParams;
  using Input = FilterDoseInput;
  using Output = flow::Decision;
  Params params;

  /// The reference is a version of the camera monitor made from a committed list of movies (a static trigger): the
  /// decision depends on that list and the movie alone, not on what else has arrived. Nothing to compare with:
  /// accepted.
  [[nodiscard]] flow::Decision process(const FilterDoseInput& input, flow::Context& context) const;
};

}  // namespace frazil::protocols
