#include "frazil/image/sound.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/image/ops.hpp"

namespace frazil {

std::string_view to_string(Soundness soundness) {
  switch (soundness) {
    case Soundness::not_finite:
      return "not finite";
    case Soundness::flat:
      return "flat";
    case Soundness::sound:
      break;
  }
  return "sound";
}

Soundness soundness(ImageView image) {
  constexpr float most = 1e12F, least = 1e-12F;
  if (image.nx < 1 || image.ny < 1) return Soundness::flat;
  float low = image(0, 0), high = low;
  for (int y = 0; y < image.ny; ++y)
    for (int x = 0; x < image.nx; ++x) {
      const float v = image(x, y);
      if (!(std::abs(v) <= most)) return Soundness::not_finite;
      low = std::min(low, v);
      high = std::max(high, v);
    }
  const float size = std::max(std::abs(low), std::abs(high));
  return high - low > std::max(least, 1e-6F * size) ? Soundness::sound : Soundness::flat;
}

int replace_outliers(Image& image, double sigmas) {
  const double median = quantile(image, 0.5), sigma = 0.5 * (quantile(image, 0.8413) - quantile(image, 0.1587));
  const auto not_finite = static_cast<std::size_t>(
      std::count_if(image.pixels().begin(), image.pixels().end(), [](float v) { return !std::isfinite(v); }));
  const bool with_holes = not_finite * 1000 <= image.size();
  int replaced = 0;
  for (float& v : image.pixels()) {
    const bool out = std::isfinite(v) ? sigma > 0 && std::abs(v - median) > sigmas * sigma : with_holes;
    if (!out) continue;
    v = static_cast<float>(median);
    ++replaced;
  }
  return replaced;
}

}  // namespace frazil
