#include "frazil/algo/pick/pick.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "frazil/algo/pick/response.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::pick {
namespace {

struct Place {
  double x, y;
};

/// Places at least `distance` apart, `margin` from the edges; as many of `count` as fit.
std::vector<Place> scatter(int n, int count, double distance, double margin, Rng& rng) {
  std::vector<Place> places;
  for (int tries = 0; tries < 200 * count && static_cast<int>(places.size()) < count; ++tries) {
    const Place p{rng.uniform(margin, n - margin), rng.uniform(margin, n - margin)};
    if (std::all_of(places.begin(), places.end(),
                    [&](const Place& q) { return std::hypot(p.x - q.x, p.y - q.y) >= distance; }))
      places.push_back(p);
  }
  return places;
}

/// Dark hollow shells, dark rim and less dark inside, on noise of standard deviation `noise` with an uneven background.
Image shells(int n, std::span<const Place> places, double radius, double noise, Rng& rng) {
  Image image(n, n, 2_A);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x)
      image(x, y) = static_cast<float>(100 + 3.0 * x / n - 2.0 * y / n + noise * rng.normal());
  for (const auto& p : places)
    for (int y = std::max(0, static_cast<int>(p.y - radius) - 1);
         y <= std::min(n - 1, static_cast<int>(p.y + radius) + 1); ++y)
      for (int x = std::max(0, static_cast<int>(p.x - radius) - 1);
           x <= std::min(n - 1, static_cast<int>(p.x + radius) + 1); ++x) {
        const double r = std::hypot(x - p.x, y - p.y) / radius;
        if (r < 1) image(x, y) -= static_cast<float>(r > 0.7 ? 1.0 : 0.4);
      }
  return image;
}

struct Score {
  int hits = 0, picks = 0, truth = 0;
  double worst = 0;  ///< distance of a hit, pixels
  [[nodiscard]] double f1() const { return 2.0 * hits / std::max(1, picks + truth); }
};

/// One to one: each true place takes the nearest free pick within `distance`.
Score compare(std::span<const Pick> picks, std::span<const Place> truth, double distance) {
  Score score{0, static_cast<int>(picks.size()), static_cast<int>(truth.size())};
  std::vector<char> taken(picks.size());
  for (const auto& t : truth) {
    double nearest = distance;
    std::size_t best = picks.size();
    for (std::size_t i = 0; i < picks.size(); ++i)
      if (const double d = std::hypot(picks[i].x - t.x, picks[i].y - t.y); taken[i] == 0 && d < nearest) {
        nearest = d;
        best = i;
      }
    if (best == picks.size()) continue;
    taken[best] = 1;
    ++score.hits;
    score.worst = std::max(score.worst, nearest);
  }
  return score;
}

constexpr int side = 640;
constexpr double radius_px = 22;
PickParams params_for_shells() {
  PickParams p;
  p.diameter = Angstrom(2 * 2 * radius_px);
  return p;
}

TEST(Pick, FindsHollowShellsInNoiseFromSparseToCrowded) {
  for (const int count : {6, 40, 110}) {
    Rng rng(300 + static_cast<std::uint64_t>(count));
    const auto places = scatter(side, count, 2.1 * radius_px, 1.1 * radius_px, rng);
    const auto found = pick(shells(side, places, radius_px, 2.5, rng), params_for_shells());
    const auto score = compare(found.picks, places, radius_px / 2);
    SCOPED_TRACE(testing::Message() << count << " shells: " << score.hits << " of " << score.truth << " found, "
                                    << score.picks << " picks");
    EXPECT_GT(score.f1(), count < 10 ? 0.7 : 0.92);
    EXPECT_EQ(found.profile.size(), 25U);  // three quarters of 32 pixels, and the centre
  }
}

TEST(Pick, PlacesCentresBetterThanATenthOfTheDiameter) {
  Rng rng(11);
  const auto places = scatter(side, 60, 2.5 * radius_px, 1.1 * radius_px, rng);
  const auto found = pick(shells(side, places, radius_px, 1.0, rng), params_for_shells());
  const auto score = compare(found.picks, places, radius_px / 2);
  EXPECT_EQ(score.hits, score.truth);
  EXPECT_LT(score.worst, 0.2 * radius_px);
}

TEST(Pick, TakesNoMoreThanAFewMaximaOfPureNoise) {
  double total = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Rng rng(40 + seed);
    auto params = params_for_shells();
    params.noise_picks = 1;
    total += static_cast<double>(pick(shells(side, {}, radius_px, 2.5, rng), params).picks.size());
  }
  EXPECT_LE(total / 6, 4.0);  // one is asked for; the template is made from the highest maxima of the same noise
}

TEST(Pick, FollowsTheSpecimenWhenTheAreaIsMoved) {
  Rng rng(5);
  const auto places = scatter(side, 60, 2.2 * radius_px, 1.1 * radius_px, rng);
  const auto whole = shells(side, places, radius_px, 1.5, rng);
  const auto window = [&](int x0, int y0) {
    Image out(560, 560, whole.pixel_size);
    for (int y = 0; y < 560; ++y) std::copy_n(whole.row(y + y0) + x0, 560, out.row(y));
    return out;
  };
  const auto first = pick(window(0, 0), params_for_shells()), second = pick(window(37, 52), params_for_shells());
  int common = 0, followed = 0;
  for (const auto& p : first.picks) {
    const double x = p.x - 37, y = p.y - 52;
    if (std::min(x, y) < 30 || std::max(p.x, p.y) > 530 - 30) continue;
    ++common;
    followed += std::any_of(second.picks.begin(), second.picks.end(),
                            [&](const Pick& q) { return std::hypot(q.x - x, q.y - y) < 2; })
                    ? 1
                    : 0;
  }
  EXPECT_GT(common, 20);
  EXPECT_GE(followed, common - 1);  // one may lie at the threshold, which is each area's own
}

TEST(Pick, DoesNotDependOnScaleOffsetOrWhichContrastIsCalledParticle) {
  Rng rng(6);
  const auto places = scatter(side, 50, 2.2 * radius_px, 1.1 * radius_px, rng);
  auto image = shells(side, places, radius_px, 2.0, rng);
  const auto before = pick(image, params_for_shells());
  for (float& v : image.pixels()) v = -0.5F * (v - 20);
  auto params = params_for_shells();
  params.contrast = Contrast::bright;
  const auto after = pick(image, params);
  ASSERT_EQ(before.picks.size(), after.picks.size());
  for (std::size_t i = 0; i < before.picks.size(); ++i) EXPECT_NEAR(before.picks[i].score, after.picks[i].score, 0.02);
}

TEST(Pick, PicksWithDifferenceOfGaussiansToo) {
  Rng rng(8);
  const auto places = scatter(side, 60, 2.2 * radius_px, 1.1 * radius_px, rng);
  auto params = params_for_shells();
  params.method = Method::dog;
  EXPECT_GT(compare(pick(shells(side, places, radius_px, 2.0, rng), params).picks, places, radius_px / 2).f1(), 0.92);
}

TEST(Pick, BlobDetectorAloneFindsSolidParticles) {
  Rng rng(9);
  const auto places = scatter(side, 30, 3 * radius_px, 1.1 * radius_px, rng);
  auto params = params_for_shells();
  params.refine_template = false;
  const auto found = pick(shells(side, places, radius_px, 1.0, rng), params);
  EXPECT_GT(compare(found.picks, places, radius_px / 2).f1(), 0.85);
  EXPECT_TRUE(found.profile.empty());
}

TEST(Pick, LeavesOutAHugeBlotAndAStrongEdge) {
  Rng rng(12);
  const auto places = scatter(side, 40, 2.5 * radius_px, 1.1 * radius_px, rng);
  auto image = shells(side, places, radius_px, 2.0, rng);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      if (std::hypot(x - 500, y - 500) < 60) image(x, y) -= 60;
      if (x < 90) image(x, y) -= 40;
    }
  auto params = params_for_shells();
  params.noise_picks = 1;
  const auto found = pick(image, params);
  int on_junk = 0;
  for (const auto& p : found.picks) on_junk += std::hypot(p.x - 500, p.y - 500) < 75 || p.x < 110 ? 1 : 0;
  EXPECT_LE(on_junk, 4);
}

TEST(Pick, SurvivesPixelsThatAreNotFinite) {
  Rng rng(13);
  const auto places = scatter(side, 40, 2.5 * radius_px, 1.1 * radius_px, rng);
  auto image = shells(side, places, radius_px, 1.5, rng);
  for (int i = 0; i < side; ++i) image(i, 300) = std::numeric_limits<float>::quiet_NaN();
  image(10, 10) = std::numeric_limits<float>::infinity();
  image(200, 100) = 1e9F;
  EXPECT_GT(compare(pick(image, params_for_shells()).picks, places, radius_px / 2).f1(), 0.85);
}

TEST(Pick, KeepsTheBestWithinTheCountAndTheBorder) {
  Rng rng(14);
  const auto places = scatter(side, 60, 2.2 * radius_px, 1.1 * radius_px, rng);
  const auto image = shells(side, places, radius_px, 1.5, rng);
  auto params = params_for_shells();
  params.max_count = 7;
  params.border = 200_A;
  const auto found = pick(image, params);
  ASSERT_EQ(found.picks.size(), 7U);
  EXPECT_TRUE(std::is_sorted(found.picks.begin(), found.picks.end(),
                             [](const Pick& a, const Pick& b) { return a.score > b.score; }));
  for (const auto& p : found.picks) {
    EXPECT_GE(std::min(p.x, p.y), 98);
    EXPECT_LE(std::max(p.x, p.y), side - 98);
  }
}

TEST(Pick, RefusesWhatCannotBePicked) {
  const auto code_of = [](const Image& image, const PickParams& params) {
    try {
      (void)pick(image, params);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::bug;
  };
  Image flat(side, side, 2_A);
  EXPECT_EQ(code_of(flat, params_for_shells()), ErrorCode::bad_input);
  Rng rng(15);
  EXPECT_EQ(code_of(shells(80, {}, radius_px, 1, rng), params_for_shells()), ErrorCode::bad_input);
  auto broken = shells(side, {}, radius_px, 1, rng);
  for (std::size_t i = 0; i < broken.size() * 6 / 10; ++i) broken.data()[i] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code_of(broken, params_for_shells()), ErrorCode::bad_input);
}

TEST(NoiseLevel, PredictsTheNumberOfMaximaOfAGaussianField) {
  // White noise smoothed by a Gaussian of 2 px: count maxima above 3 sigma in 20 fields against the theory.
  double expected = 0, counted = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Rng rng(70 + seed);
    Image noise(512, 512);
    for (float& v : noise.pixels()) v = static_cast<float>(rng.normal());
    const auto field = Responses(noise, cpu_backend()).to([](double r) { return std::exp(-r * r / 8); });
    const Mask all(512, 512, true);
    const auto level = noise_level(field, all, 20);
    expected += 20;
    for (const auto& peak : find_peaks(field, all, 0))
      counted += (peak.height - level.mean) / level.sigma > level.threshold ? 1 : 0;
  }
  EXPECT_NEAR(counted / expected, 1.0, 0.3);  // 120 maxima: 9 % of scatter, and the pixels miss some of the height
}

}  // namespace
}  // namespace frazil::pick
