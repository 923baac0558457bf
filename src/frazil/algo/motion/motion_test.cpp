#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <limits>

#include "frazil/algo/motion/align.hpp"
#include "frazil/algo/motion/band.hpp"
#include "frazil/algo/motion/objective.hpp"
#include "frazil/algo/motion/objective_kernels.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/base/finite.hpp"
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
      const double mean = scene.electrons_per_pixel *
                          at_least_zero(1 + scale * static_cast<double>(moved.pixels()[i])) *
                          static_cast<double>(pattern.pixels()[i]);
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
  for (std::size_t t = 0; t < found.size(); ++t)
    sum += std::pow(found[t].x + motion[t].x - mx, 2) + std::pow(found[t].y + motion[t].y - my, 2);
  return std::sqrt(sum / 2 / n);
}

Detector perfect(const FrameSource& frames) { return {frames.nx, frames.ny, {}, 1}; }

Sums sum(const std::vector<Image>& frames, const MotionField& field, const DoseBasis& basis,
         const SumParams& params = {}) {
  const auto input = source(frames);
  return sum_frames(input, perfect(input), field, basis, params);
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

TEST(Align, GivesTheSameBitsForOneAndTwoThreads) {
  Scene scene;
  scene.motion = drift(scene.frames);
  const auto frames = movie(scene, 31);
  const auto one = align(frames, 1), two = align(frames, 2);
  for (std::size_t t = 0; t < one.track.size(); ++t) {
    EXPECT_EQ(one.track[t].x, two.track[t].x);
    EXPECT_EQ(one.track[t].y, two.track[t].y);
  }
}

TEST(Align, FindsNoMovementInAStillMovie) {
  Scene scene;
  scene.motion.assign(12, Shift{});
  const auto found = align(movie(scene, 32));
  for (const auto& s : found.track) EXPECT_LT(std::hypot(s.x, s.y), 0.1 + 4 * found.sigma_px);
  EXPECT_LT(found.path.total_path, 1_A);  // the raw shifts of 12 still frames alone would add up to more
}

TEST(Align, FollowsTheSpecimenThroughAFixedPattern) {
  Scene scene;
  scene.contrast = 0.05;
  scene.pattern = 0.1;  // a gain reference as stale as can be
  scene.motion = drift(scene.frames, 1);
  const auto found = align(movie(scene, 33));
  EXPECT_LT(error_of(found.track, scene.motion), 0.25);
  EXPECT_NEAR(std::sqrt(found.fixed_pattern), 0.1, 0.02);  // one electron a pixel: noise of 1
}

TEST(Align, BridgesABadFrame) {
  Scene scene;
  scene.motion = drift(scene.frames);
  auto frames = movie(scene, 34);
  Rng rng(1);
  for (auto& v : frames[6].pixels()) v = static_cast<float>(rng.poisson(3));
  const auto found = align(frames);
  EXPECT_LT(error_of(found.track, scene.motion), 0.15);
  EXPECT_LT(found.amplitude[6], 0.3);
}

TEST(Align, ShiftsWithTheMovie) {
  Scene scene;
  scene.motion = drift(scene.frames);
  auto moved = scene;
  for (auto& d : moved.motion) d = {d.x + 7, d.y - 5};
  const auto a = align(movie(scene, 35)), b = align(movie(moved, 35));
  for (std::size_t t = 0; t < a.track.size(); ++t) {
    EXPECT_NEAR(a.track[t].x, b.track[t].x, 5 * a.sigma_px + 0.05);
    EXPECT_NEAR(a.track[t].y, b.track[t].y, 5 * a.sigma_px + 0.05);
  }
}

TEST(Align, TakesOneFrameAndRefusesWhatIsNotFinite) {
  Scene scene;
  scene.motion.assign(1, Shift{});
  auto frames = movie(scene, 36);
  EXPECT_EQ(align(frames).track.size(), 1U);
  frames[0](5, 5) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW((void)align(frames), Error);
}

TEST(Objective, EqualsItsReferenceAndItsGradientIsItsSlope) {
  Rng rng(40);
  std::vector<Image> frames;
  TrackA track;
  for (int t = 0; t < 5; ++t) {
    Image frame(90, 80, 3_A);
    for (auto& v : frame.pixels()) v = static_cast<float>(rng.normal());
    frames.push_back(std::move(frame));
    track.x.push_back(rng.normal(0, 4));
    track.y.push_back(rng.normal(0, 4));
  }
  const Band band = make_band(frames, {}, {1_e_per_A2, 0_e_per_A2, 300_kV}, 1);
  std::vector<double> weight, amplitude(5, 0.9);
  for (int s = 0; s < band.shells; ++s) weight.push_back(rng.uniform());
  const auto fast = evaluate(band, weight, amplitude, track, 2),
             plain = sum_of(evaluate_halves_reference(band, weight, amplitude, track));
  EXPECT_NEAR(fast.value / plain.value, 1, 1e-5);
  for (std::size_t t = 0; t < 5; ++t) {
    EXPECT_NEAR(fast.gradient_x[t], plain.gradient_x[t], 1e-4 * plain.value);
    EXPECT_NEAR(fast.gradient_y[t], plain.gradient_y[t], 1e-4 * plain.value);
    EXPECT_NEAR(fast.overlap[t], plain.overlap[t], 1e-5 * plain.value);
    auto ahead = track, behind = track;
    ahead.x[t] += 1e-3;
    behind.x[t] -= 1e-3;
    const double slope = (sum_of(evaluate_halves_reference(band, weight, amplitude, ahead)).value -
                          sum_of(evaluate_halves_reference(band, weight, amplitude, behind)).value) /
                         2e-3;
    EXPECT_NEAR(plain.gradient_x[t], slope, 1e-4 * plain.value);
  }
  const auto halves = evaluate_halves(band, weight, amplitude, track, 1);
  const auto powers = power_of_sum(band, amplitude, track, 2);
  for (std::size_t s = 0; s < weight.size(); ++s) {
    EXPECT_NEAR(fast.sum_power[s] / plain.sum_power[s], 1, 1e-5);
    for (const std::size_t half : {0U, 1U}) EXPECT_EQ(powers[half][s], halves[half].sum_power[s]);
  }
}

TEST(ObjectiveKernels, EqualThePlainOnesToTheBitOnEveryInstructionSetOfThisCpu) {
  Rng rng(41);
  const auto noise = [&](std::size_t n) {
    AlignedVector<float> values(n);
    for (auto& v : values) v = static_cast<float>(rng.normal());
    return values;
  };
  constexpr std::size_t frames = 7;
  const auto components = noise(32 * frames), along_x = noise(32 * frames), along_y = noise(2 * frames),
             before = noise(48 * frames);
  const ObjectiveBlock block{components.data(), along_x.data(), along_y.data(), frames};
  const auto run = [&](const ObjectiveKernels& kernels) {
    AlignedVector<float> alone(32), sum(32), turned(32 * frames), totals = before;
    kernels.sum(block, alone.data());
    kernels.turn(block, turned.data(), sum.data());
    EXPECT_EQ(alone, sum);
    kernels.slope(turned.data(), sum.data(), 16, -3, frames, totals.data());
    return std::tuple(turned, sum, totals);
  };
  for (const auto target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    SCOPED_TRACE(objective_kernels().target);
    EXPECT_EQ(run(objective_kernels()), run(objective_kernels_reference()));
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(Dose, HasTheCriticalExposuresOfThePaper) {
  EXPECT_NEAR(critical_exposure(1 / 3.0, 300_kV).value(), 4.34, 0.01);
  EXPECT_NEAR(critical_exposure(1 / 10.0, 300_kV).value(), 14.1, 0.05);
  EXPECT_NEAR(critical_exposure(1 / 20.0, 300_kV).value(), 38.7, 0.1);
  EXPECT_NEAR(critical_exposure(0.1, 200_kV) / critical_exposure(0.1, 300_kV), 0.80, 0.005);
  EXPECT_NEAR(critical_exposure(0.1, 100_kV) / critical_exposure(0.1, 300_kV), 0.50, 0.005);
}

TEST(Dose, BasisOfAFewRowsHoldsTheWeights) {
  const Exposure exposure{1.25_e_per_A2, 0_e_per_A2, 300_kV};
  const auto basis = dose_basis(exposure, 40, 0.7);
  EXPECT_LE(basis.rank(), 6);
  for (const int i : {0, 17, 200, 399}) {
    const auto exact = filter_weights(exposure, 40, i * basis.step_per_A);
    for (std::size_t t = 0; t < 40; ++t) {
      double w = 0;
      for (std::size_t r = 0; r < basis.b.size(); ++r) w += basis.a[r][static_cast<std::size_t>(i)] * basis.b[r][t];
      EXPECT_NEAR(w, exact[t], 5e-3);
    }
  }
  EXPECT_FALSE(dose_basis({}, 40, 0.7).weighted());
}

TEST(Sum, EqualsExactShiftsAndWeights) {
  Rng rng(50);
  std::vector<Image> frames;
  std::vector<Shift> track;
  for (int t = 0; t < 16; ++t) {
    Image noise(128, 96);
    for (auto& v : noise.pixels()) v = static_cast<float>(1 + rng.normal());
    frames.push_back(band_pass(noise, 0_A, 3_A));  // two thirds of Nyquist: the spline's aliases are below 0.2 %
    track.push_back({rng.normal(0, 3), rng.normal(0, 3)});
  }
  const Exposure exposure{2_e_per_A2, 0_e_per_A2, 300_kV};
  const auto fast = sum(frames, MotionField(track), dose_basis(exposure, 16, 0.71), {.threads = 2});
  const auto exact = sum_frames_reference(source(frames), perfect(source(frames)), MotionField(track), exposure);
  // Edges differ: mirrored here, periodic there.
  const auto inside = [](const Image& image) { return crop(image, 20, 20, 88, 56, 0, 1_A); };
  EXPECT_GT(correlation(inside(fast.plain).pixels(), inside(exact.plain).pixels()), 0.9995);
  EXPECT_GT(correlation(inside(*fast.weighted).pixels(), inside(*exact.weighted).pixels()), 0.9995);
  EXPECT_NEAR(statistics(inside(fast.plain)).stddev / statistics(inside(exact.plain)).stddev, 1, 5e-3);
  EXPECT_NEAR(statistics(*fast.weighted).mean, statistics(*exact.weighted).mean, 0.05);
}

TEST(Sum, OfAStillMovieIsThePlainSum) {
  Rng rng(51);
  std::vector<Image> frames;
  for (int t = 0; t < 4; ++t) {
    Image frame(64, 64);
    for (auto& v : frame.pixels()) v = static_cast<float>(rng.poisson(2));
    frames.push_back(std::move(frame));
  }
  const auto still = sum(frames, MotionField(std::vector<Shift>(4)), dose_basis({}, 4, 0.71));
  for (int y = 8; y < 56; ++y)
    for (int x = 8; x < 56; ++x)
      EXPECT_NEAR(still.plain(x, y), frames[0](x, y) + frames[1](x, y) + frames[2](x, y) + frames[3](x, y), 0.3)
          << x << " " << y;
  EXPECT_FALSE(still.weighted);
}

TEST(Sum, OfALocalFieldThatIsConstantIsThatOfTheGlobalOne) {
  Scene scene{.n = 128, .frames = 3, .motion = drift(3)};
  const auto frames = movie(scene, 52);
  const std::vector<Shift> track = {{0, 0}, {1.3, -0.4}, {2.1, 0.7}};
  std::vector<Shift> nodes;
  for (const auto& s : track) nodes.insert(nodes.end(), 4, s);
  const auto basis = dose_basis({}, 3, 0.71);
  const auto global = sum(frames, MotionField(track), basis),
             local = sum(frames, MotionField({0, 127}, {0, 127}, nodes), basis, {.threads = 2});
  for (std::size_t i = 0; i < global.plain.size(); ++i)
    ASSERT_NEAR(global.plain.pixels()[i], local.plain.pixels()[i], 1e-3);
}

TEST(Detector, FindsHotAndDeadPixelsAndNothingElse) {
  Rng rng(60);
  Image sum(512, 512);
  for (int y = 0; y < 512; ++y)
    for (int x = 0; x < 512; ++x) sum(x, y) = static_cast<float>(rng.poisson(x < 200 ? 25 : 40));  // carbon on the left
  sum(100, 100) = 90;
  sum(300, 17) = 0;
  sum(0, 511) = 400;
  EXPECT_EQ(find_defects(sum, 1), (std::vector<std::uint64_t>{17 * 512 + 300, 100 * 512 + 100, 511 * 512}));
}

TEST(Detector, ReplacesDefectsBySoundNeighboursAlwaysTheSame) {
  Image frame(16, 16), gain(16, 16);
  for (auto& v : gain.pixels()) v = 2;
  for (auto& v : frame.pixels()) v = 3;
  gain(4, 4) = 0;
  frame(5, 4) = 1000;
  Detector detector(16, 16, std::move(gain), 9);
  detector.add_defects({4 * 16 + 5});
  detector.correct(frame, 0);
  for (const float v : frame.pixels()) EXPECT_EQ(v, 6);
  Image bad(16, 16);
  bad(1, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(Detector(16, 16, std::move(bad), 1), Error);
  EXPECT_THROW(Detector(16, 16, Image(8, 16), 1), Error);
}

}  // namespace
}  // namespace frazil::motion
