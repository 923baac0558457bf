#include "frazil/protocols/contradictions.hpp"

#include <gtest/gtest.h>

namespace frazil::protocols {
namespace {

ImportMoviesParams set_values() {
  ImportMoviesParams set;
  set.pixel_size = 1_A;
  set.dose_per_frame = 1.5_e_per_A2;
  return set;
}

/// A movie of 5760 columns as EPU describes those of a camera whose images it bins by 2.
Movie told_movie(const ImportMoviesParams& set) {
  Movie movie;
  movie.nx = 5760, movie.ny = 4092, movie.frames = 40;
  movie.pixel_size = set.pixel_size;
  movie.optics.voltage = set.voltage;
  movie.dose_per_frame = set.dose_per_frame.value_or(0_e_per_A2);
  auto& e = movie.exposure;
  e.metadata = "EPU's XML";
  e.pixel_size_A = 2, e.image_width_px = 2880, e.voltage_kV = 300;
  e.dose_e_per_A2 = 60, e.frames = 40;
  return movie;
}

TEST(Contradictions, WhatAgreesIsNoContradiction) {
  const auto set = set_values();
  EXPECT_TRUE(contradictions(told_movie(set), set).empty());
  auto silent = told_movie(set);
  silent.exposure = {};
  EXPECT_TRUE(contradictions(silent, set).empty()) << "what is not told contradicts nothing";
  auto calibrated = set;
  calibrated.pixel_size = 1.015_A;
  calibrated.dose_per_frame = 1.6_e_per_A2;
  EXPECT_TRUE(contradictions(told_movie(set), calibrated).empty());
}

TEST(Contradictions, PixelSizeIsComparedForTheBinningOfTheFrames) {
  for (const double wrong : {0.97, 1.03, 1.2, 2.0, 0.5}) {
    auto set = set_values();
    set.pixel_size = Angstrom(wrong);
    const auto found = contradictions(told_movie(set_values()), set);
    ASSERT_EQ(found.size(), 1U) << wrong;
    EXPECT_EQ(found[0].kind, AlarmKind::pixel_size);
    EXPECT_EQ(found[0].seen, "1 Å (EPU's XML)");
    EXPECT_EQ(found[0].text.find("super-resolution") != std::string::npos, wrong == 2.0 || wrong == 0.5) << wrong;
  }
  auto mdoc = told_movie(set_values());
  mdoc.exposure.image_width_px.reset();
  mdoc.exposure.pixel_size_A = 4;
  EXPECT_TRUE(contradictions(mdoc, set_values()).empty()) << "of an image that may be binned";
  mdoc.exposure.pixel_size_A = 4.4;
  EXPECT_EQ(contradictions(mdoc, set_values()).size(), 1U);
}

TEST(Contradictions, HeadersCountUnlessTheySayNothing) {
  auto movie = told_movie(set_values());
  movie.exposure.pixel_size_A.reset();
  movie.exposure.file_pixel_size_A = 1.3;
  const auto found = contradictions(movie, set_values());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].seen, "1.3 Å (the header of the file)");
  movie.exposure.file_pixel_size_A = 1;
  auto set = set_values();
  set.pixel_size = 1.3_A;
  EXPECT_TRUE(contradictions(movie, set).empty()) << "1 Å is what programs write that do not know";
}

TEST(Contradictions, Voltage) {
  auto set = set_values();
  set.voltage = 200_kV;
  const auto found = contradictions(told_movie(set), set);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind, AlarmKind::voltage);
  EXPECT_EQ(found[0].text, "the voltage is set to 200 kV, EPU's XML says 300 kV");
}

TEST(Contradictions, DoseAndWhatItMayHaveBeenTakenFor) {
  const auto text = [](double dose, double pixel_A = 1) {
    auto set = set_values();
    set.pixel_size = Angstrom(pixel_A);
    set.dose_per_frame = Dose(dose);
    auto movie = told_movie(set);
    movie.exposure.pixel_size_A = 2 * pixel_A;
    const auto found = contradictions(movie, set);
    return found.size() == 1 && found[0].kind == AlarmKind::dose ? found[0].text : std::string();
  };
  EXPECT_NE(text(1.8), "");
  EXPECT_NE(text(1.2), "");
  EXPECT_NE(text(60).find("of the whole movie?"), std::string::npos);
  EXPECT_NE(text(1.5 * 0.7 * 0.7, 0.7).find("per pixel?"), std::string::npos);
  EXPECT_EQ(text(0), "") << "no weighting is asked for";
}

TEST(Contradictions, ADoseThatNobodyTellsIsSaidAndOneThatIsToldIsTaken) {
  auto set = set_values();
  set.dose_per_frame.reset();
  auto movie = told_movie(set);
  EXPECT_NEAR(told_dose(movie).value(), 1.5, 1e-12);
  movie.dose_per_frame = told_dose(movie);
  EXPECT_TRUE(contradictions(movie, set).empty());
  movie.exposure.dose_e_per_A2.reset();
  movie.dose_per_frame = told_dose(movie);
  const auto found = contradictions(movie, set);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind, AlarmKind::dose);
  EXPECT_NE(found[0].advice.find("dose_per_frame=0"), std::string::npos);
}

TEST(Contradictions, FramesThatAreMissing) {
  auto movie = told_movie(set_values());
  movie.frames = 38;
  const auto found = contradictions(movie, set_values());
  ASSERT_EQ(found.size(), 1U) << "the dose is that of the frames that were told";
  EXPECT_EQ(found[0].text, "the movie has 38 frames, EPU's XML says 40");
}

}  // namespace
}  // namespace frazil::protocols
