#include "frazil/algo/mask/features.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/index.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::mask {
namespace {

constexpr double clip_sigmas = 8;  // nothing of Gaussian noise, and a bright spot no longer rules the means around it

/// Gaussian mean along one axis, cut at the borders.
Image blur_axis(const Image& in, const std::vector<float>& weights, bool along_x) {
  const int half = static_cast<int>(weights.size()) - 1, n = along_x ? in.nx() : in.ny();
  Image out(in.nx(), in.ny(), in.pixel_size);
  for (int y = 0; y < in.ny(); ++y)
    for (int x = 0; x < in.nx(); ++x) {
      const int at = along_x ? x : y;
      float sum = 0;
      for (int k = std::max(-half, -at); k <= std::min(half, n - 1 - at); ++k)
        sum += weights[z(std::abs(k))] * (along_x ? in(x + k, y) : in(x, y + k));
      out(x, y) = sum;
    }
  return out;
}

Image blur(const Image& image, double sigma) {
  std::vector<float> weights;
  for (int k = 0; k <= static_cast<int>(std::ceil(3 * sigma)); ++k)
    weights.push_back(static_cast<float>(std::exp(-k * k / (2 * sigma * sigma))));
  return blur_axis(blur_axis(image, weights, true), weights, false);
}

}  // namespace

Image cells_of(const Image& image, double block) {
  const int nx = std::max(1, static_cast<int>(image.nx() / block)),
            ny = std::max(1, static_cast<int>(image.ny() / block));
  Image cells(nx, ny, image.pixel_size * block);
  std::vector<float> finite;
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) {
      double sum = 0;
      int count = 0;
      for (int j = static_cast<int>(y * block); j < static_cast<int>((y + 1) * block); ++j)
        for (int i = static_cast<int>(x * block); i < static_cast<int>((x + 1) * block); ++i)
          if (const float v = image(i, j); std::isfinite(v)) {
            sum += v;
            ++count;
          }
      cells(x, y) = count > 0 ? static_cast<float>(sum / count) : std::nanf("");
      if (count > 0) finite.push_back(cells(x, y));
    }
  if (finite.size() * 2 < cells.size())
    throw Error(ErrorCode::bad_input, "more than half of the micrograph is not finite");
  const auto spread = robust_spread(std::move(finite));
  const auto low = static_cast<float>(spread.median - clip_sigmas * spread.both),
             high = static_cast<float>(spread.median + clip_sigmas * spread.both);
  for (float& v : cells.pixels())
    v = std::isfinite(v) ? (spread.both > 0 ? std::clamp(v, low, high) : v) : static_cast<float>(spread.median);
  return cells;
}

Image local_mean(const Image& image, const std::vector<char>& open, double sigma) {
  Image values(image.nx(), image.ny(), image.pixel_size), weights(image.nx(), image.ny(), image.pixel_size);
  for (std::size_t i = 0; i < image.size(); ++i) {
    values.pixels()[i] = open[i] != 0 ? image.pixels()[i] : 0;
    weights.pixels()[i] = open[i] != 0 ? 1.0F : 0.0F;
  }
  auto sum = blur(values, sigma);
  const auto weight = blur(weights, sigma);
  for (std::size_t i = 0; i < sum.size(); ++i)
    sum.pixels()[i] = weight.pixels()[i] > 1e-6F ? sum.pixels()[i] / weight.pixels()[i] : 0;
  return sum;
}

Image minus(const Image& a, const Image& b) {
  auto out = a.clone();
  for (std::size_t i = 0; i < out.size(); ++i) out.pixels()[i] -= b.pixels()[i];
  return out;
}

Image log_energy(const Image& image, const std::vector<char>& open, double sigma) {
  auto squares = image.clone();
  for (float& v : squares.pixels()) v *= v;
  auto energy = local_mean(squares, open, sigma);
  for (float& v : energy.pixels()) v = std::log(std::max(v, 1e-30F));
  return energy;
}

std::vector<float> robust_scores(const Image& image, const std::vector<char>& open) {
  std::vector<float> values;
  for (std::size_t i = 0; i < image.size(); ++i)
    if (open[i] != 0) values.push_back(image.pixels()[i]);
  const auto spread = robust_spread(values);
  std::vector<float> scores(image.size(), 0);
  if (!(spread.both > 0)) return scores;
  for (std::size_t i = 0; i < image.size(); ++i)
    if (open[i] != 0) scores[i] = static_cast<float>((image.pixels()[i] - spread.median) / spread.both);
  return scores;
}

AggregateSigns aggregate_signs(const Image& cells, const std::vector<char>& open, double diameter) {
  const auto particles = local_mean(minus(cells, local_mean(cells, open, diameter)), open, diameter / 12);
  auto dark = minus(local_mean(cells, open, 2.5 * diameter), local_mean(cells, open, 0.5 * diameter));
  return {robust_scores(log_energy(particles, open, 0.6 * diameter), open), robust_scores(dark, open)};
}

}  // namespace frazil::mask
