#include "frazil/algo/extract/screen.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "frazil/base/random.hpp"

namespace frazil::extract {
namespace {

constexpr int box = 64;

/// White noise with, if asked, a lumpy white particle of 40 px.
Image view(Rng& rng, double strength) {
  Image image(box, box, 4_A);
  const double turn = rng.uniform(0, 3.14);
  for (int y = 0; y < box; ++y)
    for (int x = 0; x < box; ++x) {
      const double dx = x - box / 2, dy = y - box / 2, r = std::hypot(dx, dy);
      const double lumps = 1 + 0.6 * std::cos(2 * (std::atan2(dy, dx) - turn));
      image(x, y) = static_cast<float>(rng.normal() + (r < 18 ? strength * lumps : 0));
    }
  return image;
}

std::vector<Verdict> judge(const std::vector<Image>& images, int threads = 1, const ScreenParams& params = {}) {
  return screen(
      images.size(), [&](std::size_t i) { return images[i].clone(); }, 160_A, params, threads);
}

TEST(Screen, FindsEmptyImagesAmongParticles) {
  for (const double share : {0.0, 0.1, 0.3}) {
    Rng rng(20);
    std::vector<Image> images;
    std::vector<bool> empty;
    for (int i = 0; i < 200; ++i) {
      empty.push_back(rng.uniform() < share);
      images.push_back(view(rng, empty.back() ? 0 : 0.35));
    }
    const auto verdicts = judge(images);
    int wrong = 0;
    for (std::size_t i = 0; i < images.size(); ++i) wrong += (verdicts[i].reason == Reason::empty) != empty[i] ? 1 : 0;
    EXPECT_LE(wrong, 3) << "of 200 with a share of " << share << " empty";  // 3 sigmas: one in 700 by chance
  }
}

TEST(Screen, FindsEmptyImagesWhenThereAreFewOfThem) {
  Rng rng(21);
  std::vector<Image> images;
  for (int i = 0; i < 3; ++i) images.push_back(view(rng, 0.6));
  images.push_back(view(rng, 0));
  const auto verdicts = judge(images);
  EXPECT_EQ(verdicts[0].reason, Reason::none);
  EXPECT_EQ(verdicts[3].reason, Reason::empty);
}

TEST(Screen, SetsAsideEdgesAggregatesDustAndBrokenImages) {
  Rng rng(22);
  std::vector<Image> images;
  for (int i = 0; i < 40; ++i) images.push_back(view(rng, 0.4));
  for (int y = 0; y < box; ++y)
    for (int x = 0; x < box; ++x) {
      if (x > 50) images[3](x, y) += 6;
      if (std::hypot(x - 30, y - 34) < 20) images[5](x, y) += 8;
    }
  images[7](2, 2) = 40;
  images[9](2, 2) = std::numeric_limits<float>::quiet_NaN();
  const auto verdicts = judge(images);
  EXPECT_EQ(verdicts[3].reason, Reason::uneven_background);
  EXPECT_EQ(verdicts[5].reason, Reason::too_strong);
  EXPECT_EQ(verdicts[7].reason, Reason::dust);
  EXPECT_EQ(verdicts[9].reason, Reason::not_finite);
  for (std::size_t i = 10; i < images.size(); ++i) EXPECT_EQ(verdicts[i].reason, Reason::none) << i;
}

TEST(Screen, GivesTheSameVerdictsOnAnyNumberOfThreads) {
  Rng rng(23);
  std::vector<Image> images;
  for (int i = 0; i < 60; ++i) images.push_back(view(rng, i % 3 == 0 ? 0.05 : 0.3));
  const auto one = judge(images), three = judge(images, 3);
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(one[i].reason, three[i].reason);
    EXPECT_EQ(one[i].value, three[i].value);
  }
}

TEST(Screen, RefusesADiameterThatFillsTheImageAndTakesNoParticles) {
  Rng rng(24);
  std::vector<Image> images;
  EXPECT_TRUE(judge(images).empty());
  images.push_back(view(rng, 1));
  EXPECT_THROW((void)screen(
                   1, [&](std::size_t) { return images[0].clone(); }, 300_A, {}, 1),
               Error);
}

}  // namespace
}  // namespace frazil::extract
