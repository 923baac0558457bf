// The part of motion correction that a device may take over: transforms of frames, sums of their components along a
// track, sums of moved frames.
#pragma once

#include <memory>

#include "frazil/algo/motion/objective.hpp"
#include "frazil/algo/motion/warp.hpp"

namespace frazil::motion {

/// A band where a device computes. Several threads may ask at a time.
class TrackSums {
 public:
  TrackSums() = default;
  TrackSums(const TrackSums&) = delete;
  TrackSums& operator=(const TrackSums&) = delete;
  virtual ~TrackSums() = default;
  /// As `evaluate_halves`.
  [[nodiscard]] virtual std::array<Objective, 2> halves(const std::vector<double>& weight,
                                                        const std::vector<double>& amplitude,
                                                        const TrackA& track) const = 0;
  /// As `power_of_sum`.
  [[nodiscard]] virtual std::array<std::vector<double>, 2> powers(const std::vector<double>& amplitude,
                                                                  const TrackA& track) const = 0;
};

/// What computes. The same input gives the same bits, on any number of threads and at any time; what another backend
/// gives may differ by rounding. Several threads may ask at a time.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;
  /// As `make_band`; `empty_band` and `whiten` do what is not the transform.
  [[nodiscard]] virtual Band make_band(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits,
                                       const Exposure& exposure, int threads) const = 0;
  /// Brings a band, which must outlive the answer, to where sums are made, some hundred times as a rule.
  [[nodiscard]] virtual std::unique_ptr<TrackSums> hold(const Band& band, int threads) const = 0;
  /// As `warp_frames`; of a field that differs from place to place to a hundredth of a pixel.
  [[nodiscard]] virtual std::vector<Image> warp_frames(const FrameSource& frames, const Detector& detector,
                                                       const MotionField& field,
                                                       const std::vector<std::vector<double>>& weights,
                                                       const WarpParams& params) const = 0;
};

/// This program's own code.
[[nodiscard]] const Backend& cpu_backend();
/// The plain versions of the same: slow, in double precision, one thread.
[[nodiscard]] const Backend& reference_backend();

}  // namespace frazil::motion
