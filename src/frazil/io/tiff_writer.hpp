// TIFF stacks written frame by frame, for simulated movies and exports.
#pragma once

#include <filesystem>
#include <memory>

#include "frazil/image/image.hpp"
#include "frazil/io/pixels.hpp"

namespace frazil::io {

enum class TiffCompression : int { none = 1, lzw = 5, deflate = 8 };

struct TiffOptions {
  TiffCompression compression = TiffCompression::lzw;
  PixelType type = PixelType::u8;  ///< u8, i8, u16, i16 or f32
  bool predictor = false;          ///< horizontal differencing (integers, LZW and deflate)
  int rows_per_strip = 0;          ///< 0: strips of about 1 MB
  bool big = false;                ///< BigTIFF
  Angstrom pixel_size{0};          ///< stands in the resolution tags when above 0
};

/// Frames appended under a temporary name; the file appears at `close`. Rows are flipped (conventions.md, "Images in
/// memory and on disk"). Values are rounded; what does not fit is an Error(bad_input).
class TiffStackWriter {
 public:
  TiffStackWriter(const std::filesystem::path& path, int nx, int ny, const TiffOptions& options = {});
  ~TiffStackWriter();
  TiffStackWriter(TiffStackWriter&&) noexcept;
  TiffStackWriter& operator=(TiffStackWriter&&) noexcept;

  void append(ImageView frame);
  [[nodiscard]] int count() const;
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace frazil::io
