#include "flatten.hpp"

#include <cmath>

#include "frazil/image/ops.hpp"

namespace frazil::skeleton {

Image flatten(const Image& image, const FlattenParams& params) {
  if (params.scale < image.pixel_size * 2)
    throw Error(ErrorCode::bad_input, "flatten: scale is {:g} Å, expected at least two pixels of {:g} Å",
                params.scale.value(), image.pixel_size.value());
  auto spectrum = fft(image);
  filter(spectrum,
         [s = params.scale.value()](double k_per_A) { return 1 - std::exp(-0.5 * k_per_A * k_per_A * s * s); });
  return ifft(spectrum);
}

}  // namespace frazil::skeleton
