// Movies: frames as raw counts from MRC, MRCS, TIFF, BigTIFF or EER.
#pragma once

#include <filesystem>
#include <memory>

#include "frazil/image/counts.hpp"
#include "frazil/io/eer.hpp"
#include "frazil/io/gain.hpp"
#include "frazil/io/image_file.hpp"

namespace frazil::io {

/// An open movie. Frames are the sections of the file whatever its header calls them; TIFF rows are flipped
/// (conventions.md, "Images in memory and on disk"), those of EER are not. Frames of an EER movie are its fractions.
class MovieReader {
 public:
  /// @param eer  grid and number of fractions; ignored for other files
  /// @throws Error(not_found|corrupt|unsupported|io)
  explicit MovieReader(const std::filesystem::path& path, const EerView& eer = {});
  explicit MovieReader(ByteSource source, const EerView& eer = {});
  ~MovieReader();
  MovieReader(MovieReader&&) noexcept;
  MovieReader& operator=(MovieReader&&) noexcept;

  /// Of a source that was opened for that: ByteSource::content_hash.
  [[nodiscard]] std::string content_hash() const;
  /// nz is the number of frames.
  [[nodiscard]] const ImageInfo& info() const;
  /// The raw frames behind the fractions; null when this is no EER movie.
  [[nodiscard]] const EerFile* eer() const;
  /// Raw counts of frame `index` (from 0) as float. `out` is resized only when its size differs; its pixel_size becomes
  /// the file's (1 Å when the file does not say). Thread-safe for different `out`.
  /// @param threads TIFF strips are decoded in parallel; the result is the same for any number
  void read_frame(int index, Image& out, int threads = 1) const;
  [[nodiscard]] Image read_frame(int index, int threads = 1) const;
  /// The same in the type of the file, CountType; `out` is made anew when its size or type differs.
  void read_counts(int index, Counts& out, int threads = 1) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace frazil::io
