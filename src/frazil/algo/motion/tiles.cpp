#include "frazil/algo/motion/tiles.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/motion/survey.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::motion {
namespace {

/// Components whose power, summed over frames, is this often that of their shell belong to a lattice: speckle gets
/// there once in 3000 where there is nothing but specimen (exp(−8)), and never where noise prevails.
constexpr double lattice_ratio = 8;

void leave_out_lattice(Band& band) {
  std::vector<double> shell_power(z(band.shells) + 1, 0.0);
  std::vector<float> power(band.shell.size(), 0.0F);
  const auto for_blocks = [&](const auto& body) {
    for (const auto& row : band.rows)
      for (int b = 0; b < row.count; b += Band::lanes)
        body(band.data.data() + band.at(row, 0, b), row.component + z(b));
  };
  for_blocks([&](const float* values, std::size_t component) {
    float* __restrict sum = power.data() + component;
    for (int t = 0; t < band.frames; ++t, values += 2 * Band::lanes)
      for (int i = 0; i < Band::lanes; ++i)
        sum[i] += values[i] * values[i] + values[i + Band::lanes] * values[i + Band::lanes];
    for (int i = 0; i < Band::lanes; ++i) shell_power[band.shell[component + z(i)]] += static_cast<double>(sum[i]);
  });
  for_blocks([&](float* values, std::size_t component) {
    for (int i = 0; i < Band::lanes; ++i) {
      const auto s = band.shell[component + z(i)];
      if (s >= band.shells ||
          static_cast<double>(power[component + z(i)]) * band.shell_count[s] <= lattice_ratio * shell_power[s])
        continue;
      for (int t = 0; t < band.frames; ++t)
        values[2 * Band::lanes * t + i] = values[2 * Band::lanes * t + i + Band::lanes] = 0;
    }
  });
}

/// Adds the pixels of a window that may reach beyond the image, `outside` there.
void add_window(const Image& image, int x0, int y0, float outside, bool first, Image& out) {
  const int from = std::clamp(-x0, 0, out.nx()), to = std::clamp(image.nx() - x0, from, out.nx());
  for (int y = 0; y < out.ny(); ++y) {
    float* __restrict target = out.row(y);
    if (first) std::fill_n(target, out.nx(), 0.0F);
    const bool inside = y + y0 >= 0 && y + y0 < image.ny();
    const float* __restrict source = inside ? image.row(y + y0) + x0 : nullptr;
    for (int x = 0; x < (inside ? from : out.nx()); ++x) target[x] += outside;
    if (!inside) continue;
    for (int x = from; x < to; ++x) target[x] += source[x];
    for (int x = to; x < out.nx(); ++x) target[x] += outside;
  }
}

}  // namespace

TileAxis tile_axis(int length, double pitch, int most) {
  const int count = std::clamp(static_cast<int>(std::lround(length / pitch)), 1, most);
  TileAxis axis;
  axis.side = std::min(good_size_below(length), good_size(static_cast<int>(std::ceil(length / (0.25 + 0.75 * count)))));
  for (int i = 0; i < count; ++i)
    axis.start.push_back(
        count > 1 ? static_cast<int>(std::lround(static_cast<double>(i) * (length - axis.side) / (count - 1)))
                  : (length - axis.side) / 2);
  return axis;
}

std::vector<float> TileAxis::taper(int i) const {
  std::vector<float> result(z(side), 1.0F);
  const auto fall = [&](int width, bool left, bool shared) {
    for (int j = 0; j < width; ++j) {
      const double phase = std::numbers::pi / 2 * (j + 0.5) / width;
      // Squares add up to one where a neighbour falls the other way; the frame's own edge only has to be soft.
      result[z(left ? j : side - 1 - j)] =
          static_cast<float>(shared ? std::sin(phase) : std::sin(phase) * std::sin(phase));
    }
  };
  const int edge = std::max(2, side / 25);
  if (i > 0)
    fall(start[z(i - 1)] + side - start[z(i)], true, true);
  else
    fall(edge, true, false);
  if (i + 1 < count())
    fall(start[z(i)] + side - start[z(i + 1)], false, true);
  else
    fall(edge, false, false);
  return result;
}

std::vector<double> TimeGroups::mean(const std::vector<double>& values) const {
  std::vector<double> result(z(count()), 0.0);
  for (int g = 0; g < count(); ++g)
    for (int t = first(g); t < end(g); ++t) result[z(g)] += values[z(t)] / (end(g) - first(g));
  return result;
}

Tiles cut_tiles(std::span<const Image> binned, const TimeGroups& groups, const TrackA& track, double pitch_A, int most,
                const BandLimits& limits, const Exposure& exposure, int threads, const Backend& backend) {
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
  parallel_for(threads, binned.size(), [&](std::size_t t) { mean[t] = static_cast<float>(mean_of(binned[t])); });
  result.tiles.resize(z(result.x.count()) * z(result.y.count()));
  parallel_for(threads, result.tiles.size(), [&](std::size_t n) {
    const int i = static_cast<int>(n) % result.x.count(), j = static_cast<int>(n) / result.x.count();
    Tile& tile = result.tiles[n];
    tile.x_px = result.x.centre(i);
    tile.y_px = result.y.centre(j);
    const Window window{result.x.taper(i), result.y.taper(j), [&](int g, Image& out) {
                          for (int t = groups.first(g); t < groups.end(g); ++t)
                            add_window(binned[z(t)], result.x.start[z(i)] - dx[z(g)], result.y.start[z(j)] - dy[z(g)],
                                       mean[z(t)], t == groups.first(g), out);
                        }};
    tile.band = backend.make_band(groups.count(), window, binned[0].pixel_size, limits, exposure, 1);
    leave_out_lattice(tile.band);
  });
  return result;
}

}  // namespace frazil::motion
