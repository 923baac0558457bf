#include "frazil/image/regions.hpp"

#include <algorithm>
#include <cstddef>
#include <numbers>

namespace frazil {
namespace {

constexpr double largest_area = 1.5, largest_extent = 2;  // of a disc, in its area and diameter

}  // namespace

std::vector<int> take_region(std::vector<char>& open, int seed, int nx, int ny) {
  std::vector<int> region{seed};
  open[static_cast<std::size_t>(seed)] = 0;
  for (std::size_t next = 0; next < region.size(); ++next) {
    const int x = region[next] % nx, y = region[next] / nx;
    const auto visit = [&](int i, int j) {
      if (i < 0 || j < 0 || i >= nx || j >= ny) return;
      const int place = j * nx + i;
      if (open[static_cast<std::size_t>(place)] == 0) return;
      open[static_cast<std::size_t>(place)] = 0;
      region.push_back(place);
    };
    visit(x - 1, y);
    visit(x + 1, y);
    visit(x, y - 1);
    visit(x, y + 1);
  }
  return region;
}

bool is_larger_than_disc(const std::vector<int>& region, int nx, double diameter_px) {
  if (static_cast<double>(region.size()) > largest_area * 0.25 * std::numbers::pi * diameter_px * diameter_px)
    return true;
  int x0 = nx, x1 = 0, y0 = region.front() / nx, y1 = y0;
  for (const int place : region) {
    x0 = std::min(x0, place % nx);
    x1 = std::max(x1, place % nx);
    y0 = std::min(y0, place / nx);
    y1 = std::max(y1, place / nx);
  }
  return std::max(x1 - x0, y1 - y0) > largest_extent * diameter_px;
}

}  // namespace frazil
