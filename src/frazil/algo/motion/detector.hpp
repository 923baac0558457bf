// What the detector adds to a movie: gain, defective pixels, and a fixed pattern that the gain did not remove.
#pragma once

#include <cstdint>
#include <vector>

#include "frazil/algo/motion/frames.hpp"

namespace frazil::motion {

/// Corrects raw frames: multiplies by the gain and replaces defective pixels.
class Detector {
 public:
  /// @param gain  nx × ny factors, or empty for none; pixels with factor 0 are defects
  /// @param seed  of the replacement of defects: the same for every reading of one movie
  Detector(int nx, int ny, Image gain, std::uint64_t seed);

  /// Declares pixels (y · nx + x) defective, in addition to those already known.
  void add_defects(const std::vector<std::uint64_t>& pixels);
  [[nodiscard]] const std::vector<std::uint64_t>& defects() const { return defects_; }
  [[nodiscard]] bool is_defect(int x, int y) const;
  [[nodiscard]] int nx() const { return nx_; }
  [[nodiscard]] int ny() const { return ny_; }
  /// Factors; empty for none.
  [[nodiscard]] const Image& gain() const { return gain_; }
  /// Good pixels (y · nx + x) that may stand in for a defective one, in the order of rows; empty where none is near.
  [[nodiscard]] std::vector<std::uint64_t> substitutes(std::uint64_t pixel) const;
  /// Gain and replacement, in place. A defective pixel takes the value of a good one of the same frame, at most two
  /// (where none is left, up to eight) pixels away, picked by a hash of seed, frame and pixel: this keeps the counting
  /// statistics.
  void correct(Image& frame, int index) const;
  /// What `correct` would put into the defective pixels, in the order of defects().
  [[nodiscard]] std::vector<float> replacements(const Counts& frame, int index) const;
  /// Factors of one row, or nullptr when there is no gain.
  [[nodiscard]] const float* gain_row(int y) const { return gain_.size() == 0 ? nullptr : gain_.row(y); }

 private:
  int nx_, ny_;
  Image gain_;
  std::uint64_t seed_;
  std::vector<std::uint64_t> defects_;  ///< ascending
};

/// Pixels of the unaligned sum that differ from the median of their 3 × 3 neighbourhood by more than `limit` standard
/// errors of counting, both signs, on the square-root scale, where counts have a nearly constant variance. Thick carbon
/// hides nothing and raises no alarm: the comparison is local.
/// @param variance_per_count  variance of a pixel over its mean: 1 for counted electrons
[[nodiscard]] std::vector<std::uint64_t> find_defects(ImageView sum, double variance_per_count, double limit = 6,
                                                      int threads = 1);

/// Variance of the pixel noise, from second differences along both axes (power only near the corner of the Fourier
/// plane, where the specimen has none); outliers beyond 8 standard deviations of their row are left out. Every fourth
/// row.
[[nodiscard]] double noise_variance(ImageView image);
/// The same from rows first_row, first_row + step, …, each with the one after it, of a frame multiplied by its gain.
[[nodiscard]] double noise_variance(const Counts& frame, const Detector& detector, int first_row, int step);

}  // namespace frazil::motion
