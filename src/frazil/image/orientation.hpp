// The eight orientations of an image: turns by 90 degrees and mirrors.
#pragma once

#include <array>
#include <string_view>

#include "frazil/image/image.hpp"

namespace frazil {

/// The eight symmetries of a rectangle with its transposes, as acting on the array: rotations are counter-clockwise
/// with x to the right and y upwards (row 0 at the bottom), flip_x mirrors left–right (x → −x), flip_y upside down (y →
/// −y), transpose swaps x and y, transverse swaps x and −y.
enum class GainOrientation { identity, rotate_90, rotate_180, rotate_270, flip_x, flip_y, transpose, transverse };
inline constexpr int gain_orientation_count = 8;
constexpr auto names_of(GainOrientation) {
  return std::array<std::string_view, gain_orientation_count>{"identity", "rotate-90", "rotate-180", "rotate-270",
                                                              "flip-x",   "flip-y",    "transpose",  "transverse"};
}

/// new(x, y) = old(x0 + xx x + xy y, y0 + yx x + yy y): where a pixel of the oriented image comes from.
struct OrientationMap {
  int xx = 1, xy = 0, yx = 0, yy = 1;
  int x0 = 0, y0 = 0;
  [[nodiscard]] bool swaps_sides() const { return xx == 0; }
};
/// @param nx,ny  size of the image before it is oriented
[[nodiscard]] OrientationMap orientation_map(GainOrientation orientation, int nx, int ny);

/// Names as written in parameters: "identity", "rotate-90", …
[[nodiscard]] std::string_view to_string(GainOrientation orientation);
/// @throws Error(bad_input) listing the eight names
[[nodiscard]] GainOrientation gain_orientation_from(std::string_view name);
/// The orientation that undoes `orientation`.
[[nodiscard]] GainOrientation inverse(GainOrientation orientation);
/// One orientation that equals `first`, then `second`.
[[nodiscard]] GainOrientation combine(GainOrientation first, GainOrientation second);

/// Copy in the other orientation; sides are swapped by rotate_90, rotate_270, transpose and transverse.
[[nodiscard]] Image orient(const Image& image, GainOrientation orientation);

}  // namespace frazil
