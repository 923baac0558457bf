// Criteria of a micrograph's power spectrum and its CTF fit, each a number that can be a limit.
#pragma once

#include "frazil/params/fields.hpp"

namespace frazil {

/// How sharp rings of frozen water show.
enum class IcePhase { vitreous, cubic, hexagonal };
constexpr auto names_of(IcePhase) { return std::array{"vitreous", "cubic", "hexagonal"}; }

/// Definitions and sources beside their formulas in algo/ctf/criteria.cpp. 0 where a spectrum cannot tell.
struct CtfQuality {
  double visibility = 0;         ///< Michelson contrast of the rings, e/b, mean from the band's start to 8 Å
  double strength = 0;           ///< rings' power over that between them from 12 to 7 Å, their decay taken off
  double astigmatism_ratio = 0;  ///< (U − V) over the mean defocus
  Angstrom first_zero{};         ///< mean over azimuth
  double first_zero_ratio = 1;   ///< largest over smallest
  Angstrom aliasing{};  ///< rings finer than this lie closer than two pixels of the spectrum from maximum to minimum
  Angstrom envelope_end{};         ///< rings' amplitude falls below a tenth of its largest value
  double directional_damping = 0;  ///< two-fold anisotropy of the rings' strength, 0 to 1
  double sigma_directional = 0;    ///< its standard error
  Angstrom drift{};                ///< movement within the exposure that the rings show: power × sinc²(k · d)
  Angstrom sigma_drift{};          ///< its standard error; 0: not measured
  IcePhase ice_phase = IcePhase::vitreous;
  double ice_spots = 0;             ///< brightest pixel of the ice rings, in robust standard deviations of its shell
  Angstrom ice_position{};          ///< of the diffuse or sharp ring near 3.7 Å; 0: none seen
  Angstrom sigma_ice_position{};    ///< its standard error
  Angstrom gold_position{};         ///< of the ring of gold near 2.355 Å; 0: none seen
  Angstrom sigma_gold_position{};   ///< its standard error
  double background_misfit = 0;     ///< RMS of the radial residual over its standard error
  double outliers = 0;              ///< share of pixels beyond six robust standard deviations of their shell
  Millimetre cs_deviation{};        ///< spherical aberration that the rings show minus the one given
  Millimetre sigma_cs{};            ///< its standard error; 0: not measured
  Degrees phase_deviation{};        ///< constant phase that the rings show minus the one fitted or given, Cs as given
  Degrees sigma_phase_deviation{};  ///< its standard error; 0: not measured
  double phase_over_cs = 0;         ///< how much better that explains the rings than cs_deviation does: χ²
  double defocus_per_cs = 0;        ///< Å of mean defocus that a millimetre more of spherical aberration asks for
  double overfocus =
      0;  ///< how much better a defocus of the other sign fits, standard deviations of the noise; negative: worse
  Angstrom astigmatism_pull{};  ///< how far the prior moved the astigmatism's vector
  Millimetre cs_pull{};         ///< how far the acquisition moved the spherical aberration that the CTF goes with
  double confidence = 0;        ///< probability of the chosen solution beside the others and beside "no rings"

  static constexpr auto fields() {
    using P = CtfQuality;
    return std::tuple(
        field(&P::visibility, "visibility", "Michelson contrast of the rings").star("frazilCtfVisibility"),
        field(&P::strength, "strength", "Rings' power over that between them, 12 to 7 A, decay taken off")
            .star("frazilCtfRingStrength"),
        field(&P::astigmatism_ratio, "astigmatism_ratio", "Astigmatism over mean defocus")
            .star("frazilCtfAstigmatismRatio"),
        field(&P::first_zero, "first_zero", "First zero, mean over azimuth").star("frazilCtfFirstZero"),
        field(&P::first_zero_ratio, "first_zero_ratio", "First zero, largest over smallest")
            .star("frazilCtfFirstZeroRatio"),
        field(&P::aliasing, "aliasing", "Finer rings cannot be told apart in this spectrum").star("frazilCtfAliasing"),
        field(&P::envelope_end, "envelope_end", "Rings fall below a tenth").star("frazilCtfEnvelopeEnd"),
        field(&P::directional_damping, "directional_damping", "Two-fold anisotropy of the rings' strength")
            .star("frazilCtfDirectionalDamping"),
        field(&P::sigma_directional, "sigma_directional", "Its standard error"),
        field(&P::drift, "drift", "Movement within the exposure that the rings show").star("frazilCtfDrift"),
        field(&P::sigma_drift, "sigma_drift", "Its standard error").star("frazilCtfSigmaDrift"),
        field(&P::ice_phase, "ice_phase", "Sharp rings of ice").star("frazilCtfIcePhase"),
        field(&P::ice_spots, "ice_spots", "Brightest pixel of the ice rings, standard deviations above its shell")
            .star("frazilCtfIceSpots"),
        field(&P::ice_position, "ice_position", "Place of the ice ring; 0: none seen").star("frazilCtfIcePosition"),
        field(&P::sigma_ice_position, "sigma_ice_position", "Its standard error"),
        field(&P::gold_position, "gold_position", "Place of the ring of gold; 0: none seen")
            .star("frazilCtfGoldPosition"),
        field(&P::sigma_gold_position, "sigma_gold_position", "Its standard error"),
        field(&P::background_misfit, "background_misfit", "RMS radial residual over its error")
            .star("frazilCtfBackgroundMisfit"),
        field(&P::outliers, "outliers", "Share of pixels far above their shell").star("frazilCtfOutliers"),
        field(&P::cs_deviation, "cs_deviation", "Spherical aberration seen minus given").star("frazilCtfCsDeviation"),
        field(&P::sigma_cs, "sigma_cs", "Its standard error").star("frazilCtfSigmaCs"),
        field(&P::phase_deviation, "phase_deviation", "Constant phase seen minus given, Cs as given")
            .star("frazilCtfPhaseDeviation"),
        field(&P::sigma_phase_deviation, "sigma_phase_deviation", "Its standard error")
            .star("frazilCtfSigmaPhaseDeviation"),
        field(&P::phase_over_cs, "phase_over_cs",
              "How much better that explains the rings than another Cs does: chi^2"),
        field(&P::defocus_per_cs, "defocus_per_cs",
              "Defocus (A) that a millimetre more of spherical aberration asks for"),
        field(&P::overfocus, "overfocus",
              "How much better a defocus of the other sign fits, standard deviations; negative: worse")
            .star("frazilCtfOverfocus"),
        field(&P::astigmatism_pull, "astigmatism_pull", "How far the prior moved the astigmatism")
            .star("frazilCtfAstigmatismPull"),
        field(&P::cs_pull, "cs_pull", "How far the acquisition moved the spherical aberration").star("frazilCtfCsPull"),
        field(&P::confidence, "confidence", "Probability of the chosen solution").star("frazilCtfConfidence"));
  }
};

}  // namespace frazil
