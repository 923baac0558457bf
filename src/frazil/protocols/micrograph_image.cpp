#include "frazil/protocols/micrograph_image.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "frazil/io/image_file.hpp"

namespace frazil::protocols {

Image read_micrograph(const Micrograph& micrograph, const flow::Context& context) {
  constexpr float most = 1e12F, least = 1e-12F;
  auto image = io::read_image(context.input(micrograph.path));
  image.pixel_size = micrograph.pixel_size;
  std::size_t holes = 0;
  float low = std::numeric_limits<float>::infinity(), high = -low;
  for (float& v : image.pixels()) {
    if (!(std::abs(v) <= most)) {
      v = std::numeric_limits<float>::quiet_NaN();
      ++holes;
    } else {
      low = std::min(low, v);
      high = std::max(high, v);
    }
  }
  if (2 * holes > image.size())
    throw Error(ErrorCode::bad_input, "{}: {} of {} pixels are not finite or beyond {:g}; at most half may be",
                micrograph.path, holes, image.size(), most);
  if (!(high - low > least))
    throw Error(ErrorCode::bad_input, "{}: the image is constant ({:g})", micrograph.path, low);
  return image;
}

void check_finite(std::span<const float> pixels, std::string_view what) {
  const auto bad = std::count_if(pixels.begin(), pixels.end(), [](float v) { return !std::isfinite(v); });
  if (bad > 0)
    throw Error(ErrorCode::bad_input, "{}: {} of {} pixels of the result are not finite", what, bad, pixels.size());
}

}  // namespace frazil::protocols
