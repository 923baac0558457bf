#include "frazil/algo/motion/track.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace frazil::motion {
namespace {

constexpr double two_pi = 2 * std::numbers::pi;
constexpr int max_rounds = 12, steps_a_round = 3;
constexpr double converged_A = 0.01;

std::size_t z(int n) { return static_cast<std::size_t>(n); }
Eigen::VectorXd as_eigen(const std::vector<double>& v) { return Eigen::Map<const Eigen::VectorXd>(v.data(), static_cast<Eigen::Index>(v.size())); }
std::vector<double> as_vector(const Eigen::VectorXd& v) { return {v.begin(), v.end()}; }

/// Bessel function J₀ by table, for the overlap of a fixed pattern with itself along a track.
class Bessel {
 public:
  Bessel() {
    for (std::size_t i = 0; i < table_.size(); ++i) table_[i] = std::cyl_bessel_j(0.0, static_cast<double>(i) * step);
  }
  [[nodiscard]] double at(double u) const {
    const double position = u / step;
    const auto i = static_cast<std::size_t>(position);
    if (i + 1 >= table_.size()) return 0;
    const double f = position - static_cast<double>(i);
    return table_[i] * (1 - f) + table_[i + 1] * f;
  }

 private:
  static constexpr double step = 0.02;
  std::vector<double> table_ = std::vector<double>(10000);
};

/// Everything that a round learns and the next steps use.
class Fit {
 public:
  Fit(const Band& band, double fixed_pattern, double decay_frames, int threads)
      : band_(band), fixed_pattern_(fixed_pattern), decay_frames_(decay_frames), threads_(threads) {
    kx2_.assign(z(band.shells), 0.0);
    ky2_.assign(z(band.shells), 0.0);
    for (const auto& row : band.rows)
      for (int i = 0; i < row.count; ++i) {
        const auto s = band.shell[row.component + z(i)];
        if (s >= band.shells) continue;
        kx2_[s] += std::pow((row.first_kx + i) * band.step_x_per_A, 2);
        ky2_[s] += std::pow(row.ky * band.step_y_per_A, 2);
      }
    amplitude.assign(z(band.frames), 1.0);
  }

  void learn_spectrum(const TrackA& track, bool learn_amplitude) {
    const Agreement found = agreement(band_, amplitude, track, threads_);
    const auto pattern = pattern_overlap(track);
    estimate_power(found, pattern);
    if (!learn_amplitude) return;
    estimate_amplitude(found, pattern);
    estimate_power(found, pattern);
  }

  [[nodiscard]] Objective objective(const TrackA& track) const {
    Objective j = evaluate(band_, weight, amplitude, track, threads_);
    if (fixed_pattern_ > 0) subtract_pattern(track, j);
    return j;
  }

  [[nodiscard]] Eigen::MatrixXd information_x() const { return information(kx2_); }
  [[nodiscard]] Eigen::MatrixXd information_y() const { return information(ky2_); }
  [[nodiscard]] double decay_frames() const { return decay_frames_; }

  std::vector<double> amplitude, power, weight;

 private:
  [[nodiscard]] double aq2(int t, int s) const { return std::pow(amplitude[z(t)] * band_.q[z(t)][z(s)], 2); }
  [[nodiscard]] double total_aq2(int s) const {
    double sum = 0;
    for (int t = 0; t < band_.frames; ++t) sum += aq2(t, s);
    return sum;
  }

  /// [frame][shell] Σ_u≠t ρ a_u q_u q_t J₀(2πk |s_t − s_u|): what a fixed pattern adds to the overlap of frame t with the others.
  [[nodiscard]] std::vector<std::vector<double>> pattern_overlap(const TrackA& track) const {
    std::vector<std::vector<double>> overlap(z(band_.frames), std::vector<double>(z(band_.shells), 0.0));
    if (fixed_pattern_ <= 0) return overlap;
    for (int t = 0; t < band_.frames; ++t)
      for (int u = 0; u < band_.frames; ++u) {
        if (u == t) continue;
        const double distance = std::hypot(track.x[z(t)] - track.x[z(u)], track.y[z(t)] - track.y[z(u)]);
        for (int s = 0; s < band_.shells; ++s)
          overlap[z(t)][z(s)] += fixed_pattern_ * amplitude[z(u)] * band_.q[z(u)][z(s)] * band_.q[z(t)][z(s)] * bessel_.at(two_pi * band_.shell_per_A(s) * distance);
      }
    return overlap;
  }

  void estimate_power(const Agreement& found, const std::vector<std::vector<double>>& pattern) {
    std::vector<double> raw(z(band_.shells));
    for (int s = 0; s < band_.shells; ++s) {
      const double total = total_aq2(s);
      double own = 0, squares = 0;
      for (int t = 0; t < band_.frames; ++t) {
        own += amplitude[z(t)] * (amplitude[z(t)] * band_.power[z(t)][z(s)] + pattern[z(t)][z(s)]);
        squares += aq2(t, s) * aq2(t, s);
      }
      const double pairs = total * total - squares;
      raw[z(s)] = pairs > 0 ? (found.sum_power[z(s)] - own) / pairs : 0;
    }
    power.assign(z(band_.shells), 0.0);
    weight.assign(z(band_.shells), 0.0);
    for (int s = 0; s < band_.shells; ++s) {
      double sum = 0, count = 0;
      for (int i = std::max(0, s - 1); i <= std::min(band_.shells - 1, s + 1); ++i) {
        const double n = band_.shell_count[z(i)] * (i == s ? 2 : 1);
        sum += n * raw[z(i)];
        count += n;
      }
      power[z(s)] = count > 0 ? std::max(0.0, sum / count) : 0;
      weight[z(s)] = power[z(s)] / (1 + power[z(s)] * total_aq2(s));
    }
  }

  /// Amplitude of every frame from its overlap with the others, drawn towards 1 as far as it is uncertain.
  void estimate_amplitude(const Agreement& found, const std::vector<std::vector<double>>& pattern) {
    constexpr double spread = 0.3;
    std::vector<double> total(z(band_.shells));
    for (int s = 0; s < band_.shells; ++s) total[z(s)] = total_aq2(s);
    std::vector<double> next(z(band_.frames));
    for (int t = 0; t < band_.frames; ++t) {
      double overlap = 0, expected = 0, variance = 0;
      for (int s = 0; s < band_.shells; ++s) {
        const auto i = z(s);
        const double n = band_.shell_count[i] * weight[i], q2 = band_.q[z(t)][i] * band_.q[z(t)][i], others = total[i] - aq2(t, s);
        overlap += n * (found.overlap[z(t)][i] - amplitude[z(t)] * band_.power[z(t)][i] - pattern[z(t)][i]);
        expected += n * power[i] * q2 * others;
        variance += n * weight[i] * q2 * others * (1 + power[i] * others) / 2;
      }
      const double certainty = variance > 0 ? expected * expected / variance : 0;
      const double measured = expected > 0 ? overlap / expected : 1;
      const double prior = 1 / (spread * spread);
      next[z(t)] = std::clamp((prior + measured * certainty) / (prior + certainty), 0.0, 2.0);
    }
    // The common factor belongs to the power.
    auto sorted = next;
    std::nth_element(sorted.begin(), sorted.begin() + band_.frames / 2, sorted.end());
    const double middle = sorted[z(band_.frames / 2)];
    for (int t = 0; t < band_.frames; ++t) amplitude[z(t)] = middle > 0.05 ? next[z(t)] / middle : 1;
  }

  /// Expected negative Hessian of the objective along one axis.
  [[nodiscard]] Eigen::MatrixXd information(const std::vector<double>& k2) const {
    Eigen::MatrixXd h = Eigen::MatrixXd::Zero(band_.frames, band_.frames);
    Eigen::VectorXd v(band_.frames);
    for (int s = 0; s < band_.shells; ++s) {
      const double factor = 2 * two_pi * two_pi * weight[z(s)] * power[z(s)] * k2[z(s)];
      if (factor <= 0) continue;
      for (int t = 0; t < band_.frames; ++t) v[t] = aq2(t, s);
      h.diagonal() += factor * v.sum() * v;
      h -= factor * v * v.transpose();
    }
    return h;
  }

  void subtract_pattern(const TrackA& track, Objective& j) const {
    constexpr double h = 0.01;  // Å, for the slope
    std::vector<double> mean_q(z(band_.frames), 0.0);
    for (int t = 0; t < band_.frames; ++t)
      for (int s = 0; s < band_.shells; ++s) mean_q[z(t)] += band_.q[z(t)][z(s)] / band_.shells;
    const auto overlap = [&](double distance) {
      double sum = 0;
      for (int s = 0; s < band_.shells; ++s) sum += weight[z(s)] * band_.shell_count[z(s)] * bessel_.at(two_pi * band_.shell_per_A(s) * distance);
      return fixed_pattern_ * sum;
    };
    for (int t = 0; t < band_.frames; ++t)
      for (int u = 0; u < t; ++u) {
        const double dx = track.x[z(t)] - track.x[z(u)], dy = track.y[z(t)] - track.y[z(u)], distance = std::hypot(dx, dy);
        const double pair = 2 * amplitude[z(t)] * amplitude[z(u)] * mean_q[z(t)] * mean_q[z(u)];
        j.value -= pair * overlap(distance);
        if (distance < h) continue;
        const double slope = pair * (overlap(distance + h) - overlap(distance - h)) / (2 * h) / distance;
        j.gradient_x[z(t)] -= slope * dx;
        j.gradient_x[z(u)] += slope * dx;
        j.gradient_y[z(t)] -= slope * dy;
        j.gradient_y[z(u)] += slope * dy;
      }
  }

  const Band& band_;
  double fixed_pattern_, decay_frames_;
  int threads_;
  std::vector<double> kx2_, ky2_;
  Bessel bessel_;
};

/// Energy of the prior; a pixel's thousandth on the diagonal makes every track possible.
class PriorEnergy {
 public:
  explicit PriorEnergy(const Eigen::MatrixXd& covariance)
      : solver_(covariance + 1e-6 * Eigen::MatrixXd::Identity(covariance.rows(), covariance.cols())) {}
  [[nodiscard]] double of(const TrackA& track) const { return 0.5 * (of(as_eigen(track.x)) + of(as_eigen(track.y))); }

 private:
  [[nodiscard]] double of(const Eigen::VectorXd& v) const { return v.dot(solver_.solve(v)); }
  Eigen::LDLT<Eigen::MatrixXd> solver_;
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

TrackFit fit_track(const Band& band, double fixed_pattern, double decay_frames, const TrackA& start, int threads) {
  Fit fit(band, fixed_pattern, decay_frames, threads);
  TrackFit result;
  TrackA track = start;
  for (int round = 0; round < max_rounds; ++round) {
    const TrackA before = track;
    fit.learn_spectrum(track, round > 0);
    const Eigen::MatrixXd hx = fit.information_x(), hy = fit.information_y();
    Objective here = fit.objective(track);
    const auto inform = [](const Eigen::MatrixXd& h, const std::vector<double>& s, const std::vector<double>& gradient) {
      return Information{h, h * as_eigen(s) + as_eigen(gradient)};
    };
    result.smoothness = learn_smoothness(inform(hx, track.x, here.gradient_x), inform(hy, track.y, here.gradient_y), fit.decay_frames());
    const Eigen::MatrixXd prior = prior_covariance(band.frames, result.smoothness, fit.decay_frames());
    const PriorEnergy energy(prior);
    for (int step = 0; step < steps_a_round; ++step) {
      const Posterior px = posterior(inform(hx, track.x, here.gradient_x), prior), py = posterior(inform(hy, track.y, here.gradient_y), prior);
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
      if (fraction * largest_change(track, goal) < converged_A) break;
    }
    result.noise_x = result.covariance_x * hx * result.covariance_x;
    result.noise_y = result.covariance_y * hy * result.covariance_y;
    result.iterations = round + 1;
    if (round > 1 && largest_change(track, before) < converged_A) break;
  }
  result.track = track;
  result.amplitude = fit.amplitude;
  result.signal_power = fit.power;
  return result;
}

}  // namespace frazil::motion
