#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "frazil/algo/gain/check.hpp"
#include "frazil/algo/gain/estimate.hpp"
#include "frazil/algo/gain/trend.hpp"
#include "frazil/algo/motion/detector.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::gain {
namespace {

/// Raw counts of one movie; odd and even frames apart, and together.
struct RawSums {
  Image odd, even, all;
};

RawSums raw_sums(const sim::Scene& scene, const sim::Camera& camera, const std::vector<sim::Specimen>& specimens,
                 int index) {
  const sim::SimulatedMovie movie(scene, specimens, camera, index);
  RawSums sums{Image(scene.nx, scene.ny), Image(scene.nx, scene.ny), Image(scene.nx, scene.ny)};
  Image frame;
  for (int t = 0; t < scene.frames; ++t) {
    movie.frame(t, frame);
    auto& half = t % 2 == 0 ? sums.even : sums.odd;
    for (std::size_t i = 0; i < frame.size(); ++i) {
      half.pixels()[i] += frame.pixels()[i];
      sums.all.pixels()[i] += frame.pixels()[i];
    }
  }
  return sums;
}

/// A movie of 28 e/px seen by a camera of `pattern` relative spread, crowded, with carbon on every other area.
sim::Scene camera_scene(int nx, int ny, double pattern, int seed) {
  sim::Scene scene;
  scene.seed = seed;
  scene.nx = nx;
  scene.ny = ny;
  scene.pixel_size = 1_A;
  scene.frames = 8;
  scene.dose_per_frame = Dose(28.0 / 8 / scene.electrons_per_frame() * scene.dose_per_frame.value());
  scene.gain_sigma = pattern;
  scene.particles = 8;
  scene.carbon = 0.5;
  return scene;
}

bool long_tests() { return std::getenv("FRAZIL_LONG_TESTS") != nullptr; }

Image reciprocal(const Image& gain) {
  auto out = gain.clone();
  for (float& g : out.pixels()) g = g > 0 ? 1 / g : 0;
  return out;
}

/// The file that needs `orientation` (and perhaps inversion) to fit the camera.
Image as_filed(const Image& gain, GainOrientation orientation, bool inverted) {
  auto turned = orient(gain, inverse(orientation));
  return inverted ? reciprocal(turned) : std::move(turned);
}

/// One movie of one camera, its reference filed in `states` of the 16 states from `first` on. @return right answers
int right_answers(int seed, int nx, int ny, int first, int states) {
  const auto scene = camera_scene(nx, ny, 0.02, seed);
  const auto camera = sim::camera(scene);
  const auto sums = raw_sums(scene, camera, sim::load_specimens(scene), 0);
  int right = 0;
  for (int i = first; i < first + states; ++i) {
    const auto orientation = static_cast<GainOrientation>(i % 8);
    const bool inverted = i / 8 % 2 == 1;
    const auto check = check_gain(sums.all, as_filed(camera.gain, orientation, inverted));
    const bool is_right = check.found() && check.orientation == orientation && check.inverted == inverted;
    right += is_right ? 1 : 0;
    if (!is_right)
      std::printf("  camera %d, state %d: %.1f sigma (%.1f expected), second %.3f of %.3f\n", seed, i % 16,
                  check.significance, check.expected, check.second, check.correlation);
  }
  return right;
}

TEST(GainCheck, FindsTheOrientationAndInversionFromOneMovie) {
  EXPECT_EQ(right_answers(4000, 256, 256, 0, 16), 16);
  if (!long_tests()) return;
  int right = 0;
  for (int i = 0; i < 200; ++i) right += right_answers(4001 + i, 256, 256, i, 1);
  std::printf("a pattern of 2 %%, one movie of 28 e/px, 256 x 256: %d of 200 cameras right\n", right);
  EXPECT_EQ(right, 200);
}

TEST(GainCheck, TriesOnAnOblongSensorOnlyWhatFits) {
  EXPECT_EQ(right_answers(4300, 288, 192, 0, 16), 16);
  const auto scene = camera_scene(288, 192, 0.02, 3);
  EXPECT_EQ(check_gain(Image(288, 192), sim::camera(scene).gain).states, 8);
  EXPECT_EQ(check_gain(Image(288, 192), Image(288, 288)).states, 0);
}

TEST(GainCheck, RaisesTheAlarmForTheGainOfAnotherCamera) {
  int alarms = 0;
  RawSums sums;
  for (int i = 0; i < 20; ++i) {
    const auto scene = camera_scene(256, 256, 0.02, 5000 + i);
    if (i == 0 || long_tests()) sums = raw_sums(scene, sim::camera(scene), sim::load_specimens(scene), 0);
    const auto check = check_gain(sums.all, sim::camera(camera_scene(256, 256, 0.02, 6000 + i)).gain);
    alarms += check.unrelated() ? 1 : 0;
    if (!check.unrelated()) std::printf("  case %d: %.1f sigma\n", i, check.significance);
  }
  std::printf("references of other cameras: %d alarms of 20\n", alarms);
  EXPECT_EQ(alarms, 20);
}

/// The image with row y where y + dy was.
Image rolled(const Image& image, int dx, int dy) {
  Image out(image.nx(), image.ny());
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x)
      out(x, y) = image((x + dx + image.nx()) % image.nx(), (y + dy + image.ny()) % image.ny());
  return out;
}

TEST(GainCheck, TellsByHowManyRowsAReferenceIsDisplaced) {
  const auto scene = camera_scene(256, 256, 0.02, 12);
  const auto gain = sim::camera(scene).gain.clone();
  const auto sums = raw_sums(scene, sim::camera(scene), sim::load_specimens(scene), 0);
  EXPECT_FALSE(check_gain(sums.all, gain).is_displaced());
  for (const auto& [dx, dy] : std::vector<std::array<int, 2>>{{0, 1}, {0, -2}, {3, 0}, {1, -1}}) {
    SCOPED_TRACE(fmt::format("{} columns, {} rows", dx, dy));
    const auto check = check_gain(sums.all, rolled(gain, dx, dy));
    EXPECT_EQ(check.shift_x, -dx);
    EXPECT_EQ(check.shift_y, -dy);
    EXPECT_EQ(check.orientation, GainOrientation::identity);
    const auto verdict = judge(check, GainOrientation::identity, false, {}, 4e-4);
    EXPECT_EQ(verdict.word, "shifted") << verdict.alarm;
  }
  const auto half = check_gain(sums.all, orient(rolled(gain, 0, 1), GainOrientation::rotate_180));
  EXPECT_EQ(half.orientation, GainOrientation::rotate_180);
  EXPECT_TRUE(half.is_displaced());
}

TEST(GainCheck, SaysNothingOfAFlatReference) {
  const auto scene = camera_scene(256, 256, 0.02, 7);
  const auto sums = raw_sums(scene, sim::camera(scene), sim::load_specimens(scene), 0);
  Image flat(256, 256);
  std::fill(flat.pixels().begin(), flat.pixels().end(), 1.0F);
  const auto check = check_gain(sums.all, flat);
  EXPECT_FALSE(check.found());
  EXPECT_FALSE(check.unrelated());
}

TEST(GainCheck, SeesHowMuchOfAStaleReferenceStillHolds) {
  const auto scene = camera_scene(512, 512, 0.02, 8);
  const auto camera = sim::camera(scene);
  const auto sums = raw_sums(scene, camera, sim::load_specimens(scene), 1);
  const auto fresh = check_gain(sums.all, camera.gain);
  EXPECT_NEAR(fresh.agreement, 1, 4 * fresh.agreement_sigma);
  auto stale = camera.gain.clone();
  Rng rng(9);
  for (float& g : stale.pixels()) g *= static_cast<float>(1 + 0.02 * rng.normal());
  const auto check = check_gain(sums.all, stale);
  EXPECT_TRUE(check.found());
  EXPECT_EQ(check.orientation, GainOrientation::identity);
  EXPECT_NEAR(check.agreement, 0.5,
              4 * check.agreement_sigma);  // half of the reference's variance is no longer the camera's
}

TEST(GainCheck, MeasuresThePatternThatIsLeftWithoutAModelOfTheNoise) {
  const auto scene = camera_scene(512, 512, 0.03, 11);
  const auto camera = sim::camera(scene);
  const auto sums = raw_sums(scene, camera, sim::load_specimens(scene), 0);
  const auto raw = common_pattern(sums.odd, sums.even);
  EXPECT_NEAR(raw.variance, 0.03 * 0.03, 4 * raw.sigma);
  auto a = sums.odd.clone(), b = sums.even.clone();
  for (std::size_t i = 0; i < a.size(); ++i) {
    a.pixels()[i] *= camera.gain.pixels()[i];
    b.pixels()[i] *= camera.gain.pixels()[i];
  }
  const auto left = common_pattern(a, b);
  EXPECT_NEAR(left.variance, 0, 4 * left.sigma);
  EXPECT_LT(left.sigma, 0.0005);
  std::printf("pattern 3 %%: found %.2f %%; with the gain %.1e +- %.0e of variance\n", 100 * std::sqrt(raw.variance),
              left.variance, left.sigma);
}

TEST(Defects, AreFoundOnCarbonAndNothingElseIs) {
  int hot_and_dead = 0, missed = 0, false_alarms = 0, kept_false_alarms = 0;
  for (int camera_seed = 31; camera_seed < 32; ++camera_seed) {
    auto scene = camera_scene(512, 512, 0.03, camera_seed);
    scene.carbon = 1;
    scene.crystals = 1;
    const auto camera = sim::camera(scene);
    std::set<std::uint64_t> truth;
    for (const auto* list : {&camera.hot, &camera.dead})
      for (const auto& [x, y] : *list)
        truth.insert(static_cast<std::uint64_t>(y) * 512 + static_cast<std::uint64_t>(x));
    TrendState state;
    const auto specimens = sim::load_specimens(scene);
    for (int m = 0; m < 4; ++m) {
      auto sum = raw_sums(scene, camera, specimens, m).all;
      for (std::size_t i = 0; i < sum.size(); ++i)
        if (camera.gain.pixels()[i] > 0) sum.pixels()[i] *= camera.gain.pixels()[i];  // the dead stay for us to find
      const auto found = motion::find_defects(sum, 1, 6);
      for (const auto pixel : found) false_alarms += truth.contains(pixel) ? 0 : 1;
      for (const auto pixel : truth) missed += std::binary_search(found.begin(), found.end(), pixel) ? 0 : 1;
      hot_and_dead += static_cast<int>(truth.size());
      (void)follow(state, {{.exposed = {.counts = 3.5}, .residual = {}, .defects = found, .verdict = "good"}});
    }
    for (const auto pixel : state.defects) kept_false_alarms += truth.contains(pixel) ? 0 : 1;
  }
  std::printf(
      "hot and dead pixels on carbon: %d of %d missed, %d false alarms in 4 movies of 512 x 512, %d that last\n",
      missed, hot_and_dead, false_alarms, kept_false_alarms);
  EXPECT_LE(missed, hot_and_dead / 50);
  EXPECT_LE(false_alarms, 1);
  EXPECT_EQ(kept_false_alarms, 0);
}

/// The findings of one kind and `about`, as texts.
std::vector<std::string> texts(const std::vector<Finding>& findings, AlarmKind kind, std::string_view about = "") {
  std::vector<std::string> list;
  for (const auto& finding : findings)
    if (finding.kind == kind && finding.about == about) list.push_back(finding.text);
  return list;
}

MovieSigns signs(double counts, double variance, std::vector<std::uint64_t> defects, const char* alarm = "") {
  MovieSigns movie;
  movie.exposed.counts = counts;
  movie.residual = {variance, 2e-6};
  movie.defects = std::move(defects);
  movie.verdict = *alarm != 0 ? "turned" : "good";
  movie.alarm = alarm;
  return movie;
}

TEST(Trend, FollowsResidualAndDefectsAndSaysWhatIsWrong) {
  TrendState state;
  const auto first = follow(state, {signs(3, 1e-6, {7}), signs(3.02, -1e-6, {7, 9}), signs(2.98, 0, {7})});
  EXPECT_TRUE(first.findings.empty());
  EXPECT_EQ(first.new_defects, 1);  // 9 was there once only
  EXPECT_NEAR(first.dose.counts, 3, 1e-9);
  EXPECT_NEAR(first.residual.sigma, 2e-6 / std::sqrt(3), 1e-9);
  const auto turned = follow(state, {signs(3, 0, {7}, "turn it"), signs(3, 0, {7}, "turn it"), signs(3, 0, {7})});
  EXPECT_EQ(texts(turned.findings, AlarmKind::gain), std::vector<std::string>{"turn it"});
  const auto grown = follow(state, {signs(3, 1e-4, {7}), signs(3, 1e-4, {7})});
  EXPECT_EQ(texts(grown.findings, AlarmKind::gain, "drift").size(), 1U);
  std::vector<std::uint64_t> many(25);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = 100 + i;
  const auto hot = follow(state, {signs(3, 0, many), signs(3, 0, many), signs(3, 0, many)});
  EXPECT_EQ(hot.new_defects, 25);
  EXPECT_EQ(texts(hot.findings, AlarmKind::gain, "defects").size(), 1U);
}

TEST(Trend, AReferenceOfAnotherCameraIsNamedWhateverOrientationFitsItBestByChance) {
  TrendState state;
  std::vector<MovieSigns> batch;
  for (const char* orientation : {"identity", "rotate-90", "transpose", "flip-x"}) {
    batch.push_back(signs(3, 0, {}, "nothing in common"));
    batch.back().verdict = "unrelated";
    batch.back().orientation = orientation;
    batch.back().inverted = batch.size() % 2 == 0;
  }
  const auto trend = follow(state, batch);
  EXPECT_EQ(trend.verdict, "unrelated");
  EXPECT_EQ(texts(trend.findings, AlarmKind::gain), std::vector<std::string>{"nothing in common"});
  for (std::size_t i = 0; i < batch.size(); ++i) {  // and where the movies do not agree on what is wrong
    batch[i].verdict = i % 2 == 0 ? "turned" : "stale";
    batch[i].alarm = batch[i].verdict;
  }
  EXPECT_EQ(texts(follow(state, batch).findings, AlarmKind::gain).size(), 1U);
}

/// RMS of found/true − 1 on scales below 16 pixels, where neither beam nor specimen says anything.
double fine_error(const Image& found, const Image& truth) {
  Image ratio(truth.nx(), truth.ny());
  for (std::size_t i = 0; i < ratio.size(); ++i)
    ratio.pixels()[i] = truth.pixels()[i] > 0 && found.pixels()[i] > 0 ? found.pixels()[i] / truth.pixels()[i] : 1;
  const auto slow = band_pass(ratio, 16_A, 0_A);
  return statistics(slow).stddev;
}

TEST(GainEstimate, ComesNearerToTheCameraTheMoreMoviesItHas) {
  const auto scene = camera_scene(256, 256, 0.04, 21);
  const auto camera = sim::camera(scene);
  const auto specimens = sim::load_specimens(scene);
  std::array<Image, 2> halves{Image(256, 256), Image(256, 256)};
  Image flat(256, 256);
  std::fill(flat.pixels().begin(), flat.pixels().end(), 1.0F);
  const double none = fine_error(flat, camera.gain);
  double last = none;
  for (int m = 0; m < 8; ++m) {
    const auto sums = raw_sums(scene, camera, specimens, m);
    auto& half = halves[static_cast<std::size_t>(m % 2)];
    for (std::size_t i = 0; i < half.size(); ++i) half.pixels()[i] += sums.all.pixels()[i];
    if (m != 1 && m != 7) continue;
    const auto found = estimate_gain(halves[0], halves[1], Halves::movies);
    const double error = fine_error(found.gain, camera.gain), plain = 1 / std::sqrt(28.0 * (m + 1));
    std::printf(
        "%2d movies: error %.2f %% (without gain %.2f %%, counting noise %.2f %%), expected %.2f %%, %zu defects\n",
        m + 1, 100 * error, 100 * none, 100 * plain, 100 * found.error_std, found.defects.size());
    EXPECT_LT(error, 1.02 * last);
    EXPECT_LT(error, 1.1 * plain);
    EXPECT_NEAR(found.error_std / error, 1, 0.35);
    last = error;
    for (const auto& [x, y] : camera.dead) EXPECT_EQ(found.gain(x, y), 0);
  }
}

TEST(GainEstimate, OfOneMovieTakesOnlyWhatIsNoSpecimen) {
  const auto scene = camera_scene(256, 256, 0.04, 22);
  const auto camera = sim::camera(scene);
  const auto sums = raw_sums(scene, camera, sim::load_specimens(scene), 0);
  Image flat(256, 256);
  std::fill(flat.pixels().begin(), flat.pixels().end(), 1.0F);
  const auto found = estimate_gain(sums.odd, sums.even, Halves::frames);
  EXPECT_LT(fine_error(found.gain, camera.gain), fine_error(flat, camera.gain));
  EXPECT_THROW((void)estimate_gain(Image(256, 256), sums.even, Halves::frames), Error);
}

}  // namespace
}  // namespace frazil::gain
