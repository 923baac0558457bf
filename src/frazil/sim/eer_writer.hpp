// Writes EER movies from electrons, after the vendor's public description of the format; shares no code with the
// reader.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace frazil::sim {

/// One counted electron: pixel y · nx + x and its place in the pixel in quarters, (0, 0) towards pixel 0.
struct Electron {
  std::uint32_t pixel = 0;
  std::uint8_t quarter_x = 0, quarter_y = 0;
};

/// How electrons are coded and wrapped.
struct EerFormat {
  int compression = 65001;                           ///< 65000: 8-bit runs; 65001: 7-bit runs; 65002: bits as below
  int run_bits = 7, sub_x_bits = 2, sub_y_bits = 2;  ///< of 65002
  bool write_sub_y_bits = true;                      ///< the tag may be missing when both are equal
  bool legacy = false;       ///< no TIFF: each frame with its length and a footer; always 8-bit runs
  bool big = true;           ///< BigTIFF, as cameras write; false: classic TIFF
  int strips = 1;            ///< pieces that a frame's bytes are cut into
  bool final_image = false;  ///< an uncompressed 16-bit sum stands first
};

/// Electrons in ascending order of their pixel, at most one a pixel. Frames are written as they come; the file appears
/// at `close`.
class EerWriter {
 public:
  EerWriter(const std::filesystem::path& path, int nx, int ny, const EerFormat& format = {},
            const std::string& metadata_xml = {});
  ~EerWriter();
  EerWriter(EerWriter&&) noexcept;
  EerWriter& operator=(EerWriter&&) = delete;

  void append(std::span<const Electron> electrons);
  /// A frame of the given bytes, right or wrong.
  void append_bytes(std::span<const std::uint8_t> bytes);
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The bytes of one frame.
[[nodiscard]] std::vector<std::uint8_t> encode_electrons(std::span<const Electron> electrons, int nx, int ny,
                                                         const EerFormat& format);

/// The XML that cameras put into tag 65001. @param electrons_per_pixel of the whole movie
[[nodiscard]] std::string eer_metadata(int raw_frames, double exposure_s, double electrons_per_pixel, int nx, int ny,
                                       double pixel_size_A);

}  // namespace frazil::sim
