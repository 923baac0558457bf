// Protocol classify-2d: particles in, a growing set of 2D classes out.
#pragma once

#include "frazil/algo/class2d/params.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct Classify2d {
  static constexpr flow::Info info{.name = "classify-2d",
                                   .title = "2D classification",
                                   .version = 3,
                                   .cites = "10.1016/j.jmb.2011.11.010",
                                   .help =
                                       "Sort particles into classes of equal views by mini-batch "
                                       "expectation-maximisation that grows with the stream.",
                                   .state = flow::State::first_version,
                                   .thin = "Mirrored views are not merged, and intensity is judged, not fitted."};
  using Params = class2d::Params;
  using Input = Particles;
  using Output = Classes;

  Params params;

  [[nodiscard]] static std::vector<flow::Device> devices();
  [[nodiscard]] std::vector<flow::Need> needs() const {
    return {{"particles", "count", double(class2d::fewest_particles(params)), "particles"}};
  }
  /// Writes classes.star, averages.mrcs, particles.star and state.bin; the state names all particle files so far.
  [[nodiscard]] Output fold(const Output* previous, const std::vector<Input>& batch, flow::Context& context) const;
};

}  // namespace frazil::protocols
