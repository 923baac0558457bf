#include "frazil/algo/motion/tiles.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {
namespace {

std::size_t z(int n) { return static_cast<std::size_t>(n); }

/// Components whose power, summed over frames, is this often that of their shell belong to a lattice: speckle gets there once in 3000
/// where there is nothing but specimen (exp(−8)), and never where noise prevails.
constexpr double lattice_ratio = 8;

void leave_out_lattice(Band& band) {
  std::vector<double> shell_power(z(band.shells) + 1, 0.0);
  std::vector<float> power(band.shell.size(), 0.0F);
  for (const auto& row : band.rows) {
    float* __restrict sum = power.data() + row.component;
    for (int t = 0; t < band.frames; ++t) {
      const float* __restrict re = band.re.data() + row.offset + z(t) * z(row.count);
      const float* __restrict im = band.im.data() + row.offset + z(t) * z(row.count);
      for (int i = 0; i < row.count; ++i) sum[i] += re[i] * re[i] + im[i] * im[i];
    }
    for (int i = 0; i < row.count; ++i) shell_power[band.shell[row.component + z(i)]] += static_cast<double>(sum[i]);
  }
  for (const auto& row : band.rows)
    for (int i = 0; i < row.count; ++i) {
      const auto s = band.shell[row.component + z(i)];
      if (s >= band.shells || static_cast<double>(power[row.component + z(i)]) * band.shell_count[s] <= lattice_ratio * shell_power[s]) continue;
      for (int t = 0; t < band.frames; ++t) {
        band.re[row.offset + z(t) * z(row.count) + z(i)] = 0;
        band.im[row.offset + z(t) * z(row.count) + z(i)] = 0;
      }
    }
}

}  // namespace

TileAxis tile_axis(int length, double pitch, int most) {
  const int count = std::clamp(static_cast<int>(std::lround(length / pitch)), 1, most);
  TileAxis axis;
  axis.side = std::min(good_size_below(length), good_size(static_cast<int>(std::ceil(length / (0.25 + 0.75 * count)))));
  for (int i = 0; i < count; ++i) axis.start.push_back(count > 1 ? static_cast<int>(std::lround(static_cast<double>(i) * (length - axis.side) / (count - 1))) : (length - axis.side) / 2);
  return axis;
}

std::vector<float> TileAxis::taper(int i) const {
  std::vector<float> result(z(side), 1.0F);
  const auto fall = [&](int width, bool left, bool shared) {
    for (int j = 0; j < width; ++j) {
      const double phase = std::numbers::pi / 2 * (j + 0.5) / width;
      // Squares add up to one where a neighbour falls the other way; the frame's own edge only has to be soft.
      result[z(left ? j : side - 1 - j)] = static_cast<float>(shared ? std::sin(phase) : std::sin(phase) * std::sin(phase));
    }
  };
  const int edge = std::max(2, side / 25);
  if (i > 0) fall(start[z(i - 1)] + side - start[z(i)], true, true);
  else fall(edge, true, false);
  if (i + 1 < count()) fall(start[z(i)] + side - start[z(i + 1)], false, true);
  else fall(edge, false, false);
  return result;
}

std::vector<double> TimeGroups::mean(const std::vector<double>& values) const {
  std::vector<double> result(z(count()), 0.0);
  for (int g = 0; g < count(); ++g)
    for (int t = first(g); t < end(g); ++t) result[z(g)] += values[z(t)] / (end(g) - first(g));
  return result;
}

Tiles cut_tiles(std::span<const Image> binned, const TimeGroups& groups, const TrackA& track, double pitch_A, int most, const BandLimits& limits,
                const Exposure& exposure, int threads) {
  const int nx = binned[0].nx(), ny = binned[0].ny();
  const double pixel_A = binned[0].pixel_size.value();
  Tiles result{tile_axis(nx, pitch_A / pixel_A, most), tile_axis(ny, pitch_A / pixel_A, most), {}, {}};
  std::vector<int> dx, dy;
  for (int g = 0; g < groups.count(); ++g) {
    dx.push_back(static_cast<int>(std::lround(track.x[z(g)] / pixel_A)));
    dy.push_back(static_cast<int>(std::lround(track.y[z(g)] / pixel_A)));
    result.moved.x.push_back(dx.back() * pixel_A);
    result.moved.y.push_back(dy.back() * pixel_A);
  }
  std::vector<float> mean(binned.size());
  parallel_for(threads, binned.size(), [&](std::size_t t) { mean[t] = static_cast<float>(statistics(binned[t]).mean); });
  result.tiles.resize(z(result.x.count()) * z(result.y.count()));
  parallel_for(threads, result.tiles.size(), [&](std::size_t n) {
    const int i = static_cast<int>(n) % result.x.count(), j = static_cast<int>(n) / result.x.count();
    Tile& tile = result.tiles[n];
    tile.x_px = result.x.centre(i);
    tile.y_px = result.y.centre(j);
    const Window window{result.x.taper(i), result.y.taper(j), [&](int g) {
                          Image sum;
                          for (int t = groups.first(g); t < groups.end(g); ++t) {
                            Image part = crop(binned[z(t)], result.x.start[z(i)] - dx[z(g)], result.y.start[z(j)] - dy[z(g)], result.x.side, result.y.side, mean[z(t)], binned[z(t)].pixel_size);
                            if (sum.size() == 0) sum = std::move(part);
                            else std::transform(part.data(), part.data() + part.size(), sum.data(), sum.data(), [](float a, float b) { return a + b; });
                          }
                          return sum;
                        }};
    tile.band = make_band(groups.count(), window, binned[0].pixel_size, limits, exposure, 1);
    leave_out_lattice(tile.band);
  });
  return result;
}

}  // namespace frazil::motion
