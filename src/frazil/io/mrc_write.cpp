// Writing MRC: StackWriter, write_image, write_volume (image_file.hpp).
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/no_space.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/mrc.hpp"

namespace frazil::io {
namespace {

PixelType type_of(MrcMode mode) {
  switch (mode) {
    case MrcMode::i8:
      return PixelType::i8;
    case MrcMode::i16:
      return PixelType::i16;
    case MrcMode::f32:
      return PixelType::f32;
    case MrcMode::u16:
      return PixelType::u16;
    case MrcMode::f16:
      return PixelType::f16;
    case MrcMode::u4:
      return PixelType::u4;
  }
  throw Error(ErrorCode::bad_input, "MRC mode {} cannot be written, only 0, 1, 2, 6, 12 and 101",
              static_cast<int>(mode));
}

/// Minimum, maximum, mean and deviation of everything appended; Welford by rows, so that one pass is exact enough.
class RunningStatistics {
 public:
  void add(std::span<const float> row) {
    double sum = 0, squares = 0;
    const double pivot = count_ > 0 ? mean_ : (row.empty() ? 0.0 : static_cast<double>(row[0]));
    for (const float value : row) {
      const double d = static_cast<double>(value) - pivot;
      sum += d;
      squares += d * d;
      min_ = std::min(min_, value);
      max_ = std::max(max_, value);
    }
    const auto n = static_cast<double>(row.size());
    const double total = count_ + n, row_mean = pivot + sum / n, shift = row_mean - mean_;
    m2_ += squares - sum * sum / n + shift * shift * count_ * n / total;
    mean_ += shift * n / total;
    count_ = total;
  }
  [[nodiscard]] float min() const { return min_; }
  [[nodiscard]] float max() const { return max_; }
  [[nodiscard]] float mean() const { return static_cast<float>(mean_); }
  [[nodiscard]] float deviation() const {
    return static_cast<float>(std::sqrt(at_least_zero(m2_ / std::max(1.0, count_))));
  }

 private:
  float min_ = std::numeric_limits<float>::max(), max_ = std::numeric_limits<float>::lowest();
  double mean_ = 0, m2_ = 0, count_ = 0;
};

enum class Content { stack, volume };

struct HeaderWords {
  std::array<std::byte, mrc_header_bytes> bytes{};
  template <class T>
  void put(std::size_t offset, T value) {
    static_assert(sizeof(T) == 4);
    std::memcpy(bytes.data() + offset, &value, 4);
  }
  void text(std::size_t offset, std::string_view value) {
    std::memcpy(bytes.data() + offset, value.data(), value.size());
  }
};

HeaderWords make_header(int nx, int ny, int nz, Angstrom pixel_size, MrcMode mode, Content content,
                        const RunningStatistics& statistics) {
  HeaderWords h;
  const int mz = content == Content::volume ? nz : 1;  // a stack of images has a unit cell one section high
  const std::array<int, 3> size{nx, ny, nz}, grid{nx, ny, mz};
  for (std::size_t i = 0; i < 3; ++i) {
    h.put(4 * i, size[i]);
    h.put(28 + 4 * i, grid[i]);
    h.put(40 + 4 * i, static_cast<float>(pixel_size.value() * grid[i]));
    h.put(52 + 4 * i, 90.0F);
    h.put(64 + 4 * i, static_cast<int>(i) + 1);
  }
  h.put(12, static_cast<int>(mode));
  h.put(76, statistics.min());
  h.put(80, statistics.max());
  h.put(84, statistics.mean());
  h.put(88, content == Content::volume ? 1 : 0);
  h.put(108, 20140);                      // version of the standard
  h.put(152, std::uint32_t{1146047817});  // IMOD's stamp with bit 0: bytes of mode 0 are signed
  h.put(156, std::uint32_t{1});
  h.text(208, "MAP ");
  h.text(212, "\x44\x44");
  h.put(216, statistics.deviation());
  h.put(220, 1);
  h.text(224, "Written by frazil");
  return h;
}

/// An MRC file under a temporary name, section by section.
struct SectionWriter {
  SectionWriter(const std::filesystem::path& file_path, int width, int height, Angstrom pixel, MrcMode mrc_mode,
                Content what)
      : path(file_path),
        file(file_path),
        nx(width),
        ny(height),
        pixel_size(pixel),
        mode(mrc_mode),
        type(type_of(mrc_mode)),
        content(what) {
    if (nx < 1 || ny < 1)
      throw Error(ErrorCode::bad_input, "{}: an image of {} x {} pixels cannot be written", path.string(), nx, ny);
    fd = ::open(file.temporary().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) fail("cannot be created");
    write_all(HeaderWords{}.bytes);
  }
  ~SectionWriter() {
    if (fd >= 0) ::close(fd);
  }
  SectionWriter(const SectionWriter&) = delete;
  SectionWriter& operator=(const SectionWriter&) = delete;

  [[noreturn]] void fail(std::string_view what) const {
    const int error = errno;
    if (is_no_space(error)) throw NoSpace("{}: {}: {}", path.string(), what, std::strerror(error));
    throw Error(error == EMFILE ? ErrorCode::resource : ErrorCode::io, "{}: {}: {}", path.string(), what,
                std::strerror(error));
  }

  void write_all(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto written = ::write(fd, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("writing failed");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void append(ImageView image) {
    if (image.nx != nx || image.ny != ny)
      throw Error(ErrorCode::bad_input, "{}: an image of {} x {} pixels does not fit a stack of {} x {}", path.string(),
                  image.nx, image.ny, nx, ny);
    const auto row = static_cast<std::size_t>(row_bytes(type, nx));
    const int rows_in_band =
        static_cast<int>(std::clamp<std::size_t>((1U << 20U) / row, 1, static_cast<std::size_t>(ny)));
    std::vector<std::byte> band(row * static_cast<std::size_t>(rows_in_band));
    for (int y0 = 0; y0 < ny; y0 += rows_in_band) {
      const int rows = std::min(rows_in_band, ny - y0);
      for (int y = 0; y < rows; ++y) encode(image, y0 + y, band.data() + row * static_cast<std::size_t>(y));
      write_all({band.data(), row * static_cast<std::size_t>(rows)});
    }
    ++sections;
  }

  void encode(ImageView image, int y, std::byte* out) {
    const std::span<const float> pixels(image.row(y), static_cast<std::size_t>(nx));
    const auto result = encode_row(pixels, type, out);
    if (result.bad >= 0)
      throw Error(ErrorCode::bad_input, "{}: value {} at ({}, {}) of image {} does not fit MRC mode {} ({})",
                  path.string(), pixels[static_cast<std::size_t>(result.bad)], result.bad, y, sections + 1,
                  static_cast<int>(mode), to_string(type));
    statistics.add(pixels);
  }

  void close() {
    if (sections == 0) throw Error(ErrorCode::bad_input, "{}: a stack without images cannot be written", path.string());
    const auto header = make_header(nx, ny, sections, pixel_size, mode, content, statistics);
    if (::pwrite(fd, header.bytes.data(), header.bytes.size(), 0) != static_cast<ssize_t>(header.bytes.size()))
      fail("writing the header failed");
    const int closing = fd;
    fd = -1;
    if (::close(closing) != 0) fail("closing failed");
    file.commit();
  }

  std::filesystem::path path;
  AtomicFile file;
  int fd = -1;
  int nx, ny, sections = 0;
  Angstrom pixel_size;
  MrcMode mode;
  PixelType type;
  Content content;
  RunningStatistics statistics;
};

}  // namespace

struct StackWriter::State {
  State(const std::filesystem::path& path, int nx, int ny, Angstrom pixel_size, MrcMode mode)
      : writer(path, nx, ny, pixel_size, mode, Content::stack) {}
  SectionWriter writer;
};

StackWriter::StackWriter(const std::filesystem::path& path, int nx, int ny, Angstrom pixel_size, MrcMode mode)
    : state_(std::make_unique<State>(path, nx, ny, pixel_size, mode)) {}
StackWriter::~StackWriter() = default;
StackWriter::StackWriter(StackWriter&&) noexcept = default;
StackWriter& StackWriter::operator=(StackWriter&&) noexcept = default;
void StackWriter::append(ImageView image) {
  expect(state_ != nullptr, "the stack is still open");
  state_->writer.append(image);
}
int StackWriter::count() const { return state_ ? state_->writer.sections : 0; }
void StackWriter::close() {
  expect(state_ != nullptr, "the stack is still open");
  state_->writer.close();
  state_.reset();
}

void write_image(const std::filesystem::path& path, const Image& image, MrcMode mode) {
  write_image(path, image.view(), image.pixel_size, mode);
}

void write_image(const std::filesystem::path& path, ImageView image, Angstrom pixel_size, MrcMode mode) {
  StackWriter writer(path, image.nx, image.ny, pixel_size, mode);
  writer.append(image);
  writer.close();
}

void write_volume(const std::filesystem::path& path, const Volume& volume, MrcMode mode) {
  SectionWriter writer(path, volume.nx(), volume.ny(), volume.pixel_size, mode, Content::volume);
  for (int z = 0; z < volume.nz(); ++z) writer.append(volume.section(z));
  writer.close();
}

}  // namespace frazil::io
