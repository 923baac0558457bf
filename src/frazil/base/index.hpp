// Counts and positions as the standard containers take them.
#pragma once

#include <cstddef>

namespace frazil {

/// `n`, which is not negative, as a size or index.
constexpr std::size_t z(int n) { return static_cast<std::size_t>(n); }

}  // namespace frazil
