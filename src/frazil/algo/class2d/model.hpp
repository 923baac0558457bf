// State of a growing 2D classification, and the maximisation step that turns sums into class averages.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "frazil/algo/class2d/match.hpp"
#include "frazil/algo/class2d/params.hpp"
#include "frazil/algo/class2d/particle_set.hpp"

namespace frazil::class2d {

/// Sizes that stay fixed while a classification grows.
struct Geometry {
  int box = 0;                ///< of the particle stacks, pixels
  Angstrom pixel_size = 1_A;  ///< of the particle stacks
  int work_box = 0;           ///< side after downsampling; the field of view is the same
  Angstrom diameter{};
  Angstrom shift_range{};
  Angstrom resolution{};
  PolarGrid grid;   ///< follows from the others
  double open = 1;  ///< share of an image that the particle mask leaves open; follows from the others

  [[nodiscard]] Angstrom work_pixel() const { return pixel_size * (static_cast<double>(box) / work_box); }
  /// Resolution of a ring.
  [[nodiscard]] Angstrom resolution_of(int ring) const { return work_pixel() * (work_box / grid.radius(ring)); }
  /// Rings that reach this resolution, at least 3.
  [[nodiscard]] int rings_to(Angstrom resolution) const;
};

/// @throws Error(bad_input) when the diameter does not fit the box
[[nodiscard]] Geometry make_geometry(int box, Angstrom pixel_size, Angstrom diameter, const Params& params);

/// Downsamples, masks, transforms and multiplies by the CTF.
[[nodiscard]] Prepared prepare(const Geometry& geometry, const Image& image, const Ctf& ctf, const Optics& optics,
                               bool phase_flipped);

/// Classes that have no average: images without signal, and images stronger than any class (heaps, ice, carbon).
enum Background : int { no_signal = 0, too_strong = 1, background_count = background_classes };

/// Weighted sums behind one class average, kept apart for even and odd particles.
struct ClassSums {
  std::array<Harmonics, 2> signal;        ///< Σ w · area/σ² · turned CTF·F
  std::array<Eigen::VectorXf, 2> weight;  ///< Σ w · area/σ² · CTF²
  std::array<double, 2> mass{};           ///< Σ w

  explicit ClassSums(const PolarGrid& grid);
  [[nodiscard]] double total() const { return mass[0] + mass[1]; }
  void scale(float factor);
  void add(const ClassSums& other);
};

/// Where a particle ended up.
struct Assignment {
  int index = -1;      ///< class, −1: not yet seen
  float turn_deg = 0;  ///< the class average is turned by this from +x towards +y; RELION's psi is its negative
  float origin_x_px = 0, origin_y_px = 0;  ///< working pixels (conventions.md, "Orientations")
  float evidence = 0;                      ///< log-likelihood ratio of its class to pure noise
  float probability = 0;                   ///< of its class
};

struct State {
  Geometry geometry;
  int version = 0;
  int background = 0;     ///< so many classes, the first ones, gather what is no particle: 0 or background_count
  int step = 0;           ///< mini-batches done
  int rings = 0;          ///< used for matching now
  Eigen::VectorXf noise;  ///< variance on each ring
  std::vector<ClassSums> sums;
  References references;
  std::vector<Eigen::VectorXf> frc;  ///< of the half sums of each class
  std::vector<Assignment> assignments;

  [[nodiscard]] int classes() const { return static_cast<int>(sums.size()); }
  [[nodiscard]] std::vector<int> counts() const;
};

/// Power of the class averages on each ring: the median over the classes, weighted by their particles.
[[nodiscard]] Eigen::VectorXf typical_power(const State& state);

/// How well a heap of matter without a fixed shape explains a particle: log-likelihood ratio to pure noise of a
/// Gaussian random image whose power is `strength` times the typical one, the best of `strength`, 4 `strength`, 16
/// `strength`. With the ring power p, noise σ² and v = σ² + CTF²·S it is Σ n (p/σ² − p/v − log(v/σ²)) over n
/// independent components; rings that see nothing but the outline of the mask are left out.
[[nodiscard]] float heap_evidence(const Geometry& geometry, const Prepared& particle, const Eigen::VectorXf& noise,
                                  const Eigen::VectorXf& typical, int rings, double strength);

/// Adds one particle with its posterior: `class_weights[i]` belongs to `matches[i]`.
void accumulate(const PolarGrid& grid, const Matcher& matcher, const Prepared& particle,
                const std::vector<ClassMatch>& matches, const std::vector<float>& class_weights, int half,
                std::vector<ClassSums>& sums);

/// New references from the sums: Wiener filter with the signal power found by comparing the half sums
/// (A = Σ CTF·F/σ² / (Σ CTF²/σ² + 1/S), Scheres 2012, doi:10.1016/j.jmb.2011.11.010, eq. 3, S from the halves),
/// circular mask, centring by mass. Fills frc and references.
void update_references(State& state, bool centre, int threads);

/// Outermost ring up to which the classes' half sums agree (mean FRC, weighted by mass, above ½ of full agreement).
[[nodiscard]] int supported_rings(const State& state);

/// Replaces classes that hold less than `least` of the mean mass by halves of the largest ones, and splits the largest
/// until there are `classes`. Returns how many were made anew.
int reseed(State& state, int classes, double least);

/// Exact copy of a state as bytes, and back. @throws Error(corrupt) naming what was expected
[[nodiscard]] std::string to_bytes(const State& state);
[[nodiscard]] State state_from_bytes(std::string_view bytes);

}  // namespace frazil::class2d
