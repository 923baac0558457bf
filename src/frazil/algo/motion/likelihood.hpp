// What the frames of a band say of their track: the specimen's spectrum learned from their agreement, and the
// likelihood under it.
#pragma once

#include <Eigen/Core>

#include "frazil/algo/motion/backend.hpp"

namespace frazil::motion {

/// Likelihood of a track for a Gaussian specimen of unknown position in white noise of power 1.
class Likelihood {
 public:
  /// @param fixed_pattern  power of what does not move over noise power in one frame; its expected pull to zero shift
  ///                       is taken out of the likelihood
  /// @param backend        makes the sums along tracks
  /// @param moved          by what frames were moved before they came into the band, Å; empty: not at all. Tracks
  /// include it.
  Likelihood(const Band& band, double fixed_pattern, const Backend& backend, int threads, TrackA moved = {});

  /// Learns the specimen's power from the frames' agreement along a track.
  void learn(const TrackA& track);
  /// Learns power and each frame's amplitude from the objective as it was found along a track with the present weights
  /// and amplitudes.
  void learn(const TrackA& track, const Objective& found);
  /// Learns the power of a band too small to tell alone: it is drawn towards a multiple of `usual`, as far as it is
  /// uncertain.
  void learn_like(const TrackA& track, const std::vector<double>& usual);

  [[nodiscard]] Objective objective(const TrackA& track) const;
  /// In two halves that share no component; their sum is the objective.
  [[nodiscard]] std::array<Objective, 2> halves(const TrackA& track) const;
  /// `value` of those halves alone, at half the cost.
  [[nodiscard]] std::array<double, 2> half_values(const TrackA& track) const;
  /// Expected negative Hessian of the objective along one axis, 1/Å².
  [[nodiscard]] Eigen::MatrixXd information_x() const { return information(kx2_); }
  [[nodiscard]] Eigen::MatrixXd information_y() const { return information(ky2_); }

  std::vector<double> amplitude;  ///< of each frame, 1 for a normal one
  std::vector<double> power;      ///< [shell] specimen power over noise power in one undamaged frame
  std::vector<double> weight;     ///< [shell] of the objective

 private:
  [[nodiscard]] double aq2(int t, int s) const;
  [[nodiscard]] double total_aq2(int s) const;
  [[nodiscard]] TrackA within_band(const TrackA& track) const;
  [[nodiscard]] std::vector<std::vector<double>> pattern_overlap(const TrackA& track) const;
  struct Measured {
    std::vector<double> power, variance;
  };
  [[nodiscard]] std::vector<double> sum_power(const TrackA& track) const;
  [[nodiscard]] Measured measure_power(const std::vector<double>& sum_power,
                                       const std::vector<std::vector<double>>& pattern) const;
  void use_power(const std::vector<double>& raw);
  void estimate_amplitude(const std::vector<double>& overlap, const std::vector<double>& used,
                          const std::vector<std::vector<double>>& pattern);
  [[nodiscard]] Eigen::MatrixXd information(const std::vector<double>& k2) const;
  /// Distance of two frames as the pattern lies in them.
  struct Pair {
    std::size_t t, u;
    double dx, dy, strength;
  };
  template <class Body>
  void for_pairs(const TrackA& track, const Body& body) const;
  void subtract_pattern(const TrackA& track, double share, Objective& j) const;

  const Band& band_;
  double fixed_pattern_;
  std::unique_ptr<TrackSums> sums_;
  TrackA moved_;
  std::vector<double> kx2_, ky2_;
};

}  // namespace frazil::motion
