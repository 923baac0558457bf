// Protocol extract: micrograph, positions and CTF → particle images.
#pragma once

#include "frazil/algo/extract/extract.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct ExtractInput {
  Micrograph micrograph;
  Coordinates coordinates;
  std::optional<CtfFit> ctf;

  static constexpr auto ports() {
    using I = ExtractInput;
    return std::tuple(flow::port(&I::micrograph, "micrographs"), flow::port(&I::coordinates, "coordinates"),
                      flow::port(&I::ctf, "ctf_fits"));
  }
};

struct Extract {
  static constexpr flow::Info info{
      .name = "extract",
      .title = "Particle extraction",
      .version = 2,
      .help = "Cut the particles out of each micrograph, protein white on a normalised background."};
  using Params = extract::ExtractParams;
  using Input = ExtractInput;
  using Output = Particles;

  Params params;

  [[nodiscard]] Output process(const Input& input, flow::Context& context) const;
  [[nodiscard]] int memory_mib(const Input& input) const;
};

}  // namespace frazil::protocols
