// Sharp rings of crystalline ice in a power spectrum: matched filter over the places where ice has its first rings.
#pragma once

#include "frazil/algo/ctf/refine.hpp"
#include "frazil/model/ctf_quality.hpp"

namespace frazil::ctf {

/// What the search found, in standard errors. NaN where the spectrum ends before 3.5 Å.
struct IceRings {
  double even = 0;  ///< largest significance of a ring of even brightness or of the three together, over the scales of
                    ///< the pixel size
  double hexagonal = 0;  ///< largest significance of the rings at 3.90 and 3.44 Å at that scale
  double spots =
      0;  ///< largest significance of the excess scatter along a ring's azimuth over that of annuli beside all rings
  double limit = 0;  ///< noise alone passes this in one of `false_alarms⁻¹` spectra, any of the tests counted
  [[nodiscard]] bool seen() const { return even > limit || spots > limit; }
  [[nodiscard]] IcePhase phase() const;
};

/// Share of spectra without ice in which noise alone is taken for it.
inline constexpr double ice_false_alarms = 1e-3;

/// Hexagonal ice has its first rings at 3.90, 3.67 and 3.44 Å, cubic ice at 3.67 Å alone (Dowell & Rinfret 1960,
/// doi:10.1038/1881144a0).
///
/// Even rings: the mean of y over each shell between 4.7 and 3.1 Å is written as a cubic in k, Thon rings whose
/// amplitude is a parabola (vitreous ice scatters most in this window) and three Gaussians of the sharpest width that
/// the spectrum can show, and solved by weighted least squares. A Gaussian's height over its standard error is the
/// matched filter's output (Turin 1960, doi:10.1109/TIT.1960.1057571) for a background that is not known. The error of
/// a shell's mean is √(unit/n) of the background; where the model misses the shells by more, all errors grow in
/// proportion (Birge 1932). The pixel size may be off by up to 3 %. Broken rings: crystals of few orientations give
/// spots as wide as the ring and a few pixels long. Annuli of 0.005 1/Å are cut into wedges of two pixels; the mean
/// square of the wedges' sums within 1.5 % of a ring over that of annuli beside the rings, error from the scatter of
/// the latter's squares.
/// @param unit variance of a weighted pixel, correlation of pixels counted
[[nodiscard]] IceRings find_ice(const Rings& rings, const Waves& waves, const Solution& solution, double unit);

}  // namespace frazil::ctf
