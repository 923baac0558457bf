#include "frazil/algo/motion/likelihood.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/finite.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::motion {
namespace {

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

const Bessel& bessel() {
  static const Bessel instance;
  return instance;
}

/// Σ_k w J₀(2πk distance) and its slope by table, up to the greatest distance of two points of a track.
class Pull {
 public:
  Pull(const Band& band, const std::vector<double>& weight, const TrackA& track) {
    double reach = 0;
    for (std::size_t t = 0; t < track.x.size(); ++t)
      reach = std::max(reach, std::hypot(track.x[t] - track.x[0], track.y[t] - track.y[0]));
    values_.resize(static_cast<std::size_t>(2 * reach / step) + 4);
    for (int s = 0; s < band.shells; ++s)
      for (std::size_t i = 0; i < values_.size(); ++i)
        values_[i] += weight[z(s)] * band.shell_count[z(s)] *
                      bessel().at(two_pi * band.shell_per_A(s) * static_cast<double>(i) * step);
  }
  [[nodiscard]] double at(double distance) const {
    const auto [i, f] = place(distance);
    return values_[i] * (1 - f) + values_[i + 1] * f;
  }
  [[nodiscard]] double slope(double distance) const {
    const auto [i, f] = place(distance);
    return difference(i) * (1 - f) + difference(i + 1) * f;
  }

 private:
  static constexpr double step = 0.1;  ///< Å
  struct Place {
    std::size_t i;
    double f;
  };
  static Place place(double distance) {
    const auto i = static_cast<std::size_t>(distance / step);
    return {i, distance / step - static_cast<double>(i)};
  }
  [[nodiscard]] double difference(std::size_t i) const {
    return i == 0 ? 0 : (values_[i + 1] - values_[i - 1]) / (2 * step);
  }
  std::vector<double> values_;
};

}  // namespace

Likelihood::Likelihood(const Band& band, double fixed_pattern, const Backend& backend, int threads, TrackA moved)
    : amplitude(z(band.frames), 1.0),
      band_(band),
      fixed_pattern_(fixed_pattern),
      sums_(backend.hold(band, threads)),
      moved_(std::move(moved)) {
  kx2_.assign(z(band.shells), 0.0);
  ky2_.assign(z(band.shells), 0.0);
  for (const auto& row : band.rows)
    for (int i = 0; i < row.count; ++i) {
      const auto s = band.shell[row.component + z(i)];
      if (s >= band.shells) continue;
      kx2_[s] += std::pow((row.first_kx + i) * band.step_x_per_A, 2);
      ky2_[s] += std::pow(row.ky * band.step_y_per_A, 2);
    }
}

double Likelihood::aq2(int t, int s) const { return std::pow(amplitude[z(t)] * band_.q[z(t)][z(s)], 2); }

double Likelihood::total_aq2(int s) const {
  double sum = 0;
  for (int t = 0; t < band_.frames; ++t) sum += aq2(t, s);
  return sum;
}

TrackA Likelihood::within_band(const TrackA& track) const {
  if (moved_.x.empty()) return track;
  TrackA rest = track;
  for (std::size_t t = 0; t < rest.x.size(); ++t) {
    rest.x[t] -= moved_.x[t];
    rest.y[t] -= moved_.y[t];
  }
  return rest;
}

std::vector<double> Likelihood::sum_power(const TrackA& track) const {
  auto [power_here, other] = sums_->powers(amplitude, within_band(track));
  for (std::size_t s = 0; s < other.size(); ++s) power_here[s] += other[s];
  return std::move(power_here);
}

void Likelihood::learn(const TrackA& track) {
  use_power(measure_power(sum_power(track), pattern_overlap(track)).power);
}

void Likelihood::learn(const TrackA& track, const Objective& found) {
  const auto pattern = pattern_overlap(track);
  const auto used = weight;
  use_power(measure_power(found.sum_power, pattern).power);
  estimate_amplitude(found.overlap, used, pattern);
  use_power(measure_power(found.sum_power, pattern).power);
}

void Likelihood::learn_like(const TrackA& track, const std::vector<double>& usual) {
  constexpr double spread = 0.5;  // of the ratio to the usual power, shell by shell
  const Measured measured = measure_power(sum_power(track), pattern_overlap(track));
  double product = 0, square = 0;
  for (int s = 0; s < band_.shells; ++s) {
    if (measured.variance[z(s)] <= 0) continue;
    product += measured.power[z(s)] * usual[z(s)] / measured.variance[z(s)];
    square += usual[z(s)] * usual[z(s)] / measured.variance[z(s)];
  }
  const double scale = square > 0 ? at_least_zero(product / square) : 0;
  std::vector<double> raw(z(band_.shells));
  for (int s = 0; s < band_.shells; ++s) {
    const double expected = scale * usual[z(s)], prior = std::pow(spread * expected, 2),
                 total = prior + measured.variance[z(s)];
    raw[z(s)] = total > 0 ? (measured.power[z(s)] * prior + expected * measured.variance[z(s)]) / total : 0;
  }
  use_power(raw);
}

/// [frame][shell] Σ_u≠t ρ a_u q_u q_t J₀(2πk |s_t − s_u|): what a fixed pattern adds to the overlap of frame t with the
/// others.
std::vector<std::vector<double>> Likelihood::pattern_overlap(const TrackA& track) const {
  std::vector<std::vector<double>> overlap(z(band_.frames), std::vector<double>(z(band_.shells), 0.0));
  if (fixed_pattern_ <= 0) return overlap;
  for (int t = 0; t < band_.frames; ++t)
    for (int u = 0; u < band_.frames; ++u) {
      if (u == t) continue;
      const double distance = std::hypot(track.x[z(t)] - track.x[z(u)], track.y[z(t)] - track.y[z(u)]);
      for (int s = 0; s < band_.shells; ++s)
        overlap[z(t)][z(s)] += fixed_pattern_ * amplitude[z(u)] * band_.q[z(u)][z(s)] * band_.q[z(t)][z(s)] *
                               bessel().at(two_pi * band_.shell_per_A(s) * distance);
    }
  return overlap;
}

/// Mean power of each shell from pairs of different frames, and the variance of that when the shells' speckle is
/// Gaussian.
Likelihood::Measured Likelihood::measure_power(const std::vector<double>& sum_power,
                                               const std::vector<std::vector<double>>& pattern) const {
  Measured result{std::vector<double>(z(band_.shells)), std::vector<double>(z(band_.shells))};
  for (int s = 0; s < band_.shells; ++s) {
    const double total = total_aq2(s);
    double own = 0, squares = 0;
    for (int t = 0; t < band_.frames; ++t) {
      own += amplitude[z(t)] * (amplitude[z(t)] * band_.power[z(t)][z(s)] + pattern[z(t)][z(s)]);
      squares += aq2(t, s) * aq2(t, s);
    }
    const double pairs = total * total - squares;
    if (pairs <= 0) continue;
    const double mean = sum_power[z(s)] / std::max(1.0, band_.shell_count[z(s)]);
    result.power[z(s)] = (mean - own) / pairs;
    result.variance[z(s)] = std::pow(mean / pairs, 2) / std::max(1.0, band_.shell_count[z(s)]);
  }
  return result;
}

/// Smooths over neighbouring shells, clips and sets the weights.
void Likelihood::use_power(const std::vector<double>& raw) {
  power.assign(z(band_.shells), 0.0);
  weight.assign(z(band_.shells), 0.0);
  for (int s = 0; s < band_.shells; ++s) {
    double sum = 0, count = 0;
    for (int i = std::max(0, s - 1); i <= std::min(band_.shells - 1, s + 1); ++i) {
      const double n = band_.shell_count[z(i)] * (i == s ? 2 : 1);
      sum += n * raw[z(i)];
      count += n;
    }
    power[z(s)] = count > 0 ? at_least_zero(sum / count) : 0;
    weight[z(s)] = power[z(s)] / (1 + power[z(s)] * total_aq2(s));
  }
}

/// Amplitude of every frame from its overlap with the others, drawn towards 1 as far as it is uncertain.
/// @param used  weights that the overlap was summed with
void Likelihood::estimate_amplitude(const std::vector<double>& overlaps, const std::vector<double>& used,
                                    const std::vector<std::vector<double>>& pattern) {
  constexpr double spread = 0.3;  // of the prior: it does not matter where the certainty is far above 1/0.3² = 11
  std::vector<double> total(z(band_.shells));
  for (int s = 0; s < band_.shells; ++s) total[z(s)] = total_aq2(s);
  std::vector<double> next(z(band_.frames));
  for (int t = 0; t < band_.frames; ++t) {
    double overlap = overlaps[z(t)], expected = 0, variance = 0;
    for (int s = 0; s < band_.shells; ++s) {
      const auto i = z(s);
      const double n = band_.shell_count[i] * used[i], q2 = band_.q[z(t)][i] * band_.q[z(t)][i],
                   others = total[i] - aq2(t, s);
      overlap -= n * (amplitude[z(t)] * band_.power[z(t)][i] + pattern[z(t)][i]);
      expected += n * power[i] * q2 * others;
      variance += n * used[i] * q2 * others * (1 + power[i] * others) / 2;
    }
    const double certainty = variance > 0 ? expected * expected / variance : 0;
    const double measured = expected > 0 ? overlap / expected : 1;
    const double prior = 1 / (spread * spread);
    next[z(t)] = std::clamp((prior + measured * certainty) / (prior + certainty), 0.0, 2.0);
  }
  // The common factor belongs to the power.
  const double middle = median(next);
  for (int t = 0; t < band_.frames; ++t) amplitude[z(t)] = middle > 0.05 ? next[z(t)] / middle : 1;
}

Eigen::MatrixXd Likelihood::information(const std::vector<double>& k2) const {
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

Objective Likelihood::objective(const TrackA& track) const {
  Objective j = sum_of(sums_->halves(weight, amplitude, within_band(track)));
  if (fixed_pattern_ > 0) subtract_pattern(track, 1, j);
  return j;
}

std::array<Objective, 2> Likelihood::halves(const TrackA& track) const {
  auto parts = sums_->halves(weight, amplitude, within_band(track));
  if (fixed_pattern_ > 0)
    for (auto& part : parts) subtract_pattern(track, 0.5, part);
  return parts;
}

std::array<double, 2> Likelihood::half_values(const TrackA& track) const {
  const auto powers = sums_->powers(amplitude, within_band(track));
  std::array<double, 2> values{};
  for (std::size_t half = 0; half < 2; ++half)
    for (std::size_t s = 0; s < weight.size(); ++s) values[half] += weight[s] * powers[half][s];
  if (fixed_pattern_ <= 0) return values;
  const Pull pull(band_, weight, track);
  double sum = 0;
  for_pairs(track, [&](const Pair& pair) { sum += pair.strength * pull.at(std::hypot(pair.dx, pair.dy)); });
  for (double& value : values) value -= 0.5 * sum;
  return values;
}

template <class Body>
void Likelihood::for_pairs(const TrackA& track, const Body& body) const {
  std::vector<double> mean_q(z(band_.frames), 0.0);
  for (int t = 0; t < band_.frames; ++t)
    for (int s = 0; s < band_.shells; ++s) mean_q[z(t)] += band_.q[z(t)][z(s)] / band_.shells;
  for (std::size_t t = 0; t < mean_q.size(); ++t)
    for (std::size_t u = 0; u < t; ++u)
      body(Pair{t, u, track.x[t] - track.x[u], track.y[t] - track.y[u],
                2 * fixed_pattern_ * amplitude[t] * amplitude[u] * mean_q[t] * mean_q[u]});
}

void Likelihood::subtract_pattern(const TrackA& track, double share, Objective& j) const {
  constexpr double least = 1e-6;  // Å, below which there is no direction
  const Pull pull(band_, weight, track);
  for_pairs(track, [&](const Pair& pair) {
    const double distance = std::hypot(pair.dx, pair.dy), strength = share * pair.strength;
    j.value -= strength * pull.at(distance);
    if (distance < least) return;
    const double slope = strength * pull.slope(distance) / distance;
    j.gradient_x[pair.t] -= slope * pair.dx;
    j.gradient_x[pair.u] += slope * pair.dx;
    j.gradient_y[pair.t] -= slope * pair.dy;
    j.gradient_y[pair.u] += slope * pair.dy;
  });
}

}  // namespace frazil::motion
