#include "frazil/algo/class2d/classify.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "frazil/algo/class2d/average.hpp"
#include "frazil/algo/class2d/test_particles.hpp"

namespace frazil::class2d {
namespace {

Params quick() {
  Params params;
  params.classes = 4;
  params.epochs = 8;
  params.resolution = 14_A;
  params.background_classes = false;
  return params;
}

const testing::Scene three_views{
    .count = 300, .box = 32, .pixel_size = 6_A, .species = 3, .snr = 1, .fixed_views = true};

TEST(Classify2d, FindsThreeDifferentParticles) {
  const auto data = testing::make_particles(three_views, 11);
  auto params = quick();
  params.classes = 3;
  const auto state = classify(nullptr, data.set, 150_A, params, Rng(1), 2);
  std::vector<int> truth, found;
  for (std::size_t i = 0; i < data.truth.size(); ++i) {
    truth.push_back(data.truth[i].species);
    found.push_back(state.assignments[i].index);
  }
  EXPECT_GT(testing::adjusted_rand(truth, found), 0.9);
}

TEST(Classify2d, RecoversTurnAndShiftUpToThatOfTheClass) {
  auto scene = three_views;
  scene.species = 1;
  const auto data = testing::make_particles(scene, 12);
  auto params = quick();
  params.classes = 1;
  const auto state = classify(nullptr, data.set, 150_A, params, Rng(2), 2);
  // The average may be turned by any angle and lie off-centre by any vector d: psi = true + a, and the particle's
  // centre is at −origin = −true origin + R(psi) d. Both are removed by least squares.
  double c = 0, s = 0;
  for (std::size_t i = 0; i < data.truth.size(); ++i) {
    const double d = (state.assignments[i].turn_deg - data.truth[i].psi_deg) * std::numbers::pi / 180;
    c += std::cos(d);
    s += std::sin(d);
  }
  const double mean = std::atan2(s, c), pixel = state.geometry.work_pixel().value(),
               n = static_cast<double>(data.truth.size());
  double angle2 = 0, dx = 0, dy = 0;
  std::vector<std::array<double, 2>> residual;
  for (std::size_t i = 0; i < data.truth.size(); ++i) {
    const auto& a = state.assignments[i];
    const auto& t = data.truth[i];
    angle2 += std::pow(std::remainder(a.turn_deg - t.psi_deg - mean * 180 / std::numbers::pi, 360.0), 2);
    const double x = a.origin_x_px * pixel - t.origin_x_A, y = a.origin_y_px * pixel - t.origin_y_A,
                 p = a.turn_deg * std::numbers::pi / 180;
    residual.push_back({std::cos(p) * x + std::sin(p) * y, -std::sin(p) * x + std::cos(p) * y});
    dx += residual.back()[0] / n;
    dy += residual.back()[1] / n;
  }
  double shift2 = 0;
  for (const auto& r : residual) shift2 += std::pow(r[0] - dx, 2) + std::pow(r[1] - dy, 2);
  EXPECT_LT(std::sqrt(angle2 / n), 4);  // at 60 Å radius 4 degrees move the rim by 4 Å, a third of the resolution used
  EXPECT_LT(std::sqrt(shift2 / n), 3);  // half a pixel
}

TEST(Classify2d, IsTheSameOnAnyNumberOfThreads) {
  auto scene = three_views;
  scene.count = 120;
  const auto data = testing::make_particles(scene, 13);
  auto params = quick();
  params.epochs = 3;
  const auto one = to_bytes(classify(nullptr, data.set, 150_A, params, Rng(3), 1));
  EXPECT_TRUE(one == to_bytes(classify(nullptr, data.set, 150_A, params, Rng(3), 3)));
}

TEST(Classify2d, GrowsFromASavedStateExactlyAsFromOneInMemory) {
  auto scene = three_views;
  scene.count = 200;
  const auto data = testing::make_particles(scene, 14);
  auto params = quick();
  params.epochs = 3;
  ParticleSet first = data.set;
  first.ctf.resize(120);
  first.optics.resize(120);
  const auto before = classify(nullptr, first, 150_A, params, Rng(4), 2);
  const auto bytes = to_bytes(before);
  const auto saved = state_from_bytes(bytes);
  EXPECT_TRUE(to_bytes(saved) == bytes);
  const auto a = classify(&before, data.set, 150_A, params, Rng(5), 2),
             b = classify(&saved, data.set, 150_A, params, Rng(5), 2);
  EXPECT_TRUE(to_bytes(a) == to_bytes(b));
  EXPECT_EQ(a.assignments.size(), 200U);
  EXPECT_EQ(a.version, 2);
  for (const auto& assignment : a.assignments) EXPECT_GE(assignment.index, 0);
}

TEST(Classify2d, RefusesDamagedStates) {
  const auto data = testing::make_particles({.count = 40, .species = 1, .snr = 1}, 15);
  auto params = quick();
  params.epochs = 1;
  const auto bytes = to_bytes(classify(nullptr, data.set, 150_A, params, Rng(6), 2));
  EXPECT_THROW((void)state_from_bytes("nonsense"), Error);
  for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 97)
    EXPECT_THROW((void)state_from_bytes(std::string_view(bytes).substr(0, cut)), Error);
  EXPECT_THROW((void)state_from_bytes(bytes + "x"), Error);
}

TEST(Matcher, AgreesWithThePlainLikelihood) {
  const auto data = testing::make_particles(three_views, 16);
  const auto geometry = make_geometry(32, 6_A, 150_A, quick());
  const auto& grid = geometry.grid;
  const auto transform = make_transform(grid, grid.harmonics);
  References references;
  for (std::size_t k = 0; k < 2; ++k) {
    references.harmonics.push_back(from_image(grid, transform, (*data.images)[k]));
    references.log_prior.push_back(0);
  }
  const Eigen::VectorXf noise = Eigen::VectorXf::LinSpaced(grid.rings, 3000, 1000);
  const std::vector<Offset> offsets{{0, 0}, {1.5, -0.5}, {-2, 1}};
  const double sigma = 3;
  const Matcher matcher({grid, references, noise, grid.rings, grid.rings, offsets, sigma});
  auto particle = prepare(geometry, (*data.images)[5], data.set.ctf[5], data.set.optics[5], false);
  particle.center_x_px = 0.7f;
  const Prepared* one = &particle;
  const auto matches = matcher.match(std::span(&one, 1), 1e6f, 1).front();
  for (const auto& match : matches) {
    double sum = 0, best = -1e30, best_weight = 0;
    std::vector<double> values;
    for (const auto& offset : offsets)
      for (int m = 0; m < matcher.angles(); ++m) {
        const double x = offset.x_px + particle.center_x_px, y = offset.y_px,
                     angle = 2 * std::numbers::pi * m / matcher.angles();
        values.push_back(log_likelihood_reference(grid, particle,
                                                  references.harmonics[static_cast<std::size_t>(match.index)], noise,
                                                  grid.rings, x, y, angle) -
                         (x * x + y * y) / (2 * sigma * sigma));
        best = std::max(best, values.back());
      }
    for (const double v : values) sum += std::exp(v - best);
    EXPECT_NEAR(match.log_evidence, best + std::log(sum / static_cast<double>(values.size())), 0.01);
    best_weight = 1 / sum;
    EXPECT_NEAR(match.poses.front().weight, best_weight, 0.01);
  }
}

TEST(Polar, AnImageSurvivesTheRings) {
  Params params;
  params.resolution = 13_A;
  const auto geometry = make_geometry(32, 6_A, 140_A, params);
  Image image(32, 32, 6_A);
  testing::add_gaussian(image, 4, -3, 2, 1);
  testing::add_gaussian(image, -6, 1, 1.5, 2);
  const auto harmonics = from_image(geometry.grid, make_transform(geometry.grid, geometry.grid.harmonics), image);
  EXPECT_GT(correlation(to_image(geometry.grid, harmonics, 6_A).pixels(), image.pixels()), 0.995);
}

TEST(Average, ShowsTheParticleAtFullSampling) {
  auto scene = three_views;
  scene.species = 1;
  scene.count = 150;
  const auto data = testing::make_particles(scene, 17);
  auto params = quick();
  params.classes = 1;
  const auto state = classify(nullptr, data.set, 150_A, params, Rng(7), 2);
  const auto averages = average_classes(state, data.set, 1000, 2);
  ASSERT_EQ(averages.size(), 1U);
  EXPECT_EQ(averages[0].count, 150);
  EXPECT_LT(averages[0].resolution, 16_A);
  // Two routes to one picture: the rings that the matching works with, and turning images in real space.
  const auto& reference = state.references.harmonics[0];
  EXPECT_GT(correlation(averages[0].image.pixels(), to_image(state.geometry.grid, reference, 6_A).pixels()), 0.9);
}

TEST(Classify2d, NamesAParticleThatIsNotFiniteInsteadOfAveragingIt) {
  auto scene = three_views;
  scene.count = 60;
  const auto data = testing::make_particles(scene, 15);
  const auto refused = [](const ParticleSet& set) -> std::string {
    try {
      (void)classify(nullptr, set, 150_A, quick(), Rng(1), 2);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_input);
      return error.what();
    }
    return {};
  };
  auto bad = data.set;
  bad.image = [&](std::size_t i) {
    auto image = data.set.image(i);
    if (i == 17) image(3, 4) = std::numeric_limits<float>::quiet_NaN();
    return image;
  };
  EXPECT_NE(refused(bad).find("particle 18"), std::string::npos) << refused(bad);
  bad = data.set;
  bad.ctf[4].defocus_u = Angstrom(std::numeric_limits<double>::infinity());
  EXPECT_NE(refused(bad).find("particle 5"), std::string::npos) << refused(bad);
}

TEST(Classify2d, GoesOnWithoutNewParticles) {
  auto scene = three_views;
  scene.count = 80;
  const auto data = testing::make_particles(scene, 16);
  const auto first = classify(nullptr, data.set, 150_A, quick(), Rng(1), 2);
  const auto again = classify(&first, data.set, 150_A, quick(), Rng(2), 2);
  EXPECT_EQ(again.version, first.version + 1);
  EXPECT_EQ(again.assignments.size(), first.assignments.size());
}

}  // namespace
}  // namespace frazil::class2d
