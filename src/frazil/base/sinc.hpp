// sin x / x.
#pragma once

#include <cmath>

namespace frazil {

/// sin x / x, 1 at 0. Below a millionth it is 1 to within 2e-13.
inline double sinc(double x) { return std::abs(x) < 1e-6 ? 1 : std::sin(x) / x; }

}  // namespace frazil
