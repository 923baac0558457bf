#include "frazil/io/gain.hpp"

#include <cmath>
#include <utility>

#include "frazil/base/error.hpp"
#include "frazil/io/frame_file.hpp"

namespace frazil::io {
namespace {

void check_factors(const Image& gain, const std::string& name) {
  std::size_t positive = 0;
  for (int y = 0; y < gain.ny(); ++y)
    for (int x = 0; x < gain.nx(); ++x) {
      const float value = gain(x, y);
      if (!std::isfinite(value) || value < 0) throw Error(ErrorCode::bad_input, "{}: the gain at ({}, {}) is {}, a finite number from 0 is expected", name, x, y, value);
      positive += value > 0 ? 1 : 0;
    }
  if (positive == 0) throw Error(ErrorCode::bad_input, "{}: the gain is 0 everywhere", name);
}

}  // namespace

Image read_gain(const std::filesystem::path& path, int nx, int ny, GainOrientation orientation, GainKind kind) {
  return read_gain(ByteSource::open(path), nx, ny, orientation, kind);
}

Image read_gain(ByteSource source, int nx, int ny, GainOrientation orientation, GainKind kind) {
  const FrameFile file(std::move(source));
  if (file.info().nz != 1) throw Error(ErrorCode::bad_input, "{}: a gain reference has one image, the file has {}", file.name(), file.info().nz);
  Image gain;
  file.read(0, gain);
  if (kind == GainKind::divide)
    for (auto& value : gain.pixels()) value = value == 0 ? 0 : 1 / value;
  check_factors(gain, file.name());
  if (orientation != GainOrientation::identity) gain = orient(gain, orientation);
  if ((nx != 0 && gain.nx() != nx) || (ny != 0 && gain.ny() != ny))
    throw Error(ErrorCode::bad_input, "{}: the gain reference has {} x {} pixels in orientation {}, the movie {} x {}", file.name(), gain.nx(), gain.ny(), to_string(orientation), nx,
                ny);
  return gain;
}

}  // namespace frazil::io
