// Statistics of many fits.
#pragma once

#include <vector>

namespace frazil::ctf {

struct WeightedMean {
  double value = 0, sigma = 0;
  double scatter = 0;  ///< τ
};
/// Mean weighted by 1/(σ² + τ²), where τ² is the scatter that the σ do not explain (DerSimonian & Laird 1986,
/// doi:10.1016/0197-2456(86)90046-2), after values beyond four robust standard deviations of the median are left out.
[[nodiscard]] WeightedMean robust_mean(const std::vector<double>& values, const std::vector<double>& sigmas);

}  // namespace frazil::ctf
