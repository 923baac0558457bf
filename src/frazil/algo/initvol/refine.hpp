// Projection matching with two independent halves: sharper poses, half maps and their FSC.
#pragma once

#include "frazil/algo/initvol/descent.hpp"

namespace frazil::initvol {

/// Poses of one particle on a continuous scale.
struct Match {
  recon::Matrix3 rotation = recon::Matrix3::Identity();
  Eigen::Vector2d displacement_px = Eigen::Vector2d::Zero();
  double score = 0;  ///< ln likelihood over that of pure noise, at the resolution of the last pass
};

struct Refined {
  Volume volume, half1, half2;  ///< work_box³; volume is the mean of the halves, weighted by their FSC
  recon::Fsc fsc;               ///< of the halves, both masked by the sphere
  std::vector<Match> matches;   ///< one for each particle
  std::vector<int> half;        ///< 0 or 1 for each particle
};

/// Starts both halves from `start` low-passed to `start_resolution` of the descent and, pass by pass, uses what the
/// FSC of the halves supports, at most `final_resolution`.
[[nodiscard]] Refined refine(const Problem& problem, const ParticleSet& particles, const Volume& start,
                             std::vector<double> noise, Rng rng);

}  // namespace frazil::initvol
