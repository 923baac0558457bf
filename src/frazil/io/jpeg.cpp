// JPEG through libjpeg (picture.hpp). Its errors leave by longjmp, so between setjmp and the end of a call
// nothing is made that would need a destructor.
#include <cstdio>

#include <jpeglib.h>

#include <csetjmp>
#include <cstdlib>
#include <memory>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/io/picture.hpp"

namespace frazil::io {
namespace {

struct Trap {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

void leave(j_common_ptr common) {
  auto* trap = reinterpret_cast<Trap*>(common->err);
  common->err->format_message(common, trap->message);
  std::longjmp(trap->jump, 1);
}

void stay_silent(j_common_ptr) {}

void set_trap(Trap& trap) {
  jpeg_std_error(&trap.manager);
  trap.manager.error_exit = leave;
  trap.manager.output_message = stay_silent;
  trap.message[0] = 0;
}

/// First reading of the header; false with trap.message set on failure.
bool start_reading(jpeg_decompress_struct& jpeg, Trap& trap, const unsigned char* bytes, std::size_t size) {
  if (setjmp(trap.jump) != 0) return false;
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, bytes, static_cast<unsigned long>(size));
  jpeg_read_header(&jpeg, TRUE);
  jpeg.out_color_space = jpeg.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  return true;
}

bool read_rows(jpeg_decompress_struct& jpeg, Trap& trap, unsigned char* pixels, std::size_t row) {
  if (setjmp(trap.jump) != 0) return false;
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    unsigned char* at = pixels + row * jpeg.output_scanline;
    jpeg_read_scanlines(&jpeg, &at, 1);
  }
  jpeg_finish_decompress(&jpeg);
  return jpeg.err->num_warnings == 0;
}

/// Made by malloc, grown by libjpeg.
struct Encoded {
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
};

bool write_rows(jpeg_compress_struct& jpeg, Trap& trap, Encoded& to, const Picture& picture, int quality) {
  if (setjmp(trap.jump) != 0) return false;
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &to.bytes, &to.size);
  jpeg.image_width = static_cast<JDIMENSION>(picture.nx);
  jpeg.image_height = static_cast<JDIMENSION>(picture.ny);
  jpeg.input_components = picture.channels;
  jpeg.in_color_space = picture.channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  for (int y = 0; y < picture.ny; ++y) {
    auto* at = const_cast<unsigned char*>(picture.at(0, y));  // NOLINT: libjpeg reads only
    jpeg_write_scanlines(&jpeg, &at, 1);
  }
  jpeg_finish_compress(&jpeg);
  return true;
}

}  // namespace

std::string jpeg_bytes(const Picture& picture, int quality) {
  Trap trap;
  set_trap(trap);
  jpeg_compress_struct jpeg{};
  jpeg.err = &trap.manager;
  Encoded encoded;
  const bool written = write_rows(jpeg, trap, encoded, picture, quality);
  jpeg_destroy_compress(&jpeg);
  const std::unique_ptr<unsigned char, void (*)(void*)> owner(encoded.bytes, std::free);
  if (!written)
    throw Error(ErrorCode::io, "a picture of {} x {} pixels could not be encoded: {}", picture.nx, picture.ny,
                trap.message);
  return {reinterpret_cast<const char*>(encoded.bytes), encoded.size};
}

void write_jpeg(const std::filesystem::path& path, const Picture& picture, int quality) {
  write_text(path, jpeg_bytes(picture, quality));
}

Picture read_jpeg(const std::filesystem::path& path) {
  const auto source = ByteSource::open(path);
  std::vector<std::byte> bytes(static_cast<std::size_t>(source.size()));
  source.read(0, bytes);
  Trap trap;
  set_trap(trap);
  jpeg_decompress_struct jpeg{};
  jpeg.err = &trap.manager;
  Picture picture;
  bool fine = start_reading(jpeg, trap, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  const auto area = static_cast<std::uint64_t>(jpeg.image_width) * jpeg.image_height;
  if (fine && area / 4096 > source.size()) {
    fine = false;
    std::snprintf(trap.message, sizeof trap.message, "it promises more pixels than its bytes can hold");
  }
  if (fine) {
    picture = Picture(static_cast<int>(jpeg.image_width), static_cast<int>(jpeg.image_height),
                      jpeg.num_components == 1 ? 1 : 3);
    fine = read_rows(jpeg, trap, picture.pixels.data(),
                     static_cast<std::size_t>(picture.nx) * static_cast<std::size_t>(picture.channels));
  }
  jpeg_destroy_decompress(&jpeg);
  if (!fine)
    throw Error(ErrorCode::corrupt, "{}: not a valid JPEG: {}", source.name(),
                trap.message[0] != 0 ? trap.message : "its data end early or are damaged");
  return picture;
}

}  // namespace frazil::io
