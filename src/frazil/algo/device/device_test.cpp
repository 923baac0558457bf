// All devices give what the CPU gives, within rounding, and each gives its own bits again.
#include "frazil/algo/device/device.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "frazil/algo/class2d/classify.hpp"
#include "frazil/algo/class2d/test_particles.hpp"
#include "frazil/algo/motion/align.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/algo/pick/pick.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::device {
namespace {

const Backends cpu = known("cpu").backends({});

class OnDevice : public testing::TestWithParam<Device> {
 protected:
  const Backends here = GetParam().backends({});
};
INSTANTIATE_TEST_SUITE_P(All, OnDevice, testing::ValuesIn(devices().begin(), devices().end()),
                         [](const auto& test) { return std::string(test.param.name); });

bool are_same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// RMS of the difference over the standard deviation of `b`.
double difference(std::span<const float> a, std::span<const float> b) {
  const double mean = std::accumulate(b.begin(), b.end(), 0.0) / static_cast<double>(b.size());
  double off = 0, all = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    off += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    all += std::pow(static_cast<double>(b[i]) - mean, 2);
  }
  return std::sqrt(off / all);
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  double off = 0, all = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    off += std::pow(a[i] - b[i], 2);
    all += b[i] * b[i];
  }
  return std::sqrt(off / all);
}

/// A texture that drifts, counted.
struct TestMovie {
  static constexpr int n = 256, count = 6;
  std::vector<Image> frames;
  std::vector<motion::Shift> track;

  TestMovie() {
    Rng rng(5);
    Image noise(n, n, 4_A);
    for (auto& v : noise.pixels()) v = static_cast<float>(rng.normal());
    const Image texture = band_pass(noise, 120_A, 16_A);
    const double scale = 0.2 / statistics(texture).stddev;
    for (int t = 0; t < count; ++t) {
      track.push_back({1.5 * t / (1 + 0.4 * t), 0.6 * t});
      auto spectrum = fft(texture);
      fourier_shift(spectrum, track.back().x, track.back().y);
      const Image moved = ifft(spectrum);
      frames.emplace_back(n, n, 4_A);
      for (std::size_t i = 0; i < moved.size(); ++i)
        frames.back().pixels()[i] = static_cast<float>(rng.poisson(4 * std::exp(scale * double{moved.pixels()[i]})));
    }
  }
  [[nodiscard]] motion::FrameSource source() const {
    return {n, n, count, 4_A, [this](int i, Image& out) { out = frames[z(i)].clone(); }};
  }
};

const motion::Exposure exposure{2_e_per_A2, 0_e_per_A2, 300_kV};

motion::Band band_of(const TestMovie& movie, const motion::Backend& backend, int threads) {
  return backend.make_band(TestMovie::count, motion::window_of(movie.frames), 4_A, {100_A, 10_A}, exposure, threads);
}

std::span<const float> data_of(const motion::Band& band) {
  return {band.data.data(), 2 * band.shell.size() * z(band.frames)};
}

TEST_P(OnDevice, BandsAndSumsAlongTracksAreThoseOfTheCpu) {
  const TestMovie movie;
  const auto band = band_of(movie, *here.motion, 1), again = band_of(movie, *here.motion, 3),
             usual = band_of(movie, *cpu.motion, 1);
  EXPECT_TRUE(are_same_bits(data_of(band), data_of(again)));
  EXPECT_LT(difference(data_of(band), data_of(usual)), 1e-5);  // single precision, a transform's few dozen additions
  const std::vector<double> weight(z(usual.shells), 0.3), amplitude(z(usual.frames), 1.0);
  motion::TrackA track;
  for (const auto& s : movie.track) {
    track.x.push_back(-3 * s.x);
    track.y.push_back(-3 * s.y);
  }
  const auto halves = here.motion->hold(usual, 1)->halves(weight, amplitude, track),
             repeated = here.motion->hold(usual, 2)->halves(weight, amplitude, track),
             expected = cpu.motion->hold(usual, 1)->halves(weight, amplitude, track);
  const auto powers = here.motion->hold(usual, 1)->powers(amplitude, track);
  for (std::size_t h = 0; h < 2; ++h) {
    EXPECT_EQ(halves[h].value, repeated[h].value);
    EXPECT_EQ(halves[h].gradient_x, repeated[h].gradient_x);
    EXPECT_NEAR(halves[h].value / expected[h].value, 1, 1e-5);
    EXPECT_LT(difference(halves[h].gradient_x, expected[h].gradient_x), 1e-4);
    EXPECT_LT(difference(halves[h].gradient_y, expected[h].gradient_y), 1e-4);
    EXPECT_LT(difference(halves[h].overlap, expected[h].overlap), 1e-4);
    EXPECT_LT(difference(powers[h], expected[h].sum_power), 1e-5);
  }
}

struct Corrected {
  motion::Alignment alignment;
  motion::Sums sums;
};

Corrected correct(const TestMovie& movie, const motion::Backend& backend, int threads) {
  motion::Detector detector(TestMovie::n, TestMovie::n, {}, 1);
  motion::AlignParams params;
  params.max_resolution = 10_A;
  params.threads = threads;
  params.backend = &backend;
  Corrected out{motion::align_frames(movie.source(), detector, exposure, params), {}};
  const auto basis = motion::dose_basis(exposure, TestMovie::count, std::sqrt(0.5) / 4);
  motion::SumParams sum_params;
  sum_params.threads = threads;
  sum_params.backend = &backend;
  out.sums = motion::sum_frames(movie.source(), detector, out.alignment.field, basis, sum_params);
  return out;
}

TEST_P(OnDevice, MoviesAreCorrectedAsOnTheCpu) {
  const TestMovie movie;
  const auto found = correct(movie, *here.motion, 1), again = correct(movie, *here.motion, 3),
             usual = correct(movie, *cpu.motion, 2);
  EXPECT_TRUE(are_same_bits(found.sums.plain.pixels(), again.sums.plain.pixels()));
  ASSERT_EQ(found.alignment.track.size(), usual.alignment.track.size());
  for (std::size_t t = 0; t < usual.alignment.track.size(); ++t) {
    EXPECT_EQ(found.alignment.track[t].x, again.alignment.track[t].x);
    // The search ends when steps are below 0.01 A; a pixel is 4 A.
    EXPECT_NEAR(found.alignment.track[t].x, usual.alignment.track[t].x, 0.005);
    EXPECT_NEAR(found.alignment.track[t].y, usual.alignment.track[t].y, 0.005);
  }
  EXPECT_LT(difference(found.sums.plain.pixels(), usual.sums.plain.pixels()), 0.01);
  ASSERT_TRUE(found.sums.weighted && usual.sums.weighted);
  EXPECT_LT(difference(found.sums.weighted->pixels(), usual.sums.weighted->pixels()), 0.01);
}

TEST_P(OnDevice, PicksAreThoseOfTheCpu) {
  Rng rng(7);
  Image image(160, 160, 2_A);
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x) {
      const int from_x = x % 40 - 20, from_y = y % 40 - 20;  // discs on a lattice
      image(x, y) = static_cast<float>(100 + rng.normal() - (std::hypot(from_x, from_y) < 14 ? 1.5 : 0));
    }
  pick::PickParams params;
  params.diameter = 56_A;
  const auto found = pick::pick(image, params, nullptr, *here.pick),
             again = pick::pick(image, params, nullptr, *here.pick),
             usual = pick::pick(image, params, nullptr, *cpu.pick);
  EXPECT_GE(usual.picks.size(), 9U);
  ASSERT_EQ(found.picks.size(), usual.picks.size());
  for (std::size_t i = 0; i < usual.picks.size(); ++i) {
    EXPECT_EQ(found.picks[i].x, again.picks[i].x);
    EXPECT_EQ(found.picks[i].score, again.picks[i].score);
    EXPECT_NEAR(found.picks[i].score, usual.picks[i].score, 0.01);
    EXPECT_NEAR(found.picks[i].x, usual.picks[i].x, 0.05);
    EXPECT_NEAR(found.picks[i].y, usual.picks[i].y, 0.05);
  }
}

TEST_P(OnDevice, ParticlesAreClassifiedAsOnTheCpu) {
  const auto data = class2d::testing::make_particles({.count = 60, .species = 2, .snr = 0.5, .fixed_views = true}, 9);
  class2d::Params params;
  params.classes = 2;
  params.epochs = 1;
  params.final_passes = 1;
  params.resolution = 25_A;
  const auto run = [&](const Backends& on, int threads) {
    return class2d::classify(nullptr, data.set, 150_A, params, Rng(2), threads, {.backend = on.class2d});
  };
  const auto found = run(here, 2), again = run(here, 1), usual = run(cpu, 2);
  EXPECT_TRUE(class2d::to_bytes(found) == class2d::to_bytes(again));
  ASSERT_EQ(found.assignments.size(), usual.assignments.size());
  for (std::size_t i = 0; i < usual.assignments.size(); ++i) {
    const auto &a = found.assignments[i], &b = usual.assignments[i];
    EXPECT_EQ(a.index, b.index) << i;
    EXPECT_NEAR(a.evidence, b.evidence, 0.01 + 1e-3 * std::abs(b.evidence)) << i;
    EXPECT_NEAR(a.origin_x_px, b.origin_x_px, 0.02) << i;
    EXPECT_NEAR(std::remainder(a.turn_deg - b.turn_deg, 360.0F), 0, 0.2) << i;
  }
}

TEST(Devices, AreKnownByNameAndTheCpuIsFirst) {
  EXPECT_EQ(devices().front().name, "cpu");
  EXPECT_EQ(known("reference").name, "reference");
  try {
    (void)known("abacus");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "there is no device \"abacus\" in this program; it has cpu, reference");
  }
}

}  // namespace
}  // namespace frazil::device
