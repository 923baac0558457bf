// Motion that differs over the field: one smooth displacement over place and time, fitted to all tiles together.
#pragma once

#include "frazil/algo/motion/local_prior.hpp"
#include "frazil/algo/motion/tiles.hpp"
#include "frazil/algo/motion/track.hpp"

namespace frazil::motion {

struct LocalSettings {
  SpaceKernel kernel = SpaceKernel::smooth;
  double pitch_A = 600;                ///< distance of tiles
  int most_tiles = 8;                  ///< along an axis
  Dose dose_per_group = 0.8_e_per_A2;  ///< frames with less are added up
  BandLimits limits;
  double decay_frames = 3;  ///< of the global prior
  int threads = 1;
  const Backend* backend = &cpu_backend();
};

/// Nodes of a displacement, and its value there.
struct LocalField {
  std::vector<double> x, y;                ///< binned pixels, continuous (the first pixel reaches from 0 to 1)
  std::array<Eigen::MatrixXd, 2> shift_A;  ///< (y · x nodes, x fast) × groups, deviation from the track
  Eigen::MatrixXd variance_A2;             ///< of either component, mean over time taken out
};

struct LocalFit {
  bool helps = false;         ///< components that were held out agree better along the field than along the track
  double held_out_gain = 0;   ///< log-likelihood of held-out components over that of the track alone
  double held_out_error = 0;  ///< standard error of that; `helps` wants two of them
  double log_evidence = 0;    ///< over that of no local motion
  LocalSmoothness smoothness;
  TimeGroups groups;         ///< of binned frames
  bool track_helps = false;  ///< the track below is clearly better known than the one that the fit started from
  TrackA track;              ///< Å, per group, re-estimated together with the field
  Eigen::MatrixXd covariance_x, covariance_y;  ///< of that track, posterior, Å²
  LocalField field;
  std::vector<double> tile_weight;  ///< [tile] 1: fits with its neighbours, less: does not
  int tiles_x = 0, tiles_y = 0, rounds = 0;
};

/// Fits the field to binned frames, starting from their global track.
///
/// Method: windows of the aligned frames are small bands (tiles.hpp), each with the likelihood of likelihood.hpp and a
/// spectrum of its own, drawn towards the movie's. The field is a Gaussian process (local_prior.hpp) whose strength,
/// length and memory are learned by evidence; Fisher scoring on all tiles at once, with the exact gradient and a
/// separable approximation of the Hessian, so that its end is the most probable field. The track is re-estimated from
/// the same gradients, and taken where local motion had blurred much of what the whole frames say (tiles lose some of
/// it at their edges). Tiles that disagree with the rest more than their noise explains count less. One half of the
/// components then predicts the other: `helps` tells whether the field beats the track there. No Fourier transform is
/// made after the tiles are cut.
///
/// @param binned  frames of equal size, at least two
/// @param exposure  per binned frame
[[nodiscard]] LocalFit fit_local(std::span<const Image> binned, const Exposure& exposure, double fixed_pattern,
                                 const TrackFit& global, const LocalSettings& settings);

}  // namespace frazil::motion
