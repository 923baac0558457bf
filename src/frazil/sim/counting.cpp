#include "frazil/sim/counting.hpp"

#include <cmath>

namespace frazil::sim {

const PoissonTables& PoissonTables::instance() {
  static const PoissonTables tables;
  return tables;
}

PoissonTables::PoissonTables() : tables_(static_cast<std::size_t>(limit) * cells_per_unit) {
  for (std::size_t cell = 0; cell < tables_.size(); ++cell) {
    const double mean = static_cast<double>(cell) / cells_per_unit;
    auto& table = tables_[cell];
    double sum = 0, term = std::exp(-mean);
    for (int n = 0; n < 250; ++n) {
      sum += term;
      term *= mean / (n + 1);
      const double scaled = std::round(sum * 0x1.0p32);
      if (scaled >= 0x1.0p32 - 1 || (n > mean && term < 1e-12)) break;
      table.cumulative.push_back(static_cast<std::uint32_t>(scaled));
    }
    table.cumulative.push_back(0xffffffffU);
    table.cumulative.push_back(0xffffffffU);
    std::size_t n = 0;
    for (std::size_t g = 0; g < guides; ++g) {
      while (n + 2 < table.cumulative.size() && (static_cast<std::uint64_t>(g) << 24) >= table.cumulative[n]) ++n;
      table.start[g] = static_cast<std::uint8_t>(n);
    }
  }
}

int PoissonTables::remainder(double mean, double u) {
  // Given u below the mean: count how many steps of the inverted distribution 1 − P(N ≤ n) it lies under.
  double term = std::exp(-mean), above = -std::expm1(-mean);
  int n = 0;
  while (u < above && n < 20) {
    ++n;
    term *= mean / n;
    above -= term;
  }
  return n;
}

}  // namespace frazil::sim
