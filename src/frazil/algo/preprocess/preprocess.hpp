// What people do to a micrograph before they look at it or give it to another program.
#pragma once

#include <string>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::preprocess {

enum class Normalisation { none, stddev, plane };
constexpr auto names_of(Normalisation) { return std::array{"none", "stddev", "plane"}; }

/// Everything is off unless asked for; 0 switches a quantity off.
struct PreprocessParams {
  int crop_border = 0;
  double hot_spots = 0;
  bool invert = false;
  Angstrom downsampled_pixel_size{};
  Angstrom low_pass{}, high_pass{};
  double edge = 0.1;
  Normalisation normalise = Normalisation::none;

  static constexpr auto fields() {
    using P = PreprocessParams;
    return std::tuple(
        field(&P::crop_border, "crop_border", "Pixels taken off at each side").range(0, 16384),
        field(&P::hot_spots, "hot_spots",
              "Replace pixels farther than so many standard deviations from their neighbours; 0: none, 6 is usual")
            .range(0, 1000),
        field(&P::invert, "invert", "Swap dark and bright about the mean"),
        field(&P::downsampled_pixel_size, "downsampled_pixel_size",
              "Coarser sampling by cropping the Fourier transform; 0: keep")
            .range(0_A, 200_A),
        field(&P::low_pass, "low_pass", "Finest resolution kept; 0: all").range(0_A, 10000_A),
        field(&P::high_pass, "high_pass", "Coarsest resolution kept; 0: all").range(0_A, 100000_A),
        field(&P::edge, "edge", "Width of the filters' raised-cosine edges, as a fraction of their frequency")
            .range(0, 1)
            .advanced(),
        field(
            &P::normalise, "normalise",
            "none; stddev: mean 0 and standard deviation 1; plane: the same after a least-squares plane is taken off"));
  }
};

/// Contradictions between parameters and with the image, one sentence each.
[[nodiscard]] std::vector<std::string> problems(const PreprocessParams& params, int nx, int ny, Angstrom pixel_size);

/// The steps asked for, always in this order: crop, hot spots, inversion, downsampling, filters, normalisation. A cut
/// comes before what looks at the whole; spots go before filters smear them; the normalisation holds for the image that
/// is written.
///
/// @param image  nx × ny with its pixel size; pixels that are not finite count as hot spots, whatever `hot_spots` says
/// @return at least 2 × 2 pixels; sides become even, so that the pixel size asked for is met to one part in their
/// length; `pixel_size` holds that along x exactly
/// @throws Error(bad_input) with all `problems`, or when the image is constant and is to be normalised
[[nodiscard]] Image preprocess(const Image& image, const PreprocessParams& params);

/// Pixels farther than `limit` robust standard deviations from the median of their 3 × 3 neighbours, and those not
/// finite, take that median. The deviation is that of all such differences (half the distance of their 15.87 %
/// and 84.13 % quantiles).
/// @return how many were replaced
int remove_hot_spots(Image& image, double limit);

}  // namespace frazil::preprocess
