#include "frazil/io/gain.hpp"

#include <array>
#include <cmath>
#include <utility>

#include "frazil/base/error.hpp"
#include "frazil/io/frame_file.hpp"

namespace frazil::io {
namespace {

/// new(x, y) = old(a x + b y + …): rows of the matrix that takes a new place to the old one, about the centre.
struct Turn {
  int xx, xy, yx, yy;
  friend bool operator==(const Turn&, const Turn&) = default;
};

constexpr std::array<Turn, gain_orientation_count> turns{{
    {1, 0, 0, 1},    // identity
    {0, 1, -1, 0},   // rotate_90: what was at +x comes to +y
    {-1, 0, 0, -1},  // rotate_180
    {0, -1, 1, 0},   // rotate_270
    {-1, 0, 0, 1},   // flip_x
    {1, 0, 0, -1},   // flip_y
    {0, 1, 1, 0},    // transpose
    {0, -1, -1, 0},  // transverse
}};
constexpr std::array<std::string_view, gain_orientation_count> names{"identity", "rotate-90", "rotate-180", "rotate-270", "flip-x", "flip-y", "transpose", "transverse"};

Turn turn_of(GainOrientation o) { return turns[static_cast<std::size_t>(o)]; }

Turn product(const Turn& a, const Turn& b) {
  return {a.xx * b.xx + a.xy * b.yx, a.xx * b.xy + a.xy * b.yy, a.yx * b.xx + a.yy * b.yx, a.yx * b.xy + a.yy * b.yy};
}

GainOrientation orientation_of(const Turn& turn) {
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (turns[i] == turn) return static_cast<GainOrientation>(i);
  throw Error(ErrorCode::bug, "not one of the eight orientations");
}

/// Where the new coordinate 0 starts in the old axis, for a coefficient pair of which one is ±1.
int start(int along_x, int along_y, int old_side) { return along_x + along_y < 0 ? old_side - 1 : 0; }

void check_values(const Image& gain, const std::string& name) {
  std::size_t positive = 0;
  for (int y = 0; y < gain.ny(); ++y)
    for (int x = 0; x < gain.nx(); ++x) {
      const float value = gain(x, y);
      if (!std::isfinite(value) || value < 0) throw Error(ErrorCode::bad_input, "{}: the gain at ({}, {}) is {}, a finite number from 0 is expected", name, x, y, value);
      positive += value > 0 ? 1 : 0;
    }
  if (positive == 0) throw Error(ErrorCode::bad_input, "{}: the gain is 0 everywhere", name);
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
  const int finer = nx > 0 && gain.nx() % nx == 0 ? gain.nx() / nx : 0, coarser = gain.nx() > 0 && nx % gain.nx() == 0 ? nx / gain.nx() : 0;
  if ((finer == 0 || gain.ny() != ny * finer) && (coarser == 0 || ny != gain.ny() * coarser))
    throw Error(ErrorCode::bad_input, "{}: the gain reference has {} x {} pixels in orientation {}, the movie {} x {}", name, gain.nx(), gain.ny(), to_string(orientation), nx, ny);
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

std::string_view to_string(GainOrientation orientation) { return names[static_cast<std::size_t>(orientation)]; }

GainOrientation gain_orientation_from(std::string_view name) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<GainOrientation>(i);
  throw Error(ErrorCode::bad_input, "\"{}\" is not an orientation: one of {} is expected", name, fmt::join(names, ", "));
}

GainOrientation inverse(GainOrientation orientation) {
  const auto t = turn_of(orientation);
  return orientation_of({t.xx, t.yx, t.xy, t.yy});  // orthogonal: the transpose
}

GainOrientation combine(GainOrientation first, GainOrientation second) { return orientation_of(product(turn_of(first), turn_of(second))); }

Image orient(const Image& image, GainOrientation orientation) {
  const auto t = turn_of(orientation);
  const bool swaps = t.xx == 0;
  Image out(swaps ? image.ny() : image.nx(), swaps ? image.nx() : image.ny(), image.pixel_size);
  const int x0 = start(t.xx, t.xy, image.nx()), y0 = start(t.yx, t.yy, image.ny());
  for (int y = 0; y < out.ny(); ++y)
    for (int x = 0; x < out.nx(); ++x) out(x, y) = image(x0 + t.xx * x + t.xy * y, y0 + t.yx * x + t.yy * y);
  return out;
}

Image read_gain(const std::filesystem::path& path, int nx, int ny, GainOrientation orientation, GainKind kind) {
  return read_gain(ByteSource::open(path), nx, ny, orientation, kind);
}

GainKind usual_gain_kind(const std::filesystem::path& path, bool eer_movie) {
  return eer_movie && path.extension() != ".gain" ? GainKind::average : GainKind::multiply;
}

Image read_gain(ByteSource source, int nx, int ny, GainOrientation orientation, GainKind kind) {
  const FrameFile file(std::move(source));
  if (file.info().nz != 1) throw Error(ErrorCode::bad_input, "{}: a gain reference has one image, the file has {}", file.name(), file.info().nz);
  Image gain;
  file.read(0, gain);
  if (file.is_tiff() && file.name().ends_with(".gain")) gain = orient(gain, GainOrientation::flip_y);
  check_values(gain, file.name());
  if (kind == GainKind::divide) invert(gain, 1);
  if (orientation != GainOrientation::identity) gain = orient(gain, orientation);
  if ((nx != 0 && gain.nx() != nx) || (ny != 0 && gain.ny() != ny)) gain = fitted(gain, nx, ny, file.name(), orientation);
  if (kind == GainKind::average) invert(gain, mean_of_good(gain));
  return gain;
}

}  // namespace frazil::io
