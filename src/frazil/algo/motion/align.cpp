#include "frazil/algo/motion/align.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/algo/motion/band.hpp"
#include "frazil/algo/motion/survey.hpp"
#include "frazil/algo/motion/track.hpp"

namespace frazil::motion {
namespace {

constexpr int most_groups = 128;
constexpr std::uint64_t repair_seed = 0x6d6f74696f6eULL;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

/// Variance of the difference of two entries under a covariance.
double variance_between(const Eigen::MatrixXd& c, Eigen::Index i, Eigen::Index j) { return c(i, i) + c(j, j) - 2 * c(i, j); }

PathStatistics path_statistics(const TrackFit& fit) {
  const auto step = [&](std::size_t i, std::size_t j) {
    const auto a = static_cast<Eigen::Index>(i), b = static_cast<Eigen::Index>(j);
    const double squared = std::pow(fit.track.x[j] - fit.track.x[i], 2) + std::pow(fit.track.y[j] - fit.track.y[i], 2);
    const double error = variance_between(fit.noise_x, a, b) + variance_between(fit.noise_y, a, b);
    return Angstrom(std::sqrt(std::max(0.0, squared - error)));
  };
  PathStatistics path;
  const std::size_t n = fit.track.x.size();
  for (std::size_t t = 1; t < n; ++t) {
    path.total_path += step(t - 1, t);
    path.max_step = std::max(path.max_step, step(t - 1, t));
  }
  if (n > 1) path.net_drift = step(0, n - 1);
  return path;
}

/// RMS standard error of a component after the mean over frames is taken out.
double centred_sigma(const TrackFit& fit) {
  double sum = 0;
  for (const auto* c : {&fit.covariance_x, &fit.covariance_y}) sum += c->trace() / static_cast<double>(c->rows()) - c->mean();
  return std::sqrt(std::max(0.0, sum / 2));
}

/// Tracks of groups, at their centres, brought to single frames.
std::vector<Shift> to_frames(const TrackA& track, int frames, int group, double pixel_A) {
  const auto groups = static_cast<int>(track.x.size());
  const auto centre = [&](int g) { return 0.5 * (g * group + std::min((g + 1) * group, frames) - 1); };
  std::vector<Shift> result;
  for (int t = 0; t < frames; ++t) {
    const int g = std::clamp(t / group - (t < centre(t / group) ? 1 : 0), 0, std::max(0, groups - 2));
    const int next = std::min(g + 1, groups - 1);
    const double f = next > g ? (t - centre(g)) / (centre(next) - centre(g)) : 0;
    result.push_back({(track.x[z(g)] + f * (track.x[z(next)] - track.x[z(g)])) / pixel_A, (track.y[z(g)] + f * (track.y[z(next)] - track.y[z(g)])) / pixel_A});
  }
  const Shift origin = result.front();
  for (auto& s : result) s = {s.x - origin.x, s.y - origin.y};
  return result;
}

}  // namespace

Alignment align_frames(const FrameSource& frames, Detector& detector, const Exposure& exposure, const AlignParams& params) {
  const int bin = std::max(1, static_cast<int>(0.45 * params.max_resolution / frames.pixel_size));
  const int group = (frames.count + most_groups - 1) / most_groups;
  Survey first = survey(frames, detector, bin, group, params.threads);
  if (params.find_defects) {
    double mean = 0;
    for (const float v : first.sum.pixels()) mean += static_cast<double>(v) / static_cast<double>(first.sum.size());
    detector.add_defects(find_defects(first.sum, mean > 0 ? first.noise_variance / mean : 1, 6, params.threads));
  }
  repair(first, detector.defects(), frames.nx, repair_seed);
  Alignment result;
  result.fixed_pattern = fixed_pattern(first, frames.count);
  result.noise_variance = first.noise_variance;
  result.sum = std::move(first.sum);
  if (first.binned.size() < 2) {
    result.track.assign(z(frames.count), Shift{});
    result.amplitude.assign(z(frames.count), 1.0);
    return result;
  }
  const Exposure grouped{exposure.per_frame * group, exposure.before, exposure.voltage};
  const Band band = make_band(first.binned, {params.min_resolution, params.max_resolution}, grouped, params.threads);
  first.binned.clear();
  const double pattern = result.fixed_pattern * group;
  constexpr Dose decay = 2.5_e_per_A2;
  const double decay_frames = exposure.per_frame > 0_e_per_A2 ? std::clamp(decay / grouped.per_frame, 1.0, 10.0) : 3;
  const TrackFit fit = fit_track(band, pattern, decay_frames, coarse_track(band, pattern), params.threads);
  result.track = to_frames(fit.track, frames.count, group, frames.pixel_size.value());
  for (int t = 0; t < frames.count; ++t) result.amplitude.push_back(fit.amplitude[z(t / group)]);
  result.sigma_px = centred_sigma(fit) / frames.pixel_size.value();
  result.path = path_statistics(fit);
  result.acceleration_A = fit.smoothness.acceleration_A;
  result.step_A = fit.smoothness.step_A;
  result.burst = fit.smoothness.burst;
  result.iterations = fit.iterations;
  return result;
}

}  // namespace frazil::motion
