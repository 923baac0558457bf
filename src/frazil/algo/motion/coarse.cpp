#include "frazil/algo/motion/coarse.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/image/fft.hpp"

namespace frazil::motion {
namespace {

constexpr double finest_A = 16, b_factor_A2 = 1000, reach_A = 15;
constexpr double two_pi = 2 * std::numbers::pi;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

struct Point {
  double x = 0, y = 0;
};

/// The coarse part of the band as a list.
class Coarse {
 public:
  Coarse(const Band& band, double fixed_pattern) : band_(band), fixed_pattern_(fixed_pattern) {
    int reach_x = 0, reach_y = 0;
    for (const auto& row : band.rows)
      for (int i = 0; i < row.count; ++i) {
        const int s = band.shell[row.component + z(i)];
        if (s >= band.shells) continue;
        const double k = band.shell_per_A(s);
        if (k > 1 / finest_A) continue;
        const int kx = row.first_kx + i;
        parts_.push_back({kx, row.ky, static_cast<float>(std::exp(-b_factor_A2 * k * k / 4)), row.offset + z(i), z(row.count)});
        reach_x = std::max(reach_x, kx);
        reach_y = std::max(reach_y, std::abs(row.ky));
      }
    if (parts_.empty()) throw Error(ErrorCode::bad_input, "alignment finds no components coarser than {:g} A", finest_A);
    nx_ = good_size(4 * reach_x);
    ny_ = good_size(4 * reach_y);
    sum_.assign(parts_.size(), 0);
    pattern_.assign(parts_.size(), 0);
  }

  /// Adds (sign 1) or takes away (−1) frame t moved by s.
  void add(int t, const Point& s, float sign) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const auto turn = phase(parts_[i], s) * sign;
      sum_[i] += component(i, t) * turn;
      pattern_[i] += turn;
    }
  }

  /// Where frame t correlates with the sum, given where it is expected.
  Point find(int t, const Point& expected) const {
    Spectrum product(nx_, ny_);
    double variance = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const auto& p = parts_[i];
      const auto frame = component(i, t);
      const auto value = p.weight * (sum_[i] * std::conj(frame) - static_cast<float>(fixed_pattern_) * pattern_[i]);
      product(p.kx, p.ky >= 0 ? p.ky : p.ky + ny_) = value;
      variance += static_cast<double>(std::norm(p.weight * sum_[i]) * std::norm(frame)) / 2;
    }
    const Image map = ifft(product);
    // The transform of the half plane counts every component twice and divides by the number of pixels.
    const double to_sd = variance > 0 ? static_cast<double>(map.size()) / 2 / std::sqrt(variance) : 0;
    const double step_x = 1 / (nx_ * band_.step_x_per_A), step_y = 1 / (ny_ * band_.step_y_per_A);
    double best = -1e300;
    Point peak = expected;
    int best_x = 0, best_y = 0;
    for (int y = 0; y < ny_; ++y)
      for (int x = 0; x < nx_; ++x) {
        const double dx = signed_lag(x, nx_) * step_x - expected.x, dy = signed_lag(y, ny_) * step_y - expected.y;
        const double score = static_cast<double>(map(x, y)) * to_sd - 0.5 * (dx * dx + dy * dy) / (reach_A * reach_A);
        if (score > best) { best = score; best_x = x; best_y = y; }
      }
    const auto at = [&](int x, int y) { return static_cast<double>(map((x + nx_) % nx_, (y + ny_) % ny_)); };
    peak.x = (signed_lag(best_x, nx_) + top(at(best_x - 1, best_y), at(best_x, best_y), at(best_x + 1, best_y))) * step_x;
    peak.y = (signed_lag(best_y, ny_) + top(at(best_x, best_y - 1), at(best_x, best_y), at(best_x, best_y + 1))) * step_y;
    return peak;
  }

 private:
  struct Part {
    int kx, ky;
    float weight;
    std::size_t offset, stride;
  };

  static int signed_lag(int i, int n) { return i < (n + 1) / 2 ? i : i - n; }
  /// Top of the parabola through three points, from the middle one.
  static double top(double left, double middle, double right) {
    const double curvature = left - 2 * middle + right;
    return curvature < 0 ? std::clamp(0.5 * (left - right) / curvature, -0.5, 0.5) : 0;
  }
  [[nodiscard]] std::complex<float> component(std::size_t i, int t) const {
    const auto at = parts_[i].offset + z(t) * parts_[i].stride;
    return {band_.re[at], band_.im[at]};
  }
  [[nodiscard]] std::complex<float> phase(const Part& p, const Point& s) const {
    const double angle = -two_pi * (p.kx * band_.step_x_per_A * s.x + p.ky * band_.step_y_per_A * s.y);
    return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
  }

  const Band& band_;
  double fixed_pattern_;
  std::vector<Part> parts_;
  std::vector<std::complex<float>> sum_, pattern_;
  int nx_ = 0, ny_ = 0;
};

}  // namespace

TrackA coarse_track(const Band& band, double fixed_pattern) {
  Coarse coarse(band, fixed_pattern);
  const int frames = band.frames, middle = frames / 2;
  std::vector<Point> track(z(frames));
  coarse.add(middle, track[z(middle)], 1);
  // Outwards, both ways by turns, so that the reference stays centred in time.
  for (int distance = 1; distance <= std::max(middle, frames - 1 - middle); ++distance)
    for (const int t : {middle + distance, middle - distance}) {
      if (t < 0 || t >= frames) continue;
      const int toward = t > middle ? -1 : 1;
      const Point &last = track[z(t + toward)];
      Point expected = last;
      if (distance > 2) {
        const Point& before = track[z(t + 3 * toward)];
        expected = {last.x + (last.x - before.x) / 2, last.y + (last.y - before.y) / 2};
      }
      track[z(t)] = coarse.find(t, expected);
      coarse.add(t, track[z(t)], 1);
    }
  for (int sweep = 0; sweep < 2; ++sweep)
    for (int t = 0; t < frames; ++t) {
      const int before = std::max(0, t - 1), after = std::min(frames - 1, t + 1);
      const Point expected{(track[z(before)].x + track[z(after)].x) / 2, (track[z(before)].y + track[z(after)].y) / 2};
      coarse.add(t, track[z(t)], -1);
      track[z(t)] = coarse.find(t, expected);
      coarse.add(t, track[z(t)], 1);
    }
  TrackA result;
  for (const auto& p : track) {
    result.x.push_back(p.x);
    result.y.push_back(p.y);
  }
  return result;
}

}  // namespace frazil::motion
