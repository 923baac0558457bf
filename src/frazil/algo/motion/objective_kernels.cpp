#include "frazil/algo/motion/objective_kernels.hpp"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "frazil/algo/motion/objective_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace frazil::motion::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t lanes = 16;
using Floats = hn::CappedTag<float, lanes>;

template <bool keep>
void turn_block(const ObjectiveBlock& block, float* HWY_RESTRICT turned, float* HWY_RESTRICT sum) {
  const Floats d;
  for (std::size_t j = 0; j < lanes; j += hn::Lanes(d)) {
    auto sum_re = hn::Zero(d), sum_im = hn::Zero(d);
    const float* HWY_RESTRICT f = block.components + j;
    const float* HWY_RESTRICT x = block.along_x + j;
    const float* HWY_RESTRICT y = block.along_y;
    for (int t = 0; t < block.frames; ++t, f += 2 * lanes, x += 2 * lanes, y += 2) {
      const auto x_re = hn::LoadU(d, x), x_im = hn::LoadU(d, x + lanes), y_re = hn::Set(d, y[0]),
                 y_im = hn::Set(d, y[1]);
      const auto e_re = hn::NegMulAdd(x_im, y_im, hn::Mul(x_re, y_re)),
                 e_im = hn::MulAdd(x_re, y_im, hn::Mul(x_im, y_re));
      const auto f_re = hn::LoadU(d, f), f_im = hn::LoadU(d, f + lanes);
      const auto re = hn::NegMulAdd(f_im, e_im, hn::Mul(f_re, e_re)), im = hn::MulAdd(f_re, e_im, hn::Mul(f_im, e_re));
      sum_re = hn::Add(sum_re, re);
      sum_im = hn::Add(sum_im, im);
      if constexpr (keep) {
        float* HWY_RESTRICT to = turned + static_cast<std::size_t>(t) * 2 * lanes + j;
        hn::StoreU(re, d, to);
        hn::StoreU(im, d, to + lanes);
      }
    }
    hn::StoreU(sum_re, d, sum + j);
    hn::StoreU(sum_im, d, sum + j + lanes);
  }
}

void sum_block(const ObjectiveBlock& block, float* sum) { turn_block<false>(block, nullptr, sum); }

void slope(const float* turned, const float* sum, float first_kx, float ky, int frames, float* totals) {
  const Floats d;
  const auto along_y = hn::Set(d, ky);
  for (std::size_t j = 0; j < lanes; j += hn::Lanes(d)) {
    const auto s_re = hn::LoadU(d, sum + j), s_im = hn::LoadU(d, sum + j + lanes),
               along_x = hn::Iota(d, first_kx + static_cast<float>(j));
    const float* HWY_RESTRICT f = turned + j;
    float* HWY_RESTRICT to = totals + j;
    for (int t = 0; t < frames; ++t, f += 2 * lanes, to += 3 * lanes) {
      const auto re = hn::LoadU(d, f), im = hn::LoadU(d, f + lanes);
      const auto v = hn::NegMulAdd(s_im, re, hn::Mul(s_re, im));
      hn::StoreU(hn::MulAdd(v, along_x, hn::LoadU(d, to)), d, to);
      hn::StoreU(hn::MulAdd(v, along_y, hn::LoadU(d, to + lanes)), d, to + lanes);
      const auto u = hn::MulAdd(s_im, im, hn::Mul(s_re, re));
      hn::StoreU(hn::Add(u, hn::LoadU(d, to + 2 * lanes)), d, to + 2 * lanes);
    }
  }
}

const ObjectiveKernels* kernels() {
  static const ObjectiveKernels all{sum_block, turn_block<true>, slope, hwy::TargetName(HWY_TARGET)};
  return &all;
}

}  // namespace
}  // namespace frazil::motion::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace frazil::motion {
namespace {
HWY_EXPORT(kernels);
}
const ObjectiveKernels& objective_kernels() { return *HWY_DYNAMIC_DISPATCH(kernels)(); }
}  // namespace frazil::motion
#endif
