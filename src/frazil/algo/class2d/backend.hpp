// The part of 2D classification that a device may take over: the expectation step.
#pragma once

#include <memory>

#include "frazil/algo/class2d/match.hpp"

namespace frazil::class2d {

/// What computes. The same input gives the same bits, on any number of threads and at any time; what another backend
/// gives may differ by rounding.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;
  /// Brings the class averages to where particles are matched with them. A device derives its own from Matcher and
  /// gives `match` anew; what sums particles into averages stays.
  [[nodiscard]] virtual std::unique_ptr<const Matcher> matcher(const Search& search) const = 0;
};

/// This program's own code.
[[nodiscard]] const Backend& cpu_backend();
/// The plain likelihood of every class, turn and shift, in double precision.
[[nodiscard]] const Backend& reference_backend();

}  // namespace frazil::class2d
