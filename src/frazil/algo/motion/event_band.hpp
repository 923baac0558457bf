// Electrons put on a fine grid, band by band; internal to event_sum.cpp.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "frazil/algo/motion/event_sum.hpp"

namespace frazil::motion {

/// The fine grid against the frames' grid and the sensor. Positions on it are counted in sixteenths of a cell; the
/// centre of the frames' pixel i lies on cell i · cells_per_pixel.
struct EventGrid {
  int view_nx, view_ny;  ///< frames' grid
  int eighths;           ///< of a sensor pixel in a pixel of the frames' grid: 2, 4, 8 or 16
  int cells_per_pixel;   ///< along one axis
  int per_eighth;        ///< sixteenths of a cell in an eighth of a sensor pixel

  /// @throws Error(bug) when the frames' grid is none of the four
  EventGrid(int sensor_nx, int sensor_ny, int view_nx_, int view_ny_);
  [[nodiscard]] int nx() const { return view_nx * cells_per_pixel; }
  [[nodiscard]] int ny() const { return view_ny * cells_per_pixel; }
  /// What a shift in pixels of the frames' grid adds.
  [[nodiscard]] int offset(double shift_px) const;
  /// Position of an electron.
  [[nodiscard]] int sixteenths(int position8, double shift_px) const {
    return per_eighth * position8 + offset(shift_px);
  }
};

/// Weights of frames at a time counted in frames, from their middles: a cubic (Catmull & Rom 1974), linear beyond the
/// first and last.
[[nodiscard]] std::array<std::pair<int, double>, 4> cubic_in_time(double time, int frames);

struct ShiftPlan {
  const MotionField* field;
  const std::vector<int>* begin;  ///< as ElectronSource::begin
  /// Middle of a raw frame in units of frames, 0 at the middle of the first.
  [[nodiscard]] double time_of(int raw) const;
};

/// For each row of weights (one a frame) the fine grid's Σ over electrons of weight · gain · share.
/// @param scales  one a frame
[[nodiscard]] std::vector<Image> deposit_all(const ElectronSource& source, const Detector& detector,
                                             const EventGrid& grid, const ShiftPlan& plan,
                                             const std::vector<std::vector<double>>& weights,
                                             const std::vector<double>& scales, std::uint64_t seed, int threads);

}  // namespace frazil::motion
