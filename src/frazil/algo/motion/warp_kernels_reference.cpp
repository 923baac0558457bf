// The plain versions of the warp's inner loops.
#include <cmath>

#include "frazil/algo/motion/warp_kernels.hpp"

namespace frazil::motion {
namespace {

template <class T>
void correct(const T* in, const float* gain, float* out, int n) {
  for (int x = 0; x < n; ++x)
    out[x] = gain == nullptr ? static_cast<float>(in[x]) : static_cast<float>(in[x]) * gain[x];
}

template <int taps>
void gather(const float* source, std::ptrdiff_t stride, int nx, int ny, const float* wx, const float* wy, float*,
            float* out, std::ptrdiff_t out_stride) {
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) {
      float rows[taps];
      for (int j = 0; j < taps; ++j) {
        const float* in = source + (y + j) * stride + x;
        rows[j] = wx[0] * in[0];
        for (int i = 1; i < taps; ++i) rows[j] = std::fma(wx[i], in[i], rows[j]);
      }
      float sum = wy[0] * rows[0];
      for (int j = 1; j < taps; ++j) sum = std::fma(wy[j], rows[j], sum);
      out[y * out_stride + x] = sum;
    }
}

void add(const float* const* values, int frames, const float* weight, int rank, float* const* sums, std::size_t n) {
  for (int r = 0; r < rank; ++r)
    for (std::size_t i = 0; i < n; ++i)
      for (int f = 0; f < frames; ++f) sums[r][i] = std::fma(weight[f * rank + r], values[f][i], sums[r][i]);
}

}  // namespace

const WarpKernels& warp_kernels_reference() {
  static const WarpKernels plain{{correct<std::uint8_t>, correct<std::uint16_t>, correct<std::int16_t>, correct<float>},
                                 gather<6>,
                                 gather<4>,
                                 add,
                                 "plain"};
  return plain;
}

}  // namespace frazil::motion
