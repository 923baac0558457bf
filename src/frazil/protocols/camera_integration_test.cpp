// estimate-gain, align-movie's view of the camera and the masks on files of simulated movies and of real micrographs.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "frazil/image/ops.hpp"
#include "frazil/image/orientation.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/align_movie.hpp"
#include "frazil/protocols/estimate_gain.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/mask_micrograph.hpp"
#include "frazil/protocols/monitor_gain.hpp"
#include "frazil/protocols/test_context.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

/// Movies on disk, one camera.
struct Session {
  sim::Scene scene;
  sim::Camera camera;
  std::vector<Movie> movies;
};

Session record(const io::TestFolder& folder, int nx, int ny, int count) {
  Session session;
  auto& scene = session.scene;
  scene.seed = 81;
  scene.nx = nx;
  scene.ny = ny;
  scene.pixel_size = 1.5_A;
  scene.frames = 8;
  scene.dose_per_frame = 2_e_per_A2;
  scene.gain_sigma = 0.03;
  scene.particles = 6;
  session.camera = sim::camera(scene);
  const auto specimens = sim::load_specimens(scene);
  for (int i = 0; i < count; ++i) {
    const sim::SimulatedMovie simulated(scene, specimens, session.camera, i);
    const auto path = folder / ("movie" + std::to_string(i) + ".mrcs");
    io::StackWriter writer(path, nx, ny, scene.pixel_size, io::MrcMode::i16);
    Image frame;
    for (int t = 0; t < scene.frames; ++t) {
      simulated.frame(t, frame);
      writer.append(frame);
    }
    writer.close();
    session.movies.push_back(record_from_json<Movie>(
        records_from_file("Movie", path, {{"dose_per_frame", scene.dose_per_frame.value()}}).front().record));
  }
  return session;
}

std::string file_gain(const io::TestFolder& folder, const Image& gain, GainOrientation orientation) {
  const auto path = (folder / "gain.mrc").string();
  io::write_image(path, orient(gain, inverse(orientation)));
  return path;
}

TEST(Camera, EstimateGainTellsHowAGivenReferenceLies) {
  const io::TestFolder folder;
  TestContext context(folder.path());
  auto session = record(folder, 320, 256, 3);
  const auto gain = file_gain(folder, session.camera.gain, GainOrientation::rotate_90);
  for (auto& movie : session.movies) movie.gain = gain;
  const auto first = EstimateGain{}.fold(nullptr, {session.movies[0]}, context);
  EXPECT_EQ(first.orientation, "rotate-90");
  EXPECT_FALSE(first.inverted);
  EXPECT_GT(first.correlation, 0.1);
  EXPECT_LT(first.residual_std, 0.025);  // 4 standard errors: 36 electrons a pixel know the variance to 1.4e-4
  EXPECT_EQ(first.verdict, "turned");
  ASSERT_EQ(first.findings.size(), 1U);
  EXPECT_EQ(first.findings[0].kind, AlarmKind::gain);
  EXPECT_NE(first.findings[0].advice.find("gain_correction=apply"), std::string::npos) << first.findings[0].advice;
  const auto all = EstimateGain{}.fold(&first, {session.movies[1], session.movies[2]}, context);
  EXPECT_EQ(all.movies, 3);
  EXPECT_EQ(all.version, 2);
  EXPECT_NEAR(all.electrons, 3 * first.electrons, 0.2 * first.electrons);
  const auto made = io::read_image(all.gain);
  EXPECT_EQ(made.nx(), 320);
  for (const auto& [x, y] : session.camera.dead) EXPECT_EQ(made(x, y), 0);
}

TEST(Camera, AlignMovieReportsTheCameraAndTurnsTheReferenceOnlyOnConsent) {
  const io::TestFolder folder;
  TestContext context(folder.path());
  auto session = record(folder, 320, 256, 1);
  auto& movie = session.movies[0];
  movie.gain = file_gain(folder, session.camera.gain, GainOrientation::identity);
  const auto right = AlignMovie{}.process(movie, context);
  EXPECT_EQ(right.detector.verdict, "good") << right.detector.alarm;
  EXPECT_EQ(right.detector.alarm, "");
  EXPECT_NEAR(right.detector.residual_variance, 0, 4 * right.detector.residual_sigma);
  EXPECT_NEAR(right.detector.dose_per_frame / (session.scene.dose_per_frame), 0.9, 0.1);  // ice takes some
  EXPECT_GE(right.detector.hot, 18);
  const auto sum = io::read_image(right.micrograph.path);

  movie.gain = file_gain(folder, session.camera.gain, GainOrientation::rotate_270);
  EXPECT_THROW((void)AlignMovie{}.process(movie, context), Error);  // 256 × 320
  AlignMovie willing;
  willing.params.gain_correction = GainCorrection::apply;
  const auto turned = willing.process(movie, context);
  EXPECT_EQ(turned.detector.orientation, "rotate-270");
  EXPECT_EQ(turned.detector.verdict, "good");
  const auto same = io::read_image(turned.micrograph.path);
  EXPECT_TRUE(std::equal(sum.pixels().begin(), sum.pixels().end(), same.pixels().begin()));

  movie.gain = file_gain(folder, session.camera.gain, GainOrientation::rotate_180);
  const auto asked = AlignMovie{}.process(movie, context);
  EXPECT_EQ(asked.detector.verdict, "turned");
  EXPECT_EQ(asked.detector.orientation, "rotate-180");
  EXPECT_GT(asked.detector.residual_std, 0.03);
  const auto trend = MonitorGain{}.fold(nullptr, {asked.detector, asked.detector, asked.detector}, context);
  ASSERT_EQ(trend.findings.size(), 1U) << "the turned reference, and nothing of the dose";
  EXPECT_NE(trend.findings[0].text.find("rotate-180"), std::string::npos);
  EXPECT_EQ(trend.defects_count, asked.detector.hot + asked.detector.dead);
}

/// Share of the cells of `mask` that both call masked, over those that either does.
double intersection_over_union(const Image& mask, const Image& truth, float threshold) {
  double both = 0, either = 0;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const bool a = mask.pixels()[i] > 0, b = truth.pixels()[i] > threshold;
    both += a && b ? 1 : 0;
    either += a || b ? 1 : 0;
  }
  return either > 0 ? both / either : 1;
}

TEST(Masks, AgreeWithANetworkOnARealIceBallAndLeaveCleanMicrographsAlone) {
  const auto data = io::shared_data();
  if (!data || !fs::is_directory(*data / "small-real-images"))
    GTEST_SKIP() << "no real data; set FRAZIL_SHARED to the folder that holds small-real-images";
  const io::TestFolder folder;
  TestContext context(folder.path());
  const auto masked = [&](const fs::path& path, Angstrom pixel_size, Angstrom diameter) {
    Micrograph micrograph;
    micrograph.path = path.string();
    micrograph.name = path.filename().string();
    micrograph.pixel_size = pixel_size;
    MaskMicrograph protocol;
    protocol.params.feature_size = diameter;
    return protocol.process(micrograph, context);
  };
  const auto contaminated = masked(*data / "small-real-images" / "contamination_Ucsf_stack_1142_DW.mrc", 4_A, 120_A);
  const double iou = intersection_over_union(
      io::read_image(contaminated.mask),
      io::read_image(*data / "small-real-images" / "contamination_Ucsf_stack_1142_DW_mask.mrc"), 0.5F);
  std::printf("ice ball: masked %.3f, IoU with MicrographCleaner's mask %.2f\n", contaminated.masked_fraction, iou);
  EXPECT_GT(iou, 0.5);
  const auto set = *data / "apoferritin-10146-micrographs" / "sums";
  if (!fs::is_directory(set)) return;
  for (const std::string name : {"May08_05.57.01", "May08_07.08.55", "May08_07.13.35"}) {
    const auto clean = masked(set / (name + "_sum.mrc"), 1.5_A, 125_A);
    std::printf("%s: masked %.3f (carbon %.3f)\n", name.c_str(), clean.masked_fraction, clean.carbon_fraction);
  }
}

}  // namespace
}  // namespace frazil::protocols
