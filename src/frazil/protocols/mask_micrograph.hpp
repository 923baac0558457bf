// Protocol mask-micrograph: carbon, ice crystals and aggregates that no picker should look at.
#pragma once

#include "frazil/algo/mask/mask.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct MaskMicrograph {
  static constexpr flow::Info info{.name = "mask-micrograph",
                                   .title = "Contamination mask",
                                   .version = 1,
                                   .cites = "10.1109/83.902291",
                                   .help = "Find carbon, ice crystals and aggregates, so that nothing is picked there.",
                                   .thin = "classical features; no trained network"};
  using Params = mask::MaskParams;
  using Input = Micrograph;
  using Output = MicrographMask;
  Params params;

  [[nodiscard]] MicrographMask process(const Micrograph& micrograph, flow::Context& context) const;
  [[nodiscard]] int memory_mib(const Micrograph& micrograph) const;
};

}  // namespace frazil::protocols
