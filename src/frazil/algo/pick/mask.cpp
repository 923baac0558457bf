#include "frazil/algo/pick/mask.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/pick/working_image.hpp"
#include "frazil/base/statistics.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/image/regions.hpp"

namespace frazil::pick {
namespace {

constexpr double strength = 6;         // robust standard deviations
constexpr double smallest_region = 4;  // in squares of the local mean's width

Image as_image(const Mask& mask) {
  Image out(mask.nx, mask.ny);
  for (std::size_t i = 0; i < out.size(); ++i) out.data()[i] = static_cast<float>(mask.set[i]);
  return out;
}

}  // namespace

double Mask::fraction() const {
  return set.empty() ? 0 : static_cast<double>(std::count(set.begin(), set.end(), 1)) / static_cast<double>(set.size());
}

Image smooth(const Image& image, double sigma_px) {
  auto spectrum = fft(image);
  const double factor = -2 * std::numbers::pi * std::numbers::pi * sigma_px * sigma_px;
  for (int iy = 0; iy < spectrum.ny(); ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix) {
      const double kx = static_cast<double>(ix) / spectrum.nx(),
                   ky = static_cast<double>(spectrum.ky(iy)) / spectrum.ny();
      spectrum(ix, iy) *= static_cast<float>(std::exp(factor * (kx * kx + ky * ky)));
    }
  return ifft(spectrum);
}

Image masked_share(const Mask& masked, double radius_px) {
  Image disc(masked.nx, masked.ny);
  double pixels = 0;
  for (int y = 0; y < disc.ny(); ++y)
    for (int x = 0; x < disc.nx(); ++x)
      if (std::hypot(std::min(x, disc.nx() - x), std::min(y, disc.ny() - y)) <= radius_px) {
        disc(x, y) = 1;
        ++pixels;
      }
  auto product = fft(disc);
  const auto spectrum = fft(as_image(masked));
  for (std::size_t i = 0; i < product.size(); ++i)
    product.data()[i] = spectrum.data()[i] * std::conj(product.data()[i]);
  auto share = ifft(product);
  for (float& v : share.pixels()) v = static_cast<float>(v / pixels);
  return share;
}

Mask gross_features(const Image& flattened, double diameter_px) {
  const auto smoothed = smooth(flattened, diameter_px / 8);
  const auto spread = robust_spread(std::vector<float>(smoothed.pixels().begin(), smoothed.pixels().end()));
  const int nx = flattened.nx(), ny = flattened.ny();
  Mask large(nx, ny, false);
  if (!(spread.both > 0)) return large;
  std::vector<char> open(flattened.size());
  for (std::size_t i = 0; i < open.size(); ++i)
    open[i] = std::abs(smoothed.data()[i] - spread.median) > strength * spread.both ? 1 : 0;
  bool any = false;
  for (std::size_t seed = 0; seed < open.size(); ++seed) {
    if (open[seed] == 0) continue;
    const auto region = take_region(open, static_cast<int>(seed), nx, ny);
    if (!is_larger_than_disc(region, nx, diameter_px)) continue;
    for (const int place : region) large.set[static_cast<std::size_t>(place)] = 1;
    any = true;
  }
  if (!any) return large;
  const auto near = masked_share(large, diameter_px / 4);
  for (std::size_t i = 0; i < large.set.size(); ++i)
    large.set[i] = near.data()[i] > 1e-3 ? 1 : 0;  // below: rounding of the transform
  return large;
}

Image subtract_local_mean(const Image& image, const Mask& masked, double sigma_px) {
  Image out(image.nx(), image.ny(), image.pixel_size);
  std::vector<char> open(masked.set.size());
  for (std::size_t i = 0; i < open.size(); ++i) open[i] = masked.set[i] == 0 ? 1 : 0;
  for (std::size_t seed = 0; seed < open.size(); ++seed) {
    if (open[seed] == 0) continue;
    const auto region = take_region(open, static_cast<int>(seed), image.nx(), image.ny());
    if (static_cast<double>(region.size()) < smallest_region * sigma_px * sigma_px) continue;
    Image part(image.nx(), image.ny()), values(image.nx(), image.ny());
    for (const int place : region) {
      part.data()[place] = 1;
      values.data()[place] = image.data()[place];
    }
    const auto sum = smooth(values, sigma_px), weight = smooth(part, sigma_px);
    for (const int place : region)
      out.data()[place] = image.data()[place] - sum.data()[place] / std::max(weight.data()[place], 1e-3F);
  }
  return out;
}

}  // namespace frazil::pick
