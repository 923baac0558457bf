#include "frazil/algo/motion/align.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/motion/band.hpp"
#include "frazil/algo/motion/local.hpp"
#include "frazil/algo/motion/survey.hpp"
#include "frazil/algo/motion/track.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/index.hpp"

namespace frazil::motion {
namespace {

constexpr int most_groups = 128;  ///< binned images: bounds memory; of more frames several are added up
constexpr std::uint64_t repair_seed = 0x6d6f74696f6eULL;  ///< any: the letters of "motion"

/// Variance of the difference of two entries under a covariance.
double variance_between(const Eigen::MatrixXd& c, Eigen::Index i, Eigen::Index j) {
  return c(i, i) + c(j, j) - 2 * c(i, j);
}

/// Mean length of a vector whose components scatter with `variance` about those of one of length `length` (Rice 1945,
/// doi:10.1002/j.1538-7305.1945.tb00453.x).
double mean_length(double length, double variance) {
  if (!(variance > 0)) return length;
  const double x = length * length / (2 * variance);
  constexpr double long_enough = 50;  // three terms of the asymptotic series hold to 1e-6
  if (x > long_enough) return length * (1 + (0.25 + 0.03125 / x) / x);
  return std::sqrt(std::numbers::pi * variance / 2) * std::exp(-x / 2) *
         ((1 + x) * std::cyl_bessel_i(0, x / 2) + x * std::cyl_bessel_i(1, x / 2));
}

/// Expected lengths under the track's posterior distribution. The most probable track is smoother than the true one, by
/// just what its covariance says: taking noise off its steps would make the path too short twice.
/// @param covariance_x, covariance_y  of the posterior, Å²
PathStatistics path_statistics(const TrackA& track, const Eigen::MatrixXd& covariance_x,
                               const Eigen::MatrixXd& covariance_y) {
  const auto step = [&](std::size_t i, std::size_t j) {
    const auto a = static_cast<Eigen::Index>(i), b = static_cast<Eigen::Index>(j);
    return Angstrom(mean_length(std::hypot(track.x[j] - track.x[i], track.y[j] - track.y[i]),
                                0.5 * (variance_between(covariance_x, a, b) + variance_between(covariance_y, a, b))));
  };
  PathStatistics path;
  const std::size_t n = track.x.size();
  for (std::size_t t = 1; t < n; ++t) {
    path.total_path += step(t - 1, t);
    path.max_step = std::max(path.max_step, step(t - 1, t));
  }
  if (n > 1) path.net_drift = step(0, n - 1);
  return path;
}

/// Variance of each frame after the mean over frames is taken out.
Eigen::VectorXd centred_variance(const Eigen::MatrixXd& c) {
  return (c.diagonal() - 2 * c.rowwise().mean()).array() + c.mean();
}

/// Mean of both components.
Eigen::VectorXd mean_variance(const Eigen::MatrixXd& x, const Eigen::MatrixXd& y) {
  return 0.5 * (centred_variance(x) + centred_variance(y));
}

/// RMS standard error of a component after the mean over frames is taken out.
double centred_sigma(const Eigen::MatrixXd& x, const Eigen::MatrixXd& y) {
  return std::sqrt(at_least_zero(mean_variance(x, y).mean()));
}

/// Values of groups of `group` frames, at their centres, brought to single frames; linear, also beyond the ends.
std::vector<double> to_frames(const std::vector<double>& values, int frames, int group) {
  const auto groups = static_cast<int>(values.size());
  const auto centre = [&](int g) { return 0.5 * (g * group + std::min((g + 1) * group, frames) - 1); };
  std::vector<double> result;
  for (int t = 0; t < frames; ++t) {
    const int g = std::clamp(t / group - (t < centre(t / group) ? 1 : 0), 0, std::max(0, groups - 2));
    const int next = std::min(g + 1, groups - 1);
    const double f = next > g ? (t - centre(g)) / (centre(next) - centre(g)) : 0;
    result.push_back(values[z(g)] + f * (values[z(next)] - values[z(g)]));
  }
  return result;
}

/// Pixels, first frame at zero.
std::vector<Shift> to_shifts(const std::vector<double>& x_A, const std::vector<double>& y_A, double pixel_A) {
  std::vector<Shift> result;
  for (std::size_t t = 0; t < x_A.size(); ++t)
    result.push_back({(x_A[t] - x_A[0]) / pixel_A, (y_A[t] - y_A[0]) / pixel_A});
  return result;
}

std::vector<double> row_of(const Eigen::MatrixXd& m, std::size_t row) {
  const auto values = m.row(static_cast<Eigen::Index>(row));
  return {values.begin(), values.end()};
}

/// Weights of nodes in the mean over the area: the ends stand for half an interval.
std::vector<double> node_weights(std::size_t count) {
  std::vector<double> w(count, 1.0);
  w.front() = w.back() = 0.5;
  for (double& v : w) v /= static_cast<double>(count - 1);
  return w;
}

/// Puts the fitted field in the place of the track.
void use_field(const LocalFit& fit, const TrackFit& global, const FrameSource& frames, int bin, int group,
               Alignment& result) {
  const int per_group = group * fit.groups.size;
  const double pixel_A = frames.pixel_size.value();
  const auto &nx = fit.field.x, &ny = fit.field.y;
  const std::size_t nodes = nx.size() * ny.size(), count = z(frames.count);
  std::vector<Shift> shifts(count * nodes);
  result.local.sigma_px.resize(count * nodes);
  const bool retrack = fit.track_helps && per_group == 1;
  const auto track = !retrack ? result.track
                              : to_shifts(to_frames(fit.track.x, frames.count, per_group),
                                          to_frames(fit.track.y, frames.count, per_group), pixel_A);
  const Eigen::VectorXd own = retrack ? mean_variance(fit.covariance_x, fit.covariance_y)
                                      : mean_variance(global.covariance_x, global.covariance_y);
  for (std::size_t i = 0; i < nodes; ++i) {
    const auto local = to_shifts(to_frames(row_of(fit.field.shift_A[0], i), frames.count, per_group),
                                 to_frames(row_of(fit.field.shift_A[1], i), frames.count, per_group), pixel_A);
    const auto variance = row_of(fit.field.variance_A2, i);
    for (std::size_t t = 0; t < count; ++t) {
      shifts[t * nodes + i] = {track[t].x + local[t].x, track[t].y + local[t].y};
      const double of_track = own[static_cast<Eigen::Index>(t / z(retrack ? per_group : group))];
      result.local.sigma_px[t * nodes + i] = std::sqrt(at_least_zero(of_track) + variance[t / z(per_group)]) / pixel_A;
    }
  }
  const auto wx = node_weights(nx.size()), wy = node_weights(ny.size());
  double squares = 0;
  for (std::size_t t = 0; t < count; ++t) {
    Shift mean;
    double square = 0;
    for (std::size_t i = 0; i < nodes; ++i) {
      const double w = wx[i % nx.size()] * wy[i / nx.size()];
      const Shift& s = shifts[t * nodes + i];
      mean = {mean.x + w * s.x, mean.y + w * s.y};
      square += w * (s.x * s.x + s.y * s.y);
    }
    result.track[t] = mean;
    squares += at_least_zero(square - mean.x * mean.x - mean.y * mean.y) / static_cast<double>(count);
  }
  result.local.amplitude = Angstrom(std::sqrt(squares) * pixel_A);
  std::vector<double> x_px, y_px;
  for (const double u : nx) x_px.push_back(u * bin - 0.5);
  for (const double v : ny) y_px.push_back(v * bin - 0.5);
  result.field = MotionField(std::move(x_px), std::move(y_px), std::move(shifts));
  if (retrack) {
    result.path = path_statistics(fit.track, fit.covariance_x, fit.covariance_y);
    result.sigma_px = centred_sigma(fit.covariance_x, fit.covariance_y) / pixel_A;
  }
}

/// Resolution up to which all but a hundredth of what frames say of their shifts is found.
Angstrom informative_resolution(const TrackFit& fit, Angstrom finest) {
  std::vector<double> sum;  // information of a shell goes as k³ P²/(1 + P T)
  for (std::size_t s = 0; s < fit.signal_power.size(); ++s) {
    const double p = fit.signal_power[s], information = std::pow(fit.signal_per_A[s], 3) * p * p /
                                                        (1 + p * static_cast<double>(fit.track.x.size()));
    sum.push_back((sum.empty() ? 0 : sum.back()) + information);
  }
  const auto reached = std::find_if(sum.begin(), sum.end(), [&](double v) { return v >= 0.99 * sum.back(); });
  constexpr auto coarsest = 15_A;  // blur by local motion may hide the rest
  return std::clamp(Angstrom(1 / fit.signal_per_A[z(static_cast<int>(reached - sum.begin()))]), finest,
                    std::max(finest, coarsest));
}

/// Finer tiles and a field that may break.
LocalSettings flow_settings() {
  LocalSettings settings;
  settings.kernel = SpaceKernel::rough;
  settings.pitch_A = 350;
  settings.most_tiles = 12;
  return settings;
}

}  // namespace

Alignment align_frames(const FrameSource& frames, Detector& detector, const Exposure& exposure,
                       const AlignParams& params) {
  const int bin = std::max(1, static_cast<int>(0.45 * params.max_resolution / frames.pixel_size));
  const int group = (frames.count + most_groups - 1) / most_groups;
  Survey first = survey(frames, detector, bin, group, params.threads);
  if (params.find_defects) {
    const double mean = mean_of(first.sum, params.threads);
    detector.add_defects(find_defects(first.sum, mean > 0 ? first.noise_variance / mean : 1, 6, params.threads));
  }
  repair(first, detector.defects(), frames.nx, repair_seed, params.threads);
  Alignment result;
  result.fixed_pattern = fixed_pattern(first, frames.count);
  result.noise_variance = first.noise_variance;
  result.sum = std::move(first.sum);
  if (first.binned.size() < 2) {
    result.track.assign(z(frames.count), Shift{});
    result.field = MotionField(result.track);
    result.amplitude.assign(z(frames.count), 1.0);
    return result;
  }
  const Exposure grouped{exposure.per_frame * group, exposure.before, exposure.voltage};
  const double pattern = result.fixed_pattern * group;
  constexpr Dose decay = 2.5_e_per_A2;  // a fifth of the fast start is left after 4 e⁻/Å²; its strength is learned
  const double decay_frames = exposure.per_frame > 0_e_per_A2 ? std::clamp(decay / grouped.per_frame, 1.0, 10.0) : 3;
  const BandLimits limits{params.min_resolution, params.max_resolution};
  const TrackFit fit = [&] {
    const Band band = params.backend->make_band(static_cast<int>(first.binned.size()), window_of(first.binned),
                                                first.binned[0].pixel_size, limits, grouped, params.threads);
    return fit_track(band, pattern, decay_frames, coarse_track(band, pattern, params.threads), params.threads,
                     *params.backend);
  }();
  const double pixel_A = frames.pixel_size.value();
  result.track =
      to_shifts(to_frames(fit.track.x, frames.count, group), to_frames(fit.track.y, frames.count, group), pixel_A);
  result.field = MotionField(result.track);
  for (int t = 0; t < frames.count; ++t) result.amplitude.push_back(fit.amplitude[z(t / group)]);
  result.sigma_px = centred_sigma(fit.covariance_x, fit.covariance_y) / pixel_A;
  result.path = path_statistics(fit.track, fit.covariance_x, fit.covariance_y);
  result.acceleration_A = fit.smoothness.acceleration_A;
  result.step_A = fit.smoothness.step_A;
  result.burst = fit.smoothness.burst;
  result.iterations = fit.iterations;
  if (params.model == MotionModel::global) return result;
  LocalSettings settings = params.model == MotionModel::flow ? flow_settings() : LocalSettings{};
  settings.limits = {limits.min_resolution, informative_resolution(fit, limits.max_resolution)};
  settings.decay_frames = decay_frames;
  settings.threads = params.threads;
  settings.backend = params.backend;
  const LocalFit local = fit_local(first.binned, grouped, pattern, fit, settings);
  result.local.held_out_gain = local.held_out_gain;
  result.local.tiles_x = local.tiles_x;
  result.local.tiles_y = local.tiles_y;
  result.local.outlying_tiles = static_cast<int>(
      std::count_if(local.tile_weight.begin(), local.tile_weight.end(), [](double w) { return w < 0.5; }));
  if (!local.helps) return result;
  result.local.used = params.model;
  use_field(local, fit, frames, bin, group, result);
  return result;
}

}  // namespace frazil::motion
