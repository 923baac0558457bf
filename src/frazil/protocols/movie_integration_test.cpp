// import and align-movie on movies whose truth is known: EER with its fractions and damaged raw frames, defects from a
// list.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "frazil/algo/motion/dose.hpp"
#include "frazil/base/content_hash.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/tiff_writer.hpp"
#include "frazil/protocols/align_movie.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/import.hpp"
#include "frazil/protocols/test_context.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

Movie movie_record(const fs::path& path, const Json& settings) {
  return record_from_json<Movie>(records_from_file("Movie", path, settings).front().record);
}

/// The movie as EER; a raw frame of the fifth fraction is cut short.
void write_eer(const fs::path& path, const sim::Scene& scene, const sim::SimulatedMovie& movie) {
  const int raw_total = scene.frames * scene.raw_frames;
  sim::EerWriter writer(path, scene.nx, scene.ny, {},
                        sim::eer_metadata(raw_total, 0.5, 30 * 1.44, scene.nx, scene.ny, 1.2));
  std::vector<std::vector<sim::Electron>> raw;
  for (int t = 0; t < scene.frames; ++t) {
    movie.electrons(t, raw);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      auto bytes = sim::encode_electrons(raw[i], scene.nx, scene.ny, {});
      if (t == 4 && i == 3) bytes.resize(bytes.size() / 3);
      writer.append_bytes(bytes);
    }
  }
  writer.close();
}

/// RMS distance of two tracks of one length, mean offset removed, px.
double track_error(const std::vector<std::vector<double>>& found, const std::vector<std::array<double, 2>>& truth) {
  const auto n = static_cast<double>(truth.size());
  double mx = 0, my = 0, squares = 0;
  for (std::size_t t = 0; t < truth.size(); ++t)
    mx += (found[t][0] - truth[t][0]) / n, my += (found[t][1] - truth[t][1]) / n;
  for (std::size_t t = 0; t < truth.size(); ++t)
    squares += std::pow(found[t][0] - truth[t][0] - mx, 2) + std::pow(found[t][1] - truth[t][1] - my, 2);
  return std::sqrt(squares / n);
}

TEST(EerMovie, IsImportedAndAlignedByItsFractions) {
  const io::TestFolder folder;
  sim::Scene scene;
  scene.nx = scene.ny = 512;
  scene.pixel_size = 1.2_A;
  scene.frames = 10, scene.raw_frames = 8;
  scene.dose_per_frame = 3_e_per_A2;
  scene.particles = 60;
  scene.local_motion = 0_A;
  scene.burst = 12_A;
  scene.threads = 2;
  const auto specimens = sim::load_specimens(scene);
  const auto camera = sim::camera(scene);
  const sim::SimulatedMovie movie(scene, specimens, camera, 0);
  const int raw_total = scene.frames * scene.raw_frames;
  write_eer(folder / "m.eer", scene, movie);
  io::write_image(folder / "gain.mrc", camera.gain);

  // The camera tells pixel and exposure; 2 e/A^2 a fraction are asked for.
  ImportMovies import;
  import.params.eer_dose_per_fraction = 2_e_per_A2;
  const auto told = import.record(folder / "m.eer", "m.eer");
  EXPECT_EQ(told.raw_frames, raw_total);
  EXPECT_EQ(told.frames, 15);  // 30 e/A^2 in all
  EXPECT_NEAR(told.dose_per_frame.value(), 2, 1e-9);
  EXPECT_NEAR(told.eer_dose_per_fraction.value(), 2, 1e-9);
  EXPECT_NEAR(told.eer_frames_per_fraction, 80.0 / 15, 1e-9);
  EXPECT_NEAR(told.pixel_size.value(), 1.2, 1e-9);
  EXPECT_EQ(ImportMovies::check(folder / "m.eer").state, flow::FileCheck::State::complete);
  const auto fine =
      movie_record(folder / "m.eer", {{"eer_grid", "8K"}, {"eer_frames_per_fraction", 20}, {"dose_per_frame", 0.5}});
  EXPECT_EQ(fine.nx, 1024);
  EXPECT_EQ(fine.frames, 4);
  EXPECT_NEAR(fine.dose_per_frame.value(), 10, 1e-9);  // what is given counts for a raw frame
  EXPECT_NEAR(fine.pixel_size.value(), 0.6, 1e-9);
  const auto unweighted = movie_record(folder / "m.eer", {{"dose_per_frame", 0}, {"eer_dose_per_fraction", 2}});
  EXPECT_EQ(unweighted.dose_per_frame, 0_e_per_A2) << "0 asks for no weighting, whatever the file says";
  EXPECT_EQ(unweighted.frames, told.frames);
  EXPECT_NEAR(unweighted.exposure.file_dose_e_per_A2.value_or(0), told.dose_per_frame.value() * told.frames, 1e-6);
  EXPECT_ERROR((void)movie_record(folder / "m.eer", {{"dose_per_frame", 50}}), bad_input, "exposure of one raw frame");

  TestContext context(folder.path(), 2);
  AlignMovie align;
  align.params.gain_use = GainUse::multiply;
  align.params.halves = true;
  const auto record =
      movie_record(folder / "m.eer", {{"eer_frames_per_fraction", 8}, {"gain", (folder / "gain.mrc").string()}});
  const auto out = align.process(record, context);
  EXPECT_EQ(out.motion.frames, 10);
  EXPECT_EQ(out.motion.raw_frames, raw_total);
  EXPECT_EQ(out.motion.broken_raw_frames, 1);
  EXPECT_NEAR(out.motion.broken_raw_percent, 1.25, 1e-9);
  EXPECT_NEAR(out.motion.eer_frames_per_fraction, 8, 1e-9);
  EXPECT_NEAR(out.motion.eer_dose_per_fraction.value(), 3, 1e-9);
  const double error = track_error(out.motion.shifts_px, movie.truth().shifts_px);
  const double claimed =
      std::sqrt(2.0) * out.motion.shift_sigma_px;  // known to a quarter from ten frames whose errors hang together
  std::printf("EER: the track errs by %.3f px, claimed %.3f px\n", error, claimed);
  EXPECT_LT(error, 1.75 * claimed);
  ASSERT_TRUE(out.weighted.has_value());
  const auto sum = io::read_image(out.micrograph.path), weighted = io::read_image(out.weighted->path);
  EXPECT_EQ(sum.nx(), 512);
  double mean = 0;
  for (const float v : sum.pixels()) mean += static_cast<double>(v) / static_cast<double>(sum.size());
  const double in_raw_frame = scene.electrons_per_frame() / scene.raw_frames;
  EXPECT_NEAR(mean / (raw_total * (1 - std::exp(-in_raw_frame))), 1,
              0.03);  // a pixel counts one electron in a raw frame
  // Noise prevails, and is white: at each frequency the two correlate by the mean weight of the frames.
  const motion::Exposure exposure{scene.dose_per_frame, 0_e_per_A2, scene.voltage};
  double expected = 0;
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x)
      for (const double w : motion::filter_weights(exposure, scene.frames,
                                                   std::hypot(x + 0.5, y + 0.5) / 128 / scene.pixel_size.value()))
        expected += w / scene.frames / (64 * 64);
  std::printf("EER: plain and weighted sum correlate by %.3f, noise by %.3f\n",
              correlation(sum.pixels(), weighted.pixels()), expected);
  EXPECT_NEAR(correlation(sum.pixels(), weighted.pixels()), expected, 0.02);
  EXPECT_GT(expected, 0.5);

  const auto stem = out.micrograph.path.substr(0, out.micrograph.path.size() - 4);
  const auto odd = io::read_image(stem + "_ODD.mrc"), even = io::read_image(stem + "_EVN.mrc");
  double apart = 0;
  for (std::size_t i = 0; i < odd.size(); ++i)
    apart = std::max(apart, std::abs(static_cast<double>(odd.pixels()[i] + even.pixels()[i] - weighted.pixels()[i])));
  EXPECT_LT(apart, 1e-3 * statistics(weighted).stddev);  // together they are the weighted sum
  EXPECT_LT(std::abs(correlation(odd.pixels(), even.pixels())), 0.5);
  align.params.halves = false;

  // At the level of details no two renderings agree, but the finer grid shows the same image.
  auto on_fine = movie_record(
      folder / "m.eer", {{"eer_frames_per_fraction", 8}, {"eer_grid", "8K"}, {"gain", (folder / "gain.mrc").string()}});
  align.params.binning = 2;
  align.params.dose_weighting = false;
  const auto from_fine = io::read_image(align.process(on_fine, context).micrograph.path);
  ASSERT_EQ(from_fine.nx(), 512);
  EXPECT_GT(correlation(band_pass(sum, 60_A, 12_A).pixels(), band_pass(from_fine, 60_A, 12_A).pixels()), 0.9);
}

/// Bytes that this process has read so far.
std::uint64_t bytes_read() {
  std::ifstream file("/proc/self/io");
  std::string name;
  std::uint64_t bytes = 0;
  file >> name >> bytes;
  return bytes;
}

TEST(MovieReading, AMovieIsReadOnceFromItsArrivalToItsMicrographAndItsContentIsToldThen) {
  const io::TestFolder folder;
  constexpr int n = 768, frames = 30;
  Rng rng(12);
  io::TiffStackWriter tiff(folder / "a.tif", n, n, {.type = io::PixelType::u8});
  io::StackWriter mrc(folder / "b.mrcs", n, n, 1_A, io::MrcMode::u16);
  sim::EerWriter eer(folder / "c.eer", n, n, {});
  for (int t = 0; t < frames; ++t) {
    Image frame(n, n);
    for (auto& v : frame.pixels()) v = static_cast<float>(rng.poisson(2));
    tiff.append(frame);
    mrc.append(frame);
    std::vector<sim::Electron> electrons;
    for (std::uint32_t p = 0; p < n * n; ++p)
      if (frame.pixels()[p] > 2) electrons.push_back({p, 1, 2});
    eer.append(electrons);
  }
  tiff.close();
  mrc.close();
  eer.close();
  for (const std::string name : {"a.tif", "b.mrcs", "c.eer"}) {
    SCOPED_TRACE(name);
    const auto path = folder / name;
    TestContext context(folder.path(), 2);
    ImportMovies import;
    import.params.pixel_size = 1_A;
    AlignMovie align;
    align.params.frames = "2-20";  // of the others it is read what no frame asks for
    const auto before = bytes_read();
    EXPECT_EQ(ImportMovies::check(path).state, flow::FileCheck::State::complete);
    (void)sample_hash(path);
    auto movie = import.record(path, path.string());
    const auto taken = bytes_read() - before;
    (void)align.process(movie, context);
    const auto all = static_cast<double>(bytes_read() - before), size = static_cast<double>(fs::file_size(path));
    std::printf("%s: %.0f bytes, %llu read at intake, %.3f times its size in all\n", name.c_str(), size,
                static_cast<unsigned long long>(taken), all / size);
    EXPECT_LT(taken, 300'000U);  // samples are 184 kB; header and directories
    EXPECT_LT(all, 1.1 * size);
    EXPECT_EQ(context.read[path.string()], content_hash(path));
  }
}

TEST(MovieDefects, OfAListAreReplacedInSumAndAlignment) {
  const io::TestFolder folder;
  Rng rng(3);
  io::TiffStackWriter writer(folder / "m.tif", 256, 256, {.type = io::PixelType::u8});
  for (int t = 0; t < 4; ++t) {
    Image frame(256, 256);
    for (auto& v : frame.pixels()) v = static_cast<float>(rng.poisson(4));
    for (int y = 100; y < 104; ++y)
      for (int x = 60; x < 90; ++x) frame(x, y) = 200;
    writer.append(frame);
  }
  writer.close();
  write_text(folder / "defects.txt", "60 100 30 4\n");
  TestContext context(folder.path(), 2);
  AlignMovie align;
  align.params.find_defects = false;
  const auto block_mean = [&](const Json& settings) {
    const auto out = align.process(movie_record(folder / "m.tif", settings), context);
    const auto sum = io::read_image(out.micrograph.path);
    double mean = 0;
    for (int y = 100; y < 104; ++y)
      for (int x = 60; x < 90; ++x) mean += static_cast<double>(sum(x, y)) / 120;
    return std::pair(mean, out.motion.defects);
  };
  const auto [with, replaced] = block_mean({{"pixel_size", 1}, {"defects", (folder / "defects.txt").string()}});
  EXPECT_NEAR(with, 16, 2.5);
  EXPECT_EQ(replaced, 120);
  EXPECT_GT(block_mean({{"pixel_size", 1}}).first, 500);
  write_text(folder / "outside.txt", "250 250 30 4\n");
  EXPECT_ERROR((void)block_mean({{"pixel_size", 1}, {"defects", (folder / "outside.txt").string()}}), bad_input,
               "outside.txt line 1");
}

}  // namespace
}  // namespace frazil::protocols
