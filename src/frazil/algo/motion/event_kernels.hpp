// The innermost loop of the sum of electrons, in as many instruction sets as the machine may have; internal to
// event_band.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace frazil::motion {

constexpr int most_fold_rows = 8;  ///< at a time; more go in turns

/// One row of counters of several slabs: to[r][i] += Σ_slab weights[slab · stride_w + r] · counts[slab · stride + i]
/// for i < n, r < rows ≤ most_fold_rows.
/// @param clear  leave zeros in the counters
struct FoldRow {
  std::uint16_t* counts;
  std::size_t stride, slabs;
  const float* weights;
  std::size_t stride_w;
  int rows;
  float* const* to;
  std::size_t n;
  bool clear;
};

/// The fold for this machine.
void fold_row(const FoldRow& row);
void fold_row_reference(const FoldRow& row);

}  // namespace frazil::motion
