// Protocol monitor-gain: follows the camera over a session from what align-movie says of every movie.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/camera.hpp"

namespace frazil::protocols {

struct MonitorGainParams {
  static constexpr auto fields() { return std::tuple(); }
};

struct MonitorGain {
  static constexpr flow::Info info{.name = "monitor-gain",
                                   .title = "Camera monitor",
                                   .version = 2,
                                   .cites = "10.1016/j.jsb.2018.02.006",
                                   .help =
                                       "Follow gain reference, hot and dead pixels and dose from movie to movie, and "
                                       "raise an alarm when one goes wrong."};
  using Params = MonitorGainParams;
  using Input = Detector;
  using Output = DetectorTrend;
  Params params;

  [[nodiscard]] Output fold(const Output* previous, const std::vector<Detector>& batch, flow::Context& context) const;
};

}  // namespace frazil::protocols
