// Example algorithm: removes a slow intensity gradient from an image.
#pragma once

#include "frazil/image/image.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::skeleton {

struct FlattenParams {
  Angstrom scale = 500_A;

  static constexpr auto fields() {
    using P = FlattenParams;
    return std::tuple(field(&P::scale, "scale", "Features wider than this are removed").range(10_A, 100000_A));
  }
};

/// Removes what is wider than `scale` from an image; the mean becomes zero.
///
/// @param image   nx × ny, any sides; left as it is
/// @return        an image of the same sides and pixel size
/// @throws Error(bad_input) if the scale is below two pixels
///
/// Method: Gaussian high-pass, 1 − exp(−k² scale²/2), in Fourier space. Cost: two transforms of the image.
[[nodiscard]] Image flatten(const Image& image, const FlattenParams& params = {});

}  // namespace frazil::skeleton
