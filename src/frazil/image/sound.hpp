// Whether an image can be taken into sums over many images, and pixels that no detector gives.
#pragma once

#include <string_view>

#include "frazil/image/image.hpp"

namespace frazil {

enum class Soundness { sound, not_finite, flat };

/// What is said of an image that is left out.
[[nodiscard]] std::string_view to_string(Soundness soundness);

/// `not_finite`: a pixel is NaN, infinite, or so large (10^12) that sums of squares would leave the range of a float.
/// `flat`: its pixels differ by less than a float tells, or by less than 10^-12 in all.
[[nodiscard]] Soundness soundness(ImageView image);

/// Replaces pixels further than `sigmas` robust standard deviations from the median by the median, and single ones that
/// are not finite. Where more than a thousandth of the image is not finite these are left as they are: they are an
/// area, not pixels. Returns how many were replaced.
int replace_outliers(Image& image, double sigmas);

}  // namespace frazil
