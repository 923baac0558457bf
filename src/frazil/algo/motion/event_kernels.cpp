#include "frazil/algo/motion/event_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "frazil/algo/motion/event_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace frazil::motion::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;

/// Two vectors of columns at a time stay in registers while the slabs pass.
template <int rows>
void fold(const FoldRow& f) {
  const Floats d;
  const hn::Rebind<std::uint16_t, Floats> halves;
  const hn::RebindToSigned<Floats> words;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + 2 * lanes <= f.n; i += 2 * lanes) {
    hn::Vec<Floats> a[rows], b[rows];
    for (int r = 0; r < rows; ++r) {
      a[r] = hn::LoadU(d, f.to[r] + i);
      b[r] = hn::LoadU(d, f.to[r] + i + lanes);
    }
    for (std::size_t s = 0; s < f.slabs; ++s) {
      std::uint16_t* from = f.counts + s * f.stride + i;
      const auto x = hn::ConvertTo(d, hn::PromoteTo(words, hn::LoadU(halves, from))),
                 y = hn::ConvertTo(d, hn::PromoteTo(words, hn::LoadU(halves, from + lanes)));
      if (f.clear) {
        hn::StoreU(hn::Zero(halves), halves, from);
        hn::StoreU(hn::Zero(halves), halves, from + lanes);
      }
      const float* weights = f.weights + s * f.stride_w;
      for (int r = 0; r < rows; ++r) {
        const auto w = hn::Set(d, weights[r]);
        a[r] = hn::MulAdd(w, x, a[r]);
        b[r] = hn::MulAdd(w, y, b[r]);
      }
    }
    for (int r = 0; r < rows; ++r) {
      hn::StoreU(a[r], d, f.to[r] + i);
      hn::StoreU(b[r], d, f.to[r] + i + lanes);
    }
  }
  for (; i < f.n; ++i)
    for (std::size_t s = 0; s < f.slabs; ++s) {
      std::uint16_t& count = f.counts[s * f.stride + i];
      for (int r = 0; r < rows; ++r)
        f.to[r][i] = __builtin_fmaf(f.weights[s * f.stride_w + static_cast<std::size_t>(r)], static_cast<float>(count),
                                    f.to[r][i]);
      if (f.clear) count = 0;
    }
}

void fold_row(const FoldRow& f) {
  switch (f.rows) {
    case 1:
      return fold<1>(f);
    case 2:
      return fold<2>(f);
    case 3:
      return fold<3>(f);
    case 4:
      return fold<4>(f);
    case 5:
      return fold<5>(f);
    case 6:
      return fold<6>(f);
    case 7:
      return fold<7>(f);
    default:
      return fold<8>(f);
  }
}

}  // namespace
}  // namespace frazil::motion::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace frazil::motion {
namespace {
HWY_EXPORT(fold_row);
}
void fold_row(const FoldRow& row) { HWY_DYNAMIC_DISPATCH(fold_row)(row); }

void fold_row_reference(const FoldRow& row) {
  for (std::size_t i = 0; i < row.n; ++i)
    for (std::size_t s = 0; s < row.slabs; ++s) {
      auto& count = row.counts[s * row.stride + i];
      for (int r = 0; r < row.rows; ++r)
        row.to[r][i] += row.weights[s * row.stride_w + static_cast<std::size_t>(r)] * static_cast<float>(count);
      if (row.clear) count = 0;
    }
}
}  // namespace frazil::motion
#endif
