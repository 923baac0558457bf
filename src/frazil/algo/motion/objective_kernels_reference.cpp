// The plain versions of the objective's inner loops.
#include <cmath>
#include <cstddef>

#include "frazil/algo/motion/objective_kernels.hpp"

namespace frazil::motion {
namespace {

constexpr std::size_t block_lanes = 16;

/// One lane of one frame, turned.
struct Turned {
  Turned(const ObjectiveBlock& block, std::size_t t, std::size_t i) {
    const float *f = block.components + t * 2 * block_lanes + i, *x = block.along_x + t * 2 * block_lanes + i,
                *y = block.along_y + 2 * t;
    const float e_re = std::fma(-x[block_lanes], y[1], x[0] * y[0]), e_im = std::fma(x[0], y[1], x[block_lanes] * y[0]);
    re = std::fma(-f[block_lanes], e_im, f[0] * e_re);
    im = std::fma(f[0], e_im, f[block_lanes] * e_re);
  }
  float re, im;
};

void turn(const ObjectiveBlock& block, float* turned, float* sum) {
  for (std::size_t i = 0; i < block_lanes; ++i) {
    sum[i] = sum[i + block_lanes] = 0;
    for (std::size_t t = 0; t < static_cast<std::size_t>(block.frames); ++t) {
      const Turned part(block, t, i);
      turned[t * 2 * block_lanes + i] = part.re;
      turned[t * 2 * block_lanes + i + block_lanes] = part.im;
      sum[i] += part.re;
      sum[i + block_lanes] += part.im;
    }
  }
}

void sum_alone(const ObjectiveBlock& block, float* sum) {
  for (std::size_t i = 0; i < block_lanes; ++i) {
    sum[i] = sum[i + block_lanes] = 0;
    for (std::size_t t = 0; t < static_cast<std::size_t>(block.frames); ++t) {
      const Turned part(block, t, i);
      sum[i] += part.re;
      sum[i + block_lanes] += part.im;
    }
  }
}

void slope(const float* turned, const float* sum, float first_kx, float ky, int frames, float* totals) {
  for (std::size_t t = 0; t < static_cast<std::size_t>(frames); ++t)
    for (std::size_t i = 0; i < block_lanes; ++i) {
      const float re = turned[t * 2 * block_lanes + i], im = turned[t * 2 * block_lanes + i + block_lanes];
      const float v = std::fma(-sum[i + block_lanes], re, sum[i] * im);
      float* to = totals + t * 3 * block_lanes + i;
      to[0] = std::fma(v, first_kx + static_cast<float>(i), to[0]);
      to[block_lanes] = std::fma(v, ky, to[block_lanes]);
      to[2 * block_lanes] += std::fma(sum[i + block_lanes], im, sum[i] * re);
    }
}

}  // namespace

const ObjectiveKernels& objective_kernels_reference() {
  static const ObjectiveKernels plain{sum_alone, turn, slope, "plain"};
  return plain;
}

}  // namespace frazil::motion
