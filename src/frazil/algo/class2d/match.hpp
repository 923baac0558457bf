// Expectation step: how well each class explains a particle, over all in-plane turns and a set of shifts at once.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "frazil/algo/class2d/polar.hpp"

namespace frazil::class2d {

/// A particle as the classification sees it: its transform on the rings, multiplied by its own CTF (so that
/// ⟨x, CTF·A⟩ = ⟨CTF·x, A⟩ is exact, astigmatism included), and ring means.
struct Prepared {
  PolarSamples samples;   ///< CTF · F, rings × half_angles
  Eigen::VectorXf ctf2;   ///< mean CTF² of each ring
  Eigen::VectorXf power;  ///< mean |F|² of each ring, over the share of the image that the mask leaves open
  float center_x_px = 0,
        center_y_px = 0;  ///< shifts are searched around this one (conventions.md, "Orientations": origin)
};

/// One point of the search.
struct Offset {
  float x_px, y_px;
};

/// Class averages ready for matching.
struct References {
  std::vector<Harmonics> harmonics;  ///< of each class
  std::vector<float> log_prior;      ///< of each class
  [[nodiscard]] int count() const { return static_cast<int>(harmonics.size()); }
};

/// One turn and shift that explains a particle. The particle is the class average turned by `angle_rad` (from +x
/// towards +y) and then moved by minus the origin.
struct Pose {
  int offset = 0;
  float angle_rad = 0;
  float weight = 0;  ///< share of the class's posterior
};

/// What one class says about one particle.
struct ClassMatch {
  int index = 0;
  float log_evidence = 0;   ///< log of the likelihood ratio to pure noise, summed over poses, prior included
  std::vector<Pose> poses;  ///< those with a noticeable share, weights adding up to 1, best first
};

/// What particles are compared with, and how.
struct Search {
  const PolarGrid& grid;  ///< must outlive the matcher; what follows need not
  const References& references;
  const Eigen::VectorXf& noise;  ///< variance of a complex Fourier component on each ring (grid.rings values)
  int rings;                     ///< only the innermost `rings` take part in the comparison
  int sum_rings;  ///< so many are summed into averages: a few more, which tell how far the averages can be trusted
  std::vector<Offset> offsets;  ///< shifts to try, around each particle's own centre
  double sigma_px;              ///< width of the Gaussian prior on the whole shift
  double heat = 1;              ///< the log-likelihood is divided by this: above 1 early in an annealed run
};

/// Everything that is the same for all particles of a mini-batch; made once, read by all threads.
class Matcher {
 public:
  explicit Matcher(const Search& search);
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;
  virtual ~Matcher() = default;

  /// For each particle the matches of all classes whose evidence lies within `margin` of the best, strongest first: the
  /// part of a classification that a device may take over (backend.hpp).
  [[nodiscard]] virtual std::vector<std::vector<ClassMatch>> match(std::span<const Prepared* const> particles,
                                                                   float margin, int threads) const;
  [[nodiscard]] const std::vector<Offset>& offsets() const { return offsets_; }
  [[nodiscard]] int angles() const { return angles_; }
  /// The summed rings.
  [[nodiscard]] int sum_rings() const { return sum_rings_; }
  /// area / noise of each summed ring.
  [[nodiscard]] const Eigen::VectorXf& weight() const { return weight_; }
  /// Samples of the summed rings, moved to the particle's own centre.
  [[nodiscard]] PolarSamples centred(const Prepared& particle) const;
  /// Weighted harmonics of such samples, moved on by an offset: what adds up to an average.
  [[nodiscard]] Harmonics moved_harmonics(const PolarSamples& centred, int offset) const;

 protected:
  static constexpr float pose_margin = 9;  ///< e^-9: below this share of the best a pose does not move an average
  /// Log of the prior of a shift, up to a constant.
  [[nodiscard]] float log_prior_of(const Offset& offset, const Prepared& particle) const;
  /// From poses with any weights that are noticeable: drops classes beyond the margin, sorts classes and poses, keeps
  /// the heaviest poses of each and makes their weights add up to 1.
  static void settle(std::vector<ClassMatch>& matches, float margin);

  const PolarGrid& grid_;
  int rings_, sum_rings_, classes_, harmonics_, angles_;
  std::vector<Offset> offsets_;
  double sigma_px_;
  float heat_;
  std::vector<float> log_prior_;

 private:
  [[nodiscard]] std::vector<ClassMatch> match_one(const Prepared& particle, float margin) const;

  Eigen::VectorXf weight_;  ///< area / noise of each summed ring
  AngularTransform transform_, sum_transform_;
  Matrix phase_re_, phase_im_;            ///< (offsets · sum_rings) × half_angles
  std::vector<Matrix> direct_, crossed_;  ///< of each harmonic: rings × 2·classes, [Re A, Im A] and [Im A, −Re A]
  Matrix turn_;                           ///< 2·harmonics × angles
  Matrix power_;                          ///< rings × classes
};

/// Plain evaluation of the log-likelihood ratio of one class, turn and shift against pure noise, sample by sample on
/// the rings: what Matcher is checked against.
[[nodiscard]] double log_likelihood_reference(const PolarGrid& grid, const Prepared& particle,
                                              const Harmonics& reference, const Eigen::VectorXf& noise, int rings,
                                              double shift_x_px, double shift_y_px, double angle_rad);
/// A matcher that evaluates that for every class, turn and shift.
[[nodiscard]] std::unique_ptr<const Matcher> make_reference_matcher(const Search& search);

}  // namespace frazil::class2d
