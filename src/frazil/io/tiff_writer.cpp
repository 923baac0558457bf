#include "frazil/io/tiff_writer.hpp"

#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"

namespace frazil::io {
namespace {

std::uint16_t format_of(PixelType type) {
  switch (type) {
    case PixelType::u8:
    case PixelType::u16:
      return SAMPLEFORMAT_UINT;
    case PixelType::i8:
    case PixelType::i16:
      return SAMPLEFORMAT_INT;
    case PixelType::f32:
      return SAMPLEFORMAT_IEEEFP;
    default:
      throw Error(ErrorCode::bad_input, "TIFF pixels of type {} are not written, only 8 and 16 bits and 32-bit float",
                  to_string(type));
  }
}

/// libtiff prints what it dislikes; here every failed call becomes an Error instead.
void silence_libtiff() {
  static const bool done = [] {
    TIFFSetErrorHandler(nullptr);
    TIFFSetWarningHandler(nullptr);
    return true;
  }();
  (void)done;
}

}  // namespace

struct TiffStackWriter::State {
  State(const std::filesystem::path& file_path, int width, int height, const TiffOptions& wanted)
      : path(file_path), file(file_path), options(wanted), nx(width), ny(height), format(format_of(wanted.type)) {
    if (nx < 1 || ny < 1)
      throw Error(ErrorCode::bad_input, "{}: a frame of {} x {} pixels cannot be written", path.string(), nx, ny);
    silence_libtiff();
    tiff = TIFFOpen(file.temporary().c_str(), options.big ? "w8" : "w");
    if (tiff == nullptr) throw Error(ErrorCode::io, "{}: cannot be created", path.string());
    row = static_cast<std::size_t>(row_bytes(options.type, nx));
    rows_per_strip =
        options.rows_per_strip > 0
            ? options.rows_per_strip
            : static_cast<int>(std::clamp<std::size_t>((1U << 20U) / row, 1, static_cast<std::size_t>(ny)));
  }
  ~State() {
    if (tiff != nullptr) TIFFClose(tiff);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void check(bool fine, std::string_view what) const {
    if (!fine) throw Error(ErrorCode::io, "{}: {} of frame {} failed", path.string(), what, frames + 1);
  }

  void set_tags() {
    bool fine = TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(nx)) != 0;
    fine &= TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(ny)) != 0;
    fine &= TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits_of(options.type)) != 0;
    fine &= TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, static_cast<int>(format)) != 0;
    fine &= TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1) != 0;
    fine &= TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK) != 0;
    fine &= TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) != 0;
    fine &= TIFFSetField(tiff, TIFFTAG_COMPRESSION,
                         options.compression == TiffCompression::none  ? COMPRESSION_NONE
                         : options.compression == TiffCompression::lzw ? COMPRESSION_LZW
                                                                       : COMPRESSION_ADOBE_DEFLATE) != 0;
    fine &= TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, static_cast<std::uint32_t>(rows_per_strip)) != 0;
    if (options.predictor && options.type != PixelType::f32 && options.compression != TiffCompression::none)
      fine &= TIFFSetField(tiff, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL) != 0;
    if (options.pixel_size > 0_A) {
      const auto per_cm = static_cast<float>(1e8 / options.pixel_size.value());
      fine &= TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER) != 0;
      fine &= TIFFSetField(tiff, TIFFTAG_XRESOLUTION, static_cast<double>(per_cm)) != 0;
      fine &= TIFFSetField(tiff, TIFFTAG_YRESOLUTION, static_cast<double>(per_cm)) != 0;
    }
    check(fine, "setting the tags");
  }

  void append(ImageView frame) {
    if (frame.nx != nx || frame.ny != ny)
      throw Error(ErrorCode::bad_input, "{}: a frame of {} x {} pixels does not fit a stack of {} x {}", path.string(),
                  frame.nx, frame.ny, nx, ny);
    set_tags();
    std::vector<std::byte> strip(row * static_cast<std::size_t>(rows_per_strip));
    for (int y0 = 0, number = 0; y0 < ny; y0 += rows_per_strip, ++number) {
      const int rows = std::min(rows_per_strip, ny - y0);
      for (int y = 0; y < rows; ++y) encode(frame, ny - 1 - (y0 + y), strip.data() + row * static_cast<std::size_t>(y));
      const auto bytes = static_cast<tmsize_t>(row * static_cast<std::size_t>(rows));
      check(TIFFWriteEncodedStrip(tiff, static_cast<std::uint32_t>(number), strip.data(), bytes) == bytes, "writing");
    }
    check(TIFFWriteDirectory(tiff) != 0, "writing the directory");
    ++frames;
  }

  void encode(ImageView frame, int y, std::byte* out) const {
    const std::span<const float> pixels(frame.row(y), static_cast<std::size_t>(nx));
    const auto result = encode_row(pixels, options.type, out);
    if (result.bad >= 0)
      throw Error(ErrorCode::bad_input, "{}: value {} at ({}, {}) of frame {} does not fit {} pixels", path.string(),
                  pixels[static_cast<std::size_t>(result.bad)], result.bad, y, frames + 1, to_string(options.type));
  }

  void close() {
    if (frames == 0) throw Error(ErrorCode::bad_input, "{}: a movie without frames cannot be written", path.string());
    check(TIFFFlush(tiff) != 0, "the last write");
    TIFFClose(tiff);
    tiff = nullptr;
    file.commit();
  }

  std::filesystem::path path;
  AtomicFile file;
  TiffOptions options;
  TIFF* tiff = nullptr;
  int nx, ny, frames = 0, rows_per_strip = 1;
  std::size_t row = 0;
  std::uint16_t format;
};

TiffStackWriter::TiffStackWriter(const std::filesystem::path& path, int nx, int ny, const TiffOptions& options)
    : state_(std::make_unique<State>(path, nx, ny, options)) {}
TiffStackWriter::~TiffStackWriter() = default;
TiffStackWriter::TiffStackWriter(TiffStackWriter&&) noexcept = default;
TiffStackWriter& TiffStackWriter::operator=(TiffStackWriter&&) noexcept = default;
void TiffStackWriter::append(ImageView frame) {
  expect(state_ != nullptr, "the stack is still open");
  state_->append(frame);
}
int TiffStackWriter::count() const { return state_ ? state_->frames : 0; }
void TiffStackWriter::close() {
  expect(state_ != nullptr, "the stack is still open");
  state_->close();
  state_.reset();
}

}  // namespace frazil::io
