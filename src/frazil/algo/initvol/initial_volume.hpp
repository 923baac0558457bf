// A first map from particle images alone: several stochastic gradient descents, the most likely one, projection
// matching.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "frazil/algo/initvol/particle_set.hpp"
#include "frazil/algo/recon/fsc.hpp"
#include "frazil/algo/recon/orientation.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::initvol {

/// With fewer a map would follow the noise of its particles.
inline constexpr int fewest_particles = 50;

struct InitialVolumeParams {
  std::string symmetry = "c1";
  Angstrom diameter{};  ///< of the mask; 0: 0.85 of the box
  int starts = 3;
  int iterations = 80;
  int first_batch = 200, last_batch = 400;
  Angstrom start_resolution = 25_A;
  Angstrom resolution = 20_A;        ///< reached by the descent
  Angstrom final_resolution = 10_A;  ///< limit of projection matching
  Degrees angular_step = 15_deg;
  Angstrom max_shift = 30_A;
  int passes = 4;
  int max_particles = 4000;

  static constexpr auto fields() {
    using P = InitialVolumeParams;
    return std::tuple(
        field(&P::symmetry, "symmetry", "Point group: c1, c4, d2, t, o, i…"),
        field(&P::diameter, "diameter", "Diameter of the mask around the particle; 0: 85 % of the box")
            .range(0_A, 2000_A),
        field(&P::starts, "starts", "Independent descents, of which the most likely is kept").range(1, 64),
        field(&P::iterations, "iterations", "Steps of each descent").range(5, 2000),
        field(&P::first_batch, "first_batch", "Particles of the first step").range(20, 100000).advanced(),
        field(&P::last_batch, "last_batch", "Particles of the last step").range(20, 100000).advanced(),
        field(&P::start_resolution, "start_resolution", "Finest detail used by the first step")
            .range(15_A, 200_A)
            .advanced(),
        field(&P::resolution, "resolution", "Finest detail used by the last step of the descent").range(5_A, 100_A),
        field(&P::final_resolution, "final_resolution", "Finest detail used when poses are refined").range(3_A, 100_A),
        field(&P::angular_step, "angular_step", "Between the orientations tried by the descent")
            .range(3_deg, 45_deg)
            .advanced(),
        field(&P::max_shift, "max_shift", "Largest distance of a particle from the centre of its image")
            .range(0_A, 200_A),
        field(&P::passes, "passes", "Rounds of projection matching with two halves of the particles").range(1, 20),
        field(&P::max_particles, "max_particles", "Particles used at most, drawn at random")
            .range(fewest_particles, 1000000));
  }
};

/// Where a particle was found to lie.
struct Pose {
  std::size_t particle = 0;  ///< index into the input
  recon::Matrix3 rotation = recon::Matrix3::Identity();
  Angstrom origin_x{}, origin_y{};  ///< as rlnOriginX/YAngst
  double log_likelihood = 0;        ///< over that of pure noise
  int half = 0;                     ///< 0 or 1
};

struct InitialVolume {
  Volume volume, half1, half2;  ///< box and pixel size of the particles; a projection has the scale of the images
  recon::Fsc fsc;               ///< of the halves, inside the spherical mask
  Angstrom resolution{};        ///< where it falls below 0.143
  std::vector<Pose> poses;
  std::vector<double> start_scores;  ///< mean ln likelihood ratio of held-out particles, for each start
  double score = 0;                  ///< the best of them
};

/// What the caller may want to do meanwhile; both may be empty.
struct Hooks {
  std::function<void(double fraction, std::string_view what)> progress;  ///< called between steps
  std::function<void()> check_cancelled;  ///< called from any thread, every few particles; throws to cancel
};

/// @param particles at least 50, contrast inverted, background normalised; sizes as in ParticleSet
/// @throws Error(bad_input) when images, symmetry or limits cannot be used, or a particle's image or CTF is not finite
///
/// Method: descent by mini-batches with momentum and the diagonal preconditioner Σ CTF²/σ² (Punjani 2017,
/// doi:10.1038/nmeth.4169; Kimanius 2021, doi:10.1042/BCJ20210708), poses marginalised exactly over a randomly turned
/// grid, resolution annealed; starts compared by the likelihood of particles held out. Then projection matching with
/// two independent halves. The hand is arbitrary. Cost: about 0.5 ms (D2) to 2 ms (C1) for a particle in a step on one
/// core. Same result for any number of threads.
[[nodiscard]] InitialVolume initial_volume(std::span<const ParticleImage> particles, const InitialVolumeParams& params,
                                           const Rng& rng, int threads, const Hooks& hooks = {});

}  // namespace frazil::initvol
