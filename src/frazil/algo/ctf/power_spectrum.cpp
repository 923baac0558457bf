#include "frazil/algo/ctf/power_spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::ctf {
namespace {

constexpr int smallest_side = 64;            ///< pixels: of 4 Å, 23 shells from 30 Å to Nyquist
constexpr std::size_t regions_per_side = 4;  ///< 16 places, for the six terms of a bent plane (tilt.cpp)
constexpr int few_tiles =
    7;  ///< along a side: with fewer, what the windows of the outer tiles lose is worth a transform of the whole image
constexpr double taper_share = 0.05;  ///< of the image at each edge
constexpr double spike_sigmas = 30;  ///< far beyond counting noise (Poisson of mean 0.01: 10 σ for two in a pixel), and
                                     ///< one pixel of 30 σ adds 0.3 % to the noise of a tile of 512²

struct Tiling {
  int tile = 0;           ///< pixels of the image
  int box = 0;            ///< pixels of the result, ≤ tile
  std::vector<int> x, y;  ///< first column, first row
};

std::vector<int> starts(int length, int tile) {
  const int count = length == tile ? 1 : 1 + (2 * (length - tile) + tile - 1) / tile;
  std::vector<int> list(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    list[static_cast<std::size_t>(i)] =
        count == 1 ? 0 : static_cast<int>(static_cast<long>(length - tile) * i / (count - 1));
  return list;
}

Tiling make_tiling(int nx, int ny, Angstrom pixel_size, const TileParams& params) {
  const int side = std::min(nx, ny) / 2 * 2;
  if (side < smallest_side)
    throw Error(ErrorCode::bad_input, "a power spectrum needs an image of at least {0} x {0} pixels, found {1} x {2}",
                smallest_side, nx, ny);
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
    window[static_cast<std::size_t>(i)] =
        static_cast<float>(0.5 - 0.5 * std::cos(2 * std::numbers::pi * (i + 0.5) / n));
  return window;
}

/// Mean and standard deviation of a sample of the pixels, a thousandth at each end left out.
std::pair<double, double> trimmed_moments(ImageView image) {
  constexpr std::size_t wanted = 65536;  // tell a mean to 1/256 of the standard deviation
  const std::size_t pixels = static_cast<std::size_t>(image.nx) * static_cast<std::size_t>(image.ny),
                    step = std::max<std::size_t>(1, pixels / wanted) | 1;  // odd: no column is preferred
  std::vector<float> sample;
  for (std::size_t i = 0; i < pixels; i += step) {
    const float v =
        image.row(static_cast<int>(i / static_cast<std::size_t>(image.nx)))[i % static_cast<std::size_t>(image.nx)];
    if (std::isfinite(v)) sample.push_back(v);
  }
  const auto cut = static_cast<std::ptrdiff_t>(sample.size() / 1000 + 1);
  if (static_cast<std::ptrdiff_t>(sample.size()) <= 2 * cut) return {0, 0};
  std::nth_element(sample.begin(), sample.begin() + cut, sample.end());
  std::nth_element(sample.begin() + cut, sample.end() - cut, sample.end());
  double sum = 0, sum2 = 0;
  const auto n = static_cast<double>(static_cast<std::ptrdiff_t>(sample.size()) - 2 * cut);
  for (auto at = sample.begin() + cut; at != sample.end() - cut; ++at) sum += double{*at};
  for (auto at = sample.begin() + cut; at != sample.end() - cut; ++at) sum2 += std::pow(double{*at} - sum / n, 2);
  return {sum / n, std::sqrt(sum2 / n)};
}

/// Copy of an image that holds single values no specimen and no counting makes (hot pixels, cosmic rays), these set to
/// the mean: one of them is as bright at all frequencies. None when there is no such value.
std::optional<Image> without_spikes(ImageView image) {
  const auto [mean, sigma] = trimmed_moments(image);
  if (!(sigma > 0)) return std::nullopt;
  const auto centre = static_cast<float>(mean), reach = static_cast<float>(spike_sigmas * sigma);
  std::optional<Image> clean;
  for (int y = 0; y < image.ny; ++y) {
    const float* in = image.row(y);
    float most = 0;
    for (int x = 0; x < image.nx; ++x) most = std::max(most, std::abs(in[x] - centre));
    if (!(most > reach)) continue;
    if (!clean) {
      clean.emplace(image.nx, image.ny);
      for (int row = 0; row < image.ny; ++row) std::copy_n(image.row(row), image.nx, clean->row(row));
    }
    float* out = clean->row(y);
    for (int x = 0; x < image.nx; ++x)
      if (std::abs(out[x] - centre) > reach && std::isfinite(out[x])) out[x] = centre;
  }
  return clean;
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
      power(x, y) = static_cast<float>(
          half[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column)]);
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
std::vector<RegionSpectrum> joined_regions(const std::vector<std::vector<RegionSpectrum>>& sums, std::size_t rows,
                                           std::size_t columns, double area) {
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

/// Mean of window² over a side.
double window_power(const std::vector<float>& window) {
  double sum = 0;
  for (const float w : window) sum += double{w} * double{w};
  return sum / static_cast<double>(window.size());
}

/// Ones with a cosine edge.
std::vector<float> tukey(int n) {
  std::vector<float> window(static_cast<std::size_t>(n), 1.0F);
  const int edge = std::max(1, static_cast<int>(taper_share * n));
  for (int i = 0; i < edge; ++i)
    window[static_cast<std::size_t>(i)] = window[static_cast<std::size_t>(n - 1 - i)] =
        static_cast<float>(0.5 - 0.5 * std::cos(std::numbers::pi * (i + 0.5) / edge));
  return window;
}

/// Largest length ≤ n that transforms fast.
int fast_side(int n) {
  n = n / 2 * 2;
  while (good_size(n) != n) n -= 2;
  return n;
}

/// |F|² of the whole image, its frequencies shared among the four pixels of the box × box spectrum around each: every
/// pixel of the image counts almost in full, where tiles weigh those near the edges down. Rows −box/2 … box/2 − 1,
/// columns 0 … box/2, and the relative variance of one pixel.
std::pair<std::vector<double>, double> whole_power(ImageView image, int box, double box_over_pixel, int threads) {
  const int nx = fast_side(image.nx), ny = fast_side(image.ny), columns = box / 2 + 1, x0 = (image.nx - nx) / 2,
            y0 = (image.ny - ny) / 2;
  const auto wx = tukey(nx), wy = tukey(ny);
  double mean = 0;
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) mean += double{image(x0 + x, y0 + y)};
  mean /= double{1} * nx * ny;
  Image part(nx, ny);
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x)
      part(x, y) = (image(x0 + x, y0 + y) - static_cast<float>(mean)) * wx[static_cast<std::size_t>(x)] *
                   wy[static_cast<std::size_t>(y)];
  const auto spectrum = fft(part, threads);
  const double scale_x = box_over_pixel / nx, scale_y = box_over_pixel / ny,
               area = window_power(wx) * window_power(wy) * nx * ny;
  std::vector<double> sum(static_cast<std::size_t>(box) * static_cast<std::size_t>(columns), 0.0), weight = sum;
  const auto add = [&](int column, int row, double w, double value) {
    if (column < 0 || column >= columns || row < 0 || row >= box) return;
    const auto i = static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column);
    sum[i] += w * value;
    weight[i] += w;
  };
  for (int iy = 0; iy < ny; ++iy) {
    const double y = (iy <= ny / 2 ? iy : iy - ny) * scale_y + box / 2;
    const int row = static_cast<int>(std::floor(y));
    if (row < -1 || row >= box) continue;
    for (int ix = 0; ix <= nx / 2; ++ix) {
      const double x = ix * scale_x;
      const int column = static_cast<int>(x);
      if (column >= columns) break;
      const double fx = x - column, fy = y - row, value = double{std::norm(spectrum.row(iy)[ix])} / area;
      add(column, row, (1 - fx) * (1 - fy), value);
      add(column + 1, row, fx * (1 - fy), value);
      add(column, row + 1, (1 - fx) * fy, value);
      add(column + 1, row + 1, fx * fy, value);
    }
  }
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = weight[i] > 1e-6 ? sum[i] / weight[i] : 0;
  // Weights 1 − |t| at n samples a pixel: Σw² = ⅔ n along each side; the taper costs a little.
  const auto share = [](double n) { return std::min(1.0, 1 / (1.5 * n)); };
  return {std::move(sum), share(1 / scale_x) * share(1 / scale_y) * std::pow(1 + 2 * taper_share, 2)};
}

}  // namespace

PowerSpectrum power_spectrum(ImageView given, Angstrom pixel_size, const TileParams& params,
                             std::vector<RegionSpectrum>* regions) {
  expect(params.box >= 2 && params.box % 2 == 0, "the side of a spectrum is even");
  const auto clean = without_spikes(given);
  const ImageView image = clean ? ImageView(*clean) : given;
  const auto tiling = make_tiling(image.nx, image.ny, pixel_size, params);
  const auto window = hann(tiling.tile);
  const std::size_t columns = std::min<std::size_t>(regions_per_side, tiling.x.size()),
                    rows = std::min<std::size_t>(regions_per_side, tiling.y.size());
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
  if (used == 0)
    throw Error(ErrorCode::bad_input,
                "no part of the {} x {} image can be used: all tiles are constant or hold values that are not finite",
                image.nx, image.ny);
  const double area = std::pow(window_power(window) * tiling.tile, 2);
  for (double& value : sum) value /= static_cast<double>(used) * area;
  if (regions != nullptr) *regions = joined_regions(sums, rows, columns, area);
  const double box_over_pixel = tiling.tile;  // a frequency of the box lies `tile` pixels of the image apart
  const Angstrom sampling = pixel_size * (box_over_pixel / tiling.box);
  const bool few = std::min(tiling.x.size(), tiling.y.size()) < few_tiles,
             intact = used == tiling.x.size() * tiling.y.size();
  if (few && intact && used > 1) {
    const auto [whole, variance] = whole_power(image, tiling.box, box_over_pixel, params.threads);
    return {full_plane(whole, tiling.box, sampling), sampling, variance};
  }
  return {full_plane(sum, tiling.box, sampling), sampling, variance_of_mean(used, tiling)};
}

PowerSpectrum from_amplitude(ImageView amplitude, Angstrom pixel_size) {
  const int n = amplitude.nx;
  if (n != amplitude.ny || n % 2 != 0 || n < smallest_side)
    throw Error(ErrorCode::bad_input,
                "an amplitude spectrum is square with an even side of at least {} pixels, found {} x {}", smallest_side,
                n, amplitude.ny);
  Image power(n, n, pixel_size);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const float value = amplitude(x, y);
      if (!std::isfinite(value))
        throw Error(ErrorCode::bad_input, "the amplitude spectrum holds a value that is not finite at ({}, {})", x, y);
      power(x, y) = value * value;
    }
  return {std::move(power), pixel_size, 0};
}

}  // namespace frazil::ctf
