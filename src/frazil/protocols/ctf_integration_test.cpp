// estimate-ctf, assess-ctf and filter-ctf on files: a simulated micrograph, and twelve real spectra with published answers.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/assess_ctf.hpp"
#include "frazil/protocols/estimate_ctf.hpp"
#include "frazil/protocols/filter_ctf.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

/// Outputs go to a folder of their own; references are paths.
class TestContext final : public flow::Context {
 public:
  explicit TestContext(const std::string& name) : folder_(fs::temp_directory_path() / (name + "-" + std::to_string(::getpid()))) { make_folders(folder_); }
  ~TestContext() override { fs::remove_all(folder_); }
  fs::path output(std::string_view name) override { return folder_ / name; }
  [[nodiscard]] std::string reference(std::string_view name) const override { return (folder_ / name).string(); }
  [[nodiscard]] fs::path input(const std::string& reference) const override { return reference; }
  fs::path scratch() override { return folder_; }
  [[nodiscard]] int threads() const override { return 1; }
  [[nodiscard]] Rng rng() const override { return Rng(1); }
  void check_cancelled() const override {}
  void progress(double, std::string_view) override {}

 private:
  fs::path folder_;
};

Angstrom mean(const CtfFit& fit) { return (fit.defocus_u + fit.defocus_v) / 2; }

double angle_between(Degrees a, Degrees b) {
  const double d = std::fmod(std::abs((a - b).value()), 180.0);
  return std::min(d, 180 - d);
}

std::map<std::string, CtfFit> fits_of(const fs::path& star) {
  std::map<std::string, CtfFit> fits;
  for (const auto& [area, record] : records_from_file("CtfFit", star, Json::object())) fits[area] = record_from_json<CtfFit>(record);
  return fits;
}

class RealSpectra : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto data = io::shared_data();
    if (!data) GTEST_SKIP() << "no real data; set FRAZIL_SHARED to the folder that holds bgal-10204-relion5-run";
    run_ = *data / "bgal-10204-relion5-run";
    answers_ = *data / "bgal-10204-published-answers";
    for (const auto& entry : fs::directory_iterator(run_ / "MotionCorr/job002/Movies"))
      if (entry.path().filename().string().ends_with("_PS.mrc")) files_.push_back(entry.path());
    std::sort(files_.begin(), files_.end());
    ASSERT_EQ(files_.size(), 12U);
    published_ = fits_of(answers_ / "relion31-tutorial/CtfFind/job003/micrographs_ctf.star");
    trap_ = fits_of(run_ / "CtfFind/job005/micrographs_ctf.star");
  }

  static Micrograph record(const fs::path& file) {
    const Json optics = {{"voltage", 200.0}, {"cs", 1.4}, {"amplitude_contrast", 0.1}};
    return record_from_json<Micrograph>(records_from_file("Micrograph", file, optics).front().record);
  }

  fs::path run_, answers_;
  std::vector<fs::path> files_;
  std::map<std::string, CtfFit> published_, trap_;
};

TEST_F(RealSpectra, AreFittedAsPublished) {
  TestContext context("frazil-ctf-real");
  EstimateCtf step;
  step.params.input_kind = CtfInput::spectrum;
  for (const auto& file : files_) {
    const auto found = step.process(record(file), context);
    const auto& answer = published_.at(area_name(file.string()));
    fmt::print("{}: defocus {:.0f} A, published {:.0f} ({:+.0f} +- {:.0f}); astigmatism {:.0f}, published {:.0f}; angle {:.1f}, published {:.1f}; rings to {:.2f} A, published {:.2f}; score {:.3f}\n",
               area_name(file.string()), mean(found).value(), mean(answer).value(), (mean(found) - mean(answer)).value(), found.sigma_defocus.value(),
               (found.defocus_u - found.defocus_v).value(), (answer.defocus_u - answer.defocus_v).value(), found.astigmatism_angle.value(), answer.astigmatism_angle.value(),
               found.fit_resolution.value(), answer.fit_resolution.value(), found.score);
    EXPECT_NEAR(mean(found).value(), mean(answer).value(), 80);
    EXPECT_NEAR((found.defocus_u - found.defocus_v).value(), (answer.defocus_u - answer.defocus_v).value(), 80);
    EXPECT_LT(angle_between(found.astigmatism_angle, answer.astigmatism_angle), 10);
    EXPECT_TRUE(FilterCtf{}.process(found, context).accepted);
  }
}

TEST_F(RealSpectra, AreAssessedRightWithPublishedAndWithWrongValues) {
  TestContext context("frazil-assess-real");
  AssessCtf step;
  step.params.input_kind = CtfInput::spectrum;
  for (const auto& file : files_) {
    const auto area = area_name(file.string());
    const auto right = step.process({record(file), published_.at(area)}, context), wrong = step.process({record(file), trap_.at(area)}, context);
    EXPECT_TRUE(right.accepted) << area << ": " << right.reason;
    EXPECT_FALSE(wrong.accepted) << area << ": " << wrong.reason;
    EXPECT_GT(right.score, 3 * wrong.score);
  }
}

TEST(FilterCtf, NamesTheRuleThatIsBrokenMost) {
  TestContext context("frazil-filter");
  CtfFit fit;
  fit.defocus_u = 15000_A;
  fit.defocus_v = 14800_A;
  fit.fit_resolution = 4_A;
  fit.sigma_defocus = 20_A;
  fit.score = 0.3;
  const auto kept = FilterCtf{}.process(fit, context);
  EXPECT_TRUE(kept.accepted);
  EXPECT_EQ(kept.rule, "max_fit_resolution_A");  // half of its limit: nearer than any other
  EXPECT_TRUE(kept.reason.empty());
  fit.fit_resolution = 30_A;
  const auto aside = FilterCtf{}.process(fit, context);
  EXPECT_FALSE(aside.accepted);
  EXPECT_EQ(aside.rule, "max_fit_resolution_A");
  EXPECT_EQ(aside.reason, "fit resolution is 30 A, at most 8 A is allowed");
  fit.fit_resolution = 4_A;
  fit.defocus_u = 1500_A;
  fit.defocus_v = 900_A;
  EXPECT_EQ(FilterCtf{}.process(fit, context).rule, "min_defocus_A");
}

TEST(EstimateCtf, WritesAPictureARowAndAProfile) {
  TestContext context("frazil-estimate");
  Image image(512, 512, 2_A);
  Rng rng(5);
  for (float& v : image.pixels()) v = static_cast<float>(rng.normal());
  const auto file = context.output("noise.mrc");
  io::write_image(file, image);
  const auto mic = record_from_json<Micrograph>(records_from_file("Micrograph", file, Json::object()).front().record);
  const auto found = EstimateCtf{}.process(mic, context);
  EXPECT_LT(found.score, 0.15);
  EXPECT_GT(found.sigma_defocus.value(), 300);
  EXPECT_FALSE(FilterCtf{}.process(found, context).accepted);
  EXPECT_EQ(io::read_png(found.power_spectrum).nx, 512);
  const auto back = fits_of(found.star).at("noise");
  EXPECT_NEAR(back.defocus_u.value(), found.defocus_u.value(), 1e-3);
  EXPECT_NEAR(back.optics.cs.value(), mic.optics.cs.value(), 1e-9);
  const auto again = record_from_json<CtfFit>(Json::parse(record_to_json(found).dump()));  // as it reaches the next step
  EXPECT_TRUE(std::isnan(again.iceness));  // beyond the Nyquist frequency of this image
  EXPECT_EQ(again.sigma_defocus, found.sigma_defocus);
  const auto profile = Json::parse(read_text(found.profile));
  EXPECT_EQ(profile["k_per_A"].size(), profile["correlation"].size());
}

}  // namespace
}  // namespace frazil::protocols
