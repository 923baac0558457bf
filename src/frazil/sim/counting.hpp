// Fast exact Poisson numbers for images whose mean varies from pixel to pixel; internal to the simulator.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "frazil/base/random.hpp"

namespace frazil::sim {

/// Poisson(λ) = Poisson(⌊16 λ⌋/16) by table look-up + Poisson(remainder), whose mean is below 1/16 and which is 0
/// unless a uniform number falls below that mean. Exact to 2⁻³². Above a mean of 32 the generator of base/ takes over.
class PoissonTables {
 public:
  /// The shared tables; made on first use.
  [[nodiscard]] static const PoissonTables& instance();
  [[nodiscard]] int operator()(double mean, Rng& rng) const {
    if (!(mean < limit)) return static_cast<int>(rng.poisson(mean));
    if (mean <= 0) return 0;
    const std::uint64_t bits = rng();
    const auto cell = static_cast<std::size_t>(mean * cells_per_unit);
    int n = from_table(
        cell, std::min(static_cast<std::uint32_t>(bits >> 32), 0xfffffffeU));  // below the last entry of every table
    const double rest = mean - static_cast<double>(cell) / cells_per_unit;
    const double u = static_cast<double>(bits & 0xffffffffU) * 0x1.0p-32;
    if (u < rest) n += remainder(rest, u);
    return n;
  }

 private:
  static constexpr int limit = 32, cells_per_unit = 16, guides = 256;
  struct Table {
    std::array<std::uint8_t, guides> start{};
    std::vector<std::uint32_t> cumulative;  ///< P(N ≤ n) · 2³²
  };
  PoissonTables();
  [[nodiscard]] int from_table(std::size_t cell, std::uint32_t bits) const {
    const auto& table = tables_[cell];
    std::size_t n = table.start[bits >> 24];
    while (bits >= table.cumulative[n]) ++n;
    return static_cast<int>(n);
  }
  [[nodiscard]] static int remainder(double mean, double u);
  std::vector<Table> tables_;
};

}  // namespace frazil::sim
