// CTF fit: defocus, astigmatism and phase shift from the Thon rings of one power spectrum, with their standard errors.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "frazil/algo/ctf/power_spectrum.hpp"
#include "frazil/model/ctf_quality.hpp"
#include "frazil/model/optics.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::ctf {

struct FitParams {
  int box = 512;
  Angstrom min_resolution = 30_A;
  Angstrom max_resolution = 3_A;
  Angstrom min_defocus = 2000_A;
  Angstrom max_defocus = 60000_A;
  Angstrom max_astigmatism = 4000_A;
  Angstrom expected_astigmatism = 1500_A;
  Angstrom prior_astigmatism{};
  Degrees prior_angle{};
  bool fit_phase_shift = false;

  static constexpr auto fields() {
    using P = FitParams;
    return std::tuple(
        field(&P::box, "box", "Side of the averaged power spectrum, in pixels").range(128, 2048),
        field(&P::min_resolution, "min_resolution", "Lowest resolution used in the fit").range(10_A, 100_A),
        field(&P::max_resolution, "max_resolution", "Highest resolution used in the fit; Nyquist limits it")
            .range(1.5_A, 20_A),
        field(&P::min_defocus, "min_defocus", "Lowest mean defocus looked for").range(500_A, 200000_A),
        field(&P::max_defocus, "max_defocus", "Highest mean defocus looked for").range(1000_A, 200000_A),
        field(&P::max_astigmatism, "max_astigmatism", "Largest astigmatism looked for").range(0_A, 20000_A).advanced(),
        field(&P::expected_astigmatism, "expected_astigmatism",
              "Standard deviation of the prior of each astigmatism component about prior_astigmatism; 0: no prior")
            .range(0_A, 20000_A)
            .advanced(),
        field(&P::prior_astigmatism, "prior_astigmatism",
              "Astigmatism that the session's other micrographs show (monitor-ctf)")
            .range(0_A, 20000_A)
            .advanced(),
        field(&P::prior_angle, "prior_angle", "Its angle").range(-360_deg, 360_deg).advanced(),
        field(&P::fit_phase_shift, "fit_phase_shift", "Also fit a phase plate's shift").advanced());
  }
};

/// C and S of the prior's centre, in Å.
[[nodiscard]] std::pair<double, double> prior_vector(const FitParams& params);

/// Every contradiction between the parameters, one sentence each; empty when there is none.
[[nodiscard]] std::vector<std::string> problems_of(const FitParams& params);

/// Radial curves of a fit, equal lengths. Values are relative to the smooth background of the spectrum.
struct Profile {
  std::vector<double> k_per_A;
  std::vector<double> measured;     ///< equi-phase average minus background
  std::vector<double> model;        ///< fitted rings: envelope × (−cos 2χ)
  std::vector<double> correlation;  ///< of the two in a sliding window
};

/// Another defocus that explains the spectrum, and how likely it is beside the best one.
struct Alternative {
  Angstrom defocus{};
  double probability = 0;
};

struct Fit {
  Ctf ctf;                       ///< b_factor is zero here: the decay of the rings is `b_factor` below
  Angstrom sigma_defocus{};      ///< standard error of the mean defocus, ambiguity between alternatives included
  Angstrom sigma_astigmatism{};  ///< of each of the two components (U − V) cos 2α and (U − V) sin 2α
  Degrees sigma_phase{};         ///< zero when not fitted
  Angstrom fit_resolution{};     ///< finest resolution where rings and model agree; min_resolution when nowhere
  double score = 0;              ///< correlation of rings and model over all pixels of the fit band, 0 to 1
  double iceness = 0;    ///< peak at 3.5–4 Å over its surroundings, relative to the background; NaN beyond Nyquist
  Angstrom2 b_factor{};  ///< decay of the rings
  Angstrom thickness{}, sigma_thickness{};  ///< of the ice, from nodes of the rings; 0: no node seen
  CtfQuality quality;
  Profile profile;
  std::vector<Alternative> alternatives;  ///< the chosen one first; what is missing to 1 is the chance of no rings
};

/// Fits the rings of one spectrum.
///
/// @param power   zero frequency in the middle, any positive scale
/// @param optics  voltage, Cs and amplitude contrast; taken as given, not refined
/// @return        the best model and how far to trust it; no rings means a low `score` and a large error, not an error
/// @throws Error(bad_input) if the limits contradict each other or lie beyond Nyquist
///
/// Method: matched filter over all defoci in sectors (search.hpp), least squares on all pixels with spline background
/// and envelope eliminated (refine.hpp); equi-phase average and fit resolution after Rohou & Grigorieff 2015,
/// doi:10.1016/j.jsb.2015.08.008. Conventions: "CTF sign" and "Astigmatism".
[[nodiscard]] Fit fit(const PowerSpectrum& power, const Optics& optics, const FitParams& params = {});

/// The second estimator: maximum likelihood of a full model of the spectrum, started from its sectors one by one
/// (model_fit.hpp). It shares no search with `fit`; what a result is worth is measured in the same way. With `prior`
/// only the neighbourhood of that CTF is looked at.
/// @throws Error(bad_input) as fit
[[nodiscard]] Fit fit_model(const PowerSpectrum& power, const Optics& optics, const FitParams& params = {},
                            const std::optional<Ctf>& prior = std::nullopt);

struct Assessment {
  double score = 0;           ///< as Fit::score, at the given CTF
  Angstrom fit_resolution{};  ///< as Fit::fit_resolution, at the given CTF
  bool accepted = false;
  std::string reason;    ///< one sentence for people
  double z = 0;          ///< ring strength in standard deviations above that at wrong defoci
  double z_limit = 0;    ///< what it must exceed at the chosen level of significance
  Angstrom agreement{};  ///< finest resolution at which the phases of given and best CTF agree within 90 degrees
  Ctf best;              ///< what the fit finds itself
};

/// Tests whether a given CTF describes the rings of a spectrum: stronger rings than at wrong defoci (whose strengths
/// give the distribution by chance), and no other CTF that explains them significantly better.
/// @param significance  chance of accepting a CTF that has nothing to do with the spectrum
/// @throws Error(bad_input) as fit
[[nodiscard]] Assessment assess(const PowerSpectrum& power, const Optics& optics, const Ctf& given,
                                const FitParams& params = {}, double significance = 1e-3);

/// Measured spectrum over its background (right half) beside the fitted rings (left half), the same grey scale:
/// −1 … 1 are the limits for drawing. box × box.
[[nodiscard]] Image ring_picture(const PowerSpectrum& power, const Optics& optics, const Ctf& ctf,
                                 const FitParams& params = {});

}  // namespace frazil::ctf
