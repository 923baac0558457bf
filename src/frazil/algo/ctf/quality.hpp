// What a solution is worth: equi-phase average, fit resolution, score, noise correlation, ice, decay of the rings.
#pragma once

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/algo/ctf/refine.hpp"

namespace frazil::ctf {

/// Equi-phase average: each pixel is moved to the radius at which the mean defocus has the pixel's χ, and averaged in
/// shells half a pixel wide (Zhang 2016, doi:10.1016/j.jsb.2015.11.003). `correlation` is Pearson's in a window that
/// holds about one ring (Rohou & Grigorieff 2015, section 2.6).
[[nodiscard]] Profile equi_phase_profile(const Rings& rings, const Waves& waves, const Solution& solution);

/// Finest resolution before the windowed correlation is lost: the thresholds of Rohou & Grigorieff 2015, and it must
/// stay lost over 4 % of the band, so that one noisy window does not end it.
[[nodiscard]] Angstrom fit_resolution(const Profile& profile, Angstrom min_resolution);

/// √(share of the variance over the background that the rings explain), 0 to 1; `alone` is the cost without rings.
[[nodiscard]] double score(double cost, double alone);

/// Factor by which neighbouring pixels' correlation (apodisation, overlap) raises the variance of anything summed over
/// many pixels: sum of the residuals' autocorrelation over lags of at most 3 pixels, at least 1.
[[nodiscard]] double noise_correlation(const Rings& rings, const Waves& waves, const Solution& solution);

/// Peak of the residuals between 3.5 and 4 Å over a straight line through both sides, relative to the background; NaN
/// when the spectrum ends before 3.6 Å.
[[nodiscard]] double iceness(const Rings& rings, const Waves& waves, const Solution& solution);

/// −2 × slope of ln(ring power) against k² from 10 Å on (from the start, when the band ends before 7 Å), each shell
/// weighted by the square of its ring power: what its logarithm is known to.
[[nodiscard]] Angstrom2 ring_decay(const Rings& rings, const Solution& solution);

/// z with P(normal > z) = p, 0 < p < 0.5, by bisection of the complementary error function.
[[nodiscard]] double normal_quantile(double p);

}  // namespace frazil::ctf
