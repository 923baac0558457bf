// Lines and numbers drawn into RGB pictures.
#pragma once

#include <array>
#include <string_view>

#include "frazil/io/picture.hpp"

namespace frazil::io {

using Colour = std::array<std::uint8_t, 3>;

struct PictureBox {
  int x = 0, y = 0, nx = 0, ny = 0;
};

/// Filled rectangle, clipped to the picture.
void fill(Picture& picture, const PictureBox& box, const Colour& colour);
/// Straight line of `width` pixels with soft edges, clipped to `clip`.
void line(Picture& picture, const PictureBox& clip, double x0, double y0, double x1, double y1, const Colour& colour,
          double width = 1);

/// Height of a character in pixels, and its advance.
constexpr int text_height = 7, text_advance = 6;
/// Draws digits, `.`, `-`, `A`, `x` and blanks; other characters are left blank. (x, y) is the upper left corner.
void text(Picture& picture, int x, int y, std::string_view characters, const Colour& colour);

}  // namespace frazil::io
