// An open EER movie: its raw frames as electrons, or gathered into fractions that look like the frames of any movie.
#pragma once

#include <memory>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/io/eer_codec.hpp"
#include "frazil/model/records.hpp"

namespace frazil::io {

/// How raw frames become frames.
struct EerGrouping {
  Dose per_raw_frame{};         ///< zero: unknown
  Dose per_fraction{};          ///< wanted; zero: 1 e⁻/Å²
  double raw_per_fraction = 0;  ///< wanted; above 0 it decides, else the exposure does, else there are 40 fractions
};
/// Number of fractions, at least 1: as many as have at least the wanted size. What is left over is spread, so that none
/// has more than one raw frame more than another.
[[nodiscard]] int eer_fractions(int raw_frames, const EerGrouping& grouping);
/// Raw frames of fraction `index`: [first, second).
[[nodiscard]] std::pair<int, int> raw_frames_of(int index, int fractions, int raw_frames);

/// Fractions on a grid.
struct EerView {
  EerGrid grid = EerGrid::k4;
  int fractions = 0;  ///< 0: as eer_fractions gives when nothing is known
};

class EerFile {
 public:
  /// @throws Error(not_found|corrupt|unsupported|io), also when `source` is no EER file
  explicit EerFile(ByteSource source);
  EerFile(ByteSource source, EerIndex index);

  [[nodiscard]] const EerIndex& index() const { return index_; }
  [[nodiscard]] const std::string& name() const { return source_.name(); }
  [[nodiscard]] std::string content_hash() const { return source_.content_hash(); }
  [[nodiscard]] int raw_frames() const { return static_cast<int>(index_.frames.size()); }
  /// Exposure of one raw frame as the camera tells it; zero when it does not.
  [[nodiscard]] Dose dose_per_raw_frame() const;

  /// Electrons of one raw frame in rows first_row … last_row − 1, in the order of the file; none when its codes do not
  /// fill the sensor exactly. Row 0 is the first in the file: EER is not flipped. Thread-safe. The first call for a raw
  /// frame reads all of it and keeps where its rows begin.
  [[nodiscard]] std::span<const Electron> electrons(int raw_frame, int first_row, int last_row,
                                                    std::vector<Electron>& scratch) const;
  /// False for a raw frame whose codes do not fill the sensor exactly.
  [[nodiscard]] bool is_whole(int raw_frame) const;
  /// Number of raw frames that are not whole; reads all that were not read yet.
  [[nodiscard]] int broken_frames(int threads) const;

  [[nodiscard]] int nx(EerGrid grid) const;
  [[nodiscard]] int ny(EerGrid grid) const;
  [[nodiscard]] Angstrom pixel_size(EerGrid grid) const;  ///< 0: unknown
  /// Electrons of raw frames [first, last) counted on a grid. Raw frames that are not whole are left out and the rest
  /// is scaled up for them. @throws Error(corrupt) when none is whole. The same for any number of threads.
  void render(int first, int last, EerGrid grid, ImageSpan out, int threads) const;

 private:
  struct Cache;
  const EerMarks& marks(int raw_frame, std::vector<std::byte>* bytes) const;
  void read(int raw_frame, std::uint64_t from, std::uint64_t to, std::vector<std::byte>& out) const;

  ByteSource source_;
  EerIndex index_;
  std::shared_ptr<Cache> cache_;
};

}  // namespace frazil::io
