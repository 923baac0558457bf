// 2D classification of images from the ground-truth microscope: purity, spread of views, mixed proteins, choice of
// classes.
#include <gtest/gtest.h>

#include "frazil/algo/class2d/average.hpp"
#include "frazil/algo/class2d/classify.hpp"
#include "frazil/algo/class2d/select.hpp"
#include "frazil/algo/class2d/test_particles.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::class2d {
namespace {

testing::Data simulated(const std::vector<std::string>& specimens, double junk, int count, std::uint64_t seed) {
  sim::Scene scene;
  scene.specimens = specimens;
  scene.shares.assign(specimens.size(), 1);
  scene.pixel_size = 4_A;
  scene.box = 64;
  scene.frames = 40;
  scene.dose_per_frame = 1_e_per_A2;
  scene.junk = junk;
  scene.threads = 2;
  auto stack = sim::particle_stack(scene, count, Rng(seed));
  testing::Data data;
  for (const auto& t : stack.truth) {
    const bool whole = t.content == sim::Content::particle;
    const auto rows = sim::rotation_of(t.pose);
    data.truth.push_back(
        {whole ? t.specimen : -1, rows[2], t.pose.psi.value(), t.origin_x.value(), t.origin_y.value()});
    data.set.ctf.push_back(t.ctf);
    data.set.optics.push_back(stack.optics);
  }
  data.images = std::make_shared<std::vector<Image>>(std::move(stack.images));
  data.set.box = scene.box;
  data.set.pixel_size = scene.pixel_size;
  data.set.image = [images = data.images](std::size_t i) { return (*images)[i].clone(); };
  return data;
}

TEST(Classify2dOnSimulatedParticles, SeparatesJunkAndViews) {
  const auto data = simulated({"5a1a"}, 0.25, 1000, 901);
  const auto state = classify(nullptr, data.set, 185_A, {}, Rng(1), 2);
  const auto quality = testing::measure(data, state.assignments, state.classes(), true);
  std::printf("junk purity %.3f, spread %.1f deg, random %.1f deg\n", quality.junk_purity, quality.median_spread_deg,
              quality.random_spread_deg);
  EXPECT_GT(quality.junk_purity, 0.95);
  EXPECT_LT(quality.median_spread_deg, 0.5 * quality.random_spread_deg);

  std::vector<ClassFeatures> features;
  const auto averages = average_classes(state, data.set, 1000, 2);
  for (const auto& a : averages) features.push_back(measure_average(a.image, a.count, a.resolution, 185_A));
  for (std::size_t k = 0; k < static_cast<std::size_t>(state.background); ++k) features[k].background = true;
  const auto verdicts = select_classes(features, {});
  double kept = 0, kept_good = 0, good = 0;
  for (std::size_t i = 0; i < data.truth.size(); ++i) {
    const bool is_good = data.truth[i].species >= 0,
               is_kept = verdicts[static_cast<std::size_t>(state.assignments[i].index)].selected;
    good += is_good;
    kept += is_kept;
    kept_good += is_good && is_kept;
  }
  std::printf("chosen classes: recall %.3f, precision %.3f\n", kept_good / good, kept_good / kept);
  EXPECT_GT(kept_good / good, 0.9);
  EXPECT_GT(kept_good / kept, 0.95);
}

TEST(Classify2dOnSimulatedParticles, KeepsTwoProteinsApart) {
  const auto data = simulated({"5a1a", "1oel"}, 0, 1000, 902);
  const auto state = classify(nullptr, data.set, 185_A, {}, Rng(2), 2);
  const auto quality = testing::measure(data, state.assignments, state.classes(), false);
  std::printf("largest share of the minor protein in a class above 5 %%: %.3f\n", quality.worst_mixing);
  EXPECT_LT(quality.worst_mixing, 0.1);
}

}  // namespace
}  // namespace frazil::class2d
