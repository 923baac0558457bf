// What the fitted shape is known to: noise in the envelope, the specimen's speckle and its own structure included.
#pragma once

#include <Eigen/Dense>

#include "frazil/algo/ctf/refine.hpp"

namespace frazil::ctf {

/// Covariance of (defocus, C, S, phase) at a solution, Å and rad, and what it was made of.
struct ShapeErrors {
  Eigen::Matrix4d covariance = Eigen::Matrix4d::Zero();
  double information =
      1;               ///< share of the normal matrix's curvature in defocus that is no noise of the envelope, 0 to 1
  double speckle = 1;  ///< variance of sums over the rings, over what pixels and their near neighbours promise; ≥ 1
  double structure =
      0;  ///< relative standard deviation of the specimen's radial structure about the smooth envelope, at 20 Å
  double length_per_A = 0;  ///< its correlation length in k
};

/// The error of the shape is N⁻¹ Σ w g r: r residuals, g the shape's columns less what background and envelope take up.
/// Three things make it larger than unit × N⁻¹, N = Σ w g gᵀ:
/// - g holds the fitted envelope ê = e + noise. Σ w ê² counts the envelope's variance as rings: N is too large by
///   Σ var(ê) w d dᵀ where the rings are weak, and the score's answer to a wrong shape is Σ w ê e d dᵀ, not N. The
///   covariance is A⁻¹ (unit N) A⁻¹, A = N − Σ var(ê) w d dᵀ (errors in variables, Fuller 1987, section 1.1).
/// - |F|² of a compact particle of diameter D is speckle whose grains are 1/D wide, over many pixels of the spectrum;
///   N particles average N of them. The variance of Σ w g r is measured where the model has no freedom: the same sum
///   times exp(imα), m = 4 to 12, has the same variance for any noise that is local, summed over shells up to 0.02 1/Å
///   apart (covariance by lags: Newey & West 1987, doi:10.2307/1913610).
/// - the mean |F|² over all orientations is no smooth function of k either: S(k) (1 + δ(k)) with a Gaussian process δ,
///   the same all around, multiplies rings and the specimen's part of the background. Its variance and correlation
///   length come from the shells' residuals by maximum likelihood.
/// @param unit  variance that 1 in N⁻¹ stands for
[[nodiscard]] ShapeErrors shape_errors(const Rings& rings, const Waves& waves, const Solution& solution,
                                       const RefineOptions& options, double unit);

/// Probability that a defocus errs by less than 300 Å, which turns χ by 66° at 4 Å, 300 kV, when its standard error is
/// known from a few rings: Student's distribution of four freedoms. Not a number when the standard error is none.
[[nodiscard]] double useful_probability(Angstrom sigma_defocus);

}  // namespace frazil::ctf
