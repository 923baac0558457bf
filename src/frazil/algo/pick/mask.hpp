// Regions that no picker should look at: carbon edges, large ice, aggregates; found by their strength and size.
#pragma once

#include <vector>

#include "frazil/image/image.hpp"

namespace frazil::pick {

/// One flag a pixel.
struct Mask {
  int nx = 0, ny = 0;
  std::vector<char> set;
  Mask() = default;
  Mask(int columns, int rows, bool value)
      : nx(columns), ny(rows), set(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows), value ? 1 : 0) {}
  [[nodiscard]] char& operator()(int x, int y) {
    return set[static_cast<std::size_t>(y) * static_cast<std::size_t>(nx) + static_cast<std::size_t>(x)];
  }
  [[nodiscard]] char operator()(int x, int y) const {
    return set[static_cast<std::size_t>(y) * static_cast<std::size_t>(nx) + static_cast<std::size_t>(x)];
  }
  [[nodiscard]] double fraction() const;
};

/// Pixels of connected regions that stand out of the smoothed image by more than 6 robust standard deviations and are
/// larger than a particle: more than 1.5 times its area, or longer than two diameters; grown by a quarter of a
/// diameter. What is particle-sized stays, however strong: viruses are.
[[nodiscard]] Mask gross_features(const Image& flattened, double diameter_px);

/// Subtracts a Gaussian local mean, `sigma_px` wide, taken apart in each connected region outside the mask, so that the
/// two sides of a masked edge do not draw each other. Masked pixels, and regions below 4 sigma², become 0.
[[nodiscard]] Image subtract_local_mean(const Image& image, const Mask& masked, double sigma_px);

/// Share of masked pixels within `radius_px` of each pixel (periodic).
[[nodiscard]] Image masked_share(const Mask& masked, double radius_px);

/// Convolution with a Gaussian of unit sum (periodic).
[[nodiscard]] Image smooth(const Image& image, double sigma_px);

}  // namespace frazil::pick
