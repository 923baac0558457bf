// Frames of a movie kept as counts while they fit a budget of memory, decoded anew when not.
#pragma once

#include <memory>

#include "frazil/algo/motion/frames.hpp"

namespace frazil::motion {

/// Decoding is the dearest pass over a movie, and a movie of bytes takes a quarter of its floats: the frames that fit
/// are decoded once. Memory of frames that do not stay is used again. Thread-safe; outlives neither `read` nor what
/// that refers to.
class FrameCache {
 public:
  using Read = std::function<void(int index, Counts& out)>;
  /// @param budget  bytes that kept frames may take together; the first frames stay
  FrameCache(int nx, int ny, int count, CountType type, Angstrom pixel_size, Read read, std::size_t budget);

  /// Frames through this cache; `done` empties it.
  [[nodiscard]] FrameSource source() const;
  /// Frames that stay.
  [[nodiscard]] int kept() const;
  /// Reads those frames now.
  void load(int threads) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace frazil::motion
