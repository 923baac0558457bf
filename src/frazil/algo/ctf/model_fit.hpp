// The second estimator: a full model of the power spectrum, background and envelope included, by maximum likelihood.
#pragma once

#include <optional>

#include "frazil/algo/ctf/rings.hpp"
#include "frazil/algo/ctf/sectors.hpp"

namespace frazil::ctf {

/// P(k, α) = exp b(k) + ½ exp e(k) (1 − D cos 2χ): b and e are splines, positive by construction, D what the finite
/// size of a cell leaves of the rings. Cells are Gamma-distributed about P.
struct SpectrumModel {
  Shape shape;
  Eigen::VectorXd background, envelope;                  ///< spline coefficients of the logarithms
  double log_likelihood = 0;                             ///< above that of the background alone
  double penalty = 0;                                    ///< prior's part of the cost, in the same units
  Eigen::Matrix4d covariance = Eigen::Matrix4d::Zero();  ///< of (defocus, C, S, phase)
};

struct ModelResult {
  std::vector<SpectrumModel> models;  ///< distinct maxima, the likeliest first; never empty
  std::vector<double> probability;    ///< of each beside the others and beside "no rings"
  double range = 1;                   ///< Å of defocus that were possible
};

/// Fits the model from the sectors' own guesses (model_start.hpp), or from `prior` alone when one is given (sequential
/// mode): then only the neighbourhood of that estimate is searched.
///
/// Whittle likelihood (Whittle 1953) by Fisher scoring with exact derivatives; cells that no model explains are
/// weighted down. The number of independent values behind a cell is taken from the scatter about the best model. Model
/// after Velázquez-Muriel et al. 2003, doi:10.1016/S0304-3991(02)00404-8.
[[nodiscard]] ModelResult fit_spectrum_model(const PowerSpectrum& power, const Waves& waves, const FitParams& params,
                                             const std::optional<Shape>& prior = std::nullopt);

}  // namespace frazil::ctf
