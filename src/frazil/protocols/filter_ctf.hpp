// filter-ctf: accepts micrographs by their CTF, or sets them aside with the reason.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// A limit of 0 switches its rule off. Rules on what a fit does not carry (a criterion of another program's fit) are
/// passed over.
struct FilterCtfParams {
  Angstrom min_defocus = 2000_A, max_defocus = 50000_A;
  Angstrom max_astigmatism = 2000_A;
  Angstrom max_fit_resolution = 10_A;
  Angstrom max_sigma_defocus = 300_A;
  double min_score = 0;
  double max_iceness = 0.1;
  Angstrom max_agreement = 4_A;
  double max_difference = 0;
  double max_astigmatism_ratio = 0;
  Degrees min_phase_shift{}, max_phase_shift{};
  Degrees max_tilt{};
  Angstrom max_thickness = 1500_A;
  double min_visibility = 0;
  double max_strength = 0;
  Angstrom max_first_zero{};
  double max_first_zero_ratio = 0;
  Angstrom max_envelope_end{};
  double max_directional_damping = 0.5;
  Angstrom max_drift = 4_A;
  double max_overfocus = 5;
  double max_ice_spots = 0;
  bool crystalline_ice = true;
  double max_background_misfit = 0;
  double max_outliers = 0;
  double min_confidence = 0.5;
  bool aliasing = true;

  static constexpr auto fields() {
    using P = FilterCtfParams;
    return std::tuple(
        field(&P::min_defocus, "min_defocus", "Smallest mean defocus").range(0_A, 200000_A),
        field(&P::max_defocus, "max_defocus", "Largest mean defocus; 0: no limit").range(0_A, 200000_A),
        field(&P::max_astigmatism, "max_astigmatism", "Largest astigmatism U − V; 0: no limit").range(0_A, 50000_A),
        field(&P::max_fit_resolution, "max_fit_resolution",
              "Rings must agree with the model to this resolution or finer; 0: no limit")
            .range(0_A, 100_A),
        field(&P::max_sigma_defocus, "max_sigma_defocus", "Largest standard error of the defocus; 0: no limit")
            .range(0_A, 100000_A),
        field(&P::min_score, "min_score", "Smallest score; 0: no limit").range(0, 1),
        field(&P::max_iceness, "max_iceness", "Largest ice ring over its background; 0: no limit").range(0, 1000),
        field(&P::max_agreement, "max_agreement",
              "Two estimates must agree within 90 degrees to this resolution or finer; 0: no limit")
            .range(0_A, 100_A),
        field(&P::max_difference, "max_difference",
              "Largest difference of two estimates over their error bars; 0: no limit")
            .range(0, 1000)
            .advanced(),
        field(&P::max_astigmatism_ratio, "max_astigmatism_ratio", "Largest astigmatism over mean defocus; 0: no limit")
            .range(0, 10)
            .advanced(),
        field(&P::min_phase_shift, "min_phase_shift", "Smallest phase shift; 0: no limit")
            .range(0_deg, 180_deg)
            .advanced(),
        field(&P::max_phase_shift, "max_phase_shift", "Largest phase shift; 0: no limit")
            .range(0_deg, 180_deg)
            .advanced(),
        field(&P::max_tilt, "max_tilt", "Largest tilt; 0: no limit").range(0_deg, 90_deg).advanced(),
        field(&P::max_thickness, "max_thickness",
              "Thickest ice, or widest range of defocus, where nodes of the rings show it; 0: no limit")
            .range(0_A, 10000_A),
        field(&P::min_visibility, "min_visibility", "Smallest visibility of the rings; 0: no limit")
            .range(0, 10)
            .advanced(),
        field(&P::max_strength, "max_strength",
              "Largest power of the rings over the background between 12 and 7 Å, as carbon film shows it; 0: no limit")
            .range(0, 1000)
            .advanced(),
        field(&P::max_first_zero, "max_first_zero", "Coarsest first zero; 0: no limit").range(0_A, 200_A).advanced(),
        field(&P::max_first_zero_ratio, "max_first_zero_ratio", "Largest ratio of the first zeros; 0: no limit")
            .range(0, 100)
            .advanced(),
        field(&P::max_envelope_end, "max_envelope_end",
              "Rings must keep a tenth of their strength to this resolution or finer; 0: no limit")
            .range(0_A, 100_A)
            .advanced(),
        field(&P::max_directional_damping, "max_directional_damping",
              "Largest anisotropy of the rings' strength, as drift leaves it; 0: no limit")
            .range(0, 1),
        field(&P::max_drift, "max_drift", "Longest movement within the exposure that the rings show; 0: no limit")
            .range(0_A, 1000_A),
        field(&P::max_overfocus, "max_overfocus",
              "By how many standard deviations overfocus may fit better; 0: no limit")
            .range(0, 1000)
            .advanced(),
        field(&P::max_ice_spots, "max_ice_spots",
              "Brightest pixel of the ice rings over its shell, in standard deviations; 0: no limit")
            .range(0, 1e6)
            .advanced(),
        field(&P::crystalline_ice, "crystalline_ice", "Accept sharp rings of cubic or hexagonal ice"),
        field(&P::max_background_misfit, "max_background_misfit",
              "Largest misfit of the radial background; 0: no limit")
            .range(0, 1000)
            .advanced(),
        field(&P::max_outliers, "max_outliers", "Largest share of outlying pixels in the spectrum; 0: no limit")
            .range(0, 1)
            .advanced(),
        field(&P::min_confidence, "min_confidence", "Smallest probability of the chosen solution; 0: no limit")
            .range(0, 1)
            .advanced(),
        field(&P::aliasing, "aliasing",
              "Accept rings that lie too close for the spectrum's pixels before the resolution they must reach")
            .advanced());
  }
};

/// The rule that is broken most decides, or the one that is nearest to its limit. Where a rule says that the fit is not
/// to be trusted, one of these decides: what such a fit says of defocus or ice is no reason. @throws Error(bad_input)
/// when limits contradict each other
[[nodiscard]] flow::Decision judge(const FilterCtfParams& params, const CtfFit& fit);

struct FilterCtf {
  static constexpr flow::Info info{
      .name = "filter-ctf",
      .title = "CTF filter",
      .version = 4,
      .help =
          "Keep micrographs whose CTF, its error, the agreement of estimates and the criteria of the spectrum lie "
          "within limits; set the others aside with the reason."};
  using Params = FilterCtfParams;
  using Input = CtfFit;
  using Output = flow::Decision;
  Params params;

  [[nodiscard]] flow::Decision process(const CtfFit& fit, flow::Context& context) const;
};

}  // namespace frazil::protocols
