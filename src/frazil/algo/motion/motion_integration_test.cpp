// Hard movies from the simulator: whatever happens to a movie, its field is no worse than its track, and the track
// follows the specimen.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "frazil/algo/motion/align.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil {
namespace {

sim::Scene usual_scene(int seed) {
  sim::Scene scene;
  scene.seed = seed;
  scene.nx = scene.ny = 640;
  scene.pixel_size = 1.8_A;
  scene.frames = 16;
  scene.dose_per_frame = 2.5_e_per_A2;
  scene.specimens = {"1oel"};
  scene.particles = 28;
  scene.defocus_min = 14000_A;
  scene.defocus_max = 18000_A;
  scene.local_motion = 3_A;
  scene.threads = 2;
  return scene;
}

struct Outcome {
  motion::Alignment found;
  double field_px = 0, alone_px = 0;  ///< 2-D RMS errors of the field, and of the global track in its place
};

/// RMS over places and frames, each place's mean over time removed; frames in `left_out` do not count.
double error_of(const motion::MotionField& field, const sim::Scene& scene, const sim::Motion& truth, int left_out) {
  double sum = 0;
  constexpr int side = 6;
  for (int place = 0; place < side * side; ++place) {
    const double x = (place % side + 0.5) * scene.nx / side, y = (place / side + 0.5) * scene.ny / side;
    double mx = 0, my = 0, squares = 0;
    int frames = 0;
    for (int t = 0; t < scene.frames; ++t) {
      if (t == left_out) continue;
      const auto s = field.at(t, x, y);
      const auto d = truth.displacement(x, y, (t + 0.5) * scene.dose_per_frame.value());
      mx += s.x + d[0], my += s.y + d[1], squares += std::pow(s.x + d[0], 2) + std::pow(s.y + d[1], 2);
      ++frames;
    }
    sum += squares / frames - std::pow(mx / frames, 2) - std::pow(my / frames, 2);
  }
  return std::sqrt(sum / (side * side));
}

using Change = std::function<void(int frame, Image& counts)>;

Outcome align(const sim::Scene& scene, const Change& change = {}, int left_out = -1) {
  const auto camera = sim::camera(scene);
  const sim::SimulatedMovie movie(scene, sim::load_specimens(scene), camera, 0);
  std::vector<Image> frames(static_cast<std::size_t>(scene.frames));
  parallel_for(2, frames.size(), [&](std::size_t t) {
    movie.frame(static_cast<int>(t), frames[t]);
    if (change) change(static_cast<int>(t), frames[t]);
  });
  const motion::FrameSource source{scene.nx, scene.ny, scene.frames, scene.pixel_size,
                                   [&](int t, Image& out) { out = frames[static_cast<std::size_t>(t)].clone(); }};
  motion::Detector detector(scene.nx, scene.ny, camera.gain.clone(), 1);
  const motion::Exposure exposure{scene.dose_per_frame, scene.pre_exposure, scene.voltage};
  Outcome outcome{motion::align_frames(source, detector, exposure, {.threads = 2})};
  detector = motion::Detector(scene.nx, scene.ny, camera.gain.clone(), 1);
  const auto global =
      motion::align_frames(source, detector, exposure, {.model = motion::MotionModel::global, .threads = 2});
  const auto& truth = movie.truth().motion;
  outcome.field_px = error_of(outcome.found.field, scene, truth, left_out);
  outcome.alone_px = error_of(motion::MotionField(global.track), scene, truth, left_out);
  return outcome;
}

/// Sampling of the errors of one movie: a few independent places.
constexpr double slack_px = 0.05;

TEST(HardMovies, CarbonInAPartOfTheField) {
  auto scene = usual_scene(41);
  scene.carbon = 1;
  const auto outcome = align(scene);
  EXPECT_LT(outcome.field_px, outcome.alone_px + slack_px);
  EXPECT_LT(outcome.field_px, 0.5);
}

TEST(HardMovies, IceCrystalsAndARingOfIce) {
  auto scene = usual_scene(42);
  scene.crystals = 2;
  scene.crystalline_ice = 1;
  const auto outcome = align(scene);
  EXPECT_LT(outcome.field_px, outcome.alone_px + slack_px);
  EXPECT_LT(outcome.field_px, 0.5);
}

TEST(HardMovies, FewElectronsAFrame) {
  auto scene = usual_scene(43);
  scene.frames = 60;
  scene.dose_per_frame = 0.2_e_per_A2;
  const auto outcome = align(scene);
  EXPECT_LT(outcome.field_px, outcome.alone_px + slack_px);
  EXPECT_LT(outcome.field_px, 0.8);
}

TEST(HardMovies, ABlankFrameInTheMiddle) {
  const auto outcome = align(
      usual_scene(44),
      [](int t, Image& counts) {
        if (t == 7) std::fill(counts.data(), counts.data() + counts.size(), 0.0F);
      },
      7);
  EXPECT_LT(outcome.field_px, outcome.alone_px + slack_px);
  EXPECT_LT(outcome.field_px, 0.5);
}

TEST(HardMovies, AStaleGain) {
  const auto scene = usual_scene(45);
  const auto outcome = align(scene, [&](int, Image& counts) {
    for (int y = 0; y < scene.ny; ++y)
      for (int x = 0; x < scene.nx; ++x) counts(x, y) *= 1 + 0.06F * static_cast<float>((x * 7 + y * 13) % 11 - 5) / 5;
  });
  EXPECT_LT(outcome.field_px, outcome.alone_px + slack_px);
  EXPECT_LT(outcome.field_px, 0.6);
}

TEST(HardMovies, AVeryLongDrift) {
  auto scene = usual_scene(46);
  scene.drift = 60_A;
  scene.burst = 15_A;
  const auto outcome = align(scene);
  EXPECT_LT(outcome.field_px, outcome.alone_px + slack_px);
  EXPECT_LT(outcome.field_px, 0.6);
}

}  // namespace
}  // namespace frazil
