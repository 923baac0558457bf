// Measures how much of the spectral signal-to-noise ratio a way of summing moved frames keeps; for tests and benchmarks.
#pragma once

#include <cmath>
#include <complex>
#include <functional>
#include <numbers>

#include "frazil/algo/motion/frames.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::motion {

/// A specimen of plane waves with |k| on one ring, moved by a local, sub-pixel field and evaluated at its exact places, and white
/// noise. Both go through the summation apart: what is left of the waves' amplitude, squared, over what is left of the
/// noise's power, is the ratio to an ideal sum, which shifts exactly.
class SignalProbe {
 public:
  using Sum = std::function<Image(const FrameSource& frames, const MotionField& field)>;

  SignalProbe(int n, int frames, double ring_cycles_per_px, std::uint64_t seed) : n_(n), ring_(ring_cycles_per_px), seed_(seed) {
    Rng rng(seed);
    constexpr int waves = 16, nodes = 4;
    for (int i = 0; i < waves; ++i) {
      const double angle = std::numbers::pi * (i + rng.uniform()) / waves;
      waves_.push_back({ring_ * std::cos(angle), ring_ * std::sin(angle), 2 * std::numbers::pi * rng.uniform()});
    }
    std::vector<double> places;
    for (int i = 0; i < nodes; ++i) places.push_back(static_cast<double>(i) * (n - 1) / (nodes - 1));
    std::vector<Shift> shifts;
    for (int t = 0; t < frames; ++t) {
      // Sub-pixel positions evenly spread along both axes, in unlike order.
      const Shift whole{std::floor(rng.normal(0, 4)) + (t + 0.5) / frames, std::floor(rng.normal(0, 4)) + ((7 * t) % frames + 0.5) / frames};
      for (int i = 0; i < nodes * nodes; ++i) shifts.push_back({whole.x + rng.normal(0, local_px), whole.y + rng.normal(0, local_px)});
    }
    field_ = MotionField(places, places, shifts);
  }

  [[nodiscard]] const MotionField& field() const { return field_; }

  /// Ratio to the ideal on the ring.
  [[nodiscard]] double kept(const Sum& sum) const {
    const Image signal = sum(source([this](int t, Image& out) { moved(t, out); }), field_);
    const Image noise = sum(source([this](int t, Image& out) { white(t, out); }), field_);
    return signal_power(signal) / noise_power(noise);
  }

 private:
  static constexpr double local_px = 0.1;
  struct Wave {
    double kx, ky, phase;
    [[nodiscard]] double at(double x, double y) const { return std::cos(2 * std::numbers::pi * (kx * x + ky * y) + phase); }
  };

  [[nodiscard]] FrameSource source(std::function<void(int, Image&)> read) const { return {n_, n_, field_.frames(), 1_A, std::move(read)}; }

  void moved(int t, Image& out) const {
    out = Image(n_, n_);
    for (int y = 0; y < n_; ++y)
      for (int x = 0; x < n_; ++x) {
        double px = x, py = y;  // the place p whose p − s(p) is this pixel
        for (int i = 0; i < 3; ++i) {
          const Shift s = field_.at(t, px, py);
          px = x + s.x;
          py = y + s.y;
        }
        double value = 0;
        for (const auto& wave : waves_) value += wave.at(px, py);
        out(x, y) = static_cast<float>(value);
      }
  }

  void white(int t, Image& out) const {
    Rng rng = Rng(seed_ + 1).stream(static_cast<std::uint64_t>(t));
    out = Image(n_, n_);
    for (auto& v : out.pixels()) v = static_cast<float>(rng.normal());
  }

  /// Falls to zero towards the edges, where frames have moved out of the field.
  [[nodiscard]] double window(int i) const {
    const int margin = n_ / 10;
    if (i < margin || i >= n_ - margin) return 0;
    return std::pow(std::sin(std::numbers::pi * (i - margin + 0.5) / (n_ - 2 * margin)), 2);
  }

  /// Mean squared amplitude of the waves in the sum, over that in an ideal one.
  [[nodiscard]] double signal_power(const Image& sum) const {
    double total = 0;
    for (const auto& wave : waves_) {
      std::complex<double> found = 0;
      double norm = 0;
      for (int y = 0; y < n_; ++y)
        for (int x = 0; x < n_; ++x) {
          const double w = window(x) * window(y);
          if (w == 0) continue;
          found += w * static_cast<double>(sum(x, y)) * std::polar(1.0, -(2 * std::numbers::pi * (wave.kx * x + wave.ky * y) + wave.phase));
          norm += w / 2;
        }
      total += std::pow(found.real() / norm / field_.frames(), 2);
    }
    return total / static_cast<double>(waves_.size());
  }

  /// Mean power of the noise on the ring, over that in an ideal sum.
  [[nodiscard]] double noise_power(const Image& sum) const {
    Image windowed(n_, n_);
    double squares = 0;
    for (int y = 0; y < n_; ++y)
      for (int x = 0; x < n_; ++x) {
        const double w = window(x) * window(y);
        windowed(x, y) = static_cast<float>(w * static_cast<double>(sum(x, y)));
        squares += w * w;
      }
    const Spectrum spectrum = fft(windowed);
    double total = 0, count = 0;
    for (int iy = 0; iy < n_; ++iy)
      for (int ix = 1; ix < spectrum.columns(); ++ix) {
        if (std::abs(std::hypot(ix, spectrum.ky(iy)) / n_ - ring_) > 0.01) continue;
        total += static_cast<double>(std::norm(spectrum(ix, iy)));
        ++count;
      }
    return total / count / squares / field_.frames();
  }

  int n_;
  double ring_;
  std::uint64_t seed_;
  std::vector<Wave> waves_;
  MotionField field_;
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
        sum(x, y) += (1 - v) * ((1 - u) * frame(ix, iy) + u * frame(ix + 1, iy)) + v * ((1 - u) * frame(ix, iy + 1) + u * frame(ix + 1, iy + 1));
      }
  }
  return sum;
}

}  // namespace frazil::motion
