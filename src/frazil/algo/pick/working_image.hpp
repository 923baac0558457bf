// The micrograph as pickers see it: about 32 pixels a diameter, bright particles, without slow changes, mirrored at the
// edges.
#pragma once

#include <vector>

#include "frazil/algo/pick/mask.hpp"
#include "frazil/image/image.hpp"

namespace frazil::pick {

/// A resampled, flattened micrograph inside a mirrored margin, and the way back to micrograph pixels.
struct WorkingImage {
  Image image;     ///< nx × ny with margins; mean about 0, standard deviation 1; 0 where masked
  Mask masked;     ///< carbon edges, large ice, aggregates
  int margin = 0;  ///< pixels on each side that are mirrored
  int inner_nx = 0, inner_ny = 0;
  double diameter_px = 0;  ///< particle in working pixels
  double scale_x = 1, scale_y = 1, offset = 0;

  /// Micrograph pixel of a place in the padded image.
  [[nodiscard]] double to_x(double x) const { return (x - margin) * scale_x + offset; }
  [[nodiscard]] double to_y(double y) const { return (y - margin) * scale_y + offset; }
};

/// Resamples by block means and a Fourier crop, clips outliers at 8 robust standard deviations, masks gross features,
/// removes a Gaussian local mean one diameter wide of what is left, and makes particles bright.
/// @param excluded  regions that are masked from the start (not 0), of any sampling over the same field; null: none
/// @throws Error(bad_input) when the image is smaller than two diameters, constant, or mostly not finite
[[nodiscard]] WorkingImage working_image(const Image& micrograph, Angstrom diameter, bool dark_particles,
                                         const Image* excluded = nullptr);

}  // namespace frazil::pick
