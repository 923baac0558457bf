#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/finite.hpp"

#include "frazil/sim/simulator.hpp"

namespace frazil::sim {
namespace {

using std::numbers::pi;
constexpr int dome = Motion::modes - 1;

double lognormal(Rng& rng, double median, double sigma) { return median * std::exp(sigma * rng.normal()); }

std::array<double, 2> vector(Rng& rng, double length) {
  const double phi = rng.uniform(0, 2 * pi);
  return {length * std::cos(phi), length * std::sin(phi)};
}

double at(const std::vector<double>& walk, double position) {
  const double clamped = std::clamp(position, 0.0, static_cast<double>(walk.size()) - 1.000001);
  const auto i = static_cast<std::size_t>(clamped);
  const double part = clamped - static_cast<double>(i);
  return walk[i] * (1 - part) + walk[i + 1] * part;
}

std::vector<double> random_walk(Rng& rng, std::size_t steps, double sigma_of_step) {
  std::vector<double> walk(steps + 2);
  for (std::size_t i = 1; i < walk.size(); ++i) walk[i] = walk[i - 1] + rng.normal(0, sigma_of_step);
  return walk;
}

}  // namespace

Motion::Motion(const Scene& scene, const Rng& parent)
    : nx_(scene.nx),
      ny_(scene.ny),
      origin_dose_(scene.dose_per_frame.value() / 2),
      pre_exposure_(scene.pre_exposure.value()) {
  Rng rng = parent.stream("motion");
  const double pixel_A = scene.pixel_size.value(), total = scene.total_dose().value() + pre_exposure_;
  burst_px_ = vector(rng, lognormal(rng, scene.burst.value(), 0.5) / pixel_A);
  drift_px_ = vector(rng, lognormal(rng, scene.drift.value(), 0.6) / pixel_A);
  burst_dose_ = rng.uniform(1.5, 4);
  drift_dose_ = rng.uniform(10, 40);
  const auto steps = static_cast<std::size_t>(std::ceil(total / step_));
  for (auto& axis : walk_px_) axis = random_walk(rng, steps, scene.jitter.value() / pixel_A * std::sqrt(step_));
  for (std::size_t m = 0; m < modes; ++m) {
    auto& wave = waves_[m];
    const auto direction = vector(rng, 1);
    const double turns = rng.uniform(0.3, 0.9), angle = rng.uniform(0, 2 * pi);
    wave.direction_x = m == dome ? nx_ * rng.uniform(0.3, 0.7) : direction[0];
    wave.direction_y = m == dome ? ny_ * rng.uniform(0.3, 0.7) : direction[1];
    wave.qx = turns * std::cos(angle) / nx_, wave.qy = turns * std::sin(angle) / ny_;
    wave.phase = rng.uniform(0, 2 * pi);
    wave.weight_px = rng.normal();
    wave.decay_dose = rng.uniform(2, 8);
    local_walk_[m] = random_walk(rng, steps, 0.03 * std::sqrt(step_));
  }
  constexpr int grid = 17;
  for (std::size_t m = 0; m < modes; ++m) {
    double sx = 0, sy = 0;
    for (int j = 0; j < grid; ++j)
      for (int i = 0; i < grid; ++i) {
        const auto u = raw_shape(static_cast<int>(m), (i + 0.5) * nx_ / grid, (j + 0.5) * ny_ / grid);
        sx += u[0], sy += u[1];
      }
    waves_[m].mean_x = sx / (grid * grid), waves_[m].mean_y = sy / (grid * grid);
  }
  double largest = 0;
  for (int j = 0; j <= grid; ++j)
    for (int i = 0; i <= grid; ++i) {
      double x = 0, y = 0;
      for (int m = 0; m < modes; ++m) {
        const auto u = shape(m, i * nx_ / grid, j * ny_ / grid);
        x += u[0] * waves_[static_cast<std::size_t>(m)].weight_px,
            y += u[1] * waves_[static_cast<std::size_t>(m)].weight_px;
      }
      largest = std::max(largest, std::hypot(x, y));
    }
  const double wanted_px = lognormal(rng, scene.local_motion.value() / 1.5, 0.3) / pixel_A;
  for (auto& wave : waves_)
    wave.weight_px *= largest > 0 ? std::min(wanted_px, scene.local_motion.value() / pixel_A) / largest : 0;
}

std::array<double, 2> Motion::path(double dose) const {
  const double d = at_least_zero(dose + pre_exposure_);
  const double fast = 1 - std::exp(-d / burst_dose_), slow = 1 - std::exp(-d / drift_dose_);
  return {burst_px_[0] * fast + drift_px_[0] * slow + at(walk_px_[0], d / step_),
          burst_px_[1] * fast + drift_px_[1] * slow + at(walk_px_[1], d / step_)};
}

std::array<double, 2> Motion::global(double dose) const {
  if (walk_px_[0].empty()) return {0, 0};
  const auto now = path(dose), start = path(origin_dose_);
  return {now[0] - start[0], now[1] - start[1]};
}

std::vector<double> Motion::instants(const Scene& scene, int frame, double reach_px, int most) const {
  const double dose = scene.dose_per_frame.value();
  const auto from = displacement(scene.nx / 2, scene.ny / 2, frame * dose),
             to = displacement(scene.nx / 2, scene.ny / 2, (frame + 1) * dose);
  const int count =
      std::clamp(static_cast<int>(std::ceil(std::hypot(to[0] - from[0], to[1] - from[1]) / reach_px)), 1, most);
  std::vector<double> doses;
  for (int i = 0; i < count; ++i) doses.push_back((frame + (i + 0.5) / count) * dose);
  return doses;
}

std::vector<double> drawn_instants(const Scene& scene, const Motion& motion, int frame) {
  // Electrons are told apart in time, so they are drawn more often.
  return scene.format == MovieFormat::eer ? motion.instants(scene, frame, 0.1, scene.raw_frames)
                                          : motion.instants(scene, frame, 0.5, 8);
}

std::array<double, 2> Motion::raw_shape(int mode, double x_px, double y_px) const {
  const auto& wave = waves_[static_cast<std::size_t>(mode)];
  if (mode == dome) {
    const double scale = 0.4 * std::min(nx_, ny_), dx = (x_px - wave.direction_x) / scale,
                 dy = (y_px - wave.direction_y) / scale;
    const double bell = std::exp(-(dx * dx + dy * dy) / 2);
    return {dx * bell, dy * bell};
  }
  const double s = std::sin(2 * pi * (wave.qx * x_px + wave.qy * y_px) + wave.phase);
  return {wave.direction_x * s, wave.direction_y * s};
}

std::array<double, 2> Motion::shape(int mode, double x_px, double y_px) const {
  const auto u = raw_shape(mode, x_px, y_px);
  const auto& wave = waves_[static_cast<std::size_t>(mode)];
  return {u[0] - wave.mean_x, u[1] - wave.mean_y};
}

double Motion::raw_amplitude(int mode, double dose) const {
  const auto m = static_cast<std::size_t>(mode);
  const double d = at_least_zero(dose + pre_exposure_);
  return waves_[m].weight_px * (1 - std::exp(-d / waves_[m].decay_dose) + at(local_walk_[m], d / step_));
}

double Motion::amplitude(int mode, double dose) const {
  return local_walk_[0].empty() ? 0 : raw_amplitude(mode, dose) - raw_amplitude(mode, origin_dose_);
}

std::array<double, 2> Motion::displacement(double x_px, double y_px, double dose) const {
  auto sum = global(dose);
  for (int m = 0; m < modes; ++m) {
    const double a = amplitude(m, dose);
    const auto u = shape(m, x_px, y_px);
    sum[0] += a * u[0], sum[1] += a * u[1];
  }
  return sum;
}

}  // namespace frazil::sim
