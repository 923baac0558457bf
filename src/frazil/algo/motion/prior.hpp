// What tracks look like before a movie is seen: smooth, with a fast start; how smooth is learned from each movie.
#pragma once

#include <Eigen/Core>
#include <optional>
#include <vector>

namespace frazil::motion {

/// Strength of the prior in Å for a step from frame to frame. A track is a constant, plus a constant velocity, plus the
/// double sum of accelerations and the single sum of independent steps, all Gaussian. Both are larger at the
/// start by 1 + burst · exp(−t/τ).
struct Smoothness {
  double acceleration_A = 0.1;
  double step_A = 0.03;
  double burst = 3;
};

/// Covariance (frames × frames, Å²) of a track component under the prior.
/// @param decay_frames  τ
[[nodiscard]] Eigen::MatrixXd prior_covariance(int frames, const Smoothness& smoothness, double decay_frames);

/// One track component, or what is said of it frame by frame.
[[nodiscard]] inline Eigen::VectorXd as_eigen(const std::vector<double>& v) {
  return Eigen::Map<const Eigen::VectorXd>(v.data(), static_cast<Eigen::Index>(v.size()));
}

/// A Gaussian approximation of the likelihood of one track component: exp(b·s − ½ s·H s).
struct Information {
  Eigen::MatrixXd h;  ///< 1/Å², positive semi-definite; its null vector is the common shift of all frames
  Eigen::VectorXd b;  ///< 1/Å
};

struct Posterior {
  Eigen::VectorXd mean;        ///< Å
  Eigen::VectorXd multiplier;  ///< C⁻¹ mean, so that the prior's energy is ½ mean · multiplier
  Eigen::MatrixXd covariance;  ///< Å²
  double log_evidence = 0;     ///< up to a constant that does not depend on the prior
};
[[nodiscard]] Posterior posterior(const Information& information, const Eigen::MatrixXd& covariance);

/// The smoothness with the largest evidence for both components together (MacKay 1992, doi:10.1162/neco.1992.4.3.415),
/// by coordinate search on a logarithmic grid from several starts, or from one where something is known already.
[[nodiscard]] Smoothness learn_smoothness(const Information& x, const Information& y, double decay_frames,
                                          const std::optional<Smoothness>& start = {});

}  // namespace frazil::motion
