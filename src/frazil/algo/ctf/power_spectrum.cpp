#include "frazil/algo/ctf/power_spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::ctf {
namespace {

constexpr int smallest_side = 64;
constexpr std::size_t regions_per_side = 4;

struct Tiling {
  int tile = 0;              ///< pixels of the image
  int box = 0;               ///< pixels of the result, ≤ tile
  std::vector<int> x, y;     ///< first column, first row
};

std::vector<int> starts(int length, int tile) {
  const int count = length == tile ? 1 : 1 + (2 * (length - tile) + tile - 1) / tile;
  std::vector<int> list(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    list[static_cast<std::size_t>(i)] = count == 1 ? 0 : static_cast<int>(static_cast<long>(length - tile) * i / (count - 1));
  return list;
}

Tiling make_tiling(int nx, int ny, Angstrom pixel_size, const TileParams& params) {
  const int side = std::min(nx, ny) / 2 * 2;
  if (side < smallest_side)
    throw Error(ErrorCode::bad_input, "a power spectrum needs an image of at least {0} x {0} pixels, found {1} x {2}", smallest_side, nx, ny);
  const double finer = std::max(1.0, params.pixel_size / pixel_size);
  Tiling tiling;
  tiling.tile = finer > 1 ? good_size(static_cast<int>(std::lround(params.box * finer))) : params.box;
  tiling.box = params.box;
  if (tiling.tile > side) {
    tiling.tile = side;
    tiling.box = std::min(params.box, static_cast<int>(side / finer) / 2 * 2);
  }
  tiling.x = starts(nx, tiling.tile);
  tiling.y = starts(ny, tiling.tile);
  return tiling;
}

std::vector<float> hann(int n) {
  std::vector<float> window(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i)
    window[static_cast<std::size_t>(i)] = static_cast<float>(0.5 - 0.5 * std::cos(2 * std::numbers::pi * (i + 0.5) / n));
  return window;
}

/// Mean-free, apodised copy of one tile; false when it is constant or holds something not finite.
bool cut_tile(ImageView image, int x0, int y0, const std::vector<float>& window, Image& tile) {
  const int n = tile.nx();
  double sum = 0, sum2 = 0;
  for (int y = 0; y < n; ++y) {
    const float* in = image.row(y0 + y) + x0;
    double row = 0, row2 = 0;
    for (int x = 0; x < n; ++x) {
      row += in[x];
      row2 += double{in[x]} * in[x];
    }
    sum += row;
    sum2 += row2;
  }
  const double count = double{1} * n * n, mean = sum / count, variance = sum2 / count - mean * mean;
  if (!std::isfinite(sum2) || !(variance > 1e-12 * mean * mean)) return false;
  for (int y = 0; y < n; ++y) {
    const float* in = image.row(y0 + y) + x0;
    float* out = tile.row(y);
    const float wy = window[static_cast<std::size_t>(y)], m = static_cast<float>(mean);
    for (int x = 0; x < n; ++x) out[x] = (in[x] - m) * wy * window[static_cast<std::size_t>(x)];
  }
  return true;
}

/// |F|² of the low frequencies, rows −box/2 … box/2 − 1, columns 0 … box/2.
void add_power(const Spectrum& spectrum, int box, std::vector<float>& half) {
  const int columns = box / 2 + 1;
  for (int iy = 0; iy < box; ++iy) {
    const int ky = iy - box / 2;
    const std::complex<float>* in = spectrum.row(ky < 0 ? ky + spectrum.ny() : ky);
    float* out = half.data() + static_cast<std::ptrdiff_t>(iy) * columns;
    for (int ix = 0; ix < columns; ++ix) out[ix] += std::norm(in[ix]);
  }
}

/// Full plane from columns kx ≥ 0: power(−k) = power(k).
Image full_plane(const std::vector<double>& half, int box, Angstrom pixel_size) {
  Image power(box, box, pixel_size);
  const int h = box / 2, columns = h + 1;
  for (int y = 0; y < box; ++y)
    for (int x = 0; x < box; ++x) {
      const int kx = x - h, row = kx >= 0 ? y : (y == 0 ? 0 : box - y), column = std::abs(kx);
      power(x, y) = static_cast<float>(half[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column)]);
    }
  return power;
}

/// Tiles that overlap by half are not independent: with a Hann window the power of neighbours in one direction
/// correlates by (1/6)² = 1/36 (Welch 1967, section "Overlapping segments").
double variance_of_mean(std::size_t used, const Tiling& tiling) {
  const auto inflate = [](std::size_t n) { return 1 + 2.0 / 36 * static_cast<double>(n - 1) / static_cast<double>(n); };
  return inflate(tiling.x.size()) * inflate(tiling.y.size()) / static_cast<double>(used);
}

/// Rows of tiles joined to regions, sums turned into means; parts without a tile are left out.
std::vector<RegionSpectrum> joined_regions(const std::vector<std::vector<RegionSpectrum>>& sums, std::size_t rows, std::size_t columns, double area) {
  std::vector<RegionSpectrum> all(rows * columns);
  for (std::size_t row = 0; row < sums.size(); ++row)
    for (std::size_t c = 0; c < columns; ++c) {
      auto& region = all[row * rows / sums.size() * columns + c];
      const auto& part = sums[row][c];
      region.half.resize(part.half.size(), 0.0F);
      for (std::size_t i = 0; i < part.half.size(); ++i) region.half[i] += part.half[i];
      region.tiles += part.tiles;
      region.x_A += part.x_A;
      region.y_A += part.y_A;
    }
  std::erase_if(all, [](const RegionSpectrum& r) { return r.tiles == 0; });
  for (auto& region : all) {
    const auto scale = static_cast<float>(1 / (region.tiles * area));
    for (float& value : region.half) value *= scale;
    region.x_A /= region.tiles;
    region.y_A /= region.tiles;
  }
  return all;
}

}  // namespace

PowerSpectrum power_spectrum(ImageView image, Angstrom pixel_size, const TileParams& params, std::vector<RegionSpectrum>* regions) {
  expect(params.box >= 2 && params.box % 2 == 0, "the side of a spectrum is even");
  const auto tiling = make_tiling(image.nx, image.ny, pixel_size, params);
  const auto window = hann(tiling.tile);
  const std::size_t columns = std::min<std::size_t>(regions_per_side, tiling.x.size()), rows = std::min<std::size_t>(regions_per_side, tiling.y.size());
  // One sum for each row of tiles and column of regions: added up in an order that threads cannot change.
  std::vector<std::vector<RegionSpectrum>> sums(tiling.y.size(), std::vector<RegionSpectrum>(columns));
  const auto half_size = static_cast<std::size_t>(tiling.box) * static_cast<std::size_t>(tiling.box / 2 + 1);
  parallel_for(params.threads, tiling.y.size(), [&](std::size_t row) {
    Image tile(tiling.tile, tiling.tile);
    Spectrum spectrum(tiling.tile, tiling.tile);
    for (auto& region : sums[row]) region.half.assign(half_size, 0.0F);
    for (std::size_t i = 0; i < tiling.x.size(); ++i) {
      if (!cut_tile(image, tiling.x[i], tiling.y[row], window, tile)) continue;
      fft_into(tile, spectrum);
      auto& region = sums[row][i * columns / tiling.x.size()];
      add_power(spectrum, tiling.box, region.half);
      ++region.tiles;
      region.x_A += (tiling.x[i] + 0.5 * (tiling.tile - image.nx)) * pixel_size.value();
      region.y_A += (tiling.y[row] + 0.5 * (tiling.tile - image.ny)) * pixel_size.value();
    }
  });
  std::vector<double> sum(half_size, 0.0);
  std::size_t used = 0;
  for (const auto& row : sums)
    for (const auto& region : row) {
      used += static_cast<std::size_t>(region.tiles);
      for (std::size_t i = 0; i < half_size; ++i) sum[i] += double{region.half[i]};
    }
  if (used == 0) throw Error(ErrorCode::bad_input, "no part of the {} x {} image can be used: all tiles are constant or hold values that are not finite", image.nx, image.ny);
  const double area = double{1} * tiling.tile * tiling.tile;
  for (double& value : sum) value /= static_cast<double>(used) * area;
  if (regions != nullptr) *regions = joined_regions(sums, rows, columns, area);
  const Angstrom sampling = pixel_size * (double{1} * tiling.tile / tiling.box);
  return {full_plane(sum, tiling.box, sampling), sampling, variance_of_mean(used, tiling)};
}

PowerSpectrum from_amplitude(ImageView amplitude, Angstrom pixel_size) {
  const int n = amplitude.nx;
  if (n != amplitude.ny || n % 2 != 0 || n < smallest_side)
    throw Error(ErrorCode::bad_input, "an amplitude spectrum is square with an even side of at least {} pixels, found {} x {}", smallest_side, n, amplitude.ny);
  Image power(n, n, pixel_size);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const float value = amplitude(x, y);
      if (!std::isfinite(value)) throw Error(ErrorCode::bad_input, "the amplitude spectrum holds a value that is not finite at ({}, {})", x, y);
      power(x, y) = value * value;
    }
  return {std::move(power), pixel_size, 0};
}

}  // namespace frazil::ctf
