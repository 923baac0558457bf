#include "frazil/algo/motion/track.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/algo/motion/likelihood.hpp"
#include "frazil/base/linalg.hpp"

namespace frazil::motion {
namespace {

constexpr int max_rounds = 12, steps_a_round = 3;  ///< both end by themselves before, as a rule
constexpr int searched_rounds = 3;                 ///< later ones start from the smoothness that the last one found
constexpr double track_converged_A = 0.01;         ///< costs exp(−(2π 0.01/3)²/2) = 2e-4 of the signal at 3 Å

std::vector<double> as_vector(const Eigen::VectorXd& v) { return {v.begin(), v.end()}; }

/// Energy of the prior; a pixel's thousandth on the diagonal makes every track possible.
class PriorEnergy {
 public:
  explicit PriorEnergy(const Eigen::MatrixXd& covariance)
      : solver_(covariance + 1e-6 * Eigen::MatrixXd::Identity(covariance.rows(), covariance.cols())) {}
  [[nodiscard]] double of(const TrackA& track) const { return 0.5 * (of(as_eigen(track.x)) + of(as_eigen(track.y))); }

 private:
  [[nodiscard]] double of(const Eigen::VectorXd& v) const { return v.dot(solver_.solve(v)); }
  SymmetricSolver solver_;
};

TrackA between(const TrackA& from, const TrackA& to, double fraction) {
  TrackA result = from;
  for (std::size_t t = 0; t < from.x.size(); ++t) {
    result.x[t] += fraction * (to.x[t] - from.x[t]);
    result.y[t] += fraction * (to.y[t] - from.y[t]);
  }
  return result;
}

double largest_change(const TrackA& a, const TrackA& b) {
  double change = 0;
  for (std::size_t t = 0; t < a.x.size(); ++t) change = std::max(change, std::hypot(a.x[t] - b.x[t], a.y[t] - b.y[t]));
  return change;
}

}  // namespace

TrackFit fit_track(const Band& band, double fixed_pattern, double decay_frames, const TrackA& start, int threads,
                   const Backend& backend) {
  Likelihood fit(band, fixed_pattern, backend, threads);
  TrackFit result;
  TrackA track = start;
  Objective here;
  for (int round = 0; round < max_rounds; ++round) {
    const TrackA before = track;
    if (round == 0)
      fit.learn(track);
    else
      fit.learn(track, here);
    const Eigen::MatrixXd hx = fit.information_x(), hy = fit.information_y();
    here = fit.objective(track);
    const auto inform = [](const Eigen::MatrixXd& h, const std::vector<double>& s,
                           const std::vector<double>& gradient) {
      return Information{h, h * as_eigen(s) + as_eigen(gradient)};
    };
    result.smoothness =
        learn_smoothness(inform(hx, track.x, here.gradient_x), inform(hy, track.y, here.gradient_y), decay_frames,
                         round < searched_rounds ? std::nullopt : std::optional(result.smoothness));
    const Eigen::MatrixXd prior = prior_covariance(band.frames, result.smoothness, decay_frames);
    const PriorEnergy energy(prior);
    for (int step = 0; step < steps_a_round; ++step) {
      const Posterior px = posterior(inform(hx, track.x, here.gradient_x), prior),
                      py = posterior(inform(hy, track.y, here.gradient_y), prior);
      const TrackA goal{as_vector(px.mean), as_vector(py.mean)};
      const double score = here.value - energy.of(track);
      double fraction = 1;
      for (int attempt = 0; attempt < 5; ++attempt, fraction /= 2) {
        const TrackA candidate = between(track, goal, fraction);
        Objective there = fit.objective(candidate);
        if (attempt < 4 && there.value - energy.of(candidate) < score) continue;
        if (there.value - energy.of(candidate) >= score) {
          track = candidate;
          here = std::move(there);
        }
        break;
      }
      result.covariance_x = px.covariance;
      result.covariance_y = py.covariance;
      if (fraction * largest_change(track, goal) < track_converged_A) break;
    }
    result.iterations = round + 1;
    if (round > 1 && largest_change(track, before) < track_converged_A) break;
  }
  result.track = track;
  result.amplitude = fit.amplitude;
  result.signal_power = fit.power;
  for (int s = 0; s < band.shells; ++s) result.signal_per_A.push_back(band.shell_per_A(s));
  return result;
}

}  // namespace frazil::motion
