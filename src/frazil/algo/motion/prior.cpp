#include "frazil/algo/motion/prior.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace frazil::motion {
namespace {

constexpr double origin_sd_A = 200, velocity_sd_A = 20;  // wide: they take no part in the learning

double log_evidence(const Information& information, const Eigen::MatrixXd& covariance) {
  const auto n = covariance.rows();
  const Eigen::PartialPivLU<Eigen::MatrixXd> lu(Eigen::MatrixXd::Identity(n, n) + information.h * covariance);
  const double log_det = lu.matrixLU().diagonal().array().abs().log().sum();
  return 0.5 * information.b.dot(covariance * lu.solve(information.b)) - 0.5 * log_det;
}

}  // namespace

Eigen::MatrixXd prior_covariance(int frames, const Smoothness& smoothness, double decay_frames) {
  Eigen::MatrixXd covariance(frames, frames);
  for (int i = 0; i < frames; ++i)
    for (int j = 0; j <= i; ++j) {
      const double u = i - 0.5 * (frames - 1), v = j - 0.5 * (frames - 1);
      covariance(i, j) = origin_sd_A * origin_sd_A + velocity_sd_A * velocity_sd_A * u * v;
    }
  // An event between frames m − 1 and m: a step moves all frames from m on, a change of velocity moves frame t by t − m + 1.
  for (int m = 1; m < frames; ++m) {
    const double boost = 1 + smoothness.burst * std::exp(-(m - 1) / decay_frames);
    const double step = std::pow(smoothness.step_A * boost, 2), acceleration = std::pow(smoothness.acceleration_A * boost, 2);
    for (int i = m; i < frames; ++i)
      for (int j = m; j <= i; ++j) covariance(i, j) += step + acceleration * (i - m + 1) * (j - m + 1);
  }
  return covariance.selfadjointView<Eigen::Lower>();
}

Posterior posterior(const Information& information, const Eigen::MatrixXd& covariance) {
  const auto n = covariance.rows();
  const Eigen::PartialPivLU<Eigen::MatrixXd> lu(Eigen::MatrixXd::Identity(n, n) + information.h * covariance);
  Posterior result;
  result.multiplier = lu.solve(information.b);
  result.mean = covariance * result.multiplier;
  const Eigen::MatrixXd full = covariance * lu.inverse();
  result.covariance = 0.5 * (full + full.transpose());
  result.log_evidence = 0.5 * information.b.dot(result.mean) - 0.5 * lu.matrixLU().diagonal().array().abs().log().sum();
  return result;
}

Smoothness learn_smoothness(const Information& x, const Information& y, double decay_frames, const Smoothness& start) {
  const auto frames = static_cast<int>(x.b.size());
  const auto score = [&](const Smoothness& s) {
    const auto covariance = prior_covariance(frames, s, decay_frames);
    return log_evidence(x, covariance) + log_evidence(y, covariance);
  };
  Smoothness best = start;
  double best_score = score(best);
  const auto try_one = [&](const Smoothness& candidate) {
    const double s = score(candidate);
    if (s <= best_score) return false;
    best_score = s;
    best = candidate;
    return true;
  };
  for (const double factor : {4.0, 2.0, 1.4})
    for (int round = 0; round < 4; ++round) {
      bool moved = false;
      for (const double f : {factor, 1 / factor}) {
        Smoothness s = best;
        s.acceleration_A = std::clamp(s.acceleration_A * f, 1e-4, 10.0);
        moved |= try_one(s);
        s = best;
        s.step_A = std::clamp(s.step_A * f, 1e-4, 10.0);
        moved |= try_one(s);
        s = best;
        s.burst = std::clamp((s.burst + 1) * f - 1, 0.0, 100.0);
        moved |= try_one(s);
        s = best;  // both at once, against each other: the ridge runs there
        s.acceleration_A = std::clamp(s.acceleration_A * f, 1e-4, 10.0);
        s.burst = std::clamp((s.burst + 1) / f - 1, 0.0, 100.0);
        moved |= try_one(s);
      }
      if (!moved) break;
    }
  return best;
}

}  // namespace frazil::motion
