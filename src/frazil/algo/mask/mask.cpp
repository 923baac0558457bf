#include "frazil/algo/mask/mask.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "frazil/algo/mask/features.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/statistics.hpp"
#include "frazil/image/regions.hpp"

namespace frazil::mask {
namespace {

constexpr double cells_a_diameter = 12;  // half a cell is 4 % of the diameter: a mask's edge need be no finer
constexpr double sharp_steps = 5,
                 sharp_share = 0.6;         // a gradient of ice has a third of its change within a diameter of any line
constexpr double rough_texture = 0.2;       // log of energy
constexpr double aggregate_strength = 0.9;  // clean areas of seeds 301 to 408 reach 5.3

/// Mean over the cells where `chosen` is set.
template <class Chosen>
double mean_where(const Image& image, const Chosen& chosen) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < image.size(); ++i)
    if (chosen(i)) {
      sum += image.pixels()[i];
      count += 1;
    }
  return count > 0 ? sum / count : std::nan("");
}

/// Distance in cells to the nearest cell of the other phase (chamfer 3–4), positive on both sides.
std::vector<float> border_distance(const std::vector<char>& inside, int nx, int ny) {
  std::vector<float> d(inside.size(), 1e9F);
  const auto at = [nx](int x, int y) { return z(y) * z(nx) + z(x); };
  const auto relax = [&](int x, int y, int i, int j, float step) {
    if (i < 0 || j < 0 || i >= nx || j >= ny) return;
    d[at(x, y)] = std::min(d[at(x, y)], inside[at(x, y)] != inside[at(i, j)] ? step / 2 : d[at(i, j)] + step);
  };
  for (int round = 0; round < 2; ++round) {
    for (int y = 0; y < ny; ++y)
      for (int x = 0; x < nx; ++x) {
        relax(x, y, x - 1, y, 1);
        relax(x, y, x, y - 1, 1);
        relax(x, y, x - 1, y - 1, 1.333F);
        relax(x, y, x + 1, y - 1, 1.333F);
      }
    for (int y = ny - 1; y >= 0; --y)
      for (int x = nx - 1; x >= 0; --x) {
        relax(x, y, x + 1, y, 1);
        relax(x, y, x, y + 1, 1);
        relax(x, y, x + 1, y + 1, 1.333F);
        relax(x, y, x - 1, y + 1, 1.333F);
      }
  }
  return d;
}

/// Two regions of constant level with a short border, of the open cells: threshold dynamics for the Chan–Vese energy.
/// @return the darker one
std::vector<char> two_regions(const Image& level, const std::vector<char>& open, double border_cells) {
  std::vector<float> values;
  for (std::size_t i = 0; i < level.size(); ++i)
    if (open[i] != 0) values.push_back(level.pixels()[i]);
  double threshold = robust_spread(std::move(values)).median, dark = 0, bright = 0;
  std::vector<char> inside(level.size(), 0);
  const auto measure = [&] {
    dark = mean_where(level, [&](std::size_t i) { return open[i] != 0 && inside[i] != 0; });
    bright = mean_where(level, [&](std::size_t i) { return open[i] != 0 && inside[i] == 0; });
    threshold = (dark + bright) / 2;
  };
  for (int pass = 0; pass < 30; ++pass) {
    for (std::size_t i = 0; i < level.size(); ++i) inside[i] = open[i] != 0 && level.pixels()[i] < threshold ? 1 : 0;
    measure();
  }
  Image membership(level.nx(), level.ny());
  for (int pass = 0; pass < 30 && bright > dark; ++pass) {
    for (std::size_t i = 0; i < level.size(); ++i) membership.pixels()[i] = inside[i] != 0 ? 1.0F : 0.0F;
    const auto share = local_mean(membership, open, border_cells);
    bool changed = false;
    for (std::size_t i = 0; i < level.size(); ++i) {
      const double nearer = (level.pixels()[i] - threshold) / (bright - dark);  // −½ dark … +½ bright
      const char now = open[i] != 0 && nearer < static_cast<double>(share.pixels()[i]) - 0.5 ? 1 : 0;
      changed = changed || now != inside[i];
      inside[i] = now;
    }
    measure();
    if (!changed) break;
  }
  return bright > dark ? inside : std::vector<char>(level.size(), 0);
}

/// The border of a region in numbers.
struct Border {
  double step = 0, whole = 0, spread = 0, rougher = 0;
  /// The mean steps at the border, far beyond its own scatter, rather than drifts across it.
  [[nodiscard]] bool is_sharp() const { return step > sharp_steps * spread && step > sharp_share * whole; }
};

Border border_of(const Image& level, const Image& texture, const std::vector<char>& inside,
                 const std::vector<char>& open, double diameter) {
  const auto distance = border_distance(inside, level.nx(), level.ny());
  const auto band = [&](bool within, double from, double to) {
    return [&, within, from, to](std::size_t i) {
      return open[i] != 0 && (inside[i] != 0) == within && distance[i] >= from * diameter &&
             distance[i] < to * diameter;
    };
  };
  const auto or_else = [](double value, double other) { return std::isnan(value) ? other : value; };
  const double near_in = mean_where(level, band(true, 0.25, 1)), near_out = mean_where(level, band(false, 0.25, 1));
  if (std::isnan(near_in) || std::isnan(near_out)) return {};
  Border border;
  border.step = near_out - near_in;
  border.whole = or_else(mean_where(level, band(false, 1.5, 3)), near_out) -
                 or_else(mean_where(level, band(true, 1.5, 3)), near_in);
  double squares = 0, count = 0;
  for (const bool within : {true, false}) {
    const auto chosen = band(within, 0.25, 1);
    for (std::size_t i = 0; i < level.size(); ++i)
      if (chosen(i)) {
        squares += std::pow(static_cast<double>(level.pixels()[i]) - (within ? near_in : near_out), 2);
        count += 1;
      }
  }
  border.spread = std::sqrt(squares / std::max(1.0, count));
  border.rougher = or_else(mean_where(texture, band(true, 0.5, 1e6)) - mean_where(texture, band(false, 0.5, 1e6)), 0);
  return border;
}

/// Part of the micrograph's rim that a region holds.
double rim_share(const std::vector<char>& inside, int nx, int ny) {
  double held = 0;
  for (int x = 0; x < nx; ++x) held += inside[z(x)] + inside[z(ny - 1) * z(nx) + z(x)];
  for (int y = 0; y < ny; ++y) held += inside[z(y) * z(nx)] + inside[z(y) * z(nx) + z(nx - 1)];
  return held / (2.0 * (nx + ny));
}

/// Keeps the parts of a region that are larger than a particle.
std::vector<char> large_parts(std::vector<char> region, int nx, int ny, double diameter) {
  std::vector<char> kept(region.size(), 0);
  for (std::size_t seed = 0; seed < kept.size(); ++seed) {
    if (region[seed] == 0) continue;
    const auto part = take_region(region, static_cast<int>(seed), nx, ny);
    if (!is_larger_than_disc(part, nx, diameter)) continue;
    for (const int i : part) kept[z(i)] = 1;
  }
  return kept;
}

/// Regions whose level steps at a sharp border: carbon, large crystals, holes in the ice; one after the other.
void mask_sharp_regions(const Image& cells, const Image& texture, double diameter, Mask& mask,
                        std::vector<char>& open) {
  for (int round = 0; round < 4; ++round) {
    const auto level = local_mean(cells, open, diameter / 3);
    auto inside = large_parts(two_regions(level, open, diameter / 2), mask.nx, mask.ny, diameter);
    const auto count = static_cast<double>(std::count(inside.begin(), inside.end(), 1)),
               all = static_cast<double>(std::count(open.begin(), open.end(), 1));
    if (count == 0 || all - count < 4 * diameter * diameter) return;
    const auto border = border_of(level, texture, inside, open, diameter);
    if (!border.is_sharp()) return;
    const bool carbon = border.rougher > rough_texture && rim_share(inside, mask.nx, mask.ny) > 0.05;
    const bool invert = !carbon && border.rougher > -1 &&
                        count > all / 2;  // a bright hole in what is usable; a smooth dark half is a grid bar
    for (std::size_t i = 0; i < inside.size(); ++i) {
      if (open[i] == 0 || (inside[i] != 0) == invert) continue;
      mask.cover[i] = static_cast<std::uint8_t>(carbon ? Cover::carbon : Cover::crystal);
      open[i] = 0;
    }
  }
}

/// Regions where the score exceeds `strength` somewhere and half of it everywhere, larger than a particle.
std::vector<char> strong_regions(const std::vector<float>& score, double strength, double diameter, int nx, int ny) {
  std::vector<char> flagged(score.size(), 0), candidates(score.size());
  for (std::size_t i = 0; i < score.size(); ++i) candidates[i] = score[i] > strength / 2 ? 1 : 0;
  for (std::size_t seed = 0; seed < score.size(); ++seed) {
    if (candidates[seed] == 0 || !(score[seed] > strength)) continue;
    const auto region = take_region(candidates, static_cast<int>(seed), nx, ny);
    if (!is_larger_than_disc(region, nx, diameter)) continue;
    for (const int i : region) flagged[z(i)] = 1;
  }
  return flagged;
}

/// Flags within `radius` cells of a flagged one.
std::vector<char> widened(const std::vector<char>& flagged, int nx, int ny, double radius) {
  const auto distance = border_distance(flagged, nx, ny);
  auto out = flagged;
  for (std::size_t i = 0; i < out.size(); ++i)
    if (distance[i] <= static_cast<float>(radius)) out[i] = 1;
  return out;
}

/// Local roughness on the grid of the cells: log energy of what is finer than two fine cells.
Image texture_of(const Image& fine, const Image& cells, double diameter) {
  const std::vector<char> all(fine.size(), 1);
  const auto rough = log_energy(minus(fine, local_mean(fine, all, 1)), all, diameter);
  Image texture(cells.nx(), cells.ny(), cells.pixel_size);
  for (int y = 0; y < cells.ny(); ++y)
    for (int x = 0; x < cells.nx(); ++x)
      texture(x, y) = rough(std::min(fine.nx() - 1, x * fine.nx() / cells.nx()),
                            std::min(fine.ny() - 1, y * fine.ny() / cells.ny()));
  return texture;
}

/// Widens every cover; where two meet, the lower one stays.
void grow(double radius, Mask& mask) {
  const auto before = mask.cover;
  for (const auto what : {Cover::carbon, Cover::crystal, Cover::aggregate}) {
    std::vector<char> own(before.size());
    for (std::size_t i = 0; i < own.size(); ++i) own[i] = before[i] == static_cast<std::uint8_t>(what) ? 1 : 0;
    const auto wide = widened(own, mask.nx, mask.ny, radius);
    for (std::size_t i = 0; i < wide.size(); ++i)
      if (wide[i] != 0 && mask.cover[i] == 0) mask.cover[i] = static_cast<std::uint8_t>(what);
  }
}

}  // namespace

double Mask::fraction(Cover what) const {
  if (cover.empty()) return 0;
  const auto count = std::count_if(cover.begin(), cover.end(), [&](std::uint8_t c) {
    return what == Cover::none ? c != 0 : c == static_cast<std::uint8_t>(what);
  });
  return static_cast<double>(count) / static_cast<double>(cover.size());
}

Mask find_mask(const Image& micrograph, const MaskParams& params) {
  const double diameter_px = to_px(params.feature_size, micrograph.pixel_size);
  if (std::min(micrograph.nx(), micrograph.ny()) < 2 * diameter_px)
    throw Error(ErrorCode::bad_input, "micrograph of {} x {} px is smaller than two diameters ({:.0f} px each)",
                micrograph.nx(), micrograph.ny(), diameter_px);
  const double block = std::max(1.0, diameter_px / cells_a_diameter);
  const auto fine = cells_of(micrograph, std::max(1.0, block / 2)), cells = cells_of(micrograph, block);
  const double diameter = diameter_px / block;
  if (!(robust_spread(std::vector<float>(cells.pixels().begin(), cells.pixels().end())).both > 0))
    throw Error(ErrorCode::bad_input, "micrograph is constant: there is nothing to mask");
  Mask mask{cells.nx(), cells.ny(), std::vector<std::uint8_t>(cells.size(), 0),
            micrograph.nx() / static_cast<double>(cells.nx()), micrograph.ny() / static_cast<double>(cells.ny())};
  std::vector<char> open(cells.size(), 1);
  const auto close = [&](const std::vector<char>& flagged, Cover what) {
    for (std::size_t i = 0; i < flagged.size(); ++i)
      if (flagged[i] != 0 && open[i] != 0) {
        mask.cover[i] = static_cast<std::uint8_t>(what);
        open[i] = 0;
      }
  };
  if (params.find_carbon) mask_sharp_regions(cells, texture_of(fine, cells, diameter), diameter, mask, open);
  // Smaller crystals stand out by their level; what they hide of the local mean comes to light in the next round.
  for (int round = 0; round < 3; ++round) {
    const auto flat = minus(cells, local_mean(cells, open, 2 * diameter));
    auto scores = robust_scores(local_mean(flat, open, diameter / 8), open);
    for (float& s : scores) s = std::abs(s);
    const auto found = strong_regions(scores, params.strength, diameter, mask.nx, mask.ny);
    if (std::count(found.begin(), found.end(), 1) == 0) break;
    close(found, Cover::crystal);
  }
  // The fringes of what is masked are no aggregates.
  std::vector<char> closed(open.size());
  for (std::size_t i = 0; i < open.size(); ++i) closed[i] = open[i] == 0 ? 1 : 0;
  const auto fringes = widened(closed, mask.nx, mask.ny, 0.75 * diameter);
  std::vector<char> clear(open.size());
  for (std::size_t i = 0; i < open.size(); ++i) clear[i] = fringes[i] == 0 ? 1 : 0;
  const auto signs = aggregate_signs(cells, clear, diameter);
  std::vector<float> scores(cells.size());
  for (std::size_t i = 0; i < scores.size(); ++i)
    scores[i] = (signs.energy[i] + signs.darkness[i]) / std::numbers::sqrt2_v<float>;
  close(strong_regions(scores, aggregate_strength * params.strength, diameter, mask.nx, mask.ny), Cover::aggregate);
  if (params.grow > 0) grow(params.grow * diameter, mask);
  return mask;
}

}  // namespace frazil::mask
