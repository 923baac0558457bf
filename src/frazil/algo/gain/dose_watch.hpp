// What the counts of a session's movies say of the beam: the dose against the declared one, jumps, frames and sizes
// that change.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "frazil/params/finding.hpp"

namespace frazil::gain {

/// One movie in the eyes of the dose watcher.
struct Exposed {
  std::string name = {};
  double counts = 0;       ///< mean of a pixel in one frame, gain applied
  double noise_ratio = 0;  ///< variance of these counts over their mean; 0: not measured
  double declared = 0;     ///< declared exposure of one frame, e⁻/Å² at the specimen; 0: unknown
  double pixel_A = 0;
  double voltage_kV = 300;
  int nx = 0, ny = 0, frames = 0;
  int raw_frames = 0;  ///< EER; 0: not EER
};

/// What is carried from batch to batch.
struct DoseState {
  int movies = 0;
  std::deque<double> counts;       ///< of the last 50 movies
  std::vector<double> levels;      ///< counts that are usual here: a session may have several
  int outside = 0;                 ///< movies so far that lie at none of them
  std::deque<std::string> odd;     ///< the last movies that lie at none of them, and that more movies will not explain
  std::deque<double> most_counts;  ///< of each batch so far, the upper tenth
  std::deque<double> most_ratios;  ///< ln(electrons seen / declared), the same
  int nx = 0, ny = 0, frames = 0;  ///< as in most of the first movies
  double raw_frames = 0;
};

/// What the camera counts.
struct DoseSummary {
  double counts = 0;       ///< median of the last 50 movies
  double spread = 0;       ///< of their logarithm, robust
  double usual_share = 0;  ///< of all movies so far at one of the levels
  bool is_sure = false;    ///< enough movies to say what is odd
  double dose = 0;         ///< e⁻/Å² of a frame behind the specimen; 0: the camera does not count electrons
  double noise_ratio = 0;  ///< median of the batch
  std::vector<Finding> findings;
};

/// How far counts may lie from what is usual without a fault: ice takes beam. Of a specimen of thickness t with an
/// energy filter or an objective aperture exp(−t/Λ) is left, Λ = 3000 to 4000 Å at 300 kV and ∝ β² (Rice et al. 2018,
/// doi:10.1016/j.jsb.2018.06.007), so that 0.6 is 1,500 Å more of ice than usual and 1.4 vacuum beside ice of 1,000 Å.
inline constexpr double least_usual = 0.6, most_usual = 1.4;
/// The same against the declared exposure: 2,000 Å of ice; a calibration that is 25 % off and no ice.
inline constexpr double least_declared = 0.5, most_declared = 1.25;

/// Electrons a pixel that fell on a camera that counts them: of n electrons within the camera's dead time a part is
/// lost, mean n(1 − ℓ), variance n(1 − ℓ)³ (Li et al. 2013, doi:10.1016/j.jsb.2013.08.005, for the K2; a counter that
/// is blind for a time after each count), so n = counts/√noise_ratio. 0 where the ratio says that a count is no
/// electron: below 0.65 or above 1.15. Such cameras integrate, or their counts were scaled; only changes can be seen.
[[nodiscard]] double electrons_of(double counts, double noise_ratio);

/// Whether counts lie at a level that is usual here, or that the declared exposure explains: that counts as long as the
/// session's levels, if there are any, show it.
[[nodiscard]] bool is_usual(const std::vector<double>& levels, const Exposed& movie);

/// Takes a batch of movies, in their order, into the state, and says what is wrong now.
///
/// Dose. x = ln(electrons seen / declared). Ice takes 3 to 27 % (100 to 800 Å) and never adds, so the movies with the
/// thinnest ice, the upper tenth, are compared: x above 0.05 or below −0.27 in every batch is a finding (kind `dose`;
/// 0.05 for the calibration of the declared value; both limits wider for few movies). So a declared dose that is too
/// low by 20 % is seen where the thinnest ice is below 400 Å, one that is too high by 20 % where it is above 270 Å, and
/// any of 35 %. Beyond a factor of 1.5 the confusions of units are tried: the dose of the movie, per pixel, per square
/// nanometre, a factor of ten, the pixel of the sensor with movies in super-resolution. Change: the upper tenth of the
/// batch more than 25 % off the median of the batches before. Unstable: a fifth of the batch, at least four movies, lie
/// more than 30 % off its median. Frames, size: more than one movie in ten and two at least differ from what the
/// session began with. EER: less than 6 or more than 400 fractions, or a declared exposure of a fraction outside 0.05
/// to 5 e⁻/Å².
[[nodiscard]] DoseSummary follow_dose(DoseState& state, const std::vector<Exposed>& batch);

}  // namespace frazil::gain
