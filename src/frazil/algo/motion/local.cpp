#include "frazil/algo/motion/local.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/algo/motion/likelihood.hpp"
#include "frazil/base/linalg.hpp"
#include "frazil/base/parallel.hpp"

namespace frazil::motion {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int most_rounds = 5, most_groups = 48;  ///< limits of time: a group of a movie of 48 holds 1 e/Å² or more
constexpr double clearer = 1.6;                   ///< ratio of variances
/// 0.03 Å cost exp(−(2π 0.03/3)²/2) = 0.2 % of the signal at 3 Å; half a wave of the finest band, 8 Å, is as far as a
/// linearised likelihood reaches.
constexpr double converged_A = 0.03, largest_step_A = 4, node_error_A = 0.02;

/// A curve given at ascending places, linear between them, constant beyond.
std::vector<double> resampled(const std::vector<double>& places, const std::vector<double>& values, const Band& at) {
  std::vector<double> result;
  for (int s = 0; s < at.shells; ++s) {
    const double k = at.shell_per_A(s);
    const auto above = static_cast<std::size_t>(std::upper_bound(places.begin(), places.end(), k) - places.begin());
    if (above == 0)
      result.push_back(values.front());
    else if (above == places.size())
      result.push_back(values.back());
    else {
      const double f = (k - places[above - 1]) / (places[above] - places[above - 1]);
      result.push_back(values[above - 1] * (1 - f) + values[above] * f);
    }
  }
  return result;
}

/// All tiles at one point of the fit.
class TileFit {
 public:
  TileFit(const Tiles& tiles, double fixed_pattern, const std::vector<double>& amplitude, const TrackFit& global,
          const LocalSettings& settings)
      : tiles_(tiles), threads_(settings.threads) {
    for (const auto& tile : tiles.tiles) {
      likelihoods_.emplace_back(tile.band, fixed_pattern, *settings.backend, 1, tiles.moved);
      likelihoods_.back().amplitude = amplitude;
      usual_.push_back(resampled(global.signal_per_A, global.signal_power, tile.band));
    }
    weight.assign(tiles.tiles.size(), 1.0);
  }

  [[nodiscard]] Eigen::Index count() const { return static_cast<Eigen::Index>(likelihoods_.size()); }

  [[nodiscard]] TrackA track_of(std::size_t i, const TrackA& global, const std::array<MatrixXd, 2>& local) const {
    TrackA track = global;
    for (std::size_t t = 0; t < track.x.size(); ++t) {
      track.x[t] += local[0](static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(t));
      track.y[t] += local[1](static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(t));
    }
    return track;
  }

  void learn(const TrackA& global, const std::array<MatrixXd, 2>& local) {
    parallel_for(threads_, likelihoods_.size(),
                 [&](std::size_t i) { likelihoods_[i].learn_like(track_of(i, global, local), usual_[i]); });
  }

  [[nodiscard]] std::vector<std::array<Objective, 2>> halves(const TrackA& global,
                                                             const std::array<MatrixXd, 2>& local) const {
    std::vector<std::array<Objective, 2>> result(likelihoods_.size());
    parallel_for(threads_, result.size(),
                 [&](std::size_t i) { result[i] = likelihoods_[i].halves(track_of(i, global, local)); });
    return result;
  }

  [[nodiscard]] std::vector<std::array<double, 2>> half_values(const TrackA& global,
                                                               const std::array<MatrixXd, 2>& local) const {
    std::vector<std::array<double, 2>> result(likelihoods_.size());
    parallel_for(threads_, result.size(),
                 [&](std::size_t i) { result[i] = likelihoods_[i].half_values(track_of(i, global, local)); });
    return result;
  }

  /// Mean of the information along x and y.
  [[nodiscard]] std::vector<MatrixXd> information() const {
    std::vector<MatrixXd> result;
    for (const auto& l : likelihoods_) result.push_back(0.5 * (l.information_x() + l.information_y()));
    return result;
  }

  std::vector<double> weight;  ///< of each tile

 private:
  const Tiles& tiles_;
  int threads_;
  std::vector<Likelihood> likelihoods_;
  std::vector<std::vector<double>> usual_;
};

/// Gradients (tiles × groups, weights in them) of the chosen halves, and the information, as a Gaussian likelihood
/// around the present field.
struct Linear {
  std::array<MatrixXd, 2> gradient;
  MatrixXd total;  ///< information of all tiles
  LocalInformation local;
};

Linear linearise(const TileFit& fit, const std::vector<std::array<Objective, 2>>& halves,
                 const std::vector<MatrixXd>& information, const Places& places, const std::array<MatrixXd, 2>& local,
                 bool use_first, bool use_second) {
  const auto tiles = fit.count(), groups = local[0].cols();
  const double part = use_first && use_second ? 1 : 0.5;
  Linear result;
  result.total = MatrixXd::Zero(groups, groups);
  VectorXd trace(tiles);
  for (Eigen::Index i = 0; i < tiles; ++i) {
    const auto n = static_cast<std::size_t>(i);
    trace[i] = part * fit.weight[n] * information[n].trace();
    result.total += part * fit.weight[n] * information[n];
  }
  // A tile without a specimen says nothing, but eigenvectors want positive numbers.
  const double mean = trace.mean();
  result.local.tiles = places;
  result.local.share = mean > 0 ? VectorXd((trace / mean).cwiseMax(1e-6)) : VectorXd(VectorXd::Constant(tiles, 1e-6));
  result.local.h = result.total / result.local.share.sum();
  for (std::size_t c = 0; c < 2; ++c) {
    result.gradient[c] = MatrixXd::Zero(tiles, groups);
    for (Eigen::Index i = 0; i < tiles; ++i) {
      const auto n = static_cast<std::size_t>(i);
      for (std::size_t half = use_first ? 0 : 1; half < (use_second ? 2U : 1U); ++half)
        result.gradient[c].row(i) +=
            fit.weight[n] * as_eigen(c == 0 ? halves[n][half].gradient_x : halves[n][half].gradient_y).transpose();
    }
    MatrixXd& b = c == 0 ? result.local.b_x : result.local.b_y;
    b = result.gradient[c] + result.local.share.asDiagonal() * local[c] * result.local.h;
  }
  return result;
}

/// Tiles whose remaining gradient exceeds what noise leaves count less, as under Student's distribution.
void reweigh(TileFit& fit, const Linear& linear) {
  constexpr double tolerated = 1.5;  // χ² a freedom of a tile with 40 freedoms: by chance in one of fifty
  const auto [d, vectors] = eigen_symmetric(linear.local.h);
  const double least = 1e-6 * d.maxCoeff();
  const double freedom = 2 * static_cast<double>((d.array() > least).count());
  const VectorXd inverse = (d.array() > least).select(d.cwiseInverse(), 0);
  for (Eigen::Index i = 0; i < fit.count(); ++i) {
    double chi2 = 0;
    for (const auto& gradient : linear.gradient)
      chi2 += (vectors.transpose() * gradient.row(i).transpose()).cwiseAbs2().dot(inverse) / linear.local.share[i];
    fit.weight[static_cast<std::size_t>(i)] = chi2 > 0 ? std::min(1.0, tolerated * freedom / chi2) : 1;
  }
}

struct Gain {
  double total = 0, error = 0;
};

/// Log-likelihood of one half of the components along the field that the other half predicts, over that of the track
/// alone, both ways; its error from the spread over tiles.
Gain held_out_gain(const TileFit& fit, const std::vector<std::array<Objective, 2>>& here,
                   const std::vector<MatrixXd>& information, const Places& places, const TrackA& track,
                   const std::array<MatrixXd, 2>& local, SpaceKernel kernel, const LocalSmoothness& smoothness) {
  const std::array<MatrixXd, 2> none{MatrixXd::Zero(local[0].rows(), local[0].cols()),
                                     MatrixXd::Zero(local[0].rows(), local[0].cols())};
  const auto without = fit.half_values(track, none);
  VectorXd gains = VectorXd::Zero(fit.count());
  for (std::size_t half = 0; half < 2; ++half) {
    const Linear linear = linearise(fit, here, information, places, local, half == 0, half == 1);
    const auto with = fit.half_values(track, LocalPosterior(linear.local, kernel, smoothness).mean_at(places));
    for (std::size_t i = 0; i < with.size(); ++i)
      gains[static_cast<Eigen::Index>(i)] += fit.weight[i] * (with[i][1 - half] - without[i][1 - half]);
  }
  return {gains.sum(), std::sqrt((gains.array() - gains.mean()).square().sum())};
}

Places scaled(const std::vector<double>& x, const std::vector<double>& y, double side) {
  Places places;
  for (const double v : y)
    for (const double u : x) {
      places.x.push_back(u / side);
      places.y.push_back(v / side);
    }
  return places;
}

std::vector<double> nodes(int count, int length) {
  std::vector<double> result;
  for (int i = 0; i < count; ++i) result.push_back(0.5 + static_cast<double>(i) * (length - 1) / (count - 1));
  return result;
}

/// Largest difference between a field of n × n nodes, taken as linear between them, and the next finer one.
double interpolation_error(const std::array<MatrixXd, 2>& coarse, const std::array<MatrixXd, 2>& fine, int n) {
  double error = 0;
  const int m = 2 * n - 1;
  for (const auto c : {0U, 1U})
    for (int j = 0; j < m; ++j)
      for (int i = 0; i < m; ++i) {
        const int i0 = i / 2, i1 = (i + 1) / 2, j0 = j / 2, j1 = (j + 1) / 2;
        const auto mean = 0.25 * (coarse[c].row(j0 * n + i0) + coarse[c].row(j0 * n + i1) + coarse[c].row(j1 * n + i0) +
                                  coarse[c].row(j1 * n + i1));
        error = std::max(error, (mean - fine[c].row(j * m + i)).cwiseAbs().maxCoeff());
      }
  return error;
}

LocalField sample(const LocalPosterior& posterior, int nx, int ny) {
  const double side = std::sqrt(static_cast<double>(nx) * ny);
  LocalField field;
  const auto at = [&](int n) { return posterior.mean_at(scaled(nodes(n, nx), nodes(n, ny), side)); };
  int n = 9;
  field.shift_A = at(n);
  for (; n < 33; n = 2 * n - 1) {
    auto finer = at(2 * n - 1);
    if (interpolation_error(field.shift_A, finer, n) < node_error_A) break;
    field.shift_A = std::move(finer);
  }
  field.x = nodes(n, nx);
  field.y = nodes(n, ny);
  field.variance_A2 = posterior.variance_at(scaled(field.x, field.y, side));
  return field;
}

/// Covariance of the means over groups.
MatrixXd grouped(const TimeGroups& groups, const MatrixXd& of_frames) {
  MatrixXd mean = MatrixXd::Zero(groups.count(), groups.frames);
  for (int g = 0; g < groups.count(); ++g)
    for (int t = groups.first(g); t < groups.end(g); ++t) mean(g, t) = 1.0 / (groups.end(g) - groups.first(g));
  return mean * of_frames * mean.transpose();
}

/// Sum over frames of the variance that is left when the mean over frames is taken out.
double centred_trace(const MatrixXd& c) { return c.trace() - c.mean() * static_cast<double>(c.rows()); }

void copy_to(std::vector<double>& target, const VectorXd& source) { target.assign(source.begin(), source.end()); }

}  // namespace

LocalFit fit_local(std::span<const Image> binned, const Exposure& exposure, double fixed_pattern,
                   const TrackFit& global, const LocalSettings& settings) {
  const auto frames = static_cast<int>(binned.size());
  const double dose = exposure.per_frame > 0_e_per_A2 ? exposure.per_frame.value() : 1;
  LocalFit result;
  result.groups = {frames, std::max({1, static_cast<int>(settings.dose_per_group.value() / dose + 1e-6),
                                     (frames + most_groups - 1) / most_groups})};
  const TrackA start{result.groups.mean(global.track.x), result.groups.mean(global.track.y)};
  result.track = start;
  const int size = result.groups.size, nx = binned[0].nx(), ny = binned[0].ny();
  const Tiles tiles =
      cut_tiles(binned, result.groups, result.track, settings.pitch_A, settings.most_tiles, settings.limits,
                {exposure.per_frame * size, exposure.before, exposure.voltage}, settings.threads, *settings.backend);
  result.tiles_x = tiles.x.count();
  result.tiles_y = tiles.y.count();
  if (tiles.tiles.size() < 4) return result;  // nothing to tell places apart by
  TileFit fit(tiles, fixed_pattern * size, result.groups.mean(global.amplitude), global, settings);
  Places places;
  const double side = std::sqrt(static_cast<double>(nx) * ny);
  for (const auto& tile : tiles.tiles) {
    places.x.push_back(tile.x_px / side);
    places.y.push_back(tile.y_px / side);
  }
  const MatrixXd track_prior =
      grouped(result.groups, prior_covariance(frames, global.smoothness, settings.decay_frames));
  std::array<MatrixXd, 2> local{MatrixXd::Zero(fit.count(), result.groups.count()),
                                MatrixXd::Zero(fit.count(), result.groups.count())};
  std::vector<std::array<Objective, 2>> here;
  std::vector<MatrixXd> information;
  Linear linear;
  for (int round = 0; round < most_rounds; ++round) {
    if (round < 3) {
      fit.learn(result.track, local);
      information = fit.information();
    }
    here = fit.halves(result.track, local);
    linear = linearise(fit, here, information, places, local, true, true);
    if (round == 2) {
      reweigh(fit, linear);
      linear = linearise(fit, here, information, places, local, true, true);
    }
    if (linear.total.trace() <= 0) return result;
    if (round < 3)
      result.smoothness = learn_local_smoothness(linear.local, settings.kernel, 1 / (dose * size),
                                                 round > 0 ? std::optional(result.smoothness) : std::nullopt);
    const LocalPosterior posterior(linear.local, settings.kernel, result.smoothness);
    const auto goal = posterior.mean_at(places);
    result.log_evidence = posterior.log_evidence();
    const double change =
        std::max((goal[0] - local[0]).cwiseAbs().maxCoeff(), (goal[1] - local[1]).cwiseAbs().maxCoeff());
    const double fraction = std::min(1.0, largest_step_A / std::max(change, 1e-9));
    for (std::size_t c = 0; c < 2; ++c) local[c] += fraction * (goal[c] - local[c]);
    for (auto* axis : {&result.track.x, &result.track.y}) {
      const std::size_t c = axis == &result.track.x ? 0 : 1;
      const VectorXd gradient = linear.gradient[c].colwise().sum().transpose();
      const Posterior mean = motion::posterior({linear.total, linear.total * as_eigen(*axis) + gradient}, track_prior);
      copy_to(*axis, mean.mean);
      (c == 0 ? result.covariance_x : result.covariance_y) = mean.covariance;
    }
    result.rounds = round + 1;
    if (round > 2 && change < converged_A) break;
  }
  result.track_helps = clearer * (centred_trace(result.covariance_x) + centred_trace(result.covariance_y)) <
                       centred_trace(grouped(result.groups, global.covariance_x)) +
                           centred_trace(grouped(result.groups, global.covariance_y));
  if (!result.track_helps) result.track = start;
  here = fit.halves(result.track, local);
  const Gain gain =
      held_out_gain(fit, here, information, places, result.track, local, settings.kernel, result.smoothness);
  result.held_out_gain = gain.total;
  result.held_out_error = gain.error;
  result.helps = gain.total > 2 * gain.error;
  result.tile_weight = fit.weight;
  linear = linearise(fit, here, information, places, local, true, true);
  result.field = sample(LocalPosterior(linear.local, settings.kernel, result.smoothness), nx, ny);
  return result;
}

}  // namespace frazil::motion
