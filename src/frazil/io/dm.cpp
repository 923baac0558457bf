#include "frazil/io/dm.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

constexpr int deepest_tags = 64;
constexpr std::uint64_t most_dm_tags = 4'000'000;

enum : std::uint64_t { struct_type = 15, string_type = 18, array_type = 20 };

/// Bytes of a value of one of Gatan's simple types; 0 for the others.
std::uint64_t simple_bytes(std::uint64_t type) {
  static constexpr std::array<std::uint8_t, 13> bytes{0, 0, 2, 4, 2, 4, 4, 8, 1, 1, 1, 8, 8};
  return type < bytes.size() ? bytes[static_cast<std::size_t>(type)] : 0;
}

/// What the tags say of one image.
struct Candidate {
  std::optional<std::uint64_t> data_offset;
  std::uint64_t data_bytes = 0;
  int data_type = 0;
  std::vector<std::uint64_t> dimensions;
  double scale = 0;
  std::string units;
};

/// Reads forwards through a file in blocks.
class ByteCursor {
 public:
  explicit ByteCursor(const ByteSource& source) : source_(source) {}
  [[nodiscard]] std::uint64_t position() const { return position_; }
  void skip(std::uint64_t bytes) {
    if (!source_.holds(position_, bytes)) fail(bytes);
    position_ += bytes;
  }
  std::span<const std::byte> take(std::uint64_t bytes) {
    if (!source_.holds(position_, bytes) || bytes > block_bytes) fail(bytes);
    if (position_ < begin_ || position_ + bytes > begin_ + block_.size()) {
      begin_ = position_;
      block_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(block_bytes, source_.size() - begin_)));
      source_.read(begin_, block_);
    }
    const auto at = static_cast<std::size_t>(position_ - begin_);
    position_ += bytes;
    return std::span(block_).subspan(at, static_cast<std::size_t>(bytes));
  }
  std::uint64_t big_endian(int bytes) {
    std::uint64_t value = 0;
    for (const auto b : take(static_cast<std::uint64_t>(bytes)))
      value = value << 8U | std::to_integer<std::uint64_t>(b);
    return value;
  }
  std::string text(std::uint64_t bytes) {
    const auto raw = take(bytes);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }

 private:
  static constexpr std::uint64_t block_bytes = 1U << 17U;
  [[noreturn]] void fail(std::uint64_t bytes) const {
    throw Error(ErrorCode::corrupt,
                "{}: the DM file is cut off or damaged: {} bytes at offset {} are needed, it has {}", source_.name(),
                bytes, position_, source_.size());
  }
  const ByteSource& source_;
  std::uint64_t position_ = 0, begin_ = 0;
  std::vector<std::byte> block_;
};

class TagWalker {
 public:
  explicit TagWalker(const ByteSource& source) : name_(source.name()), cursor_(source) {}

  void walk() {
    version_ = static_cast<int>(cursor_.big_endian(4));
    (void)word();  // size of the file
    little_ = cursor_.big_endian(4) == 1;
    directory(0, "", -1);
  }
  std::vector<Candidate> images;
  [[nodiscard]] bool little() const { return little_; }

 private:
  /// A count or length: 4 bytes in DM3, 8 in DM4.
  std::uint64_t word() { return cursor_.big_endian(version_ == 4 ? 8 : 4); }

  void directory(int depth, const std::string& path, int image) {
    if (depth > deepest_tags)
      throw Error(ErrorCode::corrupt, "{}: the tags of the DM file are nested more than {} deep", name_, deepest_tags);
    cursor_.skip(2);
    const auto count = word();
    for (std::uint64_t i = 0; i < count; ++i) {
      if (++tags_ > most_dm_tags)
        throw Error(ErrorCode::corrupt, "{}: the DM file has more than {} tags", name_, most_dm_tags);
      const auto kind = cursor_.big_endian(1);
      if (kind == 0) return;  // end of file marker
      const auto label = cursor_.text(cursor_.big_endian(2));
      if (version_ == 4) cursor_.skip(8);
      const auto here = label.empty() ? path + "/#" : path + "/" + label;
      int inside = image;
      if (path == "/ImageList") {
        inside = static_cast<int>(images.size());
        images.emplace_back();
      }
      if (kind == 20)
        directory(depth + 1, here, inside);
      else if (kind == 21)
        data(here, inside);
      else
        throw Error(ErrorCode::corrupt, "{}: tag {} of the DM file has type {}, 20 or 21 is expected", name_, here,
                    kind);
    }
  }

  double number(std::uint64_t type) {
    const auto raw = cursor_.take(simple_bytes(type));
    std::array<std::byte, 8> bytes{};
    std::copy(raw.begin(), raw.end(), bytes.begin());
    if (!little_) std::reverse(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(raw.size()));
    const auto as = [&]<class T>(T value) {
      std::memcpy(&value, bytes.data(), sizeof(T));
      return static_cast<double>(value);
    };
    switch (type) {
      case 2:
        return as(std::int16_t{});
      case 3:
        return as(std::int32_t{});
      case 4:
        return as(std::uint16_t{});
      case 5:
        return as(std::uint32_t{});
      case 6:
        return as(float{});
      case 7:
        return as(double{});
      case 11:
        return as(std::int64_t{});
      case 12:
        return as(std::uint64_t{});
      default:
        return as(std::uint8_t{});
    }
  }

  /// Bytes of a value of a structure, whose fields the list describes.
  std::uint64_t struct_bytes(const std::vector<std::uint64_t>& info, std::size_t at) const {
    if (info.size() < at + 2 || info[at + 1] > (info.size() - at - 2) / 2)
      throw Error(ErrorCode::corrupt, "{}: a structure of the DM file is described wrongly", name_);
    std::uint64_t bytes = 0;
    for (std::uint64_t f = 0; f < info[at + 1]; ++f)
      bytes += simple_bytes(info[at + 3 + 2 * static_cast<std::size_t>(f)]);
    return bytes;
  }

  void data(const std::string& path, int image) {
    if (cursor_.text(4) != "%%%%")
      throw Error(ErrorCode::corrupt, "{}: tag {} of the DM file does not begin with %%%%", name_, path);
    const auto entries = word();
    if (entries < 1 || entries > 4096)
      throw Error(ErrorCode::corrupt, "{}: tag {} of the DM file is described by {} numbers", name_, path, entries);
    std::vector<std::uint64_t> info(static_cast<std::size_t>(entries));
    for (auto& v : info) v = word();
    const auto type = info[0];
    if (entries == 1 && simple_bytes(type) > 0) return note(path, image, number(type));
    if (type == struct_type) return cursor_.skip(struct_bytes(info, 1));
    if (type == string_type && entries >= 2) return cursor_.skip(info[1]);
    if (type != array_type || entries < 3)
      throw Error(ErrorCode::corrupt, "{}: tag {} of the DM file has a value of unknown type {}", name_, path, type);
    const auto each = info[1] == struct_type ? struct_bytes(info, 2) : simple_bytes(info[1]);
    const auto length = info.back();
    if (each == 0 || length > (std::uint64_t{1} << 48U))
      throw Error(ErrorCode::corrupt, "{}: tag {} of the DM file is an array of {} values of type {}", name_, path,
                  length, info[1]);
    if (image >= 0 && path.ends_with("/Calibrations/Dimension/#/Units") && info[1] == 4 && length < 64) {
      std::string units;
      for (std::uint64_t i = 0; i < length; ++i) {
        const int code = static_cast<int>(number(4));  // UTF-16; units need no more than its first 256 characters
        units += code < 256 ? static_cast<char>(static_cast<unsigned char>(code)) : '?';
      }
      if (auto& c = images[static_cast<std::size_t>(image)]; c.units.empty()) c.units = units;
      return;
    }
    if (image >= 0 && path.ends_with("/ImageData/Data")) {
      images[static_cast<std::size_t>(image)].data_offset = cursor_.position();
      images[static_cast<std::size_t>(image)].data_bytes = each * length;
    }
    cursor_.skip(each * length);
  }

  void note(const std::string& path, int image, double value) {
    if (image < 0) return;
    auto& c = images[static_cast<std::size_t>(image)];
    if (path.ends_with("/ImageData/DataType"))
      c.data_type = value >= 0 && value < 100 ? static_cast<int>(value) : -1;
    else if (path.ends_with("/ImageData/Dimensions/#"))
      c.dimensions.push_back(value >= 0 && value < 1e9 ? static_cast<std::uint64_t>(value) : 0);
    else if (path.ends_with("/Calibrations/Dimension/#/Scale") && c.scale == 0)
      c.scale = value;
  }

  const std::string& name_;
  ByteCursor cursor_;
  int version_ = 3;
  bool little_ = true;
  std::uint64_t tags_ = 0;
};

constexpr int rgb_data = 23;

PixelType pixel_type_of(int data_type, const std::string& name) {
  switch (data_type) {
    case 1:
      return PixelType::i16;
    case 2:
      return PixelType::f32;
    case 6:
      return PixelType::u8;
    case 7:
      return PixelType::i32;
    case 9:
      return PixelType::i8;
    case 10:
      return PixelType::u16;
    case 11:
      return PixelType::u32;
    case 12:
      return PixelType::f64;
    case 14:
      return PixelType::u8;  // a mask
    default:
      throw Error(ErrorCode::unsupported,
                  "{}: the image of the DM file has data type {}, only real grey images are read", name, data_type);
  }
}

Angstrom pixel_size_of(const Candidate& c) {
  const double unit_A = c.units == "nm"                         ? 10
                        : c.units == "A" || c.units == "\xc5"   ? 1
                        : c.units == "\xb5m" || c.units == "um" ? 1e4
                                                                : 0;
  const double size_A = c.scale * unit_A;
  return Angstrom(size_A >= 0.01 && size_A <= 1000 ? size_A : 0);
}

}  // namespace

bool looks_like_dm(std::span<const std::byte> head) {
  if (head.size() < 32) return false;
  const auto at = [&](std::size_t i) { return std::to_integer<int>(head[i]); };
  const int version = at(3);
  if (at(0) != 0 || at(1) != 0 || at(2) != 0 || (version != 3 && version != 4)) return false;
  const std::size_t order = version == 4 ? 12 : 8;  // byte order: 0 or 1, big-endian, then two flags
  return at(order) == 0 && at(order + 1) == 0 && at(order + 2) == 0 && at(order + 3) <= 1 && at(order + 4) <= 1 &&
         at(order + 5) <= 1;
}

DmImage open_dm(const ByteSource& source) {
  TagWalker walker(source);
  walker.walk();
  for (const auto& c : walker.images) {
    if (!c.data_offset || c.data_type == rgb_data) continue;  // the thumbnail
    DmImage image;
    image.type = pixel_type_of(c.data_type, source.name());
    image.swapped = walker.little() != (std::endian::native == std::endian::little);
    const auto side = [&](std::size_t i) { return c.dimensions.size() > i ? c.dimensions[i] : 1; };
    constexpr std::uint64_t most = 1U << 20U;
    if (c.dimensions.empty() || c.dimensions.size() > 3 || side(0) < 1 || side(1) < 1 || side(2) < 1 ||
        side(0) > most || side(1) > most || side(2) > most)
      throw Error(ErrorCode::unsupported,
                  "{}: the image of the DM file has {} dimensions ({} x {} x {}), 1 to 3 of reasonable size are read",
                  source.name(), c.dimensions.size(), side(0), side(1), side(2));
    image.nx = static_cast<int>(side(0)), image.ny = static_cast<int>(side(1)), image.nz = static_cast<int>(side(2));
    image.offset = *c.data_offset;
    const auto promised = image.section_bytes() * side(2);
    if (side(2) > c.data_bytes / image.section_bytes() || c.data_bytes != promised)
      throw Error(ErrorCode::corrupt, "{}: the DM file promises {} x {} x {} pixels, its data have {} bytes",
                  source.name(), image.nx, image.ny, image.nz, c.data_bytes);
    image.pixel_size = pixel_size_of(c);
    return image;
  }
  throw Error(ErrorCode::unsupported, "{}: the DM file holds no image but a thumbnail", source.name());
}

void read_dm_section(const ByteSource& source, const DmImage& image, int index, ImageSpan out) {
  expect(index >= 0 && index < image.nz && out.nx == image.nx && out.ny == image.ny,
         "the section exists and the image fits");
  std::vector<std::byte> row(static_cast<std::size_t>(row_bytes(image.type, image.nx)));
  for (int y = 0; y < image.ny; ++y) {
    source.read(image.offset + image.section_bytes() * static_cast<std::uint64_t>(index) +
                    row.size() * static_cast<std::size_t>(y),
                row);
    decode_row(row.data(), image.type, image.swapped, {out.row(image.ny - 1 - y), static_cast<std::size_t>(image.nx)});
  }
}

}  // namespace frazil::io
