#include "frazil/report/pictures.hpp"

#include <png.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <jpeglib.h>

#include "frazil/image/ops.hpp"

namespace frazil::report {
namespace {

using Bytes = std::vector<unsigned char>;

std::string data_uri(std::string_view type, const unsigned char* data, std::size_t size) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string uri = "data:" + std::string(type) + ";base64,";
  uri.reserve(uri.size() + size * 4 / 3 + 4);
  for (std::size_t i = 0; i < size; i += 3) {
    const unsigned block = (unsigned{data[i]} << 16) | (i + 1 < size ? unsigned{data[i + 1]} << 8 : 0) | (i + 2 < size ? unsigned{data[i + 2]} : 0);
    uri += alphabet[block >> 18];
    uri += alphabet[(block >> 12) & 63];
    uri += i + 1 < size ? alphabet[(block >> 6) & 63] : '=';
    uri += i + 2 < size ? alphabet[block & 63] : '=';
  }
  return uri;
}

struct Pixels {
  int width = 0, height = 0, channels = 1;
  Bytes data;
};

Pixels read_png(const std::filesystem::path& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  Pixels pixels;
  if (png_image_begin_read_from_file(&image, path.c_str()) == 0) return pixels;
  pixels.channels = (image.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1;
  image.format = pixels.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  pixels.width = static_cast<int>(image.width);
  pixels.height = static_cast<int>(image.height);
  pixels.data.resize(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, pixels.data.data(), 0, nullptr) == 0) pixels = {};
  return pixels;
}

Pixels shrink(Pixels pixels, int side) {
  const int factor = (std::max(pixels.width, pixels.height) + side - 1) / side;
  if (factor <= 1) return pixels;
  Pixels out{pixels.width / factor, pixels.height / factor, pixels.channels, {}};
  out.data.resize(static_cast<std::size_t>(out.width) * static_cast<std::size_t>(out.height * out.channels));
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x)
      for (int c = 0; c < out.channels; ++c) {
        int sum = 0;
        for (int j = 0; j < factor; ++j)
          for (int i = 0; i < factor; ++i)
            sum += pixels.data[static_cast<std::size_t>(((y * factor + j) * pixels.width + x * factor + i) * pixels.channels + c)];
        out.data[static_cast<std::size_t>((y * out.width + x) * out.channels + c)] = static_cast<unsigned char>(sum / (factor * factor));
      }
  return out;
}

std::string encode_jpeg(Pixels& pixels, int quality) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &buffer, &size);
  jpeg.image_width = static_cast<JDIMENSION>(pixels.width);
  jpeg.image_height = static_cast<JDIMENSION>(pixels.height);
  jpeg.input_components = pixels.channels;
  jpeg.in_color_space = pixels.channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = pixels.data.data() + static_cast<std::size_t>(jpeg.next_scanline) * static_cast<std::size_t>(pixels.width * pixels.channels);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  auto uri = data_uri("image/jpeg", buffer, size);
  jpeg_destroy_compress(&jpeg);
  std::free(buffer);
  return uri;
}

}  // namespace

std::string png_uri(ImageView image, float low, float high) {
  Bytes grey(static_cast<std::size_t>(image.nx) * static_cast<std::size_t>(image.ny));
  const float scale = high > low ? 255.0F / (high - low) : 0;
  for (int y = 0; y < image.ny; ++y)
    for (int x = 0; x < image.nx; ++x)
      grey[static_cast<std::size_t>(y * image.nx + x)] = static_cast<unsigned char>(std::clamp((image(x, y) - low) * scale, 0.0F, 255.0F));
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.nx);
  png.height = static_cast<png_uint_32>(image.ny);
  png.format = PNG_FORMAT_GRAY;
  Bytes buffer(PNG_IMAGE_PNG_SIZE_MAX(png));
  png_alloc_size_t size = buffer.size();
  if (png_image_write_to_memory(&png, buffer.data(), &size, 0, grey.data(), 0, nullptr) == 0)
    throw Error(ErrorCode::io, "a picture of {} × {} pixels could not be encoded: {}", image.nx, image.ny, png.message);
  return data_uri("image/png", buffer.data(), size);
}

std::string png_uri(ImageView image) {
  return png_uri(image, static_cast<float>(quantile(image, 0.01)), static_cast<float>(quantile(image, 0.99)));
}

std::string jpeg_uri(const std::filesystem::path& png, int side, int quality) {
  auto pixels = shrink(read_png(png), side);
  return pixels.data.empty() ? std::string() : encode_jpeg(pixels, quality);
}

}  // namespace frazil::report
