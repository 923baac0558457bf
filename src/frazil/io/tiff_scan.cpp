// Walking the directories: scan_tiff (tiff_index.hpp).
#include <algorithm>
#include <charconv>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "frazil/base/error.hpp"
#include "frazil/io/tiff_index.hpp"

namespace frazil::io {
namespace {

/// Ends a walk; caught in scan_tiff.
struct Stop {
  TiffEnd end;
  std::string problem;
};

enum Tag : unsigned {
  subfile_type = 254,
  image_width = 256,
  image_length = 257,
  bits_per_sample = 258,
  compression_tag = 259,
  fill_order_tag = 266,
  description_tag = 270,
  strip_offsets = 273,
  samples_per_pixel = 277,
  rows_per_strip_tag = 278,
  strip_byte_counts = 279,
  x_resolution = 282,
  planar_configuration = 284,
  resolution_unit_tag = 296,
  predictor_tag = 317,
  tile_width = 322,
  tile_offsets = 324,
  sample_format_tag = 339,
  eer_metadata = 65001,
  eer_run_bits = 65007,
  eer_sub_x_bits = 65008,
  eer_sub_y_bits = 65009
};

constexpr std::uint64_t most_tiff_tags = 4096;

struct TiffEntry {
  unsigned tag = 0, type = 0;
  std::uint64_t count = 0;
  std::uint64_t place = 0;  ///< where the values stand
};

std::uint64_t type_bytes(unsigned type) {
  switch (type) {
    case 1:
    case 2:
    case 6:
    case 7:
      return 1;
    case 3:
    case 8:
      return 2;
    case 4:
    case 9:
    case 11:
    case 13:
      return 4;
    case 5:
    case 10:
    case 12:
    case 16:
    case 17:
    case 18:
      return 8;
    default:
      return 0;
  }
}

std::uint64_t number_at(std::string_view text) {
  std::uint64_t value = 0;
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Images that a description tells of: ImageJ's "images=40", tifffile's {"shape": [40, 512, 512], …}; 0: of none.
std::uint64_t described_frames(const TiffDirectory& d) {
  const std::string_view text = d.description;
  if (text.starts_with("ImageJ=")) {
    const auto at = text.find("images=");
    return at == std::string_view::npos ? 0 : number_at(text.substr(at + 7));
  }
  constexpr std::string_view key = "\"shape\": [";
  const auto at = text.find(key);
  if (!text.starts_with("{") || at == std::string_view::npos) return 0;
  auto list = text.substr(at + key.size());
  list = list.substr(0, list.find(']'));
  std::uint64_t pixels = 1;
  for (bool more = true; more;) {
    if (__builtin_mul_overflow(pixels, number_at(list), &pixels)) return 0;
    const auto comma = list.find(',');
    more = comma != std::string_view::npos;
    if (more) list.remove_prefix(comma + 1);
  }
  return pixels % (d.nx * d.ny) == 0 ? pixels / (d.nx * d.ny) : 0;
}

class DirectoryWalker {
 public:
  DirectoryWalker(const ByteSource& source, TiffScan& scan) : source_(source), scan_(scan) {}

  void walk() {
    auto offset = first_directory();
    if (offset == 0) throw Stop{TiffEnd::cut, "it has no directory yet"};
    std::unordered_set<std::uint64_t> seen;
    while (offset != 0) {
      if (!seen.insert(offset).second)
        throw Stop{TiffEnd::broken, fmt::format("its chain of directories comes back to offset {}", offset)};
      offset = directory(offset);
    }
    show_stack();
    refuse_overlaps();
  }

 private:
  [[nodiscard]] std::string frame() const { return fmt::format("directory {}", scan_.directories.size() + 1); }

  void need(std::uint64_t offset, std::uint64_t bytes, std::string_view what) {
    if (!source_.holds(offset, bytes))
      throw Stop{TiffEnd::cut, fmt::format("{} of {} lies at offset {} with {} bytes, the file has {} bytes", what,
                                           frame(), offset, bytes, source_.size())};
    scan_.extent = std::max(scan_.extent, offset + bytes);
  }

  template <class T>
  [[nodiscard]] T take(const std::byte* at) const {
    T value;
    std::memcpy(&value, at, sizeof(T));
    if (!scan_.swapped) return value;
    if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
    if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
    if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
  }
  [[nodiscard]] std::uint64_t offset_at(const std::byte* at) const {
    return scan_.big ? take<std::uint64_t>(at) : take<std::uint32_t>(at);
  }

  std::uint64_t first_directory() {
    const auto head = source_.head(16);
    if (head.size() < 8) throw Stop{TiffEnd::cut, fmt::format("its header has {} of 8 bytes", head.size())};
    scan_.swapped = head[0] == std::byte{'M'};
    const auto magic = take<std::uint16_t>(head.data() + 2);
    scan_.big = magic == 43;
    if (magic != 42 && magic != 43)
      throw Stop{TiffEnd::broken, fmt::format("its magic number is {}, 42 or 43 is expected", magic)};
    scan_.extent = scan_.big ? 16 : 8;
    if (!scan_.big) return take<std::uint32_t>(head.data() + 4);
    if (head.size() < 16) throw Stop{TiffEnd::cut, fmt::format("its header has {} of 16 bytes", head.size())};
    if (take<std::uint16_t>(head.data() + 4) != 8) throw Stop{TiffEnd::broken, "its BigTIFF offsets have not 8 bytes"};
    return take<std::uint64_t>(head.data() + 8);
  }

  /// Reads one directory and gives the offset of the next.
  std::uint64_t directory(std::uint64_t offset) {
    const std::uint64_t count_bytes = scan_.big ? 8 : 2, entry_bytes = scan_.big ? 20 : 12,
                        link_bytes = scan_.big ? 8 : 4;
    need(offset, count_bytes, "the start");
    std::byte raw_count[8];
    source_.read(offset, {raw_count, static_cast<std::size_t>(count_bytes)});
    const std::uint64_t count = scan_.big ? take<std::uint64_t>(raw_count) : take<std::uint16_t>(raw_count);
    if (count == 0 || count > most_tiff_tags)
      throw Stop{TiffEnd::broken, fmt::format("{} has {} tags, 1 to {} are expected", frame(), count, most_tiff_tags)};
    need(offset + count_bytes, count * entry_bytes + link_bytes, "the list of tags");
    std::vector<std::byte> raw(static_cast<std::size_t>(count * entry_bytes + link_bytes));
    source_.read(offset + count_bytes, raw);
    std::vector<TiffEntry> entries;
    entries.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i)
      entries.push_back(entry(raw.data() + i * entry_bytes, offset + count_bytes + i * entry_bytes));
    scan_.directories.push_back(interpret(entries));
    return offset_at(raw.data() + count * entry_bytes);
  }

  TiffEntry entry(const std::byte* raw, std::uint64_t offset) {
    TiffEntry e;
    e.tag = take<std::uint16_t>(raw), e.type = take<std::uint16_t>(raw + 2);
    const std::uint64_t inline_bytes = scan_.big ? 8 : 4, value_at = scan_.big ? 12 : 8;
    e.count = scan_.big ? take<std::uint64_t>(raw + 4) : take<std::uint32_t>(raw + 4);
    const auto bytes = type_bytes(e.type);
    if (bytes != 0 && e.count > ~std::uint64_t{0} / bytes)
      throw Stop{TiffEnd::broken, fmt::format("tag {} of {} has {} values", e.tag, frame(), e.count)};
    const bool is_inline = bytes * e.count <= inline_bytes;
    e.place = is_inline ? offset + value_at : offset_at(raw + value_at);
    if (!is_inline) need(e.place, bytes * e.count, fmt::format("the value of tag {}", e.tag));
    return e;
  }

  /// All values of a tag of integers.
  std::vector<std::uint64_t> integers(const TiffEntry& e) const {
    const auto bytes = type_bytes(e.type);
    if (e.type != 1 && e.type != 3 && e.type != 4 && e.type != 16)
      throw Stop{TiffEnd::broken,
                 fmt::format("tag {} of {} has type {}, an integer is expected", e.tag, frame(), e.type)};
    if (!source_.holds(e.place, bytes * e.count))
      throw Stop{TiffEnd::cut, fmt::format("tag {} of {} lies behind the end of the file", e.tag, frame())};
    std::vector<std::byte> raw(static_cast<std::size_t>(bytes * e.count));
    source_.read(e.place, raw);
    std::vector<std::uint64_t> values(static_cast<std::size_t>(e.count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto* at = raw.data() + i * bytes;
      values[i] = bytes == 1   ? std::to_integer<std::uint64_t>(*at)
                  : bytes == 2 ? take<std::uint16_t>(at)
                  : bytes == 4 ? take<std::uint32_t>(at)
                               : take<std::uint64_t>(at);
    }
    return values;
  }

  std::uint64_t first_integer(const TiffEntry& e) const {
    if (e.count == 0) throw Stop{TiffEnd::broken, fmt::format("tag {} of {} has no value", e.tag, frame())};
    auto one = e;
    one.count = 1;
    return integers(one)[0];
  }

  std::string text(const TiffEntry& e) const { return e.type == 2 ? bytes_of(e, 256) : std::string(); }

  /// The first `most` bytes of a value of single bytes.
  std::string bytes_of(const TiffEntry& e, std::uint64_t most) const {
    if (type_bytes(e.type) != 1) return {};
    std::string value(static_cast<std::size_t>(std::min(e.count, most)), '\0');
    source_.read(e.place, std::as_writable_bytes(std::span(value)));
    return value;
  }

  /// −1 for what is no small number.
  int bit_depth(const TiffEntry& e) const {
    const bool integer = e.count == 1 && (e.type == 1 || e.type == 3 || e.type == 4 || e.type == 16);
    return integer ? static_cast<int>(std::min<std::uint64_t>(first_integer(e), 99)) : -1;
  }

  double rational(const TiffEntry& e) const {
    if (e.type != 5 || e.count != 1) return 0;
    std::byte raw[8];
    source_.read(e.place, raw);
    const auto below = take<std::uint32_t>(raw + 4);
    return below == 0 ? 0 : static_cast<double>(take<std::uint32_t>(raw)) / below;
  }

  TiffDirectory interpret(const std::vector<TiffEntry>& entries) {
    TiffDirectory d;
    const TiffEntry *offsets = nullptr, *counts = nullptr;
    for (const auto& e : entries) {
      const auto value = [&] { return static_cast<unsigned>(first_integer(e)); };
      switch (e.tag) {
        case subfile_type:
          d.subfile = value();
          break;
        case image_width:
          d.nx = first_integer(e);
          break;
        case image_length:
          d.ny = first_integer(e);
          break;
        case bits_per_sample:
          d.bits = value();
          break;
        case compression_tag:
          d.compression = value();
          break;
        case fill_order_tag:
          d.fill_order = value();
          break;
        case samples_per_pixel:
          d.samples = value();
          break;
        case rows_per_strip_tag:
          d.rows_per_strip = first_integer(e);
          break;
        case planar_configuration:
          d.planar = value();
          break;
        case description_tag:
          d.description = text(e);
          break;
        case x_resolution:
          d.pixels_per_unit = rational(e);
          break;
        case resolution_unit_tag:
          d.resolution_unit = value();
          break;
        case predictor_tag:
          d.predictor = value();
          break;
        case sample_format_tag:
          d.sample_format = value();
          break;
        case tile_width:
        case tile_offsets:
          d.tiled = true;
          break;
        case eer_metadata:
          if (scan_.directories.size() < 2) d.metadata = bytes_of(e, 65536);
          break;
        case eer_run_bits:
          d.run_bits = bit_depth(e);
          break;
        case eer_sub_x_bits:
          d.sub_x_bits = bit_depth(e);
          break;
        case eer_sub_y_bits:
          d.sub_y_bits = bit_depth(e);
          break;
        case strip_offsets:
          offsets = &e;
          break;
        case strip_byte_counts:
          counts = &e;
          break;
        default:
          break;
      }
    }
    constexpr std::uint64_t most = 1U << 20U;
    if (d.nx < 1 || d.ny < 1 || d.nx > most || d.ny > most)
      throw Stop{TiffEnd::broken, fmt::format("{} promises {} x {} pixels", frame(), d.nx, d.ny)};
    if (d.rows_per_strip == 0 || d.rows_per_strip > d.ny) d.rows_per_strip = d.ny;
    if (!d.tiled) strips(d, offsets, counts);
    return d;
  }

  void strips(TiffDirectory& d, const TiffEntry* offsets, const TiffEntry* counts) {
    if (offsets == nullptr) throw Stop{TiffEnd::broken, fmt::format("{} says nothing of its strips", frame())};
    const auto wanted =
        (d.ny + d.rows_per_strip - 1) / d.rows_per_strip * (d.planar == 2 ? std::max(1U, d.samples) : 1U);
    if (offsets->count != wanted || (counts != nullptr && counts->count != wanted))
      throw Stop{TiffEnd::broken,
                 fmt::format("{} has {} strip offsets and {} strip sizes, its {} rows by {} need {}", frame(),
                             offsets->count, counts != nullptr ? counts->count : 0, d.ny, d.rows_per_strip, wanted)};
    if (counts == nullptr && (d.compression != 1 || wanted != 1))
      throw Stop{TiffEnd::broken, fmt::format("{} says nothing of the sizes of its strips", frame())};
    if (scan_.strips.size() + wanted > source_.size() / 2)  // each needs its own entry in a table
      throw Stop{TiffEnd::broken, fmt::format("{} brings the number of strips to {}, more than {} bytes can hold",
                                              frame(), scan_.strips.size() + wanted, source_.size())};
    const auto begin = integers(*offsets);
    const auto size =
        counts != nullptr ? integers(*counts) : std::vector<std::uint64_t>{(d.nx * d.bits + 7) / 8 * d.ny};
    d.first_strip = scan_.strips.size(), d.strip_count = begin.size();
    for (std::size_t i = 0; i < begin.size(); ++i) {
      if (begin[i] == 0 || size[i] == 0)
        throw Stop{TiffEnd::broken, fmt::format("strip {} of {} is empty", i + 1, frame())};
      need(begin[i], size[i], fmt::format("strip {}", i + 1));
      scan_.strips.push_back({begin[i], size[i]});
    }
  }

  /// Some programs put a stack behind a single directory: the data of the frames follow one another, and only the
  /// description tells how many. Such frames get a directory each.
  void show_stack() {
    if (scan_.directories.size() != 1) return;
    const auto first = scan_.directories.front();
    const auto frames = described_frames(first);
    if (frames <= 1) return;
    constexpr std::uint64_t most = 100000;  // what is listed here stays small beside the file
    const auto bytes = (first.nx * first.bits + 7) / 8 * first.ny;
    auto end = first.strip_count > 0 ? scan_.strips.front().offset : 0;
    const auto follows = [&](const TiffStrip& strip) { return strip.offset == std::exchange(end, end + strip.bytes); };
    const bool plain = frames <= most && !first.tiled && first.compression == 1 && first.samples == 1 &&
                       std::all_of(scan_.strips.begin(), scan_.strips.end(), follows) &&
                       end == scan_.strips.front().offset + bytes &&
                       end == scan_.extent;  // nothing else lies behind it
    if (!plain)
      throw Stop{TiffEnd::broken,
                 fmt::format("its description tells of {} images behind one directory, which are read only when they "
                             "follow one another uncompressed: save them with a directory each",
                             frames)};
    const auto strips = scan_.strips;
    if (bytes > source_.size() || frames > source_.size() / bytes ||
        !source_.holds(strips.front().offset, frames * bytes))
      throw Stop{TiffEnd::cut,
                 fmt::format("its description tells of {} images with {} bytes each, the file has {} bytes", frames,
                             bytes, source_.size())};
    for (std::uint64_t frame = 1; frame < frames; ++frame) {
      auto next = first;
      next.description.clear();
      next.first_strip = scan_.strips.size();
      for (const auto& strip : strips) scan_.strips.push_back({strip.offset + frame * bytes, strip.bytes});
      scan_.directories.push_back(std::move(next));
    }
    scan_.extent = std::max(scan_.extent, strips.front().offset + frames * bytes);
  }

  void refuse_overlaps() const {
    auto sorted = scan_.strips;
    const auto by_offset = [](const TiffStrip& a, const TiffStrip& b) { return a.offset < b.offset; };
    if (!std::is_sorted(sorted.begin(), sorted.end(), by_offset)) std::sort(sorted.begin(), sorted.end(), by_offset);
    for (std::size_t i = 1; i < sorted.size(); ++i)
      if (sorted[i - 1].offset + sorted[i - 1].bytes > sorted[i].offset)
        throw Stop{TiffEnd::broken, fmt::format("two of its strips overlap at offset {}", sorted[i].offset)};
  }

  const ByteSource& source_;
  TiffScan& scan_;
};

}  // namespace

bool looks_like_tiff(std::span<const std::byte> head) {
  if (head.size() < 4) return false;
  const auto is = [&](std::size_t i, int value) { return std::to_integer<int>(head[i]) == value; };
  const bool little = is(0, 'I') && is(1, 'I') && (is(2, 42) || is(2, 43)) && is(3, 0);
  const bool large = is(0, 'M') && is(1, 'M') && is(2, 0) && (is(3, 42) || is(3, 43));
  return little || large;
}

TiffScan scan_tiff(const ByteSource& source) {
  TiffScan scan;
  try {
    DirectoryWalker(source, scan).walk();
    scan.end = TiffEnd::whole;
  } catch (Stop& stop) {
    scan.end = stop.end;
    scan.problem = std::move(stop.problem);
  }
  return scan;
}

}  // namespace frazil::io
