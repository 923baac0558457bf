// Sessions for watch_bench: optics, specimens and faults; what the estimator says of their spectra; the judgement.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "frazil/model/records.hpp"

namespace frazil::bench {

/// A session as it is and as it was told.
struct OpticsCase {
  std::string name = {};
  Kilovolt voltage = 300_kV, told_voltage = 300_kV;
  Millimetre cs = 2.7_mm, told_cs = 2.7_mm;
  Angstrom pixel_size = 1_A, told_pixel_size = 1_A;
  Dose dose = 40_e_per_A2;
  double ice_A = 400, protein = 0.7, b_factor = 80;
  int tiles = 80;                        ///< behind a spectrum: what a camera of 4096² gives is some 120
  double crystalline = 0;                ///< sharp ice
  Degrees phase{};                       ///< of a phase plate that was not told
  AlarmKind expected = AlarmKind::task;  ///< kind of the finding; task: none, the session is clean
};

/// What the estimator says of one spectrum of a session.
struct MeasuredFit {
  std::string session;
  double true_defocus_A = 0;
  CtfFit fit;
};

[[nodiscard]] std::vector<OpticsCase> clean_cases();
[[nodiscard]] std::vector<OpticsCase> faulty_cases();

/// Writes `fits` lines for each session. @return exit code
int measure(const std::string& file, int fits);
[[nodiscard]] std::vector<MeasuredFit> read_measured(const std::string& file);
/// @return exit code
int watch(const std::string& file, std::uint64_t seed);

}  // namespace frazil::bench
