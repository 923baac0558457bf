// Overlapping tiles of the binned frames, each a small band of its own: what local motion is measured on.
#pragma once

#include <span>

#include "frazil/algo/motion/backend.hpp"

namespace frazil::motion {

/// Where tiles lie along one axis. Neighbours overlap by a quarter of their side; there the squares of their windows
/// add up to one, so that every pixel's evidence counts once.
struct TileAxis {
  int side = 0;            ///< binned pixels
  std::vector<int> start;  ///< first pixel of each tile
  [[nodiscard]] int count() const { return static_cast<int>(start.size()); }
  [[nodiscard]] double centre(int i) const { return start[static_cast<std::size_t>(i)] + 0.5 * side; }
  [[nodiscard]] std::vector<float> taper(int i) const;
};
/// @param length  of the frame in binned pixels
/// @param pitch   wanted distance of tiles in binned pixels
[[nodiscard]] TileAxis tile_axis(int length, double pitch, int most);

struct Tile {
  double x_px = 0, y_px = 0;  ///< centre, binned pixels
  Band band;
};

/// Consecutive binned frames that are added before they are cut: `size` of them, the last group may be smaller.
struct TimeGroups {
  int frames = 0, size = 1;
  [[nodiscard]] int count() const { return (frames + size - 1) / size; }
  [[nodiscard]] int first(int g) const { return g * size; }
  [[nodiscard]] int end(int g) const { return std::min(frames, (g + 1) * size); }
  /// Mean over each group.
  [[nodiscard]] std::vector<double> mean(const std::vector<double>& values) const;
};

struct Tiles {
  TileAxis x, y;
  std::vector<Tile> tiles;  ///< row by row
  TrackA moved;             ///< [group] by what the frames were moved before they were cut, whole binned pixels, Å
};

/// Cuts all tiles, following `track` (Å, one entry a group) in whole binned pixels, so that a tile holds the same
/// specimen throughout. Components that stand out of their shell like the spots of a crystal are left out.
[[nodiscard]] Tiles cut_tiles(std::span<const Image> binned, const TimeGroups& groups, const TrackA& track,
                              double pitch_A, int most, const BandLimits& limits, const Exposure& exposure, int threads,
                              const Backend& backend = cpu_backend());

}  // namespace frazil::motion
