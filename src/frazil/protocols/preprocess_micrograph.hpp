// Protocol preprocess-micrograph: crop, hot spots, contrast, sampling, filters, normalisation.
#pragma once

#include "frazil/algo/preprocess/preprocess.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct PreprocessMicrograph {
  static constexpr flow::Info info{.name = "preprocess-micrograph",
                                   .title = "Micrograph preprocessing",
                                   .version = 1,
                                   .help =
                                       "Crop, remove hot spots, invert, downsample, filter and normalise a micrograph, "
                                       "in this order and each only if asked for. "
                                       "Several such steps give several sets."};
  using Params = preprocess::PreprocessParams;
  using Input = Micrograph;
  using Output = Micrograph;
  Params params;

  [[nodiscard]] Micrograph process(const Micrograph& micrograph, flow::Context& context) const;
  [[nodiscard]] int memory_mib(const Micrograph& micrograph) const;
};

}  // namespace frazil::protocols
