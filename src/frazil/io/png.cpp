// PNG through libpng's simplified interface, which reports errors by value (picture.hpp).
#include <png.h>

#include <cstring>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/io/picture.hpp"

namespace frazil::io {
namespace {

/// Frees libpng's part on every way out.
struct PngImage {
  PngImage() {
    std::memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
  }
  ~PngImage() { png_image_free(&image); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
  png_image image;
};

}  // namespace

void write_png(const std::filesystem::path& path, const Picture& picture) {
  AtomicFile file(path);
  PngImage png;
  png.image.width = static_cast<png_uint_32>(picture.nx);
  png.image.height = static_cast<png_uint_32>(picture.ny);
  png.image.format = picture.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png.image.flags = PNG_IMAGE_FLAG_FAST;
  if (png_image_write_to_file(&png.image, file.temporary().c_str(), 0, picture.pixels.data(), 0, nullptr) == 0)
    throw Error(ErrorCode::io, "{}: writing the PNG failed: {}", path.string(), png.image.message);
  file.commit();
}

Picture read_png(const ByteSource& source) {
  constexpr std::uint64_t expansion = 1040 * 8;  // deflate, and pixels of one bit
  std::vector<std::byte> bytes(static_cast<std::size_t>(source.size()));
  source.read(0, bytes);
  PngImage png;
  const auto fail = [&] {
    throw Error(ErrorCode::corrupt, "{}: not a valid PNG: {}", source.name(), png.image.message);
  };
  if (png_image_begin_read_from_memory(&png.image, bytes.data(), bytes.size()) == 0) fail();
  const auto pixels = static_cast<std::uint64_t>(png.image.width) * png.image.height;
  if (pixels == 0 || pixels / expansion > source.size() || png.image.width > (1U << 20U) ||
      png.image.height > (1U << 20U))
    throw Error(ErrorCode::corrupt, "{}: the PNG promises {} x {} pixels, which its {} bytes cannot hold",
                source.name(), png.image.width, png.image.height, source.size());
  const bool colour = (png.image.format & PNG_FORMAT_FLAG_COLOR) != 0;
  png.image.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  Picture picture(static_cast<int>(png.image.width), static_cast<int>(png.image.height), colour ? 3 : 1);
  const png_color black{0, 0, 0};
  if (png_image_finish_read(&png.image, &black, picture.pixels.data(), 0, nullptr) == 0) fail();
  return picture;
}

Picture read_png(const std::filesystem::path& path) { return read_png(ByteSource::open(path)); }

}  // namespace frazil::io
