// Protocol screen-particles: sets aside images without a particle, and outliers.
#pragma once

#include "frazil/algo/extract/screen.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct ScreenedParticles {
  Particles accepted;
  std::optional<Particles> set_aside;  ///< nothing when all are accepted

  static constexpr auto ports() {
    using O = ScreenedParticles;
    return std::tuple(flow::port(&O::accepted, "accepted"), flow::port(&O::set_aside, "set_aside"));
  }
};

struct ScreenParticles {
  static constexpr flow::Info info{
      .name = "screen-particles",
      .title = "Particle screening",
      .version = 1,
      .help = "Set aside images that hold no particle, and those that differ grossly from the others.",
      .thin = "shape and context measures are to come"};
  using Params = extract::ScreenParams;
  using Input = Particles;
  using Output = ScreenedParticles;

  Params params;

  [[nodiscard]] Output process(const Particles& particles, flow::Context& context) const;
};

}  // namespace frazil::protocols
