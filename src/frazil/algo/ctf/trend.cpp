#include "frazil/algo/ctf/trend.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/finite.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::ctf {

WeightedMean robust_mean(const std::vector<double>& values, const std::vector<double>& sigmas) {
  if (values.empty()) return {};
  const double centre = median(values);
  std::vector<double> away;
  for (std::size_t i = 0; i < values.size(); ++i) away.push_back(std::abs(values[i] - centre) / sigmas[i]);
  const double limit = 4 * std::max(1.0, sigma_over_mad * median(away));
  double n = 0, sw = 0, sww = 0, swx = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (away[i] > limit) continue;
    const double w = 1 / (sigmas[i] * sigmas[i]);
    n += 1;
    sw += w;
    sww += w * w;
    swx += w * values[i];
  }
  double q = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (away[i] <= limit) q += std::pow((values[i] - swx / sw) / sigmas[i], 2);
  const double room = sw - sww / sw, extra = room > 0 ? at_least_zero((q - (n - 1)) / room) : 0;
  double total = 0, sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (away[i] > limit) continue;
    const double w = 1 / (sigmas[i] * sigmas[i] + extra);
    total += w;
    sum += w * values[i];
  }
  return {sum / total, 1 / std::sqrt(total), std::sqrt(extra)};
}

}  // namespace frazil::ctf
