#include "frazil/protocols/contradictions.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

namespace frazil::protocols {
namespace {

// How far two true statements may differ.
constexpr double pixel_tolerance = 0.02;    // calibrations of one microscope, and numbers typed with two digits
constexpr double voltage_tolerance = 0.01;  // both are settings
constexpr double dose_tolerance = 0.10;     // a dose is measured again, and typed with two digits
constexpr double confusion = 0.15;          // a dose in another unit, measured again

bool differs(double value, double other, double tolerance) { return std::abs(value / other - 1) > tolerance; }

/// The power of two, from 1/8 to 8, by which `other` comes closest to `value`.
double binning_between(double value, double other) {
  return std::exp2(std::clamp(std::round(std::log2(value / other)), -3.0, 3.0));
}

/// A pixel size that another file tells of frames like these.
struct Told {
  double pixel_A = 0;
  std::string by;
};

/// The microscope tells the pixel of an image that it read out itself; the frames may be binned otherwise. Where it
/// does not say how many columns that image had, the binning is taken that fits what is set.
Told told_pixel(const Movie& movie, double set_A) {
  const auto& e = movie.exposure;
  const double columns = movie.raw_frames > 0 ? movie.nx * (movie.pixel_size.value() / set_A) : movie.nx;
  if (e.pixel_size_A) {
    const double told = *e.pixel_size_A;
    if (e.image_width_px && !differs(columns / *e.image_width_px, binning_between(columns, *e.image_width_px), 0.01))
      return {told * *e.image_width_px / columns, e.metadata};
    return {told * binning_between(set_A, told), e.metadata};
  }
  constexpr double unknown = 1;  // what programs write that do not know it
  if (e.file_pixel_size_A && *e.file_pixel_size_A != unknown) return {*e.file_pixel_size_A, "the header of the file"};
  return {};
}

/// "1.06 Å"
std::string pixel_text(double value) { return fmt::format("{:.3g} Å", value); }

void check_pixel(const Movie& movie, const ImportMoviesParams& set, std::vector<Finding>& findings) {
  if (!(set.pixel_size > 0_A)) return;  // the file's own counts
  const double set_A = set.pixel_size.value();
  const auto told = told_pixel(movie, set_A);
  if (!(told.pixel_A > 0) || !differs(set_A, told.pixel_A, pixel_tolerance)) return;
  const bool is_twice =
      !differs(set_A, 2 * told.pixel_A, pixel_tolerance) || !differs(set_A, told.pixel_A / 2, pixel_tolerance);
  findings.push_back(
      {.kind = AlarmKind::pixel_size,
       .text =
           fmt::format("the pixel size is set to {}, {} says {}{}", pixel_text(set_A), told.by,
                       pixel_text(told.pixel_A), is_twice ? ": is it that of super-resolution or binned frames?" : ""),
       .seen = fmt::format("{} ({})", pixel_text(told.pixel_A), told.by),
       .expected = pixel_text(set_A) + " (set)",
       .advice = "Look up the calibrated pixel size of this magnification; run with the right one (pixel_size)"});
}

void check_voltage(const Movie& movie, const ImportMoviesParams& set, std::vector<Finding>& findings) {
  const auto told = movie.exposure.voltage_kV;
  if (!told || !(*told > 0) || !differs(set.voltage.value(), *told, voltage_tolerance)) return;
  findings.push_back({.kind = AlarmKind::voltage,
                      .text = fmt::format("the voltage is set to {:g} kV, {} says {:g} kV", set.voltage.value(),
                                          movie.exposure.metadata, *told),
                      .seen = fmt::format("{:g} kV ({})", *told, movie.exposure.metadata),
                      .expected = fmt::format("{:g} kV (set)", set.voltage.value()),
                      .advice = "Run with the voltage of the microscope (voltage)"});
}

/// What a dose may have been mistaken for; empty: nothing known.
std::string mistaken(double ratio, double frames, double pixel_A) {
  const auto is = [ratio](double factor) {
    return differs(factor, 1, 2 * confusion) && !differs(ratio, factor, confusion);
  };
  if (is(frames)) return ": is it the exposure of the whole movie?";
  if (is(pixel_A * pixel_A)) return ": is it counted per pixel?";
  return {};
}

/// Exposure per frame (EER: per raw frame) that a file tells.
struct ToldDose {
  double per_frame = 0, frames = 0;
  std::string by;
};
ToldDose told_exposure(const Movie& movie) {
  const auto& e = movie.exposure;
  const auto whole = e.dose_e_per_A2 ? e.dose_e_per_A2 : e.file_dose_e_per_A2;
  if (!whole) return {};
  const double frames = movie.raw_frames > 0          ? movie.raw_frames
                        : e.dose_e_per_A2 && e.frames ? *e.frames
                                                      : movie.frames;
  return {*whole / frames, frames, e.dose_e_per_A2 ? e.metadata : std::string("the header of the file")};
}

Finding unknown_dose() {
  return {.kind = AlarmKind::dose,
          .text =
              "the dose per frame is not known: it was not set, and no file of the microscope tells it; sums are not "
              "weighted by exposure",
          .expected = "e⁻/Å² per frame",
          .advice = "Type it: dose_per_frame=…; or dose_per_frame=0 for sums without weighting"};
}

void check_dose(const Movie& movie, const ImportMoviesParams& set, std::vector<Finding>& findings) {
  if (!set.dose_per_frame) {
    if (!(movie.dose_per_frame > 0_e_per_A2)) findings.push_back(unknown_dose());
    return;
  }
  const double dose = set.dose_per_frame->value();
  const auto told = told_exposure(movie);
  if (!(dose > 0) || !(told.per_frame > 0) || !differs(dose, told.per_frame, dose_tolerance)) return;
  const auto* per = movie.raw_frames > 0 ? "raw frame" : "frame";
  findings.push_back(
      {.kind = AlarmKind::dose,
       .text = fmt::format("the dose per {} is set to {:.3g} e⁻/Å², {} says {:.3g}{}", per, dose, told.by,
                           told.per_frame, mistaken(dose / told.per_frame, told.frames, set.pixel_size.value())),
       .seen = fmt::format("{:.3g} e⁻/Å² per {} ({})", told.per_frame, per, told.by),
       .expected = fmt::format("{:.3g} e⁻/Å² per {} (set)", dose, per),
       .advice = "Run with the exposure of one frame (dose_per_frame)"});
}

void check_frames(const Movie& movie, std::vector<Finding>& findings) {
  const auto told = movie.exposure.frames;
  if (!told || movie.raw_frames > 0 || *told == movie.frames) return;
  findings.push_back(
      {.kind = AlarmKind::frames,
       .text = fmt::format("the movie has {} frames, {} says {:g}", movie.frames, movie.exposure.metadata, *told),
       .seen = fmt::format("{} frames", movie.frames),
       .expected = fmt::format("{:g} frames ({})", *told, movie.exposure.metadata),
       .advice = "Look whether the camera wrote all frames, and whether the dose is that of one frame"});
}

}  // namespace

Dose told_dose(const Movie& movie) {
  const auto& e = movie.exposure;
  if (!e.dose_e_per_A2 || movie.frames == 0) return 0_e_per_A2;
  return Dose(*e.dose_e_per_A2 / (movie.raw_frames == 0 ? e.frames.value_or(movie.frames) : movie.frames));
}

std::vector<flow::ToldValue> told_values(const Movie& movie, const ImportMoviesParams& set) {
  std::vector<flow::ToldValue> list;
  // The pixel of the record is a guess where none was set; the binning of the frames is then that of the record's file.
  const double near_A = set.pixel_size > 0_A ? set.pixel_size.value() : movie.pixel_size.value();
  if (const auto pixel = told_pixel(movie, near_A); pixel.pixel_A > 0)
    list.push_back({"pixel_size", pixel.pixel_A, pixel.by});
  if (const auto voltage = movie.exposure.voltage_kV) list.push_back({"voltage", *voltage, movie.exposure.metadata});
  if (const auto dose = told_exposure(movie); dose.per_frame > 0)
    list.push_back({"dose_per_frame", dose.per_frame, dose.by});
  return list;
}

std::vector<Finding> contradictions(const Movie& movie, const ImportMoviesParams& set) {
  std::vector<Finding> findings;
  check_pixel(movie, set, findings);
  check_voltage(movie, set, findings);
  check_dose(movie, set, findings);
  check_frames(movie, findings);
  return findings;
}

}  // namespace frazil::protocols
