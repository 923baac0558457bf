#include "frazil/algo/motion/warp_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "frazil/algo/motion/warp_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace frazil::motion::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// At most 16 lanes: what the slack allows.
using Floats = hn::CappedTag<float, 16>;
using V = hn::Vec<Floats>;

V to_float(Floats d, const std::uint8_t* in) {
  const hn::Rebind<std::uint8_t, Floats> bytes;
  const hn::RebindToSigned<Floats> words;
  return hn::ConvertTo(d, hn::PromoteTo(words, hn::LoadU(bytes, in)));
}
V to_float(Floats d, const std::uint16_t* in) {
  const hn::Rebind<std::uint16_t, Floats> halves;
  const hn::RebindToSigned<Floats> words;
  return hn::ConvertTo(d, hn::PromoteTo(words, hn::LoadU(halves, in)));
}
V to_float(Floats d, const std::int16_t* in) {
  const hn::Rebind<std::int16_t, Floats> halves;
  const hn::RebindToSigned<Floats> words;
  return hn::ConvertTo(d, hn::PromoteTo(words, hn::LoadU(halves, in)));
}
V to_float(Floats d, const float* in) { return hn::LoadU(d, in); }

/// What is left over at the end of a row is done by one more vector that overlaps the last.
template <class T>
void correct(const T* HWY_RESTRICT in, const float* HWY_RESTRICT gain, float* HWY_RESTRICT out, int n) {
  const Floats d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  if (n < lanes) {
    for (int x = 0; x < n; ++x)
      out[x] = gain == nullptr ? static_cast<float>(in[x]) : static_cast<float>(in[x]) * gain[x];
    return;
  }
  const auto at = [&](int x) {
    const auto value = to_float(d, in + x);
    hn::StoreU(gain == nullptr ? value : hn::Mul(value, hn::LoadU(d, gain + x)), d, out + x);
  };
  int x = 0;
  for (; x + lanes <= n; x += lanes) at(x);
  if (x < n) at(n - lanes);
}

/// Along x into `rows` (columns rounded up), then along y with a sliding window of rows in registers.
template <int taps>
void gather(const float* source, std::ptrdiff_t stride, int nx, int ny, const float* wx, const float* wy, float* rows,
            float* out, std::ptrdiff_t out_stride) {
  const Floats d;
  const int lanes = static_cast<int>(hn::Lanes(d)), height = ny + taps - 1;
  const std::ptrdiff_t width = (nx + warp_slack - 1) / warp_slack * warp_slack;
  V w[taps];
  for (int i = 0; i < taps; ++i) w[i] = hn::Set(d, wx[i]);
  for (int y = 0; y < height; ++y) {
    const float* HWY_RESTRICT in = source + y * stride;
    float* HWY_RESTRICT to = rows + y * width;
    for (int x = 0; x < nx; x += lanes) {
      V sum = hn::Mul(w[0], hn::LoadU(d, in + x));
      for (int i = 1; i < taps; ++i) sum = hn::MulAdd(w[i], hn::LoadU(d, in + x + i), sum);
      hn::StoreU(sum, d, to + x);
    }
  }
  for (int i = 0; i < taps; ++i) w[i] = hn::Set(d, wy[i]);
  for (int x = 0; x < nx; x += lanes) {
    V window[taps];
    for (int j = 0; j < taps - 1; ++j) window[j] = hn::LoadU(d, rows + j * width + x);
    const float* HWY_RESTRICT in = rows + (taps - 1) * width + x;
    float* HWY_RESTRICT to = out + x;
    for (int y = 0; y < ny; ++y) {
      window[taps - 1] = hn::LoadU(d, in + y * width);
      V sum = hn::Mul(w[0], window[0]);
      for (int j = 1; j < taps; ++j) sum = hn::MulAdd(w[j], window[j], sum);
      hn::StoreU(sum, d, to + y * out_stride);
      for (int j = 0; j < taps - 1; ++j) window[j] = window[j + 1];
    }
  }
}

template <int frames>
void add_frames(const float* const* values, const float* weight, int rank, float* const* sums, std::size_t n) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d), step = 16;
  for (std::size_t i = 0; i < n; i += step)
    for (std::size_t j = i; j < i + step; j += 2 * lanes) {
      const bool two = j + lanes < i + step;
      V a[frames], b[frames];
      for (int f = 0; f < frames; ++f) {
        a[f] = hn::LoadU(d, values[f] + j);
        b[f] = two ? hn::LoadU(d, values[f] + j + lanes) : a[f];
      }
      for (int r = 0; r < rank; ++r) {
        V sum_a = hn::LoadU(d, sums[r] + j), sum_b = two ? hn::LoadU(d, sums[r] + j + lanes) : sum_a;
        for (int f = 0; f < frames; ++f) {
          const V w = hn::Set(d, weight[f * rank + r]);
          sum_a = hn::MulAdd(w, a[f], sum_a);
          sum_b = hn::MulAdd(w, b[f], sum_b);
        }
        hn::StoreU(sum_a, d, sums[r] + j);
        if (two) hn::StoreU(sum_b, d, sums[r] + j + lanes);
      }
    }
}

void add(const float* const* values, int frames, const float* weight, int rank, float* const* sums, std::size_t n) {
  switch (frames) {
    case 1:
      return add_frames<1>(values, weight, rank, sums, n);
    case 2:
      return add_frames<2>(values, weight, rank, sums, n);
    case 3:
      return add_frames<3>(values, weight, rank, sums, n);
    default:
      return add_frames<4>(values, weight, rank, sums, n);
  }
}

const WarpKernels* kernels() {
  static const WarpKernels all{{correct<std::uint8_t>, correct<std::uint16_t>, correct<std::int16_t>, correct<float>},
                               gather<6>,
                               gather<4>,
                               add,
                               hwy::TargetName(HWY_TARGET)};
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
const WarpKernels& warp_kernels() { return *HWY_DYNAMIC_DISPATCH(kernels)(); }
}  // namespace frazil::motion
#endif
