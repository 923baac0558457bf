#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "frazil/algo/motion/align.hpp"
#include "frazil/algo/motion/objective.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {
namespace {

struct Scene {
  int n = 512, frames = 12;
  double contrast = 0.1;           ///< RMS of the specimen over its mean
  double electrons_per_pixel = 1;  ///< and frame
  double pattern = 0;              ///< RMS of a fixed pattern that no gain corrects
  std::vector<Shift> motion;       ///< of the specimen
};

/// Band-limited random texture of 1 Å pixels, 10 to 80 Å, moved by phase ramps in a larger field, counted.
std::vector<Image> movie(const Scene& scene, std::uint64_t seed) {
  Rng rng(seed);
  const int field = scene.n + 128;
  Image noise(field, field);
  for (auto& v : noise.pixels()) v = static_cast<float>(rng.normal());
  const Image texture = band_pass(noise, 80_A, 10_A);
  const double scale = scene.contrast / statistics(texture).stddev;
  Image pattern(scene.n, scene.n);
  for (auto& v : pattern.pixels()) v = static_cast<float>(1 + scene.pattern * rng.normal());
  std::vector<Image> frames;
  for (const auto& d : scene.motion) {
    auto spectrum = fft(texture);
    fourier_shift(spectrum, d.x, d.y);
    const Image moved = crop(ifft(spectrum), 64, 64, scene.n, scene.n, 0, 1_A);
    Image frame(scene.n, scene.n);
    for (std::size_t i = 0; i < frame.size(); ++i) {
      const double mean = scene.electrons_per_pixel * std::max(0.0, 1 + scale * static_cast<double>(moved.pixels()[i])) * static_cast<double>(pattern.pixels()[i]);
      frame.pixels()[i] = static_cast<float>(rng.poisson(mean));
    }
    frames.push_back(std::move(frame));
  }
  return frames;
}

FrameSource source(const std::vector<Image>& frames) {
  return {frames[0].nx(), frames[0].ny(), static_cast<int>(frames.size()), frames[0].pixel_size,
          [&frames](int i, Image& out) { out = frames[static_cast<std::size_t>(i)].clone(); }};
}

/// Fast start that decays, then a slow bend.
std::vector<Shift> drift(int frames, double start_px = 3) {
  std::vector<Shift> path;
  Shift p;
  for (int t = 0; t < frames; ++t) {
    path.push_back(p);
    const double v = 0.2 + start_px * std::exp(-t / 1.5);
    p.x += v * std::cos(0.1 * t);
    p.y += v * std::sin(0.1 * t + 0.3);
  }
  return path;
}

/// RMS over frames and components, in pixels, mean offset removed.
double error_of(const std::vector<Shift>& found, const std::vector<Shift>& motion) {
  double mx = 0, my = 0, sum = 0;
  const auto n = static_cast<double>(found.size());
  for (std::size_t t = 0; t < found.size(); ++t) {
    mx += (found[t].x + motion[t].x) / n;
    my += (found[t].y + motion[t].y) / n;
  }
  for (std::size_t t = 0; t < found.size(); ++t) sum += std::pow(found[t].x + motion[t].x - mx, 2) + std::pow(found[t].y + motion[t].y - my, 2);
  return std::sqrt(sum / 2 / n);
}

Alignment align(const std::vector<Image>& frames, int threads = 1) {
  const auto input = source(frames);
  Detector detector(input.nx, input.ny, {}, 1);
  return align_frames(input, detector, {}, {.threads = threads});
}

TEST(Align, RecoversADriftWithAFastStart) {
  for (const std::uint64_t seed : {11, 12, 13}) {
    Scene scene;
    scene.motion = drift(scene.frames);
    const auto found = align(movie(scene, seed));
    EXPECT_LT(error_of(found.track, scene.motion), 0.1) << "seed " << seed << " sigma " << found.sigma_px;
    EXPECT_EQ(found.track[0].x, 0);
  }
}

TEST(Align, TellsItsErrors) {
  double squares = 0, claimed = 0;
  for (std::uint64_t seed = 20; seed < 28; ++seed) {
    Scene scene;
    scene.contrast = 0.05;
    scene.motion = drift(scene.frames);
    const auto found = align(movie(scene, seed), 2);
    squares += std::pow(error_of(found.track, scene.motion), 2);
    claimed += found.sigma_px * found.sigma_px;
  }
  EXPECT_NEAR(std::sqrt(claimed / squares), 1, 0.4);
}

}  // namespace
}  // namespace frazil::motion
