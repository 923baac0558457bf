#include "frazil/algo/preprocess/preprocess.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "frazil/base/statistics.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::preprocess {
namespace {

/// Median of the finite neighbours (the pixel itself left out), NaN if there are none.
float neighbours_median(const Image& image, int x, int y) {
  std::array<float, 8> values{};
  std::size_t count = 0;
  for (int j = std::max(0, y - 1); j <= std::min(image.ny() - 1, y + 1); ++j)
    for (int i = std::max(0, x - 1); i <= std::min(image.nx() - 1, x + 1); ++i)
      if ((i != x || j != y) && std::isfinite(image(i, j))) values[count++] = image(i, j);
  if (count == 0) return std::nanf("");
  return middle_of(std::span(values).first(count));
}

/// An even side near `wanted`.
int even_side(double wanted) { return std::max(2, 2 * static_cast<int>(std::lround(wanted / 2))); }

Image downsample(const Image& image, Angstrom pixel_size) {
  const double factor = image.pixel_size / pixel_size;
  const int nx = even_side(image.nx() * factor), ny = even_side(image.ny() * factor);
  if (nx >= image.nx() && ny >= image.ny()) return image.clone();
  return fourier_resize(image, nx, ny);
}

void normalise(Image& image, Normalisation how) {
  if (how == Normalisation::none) return;
  if (how == Normalisation::plane) remove_plane(image);
  const auto s = statistics(image);
  if (!(s.stddev > 1e-12 * std::max(1.0, std::abs(s.mean))))
    throw Error(ErrorCode::bad_input, "the image is constant ({}): it cannot be normalised", s.mean);
  for (float& v : image.pixels()) v = static_cast<float>((v - s.mean) / s.stddev);
}

}  // namespace

std::vector<std::string> problems(const PreprocessParams& p, int nx, int ny, Angstrom pixel_size) {
  std::vector<std::string> list;
  if (nx - 2 * p.crop_border < 2 || ny - 2 * p.crop_border < 2)
    list.push_back(fmt::format("crop_border {} leaves nothing of {} × {} pixels", p.crop_border, nx, ny));
  if (p.low_pass > 0_A && p.high_pass > 0_A && p.low_pass >= p.high_pass)
    list.push_back(fmt::format("low_pass ({:g} A) must be finer than high_pass ({:g} A)", p.low_pass.value(),
                               p.high_pass.value()));
  if (p.downsampled_pixel_size > 0_A && p.downsampled_pixel_size < pixel_size)
    list.push_back(fmt::format("downsampled_pixel_size {:g} A is finer than the pixel of {:g} A",
                               p.downsampled_pixel_size.value(), pixel_size.value()));
  const auto coarsest = std::max(pixel_size, p.downsampled_pixel_size);
  if (p.high_pass > 0_A && p.high_pass < 2 * coarsest)
    list.push_back(
        fmt::format("high_pass {:g} A is beyond the finest {:g} A that pixels of {:g} A hold: nothing would be left",
                    p.high_pass.value(), 2 * coarsest.value(), coarsest.value()));
  return list;
}

int remove_hot_spots(Image& image, double limit) {
  Image medians(image.nx(), image.ny());
  std::vector<float> differences;
  differences.reserve(image.size());
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x) {
      medians(x, y) = neighbours_median(image, x, y);
      if (const float d = image(x, y) - medians(x, y); std::isfinite(d)) differences.push_back(d);
    }
  const auto usual = robust_spread(std::move(differences));
  int count = 0;
  for (std::size_t i = 0; i < image.size(); ++i) {
    float& v = image.pixels()[i];
    const float m = medians.pixels()[i];
    const bool is_hot = limit > 0 && std::abs(static_cast<double>(v - m) - usual.median) > limit * usual.both;
    if (std::isfinite(v) && !is_hot) continue;
    v = std::isfinite(m) ? m : static_cast<float>(0);
    ++count;
  }
  return count;
}

Image preprocess(const Image& image, const PreprocessParams& params) {
  std::string all;
  for (const auto& problem : problems(params, image.nx(), image.ny(), image.pixel_size))
    all += (all.empty() ? "" : "; ") + problem;
  if (!all.empty()) throw Error(ErrorCode::bad_input, "{}", all);
  auto out = params.crop_border > 0
                 ? crop(image, params.crop_border, params.crop_border, image.nx() - 2 * params.crop_border,
                        image.ny() - 2 * params.crop_border, 0, image.pixel_size)
                 : image.clone();
  remove_hot_spots(out, params.hot_spots);
  if (params.invert) {
    const double mean = statistics(out).mean;
    for (float& v : out.pixels()) v = static_cast<float>(2 * mean - v);
  }
  if (params.downsampled_pixel_size > out.pixel_size) out = downsample(out, params.downsampled_pixel_size);
  if (params.low_pass > 0_A || params.high_pass > 0_A)
    out = band_pass(out, params.high_pass, params.low_pass, params.edge);
  normalise(out, params.normalise);
  return out;
}

}  // namespace frazil::preprocess
