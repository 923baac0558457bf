// One stochastic gradient descent from a random start, and the likelihood of held-out particles.
#pragma once

#include "frazil/algo/initvol/expectation.hpp"
#include "frazil/algo/initvol/initial_volume.hpp"

namespace frazil::initvol {

/// What all steps of one run share.
struct Problem {
  InitialVolumeParams params;
  std::vector<recon::Matrix3> symmetry;
  int work_box = 0;  ///< side of the volumes worked on; same field of view as the images
  Angstrom work_pixel = 1_A;
  int threads = 1;
  std::function<void(double, std::string_view)> progress;
  std::function<void()> check_cancelled;

  /// Ring of a resolution, at most what the particles hold.
  [[nodiscard]] int ring_of(Angstrom resolution, const recon::Plane& plane) const;
  [[nodiscard]] Volume mask() const;
};

struct Descent {
  Volume volume;              ///< work_box³
  std::vector<double> noise;  ///< σ² of each ring
  std::vector<Eigen::Vector2d> offsets;
};

/// Mean over rings of |F|² of a volume, 0 … max_k.
[[nodiscard]] std::vector<double> shell_power(const Volume& volume, int max_k);

/// @param start null: particles back-projected at random orientations
[[nodiscard]] Descent descend(const Problem& problem, ParticleSet particles, std::span<const std::size_t> members,
                              Rng rng, const Volume* start = nullptr);

/// Mean ln likelihood ratio of the members, poses and shifts marginalised over a fixed grid.
[[nodiscard]] double held_out_score(const Problem& problem, const ParticleSet& particles,
                                    std::span<const std::size_t> members, const Volume& volume,
                                    std::span<const double> noise);

}  // namespace frazil::initvol
