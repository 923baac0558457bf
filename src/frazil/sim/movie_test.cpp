#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/sim/counting.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::sim {
namespace {

Scene small_scene() {
  Scene scene;
  scene.nx = 256, scene.ny = 192;
  scene.pixel_size = 3_A;
  scene.frames = 6;
  scene.particles = 6;
  return scene;
}

/// Sum of the image values times exp(−2πi k·x) over a window that falls to 0 at the edges and is moved by (dx, dy).
std::complex<double> component(const Image& image, double kx, double ky, double dx, double dy) {
  std::complex<double> sum;
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x) {
      const double u = (x + 0.5 - dx) / image.nx(), v = (y + 0.5 - dy) / image.ny();
      if (u < 0.1 || u > 0.9 || v < 0.1 || v > 0.9) continue;
      const double window =
          std::pow(std::sin(std::numbers::pi * (u - 0.1) / 0.8) * std::sin(std::numbers::pi * (v - 0.1) / 0.8), 2);
      sum +=
          window * image(x, y) * std::polar(1.0, -2 * std::numbers::pi * (kx * x / image.nx() + ky * y / image.ny()));
    }
  return sum;
}

TEST(PoissonTables, HaveThePoissonDistribution) {
  Rng rng(7);
  for (const double mean : {0.02, 0.31, 1.0, 2.77, 9.4, 31.9, 60.0}) {
    constexpr int n = 200000;
    std::vector<int> seen(200);
    double sum = 0, squares = 0;
    for (int i = 0; i < n; ++i) {
      const int v = PoissonTables::instance()(mean, rng);
      ++seen[static_cast<std::size_t>(v)];
      sum += v, squares += static_cast<double>(v) * v;
    }
    const double found = sum / n, variance = squares / n - found * found;
    EXPECT_NEAR(found, mean, 4 * std::sqrt(mean / n)) << mean;
    EXPECT_NEAR(variance, mean, 5 * std::sqrt((mean + 2 * mean * mean) / n)) << mean;
    double chi = 0, term = std::exp(-mean);
    int cells = 0;
    for (std::size_t v = 0; v < seen.size(); ++v) {
      if (const double expected = n * term; expected > 10) chi += std::pow(seen[v] - expected, 2) / expected, ++cells;
      term *= mean / static_cast<double>(v + 1);
    }
    EXPECT_LT(chi, cells + 5 * std::sqrt(2.0 * cells)) << mean;
  }
}

TEST(Movie, MeanDoseIsTheSceneDoseThroughTheIce) {
  auto scene = small_scene();
  scene.hot_pixels = scene.dead_pixels = 0;
  const auto cam = camera(scene);
  const SimulatedMovie movie(scene, {made_up(1)}, cam, 0);
  double sum = 0;
  Image frame;
  for (int t = 0; t < scene.frames; ++t) {
    movie.frame(t, frame);
    for (std::size_t i = 0; i < frame.size(); ++i) sum += frame.data()[i] * cam.gain.data()[i];
  }
  const double per_A2 = sum / static_cast<double>(frame.size()) / 9 / scene.frames;
  EXPECT_NEAR(per_A2 / (2.5 * std::exp(-400.0 / 3000)), 1, 0.02);  // protein and illumination change the mean by 1 %
}

TEST(Movie, NoiseOfAFrameIsPoisson) {
  auto scene = small_scene();
  const auto cam = camera(scene);
  const SimulatedMovie movie(scene, {made_up(1)}, cam, 1);
  const auto expected = movie.expected_frame(2);
  Image counted;
  movie.frame(2, counted);
  double deviation = 0, mean = 0;
  for (std::size_t i = 0; i < counted.size(); ++i) {
    if (cam.gain.data()[i] == 0 || counted.data()[i] > 60) continue;
    const double e = expected.data()[i] / cam.gain.data()[i];
    deviation += std::pow(counted.data()[i] - e, 2), mean += e;
  }
  EXPECT_NEAR(deviation / mean, 1, 0.03);
}

TEST(Movie, FramesShowTheTrueShift) {
  auto scene = small_scene();
  scene.nx = scene.ny = 256;
  scene.local_motion = 0_A;
  scene.jitter = 0.6_A;  // fast enough that the middle of a frame's exposure is not its mean
  scene.burst = 20_A;
  scene.frames = 8;
  scene.dose_per_frame = 0.6_e_per_A2;  // one dose group: all frames show the same specimen
  const SimulatedMovie movie(scene, {made_up(1)}, camera(scene), 3);
  const auto first = movie.expected_frame(0), last = movie.expected_frame(7);
  const auto &start = movie.truth().shifts_px[0], &end = movie.truth().shifts_px[7];
  const std::array shift{end[0] - start[0], end[1] - start[1]};
  ASSERT_GT(std::hypot(shift[0], shift[1]), 1);
  double rx = 0, ry = 0, xx = 0, xy = 0, yy = 0;
  for (int ky = -14; ky <= 14; ky += 2)
    for (int kx = 1; kx <= 15; kx += 2) {
      if (kx * kx + ky * ky < 64) continue;
      const auto a = component(first, kx, ky, 0, 0), b = component(last, kx, ky, -shift[0], -shift[1]);
      const auto model = std::polar(1.0, 2 * std::numbers::pi * (kx * shift[0] + ky * shift[1]) / 256);
      const double w = std::abs(a) * std::abs(b),
                   rest = std::arg(b * std::conj(a) * std::conj(model)) * 256 / (2 * std::numbers::pi);
      xx += w * kx * kx, xy += w * kx * ky, yy += w * ky * ky, rx += w * rest * kx, ry += w * rest * ky;
    }
  const double determinant = xx * yy - xy * xy;
  EXPECT_NEAR((rx * yy - ry * xy) / determinant, 0, 0.01);
  EXPECT_NEAR((ry * xx - rx * xy) / determinant, 0, 0.01);
}

TEST(Movie, IsTheSameForAnyNumberOfThreads) {
  auto scene = small_scene();
  const auto cam = camera(scene);
  const SimulatedMovie one(scene, {made_up(1)}, cam, 2);
  scene.threads = 3;
  const SimulatedMovie three(scene, {made_up(1)}, cam, 2);
  Image a, b;
  one.frame(4, a);
  three.frame(4, b);
  EXPECT_TRUE(std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin()));
}

TEST(Movie, MeanOfTheLocalMotionIsZeroAndItsSizeAsAsked) {
  Scene scene;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Motion motion(scene, Rng(seed));
    double sx = 0, sy = 0, largest = 0;
    const auto g = motion.global(40);
    for (int j = 0; j < 30; ++j)
      for (int i = 0; i < 30; ++i) {
        const auto d = motion.displacement((i + 0.5) * scene.nx / 30, (j + 0.5) * scene.ny / 30, 40);
        sx += (d[0] - g[0]) / 900, sy += (d[1] - g[1]) / 900;
        largest = std::max(largest, std::hypot(d[0] - g[0], d[1] - g[1]));
      }
    EXPECT_NEAR(sx, 0, 0.01);
    EXPECT_NEAR(sy, 0, 0.01);
    EXPECT_LT(largest * scene.pixel_size.value(), 1.6 * scene.local_motion.value());
  }
}

TEST(Motion, TracksLookLikePublishedOnes) {
  // Most of the movement happens within the first 4 e⁻/Å²; several Å there, a few afterwards (Brilot et al. 2012,
  // doi:10.1016/j.jsb.2012.02.003).
  Scene scene;
  scene.frames = 40;
  scene.dose_per_frame = 1_e_per_A2;
  double early = 0, late = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Motion motion(scene, Rng(seed));
    const auto a = motion.global(0), b = motion.global(4), c = motion.global(40), d = motion.global(36);
    early += std::hypot(b[0] - a[0], b[1] - a[1]) * scene.pixel_size.value() / 200;
    late += std::hypot(c[0] - d[0], c[1] - d[1]) * scene.pixel_size.value() / 200;
  }
  EXPECT_GT(early, 2.5);
  EXPECT_LT(early, 6);
  EXPECT_LT(late, 0.3 * early);
}

TEST(Micrograph, ThonRingsLieWhereTheCtfSays) {
  // Ice only; the power at the maxima of sin² χ of the true CTF exceeds that at its zeros.
  Scene scene;
  scene.nx = scene.ny = 512;
  scene.particles = 0;
  scene.ice_noise = 3;
  const auto made = micrograph(scene, {made_up(1)}, 0);
  const auto spectrum = fft(made.image);
  double at_maxima = 0, at_zeros = 0;
  int maxima = 0, zeros = 0;
  const double lambda = 0.019687;
  for (int y = 0; y < 512; ++y)
    for (int x = 0; x <= 256; ++x) {
      const double kx = x / (512 * 1.5), ky = spectrum.ky(y) / (512 * 1.5), k2 = kx * kx + ky * ky;
      if (k2 < 1.0 / 900 || k2 > 1.0 / 100) continue;
      const auto& c = made.truth.ctf;
      const double turn = 2 * (std::atan2(ky, kx) - to_rad(c.astigmatism_angle));
      const double defocus = (c.defocus_u.value() + c.defocus_v.value()) / 2 +
                             (c.defocus_u.value() - c.defocus_v.value()) / 2 * std::cos(turn);
      const double chi = std::numbers::pi * lambda * defocus * k2 -
                         std::numbers::pi / 2 * 2.7e7 * std::pow(lambda, 3) * k2 * k2 + std::asin(0.1);
      const double s = std::pow(std::sin(chi), 2), power = std::norm(spectrum(x, y));
      if (s > 0.9) at_maxima += power, ++maxima;
      if (s < 0.1) at_zeros += power, ++zeros;
    }
  EXPECT_GT(at_maxima / maxima, 2 * at_zeros / zeros);
}

TEST(Micrograph, EnvelopeHasTheSlopeOfItsBFactor) {
  // Ice only, shot noise taken off: the power with B over that without is exp(−B k²/2).
  Scene scene;
  scene.nx = scene.ny = 512;
  scene.particles = 0;
  scene.ice_noise = 6;
  scene.astigmatism = 0_A;
  const auto power = [&](double b_A2, double low_k, double high_k) {
    scene.b_factor = Angstrom2(b_A2);
    const auto image = micrograph(scene, {made_up(1)}, 4).image;
    const auto spectrum = fft(image);
    const double shot = scene.electrons_per_frame() * scene.frames * 512 * 512;
    double sum = 0;
    for (int y = 0; y < 512; ++y)
      for (int x = 1; x < 256; ++x)
        if (const double k = std::hypot(x, spectrum.ky(y)) / (512 * 1.5); k >= low_k && k < high_k)
          sum += std::norm(spectrum(x, y)) - shot;
    return sum;
  };
  for (const double k : {0.06, 0.09, 0.12}) {
    const double ratio = power(150, k - 0.004, k + 0.004) / power(0, k - 0.004, k + 0.004);
    EXPECT_NEAR(-std::log(ratio) * 2 / (k * k), 150, 20) << k;
  }
}

TEST(Micrograph, HoldsParticlesWhereTruthSays) {
  auto scene = small_scene();
  scene.nx = scene.ny = 512;
  scene.particles = 10;
  scene.defocus_min = scene.defocus_max = 15000_A;
  const auto made = micrograph(scene, {made_up(1, 600)}, 0);
  double inside = 0, all = 0;
  int count = 0;
  for (const float v : made.image.pixels()) all += v / static_cast<double>(made.image.size());
  for (const auto& p : made.truth.particles)
    for (int y = -6; y <= 6; ++y)
      for (int x = -6; x <= 6; ++x) {
        const int px = static_cast<int>(std::lround(p.x_px)) + x, py = static_cast<int>(std::lround(p.y_px)) + y;
        if (px >= 0 && py >= 0 && px < 512 && py < 512) inside += made.image(px, py), ++count;
      }
  ASSERT_GT(count, 500);
  EXPECT_LT(inside / count, 0.985 * all);  // protein is dark
}

}  // namespace
}  // namespace frazil::sim
