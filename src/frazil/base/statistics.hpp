// Values by rank: medians, quantiles, and spreads that a few outliers do not touch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace frazil {

/// A standard deviation of Gaussian values over their median distance from the median: 1 / Φ⁻¹(3/4).
inline constexpr double sigma_over_mad = 1.4826;

/// The value of this rank (0: the least); reorders them. @param values  more than `rank`
template <class T>
T of_rank(std::span<T> values, std::size_t rank) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

/// The upper one of the two in the middle; reorders them. @param values  at least one
template <class T>
T middle_of(std::span<T> values) {
  return of_rank(values, values.size() / 2);
}

/// The upper one of the two in the middle; 0 for none.
template <class T>
double median(std::vector<T> values) {
  return values.empty() ? 0.0 : static_cast<double>(middle_of(std::span(values)));
}

/// The value that this fraction of the others does not exceed; reorders them. @param values  at least one
template <class T>
double at_fraction(std::vector<T>& values, double fraction) {
  return static_cast<double>(
      of_rank(std::span(values), static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1))));
}

/// Median and half the distance between the 15.87 % and 84.13 % quantiles, or the distance of the lower one from the
/// median (`lower`): standard deviations of Gaussian values that outliers on both sides, or above, do not touch.
struct RobustSpread {
  double median = 0, lower = 0, both = 0;
};
template <class T>
RobustSpread robust_spread(std::vector<T> values) {
  if (values.empty()) return {};
  const double low = at_fraction(values, 0.1587), middle = at_fraction(values, 0.5), high = at_fraction(values, 0.8413);
  return {middle, middle - low, 0.5 * (high - low)};
}

}  // namespace frazil
