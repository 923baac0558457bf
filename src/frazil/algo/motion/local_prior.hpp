// What local motion looks like before a movie is seen, and what it is after: a Gaussian process over place and time,
// separable, so that evidence and posterior cost two small eigenvalue problems.
#pragma once

#include <Eigen/Core>
#include <array>
#include <optional>
#include <vector>

namespace frazil::motion {

/// How correlation falls with distance: `smooth` twice differentiable (Matérn 5/2), `rough` continuous only
/// (exponential), for fields that break.
enum class SpaceKernel { smooth, rough };

/// Strength of the prior. Displacement relative to the first frame is the sum of velocities that are correlated over
/// `memory` frames and fall off as floor + exp(−t / decay).
struct LocalSmoothness {
  double amplitude_A = 1;  ///< standard deviation of the displacement of the last frame
  double length = 0.5;     ///< correlation length over the side of the frame (geometric mean)
  double memory = 8;       ///< frames
  double floor = 0.15;
  double decay = 4;  ///< frames
};

/// Covariance (frames × frames) in time for amplitude 1: zero for the first frame.
[[nodiscard]] Eigen::MatrixXd time_covariance(int frames, const LocalSmoothness& smoothness);
/// Correlation at a distance in units of the frame's side.
[[nodiscard]] double space_correlation(SpaceKernel kernel, double distance, double length);

/// Places in units of the frame's side.
struct Places {
  std::vector<double> x, y;
  [[nodiscard]] int count() const { return static_cast<int>(x.size()); }
};

/// What tiles say of their displacements: information of tile i is share[i] · h, of its two components b_x, b_y (tiles
/// × frames, 1/Å).
struct LocalInformation {
  Places tiles;
  Eigen::VectorXd share;  ///< > 0
  Eigen::MatrixXd h;      ///< 1/Å², its null vector is a common shift of all frames
  Eigen::MatrixXd b_x, b_y;
};

/// Posterior of the deviations from the mean over tiles, weighted by their shares: the mean belongs to the global
/// track.
class LocalPosterior {
 public:
  LocalPosterior(const LocalInformation& information, SpaceKernel kernel, const LocalSmoothness& smoothness);

  /// Log evidence over that of no local motion.
  [[nodiscard]] double log_evidence() const { return log_evidence_; }
  /// Mean at places, each (places × frames), Å.
  [[nodiscard]] std::array<Eigen::MatrixXd, 2> mean_at(const Places& places) const;
  /// Variance of either component at places (places × frames), Å², after the mean over frames is taken out.
  [[nodiscard]] Eigen::MatrixXd variance_at(const Places& places) const;

 private:
  [[nodiscard]] Eigen::MatrixXd covariance_to_tiles(const Places& places) const;

  const LocalInformation& information_;
  SpaceKernel kernel_;
  LocalSmoothness smoothness_;
  Eigen::MatrixXd time_;           ///< covariance in time, amplitude in it
  Eigen::MatrixXd space_vectors_;  ///< eigenvectors of √share K √share
  Eigen::VectorXd space_values_;
  Eigen::MatrixXd time_vectors_;  ///< columns: F V, where h = F Fᵀ and V diagonalises Fᵀ C F
  Eigen::VectorXd time_values_;
  std::array<Eigen::MatrixXd, 2> scaled_;  ///< data in both eigenbases over 1 + λμ
  double log_evidence_ = 0;
};

/// The smoothness with the largest evidence under wide log-normal priors of what specimens usually do.
/// @param frames_per_dose  frames in 1 e⁻/Å², which the usual times are given in
/// @param start  where the search begins when something is known already
[[nodiscard]] LocalSmoothness learn_local_smoothness(const LocalInformation& information, SpaceKernel kernel,
                                                     double frames_per_dose,
                                                     const std::optional<LocalSmoothness>& start = {});

}  // namespace frazil::motion
