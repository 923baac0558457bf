// Least-squares fit of defocus, astigmatism and phase to all pixels, background and envelope solved along.
#pragma once

#include <Eigen/Dense>

#include "frazil/algo/ctf/rings.hpp"

namespace frazil::ctf {

/// y = b(k) − e(k) f(k) c(k) cos 2χ (f: Rings::fade, c: Rings::contrast) with the best b and e ≥ 0 for one shape.
struct Solution {
  Shape shape;
  Eigen::VectorXd background, envelope;  ///< spline coefficients
  double cost = 0;                       ///< Σ w (y − model)² over the fit band, plus the prior's share
  double pixels = 0;                     ///< terms of that sum
  Eigen::Matrix4d covariance =
      Eigen::Matrix4d::Zero();  ///< of (defocus, C, S, phase) for noise of variance 1 per pixel; see fit.cpp
  bool has_rings = false;       ///< some envelope coefficient is positive
};

/// Best background and envelope at a given shape, nothing moved.
[[nodiscard]] Solution solve_at(const Rings& rings, const Waves& waves, const Shape& shape);

struct RefineOptions {
  bool fit_phase = false;
  double astigmatism_weight = 0;  ///< prior: adds this × ((C − prior_c)² + (S − prior_s)²) to the cost
  double prior_c = 0, prior_s = 0;
};

/// Background alone: no rings.
[[nodiscard]] Solution solve_without_rings(const Rings& rings);

/// Levenberg–Marquardt with exact derivatives from `start`. Linear parameters are eliminated at each step (variable
/// projection, Golub & Pereyra 1973, doi:10.1137/0710036). Fills `covariance`.
[[nodiscard]] Solution refine(const Rings& rings, const Waves& waves, const Shape& start, const RefineOptions& options);

/// The band as far as rings are seen: it ends a tenth beyond the frequency from which on they explain more than noise
/// would, by 18 units besides one for each knot of the envelope: 2 ln(100/1 %), for a hundred shapes that the inner
/// rings leave open and one spectrum in a hundred by chance. Farther out a free envelope fits noise, whose phases pull
/// with the weight of k⁴, and the normal matrix counts it as rings. Of 12, 18 and 25, tried on `ctf_bench specimens`,
/// 18 keeps the sharper fits; 25 makes weak ones wider still.
[[nodiscard]] Rings seen_part(const Rings& rings, const Waves& waves, const Solution& solution, double unit);

/// How the shape answers to residuals at a solution, linear parameters following.
struct Sensitivity {
  Eigen::MatrixXd full;     ///< normal matrix of background, envelope and shape
  Eigen::MatrixXd follow;   ///< linear parameters × shape: what of each linear column a shape's column holds
  Eigen::MatrixXd inverse;  ///< of the shape's normal matrix, prior included
};
[[nodiscard]] Sensitivity sensitivity(const Rings& rings, const Waves& waves, const Solution& solution,
                                      const RefineOptions& options);

/// The best fit with a defocus of the other sign. χ of overfocus bends the other way: −πλ|Δf|u − ½πCsλ³u² has the rings
/// of πλ|Δf|u + ½πCsλ³u², which starts at the defocus that hides the difference best.
[[nodiscard]] Solution refine_overfocus(const Rings& rings, const Waves& waves, const Solution& solution);

/// What the rings show beyond the shape that was fitted with the optics given: another spherical aberration (a wrong
/// voltage or pixel size shows as one: it enters χ with other powers of k than the defocus), or a constant phase.
struct Aberration {
  struct {
    double mm = 0, sigma_mm = 0;  ///< Cs seen minus given, a phase of ± 0.1 rad free beside it; error 0: not measured
    double defocus_A_per_mm = 0;  ///< what the mean defocus follows by when Cs alone is changed
  } cs;
  struct {
    double rad = 0, sigma_rad = 0;  ///< phase seen minus given, Cs as given; −π/2 … π/2
    double over_cs = 0;             ///< how much better that explains the rings than another Cs: χ², negative: worse
  } phase;
  Waves waves;        ///< with the Cs seen
  Solution solution;  ///< that goes with them
};
/// One Gauss–Newton step where it is small, else least squares from there. Overfocused rings are those of a negative
/// Cs.
/// @param over  the best fit with a defocus of the other sign
[[nodiscard]] Aberration find_aberration(const Rings& rings, const Waves& waves, const Solution& solution,
                                         const Solution& over, double unit);

/// Ice thickness t from nodes of the rings: scatterers at all heights of the ice give −e(k) sinc(λ k² t) cos 2χ, whose
/// sign changes at k² = 1/(λ t) (McMullan et al. 2015, doi:10.1016/j.ultramic.2015.02.002; Elferich et al. 2024,
/// doi:10.7554/eLife.97227).
struct Thickness {
  double t_A = 0, sigma_A = 0;  ///< 0: no node seen
};
/// Thickness is searched on a grid from 300 Å to 4000 Å whose nodes lie in the fit band, background, envelope and its
/// decay (set_fade) solved along at the shape of the solution. A node counts when it explains the spectrum better than
/// none by 25 squared standard deviations of the noise `unit`: less than one in a hundred thousand searches by chance.
/// Rings that come back inverted must explain it so much better than rings that end at the node, too, what the shells
/// miss of the model counted as noise: an envelope that falls faster than its spline can follow is no node.
[[nodiscard]] Thickness find_thickness(const Rings& rings, const Waves& waves, const Solution& solution, double unit);
/// Lets the model's rings fade and come back as ice of thickness `t_A` makes them.
void set_thickness(Rings& rings, const Waves& waves, double t_A);

/// Weighted sums over the pixels of one bin: of 1, of the rings q = −c(k) cos 2χ (damped as one likes), of their
/// products and of the data.
struct RingSums {
  double one = 0, q = 0, qq = 0, y = 0, qy = 0, yy = 0;

  /// One pixel of weight w.
  void add(double w, double ring, double value) {
    one += w;
    q += w * ring;
    qq += w * ring * ring;
    y += w * value;
    qy += w * ring * value;
    yy += w * value * value;
  }
};
/// The best background and envelope ≥ 0 for Σ w (y − b − e q)² over all bins. `shape` stays empty.
[[nodiscard]] Solution solve_sums(const Rings& rings, const std::vector<RingSums>& sums);

/// Gives every pixel the weight 1 / (b − e cos 2χ)²: the variance of a mean of periodograms goes with the square of its
/// expectation.
void weigh(Rings& rings, const Waves& waves, const Solution& solution);

/// Lets the rings fall as exp(−B k²/2), B from 0 to 1,000 Å² as it explains the spectrum best at the shape of the
/// solution, or leaves them to the spline alone where that does. Rings that die within one interval of the spline would
/// else be followed badly, and drag phases and nodes with them.
void set_fade(Rings& rings, const Waves& waves, const Solution& solution);

/// Value of b and of e of a solution in one bin; `level_at`: times fade and contrast, beyond a node negative.
struct Level {
  double background = 0, envelope = 0;
};
[[nodiscard]] Level bare_level(const Rings& rings, const Solution& solution, std::size_t bin);
[[nodiscard]] Level level_at(const Rings& rings, const Solution& solution, std::size_t bin);

}  // namespace frazil::ctf
