#include "frazil/protocols/preprocess_micrograph.hpp"

#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/micrograph_image.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {

Micrograph PreprocessMicrograph::process(const Micrograph& micrograph, flow::Context& context) const {
  const auto image = read_micrograph(micrograph, context);
  const auto result = [&] {
    try {
      return preprocess::preprocess(image, params);
    } catch (const Error& error) {
      throw Error(error.code(), "{}: {}", micrograph.path, error.what());
    }
  }();
  const auto stem = area_name(micrograph.name.empty() ? micrograph.path : micrograph.name) +
                    (micrograph.dose_weighted ? "_DW" : "") + "_preprocessed";
  check_finite(result.pixels(), stem + ".mrc");
  io::write_image(context.output(stem + ".mrc"), result);
  io::write_png_auto(context.output(stem + "_thumb.png"), thumbnail(result, 512));
  auto out = micrograph;
  out.path = context.reference(stem + ".mrc");
  out.nx = result.nx();
  out.ny = result.ny();
  out.pixel_size = result.pixel_size;
  out.thumbnail = context.reference(stem + "_thumb.png");
  return out;
}

int PreprocessMicrograph::memory_mib(const Micrograph& micrograph) const {
  return 64 + static_cast<int>(20e-6 * micrograph.nx * micrograph.ny);
}

template flow::Protocol protocol_of<PreprocessMicrograph>();

}  // namespace frazil::protocols
