// Protocol estimate-gain: a gain reference from movies, and how the given one compares.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct EstimateGainParams {
  int every = 1;

  static constexpr auto fields() {
    using P = EstimateGainParams;
    return std::tuple(field(&P::every, "every", "Read every n-th frame only").range(1, 1000));
  }
};

struct EstimateGain {
  static constexpr flow::Info info{
      .name = "estimate-gain",
      .title = "Gain from movies",
      .version = 3,
      .cites = "10.1016/j.jsb.2018.02.006",
      .help =
          "Estimate a gain reference from raw movies, and tell which way round the given one fits and what it leaves."};
  using Params = EstimateGainParams;
  using Input = Movie;
  using Output = GainReference;
  Params params;

  /// Adds the movies to the sums of the version before. All movies must have the size of the first.
  [[nodiscard]] Output fold(const Output* previous, const std::vector<Movie>& batch, flow::Context& context) const;
};

}  // namespace frazil::protocols
