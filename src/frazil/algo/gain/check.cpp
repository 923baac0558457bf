#include "frazil/algo/gain/check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "frazil/base/finite.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/random.hpp"

namespace frazil::gain {
namespace {

constexpr int reach = 2;                  // half width of the local mean
constexpr int tile_px = 256;              // so few that a correlation stays in the cache; the sum over tiles counts
constexpr int displacements = 24;         // of the null distribution
constexpr int least_displacement = 5;     // beyond the local mean
constexpr int farthest_displacement = 4;  // of a reference beside its place
constexpr double whole_agreement = 0.7;   // less of the reference's pattern: something is wrong with it
constexpr double clip_sigmas = 4;         // touches 6e-5 of Gaussian values
constexpr double clear_sigmas = 6;  // chance gives less in 16 states; the standard deviation itself is known to 15 %

/// A rectangle of a fine pattern.
struct Tile {
  int nx = 0, ny = 0;
  std::vector<float> values;
};

/// value(x, y) / mean of its 5 × 5 neighbourhood − 1; 0 where the value or all neighbours are absent (≤ 0 if
/// `zero_is_absent`).
template <class Value>
Tile fine_pattern(int nx, int ny, int limit_x, int limit_y, int x0, int y0, bool zero_is_absent, const Value& value) {
  const int wide = nx + 2 * reach;
  std::vector<float> rows_sum(z(ny + 2 * reach) * z(nx)), rows_count(rows_sum.size()), centre(z(nx) * z(ny));
  std::vector<float> line(z(wide)), valid(z(wide));
  for (int j = 0; j < ny + 2 * reach; ++j) {
    const int y = std::clamp(y0 + j - reach, 0, limit_y - 1);
    for (int i = 0; i < wide; ++i) {
      const float v = value(std::clamp(x0 + i - reach, 0, limit_x - 1), y);
      const bool is_absent = zero_is_absent && !(v > 0);
      line[z(i)] = is_absent ? 0 : v;
      valid[z(i)] = is_absent ? 0.0F : 1.0F;
    }
    for (int i = 0; i < nx; ++i) {
      float sum = 0, count = 0;
      for (int k = 0; k <= 2 * reach; ++k) {
        sum += line[z(i + k)];
        count += valid[z(i + k)];
      }
      rows_sum[z(j) * z(nx) + z(i)] = sum;
      rows_count[z(j) * z(nx) + z(i)] = count;
      if (j >= reach && j < ny + reach)
        centre[z(j - reach) * z(nx) + z(i)] = valid[z(i + reach)] > 0 ? line[z(i + reach)] : -1;
    }
  }
  Tile tile{nx, ny, std::vector<float>(centre.size())};
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) {
      float sum = 0, count = 0;
      for (int k = 0; k <= 2 * reach; ++k) {
        sum += rows_sum[z(y + k) * z(nx) + z(x)];
        count += rows_count[z(y + k) * z(nx) + z(x)];
      }
      const float own = centre[z(y) * z(nx) + z(x)];
      tile.values[z(y) * z(nx) + z(x)] = own < 0 || sum <= 0 ? 0.0F : own * count / sum - 1;
    }
  return tile;
}

struct Moments {
  double mean = 0, variance = 0, count = 0;
};

Moments moments(const std::vector<Tile>& tiles) {
  double sum = 0, squares = 0, count = 0;
  for (const auto& tile : tiles) {
    for (const float v : tile.values) {
      sum += v;
      squares += static_cast<double>(v) * v;
    }
    count += static_cast<double>(tile.values.size());
  }
  const double mean = count > 0 ? sum / count : 0;
  return {mean, count > 0 ? at_least_zero(squares / count - mean * mean) : 0, count};
}

/// Clips at 4 standard deviations (three times, as outliers widen the first estimate) and takes the mean off.
Moments tame(std::vector<Tile>& tiles) {
  for (int pass = 0; pass < 3; ++pass) {
    const auto m = moments(tiles);
    const auto low = static_cast<float>(m.mean - clip_sigmas * std::sqrt(m.variance)),
               high = static_cast<float>(m.mean + clip_sigmas * std::sqrt(m.variance));
    for (auto& tile : tiles)
      for (float& v : tile.values) v = std::clamp(v, low, high);
  }
  const auto m = moments(tiles);
  for (auto& tile : tiles)
    for (float& v : tile.values) v -= static_cast<float>(m.mean);
  return {0, m.variance, m.count};
}

/// Σ a(x, y) b(x + dx, y + dy), periodic in each tile.
double product(const std::vector<Tile>& a, const std::vector<Tile>& b, int dx, int dy) {
  double total = 0;
  for (std::size_t t = 0; t < a.size(); ++t) {
    const int nx = a[t].nx, ny = a[t].ny, shift = dx % nx;
    for (int y = 0; y < ny; ++y) {
      const float* first = a[t].values.data() + z(y) * z(nx);
      const float* second = b[t].values.data() + z((y + dy) % ny) * z(nx);
      float sum = 0;
      for (int x = 0; x < nx - shift; ++x) sum += first[x] * second[x + shift];
      for (int x = nx - shift; x < nx; ++x) sum += first[x] * second[x + shift - nx];
      total += static_cast<double>(sum);
    }
  }
  return total;
}

struct Corner {
  int x, y, nx, ny;
};

/// Tiles spread evenly over the sensor.
std::vector<Corner> tile_corners(int nx, int ny, int most) {
  const int side_x = std::min(tile_px, nx), side_y = std::min(tile_px, ny);
  int across = nx / side_x, down = ny / side_y;
  if (most > 0)
    while (across * down > most) --(across * side_x >= down * side_y ? across : down);
  std::vector<Corner> corners;
  const auto place = [](int i, int count, int room) {
    return count == 1 ? room / 2 : static_cast<int>(static_cast<long>(i) * room / (count - 1));
  };
  for (int j = 0; j < down; ++j)
    for (int i = 0; i < across; ++i)
      corners.push_back({place(i, across, nx - side_x), place(j, down, ny - side_y), side_x, side_y});
  return corners;
}

/// Standard deviation of the correlation of two patterns that have nothing to do with each other but keep their
/// spectra.
double chance(const std::vector<Tile>& data, const std::vector<Tile>& reference, double scale, double pixels) {
  Rng rng(0x6761696eU);
  double squares = 0;
  const auto side_x = static_cast<std::uint64_t>(std::max(1, data.front().nx - 2 * least_displacement)),
             side_y = static_cast<std::uint64_t>(std::max(1, data.front().ny - 2 * least_displacement));
  for (int i = 0; i < displacements; ++i) {
    const int dx = least_displacement + static_cast<int>(rng.below(side_x)),
              dy = least_displacement + static_cast<int>(rng.below(side_y));
    squares += std::pow(product(data, reference, dx, dy) / scale, 2);
  }
  return std::max(std::sqrt(squares / displacements), 1 / std::sqrt(pixels));
}

/// Calls body(d, e) with the mixed second differences of both images; blocks with an absent pixel are left out.
template <class Body>
void for_differences(const Image& a, const Image& b, const Body& body) {
  for (int y = 0; y + 1 < a.ny(); y += 2)
    for (int x = 0; x + 1 < a.nx(); x += 2) {
      const auto difference = [x, y](const Image& i) -> double {
        return i(x, y) - i(x + 1, y) - i(x, y + 1) + i(x + 1, y + 1);
      };
      const auto whole = [x, y](const Image& i) {
        return i(x, y) > 0 && i(x + 1, y) > 0 && i(x, y + 1) > 0 && i(x + 1, y + 1) > 0;
      };
      if (whole(a) && whole(b)) body(difference(a), difference(b));
    }
}

double mean_of(const Image& image) {
  double sum = 0;
  for (const float v : image.pixels()) sum += v;
  return sum / static_cast<double>(std::max<std::size_t>(1, image.size()));
}

/// The reference turned by one orientation, on the tiles of the data; empty: it has another size then.
std::vector<Tile> turned_reference(const Image& gain, GainOrientation orientation, ImageView data,
                                   const std::vector<Corner>& corners) {
  const auto map = orientation_map(orientation, gain.nx(), gain.ny());
  std::vector<Tile> tiles;
  if ((map.swaps_sides() ? gain.ny() : gain.nx()) != data.nx || (map.swaps_sides() ? gain.nx() : gain.ny()) != data.ny)
    return tiles;
  for (const auto& c : corners)
    tiles.push_back(fine_pattern(c.nx, c.ny, data.nx, data.ny, c.x, c.y, true, [&](int x, int y) {
      const float g = gain(map.x0 + map.xx * x + map.xy * y, map.y0 + map.yx * x + map.yy * y);
      return g > 0 ? 1 / g : 0.0F;
    }));
  return tiles;
}

/// Along each axis, and to the nearest diagonal pixels.
std::vector<std::array<int, 2>> near_displacements() {
  std::vector<std::array<int, 2>> list;
  for (int d = 1; d <= farthest_displacement; ++d)
    for (const int sign : {-1, 1}) {
      list.push_back({sign * d, 0});
      list.push_back({0, sign * d});
    }
  for (const int x : {-1, 1})
    for (const int y : {-1, 1}) list.push_back({x, y});
  return list;
}

/// Takes the displaced state into `best` where one fits so much better that chance and the pattern's own correlation
/// over a few pixels cannot be the cause.
void try_displaced(const std::vector<Tile>& data, const Moments& of_data, ImageView raw_sum, const Image& gain,
                   const std::vector<Corner>& corners, Check& best) {
  Check found;
  double sigma = 1;
  for (int o = 0; o < gain_orientation_count; ++o) {
    auto tiles = turned_reference(gain, static_cast<GainOrientation>(o), raw_sum, corners);
    if (tiles.empty()) continue;
    const auto of_gain = tame(tiles);
    const double scale = std::sqrt(of_data.variance * of_gain.variance) * of_data.count;
    if (!(scale > 0)) continue;
    bool is_best = false;
    for (const auto& [dx, dy] : near_displacements()) {
      const double r =
          product(data, tiles, dx + data.front().nx, dy + data.front().ny) / scale;  // tiles are all of one size
      if (std::abs(r) <= found.correlation) continue;
      found.correlation = std::abs(r);
      found.inverted = r < 0;
      found.orientation = static_cast<GainOrientation>(o);
      found.shift_x = dx;
      found.shift_y = dy;
      is_best = true;
    }
    if (is_best) sigma = chance(data, tiles, scale, of_data.count);
  }
  found.significance = found.correlation / sigma;
  if (found.significance < clear_sigmas || found.correlation < 1.5 * best.correlation) return;
  best.orientation = found.orientation;
  best.inverted = found.inverted;
  best.second = best.correlation;
  best.correlation = found.correlation;
  best.significance = found.significance;
  best.shift_x = found.shift_x;
  best.shift_y = found.shift_y;
}

}  // namespace

bool Check::found() const { return significance > clear_sigmas && correlation > 1.5 * second; }

bool Check::unrelated() const { return !found() && expected > 2 * clear_sigmas; }

Check check_gain(ImageView raw_sum, const Image& gain, int most_tiles) {
  expect(raw_sum.nx >= 16 && raw_sum.ny >= 16, "a sensor of 16 × 16 pixels or more");
  const auto corners = tile_corners(raw_sum.nx, raw_sum.ny, most_tiles);
  std::vector<Tile> data;
  for (const auto& c : corners)
    data.push_back(
        fine_pattern(c.nx, c.ny, raw_sum.nx, raw_sum.ny, c.x, c.y, false, [&](int x, int y) { return raw_sum(x, y); }));
  const auto of_data = tame(data);

  Check best;
  std::vector<Tile> best_tiles;
  Moments of_best;
  for (int o = 0; o < gain_orientation_count; ++o) {
    auto tiles = turned_reference(gain, static_cast<GainOrientation>(o), raw_sum, corners);
    if (tiles.empty()) continue;
    best.states += 2;
    const auto of_gain = tame(tiles);
    const double scale = std::sqrt(of_data.variance * of_gain.variance) * of_data.count;
    const double r = scale > 0 ? product(data, tiles, 0, 0) / scale : 0;
    if (std::abs(r) <= best.correlation && !best_tiles.empty()) {
      best.second = std::max(best.second, std::abs(r));
      continue;
    }
    best.second = best.correlation;
    best.orientation = static_cast<GainOrientation>(o);
    best.inverted = r < 0;
    best.correlation = std::abs(r);
    best_tiles = std::move(tiles);
    of_best = of_gain;
  }
  if (best_tiles.empty() || !(of_best.variance > 0) || !(of_data.variance > 0)) return best;
  const double scale = std::sqrt(of_data.variance * of_best.variance) * of_data.count;
  const double sigma = chance(data, best_tiles, scale, of_data.count);
  const double slope =
      std::sqrt(of_data.variance / of_best.variance);  // of a regression of the data on the reference, per correlation
  best.significance = best.correlation / sigma;
  best.agreement = best.correlation * slope;
  best.agreement_sigma = sigma * slope;
  best.expected = 1 / best.agreement_sigma;
  best.gain_std = std::sqrt(of_best.variance);
  const bool fits_whole = best.found() && best.agreement > whole_agreement - clear_sigmas * best.agreement_sigma;
  if (!fits_whole && best.expected > 2 * clear_sigmas) try_displaced(data, of_data, raw_sum, gain, corners, best);
  return best;
}

Residual residual_of_sum(double sum_variance, double frames_variance, int frames, double mean, double pixels) {
  if (frames < 2 || !(mean > 0) || !(pixels > 0)) return {};
  const double pairs = static_cast<double>(frames) * (frames - 1) * mean * mean;
  // Neighbouring second differences along a row share two of their four pixels: r = −1/2, hence 1.5.
  return {(sum_variance - frames_variance) / pairs, sum_variance * std::sqrt(2 * 1.5 / pixels) / pairs};
}

double pattern_variance(const Image& image) {
  const double mean = mean_of(image);
  if (!(mean > 0)) return 0;
  double limit = std::numeric_limits<double>::infinity(), result = 0;
  for (int pass = 0; pass < 4; ++pass) {
    double sum = 0, count = 0;
    for_differences(image, image, [&](double d, double) {
      if (d * d > limit) return;
      sum += d * d;
      count += 1;
    });
    result = count > 0 ? sum / count : 0;
    limit = 64 * result;
  }
  return result / (4 * mean * mean);
}

Residual common_pattern(const Image& half_a, const Image& half_b) {
  expect(half_a.nx() == half_b.nx() && half_a.ny() == half_b.ny(), "halves of one sensor");
  const double mean_a = mean_of(half_a), mean_b = mean_of(half_b);
  if (!(mean_a > 0) || !(mean_b > 0)) return {};
  const double limit_a = 64 * 4 * pattern_variance(half_a) * mean_a * mean_a,
               limit_b = 64 * 4 * pattern_variance(half_b) * mean_b * mean_b;
  double sum = 0, squares = 0, count = 0;
  for_differences(half_a, half_b, [&](double a, double b) {
    if (a * a > limit_a || b * b > limit_b) return;
    sum += a * b;
    squares += a * b * a * b;
    count += 1;
  });
  if (count < 2) return {};
  const double scale = 4 * mean_a * mean_b, mean = sum / count;
  return {mean / scale, std::sqrt(at_least_zero(squares / count - mean * mean) / count) / scale};
}

}  // namespace frazil::gain
