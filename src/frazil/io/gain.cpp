#include "frazil/io/gain.hpp"

#include <cmath>
#include <utility>

#include "frazil/base/error.hpp"
#include "frazil/io/frame_file.hpp"

namespace frazil::io {
namespace {

void check_values(const Image& gain, const std::string& name) {
  std::size_t positive = 0;
  for (int y = 0; y < gain.ny(); ++y)
    for (int x = 0; x < gain.nx(); ++x) {
      const float value = gain(x, y);
      if (!std::isfinite(value) || value < 0)
        throw Error(ErrorCode::bad_input, "{}: the gain at ({}, {}) is {}, a finite number from 0 is expected", name, x,
                    y, value);
      positive += value > 0 ? 1 : 0;
    }
  if (positive == 0) throw Error(ErrorCode::bad_input, "{}: the gain is 0 everywhere", name);
}

/// Factors of cameras are near 1, and references have whole scales such as 65536 at most: a pixel whose factor lies
/// beyond a million either way says nothing, like one of 0. Float sums of counts and their spectra hold such factors.
void drop_impossible(Image& gain, const std::string& name) {
  constexpr float least = 1e-6F, most = 1e6F;
  std::size_t dropped = 0, good = 0;
  for (auto& value : gain.pixels()) {
    const bool is_possible = value >= least && value <= most;
    good += is_possible ? 1 : 0;
    if (value == 0 || is_possible) continue;
    value = 0;
    ++dropped;
  }
  if (dropped > good)
    throw Error(ErrorCode::bad_input,
                "{}: {} factors of the gain lie beyond {:g} to {:g}, {} within: it is no gain reference, or one of "
                "another kind (multiply, divide, average)",
                name, dropped, least, most, good);
}

void invert(Image& gain, double numerator) {
  for (auto& value : gain.pixels()) value = value == 0 ? 0 : static_cast<float>(numerator / value);
}

double mean_of_good(const Image& gain) {
  double sum = 0, count = 0;
  for (const float value : gain.pixels()) sum += value, count += value > 0 ? 1 : 0;
  return sum / std::max(count, 1.0);
}

/// The gain on the grid of the movie when one is finer than the other by a whole factor.
Image fitted(const Image& gain, int nx, int ny, const std::string& name, GainOrientation orientation) {
  const int finer = nx > 0 && gain.nx() % nx == 0 ? gain.nx() / nx : 0,
            coarser = gain.nx() > 0 && nx % gain.nx() == 0 ? nx / gain.nx() : 0;
  if ((finer == 0 || gain.ny() != ny * finer) && (coarser == 0 || ny != gain.ny() * coarser))
    throw Error(ErrorCode::bad_input, "{}: the gain reference has {} x {} pixels in orientation {}, the movie {} x {}",
                name, gain.nx(), gain.ny(), to_string(orientation), nx, ny);
  Image out(nx, ny, gain.pixel_size);
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) {
      if (coarser > 0) {
        out(x, y) = gain(x / coarser, y / coarser);
        continue;
      }
      double sum = 0;
      int good = 0;
      for (int j = 0; j < finer; ++j)
        for (int i = 0; i < finer; ++i) {
          const float value = gain(x * finer + i, y * finer + j);
          sum += static_cast<double>(value);
          good += value > 0 ? 1 : 0;
        }
      out(x, y) = 2 * good < finer * finer ? 0.0F : static_cast<float>(sum / good);
    }
  return out;
}

}  // namespace

Image read_gain(const std::filesystem::path& path, int nx, int ny, GainOrientation orientation, GainKind kind) {
  return read_gain(ByteSource::open(path), nx, ny, orientation, kind);
}

GainKind usual_gain_kind(const std::filesystem::path& path, bool eer_movie) {
  return eer_movie && path.extension() != ".gain" ? GainKind::average : GainKind::multiply;
}

Image read_gain(ByteSource source, int nx, int ny, GainOrientation orientation, GainKind kind) {
  const FrameFile file(std::move(source));
  if (file.info().nz != 1)
    throw Error(ErrorCode::bad_input, "{}: a gain reference has one image, the file has {}", file.name(),
                file.info().nz);
  Image gain;
  file.read(0, gain);
  if (file.is_tiff() && file.name().ends_with(".gain")) gain = orient(gain, GainOrientation::flip_y);
  check_values(gain, file.name());
  if (kind == GainKind::divide) invert(gain, 1);
  if (orientation != GainOrientation::identity) gain = orient(gain, orientation);
  if ((nx != 0 && gain.nx() != nx) || (ny != 0 && gain.ny() != ny))
    gain = fitted(gain, nx, ny, file.name(), orientation);
  if (kind == GainKind::average) invert(gain, mean_of_good(gain));
  drop_impossible(gain, file.name());
  return gain;
}

}  // namespace frazil::io
