#include "frazil/protocols/pick.hpp"

#include <cmath>

#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/protocols/device.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/micrograph_image.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

/// To a thousandth: digits beyond mean nothing.
double to_3_digits(double value) { return std::round(1000 * value) / 1000; }

void write_picks(const std::filesystem::path& path, const std::vector<pick::Pick>& picks,
                 const std::string& micrograph) {
  io::StarTable table("", {"rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnMicrographName"});
  for (const auto& p : picks) {
    const auto row = table.add_row();
    table.set(row, 0, to_3_digits(p.x));
    table.set(row, 1, to_3_digits(p.y));
    table.set(row, 2, to_3_digits(p.score));
    table.set(row, 3, std::string_view(micrograph));
  }
  io::StarFile file;
  file.add(std::move(table));
  io::write_star(path, file);
}

}  // namespace

Coordinates Pick::process(const PickInput& input, flow::Context& context) const {
  const auto& micrograph = input.micrograph;
  const auto image = read_micrograph(micrograph, context);
  Image excluded;
  if (input.mask) excluded = io::read_image(context.input(input.mask->mask));
  const auto found = [&] {
    try {
      return pick::pick(image, params, input.mask ? &excluded : nullptr, *backend_of(context, &device::Backends::pick));
    } catch (const Error& error) {
      throw Error(error.code(), "{}: {}", micrograph.path, error.what());
    }
  }();
  const auto file = area_name(micrograph.name.empty() ? micrograph.path : micrograph.name) + "_picks.star";
  write_picks(context.output(file), found.picks, micrograph.path);

  Coordinates out;
  out.micrograph = micrograph.path;
  out.name = micrograph.name;
  out.coordinates = context.reference(file);
  out.count = static_cast<int>(found.picks.size());
  out.diameter = params.diameter;
  out.pixel_size = micrograph.pixel_size;
  out.threshold = found.threshold;
  return out;
}

int Pick::memory_mib(const PickInput& input) const {
  const double megapixels = 1e-6 * input.micrograph.nx * input.micrograph.ny;
  return 64 + static_cast<int>((input.mask ? 20 : 16) * megapixels);  // the image, its mask and blocks, one transform
}

std::vector<flow::Device> Pick::devices() { return devices_for(&device::Backends::pick); }

template flow::Protocol protocol_of<Pick>();

}  // namespace frazil::protocols
