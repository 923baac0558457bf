// The plain versions of the objective's inner loops.
#include <cmath>
#include <cstddef>

#include "frazil/algo/motion/objective_kernels.hpp"

namespace frazil::motion {
namespace {

constexpr std::size_t lanes = 16;

/// One lane of one frame, turned.
struct Turned {
  Turned(const ObjectiveBlock& block, std::size_t t, std::size_t i) {
    const float *f = block.components + t * 2 * lanes + i, *x = block.along_x + t * 2 * lanes + i,
                *y = block.along_y + 2 * t;
    const float e_re = std::fma(-x[lanes], y[1], x[0] * y[0]), e_im = std::fma(x[0], y[1], x[lanes] * y[0]);
    re = std::fma(-f[lanes], e_im, f[0] * e_re);
    im = std::fma(f[0], e_im, f[lanes] * e_re);
  }
  float re, im;
};

void turn(const ObjectiveBlock& block, float* turned, float* sum) {
  for (std::size_t i = 0; i < lanes; ++i) {
    sum[i] = sum[i + lanes] = 0;
    for (std::size_t t = 0; t < static_cast<std::size_t>(block.frames); ++t) {
      const Turned part(block, t, i);
      turned[t * 2 * lanes + i] = part.re;
      turned[t * 2 * lanes + i + lanes] = part.im;
      sum[i] += part.re;
      sum[i + lanes] += part.im;
    }
  }
}

void sum_alone(const ObjectiveBlock& block, float* sum) {
  for (std::size_t i = 0; i < lanes; ++i) {
    sum[i] = sum[i + lanes] = 0;
    for (std::size_t t = 0; t < static_cast<std::size_t>(block.frames); ++t) {
      const Turned part(block, t, i);
      sum[i] += part.re;
      sum[i + lanes] += part.im;
    }
  }
}

void slope(const float* turned, const float* sum, float first_kx, float ky, int frames, float* totals) {
  for (std::size_t t = 0; t < static_cast<std::size_t>(frames); ++t)
    for (std::size_t i = 0; i < lanes; ++i) {
      const float re = turned[t * 2 * lanes + i], im = turned[t * 2 * lanes + i + lanes];
      const float v = std::fma(-sum[i + lanes], re, sum[i] * im);
      float* to = totals + t * 3 * lanes + i;
      to[0] = std::fma(v, first_kx + static_cast<float>(i), to[0]);
      to[lanes] = std::fma(v, ky, to[lanes]);
      to[2 * lanes] += std::fma(sum[i + lanes], im, sum[i] * re);
    }
}

}  // namespace

const ObjectiveKernels& objective_kernels_reference() {
  static const ObjectiveKernels plain{sum_alone, turn, slope, "plain"};
  return plain;
}

}  // namespace frazil::motion
