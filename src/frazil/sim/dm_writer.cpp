#include "frazil/sim/dm_writer.hpp"

#include <cstring>
#include <vector>

namespace frazil::sim {
namespace {

std::string big(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xffU);
  return out;
}

/// Builds tags from the inside out.
struct Builder {
  int word_bytes;
  [[nodiscard]] std::string word(std::uint64_t v) const { return big(v, word_bytes); }
  [[nodiscard]] std::string tag(int kind, const std::string& name, const std::string& body) const {
    return big(static_cast<std::uint64_t>(kind), 1) + big(name.size(), 2) + name +
           (word_bytes == 8 ? big(body.size(), 8) : "") + body;
  }
  [[nodiscard]] std::string group(const std::vector<std::string>& tags) const {
    std::string body = big(1, 1) + big(0, 1) + word(tags.size());
    for (const auto& t : tags) body += t;
    return body;
  }
  [[nodiscard]] std::string folder(const std::string& name, const std::vector<std::string>& tags) const {
    return tag(20, name, group(tags));
  }
  [[nodiscard]] std::string value(const std::string& name, const std::vector<std::uint64_t>& info,
                                  const std::string& bytes) const {
    std::string body = "%%%%" + word(info.size());
    for (const auto v : info) body += word(v);
    return tag(21, name, body + bytes);
  }
  template <class T>
  [[nodiscard]] std::string number(const std::string& name, std::uint64_t type, T v) const {
    return value(name, {type}, std::string(reinterpret_cast<const char*>(&v), sizeof(T)));
  }
  [[nodiscard]] std::string text(const std::string& name, const std::string& ascii) const {
    std::string wide;
    for (const char c : ascii) wide += c, wide += '\0';
    return value(name, {20, 4, ascii.size()}, wide);
  }
  [[nodiscard]] std::string image(std::uint32_t type, std::uint64_t element, std::uint64_t length,
                                  const std::string& bytes, std::uint32_t nx, std::uint32_t ny, float scale_nm) const {
    const auto axis = folder("", {number("Origin", 6, 0.0F), number("Scale", 6, scale_nm), text("Units", "nm")});
    return folder("", {folder("ImageData", {folder("Calibrations", {folder("Dimension", {axis, axis})}),
                                            value("Data", {20, element, length}, bytes), number("DataType", 5, type),
                                            folder("Dimensions", {number("", 5, nx), number("", 5, ny)})}),
                       value("UniqueID", {15, 0, 2, 0, 5, 0, 5}, std::string(8, '\1'))});
  }
};

}  // namespace

std::string dm_file(const Image& image, int version) {
  const Builder b{version == 4 ? 8 : 4};
  std::string pixels;
  for (int y = image.ny() - 1; y >= 0; --y)
    pixels.append(reinterpret_cast<const char*>(image.row(y)), sizeof(float) * static_cast<std::size_t>(image.nx()));
  const auto nx = static_cast<std::uint32_t>(image.nx()), ny = static_cast<std::uint32_t>(image.ny());
  const auto body = b.group({b.folder(
      "ImageList", {b.image(23, 3, 4, std::string(16, '\x7f'), 2, 2, 1),
                    b.image(2, 6, image.size(), pixels, nx, ny, static_cast<float>(image.pixel_size.value() / 10))})});
  return big(static_cast<std::uint64_t>(version), 4) + b.word(body.size()) + big(1, 4) + body + std::string(8, '\0');
}

}  // namespace frazil::sim
