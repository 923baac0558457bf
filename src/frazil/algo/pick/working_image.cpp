#include "frazil/algo/pick/working_image.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/index.hpp"
#include "frazil/base/statistics.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::pick {
namespace {

constexpr double pixels_a_diameter = 32;  // a sixteenth of the diameter's resolution: templates need no more
constexpr double clip_sigmas = 8;         // nothing of Gaussian noise
constexpr int mask_passes = 6;            // ends by itself when nothing grows

int even(double n) { return std::max(2, 2 * static_cast<int>(std::lround(n / 2))); }

/// Replaces what is not finite by the median and clips the rest.
void repair(Image& image) {
  std::vector<float> finite;
  finite.reserve(image.size());
  for (const float v : image.pixels())
    if (std::isfinite(v)) finite.push_back(v);
  if (finite.size() * 2 < image.size())
    throw Error(ErrorCode::bad_input, "micrograph has {} of {} pixels that are not finite; at least half must be",
                image.size() - finite.size(), image.size());
  const auto spread = robust_spread(std::move(finite));
  const auto s = statistics(image);
  if (!(s.stddev > 0))
    throw Error(ErrorCode::bad_input, "micrograph is constant ({}): there is nothing to pick", s.mean);
  const double sigma = spread.both > 0 ? spread.both : s.stddev;
  const auto low = static_cast<float>(spread.median - clip_sigmas * sigma),
             high = static_cast<float>(spread.median + clip_sigmas * sigma);
  for (float& v : image.pixels()) v = std::isfinite(v) ? std::clamp(v, low, high) : static_cast<float>(spread.median);
}

/// Block means with not-finite pixels left out; a block without any stays not finite.
Image block_means(const Image& in, int factor) {
  Image out(in.nx() / factor, in.ny() / factor, in.pixel_size * factor);
  for (int y = 0; y < out.ny(); ++y)
    for (int x = 0; x < out.nx(); ++x) {
      double sum = 0;
      int count = 0;
      for (int j = 0; j < factor; ++j)
        for (int i = 0; i < factor; ++i)
          if (const float v = in(x * factor + i, y * factor + j); std::isfinite(v)) {
            sum += v;
            ++count;
          }
      out(x, y) = static_cast<float>(count > 0 ? sum / count : std::nan(""));
    }
  return out;
}

/// Masks where `excluded`, which covers the same field as the inner part of the working image, is not 0.
void exclude(const Image& excluded, WorkingImage& working) {
  for (int y = 0; y < working.masked.ny; ++y)
    for (int x = 0; x < working.masked.nx; ++x) {
      const int i = mirrored(x - working.margin, working.inner_nx), j = mirrored(y - working.margin, working.inner_ny);
      const int ex = std::min(excluded.nx() - 1, static_cast<int>((i + 0.5) * excluded.nx() / working.inner_nx)),
                ey = std::min(excluded.ny() - 1, static_cast<int>((j + 0.5) * excluded.ny() / working.inner_ny));
      if (excluded(ex, ey) != 0) working.masked(x, y) = 1;
    }
}

/// Unit variance over what is not masked.
void scale_to_unit(WorkingImage& working, Angstrom diameter) {
  std::vector<float> open;
  for (std::size_t i = 0; i < working.image.size(); ++i)
    if (working.masked.set[i] == 0) open.push_back(working.image.data()[i]);
  if (open.empty()) return;  // nothing to pick
  const double sigma = statistics(open).stddev;
  if (!(sigma > 0))
    throw Error(ErrorCode::bad_input, "micrograph has no contrast at the scale of {:.0f} A", diameter.value());
  for (float& v : working.image.pixels()) v = static_cast<float>(v / sigma);
}

}  // namespace

WorkingImage working_image(const Image& micrograph, Angstrom diameter, bool dark_particles, const Image* excluded) {
  const double diameter_px = to_px(diameter, micrograph.pixel_size);
  if (std::min(micrograph.nx(), micrograph.ny()) < 2 * diameter_px)
    throw Error(ErrorCode::bad_input,
                "micrograph of {} x {} px is smaller than two particle diameters ({:.0f} px each)", micrograph.nx(),
                micrograph.ny(), diameter_px);
  const int factor =
      std::max(1, static_cast<int>(diameter_px / (2 * pixels_a_diameter)));  // leaves twice the final sampling
  Image small = block_means(micrograph, factor);
  repair(small);
  remove_plane(small);  // so that the periodic transform sees no step between opposite edges
  const double shrink = std::min(1.0, pixels_a_diameter * factor / diameter_px);
  const int nx = even(small.nx() * shrink), ny = even(small.ny() * shrink);
  WorkingImage out;
  out.scale_x = static_cast<double>(factor) * small.nx() / nx;
  out.scale_y = static_cast<double>(factor) * small.ny() / ny;
  out.offset = 0.5 * (factor - 1);
  out.diameter_px = diameter_px / out.scale_x;
  const Image flat = nx == small.nx() && ny == small.ny() ? std::move(small) : fourier_resize(small, nx, ny);
  out.margin = static_cast<int>(std::ceil(out.diameter_px));
  out.inner_nx = nx;
  out.inner_ny = ny;
  out.image =
      Image(good_size(nx + 2 * out.margin), good_size(ny + 2 * out.margin), micrograph.pixel_size * out.scale_x);
  const float sign = dark_particles ? -1.0F : 1.0F;
  for (int y = 0; y < out.image.ny(); ++y)
    for (int x = 0; x < out.image.nx(); ++x)
      out.image(x, y) = sign * flat(mirrored(x - out.margin, nx), mirrored(y - out.margin, ny));
  const auto flattened = std::move(out.image);
  out.masked = Mask(flattened.nx(), flattened.ny(), false);
  if (excluded != nullptr) exclude(*excluded, out);
  // Each pass sees the surroundings of what the one before has masked: the local mean beside an edge is drawn to its
  // far side.
  bool grew = true;
  for (int pass = 0; grew && pass < mask_passes; ++pass) {
    const auto features = gross_features(subtract_local_mean(flattened, out.masked, out.diameter_px), out.diameter_px);
    grew = false;
    for (std::size_t i = 0; i < features.set.size(); ++i) {
      grew = grew || features.set[i] > out.masked.set[i];
      out.masked.set[i] |= features.set[i];
    }
  }
  out.image = subtract_local_mean(flattened, out.masked, out.diameter_px);
  scale_to_unit(out, diameter);
  return out;
}

}  // namespace frazil::pick
