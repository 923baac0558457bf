#include "frazil/algo/motion/warp.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "frazil/algo/motion/warp_kernels.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"

namespace frazil::motion {
namespace {

constexpr int tile_x = 128, tile_y = 64;  ///< one frame's source, four moved frames and five sums: 330 kB
constexpr int most_taps = 6;

void correct_row(const CorrectKernels& k, const std::uint8_t* in, const float* gain, float* out, int n) {
  k.u8(in, gain, out, n);
}
void correct_row(const CorrectKernels& k, const std::uint16_t* in, const float* gain, float* out, int n) {
  k.u16(in, gain, out, n);
}
void correct_row(const CorrectKernels& k, const std::int16_t* in, const float* gain, float* out, int n) {
  k.i16(in, gain, out, n);
}
void correct_row(const CorrectKernels& k, const float* in, const float* gain, float* out, int n) {
  k.f32(in, gain, out, n);
}

struct Rectangle {
  int x0 = 0, y0 = 0, nx = 0, ny = 0;
};

/// A frame in memory with what stands in its defective pixels.
struct Frame {
  std::shared_ptr<const Counts> counts;
  std::vector<float> replacements;
};

/// Displacement of one block, split into pixels and taps.
struct Move {
  int x = 0, y = 0;  ///< first source pixel of the block's first tap
  std::array<float, most_taps> wx{}, wy{};
};

struct TileScratch {
  AlignedVector<float> source, rows, sums;
  std::array<AlignedVector<float>, warp_group> moved;
  std::vector<Move> moves;
  std::vector<MotionField::Place> places_x, places_y;  ///< of a tile's blocks
};

class Warp {
 public:
  Warp(const FrameSource& frames, const Detector& detector, const MotionField& field,
       const std::vector<std::vector<double>>& weights, const WarpParams& params)
      : frames_(frames),
        detector_(detector),
        field_(field),
        rank_(static_cast<int>(weights.size())),
        params_(params),
        side_(block_side(field)) {
    for (int t = 0; t < frames.count; ++t)
      for (const auto& row : weights) weights_.push_back(static_cast<float>(row[z(t)]));
    row_start_.assign(z(frames.ny) + 1, 0);
    for (const auto pixel : detector.defects())
      ++row_start_[static_cast<std::size_t>(pixel / static_cast<std::uint64_t>(frames.nx)) + 1];
    for (std::size_t y = 1; y < row_start_.size(); ++y) row_start_[y] += row_start_[y - 1];
  }

  std::vector<Image> run() {
    std::vector<Image> sums;
    sums.resize(z(rank_));
    parallel_for(params_.threads, sums.size(),
                 [&](std::size_t r) { sums[r] = Image(frames_.nx, frames_.ny, frames_.pixel_size); });
    const int batch = batch_of(frames_, params_.threads), across = (frames_.nx + tile_x - 1) / tile_x,
              down = (frames_.ny + tile_y - 1) / tile_y;
    std::vector<TileScratch> scratch(z(std::max(1, params_.threads)));
    std::vector<Frame> held;
    for (int first = 0; first < frames_.count; first += batch) {
      held.assign(z(std::min(batch, frames_.count - first)), {});
      parallel_for(params_.threads, held.size(), [&](std::size_t i) {
        held[i].counts = counts_of(frames_, first + static_cast<int>(i));
        held[i].replacements = detector_.replacements(*held[i].counts, first + static_cast<int>(i));
      });
      parallel_for_slots(params_.threads, z(across) * z(down), [&](std::size_t i, int slot) {
        const int x0 = static_cast<int>(i % z(across)) * tile_x, y0 = static_cast<int>(i / z(across)) * tile_y;
        do_tile({x0, y0, std::min(tile_x, frames_.nx - x0), std::min(tile_y, frames_.ny - y0)}, held, first,
                scratch[z(slot)], sums);
      });
    }
    return sums;
  }

 private:
  void do_tile(const Rectangle& tile, const std::vector<Frame>& held, int first, TileScratch& scratch,
               std::vector<Image>& sums) const {
    constexpr std::size_t tile_size = z(tile_x) * z(tile_y);
    scratch.places_x.clear(), scratch.places_y.clear();
    for (int x = 0; x < tile.nx; x += side_)
      scratch.places_x.push_back(field_.place_x(tile.x0 + x + 0.5 * (side_ - 1)));
    for (int y = 0; y < tile.ny; y += side_)
      scratch.places_y.push_back(field_.place_y(tile.y0 + y + 0.5 * (side_ - 1)));
    scratch.sums.assign(tile_size * z(rank_), 0.0F);
    std::vector<float*> targets(z(rank_));
    for (int r = 0; r < rank_; ++r) {
      targets[z(r)] = scratch.sums.data() + z(r) * tile_size;
      if (first > 0)
        for (int y = 0; y < tile.ny; ++y)
          std::copy_n(sums[z(r)].row(tile.y0 + y) + tile.x0, tile.nx, targets[z(r)] + z(y) * z(tile_x));
    }
    for (std::size_t i = 0; i < held.size(); i += warp_group) {
      const std::size_t n = std::min<std::size_t>(warp_group, held.size() - i);
      std::array<const float*, warp_group> moved{};
      for (std::size_t f = 0; f < n; ++f) {
        scratch.moved[f].resize(tile_size);
        if (i + f + 1 < held.size()) fetch(tile, *held[i + f + 1].counts, first + static_cast<int>(i + f) + 1);
        move(tile, held[i + f], first + static_cast<int>(i + f), scratch, scratch.moved[f].data());
        moved[f] = scratch.moved[f].data();
      }
      kernels_.add(moved.data(), static_cast<int>(n), weights_.data() + (z(first) + i) * z(rank_), rank_,
                   targets.data(), z(tile_x) * z(tile.ny));
    }
    for (int r = 0; r < rank_; ++r)
      for (int y = 0; y < tile.ny; ++y)
        std::copy_n(targets[z(r)] + z(y) * z(tile_x), tile.nx, sums[z(r)].row(tile.y0 + y) + tile.x0);
  }

  /// Asks for what the next frame will need of a tile, so that it is near when its turn comes.
  void fetch(const Rectangle& tile, const Counts& frame, int t) const {
    constexpr std::ptrdiff_t line = 64;  // bytes of a cache line
    const Shift s = field_.at(t, tile.x0 + tile.nx / 2, tile.y0 + tile.ny / 2);
    const int y0 = tile.y0 - static_cast<int>(s.y) - most_taps / 2,
              x0 = std::clamp(tile.x0 - static_cast<int>(s.x) - most_taps / 2, 0, frame.nx() - 1);
    const auto from = static_cast<std::ptrdiff_t>(x0) * static_cast<std::ptrdiff_t>(bytes_of(frame.type()));
    const auto to = std::min(from + (tile.nx + most_taps) * static_cast<std::ptrdiff_t>(bytes_of(frame.type())),
                             static_cast<std::ptrdiff_t>(frame.row_bytes()));
    for (int y = std::max(0, y0); y < std::min(frame.ny(), y0 + tile.ny + most_taps); ++y)
      for (std::ptrdiff_t i = from; i < to; i += line) __builtin_prefetch(frame.row(y) + i);
  }

  /// One frame moved, over one tile; rows of `out` are tile_x apart.
  void move(const Rectangle& tile, const Frame& frame, int t, TileScratch& scratch, float* out) const {
    const int taps = static_cast<int>(params_.spline);
    Rectangle needed = plan(tile, t, scratch);
    const std::ptrdiff_t stride = needed.nx + warp_slack;
    scratch.source.resize(z(static_cast<int>(stride)) * z(needed.ny) + warp_slack);
    frame.counts->visit([&](const auto& raw) { fill(raw, frame.replacements, needed, scratch.source.data(), stride); });
    scratch.rows.resize(z(tile_x) * z(side_ + most_taps));
    std::size_t i = 0;
    for (int y = 0; y < tile.ny; y += side_)
      for (int x = 0; x < tile.nx; x += side_, ++i) {
        const Move& m = scratch.moves[i];
        const float* source = scratch.source.data() + (m.y - needed.y0) * stride + (m.x - needed.x0);
        const auto gather = taps == 6 ? kernels_.gather6 : kernels_.gather4;
        gather(source, stride, std::min(side_, tile.nx - x), std::min(side_, tile.ny - y), m.wx.data(), m.wy.data(),
               scratch.rows.data(), out + y * tile_x + x, tile_x);
      }
  }

  /// Displacement of every block of a tile, and the source pixels that they need together.
  Rectangle plan(const Rectangle& tile, int t, TileScratch& scratch) const {
    const int taps = static_cast<int>(params_.spline), before = taps / 2 - 1;
    int left = std::numeric_limits<int>::max(), top = left, right = std::numeric_limits<int>::min(), bottom = right;
    scratch.moves.clear();
    for (int y = 0; y < tile.ny; y += side_)
      for (int x = 0; x < tile.nx; x += side_) {
        const int nx = std::min(side_, tile.nx - x), ny = std::min(side_, tile.ny - y), x0 = tile.x0 + x,
                  y0 = tile.y0 + y;
        const Shift s = field_.at(t, scratch.places_x[z(x / side_)], scratch.places_y[z(y / side_)]);
        const double px = x0 - s.x, py = y0 - s.y, ix = std::floor(px), iy = std::floor(py);
        Move m{static_cast<int>(ix) - before, static_cast<int>(iy) - before};
        spline_taps(params_.spline, px - ix, m.wx.data());
        spline_taps(params_.spline, py - iy, m.wy.data());
        left = std::min(left, m.x), top = std::min(top, m.y);
        right = std::max(right, m.x + nx + taps - 1), bottom = std::max(bottom, m.y + ny + taps - 1);
        scratch.moves.push_back(m);
      }
    return {left, top, right - left, bottom - top};
  }

  /// Corrected pixels of a rectangle that may lie partly or wholly outside the frame.
  template <class T>
  void fill(const View2<const T>& raw, const std::vector<float>& replacements, const Rectangle& needed, float* out,
            std::ptrdiff_t stride) const {
    const int from = std::clamp(needed.x0, 0, raw.nx), to = std::clamp(needed.x0 + needed.nx, from, raw.nx);
    for (int y = 0; y < needed.ny; ++y) {
      const int row = mirrored(needed.y0 + y, raw.ny);
      const T* in = raw.row(row);
      const float* gain = detector_.gain_row(row);
      float* target = out + y * stride;
      correct_row(kernels_.correct, in + from, gain == nullptr ? nullptr : gain + from, target + (from - needed.x0),
                  to - from);
      for (int x = needed.x0; x < needed.x0 + needed.nx; ++x) {
        if (x == from) x = to;  // what lies inside is done
        if (x >= needed.x0 + needed.nx) break;
        const int column = mirrored(x, raw.nx);
        target[x - needed.x0] =
            gain == nullptr ? static_cast<float>(in[column]) : static_cast<float>(in[column]) * gain[column];
      }
      patch(replacements, needed, row, raw.nx, target);
    }
  }

  void patch(const std::vector<float>& replacements, const Rectangle& needed, int row, int nx, float* target) const {
    const auto first_pixel = static_cast<std::uint64_t>(row) * static_cast<std::uint64_t>(nx);
    for (std::size_t i = row_start_[z(row)]; i < row_start_[z(row) + 1]; ++i) {
      const int column = static_cast<int>(detector_.defects()[i] - first_pixel);
      if (column >= needed.x0 && column < needed.x0 + needed.nx) target[column - needed.x0] = replacements[i];
      if (needed.x0 >= 0 && needed.x0 + needed.nx <= nx) continue;
      for (int x = needed.x0; x < needed.x0 + needed.nx; ++x)
        if ((x < 0 || x >= nx) && mirrored(x, nx) == column) target[x - needed.x0] = replacements[i];
    }
  }

  const FrameSource& frames_;
  const Detector& detector_;
  const MotionField& field_;
  int rank_;
  WarpParams params_;
  int side_;
  std::vector<float> weights_;          ///< [frame][r]
  std::vector<std::size_t> row_start_;  ///< first defect of each row
  const WarpKernels& kernels_ = warp_kernels();
};

/// Cardinal B-splines of degree 3 and 5 (Unser 1999, doi:10.1109/79.799930) at distances taps/2 − 1 + u, …, u, 1 − u,
/// …, degree by degree: those of degree d are blends of neighbours of degree d − 1 (de Boor 1972,
/// doi:10.1016/0021-9045(72)90080-9).
template <int degree>
void taps_of(double u, float* out) {
  constexpr std::array inverse{0.0, 1.0, 1.0 / 2, 1.0 / 3, 1.0 / 4, 1.0 / 5};
  double taps[degree + 1] = {1};
#pragma GCC unroll 6
  for (int d = 1; d <= degree; ++d) {
    double right = 0;
#pragma GCC unroll 6
    for (int i = 0; i < d; ++i) {
      const double share = taps[i] * inverse[z(d)];
      taps[i] = right + (i + 1 - u) * share;
      right = (u + d - 1 - i) * share;
    }
    taps[d] = right;
  }
#pragma GCC unroll 6
  for (int i = 0; i <= degree; ++i) out[i] = static_cast<float>(taps[i]);
}

}  // namespace

void spline_taps(Spline spline, double u, float* out) {
  if (spline == Spline::quintic)
    taps_of<5>(u, out);
  else
    taps_of<3>(u, out);
}

int block_side(const MotionField& field) {
  // RMS over a block in which the displacement runs linearly: at 0.8 Nyquist 0.015 px cost 0.15 % of the signal's
  // power.
  constexpr double tolerance_px = 0.015;
  constexpr int largest = 64, least = 16;  // pixels: the fastest; one vector of AVX-512
  const auto &x = field.x_px(), &y = field.y_px();
  double slope_x = 0, slope_y = 0;  // of either component, along x and y
  for (int t = 0; t < field.frames(); ++t)
    for (std::size_t j = 0; j < y.size(); ++j)
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto ix = static_cast<int>(i), iy = static_cast<int>(j);
        const Shift here = field.node(t, ix, iy);
        const auto steepness = [&](const Shift& there, double distance) {
          return std::max(std::abs(there.x - here.x), std::abs(there.y - here.y)) / std::max(distance, 1e-9);
        };
        if (i + 1 < x.size()) slope_x = std::max(slope_x, steepness(field.node(t, ix + 1, iy), x[i + 1] - x[i]));
        if (j + 1 < y.size()) slope_y = std::max(slope_y, steepness(field.node(t, ix, iy + 1), y[j + 1] - y[j]));
      }
  int side = largest;
  while (side > least && std::hypot(slope_x, slope_y) * side / std::sqrt(12.0) > tolerance_px) side /= 2;
  return side;
}

std::vector<Image> warp_frames(const FrameSource& frames, const Detector& detector, const MotionField& field,
                               const std::vector<std::vector<double>>& weights, const WarpParams& params) {
  expect(field.frames() == frames.count, "field and movie hold equally many frames");
  for (const auto& row : weights) expect(row.size() == z(frames.count), "a row of weights has one for each frame");
  return Warp(frames, detector, field, weights, params).run();
}

}  // namespace frazil::motion
