// Counts and positions as the standard containers take them.
#pragma once

#include <cstddef>

namespace frazil {

/// `n`, which is not negative, as a size or index.
constexpr std::size_t z(int n) { return static_cast<std::size_t>(n); }

/// An index mirrored into [0, n): … 1 0 | 0 1 … n−1 | n−1 n−2 …
constexpr int mirrored(int i, int n) {
  if (i >= 0 && i < n) return i;
  const int period = 2 * n;
  i = ((i % period) + period) % period;
  return i < n ? i : period - 1 - i;
}

}  // namespace frazil
