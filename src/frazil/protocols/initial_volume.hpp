// Protocol initial-volume: chosen particles in, a first map with half maps, FSC and poses out.
#pragma once

#include "frazil/algo/initvol/initial_volume.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct InitialVolume {
  static constexpr flow::Info info{
      .name = "initial-volume",
      .title = "Initial volume",
      .version = 2,
      .cites = "10.1038/nmeth.4169",
      .help = "Find a first map from particles alone by stochastic gradient descent from several random starts.",
      .state = flow::State::first_version,
      .thin = "The point group must be given, there is one class only, and the hand is arbitrary."};
  using Params = initvol::InitialVolumeParams;
  using Input = Particles;
  using Output = VolumeMap;

  Params params;

  [[nodiscard]] std::vector<flow::Need> needs() const {
    return {{"particles", "count", initvol::fewest_particles, "particles"}};
  }
  /// Writes volume.mrc, half1.mrc, half2.mrc, fsc.json and particles.star (rlnAngleRot/Tilt/Psi, rlnOriginX/YAngst,
  /// rlnRandomSubset) with the particles used, and pictures of sections and projections.
  [[nodiscard]] Output process(const Particles& particles, flow::Context& context) const;
};

}  // namespace frazil::protocols
