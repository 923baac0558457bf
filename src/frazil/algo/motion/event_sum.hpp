// The sum of a movie made of single electrons: each is moved by the specimen's motion at its own time, and no frame is
// ever rendered.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "frazil/algo/motion/detector.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/model/electron.hpp"

namespace frazil::motion {

/// Electrons of a camera that records events, read when they are needed.
struct ElectronSource {
  int nx = 0, ny = 0;            ///< sensor pixels
  int cells_x = 4, cells_y = 4;  ///< parts of a pixel that the camera tells apart
  int first = 0;                 ///< raw frame with which the first frame begins
  std::vector<int> begin;        ///< of each frame, and the end of the last: raw frames counted from `first`
  Angstrom pixel_size = 1_A;     ///< of the frames' grid
  /// Electrons of a raw frame in rows [first_row, last_row), in any memory that `scratch` keeps alive. Called from
  /// several threads.
  std::function<std::span<const Electron>(int raw, int first_row, int last_row, std::vector<Electron>& scratch)> read;
  /// False for raw frames that hold nothing because they are damaged: the rest of their frame stands in for them.
  std::function<bool(int raw)> is_whole;
};

/// As sum_frames, from electrons.
///
/// An electron falls on a grid twice as fine as the sensor's (the frames' own when that is finer) at its place plus the
/// shift of its raw frame, weighted by its pixel's gain, and is shared out linearly among the four nearest points; that
/// response is divided out in Fourier space (the mean over the movie, exactly), so that only its noise counts: 0.5 % of
/// the signal-to-noise ratio at 0.8 of the sensor's Nyquist frequency, 1.5 % at Nyquist itself. The shift of a raw
/// frame is interpolated from those of the frames by a cubic (Catmull & Rom) through their middles: motion inside a
/// frame does not blur. The exposure weights are those of the frame that the raw frame belongs to. Defective pixels
/// give nothing; a good neighbour, picked anew for every raw frame by hash, gives its electron to them as well, as
/// Detector::correct does. Beyond the edges the sensor is mirrored.
///
/// @param detector  of the frames' grid: a sensor pixel, or a half, a quarter or two of them wide
/// @param field     of as many frames as the source has, in pixels of the frames' grid
/// @param seed      of the replacement of defects
/// @param params    binning relative to the frames' grid; halves of odd and even frames
/// Cost: the codes are decoded about 1.3 times; rank transforms of the fine grid. Memory: rank + threads images of the
/// fine grid and 10 MB a thread. The same result for any number of threads.
[[nodiscard]] Sums sum_electrons(const ElectronSource& source, const Detector& detector, const MotionField& field,
                                 const DoseBasis& basis, std::uint64_t seed, const SumParams& params = {});

/// Shift of a field at a time counted in frames (0: the middle of the first one), by a cubic through the frames'
/// middles.
[[nodiscard]] Shift shift_at(const MotionField& field, double time, double x_px, double y_px);

}  // namespace frazil::motion
