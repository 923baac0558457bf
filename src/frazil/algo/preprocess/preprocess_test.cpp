#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "frazil/algo/preprocess/preprocess.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::preprocess {
namespace {

Image noise(int nx, int ny, std::uint64_t seed, double mean = 50, double sigma = 5) {
  Image image(nx, ny, 1.5_A);
  Rng rng(seed);
  for (float& v : image.pixels()) v = static_cast<float>(rng.normal(mean, sigma));
  return image;
}

double largest_difference(const Image& a, const Image& b) {
  double largest = a.nx() == b.nx() && a.ny() == b.ny() ? 0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; largest < 1e30 && i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a.pixels()[i] - b.pixels()[i])));
  return largest;
}

TEST(Preprocess, LeavesAnImageAloneUnlessAsked) {
  const auto image = noise(64, 48, 1);
  EXPECT_EQ(largest_difference(preprocess(image, {}), image), 0);
}

TEST(Preprocess, InvertsAboutTheMeanAndTwiceIsNothing) {
  const auto image = noise(64, 48, 2);
  PreprocessParams params;
  params.invert = true;
  const auto once = preprocess(image, params);
  EXPECT_NEAR(statistics(once).mean, statistics(image).mean, 1e-4);
  EXPECT_NEAR(correlation(once.pixels(), image.pixels()), -1, 1e-6);
  EXPECT_LT(largest_difference(preprocess(once, params), image), 1e-4);
}

TEST(Preprocess, RemovesHotSpotsAndNothingElse) {
  auto image = noise(128, 96, 3);
  const auto clean = image.clone();
  image(10, 20) = 4000;
  image(0, 0) = -900;
  image(127, 95) = std::numeric_limits<float>::infinity();
  image(60, 60) = std::nanf("");
  image(61, 60) = 5000;
  auto fixed = image.clone();
  EXPECT_EQ(remove_hot_spots(fixed, 8), 5);
  for (int y = 0; y < fixed.ny(); ++y)
    for (int x = 0; x < fixed.nx(); ++x) {
      ASSERT_NEAR(fixed(x, y), 50, 30) << x << " " << y;
      if (image(x, y) == clean(x, y)) {
        ASSERT_EQ(fixed(x, y), clean(x, y));
      }
    }
  auto only_not_finite = image.clone();
  EXPECT_EQ(remove_hot_spots(only_not_finite, 0), 2);
}

TEST(Preprocess, DownsamplingKeepsMeanAndFieldAndStatesTheExactPixelSize) {
  PreprocessParams params;
  params.downsampled_pixel_size = 4_A;
  const auto image = noise(300, 200, 4);
  const auto small = preprocess(image, params);
  EXPECT_NEAR(small.nx() * small.pixel_size.value(), 300 * 1.5, 1e-9);
  EXPECT_NEAR(small.pixel_size.value(), 4, 4 * 1.0 / small.nx());
  EXPECT_NEAR(statistics(small).mean, statistics(image).mean, 1e-3);
  EXPECT_NEAR(static_cast<double>(small.nx()) / small.ny(), 1.5,
              1.5 / small.nx() + 1.5 / small.ny());  // each side is even, so off by one pixel at most
}

TEST(Preprocess, CombinesItsStepsInTheDocumentedOrder) {
  auto image = noise(200, 160, 5);
  image(50, 50) = 9000;
  PreprocessParams all;
  all.crop_border = 10;
  all.hot_spots = 6;
  all.invert = true;
  all.downsampled_pixel_size = 3_A;
  all.low_pass = 12_A;
  all.high_pass = 150_A;
  all.normalise = Normalisation::plane;
  Image by_hand = crop(image, 10, 10, 180, 140, 0, image.pixel_size);
  remove_hot_spots(by_hand, 6);
  const double mean = statistics(by_hand).mean;
  for (float& v : by_hand.pixels()) v = static_cast<float>(2 * mean - v);
  by_hand = band_pass(fourier_resize(by_hand, 90, 70), 150_A, 12_A, 0.1);
  remove_plane(by_hand);
  const auto s = statistics(by_hand);
  for (float& v : by_hand.pixels()) v = static_cast<float>((v - s.mean) / s.stddev);
  const auto result = preprocess(image, all);
  EXPECT_LT(largest_difference(result, by_hand), 1e-4);
  EXPECT_NEAR(statistics(result).stddev, 1, 1e-4);
}

TEST(Preprocess, FiltersKeepWhatLiesBetweenTheirLimits) {
  Image wave(256, 256, 1_A);
  const auto amplitude_after = [&](double period_px, const PreprocessParams& params) {
    for (int y = 0; y < 256; ++y)
      for (int x = 0; x < 256; ++x) wave(x, y) = static_cast<float>(10 + std::cos(2 * M_PI * x / period_px));
    return statistics(preprocess(wave, params)).stddev * std::sqrt(2.0);
  };
  PreprocessParams band;
  band.low_pass = 10_A;
  band.high_pass = 50_A;
  EXPECT_NEAR(amplitude_after(16, band), 1, 1e-3);
  EXPECT_NEAR(amplitude_after(8, band), 0, 1e-3);
  EXPECT_NEAR(amplitude_after(64, band), 0, 1e-3);
}

TEST(Preprocess, NamesEveryContradictionAtOnce) {
  PreprocessParams bad;
  bad.crop_border = 40;
  bad.low_pass = 30_A;
  bad.high_pass = 20_A;
  bad.downsampled_pixel_size = 1_A;
  EXPECT_EQ(problems(bad, 64, 64, 1.5_A).size(), 3U);
  EXPECT_THROW((void)preprocess(noise(64, 64, 6), bad), Error);
  PreprocessParams normalised;
  normalised.normalise = Normalisation::stddev;
  EXPECT_THROW((void)preprocess(Image(32, 32), normalised), Error);
}

}  // namespace
}  // namespace frazil::preprocess
