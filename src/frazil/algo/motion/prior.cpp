#include "frazil/algo/motion/prior.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "frazil/base/linalg.hpp"

namespace frazil::motion {
namespace {

constexpr double origin_sd_A = 200, velocity_sd_A = 20;  // wide: they take no part in the learning

double log_evidence(const Information& information, const Eigen::MatrixXd& covariance) {
  const auto n = covariance.rows();
  const SquareSolver lu(Eigen::MatrixXd::Identity(n, n) + information.h * covariance);
  return 0.5 * information.b.dot(covariance * lu.solve(information.b)) - 0.5 * lu.log_determinant();
}

/// What specimens usually do, as wide log-normal priors: few particles tell little of a movie's smoothness.
double log_usual(const Smoothness& s) {
  const auto energy = [](double value, double usual, double spread) {
    return -0.5 * std::pow(std::log(value / usual) / spread, 2);
  };
  return energy(s.acceleration_A, 0.05, 1.5) + energy(s.step_A, 0.1, 1) + energy(s.burst + 1, 4, 1);
}

/// Coordinate search upwards, by ever smaller factors.
template <class Score>
std::pair<Smoothness, double> climb(Smoothness best, const std::vector<double>& factors, const Score& score) {
  double best_score = score(best);
  const auto try_one = [&](double acceleration, double step, double burst) {
    const Smoothness candidate{std::clamp(best.acceleration_A * acceleration, 1e-4, 10.0),
                               std::clamp(best.step_A * step, 1e-4, 10.0),
                               std::clamp((best.burst + 1) * burst - 1, 0.0, 100.0)};
    const double s = score(candidate);
    if (s <= best_score) return false;
    best_score = s;
    best = candidate;
    return true;
  };
  for (const double factor : factors)
    for (int round = 0; round < 4; ++round) {
      bool moved = false;
      for (const double f : {factor, 1 / factor}) {
        moved |= try_one(f, 1, 1);
        moved |= try_one(1, f, 1);
        moved |= try_one(1, 1, f);
        moved |= try_one(f, 1, 1 / f);  // the ridges run along these
        moved |= try_one(f, 1 / f, 1);
      }
      if (!moved) break;
    }
  return {best, best_score};
}

}  // namespace

Eigen::MatrixXd prior_covariance(int frames, const Smoothness& smoothness, double decay_frames) {
  Eigen::MatrixXd covariance(frames, frames);
  for (int i = 0; i < frames; ++i)
    for (int j = 0; j <= i; ++j) {
      const double u = i - 0.5 * (frames - 1), v = j - 0.5 * (frames - 1);
      covariance(i, j) = origin_sd_A * origin_sd_A + velocity_sd_A * velocity_sd_A * u * v;
    }
  // An event between frames m − 1 and m: a step moves all frames from m on, a change of velocity moves frame t by t − m
  // + 1.
  for (int m = 1; m < frames; ++m) {
    const double boost = 1 + smoothness.burst * std::exp(-(m - 1) / decay_frames);
    const double step = std::pow(smoothness.step_A * boost, 2),
                 acceleration = std::pow(smoothness.acceleration_A * boost, 2);
    for (int i = m; i < frames; ++i)
      for (int j = m; j <= i; ++j) covariance(i, j) += step + acceleration * (i - m + 1) * (j - m + 1);
  }
  return covariance.selfadjointView<Eigen::Lower>();
}

Posterior posterior(const Information& information, const Eigen::MatrixXd& covariance) {
  const auto n = covariance.rows();
  const SquareSolver lu(Eigen::MatrixXd::Identity(n, n) + information.h * covariance);
  Posterior result;
  result.multiplier = lu.solve(information.b);
  result.mean = covariance * result.multiplier;
  const Eigen::MatrixXd full = covariance * lu.inverse();
  result.covariance = 0.5 * (full + full.transpose());
  result.log_evidence = 0.5 * information.b.dot(result.mean) - 0.5 * lu.log_determinant();
  return result;
}

Smoothness learn_smoothness(const Information& x, const Information& y, double decay_frames,
                            const std::optional<Smoothness>& known) {
  const auto frames = static_cast<int>(x.b.size());
  const auto score = [&](const Smoothness& s) {
    const auto covariance = prior_covariance(frames, s, decay_frames);
    return log_evidence(x, covariance) + log_evidence(y, covariance) + log_usual(s);
  };
  if (known) return climb(*known, {2.0, 1.4}, score).first;
  Smoothness best;
  double best_score = -std::numeric_limits<double>::infinity();
  // Smooth drift and random steps explain much of each other, so the evidence has a hill for either.
  for (const Smoothness& start : {Smoothness{0.1, 0.01, 5}, Smoothness{0.01, 0.15, 5}, Smoothness{0.05, 0.1, 2}}) {
    const auto [climbed, height] = climb(start, {4.0, 2.0, 1.4}, score);
    if (height <= best_score) continue;
    best_score = height;
    best = climbed;
  }
  return best;
}

}  // namespace frazil::motion
