#include "frazil/io/drawing.hpp"

#include <algorithm>
#include <cmath>

namespace frazil::io {
namespace {

void blend(std::uint8_t* pixel, const Colour& colour, double share) {
  for (std::size_t c = 0; c < 3; ++c)
    pixel[c] = static_cast<std::uint8_t>(std::lround(pixel[c] + share * (static_cast<double>(colour[c]) - pixel[c])));
}

struct Glyph {
  char character;
  std::array<std::string_view, text_height> rows;
};

constexpr std::array glyphs{Glyph{'0', {" ### ", "#   #", "#  ##", "# # #", "##  #", "#   #", " ### "}},
                            Glyph{'1', {"  #  ", " ##  ", "# #  ", "  #  ", "  #  ", "  #  ", "#####"}},
                            Glyph{'2', {" ### ", "#   #", "    #", "  ## ", " #   ", "#    ", "#####"}},
                            Glyph{'3', {"#### ", "    #", "    #", " ### ", "    #", "    #", "#### "}},
                            Glyph{'4', {"   # ", "  ## ", " # # ", "#  # ", "#####", "   # ", "   # "}},
                            Glyph{'5', {"#####", "#    ", "#### ", "    #", "    #", "#   #", " ### "}},
                            Glyph{'6', {" ### ", "#    ", "#    ", "#### ", "#   #", "#   #", " ### "}},
                            Glyph{'7', {"#####", "    #", "   # ", "   # ", "  #  ", "  #  ", "  #  "}},
                            Glyph{'8', {" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", " ### "}},
                            Glyph{'9', {" ### ", "#   #", "#   #", " ####", "    #", "    #", " ### "}},
                            Glyph{'.', {"     ", "     ", "     ", "     ", "     ", " ##  ", " ##  "}},
                            Glyph{'-', {"     ", "     ", "     ", " ### ", "     ", "     ", "     "}},
                            Glyph{'A', {"  #  ", " # # ", "#   #", "#   #", "#####", "#   #", "#   #"}},
                            Glyph{'x', {"     ", "     ", "#   #", " # # ", "  #  ", " # # ", "#   #"}}};

}  // namespace

void fill(Picture& picture, const PictureBox& box, const Colour& colour) {
  for (int y = std::max(0, box.y); y < std::min(picture.ny, box.y + box.ny); ++y)
    for (int x = std::max(0, box.x); x < std::min(picture.nx, box.x + box.nx); ++x) blend(picture.at(x, y), colour, 1);
}

void line(Picture& picture, const PictureBox& clip, double x0, double y0, double x1, double y1, const Colour& colour,
          double width) {
  const double reach = width / 2 + 1, dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy;
  const int left = std::max({0, clip.x, static_cast<int>(std::floor(std::min(x0, x1) - reach))}),
            right = std::min({picture.nx, clip.x + clip.nx, static_cast<int>(std::ceil(std::max(x0, x1) + reach)) + 1});
  const int top = std::max({0, clip.y, static_cast<int>(std::floor(std::min(y0, y1) - reach))}),
            bottom =
                std::min({picture.ny, clip.y + clip.ny, static_cast<int>(std::ceil(std::max(y0, y1) + reach)) + 1});
  for (int y = top; y < bottom; ++y)
    for (int x = left; x < right; ++x) {
      const double along = length2 > 0 ? std::clamp(((x - x0) * dx + (y - y0) * dy) / length2, 0.0, 1.0) : 0;
      const double distance = std::hypot(x - x0 - along * dx, y - y0 - along * dy);
      if (const double share = std::clamp(width / 2 + 0.5 - distance, 0.0, 1.0); share > 0)
        blend(picture.at(x, y), colour, share);
    }
}

void text(Picture& picture, int x, int y, std::string_view characters, const Colour& colour) {
  for (const char c : characters) {
    const auto glyph = std::find_if(glyphs.begin(), glyphs.end(), [c](const Glyph& g) { return g.character == c; });
    for (int j = 0; glyph != glyphs.end() && j < text_height; ++j)
      for (int i = 0; i < 5; ++i)
        if (glyph->rows[static_cast<std::size_t>(j)][static_cast<std::size_t>(i)] == '#')
          fill(picture, {x + i, y + j, 1, 1}, colour);
    x += text_advance;
  }
}

}  // namespace frazil::io
