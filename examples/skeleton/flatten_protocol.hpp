// Example protocol: what a step takes and gives; the work is the algorithm's.
#pragma once

#include "flatten.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/model/records.hpp"

namespace frazil::skeleton {

struct FlattenMicrograph {
  static constexpr flow::Info info{.name = "flatten-micrograph",
                                   .title = "Remove intensity gradients",
                                   .version = 1,
                                   .help = "Subtract what is wider than a given scale from each micrograph."};
  using Params = FlattenParams;
  using Input = Micrograph;
  using Output = Micrograph;

  Params params;

  Output process(const Micrograph& mic, flow::Context& context) const {
    const auto name = std::filesystem::path(mic.path).stem().string() + "_flat.mrc";
    auto image = io::read_image(context.input(mic.path));
    image.pixel_size = mic.pixel_size;
    io::write_image(context.output(name), flatten(image, params));
    Micrograph flat = mic;
    flat.path = context.reference(name);
    return flat;
  }
};

}  // namespace frazil::skeleton
