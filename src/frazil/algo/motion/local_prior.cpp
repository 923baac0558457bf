#include "frazil/algo/motion/local_prior.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "frazil/base/finite.hpp"
#include "frazil/base/linalg.hpp"

namespace frazil::motion {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Correlations between two lists of places.
MatrixXd correlations(SpaceKernel kernel, const Places& a, const Places& b, double length) {
  MatrixXd k(a.count(), b.count());
  for (int i = 0; i < a.count(); ++i)
    for (int j = 0; j < b.count(); ++j) {
      const auto p = static_cast<std::size_t>(i), q = static_cast<std::size_t>(j);
      k(i, j) = space_correlation(kernel, std::hypot(a.x[p] - b.x[q], a.y[p] - b.y[q]), length);
    }
  return k;
}

/// Takes the share-weighted mean over tiles out of the second argument of a covariance: K(·, j) − Σ_i ω_i K(·, i).
MatrixXd without_mean(const MatrixXd& k, const VectorXd& share) {
  const VectorXd mean = k * (share / share.sum());
  return k.colwise() - mean;
}

MatrixXd tile_covariance(const LocalInformation& information, SpaceKernel kernel, double length) {
  const MatrixXd half =
      without_mean(correlations(kernel, information.tiles, information.tiles, length), information.share);
  return without_mean(half.transpose(), information.share);
}

/// Data as independent numbers of unit noise: y = share^−½ b F⁻ᵀ, where h = F Fᵀ without its null space.
struct Whitened {
  MatrixXd factor;               ///< F
  std::array<MatrixXd, 2> data;  ///< tiles × rank
};

Whitened whiten(const LocalInformation& information) {
  const auto [d, vectors] = eigen_symmetric(information.h);
  const double least = 1e-9 * at_least_zero(d.maxCoeff());
  const auto rank = (d.array() > least).count();
  Whitened result;
  result.factor = vectors.rightCols(rank) * d.tail(rank).cwiseSqrt().asDiagonal();
  const MatrixXd inverse = vectors.rightCols(rank) * d.tail(rank).cwiseSqrt().cwiseInverse().asDiagonal();
  const VectorXd scale = information.share.cwiseSqrt().cwiseInverse();
  result.data = {scale.asDiagonal() * information.b_x * inverse, scale.asDiagonal() * information.b_y * inverse};
  return result;
}

struct Basis {
  MatrixXd vectors;
  VectorXd values;
};

Basis diagonalise(const MatrixXd& symmetric) {
  const auto [values, vectors] = eigen_symmetric(0.5 * (symmetric + symmetric.transpose()));
  return {vectors, values.cwiseMax(0.0)};
}

Basis space_basis(const LocalInformation& information, SpaceKernel kernel, double length) {
  const VectorXd root = information.share.cwiseSqrt();
  return diagonalise(root.asDiagonal() * tile_covariance(information, kernel, length) * root.asDiagonal());
}

/// Σ ½ y² λμ/(1 + λμ) − ½ log(1 + λμ) over all pairs of eigenvectors and both components.
/// @param squares  y² of both components
double evidence(const Basis& space, const Basis& time, const MatrixXd& squares, double amplitude2) {
  double sum = 0;
  for (Eigen::Index b = 0; b < time.values.size(); ++b) {
    double product = 1;  // one logarithm a column: values of 1 + v stay far from overflow
    for (Eigen::Index a = 0; a < space.values.size(); ++a) {
      const double v = space.values[a] * time.values[b] * amplitude2;
      sum += 0.5 * squares(a, b) * v / (1 + v);
      product *= 1 + v;
      if (product > 1e200) {
        sum -= std::log(product);
        product = 1;
      }
    }
    sum -= std::log(product);
  }
  return sum;
}

MatrixXd sum_of_squares(const std::array<MatrixXd, 2>& parts) { return parts[0].cwiseAbs2() + parts[1].cwiseAbs2(); }

double log_usual(const LocalSmoothness& s, double frames_per_dose) {
  const auto energy = [](double value, double usual, double spread) {
    return -0.5 * std::pow(std::log(value / usual) / spread, 2);
  };
  return energy(s.amplitude_A, 1, 1.5) + energy(s.length, 0.4, 0.5) + energy(s.memory, 8 * frames_per_dose, 1) +
         energy(s.floor, 0.15, 0.8) + energy(s.decay, 4 * frames_per_dose, 0.6);
}

}  // namespace

MatrixXd time_covariance(int frames, const LocalSmoothness& s) {
  MatrixXd covariance = MatrixXd::Zero(frames, frames);
  const auto speed = [&](int m) { return s.floor + std::exp(-(m - 0.5) / s.decay); };
  // Displacements of frames t, u are sums of the velocities m ≤ t, n ≤ u.
  for (int t = 1; t < frames; ++t)
    for (int u = 1; u < frames; ++u)
      covariance(t, u) = covariance(t - 1, u) + covariance(t, u - 1) - covariance(t - 1, u - 1) +
                         speed(t) * speed(u) * std::exp(-std::abs(t - u) / s.memory);
  if (frames > 1) covariance /= covariance(frames - 1, frames - 1);
  return covariance;
}

double space_correlation(SpaceKernel kernel, double distance, double length) {
  if (kernel == SpaceKernel::rough) return std::exp(-distance / length);
  const double u = std::sqrt(5.0) * distance / length;
  return (1 + u + u * u / 3) * std::exp(-u);
}

LocalPosterior::LocalPosterior(const LocalInformation& information, SpaceKernel kernel,
                               const LocalSmoothness& smoothness)
    : information_(information), kernel_(kernel), smoothness_(smoothness) {
  const Whitened whitened = whiten(information);
  time_ = smoothness.amplitude_A * smoothness.amplitude_A *
          time_covariance(static_cast<int>(information.h.rows()), smoothness);
  const Basis space = space_basis(information, kernel, smoothness.length),
              time = diagonalise(whitened.factor.transpose() * time_ * whitened.factor);
  space_vectors_ = space.vectors;
  space_values_ = space.values;
  time_vectors_ = whitened.factor * time.vectors;
  time_values_ = time.values;
  for (std::size_t c = 0; c < 2; ++c) {
    scaled_[c] = space.vectors.transpose() * whitened.data[c] * time.vectors;
  }
  log_evidence_ = evidence(space, time, sum_of_squares(scaled_), 1);
  for (auto& part : scaled_) part.array() /= 1 + (space_values_ * time_values_.transpose()).array();
}

MatrixXd LocalPosterior::covariance_to_tiles(const Places& places) const {
  MatrixXd k = correlations(kernel_, places, information_.tiles, smoothness_.length);
  const MatrixXd tiles = correlations(kernel_, information_.tiles, information_.tiles, smoothness_.length);
  k.rowwise() -= (information_.share.transpose() / information_.share.sum()) * tiles;
  return without_mean(k, information_.share);
}

std::array<MatrixXd, 2> LocalPosterior::mean_at(const Places& places) const {
  const MatrixXd left = covariance_to_tiles(places) * information_.share.cwiseSqrt().asDiagonal() * space_vectors_;
  const MatrixXd right = time_vectors_.transpose() * time_;
  return {left * scaled_[0] * right, left * scaled_[1] * right};
}

MatrixXd LocalPosterior::variance_at(const Places& places) const {
  const auto frames = time_.rows();
  const MatrixXd centre =
      MatrixXd::Identity(frames, frames) - MatrixXd::Constant(frames, frames, 1.0 / static_cast<double>(frames));
  const MatrixXd left =
      (covariance_to_tiles(places) * information_.share.cwiseSqrt().asDiagonal() * space_vectors_).cwiseAbs2();
  const MatrixXd right = (time_vectors_.transpose() * time_ * centre).cwiseAbs2();
  // Prior variance of a place after the mean over tiles is taken out.
  const VectorXd share = information_.share / information_.share.sum();
  const MatrixXd tiles = correlations(kernel_, information_.tiles, information_.tiles, smoothness_.length);
  const VectorXd own = VectorXd::Ones(places.count()) -
                       2 * correlations(kernel_, places, information_.tiles, smoothness_.length) * share +
                       VectorXd::Constant(places.count(), share.dot(tiles * share));
  const MatrixXd kept = (1 + (space_values_ * time_values_.transpose()).array()).inverse();
  return (own * (centre * time_ * centre).diagonal().transpose() - left * kept * right).cwiseMax(0.0);
}

LocalSmoothness learn_local_smoothness(const LocalInformation& information, SpaceKernel kernel, double frames_per_dose,
                                       const std::optional<LocalSmoothness>& start) {
  const Whitened whitened = whiten(information);
  const auto frames = static_cast<int>(information.h.rows());
  LocalSmoothness best = start.value_or(LocalSmoothness{1, 0.4, 8 * frames_per_dose, 0.15, 4 * frames_per_dose});
  double best_score = -1e300;
  Basis space, time;
  std::array<MatrixXd, 2> in_space;
  const auto use_length = [&](double length) {
    space = space_basis(information, kernel, length);
    for (std::size_t c = 0; c < 2; ++c) in_space[c] = space.vectors.transpose() * whitened.data[c];
  };
  // The amplitude costs nothing once both bases are known: it is searched for each setting of the rest.
  const auto score_of = [&](LocalSmoothness& s) {
    time = diagonalise(whitened.factor.transpose() * time_covariance(frames, s) * whitened.factor);
    const MatrixXd squares = sum_of_squares({in_space[0] * time.vectors, in_space[1] * time.vectors});
    const auto score = [&](double amplitude) {
      s.amplitude_A = amplitude;
      return evidence(space, time, squares, amplitude * amplitude) + log_usual(s, frames_per_dose);
    };
    double amplitude = s.amplitude_A, top = score(amplitude);
    for (const double factor : {2.0, 1.2})
      for (const double step : {factor, 1 / factor})
        for (double there = score(amplitude * step); there > top && amplitude > 1e-4; there = score(amplitude * step)) {
          top = there;
          amplitude *= step;
        }
    s.amplitude_A = amplitude;
    return top;
  };
  const auto try_one = [&](LocalSmoothness s) {
    s.floor = std::clamp(s.floor, 1e-3, 1.0);
    const double score = score_of(s);
    if (score <= best_score) return false;
    best_score = score;
    best = s;
    return true;
  };
  use_length(best.length);
  try_one(best);
  const std::vector<double> factors = start ? std::vector{1.5} : std::vector{2.5, 1.5};
  for (const double factor : factors)
    for (int round = 0; round < 3; ++round) {
      bool moved = false;
      for (const double f : {factor, 1 / factor}) {
        for (auto member : {&LocalSmoothness::memory, &LocalSmoothness::floor, &LocalSmoothness::decay}) {
          LocalSmoothness s = best;
          s.*member *= f;
          moved |= try_one(s);
        }
        LocalSmoothness s = best;
        s.length = std::clamp(s.length * f, 0.03, 4.0);
        use_length(s.length);
        moved |= try_one(s);
        use_length(best.length);
      }
      if (!moved) break;
    }
  return best;
}

}  // namespace frazil::motion
