// Arithmetic that keeps what is not a number, so that it is seen where the result is judged or written.
#pragma once

#include <concepts>

namespace frazil {

/// x, or 0 where x is negative; NaN stays NaN. std::max(0, x) would make a good-looking 0 of it, which every upper
/// limit accepts.
template <std::floating_point T>
[[nodiscard]] constexpr T at_least_zero(T x) {
  return x <= 0 ? T(0) : x;
}

}  // namespace frazil
