// Are voltage, spherical aberration and pixel size of an acquisition right? What many CTF fits say together.
#pragma once

#include <string>
#include <vector>

#include "frazil/algo/ctf/trend.hpp"
#include "frazil/model/optics.hpp"
#include "frazil/params/finding.hpp"

namespace frazil::ctf {

/// A number with its standard error; error 0: not measured.
struct Seen {
  double value = 0, sigma = 0;
  [[nodiscard]] bool is_known() const { return sigma > 0; }
};

/// Place of a sharp ring, Å with the pixel size that was told.
struct RingPlace {
  double d_A = 0, sigma_A = 0;
};

/// What an acquisition shows of its optics.
struct OpticsEvidence {
  Kilovolt voltage = 300_kV;  ///< told, as the next two
  Millimetre cs = 2.7_mm;
  Angstrom pixel_size = 1_A;
  Seen cs_mm = {};      ///< spherical aberration with which the rings agree, mean of the fits
  Seen scale = {};      ///< change of the defocus found with that asked of the microscope
  RingPlace ice = {};   ///< 3.67 Å, seldom 3.90 or 3.44 Å
  RingPlace gold = {};  ///< 2.355 Å
  int count = 0;        ///< fits
};

/// One way to explain it.
struct Explanation {
  enum class What { told, voltage, cs, pixel_size, super_resolution, overfocus, other } what = What::told;
  double value = 0;  ///< kV, mm or Å that is right
  double probability = 0;
};

/// What the rings tell. Let ρ = λ_true/λ_told and r = told over true pixel size. A frequency that is told as k is r k,
/// and the phase χ = πλΔf k² − ½πCsλ³k⁴ of the specimen is that of the told optics with
///
///   defocus r² ρ Δf   and   C_eff = r⁴ ρ³ Cs,
///
/// at every defocus. So rings alone, at however many defoci, give one number, C_eff: with Cs near 0 nothing at all, and
/// else no way to tell a voltage from a Cs from a pixel size but by the values that occur. The other numbers come from
/// elsewhere: defoci found against those asked of the microscope change by r² ρ (whatever their offset), the rings of
/// ice and gold lie at r d. Two of the three tell pixel size and voltage apart. A constant phase adds to all of it
/// what no k² or k⁴ can (Aberration::phase).
///
/// Explanations: as told; another usual voltage; another usual Cs; a pixel size off by up to 30 %, half of them by no
/// more than 6 %; half or twice the pixel size; overfocus (C_eff = −Cs); something else (any value). Beforehand 94 % of
/// acquisitions are as told, pixel sizes are typed wrongly in 3 %, voltages and Cs in 1 % each. Values told are allowed
/// to be off as makers and calibrations leave them: pixel size 0.5 %, Cs 0.03 mm, defocus asked 4 % in scale. Bayes'
/// rule gives the probabilities.
/// @return the most probable first; they sum to 1. A single `told` of probability 1 where nothing was measured
[[nodiscard]] std::vector<Explanation> explain(const OpticsEvidence& evidence);

/// The explanation in words: "the voltage is 300 kV, not 200 kV".
[[nodiscard]] std::string words_of(const Explanation& explanation, const OpticsEvidence& told);

/// A finding where what was told is less probable than not; none otherwise.
[[nodiscard]] std::vector<Finding> optics_findings(const OpticsEvidence& evidence,
                                                   const std::vector<Explanation>& explanations);

/// Smallest relative error of the pixel size (both directions) that this evidence would show: 3.6 standard errors of
/// what is known best. 1: none would, which Cs near 0, rings of one spectrum or no metadata bring about.
[[nodiscard]] double smallest_pixel_error(const OpticsEvidence& evidence);

/// Median of ring places that agree: at least `fewest`, their robust scatter below 1 %. Zero otherwise.
[[nodiscard]] RingPlace common_place(const std::vector<double>& places, std::size_t fewest);

/// Straight line through defoci found (with errors) against defoci asked: its slope and the mean difference.
struct AskedAgainstFound {
  Seen scale;     ///< error 0 where the defoci asked differ too little
  Seen offset_A;  ///< found minus asked, robust mean
};
/// The scatter of the microscope's own defocus (height of the holes, autofocus) is taken from the residuals.
[[nodiscard]] AskedAgainstFound compare_asked(const std::vector<double>& asked_A, const std::vector<double>& found_A,
                                              const std::vector<double>& sigma_A);

}  // namespace frazil::ctf
