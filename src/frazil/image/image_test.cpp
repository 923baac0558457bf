#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/image/sound.hpp"

namespace frazil {
namespace {

Image noise(int nx, int ny, std::uint64_t seed) {
  Rng rng(seed);
  Image image(nx, ny, 1.5_A);
  for (auto& v : image.pixels()) v = static_cast<float>(rng.normal());
  return image;
}

double largest_difference(const Image& a, const Image& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a.pixels()[i]) - b.pixels()[i]));
  return worst;
}

TEST(Fft, EqualsTheDirectSum) {
  const auto image = noise(12, 10, 1);
  const auto spectrum = fft(image);
  for (int iy = 0; iy < 10; ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix) {
      std::complex<double> sum = 0;
      for (int y = 0; y < 10; ++y)
        for (int x = 0; x < 12; ++x)
          sum += static_cast<double>(image(x, y)) *
                 std::polar(1.0, -2 * std::numbers::pi * (ix * x / 12.0 + iy * y / 10.0));
      EXPECT_NEAR(std::abs(sum - std::complex<double>(spectrum(ix, iy))), 0, 1e-4);
    }
}

TEST(Fft, ComesBackForOddAndEvenSides) {
  for (const auto& [nx, ny] : {std::pair{16, 16}, {15, 18}, {33, 7}, {1, 5}}) {
    const auto image = noise(nx, ny, 2);
    EXPECT_LT(largest_difference(image, ifft(fft(image))), 1e-5) << nx << " x " << ny;
  }
}

TEST(Fft, VolumeComesBack) {
  Volume volume(8, 10, 6);
  Rng rng(4);
  for (auto& v : volume.voxels()) v = static_cast<float>(rng.normal());
  const auto back = ifft(fft(volume));
  for (std::size_t i = 0; i < volume.size(); ++i) EXPECT_NEAR(volume.voxels()[i], back.voxels()[i], 1e-5);
}

TEST(Fft, GoodSizesAreEvenAndSmooth) {
  EXPECT_EQ(good_size(4092), 4096);
  EXPECT_EQ(good_size(1023), 1024);
  EXPECT_EQ(good_size(7), 8);
}

TEST(FourierShift, MovesByWholePixels) {
  const auto image = noise(16, 12, 3);
  auto spectrum = fft(image);
  fourier_shift(spectrum, 3, -2);
  const auto moved = ifft(spectrum);
  for (int y = 0; y < 12; ++y)
    for (int x = 0; x < 16; ++x) EXPECT_NEAR(moved((x + 3) % 16, (y + 10) % 12), image(x, y), 1e-5);
}

TEST(FourierResize, KeepsMeanAndUndoesPadding) {
  auto image = noise(24, 20, 5);
  for (auto& v : image.pixels()) v += 3;
  const auto large = fourier_resize(image, 48, 40);
  EXPECT_DOUBLE_EQ(large.pixel_size.value(), 0.75);
  EXPECT_NEAR(statistics(large).mean, statistics(image).mean, 1e-5);
  // Nyquist is the one frequency that a padded transform shares out differently.
  const auto smooth = band_pass(image, 0_A, 4_A);
  EXPECT_LT(largest_difference(fourier_resize(fourier_resize(smooth, 48, 40), 24, 20), smooth), 1e-4);
}

TEST(FourierResize, VolumeKeepsMean) {
  Volume volume(16, 16, 16, 2_A);
  Rng rng(6);
  for (auto& v : volume.voxels()) v = static_cast<float>(1 + rng.normal());
  const auto small = fourier_resize(volume, 8);
  EXPECT_NEAR(statistics(small.voxels()).mean, statistics(volume.voxels()).mean, 1e-5);
  EXPECT_DOUBLE_EQ(small.pixel_size.value(), 4.0);
}

TEST(Bin, AveragesBlocks) {
  const auto image = noise(9, 8, 7);
  const auto small = bin(image, 2, image.pixel_size);
  EXPECT_EQ(small.nx(), 4);
  EXPECT_NEAR(small(1, 2), (image(2, 4) + image(3, 4) + image(2, 5) + image(3, 5)) / 4, 1e-6);
}

TEST(Statistics, LeavesNaNOutAndCountsThem) {
  auto image = noise(64, 64, 8);
  image(3, 3) = std::nanf("");
  const auto s = statistics(image);
  EXPECT_EQ(s.not_finite, 1u);
  EXPECT_NEAR(s.mean, 0, 0.1);
  EXPECT_NEAR(s.stddev, 1, 0.05);
}

TEST(NormaliseBackground, GivesZeroMeanUnitDeviationOutside) {
  auto image = noise(64, 64, 9);
  for (auto& v : image.pixels()) v = 5 + 3 * v;
  image(32, 32) = 1000;
  normalise_background(image, 20);
  double sum = 0, squares = 0, n = 0;
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x)
      if (std::hypot(x - 32, y - 32) > 20) {
        sum += image(x, y);
        squares += image(x, y) * image(x, y);
        ++n;
      }
  EXPECT_NEAR(sum / n, 0, 1e-5);
  EXPECT_NEAR(squares / n, 1, 1e-5);
}

TEST(Thumbnail, FitsTheSideAndKeepsTheMean) {
  auto image = noise(1200, 700, 10);
  for (auto& v : image.pixels()) v += 5;
  const auto small = thumbnail(image, 256);
  EXPECT_LE(small.nx(), 256);
  EXPECT_NEAR(static_cast<double>(small.nx()) / small.ny(), 12.0 / 7, 0.03);
  EXPECT_NEAR(statistics(small).mean, 5, 0.01);
  EXPECT_LT(statistics(small).stddev, 0.3);
}

TEST(BandPass, KeepsWhatLiesInside) {
  Image image(64, 64, 1_A);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x)
      image(x, y) =
          static_cast<float>(std::cos(2 * std::numbers::pi * x / 8) + std::cos(2 * std::numbers::pi * x / 64));
  const auto filtered = band_pass(image, 32_A, 4_A);
  for (int x = 0; x < 64; ++x) EXPECT_NEAR(filtered(x, 10), std::cos(2 * std::numbers::pi * x / 8), 1e-4);
}

TEST(Memory, LargeBlocksStayApartWhateverIsFreedAndTakenAgain) {
  Rng rng(20);
  std::vector<AlignedVector<std::uint32_t>> blocks;
  const auto holds = [](const AlignedVector<std::uint32_t>& block) {
    return reinterpret_cast<std::uintptr_t>(block.data()) % 64 == 0 &&
           std::all_of(block.begin() + 1, block.end(), [&](std::uint32_t v) { return v == block[0]; });
  };
  for (std::uint32_t i = 0; i < 60; ++i) {
    blocks.emplace_back((std::size_t{1} << 18U) * (1 + rng.below(8)), i);  // one to eight megabytes
    if (rng.uniform() < 0.45) {
      const auto which = static_cast<std::ptrdiff_t>(rng.below(blocks.size()));
      ASSERT_TRUE(holds(blocks[static_cast<std::size_t>(which)]));
      blocks.erase(blocks.begin() + which);
    }
  }
  for (const auto& block : blocks) EXPECT_TRUE(holds(block));
  blocks.clear();
  const Image image(3000, 1000);  // in memory that held numbers
  EXPECT_TRUE(std::all_of(image.pixels().begin(), image.pixels().end(), [](float v) { return v == 0; }));
}

TEST(Sound, TellsImagesThatWouldSpoilASum) {
  Image image(16, 16);
  EXPECT_EQ(soundness(image), Soundness::flat);
  for (std::size_t i = 0; i < image.size(); ++i) image.pixels()[i] = static_cast<float>(i % 7);
  EXPECT_EQ(soundness(image), Soundness::sound);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -1e30F}) {
    auto copy = image.clone();
    copy(3, 5) = bad;
    EXPECT_EQ(soundness(copy), Soundness::not_finite) << bad;
  }
  for (float& v : image.pixels()) v *= 1e-30F;
  EXPECT_EQ(soundness(image), Soundness::flat);
}

TEST(Sound, ReplacesSinglePixelsThatNoDetectorGives) {
  Rng rng(5);
  Image image(64, 64);
  for (float& v : image.pixels()) v = static_cast<float>(30 + 5 * rng.normal());
  const auto before = image.clone();
  EXPECT_EQ(replace_outliers(image, 50), 0);
  EXPECT_TRUE(std::equal(image.data(), image.data() + image.size(), before.data()));
  image(10, 10) = 1e8F;
  image(20, 20) = std::numeric_limits<float>::quiet_NaN();
  image(30, 30) = 30 + 20 * 5;  // gold
  EXPECT_EQ(replace_outliers(image, 50), 2);
  EXPECT_NEAR(image(10, 10), 30, 2);
  EXPECT_NEAR(image(20, 20), 30, 2);
  EXPECT_EQ(image(30, 30), 130);
  for (int x = 0; x < 64; ++x) image(x, 0) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(replace_outliers(image, 50), 0) << "an area is no pixel";
}

}  // namespace
}  // namespace frazil
