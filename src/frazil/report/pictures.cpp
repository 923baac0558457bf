#include "frazil/report/pictures.hpp"

#include <png.h>

#include <algorithm>
#include <vector>

#include "frazil/image/ops.hpp"
#include "frazil/io/picture.hpp"

namespace frazil::report {
namespace {

std::string data_uri(std::string_view type, const unsigned char* data, std::size_t size) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string uri = "data:" + std::string(type) + ";base64,";
  uri.reserve(uri.size() + size * 4 / 3 + 4);
  for (std::size_t i = 0; i < size; i += 3) {
    const unsigned block = (unsigned{data[i]} << 16) | (i + 1 < size ? unsigned{data[i + 1]} << 8 : 0) |
                           (i + 2 < size ? unsigned{data[i + 2]} : 0);
    uri += alphabet[block >> 18];
    uri += alphabet[(block >> 12) & 63];
    uri += i + 1 < size ? alphabet[(block >> 6) & 63] : '=';
    uri += i + 2 < size ? alphabet[block & 63] : '=';
  }
  return uri;
}

/// Means of whole blocks, so that the longer side is at most `side`.
io::Picture shrink(const io::Picture& picture, int side) {
  const int factor = (std::max(picture.nx, picture.ny) + side - 1) / side;
  if (factor <= 1) return picture;
  io::Picture out(picture.nx / factor, picture.ny / factor, picture.channels);
  for (int y = 0; y < out.ny; ++y)
    for (int x = 0; x < out.nx; ++x)
      for (int c = 0; c < out.channels; ++c) {
        int sum = 0;
        for (int j = 0; j < factor; ++j)
          for (int i = 0; i < factor; ++i) sum += picture.at(x * factor + i, y * factor + j)[c];
        out.at(x, y)[c] = static_cast<unsigned char>(sum / (factor * factor));
      }
  return out;
}

std::string encode_jpeg(const io::Picture& picture, int quality) {
  const auto bytes = io::jpeg_bytes(picture, quality);
  return data_uri("image/jpeg", reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

}  // namespace

std::string png_uri(ImageView image, float low, float high) {
  const auto grey = io::to_picture(image, low, high).pixels;
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.nx);
  png.height = static_cast<png_uint_32>(image.ny);
  png.format = PNG_FORMAT_GRAY;
  std::vector<unsigned char> buffer(PNG_IMAGE_PNG_SIZE_MAX(png));
  png_alloc_size_t size = buffer.size();
  if (png_image_write_to_memory(&png, buffer.data(), &size, 0, grey.data(), 0, nullptr) == 0)
    throw Error(ErrorCode::io, "a picture of {} × {} pixels could not be encoded: {}", image.nx, image.ny, png.message);
  return data_uri("image/png", buffer.data(), size);
}

std::string png_uri(ImageView image) {
  return png_uri(image, static_cast<float>(quantile(image, 0.01)), static_cast<float>(quantile(image, 0.99)));
}

std::string jpeg_uri(const Image& image, int side, int quality) {
  const auto small = thumbnail(image, side);
  return encode_jpeg(io::to_picture_auto(small), quality);
}

std::string jpeg_uri(const std::filesystem::path& png, int side, int quality) {
  try {
    return encode_jpeg(shrink(io::read_png(png), side), quality);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace frazil::report
