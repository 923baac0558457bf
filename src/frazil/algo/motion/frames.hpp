// Frames of a movie as a callable that yields them one by one, and the displacement field that moves them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "frazil/image/counts.hpp"

namespace frazil::motion {

/// Frames that are read when they are needed, never held in memory as floats.
struct FrameSource {
  int nx = 0, ny = 0, count = 0;
  Angstrom pixel_size = 1_A;
  /// Fills `out` (nx × ny) with frame `index`, from 0. Called from several threads with different `out`.
  std::function<void(int index, Image& out)> read;
  /// The same as the file holds it; optional. Called from several threads with different indices.
  std::function<std::shared_ptr<const Counts>(int index)> counts = {};
  /// Says that no frame will be asked for again; optional.
  std::function<void()> done = {};
  /// Frames that are best asked for at a time; 0: one a thread.
  int batch = 0;
};

/// A frame through `counts`, or through `read` where that is all there is.
[[nodiscard]] std::shared_ptr<const Counts> counts_of(const FrameSource& frames, int index);
/// Frames that are asked for at a time by `threads` threads: batch, else one a thread; at most all.
[[nodiscard]] int batch_of(const FrameSource& frames, int threads);

/// Displacement in pixels of the frames (unbinned), conventions.md "Shifts": aligned(x) = frame(x − s).
struct Shift {
  double x = 0, y = 0;
};

/// Displacement of every frame at every place: a value on a grid of nodes, linear between them, constant beyond. A
/// field that is constant in x and y has one node.
class MotionField {
 public:
  MotionField() = default;
  /// The same displacement everywhere.
  explicit MotionField(const std::vector<Shift>& track);
  /// @param shifts  [frame][y][x], x fast; frames × y_px.size() × x_px.size() values
  MotionField(std::vector<double> x_px, std::vector<double> y_px, std::vector<Shift> shifts);

  [[nodiscard]] int frames() const { return frames_; }
  [[nodiscard]] bool is_global() const { return x_px_.size() == 1 && y_px_.size() == 1; }
  [[nodiscard]] Shift at(int frame, double x_px, double y_px) const;

  /// Node before a position along one axis, and the fraction of the way to the next.
  struct Place {
    int index = 0;
    double fraction = 0;
  };
  [[nodiscard]] Place place_x(double x_px) const;
  [[nodiscard]] Place place_y(double y_px) const;
  /// The same where places serve many frames.
  [[nodiscard]] Shift at(int frame, const Place& x, const Place& y) const;
  [[nodiscard]] const std::vector<double>& x_px() const { return x_px_; }
  [[nodiscard]] const std::vector<double>& y_px() const { return y_px_; }
  [[nodiscard]] Shift node(int frame, int ix, int iy) const;

 private:
  std::vector<double> x_px_, y_px_;
  std::vector<Shift> shifts_;
  int frames_ = 0;
};

}  // namespace frazil::motion
