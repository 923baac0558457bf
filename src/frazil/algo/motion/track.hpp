// The track of whole frames: the most probable one under a likelihood and a prior that are both learned from the movie.
#pragma once

#include "frazil/algo/motion/backend.hpp"
#include "frazil/algo/motion/coarse.hpp"
#include "frazil/algo/motion/prior.hpp"

namespace frazil::motion {

struct TrackFit {
  TrackA track;                   ///< Å, any origin
  std::vector<double> amplitude;  ///< of the specimen's signal in each frame, 1 for a normal one, near 0 for a bad one
  Eigen::MatrixXd covariance_x, covariance_y;  ///< posterior, Å²
  Smoothness smoothness;
  std::vector<double> signal_power;  ///< [shell] specimen power over noise power in one undamaged frame
  std::vector<double> signal_per_A;  ///< [shell] frequency
  int iterations = 0;
};

/// Maximises log-likelihood plus log-prior by Fisher scoring with line search. Between steps the specimen's power
/// spectrum (hence the weights, which so follow CTF, damage and blur), the amplitude of every frame and the smoothness
/// are learned anew.
///
/// @param fixed_pattern  power of what does not move over noise power in one frame; its expected pull to zero shift
///                       is taken out of the likelihood
/// @param decay_frames   time constant of the fast start
[[nodiscard]] TrackFit fit_track(const Band& band, double fixed_pattern, double decay_frames, const TrackA& start,
                                 int threads, const Backend& backend = cpu_backend());

}  // namespace frazil::motion
