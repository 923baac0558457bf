#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "frazil/algo/mask/mask.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::mask {
namespace {

bool long_tests() { return std::getenv("FRAZIL_LONG_TESTS") != nullptr; }

struct Tally {
  double both = 0, either = 0, masked = 0, truth = 0, cells = 0;
  [[nodiscard]] double iou() const { return either > 0 ? both / either : 1; }
  /// Share of the clean area that is masked.
  [[nodiscard]] double false_positives() const { return (masked - both) / (cells - truth); }
};

/// Compares block by block of the truth.
void add(const Mask& mask, const sim::JunkMap& truth, Tally& tally) {
  for (int y = 0; y < truth.ny; ++y)
    for (int x = 0; x < truth.nx; ++x) {
      const int cx = std::min(mask.nx - 1, static_cast<int>((x + 0.5) * sim::JunkMap::bin / mask.scale_x)),
                cy = std::min(mask.ny - 1, static_cast<int>((y + 0.5) * sim::JunkMap::bin / mask.scale_y));
      const bool found = mask.at(cx, cy) != Cover::none, is = truth.at(x, y);
      tally.both += found && is;
      tally.either += found || is;
      tally.masked += found;
      tally.truth += is;
      tally.cells += 1;
    }
}

sim::Scene scene_of(int seed) {
  sim::Scene scene;
  scene.kind = sim::SceneKind::micrographs;
  scene.seed = seed;
  scene.nx = scene.ny = 1024;
  scene.pixel_size = 1.5_A;
  scene.defocus_min = 9000_A;
  scene.defocus_max = 20000_A;
  scene.particles = 42;
  return scene;
}

/// Masks `count` areas of a scene and prints each.
Tally measure(const sim::Scene& scene, int count, const char* what) {
  Tally all;
  const auto specimens = sim::load_specimens(scene);
  for (int i = 0; i < count; ++i) {
    const auto made = sim::micrograph(scene, specimens, i);
    MaskParams params;
    params.feature_size = 180_A;
    const auto mask = find_mask(made.image, params);
    Tally one;
    add(mask, made.truth.junk_map, one);
    add(mask, made.truth.junk_map, all);
    if (long_tests())
      std::printf("  %s %d: IoU %.2f, truth %.2f, masked %.2f (carbon %.2f, crystal %.2f, aggregate %.2f)\n", what, i,
                  one.iou(), one.truth / one.cells, one.masked / one.cells, mask.fraction(Cover::carbon),
                  mask.fraction(Cover::crystal), mask.fraction(Cover::aggregate));
  }
  std::printf("%s: IoU %.3f, false positives %.4f of the clean area, %.2f of junk found, %d areas\n", what, all.iou(),
              all.false_positives(), all.truth > 0 ? all.both / all.truth : 1.0, count);
  return all;
}

TEST(Mask, CoversCarbonCrystalsAndAggregatesAndSparesCleanMicrographs) {
  // Constants come from seeds 301 to 405 and from real micrographs; these seeds only report.
  const int areas = long_tests() ? 12 : 1;
  auto scene = scene_of(907);
  EXPECT_LT(measure(scene, areas, "clean").false_positives(), 0.03);
  scene.carbon = 1;
  EXPECT_GT(measure(scene, areas, "carbon").iou(), 0.85);
  scene.carbon = 0;
  scene.crystals = 2;
  EXPECT_GT(measure(scene, areas, "crystals").iou(), 0.5);
  scene.crystals = 0;
  if (!long_tests()) return;  // single areas differ too much
  scene.aggregates = 2;
  EXPECT_GT(measure(scene, areas, "aggregates").iou(), 0.4);
}

TEST(Mask, DoesNotTakeADriftOfTheIceForCarbon) {
  Image image(600, 600, 2_A);
  Rng rng(3);
  for (int y = 0; y < 600; ++y)
    for (int x = 0; x < 600; ++x) image(x, y) = static_cast<float>(100 * (1 + 0.3 * x / 600.0) + rng.normal(0, 10));
  EXPECT_EQ(find_mask(image).fraction(), 0);
  for (int y = 0; y < 600; ++y)
    for (int x = 0; x < 250; ++x)
      image(x, y) = static_cast<float>(80 + rng.normal(0, 18));  // an edge, darker and rougher beyond
  EXPECT_NEAR(find_mask(image).fraction(Cover::carbon), 250.0 / 600, 0.04);
}

TEST(Mask, RefusesWhatItCannotJudge) {
  EXPECT_THROW((void)find_mask(Image(600, 600, 2_A)), Error);
  EXPECT_THROW((void)find_mask(Image(100, 100, 2_A)), Error);
}

}  // namespace
}  // namespace frazil::mask
