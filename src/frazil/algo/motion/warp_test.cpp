#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <atomic>
#include <cmath>

#include "frazil/algo/motion/frame_cache.hpp"
#include "frazil/algo/motion/signal_probe.hpp"
#include "frazil/algo/motion/sum.hpp"
#include "frazil/algo/motion/survey.hpp"
#include "frazil/algo/motion/warp_kernels.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {
namespace {

/// Counted frames of any type.
struct Movie {
  std::vector<std::shared_ptr<const Counts>> frames;
  int nx, ny;

  Movie(int width, int height, int count, CountType type, std::uint64_t seed) : nx(width), ny(height) {
    Rng rng(seed);
    for (int t = 0; t < count; ++t) {
      auto frame = std::make_shared<Counts>(nx, ny, type);
      frame->visit([&]<class T>(const View2<const T>& view) {
        for (std::size_t i = 0; i < z(nx) * z(ny); ++i)
          const_cast<T*>(view.data)[i] =
              static_cast<T>(static_cast<int>(rng.poisson(2)) - (std::is_signed_v<T> ? 1 : 0));  // NOLINT: being made
      });
      frames.push_back(std::move(frame));
    }
  }
  [[nodiscard]] FrameSource source(int batch = 0) const {
    FrameSource source{nx, ny, static_cast<int>(frames.size()), 1_A, {}};
    source.counts = [this](int t) { return frames[z(t)]; };
    source.batch = batch;
    return source;
  }
};

Detector detector_with_defects(int nx, int ny, std::uint64_t seed) {
  Rng rng(seed);
  Image gain(nx, ny);
  for (auto& v : gain.pixels()) v = static_cast<float>(1 + 0.05 * rng.normal());
  gain(0, 0) = gain(nx - 1, 3) = gain(nx / 2, ny - 1) = gain(17, 17) = gain(18, 17) = 0;
  Detector detector(nx, ny, std::move(gain), seed);
  detector.add_defects({z(5) * z(nx) + 1, z(40) * z(nx) + 40});
  return detector;
}

std::vector<Shift> wander(int frames, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<Shift> track;
  for (int t = 0; t < frames; ++t) track.push_back({rng.normal(0, 4), rng.normal(0, 4)});
  return track;
}

std::vector<std::vector<double>> some_weights(int rank, int frames) {
  Rng rng(7);
  std::vector<std::vector<double>> weights(z(rank), std::vector<double>(z(frames)));
  for (auto& row : weights)
    for (auto& w : row) w = rng.normal();
  return weights;
}

void expect_same_bits(const std::vector<Image>& a, const std::vector<Image>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t r = 0; r < a.size(); ++r)
    for (std::size_t i = 0; i < a[r].size(); ++i)
      ASSERT_EQ(a[r].pixels()[i], b[r].pixels()[i]) << "image " << r << " pixel " << i;
}

AlignedVector<float> noise(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  AlignedVector<float> values(n);
  for (auto& v : values) v = static_cast<float>(rng.normal());
  return values;
}

TEST(WarpKernels, EqualThePlainOnesToTheBitOnEveryInstructionSetOfThisCpu) {
  const auto& plain = warp_kernels_reference();
  for (const auto target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    const auto& fast = warp_kernels();
    SCOPED_TRACE(fast.target);
    const auto source = noise(100 * 100, 1), weights = noise(64, 2);
    for (const int nx : {1, 7, 16, 31, 64}) {
      AlignedVector<float> rows(100 * 80), a(80 * 80), b(80 * 80);
      fast.gather6(source.data(), 99, nx, 33, weights.data(), weights.data() + 6, rows.data(), a.data(), 80);
      plain.gather6(source.data(), 99, nx, 33, weights.data(), weights.data() + 6, rows.data(), b.data(), 80);
      for (int y = 0; y < 33; ++y)
        for (int x = 0; x < nx; ++x) ASSERT_EQ(a[z(y * 80 + x)], b[z(y * 80 + x)]);
      fast.gather4(source.data(), 99, nx, 33, weights.data(), weights.data() + 6, rows.data(), a.data(), 80);
      plain.gather4(source.data(), 99, nx, 33, weights.data(), weights.data() + 6, rows.data(), b.data(), 80);
      for (int y = 0; y < 33; ++y)
        for (int x = 0; x < nx; ++x) ASSERT_EQ(a[z(y * 80 + x)], b[z(y * 80 + x)]);
      std::vector<std::uint16_t> counts(100);
      for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = static_cast<std::uint16_t>(i * 655);
      for (const float* gain : {static_cast<const float*>(nullptr), weights.data()}) {
        fast.correct.u16(counts.data() + 3, gain, a.data(), nx);
        plain.correct.u16(counts.data() + 3, gain, b.data(), nx);
        for (int x = 0; x < nx; ++x) ASSERT_EQ(a[z(x)], b[z(x)]);
        fast.correct.i16(reinterpret_cast<const std::int16_t*>(counts.data()), gain, a.data(), nx);
        plain.correct.i16(reinterpret_cast<const std::int16_t*>(counts.data()), gain, b.data(), nx);
        for (int x = 0; x < nx; ++x) ASSERT_EQ(a[z(x)], b[z(x)]);
        fast.correct.u8(reinterpret_cast<const std::uint8_t*>(counts.data()) + 1, gain, a.data(), nx);
        plain.correct.u8(reinterpret_cast<const std::uint8_t*>(counts.data()) + 1, gain, b.data(), nx);
        for (int x = 0; x < nx; ++x) ASSERT_EQ(a[z(x)], b[z(x)]);
      }
    }
    for (const int frames : {1, 2, 3, 4})
      for (const int rank : {1, 5}) {
        std::vector<AlignedVector<float>> a, b;
        std::vector<float*> to_a, to_b;
        std::vector<const float*> values;
        for (int f = 0; f < frames; ++f) values.push_back(source.data() + 100 * f);
        for (int r = 0; r < rank; ++r) a.push_back(noise(96, 3)), b.push_back(noise(96, 3));
        for (int r = 0; r < rank; ++r) to_a.push_back(a[z(r)].data()), to_b.push_back(b[z(r)].data());
        fast.add(values.data(), frames, weights.data(), rank, to_a.data(), 96);
        plain.add(values.data(), frames, weights.data(), rank, to_b.data(), 96);
        for (int r = 0; r < rank; ++r) ASSERT_EQ(a[z(r)], b[z(r)]);
      }
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(Warp, EqualsItsReferenceForEveryTypeOfCount) {
  for (const auto type : {CountType::u8, CountType::u16, CountType::i16, CountType::f32}) {
    const Movie movie(150, 91, 3, type, 3);
    const auto detector = detector_with_defects(150, 91, 4);
    const MotionField field(std::vector<Shift>{{0, 0}, {30.4, -70.7}, {-200.2, 100.5}});  // far beyond the edges, too
    for (const auto spline : {Spline::cubic, Spline::quintic}) {
      const auto fast = warp_frames(movie.source(), detector, field, some_weights(3, 3), {spline, 2});
      const auto plain = warp_frames_reference(movie.source(), detector, field, some_weights(3, 3), spline);
      for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t i = 0; i < fast[r].size(); ++i)
          ASSERT_NEAR(fast[r].pixels()[i], plain[r].pixels()[i], 2e-5) << r << " " << i;
    }
  }
}

TEST(Warp, GivesTheSameBitsForAnyThreadsAndBatches) {
  const Movie movie(300, 200, 9, CountType::u8, 5);
  const auto detector = detector_with_defects(300, 200, 6);
  const MotionField field(wander(9, 7));
  const auto weights = some_weights(5, 9);
  const auto one = warp_frames(movie.source(), detector, field, weights, {Spline::quintic, 1});
  for (const int threads : {2, 5})
    for (const int batch : {0, 4, 9})
      expect_same_bits(one, warp_frames(movie.source(batch), detector, field, weights, {Spline::quintic, threads}));
}

TEST(Warp, FollowsALocalFieldToAFiftiethOfAPixel) {
  // A field that bends by 1 px over 400, as steep as 10 px over a whole movie.
  const Movie movie(400, 400, 1, CountType::f32, 8);
  const Detector detector(400, 400, {}, 1);
  const MotionField field({0, 399}, {0, 399}, {{0, 0}, {1, -0.3}, {-0.3, 0.7}, {0.7, 1}});
  EXPECT_EQ(block_side(field), 16);
  const auto fast = warp_frames(movie.source(), detector, field, {{1}}),
             plain = warp_frames_reference(movie.source(), detector, field, {{1}});
  EXPECT_GT(correlation(fast[0].pixels(), plain[0].pixels()), 0.9995);
  EXPECT_EQ(block_side(MotionField(wander(3, 1))), 64);
}

TEST(Survey, EqualsPlainSumsAndBins) {
  for (const auto type : {CountType::u8, CountType::i16, CountType::f32}) {
    const Movie movie(101, 74, 5, type, 9);
    const auto detector = detector_with_defects(101, 74, 10);
    for (const int factor : {1, 3, 5}) {
      const auto found = survey(movie.source(), detector, factor, 2, 2);
      ASSERT_EQ(found.binned.size(), 3U);
      Image sum(101, 74), binned(101, 74);
      for (int t = 0; t < 5; ++t)
        movie.frames[z(t)]->visit([&](const auto& raw) {
          for (int y = 0; y < 74; ++y)
            for (int x = 0; x < 101; ++x) {
              const float value = static_cast<float>(raw(x, y)) * detector.gain_row(y)[x];
              sum(x, y) += value;
              if (t / 2 == 1) binned(x, y) += value;
            }
        });
      for (std::size_t i = 0; i < sum.size(); ++i) ASSERT_NEAR(found.sum.pixels()[i], sum.pixels()[i], 1e-5);
      const Image small = bin(binned, factor, 1_A);
      ASSERT_EQ(found.binned[1].size(), small.size());
      for (std::size_t i = 0; i < small.size(); ++i) ASSERT_NEAR(found.binned[1].pixels()[i], small.pixels()[i], 1e-5);
    }
  }
}

TEST(FrameCache, DecodesWhatFitsOnceAndTheRestAgain) {
  const int nx = 64, ny = 32, count = 30;
  std::vector<std::atomic<int>> reads(count);
  const auto read = [&](int t, Counts& out) {
    ++reads[z(t)];
    std::memset(out.row(0), t, out.row_bytes() * z(ny));
  };
  FrameCache cache(nx, ny, count, CountType::u8, 1_A, read, z(nx * ny) * 20);
  EXPECT_EQ(cache.kept(), 12);  // eight more come and go
  const auto source = cache.source();
  EXPECT_EQ(source.batch, 8);
  for (int pass = 0; pass < 2; ++pass)
    for (int t = 0; t < count; ++t) EXPECT_EQ(std::to_integer<int>(source.counts(t)->row(3)[7]), t);
  for (int t = 0; t < count; ++t) EXPECT_EQ(reads[z(t)], t < 12 ? 1 : 2) << t;
  Image image;
  source.read(29, image);
  EXPECT_EQ(image(5, 5), 29);
  source.done();
}

TEST(Sum, HalvesAddUpToTheWhole) {
  const Movie movie(96, 80, 7, CountType::u8, 11);
  const auto detector = detector_with_defects(96, 80, 12);
  const Exposure exposure{2_e_per_A2, 0_e_per_A2, 300_kV};
  for (const double binning : {1.0, 2.0}) {
    const auto sums = sum_frames(movie.source(), detector, MotionField(wander(7, 13)), dose_basis(exposure, 7, 0.71),
                                 {.binning = binning, .halves = true, .threads = 2});
    ASSERT_TRUE(sums.weighted && sums.odd && sums.even);
    EXPECT_EQ(sums.plain.nx(), binning == 1 ? 96 : 48);
    for (std::size_t i = 0; i < sums.plain.size(); ++i)
      ASSERT_NEAR(sums.odd->pixels()[i] + sums.even->pixels()[i], sums.weighted->pixels()[i], 1e-3);
    EXPECT_NEAR(statistics(sums.plain).mean, 14, 0.5);
  }
}

TEST(Sum, CropsInFourierSpaceAsAResizeDoes) {
  const Movie movie(120, 96, 2, CountType::u8, 14);
  const Detector detector(120, 96, {}, 1);
  const MotionField still(std::vector<Shift>(2));
  const auto whole = sum_frames(movie.source(), detector, still, dose_basis({}, 2, 0.71)),
             half = sum_frames(movie.source(), detector, still, dose_basis({}, 2, 0.71), {.binning = 1.5});
  const Image expected = fourier_resize(whole.plain, 80, 64);
  ASSERT_EQ(half.plain.nx(), 80);
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(half.plain.pixels()[i], expected.pixels()[i], 2e-3);
}

TEST(Sum, KeepsTheSignalAndABilinearOneLosesWhatTheorySays) {
  double ours = 0, bilinear = 0;
  constexpr int seeds = 2;
  for (int seed = 0; seed < seeds; ++seed) {
    const SignalProbe probe(256, 10, 0.4, static_cast<std::uint64_t>(15 + seed));  // 0.8 of Nyquist
    ours += probe.kept([](const FrameSource& frames, const MotionField& field) {
      return sum_frames(frames, Detector(frames.nx, frames.ny, {}, 1), field, dose_basis({}, frames.count, 0.71)).plain;
    }) / seeds;
    bilinear += probe.kept(bilinear_sum) / seeds;
  }
  // Ring mean of sinc⁴(kx) sinc⁴(ky) over the mean noise transfer (2 + cos 2πk) / 3 of both axes.
  EXPECT_NEAR(bilinear, 0.886, 0.03);  // signal_bench takes enough seeds for a hundredth
  EXPECT_GT(ours, 0.97);
}

}  // namespace
}  // namespace frazil::motion
