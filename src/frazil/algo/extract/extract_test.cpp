#include "frazil/algo/extract/extract.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <limits>
#include <numbers>

#include "frazil/image/fft.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::extract {
namespace {

Image noise(int nx, int ny, std::uint64_t seed, Angstrom pixel_size = 1_A) {
  Rng rng(seed);
  Image image(nx, ny, pixel_size);
  for (float& v : image.pixels()) v = static_cast<float>(10 + rng.normal());
  return image;
}

ExtractParams plain(int box) {
  ExtractParams p;
  p.box = box;
  p.invert = p.normalise = false;
  p.dust = 0;
  return p;
}

std::vector<Particle> run(const Image& image, std::span<const Position> positions, const ExtractParams& params,
                          Angstrom diameter = 20_A, std::optional<Lens> lens = {}, int threads = 1,
                          Summary* summary = nullptr) {
  std::vector<Particle> out;
  Rng rng(1);
  const auto s = extract(image, positions, lens, params, geometry(params, image.pixel_size, diameter), rng, threads,
                         [&](Particle&& p) { out.push_back(std::move(p)); });
  if (summary != nullptr) *summary = s;
  return out;
}

TEST(Extract, PutsThePixelOfThePositionInTheCentreOfTheBox) {
  Image image(100, 80);
  image(41, 37) = 1;
  const std::vector<Position> positions{{40.7, 37.4}};
  const auto particles = run(image, positions, plain(32));
  ASSERT_EQ(particles.size(), 1U);
  EXPECT_EQ(particles[0].image(16, 16), 1);
  EXPECT_EQ(particles[0].x, 41);
  EXPECT_EQ(particles[0].y, 37);
}

TEST(Extract, KeepsCentreAndScaleWhenDownsampling) {
  Image image(200, 200, 1.5_A);
  for (int y = 0; y < 200; ++y)
    for (int x = 0; x < 200; ++x)
      image(x, y) = static_cast<float>(std::exp(-(std::pow(x - 100, 2) + std::pow(y - 90, 2)) / (2 * 36.0)));
  auto params = plain(96);
  params.downsampled_box = 40;
  const std::vector<Position> positions{{100, 90}};
  const auto particles = run(image, positions, params);
  ASSERT_EQ(particles.size(), 1U);
  const auto& small = particles[0].image;
  EXPECT_NEAR(small.pixel_size.value(), 1.5 * 96 / 40, 1e-9);
  EXPECT_NEAR(small(20, 20), 1, 1e-3);
  EXPECT_NEAR(small(18, 20), small(22, 20), 1e-3);
  EXPECT_NEAR(small(20, 18), small(20, 22), 1e-3);
}

TEST(Extract, MakesBackgroundOfMeanZeroAndDeviationOneFromAnUnevenOne) {
  auto image = noise(200, 200, 3);
  for (int y = 0; y < 200; ++y)
    for (int x = 0; x < 200; ++x) {
      image(x, y) = static_cast<float>(5 * image(x, y) + 0.3 * x - 0.2 * y);
      if (std::hypot(x - 90, y - 110) < 9) image(x, y) -= 40;
    }
  ExtractParams params;
  params.box = 64;
  const std::vector<Position> positions{{90, 110}};
  const auto particles = run(image, positions, params);
  ASSERT_EQ(particles.size(), 1U);
  double sum = 0, squares = 0, inside = 0;
  int count = 0, within = 0;
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x) {
      const double v = particles[0].image(x, y), r2 = std::pow(x - 32, 2) + std::pow(y - 32, 2);
      if (r2 > 100) sum += v, squares += v * v, ++count;
      if (r2 < 64) inside += v, ++within;
    }
  EXPECT_NEAR(sum / count, 0, 1e-4);
  EXPECT_NEAR(squares / count, 1, 1e-3);
  EXPECT_GT(inside / within, 6);  // 40 counts over a noise of 5, protein white
}

/// Dark disc of 30 px diameter in the middle of an ice image at 1 um underfocus, by the formula of conventions.md
/// written out once more: raw micrograph = −CTF · projection.
Image defocused_disc(int n, double radius, const Lens& lens) {
  Image disc(n, n, 2_A);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) disc(x, y) = std::hypot(x - n / 2, y - n / 2) < radius ? 1.0F : 0.0F;
  auto spectrum = fft(disc);
  const double lambda = 0.0196875, cs = lens.optics.cs.value() * 1e7, a = lens.optics.amplitude_contrast;
  for (int iy = 0; iy < n; ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix) {
      const double k2 = (std::pow(ix, 2) + std::pow(spectrum.ky(iy), 2)) / std::pow(n * 2.0, 2);
      const double chi = std::numbers::pi * lambda * lens.ctf.defocus_u.value() * k2 -
                         0.5 * std::numbers::pi * cs * std::pow(lambda, 3) * k2 * k2 + std::asin(a);
      spectrum(ix, iy) *= static_cast<float>(-std::sin(chi));
    }
  return ifft(spectrum);
}

TEST(Extract, ADiscAtOneMicrometreComesOutWhiteWhenPhasesAreFlipped) {
  const Lens lens{{10000_A, 10000_A, 0_deg, 0_deg, Angstrom2(0)}, {300_kV, 2.7_mm, 0.1}};
  const auto image = defocused_disc(256, 15, lens);
  auto params = plain(96);
  params.invert = true;
  const std::vector<Position> positions{{128, 128}};
  const auto similarity = [&](bool flip) {
    params.phase_flip = flip;
    const auto particles = run(image, positions, params, 60_A, lens);
    const auto truth = soft_disc(96, 15, 0);
    return correlation(particles.at(0).image.pixels(), truth.pixels());
  };
  const double flipped = similarity(true);
  EXPECT_GT(flipped, 0.7);
  EXPECT_GT(flipped, similarity(false) + 0.05);
}

TEST(Extract, LeavesOutAndCountsWhatReachesOverTheEdge) {
  const auto image = noise(100, 100, 4);
  const std::vector<Position> positions{{16, 50}, {15, 50}, {50, 84}, {50, 85}, {std::nan(""), 3}, {50, 50}};
  Summary summary;
  const auto particles = run(image, positions, plain(32), 20_A, {}, 1, &summary);
  ASSERT_EQ(particles.size(), 3U);
  EXPECT_EQ(particles[0].index, 0U);
  EXPECT_EQ(particles[1].index, 2U);
  EXPECT_EQ(particles[2].index, 5U);
  EXPECT_EQ(summary.outside, 3);
  EXPECT_EQ(summary.kept, 3);
}

TEST(Extract, GivesTheSameBitsOnOneAndFourThreads) {
  auto image = noise(300, 300, 5);
  image(100, 100) = 1e6F;
  Rng rng(6);
  std::vector<Position> positions;
  for (int i = 0; i < 150; ++i) positions.push_back({rng.uniform(0, 300), rng.uniform(0, 300)});
  ExtractParams params;
  params.box = 48;
  params.downsampled_box = 30;
  const auto one = run(image, positions, params), four = run(image, positions, params, 20_A, {}, 4);
  ASSERT_EQ(one.size(), four.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].index, four[i].index);
    EXPECT_TRUE(std::equal(one[i].image.pixels().begin(), one[i].image.pixels().end(), four[i].image.pixels().begin()));
  }
}

TEST(Extract, RepairsDustAndPixelsThatAreNotFinite) {
  auto image = noise(128, 128, 7);
  image(60, 60) = std::numeric_limits<float>::quiet_NaN();
  image(61, 64) = -std::numeric_limits<float>::infinity();
  image(70, 60) = 1e7F;
  ExtractParams params;
  params.box = 64;
  Summary summary;
  const std::vector<Position> positions{{64, 64}};
  const auto particles = run(image, positions, params, 20_A, {}, 1, &summary);
  EXPECT_EQ(summary.repaired_pixels, 3);
  for (const float v : particles.at(0).image.pixels()) EXPECT_LT(std::abs(v), 7);
}

TEST(Extract, CountsParticlesWithoutAnyVariationAsFlat) {
  Image image(128, 128);
  image(0, 0) = 1;
  ExtractParams params;
  params.box = 32;
  Summary summary;
  const std::vector<Position> positions{{64, 64}};
  EXPECT_TRUE(run(image, positions, params, 20_A, {}, 1, &summary).empty());
  EXPECT_EQ(summary.flat, 1);
}

TEST(Extract, SaysWhatDoesNotFit) {
  const auto image = noise(64, 64, 8);
  const std::vector<Position> none;
  EXPECT_THROW(run(image, none, plain(66)), Error);
  auto params = plain(32);
  params.phase_flip = true;
  EXPECT_THROW(run(image, none, params), Error);
  EXPECT_THROW((void)geometry(ExtractParams{}, 1_A, 0_A), Error);
  params = {};
  params.box = 31;
  params.downsampled_box = 33;
  EXPECT_EQ(check(params).size(), 3U);
  params = {};
  params.box = 32;
  EXPECT_THROW((void)geometry(params, 1_A, 100_A), Error);  // the particle fills the box
}

TEST(Extract, ChoosesAnEvenBoxOfOneAndAHalfDiameters) {
  const auto g = geometry({}, 0.83_A, 180_A);
  EXPECT_EQ(g.box % 2, 0);
  EXPECT_GE(g.box * 0.83, 1.5 * 180);
  EXPECT_LT(g.box * 0.83, 1.7 * 180);
  ExtractParams params;
  params.downsampled_pixel_size = 3_A;
  const auto small = geometry(params, 0.83_A, 180_A);
  EXPECT_NEAR(small.pixel_size.value(), 3, 0.1);
  EXPECT_NEAR(small.pixel_size.value() * small.output_box, 0.83 * small.box, 1e-9);
}

}  // namespace
}  // namespace frazil::extract
