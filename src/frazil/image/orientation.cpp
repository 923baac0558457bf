#include "frazil/image/orientation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "frazil/base/error.hpp"

namespace frazil {
namespace {

/// new(x, y) = old(a x + b y + …): rows of the matrix that takes a new place to the old one, about the centre.
struct Turn {
  int xx, xy, yx, yy;
  friend bool operator==(const Turn&, const Turn&) = default;
};

constexpr std::array<Turn, gain_orientation_count> turns{{
    {1, 0, 0, 1},    // identity
    {0, 1, -1, 0},   // rotate_90: what was at +x comes to +y
    {-1, 0, 0, -1},  // rotate_180
    {0, -1, 1, 0},   // rotate_270
    {-1, 0, 0, 1},   // flip_x
    {1, 0, 0, -1},   // flip_y
    {0, 1, 1, 0},    // transpose
    {0, -1, -1, 0},  // transverse
}};
constexpr auto names = names_of(GainOrientation{});

Turn turn_of(GainOrientation o) { return turns[static_cast<std::size_t>(o)]; }

Turn product(const Turn& a, const Turn& b) {
  return {a.xx * b.xx + a.xy * b.yx, a.xx * b.xy + a.xy * b.yy, a.yx * b.xx + a.yy * b.yx, a.yx * b.xy + a.yy * b.yy};
}

GainOrientation orientation_of(const Turn& turn) {
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (turns[i] == turn) return static_cast<GainOrientation>(i);
  throw Error(ErrorCode::bug, "not one of the eight orientations");
}

/// Where the new coordinate 0 starts in the old axis, for a coefficient pair of which one is ±1.
int start(int along_x, int along_y, int old_side) { return along_x + along_y < 0 ? old_side - 1 : 0; }

}  // namespace

std::string_view to_string(GainOrientation orientation) { return names[static_cast<std::size_t>(orientation)]; }

GainOrientation gain_orientation_from(std::string_view name) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<GainOrientation>(i);
  throw Error(ErrorCode::bad_input, "\"{}\" is not an orientation: one of {} is expected", name,
              fmt::join(names, ", "));
}

GainOrientation inverse(GainOrientation orientation) {
  const auto t = turn_of(orientation);
  return orientation_of({t.xx, t.yx, t.xy, t.yy});  // orthogonal: the transpose
}

GainOrientation combine(GainOrientation first, GainOrientation second) {
  return orientation_of(product(turn_of(first), turn_of(second)));
}

OrientationMap orientation_map(GainOrientation orientation, int nx, int ny) {
  const auto t = turn_of(orientation);
  return {t.xx, t.xy, t.yx, t.yy, start(t.xx, t.xy, nx), start(t.yx, t.yy, ny)};
}

Image orient(const Image& image, GainOrientation orientation) {
  const auto m = orientation_map(orientation, image.nx(), image.ny());
  Image out(m.swaps_sides() ? image.ny() : image.nx(), m.swaps_sides() ? image.nx() : image.ny(), image.pixel_size);
  for (int y = 0; y < out.ny(); ++y)
    for (int x = 0; x < out.nx(); ++x) out(x, y) = image(m.x0 + m.xx * x + m.xy * y, m.y0 + m.yx * x + m.yy * y);
  return out;
}

}  // namespace frazil
