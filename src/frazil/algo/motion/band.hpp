// The Fourier components of binned frames that alignment uses: one band of resolution, whitened, weighted by exposure,
// packed row by row so that one pass through memory gives an objective and its gradient.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <numbers>
#include <span>
#include <vector>

#include "frazil/algo/motion/dose.hpp"
#include "frazil/algo/motion/frames.hpp"
#include "frazil/base/units.hpp"

namespace frazil::motion {

inline constexpr double two_pi = 2 * std::numbers::pi;

struct BandLimits {
  Angstrom min_resolution = 100_A;  ///< coarsest structure used
  Angstrom max_resolution = 8_A;    ///< finest structure used
};

/// Components F_t(k) with k inside the band, kx ≥ 2 and |ky| ≥ 2 steps (the central cross holds the edges and the rows
/// and columns of a stale gain), kx > 0 half only. Whitened: mean power 1 in every shell over all frames, and 1 for
/// every frame over the band; multiplied by the exposure weight q_t(k).
struct Band {
  static constexpr int lanes = 16;  ///< rows begin and end at multiples of it, filled up with zeros of shell `shells`

  /// Memory that is first written by the thread that fills it.
  struct Buffer {
    struct Free {
      void operator()(float* memory) const { free_aligned(memory); }
    };
    std::unique_ptr<float[], Free> memory;  // NOLINT(*-avoid-c-arrays)
    void allocate(std::size_t n) { memory.reset(static_cast<float*>(allocate_aligned(n * sizeof(float)))); }
    [[nodiscard]] float* data() const { return memory.get(); }
    [[nodiscard]] float& operator[](std::size_t i) const { return memory[i]; }
  };

  struct Row {
    int ky = 0;                 ///< signed index
    int first_kx = 0;           ///< multiple of `lanes`
    int count = 0;              ///< multiple of `lanes`
    int begin = 0, end = 0;     ///< those of the row's components that are not padding
    std::size_t component = 0;  ///< of the first one in `shell`
    std::size_t offset = 0;     ///< of the row in `data`
  };

  int frames = 0;
  double step_x_per_A = 0, step_y_per_A = 0;
  int shells = 0;
  double shell_width_per_A = 0, first_shell_per_A = 0;
  std::vector<Row> rows;
  std::vector<std::uint16_t> shell;  ///< of each component; `shells` for padding
  Buffer data;  ///< row by row, block by block of `lanes`, frame by frame: real parts, then imaginary ones
  std::vector<double> shell_count;         ///< components in each shell
  std::vector<std::vector<double>> q;      ///< [frame][shell] exposure weight
  std::vector<std::vector<double>> power;  ///< [frame][shell] mean |F_t|², with the weight q² in it
  std::vector<double> frame_scale;         ///< RMS of each frame before it was normalised, over the mean of all

  /// Where the real part of component i of a row stands in `data`; the imaginary one stands `lanes` further.
  [[nodiscard]] std::size_t at(const Row& row, int t, int i) const {
    return row.offset +
           2 * lanes *
               (static_cast<std::size_t>(i / lanes) * static_cast<std::size_t>(frames) + static_cast<std::size_t>(t)) +
           static_cast<std::size_t>(i % lanes);
  }
  [[nodiscard]] double shell_per_A(int s) const { return first_shell_per_A + (s + 0.5) * shell_width_per_A; }
};

/// Cuts the band out of binned frames.
///
/// @param frames  all of one size; read one by one
/// @param exposure per frame of this list
/// Frames lose their mean and a margin of 2 % falls off to zero, so that the frame's edges do not correlate.
/// @throws Error(bad_input) when the band is empty at this pixel size
[[nodiscard]] Band make_band(std::span<const Image> frames, const BandLimits& limits, const Exposure& exposure,
                             int threads);

/// Parts of frames, all of one size, and how they fall off to their sides.
struct Window {
  std::vector<float> taper_x,
      taper_y;  ///< one factor a column, a row; their numbers are the size, of prime factors 2, 3, 5
  /// Writes part `index` of the movie, from 0, into an image of that size; called from several threads with different
  /// images.
  std::function<void(int index, Image& out)> part;
};
/// The same from a window of each of `frames` frames.
[[nodiscard]] Band make_band(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits,
                             const Exposure& exposure, int threads);
/// The window that `make_band` cuts out of whole frames, which must outlive it.
[[nodiscard]] Window window_of(std::span<const Image> frames);

/// The two ends of `make_band`: rows, shells and room for the components, and, once components and `power` (their mean
/// |F|² in each frame and shell) are there, the whitening.
[[nodiscard]] Band empty_band(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits);
void whiten(Band& band, const Exposure& exposure, int threads);
/// The same band by its definition, in double precision. Cost: one direct transform a frame.
[[nodiscard]] Band make_band_reference(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits,
                                       const Exposure& exposure);

/// Largest even length ≤ n with prime factors 2, 3, 5.
[[nodiscard]] int good_size_below(int n);

}  // namespace frazil::motion
