// Signal that the sum keeps: spectral signal-to-noise ratio on rings relative to exact shifts, of ours and of a
// bilinear warp, noise-free and noise-only movies through the same local, sub-pixel field. Fails when ours keeps less
// than 0.97 at 0.8 Nyquist or the bilinear one is not at the 0.886 of theory within 0.01: signal_bench [SEEDS]
#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <numbers>
#include <vector>

#include "frazil/algo/motion/signal_probe.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/parallel.hpp"

using namespace frazil;

namespace {

Image ours(const motion::FrameSource& frames, const motion::MotionField& field) {
  return motion::sum_frames(frames, motion::Detector(frames.nx, frames.ny, {}, 1), field,
                            motion::dose_basis({}, frames.count, 0.71))
      .plain;
}

/// What a bilinear warp keeps on a ring, by theory, for uniform sub-pixel positions: the mean transfer is sinc² along
/// each axis, the noise (2 + cos 2πk) / 3.
double bilinear_theory(double k) {
  double signal = 0, noise = 0;
  constexpr int steps = 3600;
  for (int i = 0; i < steps; ++i) {
    const double angle = std::numbers::pi / 2 * (i + 0.5) / steps, x = k * std::cos(angle), y = k * std::sin(angle);
    const auto sinc = [](double f) { return f == 0 ? 1.0 : std::sin(std::numbers::pi * f) / (std::numbers::pi * f); };
    signal += std::pow(sinc(x) * sinc(y), 4);
    noise += (2 + std::cos(2 * std::numbers::pi * x)) * (2 + std::cos(2 * std::numbers::pi * y)) / 9;
  }
  return signal / noise;
}

}  // namespace

int main(int argc, char** argv) {
  const int seeds = argc > 1 ? std::atoi(argv[1]) : 32;
  bool good = true;
  fmt::print("{:>14} {:>8} {:>10} {:>10}\n", "ring / Nyquist", "ours", "bilinear", "by theory");
  for (const double ring : {0.5, 0.8, 0.9}) {
    std::vector<std::array<double, 2>> kept(static_cast<std::size_t>(seeds));
    parallel_for(available_cpus(), kept.size(), [&](std::size_t i) {
      const motion::SignalProbe probe(512, 24, ring / 2, 100 + i);
      kept[i] = {probe.kept(ours), probe.kept(motion::bilinear_sum)};
    });
    double us = 0, them = 0;
    for (const auto& [our_share, their_share] : kept) {
      us += our_share / seeds;
      them += their_share / seeds;
    }
    fmt::print("{:>14.1f} {:>8.4f} {:>10.4f} {:>10.4f}\n", ring, us, them, bilinear_theory(ring / 2));
    if (ring == 0.8) good = us >= 0.97 && std::abs(them - 0.886) <= 0.01;
  }
  fmt::print("{}\n", good ? "as it should be"
                          : "NOT as it should be: at 0.8 Nyquist at least 0.97, and 0.886 +- 0.01 for bilinear");
  return good ? 0 : 1;
}
