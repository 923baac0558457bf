// Marginalises particle images over a grid of poses and shifts, exactly, as matrix products.
#pragma once

#include <Eigen/Dense>
#include <span>
#include <vector>

#include "frazil/algo/initvol/particle_set.hpp"
#include "frazil/algo/recon/projector.hpp"

namespace frazil::initvol {

/// The poses tried for every particle and, around each particle's present offset, the shifts.
struct PoseGrid {
  std::vector<recon::Matrix3> poses;
  std::vector<Eigen::Vector2d> shifts_px;
  std::vector<double> log_prior;  ///< of each shift
};

/// Directions `step` apart over the asymmetric unit, turned as a whole by a random rotation, times in-plane angles.
[[nodiscard]] std::vector<recon::Matrix3> random_pose_grid(Degrees step, const std::vector<recon::Matrix3>& symmetry,
                                                           Rng& rng);
/// Shifts on a square lattice inside a disc, with a normal prior of standard deviation `sigma_px` for each component.
void set_shifts(PoseGrid& grid, double radius_px, double step_px, double sigma_px);

/// What is asked of `expect_poses`.
struct ExpectationTask {
  std::size_t count = 0;   ///< components used: a prefix of the plane
  bool accumulate = true;  ///< gather slices and residuals
  int candidates = 0;      ///< best poses wanted for each particle
  int threads = 1;
  std::function<void()> check_cancelled = {};  ///< called for every few particles; throws to cancel
};

struct Candidate {
  std::size_t pose = 0;
  Eigen::Vector2d displacement_px = Eigen::Vector2d::Zero();  ///< offset and shift together
  double score = 0;
};

struct Expectation {
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Rows value;                    ///< poses × 2·count: Σ w·CTF·X, real parts then imaginary parts
  Rows weight;                   ///< poses × count: Σ w·CTF²
  std::vector<double> residual;  ///< each ring: mean E|X − CTF·P|² of one component
  std::vector<double>
      log_likelihood;  ///< each particle: ln of the likelihood over that of pure noise, averaged over poses
  std::vector<Eigen::Vector2d> mean_shift_px;      ///< posterior mean, relative to the offset
  std::vector<std::vector<Candidate>> candidates;  ///< best first
};

/// Posterior over the grid for the particles `members`: with slice P of the reference, shift t and noise power σ²,
/// ln w = Σⱼ (Re conj(CTF P) X₋ₜ − ½ CTF² |P|²) / σ² + prior (algorithms of Sigworth 1998, doi:10.1006/jsbi.1998.4014,
/// Scheres 2012, doi:10.1016/j.jmb.2011.11.010). Zero frequency is left out of the likelihood.
/// @param noise σ² of each ring. Same result for any number of threads.
[[nodiscard]] Expectation expect_poses(const ParticleSet& particles, std::span<const std::size_t> members,
                                       const recon::Projector& reference, const PoseGrid& grid,
                                       std::span<const double> noise, const ExpectationTask& task);

/// Inserts the slices of an expectation, divided by the noise power, under every symmetry operator.
void insert_slices(recon::BackProjector& out, const ParticleSet& particles, const PoseGrid& grid,
                   const Expectation& found, std::span<const double> noise, std::size_t count,
                   const std::vector<recon::Matrix3>& symmetry, int threads);

}  // namespace frazil::initvol
