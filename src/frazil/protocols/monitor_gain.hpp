// Protocol monitor-gain: follows the camera over a session from what align-movie says of every movie.
#pragma once

#include "frazil/algo/gain/dose_watch.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/camera.hpp"

namespace frazil::protocols {

struct MonitorGainParams {
  static constexpr auto fields() { return std::tuple(); }
};

/// The movie as the dose watcher sees it.
[[nodiscard]] gain::Exposed exposed(const Detector& detector);

struct MonitorGain {
  static constexpr flow::Info info{.name = "monitor-gain",
                                   .title = "Camera monitor",
                                   .version = 3,
                                   .cites = "10.1016/j.jsb.2018.02.006",
                                   .help =
                                       "Follow gain reference, hot and dead pixels and dose from movie to movie, and "
                                       "say what goes wrong."};
  using Params = MonitorGainParams;
  using Input = Detector;
  using Output = DetectorTrend;
  Params params;

  [[nodiscard]] Output fold(const Output* previous, const std::vector<Detector>& batch, flow::Context& context) const;
};

}  // namespace frazil::protocols
