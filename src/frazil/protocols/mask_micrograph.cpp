#include "frazil/protocols/mask_micrograph.hpp"

#include <algorithm>
#include <array>

#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/micrograph_image.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

constexpr int picture_px = 512;

mask::Cover cover_at(const mask::Mask& mask, double x, double y) {
  return mask.at(std::clamp(static_cast<int>(x / mask.scale_x), 0, mask.nx - 1),
                 std::clamp(static_cast<int>(y / mask.scale_y), 0, mask.ny - 1));
}

/// One value a pixel of the micrograph.
Image full_size(const mask::Mask& mask, const Image& micrograph) {
  Image out(micrograph.nx(), micrograph.ny(), micrograph.pixel_size);
  for (int y = 0; y < out.ny(); ++y)
    for (int x = 0; x < out.nx(); ++x) out(x, y) = static_cast<float>(cover_at(mask, x + 0.5, y + 0.5));
  return out;
}

/// The micrograph in grey with carbon tinted orange, crystals blue, aggregates magenta.
io::Picture overlay(const mask::Mask& mask, const Image& micrograph) {
  const auto small = thumbnail(micrograph, picture_px);
  const auto grey = io::to_picture_auto(small);
  constexpr std::array<std::array<int, 3>, 4> tints{{{0, 0, 0}, {255, 140, 0}, {40, 120, 255}, {230, 0, 200}}};
  io::Picture picture(grey.nx, grey.ny, 3);
  for (int y = 0; y < grey.ny; ++y)
    for (int x = 0; x < grey.nx; ++x) {
      const auto cover = static_cast<std::size_t>(
          cover_at(mask, (x + 0.5) * micrograph.nx() / grey.nx, (y + 0.5) * micrograph.ny() / grey.ny));
      for (std::size_t c = 0; c < 3; ++c)
        picture.at(x, y)[c] =
            static_cast<std::uint8_t>(cover == 0 ? *grey.at(x, y) : (13 * *grey.at(x, y) + 7 * tints[cover][c]) / 20);
    }
  return picture;
}

}  // namespace

MicrographMask MaskMicrograph::process(const Micrograph& micrograph, flow::Context& context) const {
  const auto image = read_micrograph(micrograph, context);
  const auto found = [&] {
    try {
      return mask::find_mask(image, params);
    } catch (const Error& error) {
      throw Error(error.code(), "{}: {}", micrograph.path, error.what());
    }
  }();
  const auto stem = area_name(micrograph.name.empty() ? micrograph.path : micrograph.name) + "_mask";
  io::write_image(context.output(stem + ".mrc"), full_size(found, image), io::MrcMode::i8);
  io::write_png(context.output(stem + ".png"), overlay(found, image));
  MicrographMask out;
  out.micrograph = micrograph.path;
  out.name = micrograph.name;
  out.mask = context.reference(stem + ".mrc");
  out.masked_fraction = found.fraction();
  out.carbon_fraction = found.fraction(mask::Cover::carbon);
  out.crystal_fraction = found.fraction(mask::Cover::crystal);
  out.aggregate_fraction = found.fraction(mask::Cover::aggregate);
  out.picture = context.reference(stem + ".png");
  return out;
}

int MaskMicrograph::memory_mib(const Micrograph& micrograph) const {
  return 64 + static_cast<int>(12e-6 * micrograph.nx * micrograph.ny);
}

template flow::Protocol protocol_of<MaskMicrograph>();

}  // namespace frazil::protocols
