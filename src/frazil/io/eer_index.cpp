#include "frazil/io/eer_index.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

constexpr unsigned codec_8_bit = 65000, codec_7_bit = 65001, codec_variable = 65002;
constexpr int legacy_side = 4096;
constexpr std::string_view footer_start = "ThermoFisherECCompr", footer_good = "ThermoFisherECComprOK000";
constexpr std::uint64_t footer_bytes = 24, length_bytes = 8;

EerCodec codec_of(const TiffDirectory& d, const std::string& name) {
  if (d.compression == codec_8_bit) return {8, 2, 2, true};
  if (d.compression == codec_7_bit) return {7, 2, 2, false};
  const int sub_y = d.sub_y_bits >= 0 ? d.sub_y_bits : d.sub_x_bits;  // older writers give one number for both
  if (d.run_bits < 1 || d.run_bits > 16 || d.sub_x_bits < 0 || d.sub_x_bits > 4 || sub_y > 4)
    throw Error(ErrorCode::unsupported,
                "{}: EER compression 65002 with {} bits for the run and {} and {} for the place in the pixel (tags "
                "65007 to 65009) is not read, 1 to 16 and 0 to 4 are",
                name, d.run_bits, d.sub_x_bits, d.sub_y_bits);
  return {d.run_bits, d.sub_x_bits, sub_y, false};
}

/// The number of `<item name="NAME" …>NUMBER</item>`; 0 when there is none or it is no positive number.
double metadata_number(const std::string& xml, std::string_view item) {
  const auto at = xml.find(fmt::format("name=\"{}\"", item));
  if (at == std::string::npos) return 0;
  const auto begin = xml.find('>', at);
  if (begin == std::string::npos) return 0;
  const double value = std::strtod(xml.c_str() + begin + 1, nullptr);
  return value > 0 && value < 1e12 ? value : 0;
}

void read_metadata(const std::string& xml, EerIndex& index) {
  index.electrons_per_pixel = metadata_number(xml, "totalDose");
  const double size_A = 1e10 * metadata_number(xml, "sensorPixelSize.width");
  if (size_A >= 0.01 && size_A <= 1000) index.pixel_size = Angstrom(size_A);
}

}  // namespace

bool is_eer_compression(unsigned compression) { return compression >= codec_8_bit && compression <= codec_variable; }

bool has_eer_frames(const TiffScan& scan) {
  return std::any_of(scan.directories.begin(), scan.directories.end(),
                     [](const TiffDirectory& d) { return is_eer_compression(d.compression); });
}

EerIndex eer_index(TiffScan scan, const ByteSource& source) {
  const auto& name = source.name();
  if (scan.end != TiffEnd::whole)
    throw Error(ErrorCode::corrupt, "{}: the EER file is {}: {}", name,
                scan.end == TiffEnd::cut ? "unfinished or cut off" : "damaged", scan.problem);
  EerIndex index;
  for (std::size_t i = 0; i < scan.directories.size(); ++i) {
    const auto& d = scan.directories[i];
    if (!d.metadata.empty()) read_metadata(d.metadata, index);
    if (!is_eer_compression(d.compression)) continue;
    if (d.tiled || d.fill_order != 1)
      throw Error(ErrorCode::unsupported, "{}: raw frame {} has tiles or reversed bits, which EER does not know", name,
                  index.frames.size() + 1);
    const auto codec = codec_of(d, name);
    if (index.frames.empty()) {
      if (d.nx > eer_largest_side || d.ny > eer_largest_side)
        throw Error(ErrorCode::unsupported, "{}: the EER sensor has {} x {} pixels, at most {} a side are read", name,
                    d.nx, d.ny, eer_largest_side);
      index.nx = static_cast<int>(d.nx), index.ny = static_cast<int>(d.ny), index.codec = codec;
    } else if (static_cast<int>(d.nx) != index.nx || static_cast<int>(d.ny) != index.ny || !(codec == index.codec)) {
      throw Error(ErrorCode::unsupported,
                  "{}: raw frame {} has {} x {} pixels and {}-bit codes, the first has {} x {} and {}-bit ones", name,
                  index.frames.size() + 1, d.nx, d.ny, codec.code_bits(), index.nx, index.ny, index.codec.code_bits());
    }
    EerFrame frame{d.first_strip, d.strip_count, 0};
    for (std::size_t s = 0; s < d.strip_count; ++s) frame.bytes += scan.strips[d.first_strip + s].bytes;
    index.frames.push_back(frame);
  }
  if (index.frames.empty()) throw Error(ErrorCode::corrupt, "{}: the EER file holds no raw frame", name);
  index.strips = std::move(scan.strips);
  return index;
}

bool looks_like_legacy_eer(const ByteSource& source) {
  if (source.size() < footer_bytes + length_bytes || looks_like_tiff(source.head(4))) return false;
  std::string end(footer_bytes, '\0');
  source.read(source.size() - footer_bytes, std::as_writable_bytes(std::span(end)));
  return end.starts_with(footer_start);
}

bool begins_as_legacy_eer(const ByteSource& source) {
  const auto head = source.head(std::size_t{4} << 20U);
  const auto mark = std::as_bytes(std::span(footer_start));
  return std::search(head.begin(), head.end(), mark.begin(), mark.end()) != head.end();
}

LegacyEer scan_legacy_eer(const ByteSource& source) {
  LegacyEer found;
  auto& index = found.index;
  index.legacy = true;
  index.nx = index.ny = legacy_side;
  index.codec = {8, 2, 2, true};
  std::uint64_t end = source.size();
  while (end > 0) {
    std::byte tail[length_bytes + footer_bytes];
    if (end < sizeof(tail)) {
      found.problem = fmt::format("the first {} bytes belong to no frame", end);
      break;
    }
    source.read(end - sizeof(tail), tail);
    std::uint64_t words = 0;
    std::memcpy(&words, tail, length_bytes);
    const bool good = std::memcmp(tail + length_bytes, footer_good.data(), footer_bytes) == 0;
    if (!good && std::memcmp(tail + length_bytes, footer_start.data(), footer_start.size()) != 0) {
      found.problem = fmt::format("no frame ends at byte {}", end);
      break;
    }
    const std::uint64_t rest = end - sizeof(tail);
    if (words == 0 || words > rest / 8) {
      found.problem = fmt::format("the frame that ends at byte {} has {} words of 8 bytes, before it {} bytes are left",
                                  end, words, rest);
      break;
    }
    // A frame that the camera marks as wrong keeps its place; it has no bytes that could be decoded.
    index.frames.push_back({index.strips.size(), 1, good ? words * 8 : 0});
    index.strips.push_back({rest - words * 8, words * 8});
    end = rest - words * 8;
  }
  if (index.frames.empty() && found.problem.empty()) found.problem = "it holds no frame";
  std::reverse(index.frames.begin(), index.frames.end());
  return found;
}

}  // namespace frazil::io
