#include "frazil/sim/eer_writer.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"

namespace frazil::sim {
namespace {

/// Numbers of any width, lowest bit first.
class BitSink {
 public:
  void put(unsigned value, int width) {
    for (int i = 0; i < width; ++i) {
      if (used_ == 0) bytes.push_back(0);
      bytes.back() = static_cast<std::uint8_t>(bytes.back() | ((value >> i & 1U) << used_));
      used_ = (used_ + 1) % 8;
    }
  }
  std::vector<std::uint8_t> bytes;

 private:
  int used_ = 0;
};

struct Widths {
  int run, x, y;
  bool place_after_full_run;  ///< 8-bit codes are always 12 bits long
};

Widths widths_of(const EerFormat& f) {
  if (f.legacy || f.compression == 65000) return {8, 2, 2, true};
  if (f.compression == 65001) return {7, 2, 2, false};
  return {f.run_bits, f.sub_x_bits, f.sub_y_bits, false};
}

/// The `bits` highest bits of a place in quarters, as a signed number: the left half of a pixel is negative.
unsigned place(unsigned quarter, int bits) {
  if (bits == 0) return 0;
  const int sixteenths = static_cast<int>(quarter) * 4 + 1;            // a point inside the quarter
  const int cell = (sixteenths << bits) >> 4, half = 1 << (bits - 1);  // cell 0 … 2^bits − 1
  const int number = cell - half;
  return static_cast<unsigned>(number + (1 << bits)) & ((1U << static_cast<unsigned>(bits)) - 1U);
}

/// Gap of empty pixels before an electron, or before the end of the sensor.
void put_gap(BitSink& sink, std::uint32_t gap, const Widths& w) {
  const auto full = (1U << static_cast<unsigned>(w.run)) - 1U;
  for (; gap >= full; gap -= full) {
    sink.put(full, w.run);
    if (w.place_after_full_run) sink.put(0, w.x + w.y);
  }
  sink.put(gap, w.run);
}

}  // namespace

std::vector<std::uint8_t> encode_electrons(std::span<const Electron> electrons, int nx, int ny,
                                           const EerFormat& format) {
  const auto w = widths_of(format);
  const auto total = static_cast<std::uint32_t>(nx) * static_cast<std::uint32_t>(ny);
  BitSink sink;
  std::uint32_t next = 0;
  for (const auto& e : electrons) {
    expect(e.pixel >= next && e.pixel < total, "electrons come in ascending order, one a pixel");
    put_gap(sink, e.pixel - next, w);
    sink.put(place(e.quarter_x, w.x), w.x);
    sink.put(place(e.quarter_y, w.y), w.y);
    next = e.pixel + 1;
  }
  put_gap(sink, total - next, w);
  if (w.place_after_full_run) sink.put(0, w.x + w.y);
  return sink.bytes;
}

std::string eer_metadata(int raw_frames, double exposure_s, double electrons_per_pixel, int nx, int ny,
                         double pixel_size_A) {
  std::string xml = "<metadata>";
  const auto item = [&](const char* name, const char* unit, const std::string& value) {
    xml += fmt::format("<item name=\"{}\"{}>{}</item>", name,
                       *unit == '\0' ? std::string() : fmt::format(" unit=\"{}\"", unit), value);
  };
  item("cameraName", "", "simulated");
  item("exposureTime", "s", fmt::format("{}", exposure_s));
  item("meanDoseRate", "e/pixel/s", fmt::format("{}", electrons_per_pixel / exposure_s));
  item("numberOfFrames", "", fmt::format("{}", raw_frames));
  item("sensorImageHeight", "pixel", fmt::format("{}", ny));
  item("sensorImageWidth", "pixel", fmt::format("{}", nx));
  item("sensorPixelSize.height", "m", fmt::format("{}", pixel_size_A * 1e-10));
  item("sensorPixelSize.width", "m", fmt::format("{}", pixel_size_A * 1e-10));
  item("totalDose", "e/pixel", fmt::format("{}", electrons_per_pixel));
  return xml + "</metadata>";
}

struct EerWriter::State {
  AtomicFile file;
  std::ofstream out;
  int nx, ny;
  EerFormat format;
  std::string metadata;
  std::uint64_t position = 0, link = 0;  ///< where the offset of the next directory is to be written
  bool first = true;

  State(const std::filesystem::path& path, int nx_, int ny_, EerFormat f, std::string xml)
      : file(path), out(file.temporary(), std::ios::binary), nx(nx_), ny(ny_), format(f), metadata(std::move(xml)) {}

  void write(const void* data, std::size_t bytes) {
    out.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    position += bytes;
  }
  void number(std::uint64_t value, std::size_t bytes) { write(&value, bytes); }  // little-endian, as this machine
  void align(std::uint64_t to) {
    while (position % to != 0) number(0, 1);
  }
  [[nodiscard]] std::size_t offset_bytes() const { return format.big ? 8 : 4; }

  void header() {
    if (format.legacy) return;
    write("II", 2);
    number(format.big ? 43 : 42, 2);
    if (format.big) number(8, 2), number(0, 2);
    link = position;
    number(0, offset_bytes());
  }

  struct Tag {
    unsigned tag, type;
    std::uint64_t count, value;
  };
  /// A directory at the end of the file, and the link to it.
  void directory(std::vector<Tag> tags) {
    align(8);
    const std::uint64_t here = position;
    out.seekp(static_cast<std::streamoff>(link));
    out.write(reinterpret_cast<const char*>(&here), static_cast<std::streamsize>(offset_bytes()));
    out.seekp(static_cast<std::streamoff>(position));
    std::sort(tags.begin(), tags.end(), [](const Tag& a, const Tag& b) { return a.tag < b.tag; });
    number(tags.size(), format.big ? 8 : 2);
    for (const auto& t : tags) {
      number(t.tag, 2), number(t.type, 2);
      number(t.count, offset_bytes()), number(t.value, offset_bytes());
    }
    link = position;
    number(0, offset_bytes());
  }
  /// A table of offsets or sizes, in the tag itself when it has one entry.
  Tag table(unsigned tag, const std::vector<std::uint64_t>& values) {
    const unsigned type = format.big ? 16 : 4;
    if (values.size() == 1) return {tag, type, 1, values[0]};
    align(8);
    const auto here = position;
    for (const auto v : values) number(v, offset_bytes());
    return {tag, type, values.size(), here};
  }

  void image(std::span<const std::uint8_t> bytes, unsigned compression, unsigned bits, int pieces) {
    std::vector<std::uint64_t> offsets, sizes;
    const auto rows = (ny + pieces - 1) / pieces;
    const auto strips = static_cast<std::size_t>((ny + rows - 1) / rows);
    for (std::size_t i = 0; i < strips; ++i) {
      const auto from = bytes.size() * i / strips, to = bytes.size() * (i + 1) / strips;
      offsets.push_back(position), sizes.push_back(to - from);
      write(bytes.data() + from, to - from);
    }
    std::vector<Tag> tags{{256, 4, 1, static_cast<std::uint64_t>(nx)},
                          {257, 4, 1, static_cast<std::uint64_t>(ny)},
                          {258, 3, 1, bits},
                          {259, 3, 1, compression},
                          {262, 3, 1, 1},
                          {277, 3, 1, 1},
                          {278, 4, 1, static_cast<std::uint64_t>(rows)},
                          table(273, offsets),
                          table(279, sizes)};
    if (first && !metadata.empty()) {
      const auto here = position;
      write(metadata.data(), metadata.size());
      tags.push_back({65001, 7, metadata.size(), here});
    }
    if (compression == 65002) {
      tags.push_back({65007, 3, 1, static_cast<std::uint64_t>(format.run_bits)});
      tags.push_back({65008, 3, 1, static_cast<std::uint64_t>(format.sub_x_bits)});
      if (format.write_sub_y_bits) tags.push_back({65009, 3, 1, static_cast<std::uint64_t>(format.sub_y_bits)});
    }
    first = false;
    directory(std::move(tags));
  }
};

EerWriter::EerWriter(const std::filesystem::path& path, int nx, int ny, const EerFormat& format,
                     const std::string& metadata_xml)
    : state_(std::make_unique<State>(path, nx, ny, format, metadata_xml)) {
  if (!state_->out) throw Error(ErrorCode::io, "{}: cannot be written", path.string());
  state_->header();
  if (format.final_image && !format.legacy)
    state_->image(std::vector<std::uint8_t>(2 * static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny)), 1, 16, 1);
}
EerWriter::~EerWriter() = default;
EerWriter::EerWriter(EerWriter&&) noexcept = default;

void EerWriter::append(std::span<const Electron> electrons) {
  append_bytes(encode_electrons(electrons, state_->nx, state_->ny, state_->format));
}

void EerWriter::append_bytes(std::span<const std::uint8_t> bytes) {
  auto& s = *state_;
  if (!s.format.legacy) return s.image(bytes, static_cast<unsigned>(s.format.compression), 1, s.format.strips);
  s.write(bytes.data(), bytes.size());
  s.align(8);
  s.number((bytes.size() + 7) / 8, 8);
  s.write("ThermoFisherECComprOK000", 24);
}

void EerWriter::close() {
  state_->out.close();
  if (!state_->out) throw Error(ErrorCode::io, "{}: writing failed", state_->file.temporary().string());
  state_->file.commit();
}

}  // namespace frazil::sim
