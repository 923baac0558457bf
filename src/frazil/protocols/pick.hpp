// Protocol pick: micrograph → particle positions.
#pragma once

#include "frazil/algo/pick/pick.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct PickInput {
  Micrograph micrograph;
  std::optional<MicrographMask> mask;  ///< nothing is picked there
  static constexpr auto ports() {
    return std::tuple(flow::port(&PickInput::micrograph, "micrographs"), flow::port(&PickInput::mask, "masks"));
  }
};

struct Pick {
  static constexpr flow::Info info{
      .name = "pick",
      .title = "Particle picking",
      .version = 1,
      .cites = "10.1016/S0304-3991(02)00304-5",
      .help = "Find particles of a given diameter, with a template made from the micrograph itself.",
      .thin = "the methods gauss, template, trained and net are to come"};
  using Params = pick::PickParams;
  using Input = PickInput;
  using Output = Coordinates;

  Params params;

  [[nodiscard]] static std::vector<flow::Device> devices();
  [[nodiscard]] Output process(const PickInput& input, flow::Context& context) const;
  [[nodiscard]] int memory_mib(const PickInput& input) const;
};

}  // namespace frazil::protocols
