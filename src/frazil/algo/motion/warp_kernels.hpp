// The inner loops of the warp, chosen for the CPU at run time, and their plain versions. All give the same bits: every
// pixel is made by the same fused multiply-adds in the same order, however many a vector holds.
#pragma once

#include <cstddef>
#include <cstdint>

namespace frazil::motion {

/// Pixels that kernels may read and write behind the last column they are asked for.
inline constexpr int warp_slack = 16;
/// Frames that are added up at a time.
inline constexpr int warp_group = 4;

/// out[x] = in[x] · gain[x] (gain nullptr: no gain).
struct CorrectKernels {
  void (*u8)(const std::uint8_t* in, const float* gain, float* out, int n);
  void (*u16)(const std::uint16_t* in, const float* gain, float* out, int n);
  void (*i16)(const std::int16_t* in, const float* gain, float* out, int n);
  void (*f32)(const float* in, const float* gain, float* out, int n);
};

struct WarpKernels {
  CorrectKernels correct;
  /// out(x, y) = Σ_j wy[j] Σ_i wx[i] source(x + i, y + j) for nx × ny pixels; source rows `stride` apart, out rows
  /// `out_stride`.
  /// @param rows  scratch of (ny + taps − 1) · (nx rounded up to 16) floats
  void (*gather6)(const float* source, std::ptrdiff_t stride, int nx, int ny, const float* wx, const float* wy,
                  float* rows, float* out, std::ptrdiff_t out_stride);
  void (*gather4)(const float* source, std::ptrdiff_t stride, int nx, int ny, const float* wx, const float* wy,
                  float* rows, float* out, std::ptrdiff_t out_stride);
  /// sums[r][i] += Σ_f weight[f · rank + r] · values[f][i] for i < n, `frames` ≤ warp_group of them; n a multiple
  /// of 16.
  void (*add)(const float* const* values, int frames, const float* weight, int rank, float* const* sums, std::size_t n);
  const char* target;  ///< name of the instruction set
};

/// For the best instruction set that this CPU has and set_isa allows.
[[nodiscard]] const WarpKernels& warp_kernels();
/// Pixel by pixel: what the others must equal.
[[nodiscard]] const WarpKernels& warp_kernels_reference();

}  // namespace frazil::motion
