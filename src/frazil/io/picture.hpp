// PNG and JPEG pictures, grey and RGB. Pictures are never flipped: their first row is row 0 of the array.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "frazil/image/image.hpp"
#include "frazil/io/byte_source.hpp"

namespace frazil::io {

/// 8-bit picture, `channels` values a pixel (1 grey, 3 RGB), rows from the top, no padding.
struct Picture {
  int nx = 0, ny = 0, channels = 1;
  std::vector<std::uint8_t> pixels;
  Picture() = default;
  Picture(int width, int height, int channel_count);
  [[nodiscard]] std::uint8_t* at(int x, int y);
  [[nodiscard]] const std::uint8_t* at(int x, int y) const;
};

/// Grey levels from `low` (black) to `high` (white), clamped; NaN is black.
[[nodiscard]] Picture to_picture(ImageView image, float low, float high);
/// Grey levels over three standard deviations about the median, the deviation taken from the quartiles: a crystal or a
/// piece of carbon does not take the contrast from what lies beside it.
[[nodiscard]] Picture to_picture_auto(ImageView image);

/// Written atomically. @throws Error(io|resource)
void write_png(const std::filesystem::path& path, const Picture& picture);
void write_png(const std::filesystem::path& path, ImageView image, float low, float high);
void write_png_auto(const std::filesystem::path& path, ImageView image);
/// A JPEG file in memory. @param quality 1 to 100 @throws Error(io) when libjpeg cannot
[[nodiscard]] std::string jpeg_bytes(const Picture& picture, int quality = 85);
void write_jpeg(const std::filesystem::path& path, const Picture& picture, int quality = 85);

/// Grey or RGB; palettes, alpha and 16-bit are converted. @throws Error(corrupt|unsupported|not_found|io)
[[nodiscard]] Picture read_png(const std::filesystem::path& path);
[[nodiscard]] Picture read_png(const ByteSource& source);
[[nodiscard]] Picture read_jpeg(const std::filesystem::path& path);
/// Grey values 0 to 255 as an image; RGB becomes the mean of its channels.
[[nodiscard]] Image to_image(const Picture& picture, Angstrom pixel_size = 1_A);

}  // namespace frazil::io
