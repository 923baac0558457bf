// Measures how much of the spectral signal-to-noise ratio a way of summing moved frames keeps; for tests and
// benchmarks.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <numbers>

#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::motion {

/// A specimen of plane waves with |k| on one ring, moved by a local, sub-pixel field and evaluated at its exact places,
/// and white noise. Both go through the summation apart: what is left of the waves' amplitude, squared, over what is
/// left of the noise's power, is the ratio to an ideal sum, which shifts exactly. The noise of the ideal sum is that of
/// the same frames after exact shifts by their mean displacement, so that chance in it, some percent of a ring,
/// cancels.
class SignalProbe {
 public:
  using Sum = std::function<Image(const FrameSource& frames, const MotionField& field)>;

  SignalProbe(int n, int frames, double ring_cycles_per_px, std::uint64_t seed)
      : n_(n), ring_(ring_cycles_per_px), seed_(seed) {
    Rng rng(seed);
    constexpr int waves = 16, nodes = 4;
    for (int i = 0; i < waves; ++i) {
      const double angle = std::numbers::pi * (i + rng.uniform()) / waves;
      waves_.push_back({ring_ * std::cos(angle), ring_ * std::sin(angle), rng.uniform()});
    }
    std::vector<double> places;
    for (int i = 0; i < nodes; ++i) places.push_back(static_cast<double>(i) * (n - 1) / (nodes - 1));
    std::vector<Shift> shifts;
    for (int t = 0; t < frames; ++t) {
      // Sub-pixel positions evenly spread along both axes, in unlike order.
      const Shift whole{std::floor(rng.normal(0, 4)) + (t + 0.5) / frames,
                        std::floor(rng.normal(0, 4)) + ((7 * t) % frames + 0.5) / frames};
      Shift mean;
      for (int i = 0; i < nodes * nodes; ++i) {
        shifts.push_back({whole.x + rng.normal(0, local_px), whole.y + rng.normal(0, local_px)});
        mean = {mean.x + shifts.back().x / (nodes * nodes), mean.y + shifts.back().y / (nodes * nodes)};
      }
      track_.push_back(mean);
    }
    field_ = MotionField(places, places, shifts);
    for (int t = 0; t < frames; ++t) {
      moved_.push_back(moved(t));
      white_.push_back(white(t));
    }
    const int margin = n / 10;  // towards the edges, where frames have moved out of the field
    for (int i = 0; i < n; ++i)
      window_.push_back(i < margin || i >= n - margin
                            ? 0
                            : std::pow(std::sin(std::numbers::pi * (i - margin + 0.5) / (n - 2 * margin)), 2));
    const auto noise = source(white_);
    ideal_noise_ = noise_power(sum_frames_reference(noise, Detector(n, n, {}, 1), MotionField(track_), {}).plain);
  }

  /// Ratio to the ideal on the ring.
  [[nodiscard]] double kept(const Sum& sum) const {
    const Image signal = sum(source(moved_), field_), noise = sum(source(white_), field_);
    return signal_power(signal) / (noise_power(noise) / ideal_noise_);
  }

 private:
  static constexpr double local_px = 0.1;
  /// cos 2πu to 1e-11, without a call, so that rows of it are vectorised: the series of the half angle's cosine.
  static double cosine_of_turns(double u) {
    const double x = std::numbers::pi * (u - std::nearbyint(u)), z = x * x;  // half the angle, within a quarter turn
    const double half =
        1 + z * (-1.0 / 2 + z * (1.0 / 24 + z * (-1.0 / 720 +
                                                 z * (1.0 / 40320 + z * (-1.0 / 3628800 +
                                                                         z * (1.0 / 479001600 - z / 87178291200.0))))));
    return 2 * half * half - 1;
  }

  struct Wave {
    double kx, ky, turns;  ///< cycles a pixel, phase at the origin in turns
    [[nodiscard]] double at(double x, double y) const { return cosine_of_turns(kx * x + ky * y + turns); }
  };

  [[nodiscard]] FrameSource source(const std::vector<Image>& images) const {
    return {n_, n_, field_.frames(), 1_A,
            [&images](int t, Image& out) { out = images[static_cast<std::size_t>(t)].clone(); }};
  }

  /// The waves of a frame: each pixel shows the place p whose p − s(p) it is.
  [[nodiscard]] Image moved(int t) const {
    Image out(n_, n_);
    std::vector<double> px(static_cast<std::size_t>(n_)), py(px.size()), value(px.size());
    for (int y = 0; y < n_; ++y) {
      for (int x = 0; x < n_; ++x) {
        auto &u = px[static_cast<std::size_t>(x)] = x, &v = py[static_cast<std::size_t>(x)] = y;
        for (int i = 0; i < 3; ++i) {
          const Shift s = field_.at(t, u, v);
          u = x + s.x;
          v = y + s.y;
        }
      }
      std::fill(value.begin(), value.end(), 0.0);
      for (const auto& wave : waves_)
        for (std::size_t x = 0; x < px.size(); ++x) value[x] += wave.at(px[x], py[x]);
      std::transform(value.begin(), value.end(), out.row(y), [](double v) { return static_cast<float>(v); });
    }
    return out;
  }

  [[nodiscard]] Image white(int t) const {
    Rng rng = Rng(seed_ + 1).stream(static_cast<std::uint64_t>(t));
    Image out(n_, n_);
    for (auto& v : out.pixels()) v = static_cast<float>(rng.normal());
    return out;
  }

  /// Mean squared amplitude of the waves in the sum, over that in an ideal one.
  [[nodiscard]] double signal_power(const Image& sum) const {
    double total = 0;
    for (const auto& wave : waves_) {
      double found = 0, norm = 0;
      for (int y = 0; y < n_; ++y)
        for (int x = 0; x < n_; ++x) {
          const double w = window_[static_cast<std::size_t>(x)] * window_[static_cast<std::size_t>(y)];
          found += w * static_cast<double>(sum(x, y)) * wave.at(x, y);
          norm += w / 2;
        }
      total += std::pow(found / norm / field_.frames(), 2);
    }
    return total / static_cast<double>(waves_.size());
  }

  /// Mean power of the noise on the ring.
  [[nodiscard]] double noise_power(const Image& sum) const {
    Image windowed(n_, n_);
    for (int y = 0; y < n_; ++y)
      for (int x = 0; x < n_; ++x) {
        const double w = window_[static_cast<std::size_t>(x)] * window_[static_cast<std::size_t>(y)];
        windowed(x, y) = static_cast<float>(w * static_cast<double>(sum(x, y)));
      }
    const Spectrum spectrum = fft(windowed);
    double total = 0, count = 0;
    for (int iy = 0; iy < n_; ++iy)
      for (int ix = 1; ix < spectrum.columns(); ++ix) {
        if (std::abs(std::hypot(ix, spectrum.ky(iy)) / n_ - ring_) > 0.01) continue;
        total += static_cast<double>(std::norm(spectrum(ix, iy)));
        ++count;
      }
    return total / count;
  }

  int n_;
  double ring_;
  std::uint64_t seed_;
  std::vector<Wave> waves_;
  MotionField field_;
  std::vector<Image> moved_, white_;  ///< frames
  std::vector<double> window_;
  std::vector<Shift> track_;
  double ideal_noise_ = 1;
};

/// What others do: the sum of frames interpolated between four pixels.
inline Image bilinear_sum(const FrameSource& frames, const MotionField& field) {
  Image sum(frames.nx, frames.ny), frame;
  for (int t = 0; t < frames.count; ++t) {
    frames.read(t, frame);
    for (int y = 0; y < frames.ny; ++y)
      for (int x = 0; x < frames.nx; ++x) {
        const Shift s = field.at(t, x, y);
        const double px = std::clamp(x - s.x, 0.0, frames.nx - 1.001), py = std::clamp(y - s.y, 0.0, frames.ny - 1.001);
        const int ix = static_cast<int>(px), iy = static_cast<int>(py);
        const auto u = static_cast<float>(px - ix), v = static_cast<float>(py - iy);
        sum(x, y) += (1 - v) * ((1 - u) * frame(ix, iy) + u * frame(ix + 1, iy)) +
                     v * ((1 - u) * frame(ix, iy + 1) + u * frame(ix + 1, iy + 1));
      }
  }
  return sum;
}

}  // namespace frazil::motion
