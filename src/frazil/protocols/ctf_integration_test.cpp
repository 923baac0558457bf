// estimate-ctf, assess-ctf and filter-ctf on files: a simulated micrograph, and twelve real spectra with published
// answers.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "frazil/base/files.hpp"
#include "frazil/flow/workflow.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/tiff_writer.hpp"
#include "frazil/protocols/align_movie.hpp"
#include "frazil/protocols/assess_ctf.hpp"
#include "frazil/protocols/consensus_ctf.hpp"
#include "frazil/protocols/estimate_ctf.hpp"
#include "frazil/protocols/filter_ctf.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/monitor_ctf.hpp"
#include "frazil/protocols/register.hpp"
#include "frazil/protocols/test_context.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

/// Outputs go to a folder of their own; references are paths.
class CtfContext final : public flow::Context {
 public:
  explicit CtfContext(const std::string& name)
      : folder_(fs::temp_directory_path() / (name + "-" + std::to_string(::getpid()))) {
    make_folders(folder_);
  }
  ~CtfContext() override { fs::remove_all(folder_); }
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
  for (const auto& found : records_from_file("CtfFit", star, Json::object()))
    fits[found.area] = record_from_json<CtfFit>(found.record);
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
  CtfContext context("frazil-ctf-real");
  EstimateCtf step;
  step.params.input_kind = CtfInput::spectrum;
  for (const auto& file : files_) {
    const auto found = step.process({record(file), {}, {}}, context);
    const auto& answer = published_.at(area_name(file.string()));
    fmt::print(
        "{}: defocus {:.0f} A, published {:.0f} ({:+.0f} +- {:.0f}); astigmatism {:.0f}, published {:.0f}; angle "
        "{:.1f}, published {:.1f}; rings to {:.2f} A, published {:.2f}; score {:.3f}\n",
        area_name(file.string()), mean(found).value(), mean(answer).value(), (mean(found) - mean(answer)).value(),
        found.sigma_defocus.value(), (found.defocus_u - found.defocus_v).value(),
        (answer.defocus_u - answer.defocus_v).value(), found.astigmatism_angle.value(),
        answer.astigmatism_angle.value(), found.fit_resolution.value(), answer.fit_resolution.value(), found.score);
    EXPECT_NEAR(mean(found).value(), mean(answer).value(), 80);
    EXPECT_NEAR((found.defocus_u - found.defocus_v).value(), (answer.defocus_u - answer.defocus_v).value(), 80);
    EXPECT_LT(angle_between(found.astigmatism_angle, answer.astigmatism_angle), 10);
    EXPECT_TRUE(FilterCtf{}.process(found, context).accepted());
  }
}

TEST_F(RealSpectra, AreAssessedRightWithPublishedAndWithWrongValues) {
  CtfContext context("frazil-assess-real");
  AssessCtf step;
  step.params.input_kind = CtfInput::spectrum;
  for (const auto& file : files_) {
    const auto area = area_name(file.string());
    const auto right = step.process({record(file), published_.at(area)}, context),
               wrong = step.process({record(file), trap_.at(area)}, context);
    EXPECT_TRUE(right.accepted) << area << ": " << right.reason;
    EXPECT_FALSE(wrong.accepted) << area << ": " << wrong.reason;
    EXPECT_GT(right.score, 3 * wrong.score);
  }
}

TEST_F(RealSpectra, AreJoinedFromTwoEstimatesAndATrapIsNotTakenForOne) {
  CtfContext context("frazil-consensus-real");
  EstimateCtf rings, model;
  rings.params.input_kind = model.params.input_kind = CtfInput::spectrum;
  model.params.method = CtfMethod::model;
  for (const auto& file : files_) {
    const auto area = area_name(file.string());
    const auto a = rings.process({record(file), {}, {}}, context), b = model.process({record(file), {}, {}}, context);
    const auto joined = ConsensusCtf{}.process({a, {b}, {}}, context);
    const auto& answer = published_.at(area);
    fmt::print(
        "{}: rings {:+.0f} +- {:.0f}, model {:+.0f} +- {:.0f}, joined {:+.0f} +- {:.0f} A from the published defocus; "
        "astigmatism {:+.0f}, angle {:+.1f}; agree to {:.1f} A\n",
        area, (mean(a) - mean(answer)).value(), a.sigma_defocus.value(), (mean(b) - mean(answer)).value(),
        b.sigma_defocus.value(), (mean(joined.fused) - mean(answer)).value(), joined.fused.sigma_defocus.value(),
        ((joined.fused.defocus_u - joined.fused.defocus_v) - (answer.defocus_u - answer.defocus_v)).value(),
        angle_between(joined.fused.astigmatism_angle, answer.astigmatism_angle), joined.fused.agreement.value());
    EXPECT_TRUE(joined.verdict.accepted) << joined.verdict.reason;
    EXPECT_NEAR(mean(joined.fused).value(), mean(answer).value(), 80);
    EXPECT_TRUE(FilterCtf{}.process(joined.fused, context).accepted());
    const auto with_trap = ConsensusCtf{}.process({a, {trap_.at(area)}, {}}, context);
    EXPECT_FALSE(with_trap.verdict.accepted);
    EXPECT_EQ(with_trap.verdict.rule, "max_agreement_A");
    EXPECT_FALSE(FilterCtf{}.process(with_trap.fused, context).accepted());
    const auto three =
        ConsensusCtf{}.process({trap_.at(area), {a, b}, {}}, context);  // the two that agree carry the third
    EXPECT_TRUE(three.verdict.accepted);
    EXPECT_EQ(three.verdict.used, (std::vector<int>{0, 1, 1}));
  }
}

TEST(ApoferritinSums, AreFittedButForTheOneThatDrifted) {
  const auto data = io::shared_data();
  if (!data || !std::filesystem::exists(*data / "apoferritin-10146-micrographs/sums"))
    GTEST_SKIP() << "no real data; set FRAZIL_SHARED to the folder that holds apoferritin-10146-micrographs";
  CtfContext context("frazil-ctf-apoferritin");
  const Json optics = {{"voltage", 300.0}, {"cs", 0.001}, {"amplitude_contrast", 0.07}, {"pixel_size", 1.5}};
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(*data / "apoferritin-10146-micrographs/sums")) {
    if (entry.path().extension() != ".mrc") continue;
    const auto mic = record_from_json<Micrograph>(records_from_file("Micrograph", entry.path(), optics).front().record);
    EstimateCtf rings, model;
    model.params.method = CtfMethod::model;
    const auto joined =
        ConsensusCtf{}
            .process({rings.process({mic, {}, {}}, context), {model.process({mic, {}, {}}, context)}, {}}, context)
            .fused;
    const auto decision = FilterCtf{}.process(joined, context);
    const bool drifted = entry.path().filename().string().starts_with("May08_06.09.02");
    fmt::print(
        "{}: defocus {:.0f} +- {:.0f} A, rings to {:.1f} A, agreement {:.1f} A, directional damping {:.2f} +- {:.2f}, "
        "{}\n",
        entry.path().filename().string(), mean(joined).value(), joined.sigma_defocus.value(),
        joined.fit_resolution.value(), joined.agreement.value(), joined.quality.directional_damping,
        joined.quality.sigma_directional, decision.accepted() ? "accepted" : decision.reason);
    if (drifted) {
      EXPECT_FALSE(decision.accepted());
    }
    ++seen;
  }
  EXPECT_EQ(seen, 10);
}

TEST(FilterCtf, NamesTheRuleThatIsBrokenMost) {
  CtfContext context("frazil-filter");
  CtfFit fit;
  fit.defocus_u = 15000_A;
  fit.defocus_v = 14800_A;
  fit.fit_resolution = 4_A;
  fit.sigma_defocus = 20_A;
  fit.score = 0.3;
  const auto kept = FilterCtf{}.process(fit, context);
  EXPECT_TRUE(kept.accepted());
  EXPECT_EQ(kept.rule, "max_fit_resolution_A");  // half of its limit: nearer than any other
  EXPECT_TRUE(kept.reason.empty());
  fit.fit_resolution = 30_A;
  const auto aside = FilterCtf{}.process(fit, context);
  EXPECT_FALSE(aside.accepted());
  EXPECT_EQ(aside.rule, "max_fit_resolution_A");
  EXPECT_EQ(aside.reason, "fit resolution is 30 A, at most 10 A is allowed");
  fit.fit_resolution = 4_A;
  fit.defocus_u = 1500_A;
  fit.defocus_v = 900_A;
  EXPECT_EQ(FilterCtf{}.process(fit, context).rule, "min_defocus_A");
}

CtfFit good_fit() {
  CtfFit fit;
  fit.defocus_u = fit.defocus_v = 15000_A;
  fit.fit_resolution = 4_A;
  fit.sigma_defocus = 20_A;
  fit.quality.confidence = 1;
  fit.quality.visibility = 0.5;
  return fit;
}

TEST(FilterCtf, HoldsTheCriteriaOfTheSpectrumAgainstALimit) {
  CtfContext context("frazil-filter-criteria");
  auto fit = good_fit();
  EXPECT_TRUE(FilterCtf{}.process(fit, context).accepted());
  fit.quality.directional_damping = 0.95;
  fit.quality.sigma_directional = 0.02;
  EXPECT_EQ(FilterCtf{}.process(fit, context).rule, "max_directional_damping");
  fit.quality.sigma_directional = 0.3;  // noise could do that
  EXPECT_TRUE(FilterCtf{}.process(fit, context).accepted());
  FilterCtf strict;
  strict.params.crystalline_ice = false;
  fit.quality.ice_phase = IcePhase::hexagonal;
  EXPECT_EQ(strict.process(fit, context).rule, "crystalline_ice");
  fit.quality.confidence = 0.2;
  EXPECT_EQ(FilterCtf{}.process(fit, context).rule, "min_confidence");
  fit.agreement = 20_A;
  EXPECT_EQ(FilterCtf{}.process(fit, context).rule, "max_agreement_A");
}

TEST(FilterCtf, TakesNoReasonFromAFitThatIsNotToBeTrusted) {
  CtfFit fit;
  fit.defocus_u = 100_A;  // far below its limit
  fit.defocus_v = 90_A;
  fit.fit_resolution = 12_A;
  fit.sigma_defocus = 20_A;
  const auto judged = judge({}, fit);
  EXPECT_FALSE(judged.accepted());
  EXPECT_EQ(judged.rule, "max_fit_resolution_A");
}

TEST(FilterCtf, SetsAsideDriftThickIceAndOverfocusBeyondTheirErrors) {
  auto fit = good_fit();
  fit.quality.drift = 9_A;
  fit.quality.sigma_drift = 1_A;
  EXPECT_EQ(judge({}, fit).rule, "max_drift_A");
  fit.quality.sigma_drift = 3_A;
  EXPECT_TRUE(judge({}, fit).accepted());
  fit.thickness = 2500_A;
  fit.sigma_thickness = 100_A;
  EXPECT_EQ(judge({}, fit).rule, "max_thickness_A");
  fit.thickness = 0_A;
  fit.quality.overfocus = 8;
  EXPECT_EQ(judge({}, fit).rule, "max_overfocus");
}

TEST(ConsensusCtf, IsSteadiedByTheAcquisitionAndShowsByHowMuch) {
  CtfFit a;
  a.micrograph = a.name = "mic_1.mrc";
  a.defocus_u = 15400_A;  // the acquisition has 200 Å along 45°
  a.defocus_v = 14600_A;
  a.astigmatism_angle = 20_deg;
  a.sigma_defocus = 10_A;
  a.sigma_astigmatism = 400_A;
  a.quality.sigma_cs = 2_mm;
  a.quality.defocus_per_cs = 50;
  CtfFit b = a;
  b.astigmatism_angle = 100_deg;
  CtfTrend acquisition;
  acquisition.count = 40;
  acquisition.astigmatism = 200_A;
  acquisition.astigmatism_angle = 45_deg;
  acquisition.sigma_astigmatism = 5_A;
  acquisition.cs_deviation = 0.3_mm;
  acquisition.sigma_cs = 0.02_mm;
  const auto alone = fuse({}, {a, b}), steadied = fuse({}, {a, b}, &acquisition);
  EXPECT_FALSE(alone.verdict.accepted);
  EXPECT_TRUE(steadied.verdict.accepted);
  EXPECT_EQ(steadied.verdict.agreement_alone, alone.verdict.agreement);
  EXPECT_NEAR((steadied.fused.defocus_u - steadied.fused.defocus_v).value(), 200, 120);
  EXPECT_LT(steadied.fused.sigma_astigmatism.value(), 200);
  EXPECT_GT(steadied.fused.quality.astigmatism_pull.value(), 300);
  EXPECT_NEAR(steadied.fused.quality.cs_pull.value(), 0.3, 0.01);
  EXPECT_NEAR(steadied.fused.optics.cs.value(), 3.0, 0.01);
  EXPECT_NEAR(mean(steadied.fused).value(), 15000 + 50 * 0.3, 1);
  auto impossible = acquisition;  // fits that are wrong in the same way agree on a Cs that no lens has
  impossible.cs_deviation = -13.5_mm;
  EXPECT_EQ(fuse({}, {a, b}, &impossible).fused.optics.cs, 2.7_mm);
  EXPECT_EQ(fuse({}, {a, b}, &impossible).fused.quality.cs_pull, 0_mm);
  b.quality.sigma_cs = 0_mm;  // another program's
  EXPECT_EQ(fuse({}, {a, b}, &acquisition).fused.optics.cs, 2.7_mm);
}

/// Fits as they come from an acquisition whose rings bend by `cs_mm` too much.
std::vector<CtfFit> session(Rng& rng, int count, double cs_mm, double difference) {
  std::vector<CtfFit> fits;
  for (int i = 0; i < count; ++i) {
    CtfFit fit;
    fit.defocus_u = 15000_A;
    fit.defocus_v = 14800_A;
    fit.quality.sigma_cs = Millimetre(rng.uniform(0.3, 1));
    fit.quality.cs_deviation = Millimetre(cs_mm + fit.quality.sigma_cs.value() * rng.normal());
    fit.agreement = 3_A;
    fit.difference_z = difference * rng.normal();
    fits.push_back(fit);
  }
  return fits;
}

TEST(MonitorCtf, RaisesAnAlarmWhenTheRingsBendWronglyAndOtherwiseNone) {
  CtfContext context("frazil-monitor");
  Rng rng(3);
  EXPECT_TRUE(MonitorCtf{}.fold(nullptr, session(rng, 50, 0, 1), context).findings.empty());
  const auto wrong = MonitorCtf{}.fold(nullptr, session(rng, 50, 1.2, 1), context);
  ASSERT_EQ(wrong.findings.size(), 1U);
  EXPECT_NEAR(wrong.cs_deviation.value(), 1.2, 0.4);
  const auto before = MonitorCtf{}.fold(nullptr, session(rng, 40, 0, 1), context);
  const auto after = MonitorCtf{}.fold(&before, session(rng, 10, 0, 20), context);
  ASSERT_EQ(after.findings.size(), 1U);
  EXPECT_NE(after.findings.front().text.find("differ"), std::string::npos);
  EXPECT_EQ(after.count, 50);
  EXPECT_NEAR(after.astigmatism.value(), 200, 1e-6);
  const auto stored =
      record_from_json<CtfTrend>(Json::parse(record_to_json(after).dump()));  // as it reaches the next batch
  EXPECT_EQ(stored.cs_mm, after.cs_mm);
  ASSERT_EQ(stored.findings.size(), 1U);
  EXPECT_EQ(stored.findings[0].text, after.findings[0].text);
  EXPECT_EQ(stored.findings[0].kind, AlarmKind::ctf);
}

/// Fits of an acquisition at 300 kV that was told to be at 200 kV, as consensus-ctf passes them on: their Cs is moved
/// to what the rings show.
std::vector<CtfFit> wrong_voltage(Rng& rng, int count, bool moved) {
  constexpr double seen_mm = 1.306;  // 2.7 mm × (0.0197 Å / 0.0251 Å)³
  auto fits = session(rng, count, seen_mm - 2.7, 1);
  for (auto& fit : fits) {
    fit.optics.voltage = 200_kV;
    fit.quality.sigma_cs = fit.quality.sigma_cs / 4;
    fit.quality.cs_deviation = Millimetre(seen_mm - 2.7 + fit.quality.sigma_cs.value() * rng.normal());
    if (!moved) continue;
    fit.quality.cs_pull = Millimetre(seen_mm - 2.7);
    fit.optics.cs += fit.quality.cs_pull;
  }
  return fits;
}

TEST(MonitorCtf, NamesTheVoltageWhetherTheConsensusHasMovedCsOrNot) {
  for (const bool moved : {false, true}) {
    Rng rng(12);
    const auto trend = extend({}, nullptr, wrong_voltage(rng, 50, moved));
    EXPECT_NEAR(trend.cs.value(), 2.7, 1e-6) << "as given";
    ASSERT_EQ(trend.findings.size(), 1U);
    EXPECT_NE(trend.findings[0].text.find("300 kV, not 200 kV"), std::string::npos) << trend.findings[0].text;
    EXPECT_EQ(trend.findings[0].text.find("overfocused"), std::string::npos) << trend.findings[0].text;
    EXPECT_GT(trend.findings[0].sure, 0.99);
  }
}

TEST(MonitorCtf, SeesADefocusThatIsNotWhatWasAskedAndATiltThatNobodyTold) {
  Rng rng(13);
  const auto fits = [&](double offset_A, double tilt_deg, std::optional<Degrees> told) {
    auto list = session(rng, 40, 0, 1);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const double asked = 8000 + 2000.0 * static_cast<double>(i % 7);
      list[i].asked_defocus = Angstrom(asked);
      list[i].defocus_u = list[i].defocus_v = Angstrom(asked + offset_A + 800 * rng.normal());
      list[i].sigma_defocus = 20_A;
      list[i].tilt = Degrees(tilt_deg + rng.normal());
      list[i].tilt_axis = 40_deg;
      list[i].sigma_tilt = 1_deg;
      list[i].stage_tilt = told;
    }
    return list;
  };
  EXPECT_TRUE(extend({}, nullptr, fits(500, 2, {})).findings.empty());
  const auto low = extend({}, nullptr, fits(-3000, 2, {}));
  ASSERT_EQ(low.findings.size(), 1U);
  EXPECT_EQ(low.findings[0].kind, AlarmKind::defocus);
  EXPECT_NE(low.findings[0].text.find("smaller"), std::string::npos) << low.findings[0].text;
  EXPECT_NEAR(low.asked_offset.value(), -3000, 4 * low.sigma_asked_offset.value());
  const auto tilted = extend({}, nullptr, fits(0, 25, {}));
  ASSERT_EQ(tilted.findings.size(), 1U);
  EXPECT_EQ(tilted.findings[0].kind, AlarmKind::tilt);
  EXPECT_TRUE(extend({}, nullptr, fits(0, 25, -25_deg)).findings.empty()) << "the microscope told it";
}

TEST(MonitorCtf, StaysBoundedOverTwentyThousandFitsAndLeavesOutWhatIsNoNumber) {
  TestContext context("frazil-monitor");
  Rng rng(4);
  std::optional<CtfTrend> trend;
  std::size_t at_half = 0, largest = 0;
  for (int batch = 0; batch < 2000; ++batch) {
    auto fits = session(rng, 10, batch < 1900 ? 0 : 1.2, 1);
    if (batch % 100 == 7) fits[3].defocus_u = Angstrom(std::numeric_limits<double>::quiet_NaN());
    trend = MonitorCtf{}.fold(trend ? &*trend : nullptr, fits, context);
    const auto json = record_to_json(*trend);
    ASSERT_TRUE(record_problems<CtfTrend>(json).empty());
    largest = std::max(largest, json.dump().size());
    if (batch == 999) at_half = largest;
    if (batch == 1899) {
      EXPECT_TRUE(trend->findings.empty());
    }
  }
  EXPECT_EQ(trend->count, 19980);
  EXPECT_EQ(trend->left_out, 20);
  EXPECT_EQ(trend->findings.size(), 1U) << "a Cs that went wrong after 19,000 fits is seen within a hundred";
  EXPECT_LT(largest, 12000U);
  EXPECT_LT(static_cast<double>(largest), 1.2 * static_cast<double>(at_half)) << "but for the words of what is wrong";
}

TEST(ConsensusCtf, WritesTheFusedRowBesideItsSources) {
  CtfContext context("frazil-consensus");
  CtfFit a;
  a.micrograph = a.name = "mic_1.mrc";
  a.defocus_u = 15100_A;
  a.defocus_v = 14900_A;
  a.sigma_defocus = 10_A;
  a.method = "rings";
  CtfFit b = a;
  b.defocus_u = 15130_A;
  b.defocus_v = 14930_A;
  b.sigma_defocus = 20_A;
  b.method = "model";
  const auto joined = ConsensusCtf{}.process({a, {b}, {}}, context);
  EXPECT_TRUE(joined.verdict.accepted);
  EXPECT_NEAR(mean(joined.fused).value(), 15006, 0.1);  // weights 4 : 1
  EXPECT_GT(joined.fused.sigma_defocus.value(), 10);    // the same noise twice: no better than the better one
  const auto file = io::read_star(joined.fused.star);
  EXPECT_EQ(file.table("micrographs").rows(), 1U);
  EXPECT_EQ(file.table("estimates").rows(), 2U);
  EXPECT_EQ(file.table("estimates").text(1, "frazilCtfMethod"), "model");
  const auto back = fits_of(joined.fused.star).at("mic_1");
  EXPECT_NEAR(back.sigma_defocus.value(), joined.fused.sigma_defocus.value(), 1e-3);
  EXPECT_THROW((void)ConsensusCtf{}.process({a, {}, {}}, context), Error);
}

TEST(EstimateCtf, WritesAPictureARowAndAProfile) {
  CtfContext context("frazil-estimate");
  Image image(512, 512, 2_A);
  Rng rng(5);
  for (float& v : image.pixels()) v = static_cast<float>(rng.normal());
  const auto file = context.output("noise.mrc");
  io::write_image(file, image);
  const auto mic = record_from_json<Micrograph>(records_from_file("Micrograph", file, Json::object()).front().record);
  const auto found = EstimateCtf{}.process({mic, {}, {}}, context);
  EXPECT_LT(found.score, 0.15);
  EXPECT_GT(found.sigma_defocus.value(), 300);
  EXPECT_FALSE(FilterCtf{}.process(found, context).accepted());
  EXPECT_EQ(io::read_png(found.power_spectrum).nx, 512);
  const auto back = fits_of(found.star).at("noise");
  EXPECT_NEAR(back.defocus_u.value(), found.defocus_u.value(), 1e-3);
  EXPECT_NEAR(back.optics.cs.value(), mic.optics.cs.value(), 1e-9);
  const auto again =
      record_from_json<CtfFit>(Json::parse(record_to_json(found).dump()));  // as it reaches the next step
  EXPECT_TRUE(std::isnan(again.iceness));  // beyond the Nyquist frequency of this image
  EXPECT_EQ(again.sigma_defocus, found.sigma_defocus);
  const auto profile = Json::parse(read_text(found.profile));
  EXPECT_EQ(profile["k_per_A"].size(), profile["correlation"].size());
}

TEST(LocalDefocus, FollowsTiltAndBendWhereTheyAreSignificant) {
  CtfFit fit;
  fit.tilt = 30_deg;
  fit.tilt_axis = 0_deg;  // along x: defocus grows towards +y
  fit.sigma_tilt = 2_deg;
  EXPECT_NEAR(fit.defocus_offset(1000, 0).value(), 0, 1e-9);
  EXPECT_NEAR(fit.defocus_offset(0, 1000).value(), 577.35, 0.01);
  fit.bend = {1e-4, 0, 0};
  EXPECT_NEAR(fit.defocus_offset(1000, 1000).value(), 677.35, 0.01);
  fit.sigma_tilt = 15_deg;  // two standard errors: no tilt
  EXPECT_NEAR(fit.defocus_offset(0, 1000).value(), 0, 1e-9);
}

TEST(FrameGroups, GiveTheCtfOfAMovieAlignedOrNot) {
  sim::Scene scene;
  scene.kind = sim::SceneKind::movies;
  scene.seed = 31;  // of this test alone
  scene.nx = scene.ny = 1024;
  scene.pixel_size = 1.5_A;
  scene.frames = 8;
  scene.dose_per_frame = 5_e_per_A2;
  scene.defocus_min = scene.defocus_max = 15000_A;
  scene.particles = 30;
  const auto specimens = sim::load_specimens(scene);
  const auto camera = sim::camera(scene);
  const sim::SimulatedMovie simulated(scene, specimens, camera, 0);
  CtfContext context("frazil-ctf-groups");
  const auto path = context.output("movie.tif"), gain = context.output("gain.mrc");
  io::write_image(gain, camera.gain);
  {
    io::TiffStackWriter writer(path, scene.nx, scene.ny, {io::TiffCompression::lzw, io::PixelType::u16, false, 64});
    Image frame(scene.nx, scene.ny);
    for (int t = 0; t < scene.frames; ++t) {
      simulated.frame(t, frame);
      writer.append(frame);
    }
    writer.close();
  }
  const Json optics = {{"voltage", scene.voltage.value()},
                       {"cs", scene.cs.value()},
                       {"amplitude_contrast", scene.amplitude_contrast},
                       {"pixel_size", 1.5},
                       {"dose_per_frame", 5.0},
                       {"gain", gain.string()}};
  AlignMovie align;
  align.params.spectra = true;
  const auto aligned =
      align.process(record_from_json<Movie>(records_from_file("Movie", path, optics).front().record), context);
  ASSERT_TRUE(aligned.spectra);
  EXPECT_EQ(aligned.spectra->groups, 8);  // of about 4 e/A^2: one frame each
  EXPECT_EQ(aligned.motion.spectra, aligned.spectra->path);
  EstimateCtf from_file;
  from_file.params.input_kind = CtfInput::movie;
  from_file.params.frames_per_group = 2;
  from_file.params.gain = gain.string();
  const auto as_movie = record_from_json<Micrograph>(records_from_file("Micrograph", path, optics).front().record);
  const double truth = simulated.truth().ctf.mean_defocus().value();
  for (const auto& [name, fit] :
       {std::pair{"sum", EstimateCtf{}.process({aligned.micrograph, {}, {}}, context)},
        {"aligned groups", EstimateCtf{}.process({aligned.micrograph, aligned.spectra, {}}, context)},
        {"groups of the movie file", from_file.process({as_movie, {}, {}}, context)}}) {
    fmt::print("{}: defocus {:+.0f} +- {:.0f} A from the truth, tilt error {:.1f} deg, rings to {:.1f} A\n", name,
               mean(fit).value() - truth, fit.sigma_defocus.value(), fit.sigma_tilt.value(),
               fit.fit_resolution.value());
    EXPECT_NEAR(mean(fit).value(), truth, std::max(60.0, 4 * fit.sigma_defocus.value()));
    EXPECT_LT(fit.sigma_defocus.value(), 150);
  }
}

TEST(ShippedTemplates, PlanAndJoinTwoEstimators) {
  for (const auto& entry : fs::directory_iterator("templates")) {
    std::vector<flow::Problem> problems;
    const auto workflow = flow::parse_workflow(flow::inherit(read_text(entry.path()), registry(), problems), problems);
    const auto plan = flow::make_plan(workflow, registry(), Json::object(), problems, true);
    EXPECT_TRUE(problems.empty()) << entry.path() << ": " << flow::describe(problems);
    if (plan.find("ctf") < 0 || workflow.name == "paper") continue;  // particles only; the paper had no monitor
    ASSERT_GE(plan.find("ctf-consensus"), 0) << entry.path();
    EXPECT_EQ(plan.steps[static_cast<std::size_t>(plan.find("ctf-consensus"))].inputs.size(), 3U);
    EXPECT_GE(plan.find("ctf-monitor"), 0) << entry.path();
  }
}

}  // namespace
}  // namespace frazil::protocols
