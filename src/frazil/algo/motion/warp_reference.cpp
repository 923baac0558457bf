// The plain version of the warp: one pixel after the other.
#include <cmath>

#include "frazil/algo/motion/warp.hpp"
#include "frazil/base/index.hpp"

namespace frazil::motion {

std::vector<Image> warp_frames_reference(const FrameSource& frames, const Detector& detector, const MotionField& field,
                                         const std::vector<std::vector<double>>& weights, Spline spline) {
  const int taps = static_cast<int>(spline), nx = frames.nx, ny = frames.ny;
  std::vector<Image> sums;
  for (std::size_t r = 0; r < weights.size(); ++r) sums.emplace_back(nx, ny, frames.pixel_size);
  for (int t = 0; t < frames.count; ++t) {
    Image frame(nx, ny);
    counts_of(frames, t)->visit([&](const auto& raw) {
      for (int y = 0; y < ny; ++y)
        for (int x = 0; x < nx; ++x) frame(x, y) = static_cast<float>(raw(x, y));
    });
    detector.correct(frame, t);
    for (int y = 0; y < ny; ++y)
      for (int x = 0; x < nx; ++x) {
        const Shift s = field.at(t, x, y);
        const double px = x - s.x, py = y - s.y;
        const int ix = static_cast<int>(std::floor(px)), iy = static_cast<int>(std::floor(py));
        float wx[6], wy[6];
        spline_taps(spline, px - ix, wx);
        spline_taps(spline, py - iy, wy);
        double value = 0;
        for (int j = 0; j < taps; ++j)
          for (int i = 0; i < taps; ++i)
            value +=
                static_cast<double>(wx[i]) * static_cast<double>(wy[j]) *
                static_cast<double>(frame(mirrored(ix + i - taps / 2 + 1, nx), mirrored(iy + j - taps / 2 + 1, ny)));
        for (std::size_t r = 0; r < sums.size(); ++r)
          sums[r](x, y) += static_cast<float>(weights[r][static_cast<std::size_t>(t)] * value);
      }
  }
  return sums;
}

}  // namespace frazil::motion
