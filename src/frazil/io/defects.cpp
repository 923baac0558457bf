#include "frazil/io/defects.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "frazil/base/error.hpp"
#include "frazil/io/foreign.hpp"
#include "frazil/io/frame_file.hpp"

namespace frazil::io {
namespace {

constexpr std::uint64_t longest_list = 16U << 20U;

/// Defects on the frame's grid, gathered from rectangles on a finer or coarser one.
class Marks {
 public:
  Marks(int nx, int ny) : nx_(nx), ny_(ny), bad_(static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny)) {}
  /// Columns x0 … x1 − 1 and rows y0 … y1 − 1 of a grid of from_nx × from_ny cells.
  void add(std::int64_t x0, std::int64_t y0, std::int64_t x1, std::int64_t y1, int from_nx, int from_ny) {
    const auto low = [](std::int64_t v, int to, int from) { return v * to / from; };
    const auto high = [](std::int64_t v, int to, int from) { return (v * to + from - 1) / from; };
    for (auto y = low(y0, ny_, from_ny); y < high(y1, ny_, from_ny); ++y)
      for (auto x = low(x0, nx_, from_nx); x < high(x1, nx_, from_nx); ++x)
        bad_[static_cast<std::size_t>(y * nx_ + x)] = true;
  }
  [[nodiscard]] std::vector<std::uint64_t> list(const std::string& name) const {
    std::vector<std::uint64_t> pixels;
    for (std::size_t i = 0; i < bad_.size(); ++i)
      if (bad_[i]) pixels.push_back(i);
    if (pixels.size() == bad_.size())
      throw Error(ErrorCode::bad_input,
                  "{}: the defect map calls every pixel defective; a map has 1 at defects and 0 elsewhere", name);
    return pixels;
  }

 private:
  int nx_, ny_;
  std::vector<bool> bad_;
};

bool is_whole_factor(int a, int b) { return a > 0 && b > 0 && (a % b == 0 || b % a == 0); }

bool looks_like_image(std::span<const std::byte> head, const ByteSource& source) {
  return looks_like_tiff(head) || looks_like_dm(head) || looks_like_mrc(head) || looks_like_legacy_eer(source) ||
         !foreign_format(head).empty();
}

std::vector<std::uint64_t> from_map(ByteSource source, int nx, int ny) {
  const FrameFile file(std::move(source));
  const auto& info = file.info();
  if (info.nz != 1)
    throw Error(ErrorCode::bad_input, "{}: a defect map has one image, the file has {}", file.name(), info.nz);
  if (!is_whole_factor(info.nx, nx) || !is_whole_factor(info.ny, ny) ||
      static_cast<std::int64_t>(info.nx) * ny != static_cast<std::int64_t>(info.ny) * nx)
    throw Error(ErrorCode::bad_input, "{}: the defect map has {} x {} pixels, the movie {} x {}", file.name(), info.nx,
                info.ny, nx, ny);
  Image map;
  file.read(0, map);
  Marks marks(nx, ny);
  for (int y = 0; y < info.ny; ++y)
    for (int x = 0; x < info.nx; ++x)
      if (map(x, y) != 0) marks.add(x, y, x + 1, y + 1, info.nx, info.ny);
  return marks.list(file.name());
}

void refuse_serialem(const std::string& text, const std::string& name) {
  for (const std::string_view key :
       {"CameraSizeX", "CameraSizeY", "RotationFlip", "UsableArea", "BadColumns", "BadRows", "BadPixels",
        "PartialBadColumn", "PartialBadRow", "WasScaled", "K2Type"})
    if (text.find(key) != std::string::npos)
      throw Error(ErrorCode::unsupported,
                  "{}: this is a defect file of SerialEM (it has an entry {}), which is not read; make a map of it "
                  "with IMOD: clip defect -D FILE MOVIE MAP.tif",
                  name, key);
}

std::vector<std::uint64_t> from_list(const std::string& text, const std::string& name, int nx, int ny, int list_nx,
                                     int list_ny) {
  refuse_serialem(text, name);
  Marks marks(nx, ny);
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::array<std::int64_t, 4> v{};
    std::size_t count = 0;
    bool good = true;
    for (std::string word; words >> word; ++count) {
      const auto* end = word.data() + word.size();
      good = good && count < 4 && std::from_chars(word.data(), end, v[std::min<std::size_t>(count, 3)]).ptr == end;
    }
    if (count == 0) continue;
    if (!good || count != 4)
      throw Error(ErrorCode::bad_input, "{} line {}: expected four whole numbers, x y width height, found \"{}\"", name,
                  number, line.substr(0, 80));
    const auto [x, y, w, h] = v;
    if (x < 0 || y < 0 || w < 1 || h < 1 || x >= list_nx || y >= list_ny || w > list_nx - x || h > list_ny - y)
      throw Error(ErrorCode::bad_input,
                  "{} line {}: the rectangle at ({}, {}) of {} x {} pixels does not lie in a frame of {} x {}", name,
                  number, x, y, w, h, list_nx, list_ny);
    marks.add(x, y, x + w, y + h, list_nx, list_ny);
  }
  return marks.list(name);
}

}  // namespace

std::vector<std::uint64_t> read_defects(const std::filesystem::path& path, int nx, int ny, int list_nx, int list_ny) {
  return read_defects(ByteSource::open(path), nx, ny, list_nx, list_ny);
}

std::vector<std::uint64_t> read_defects(ByteSource source, int nx, int ny, int list_nx, int list_ny) {
  const auto head = source.head(mrc_header_bytes);
  if (looks_like_image(head, source)) return from_map(std::move(source), nx, ny);
  if (source.size() > longest_list)
    throw Error(ErrorCode::bad_input, "{}: a defect list has at most {} bytes, the file has {}", source.name(),
                longest_list, source.size());
  std::string text(static_cast<std::size_t>(source.size()), '\0');
  source.read(0, std::as_writable_bytes(std::span(text)));
  if (text.find('\0') != std::string::npos)
    throw Error(ErrorCode::bad_input,
                "{}: expected a defect map (MRC, TIFF, DM4) or a list (x y width height), found neither",
                source.name());
  return from_list(text, source.name(), nx, ny, list_nx > 0 ? list_nx : nx, list_ny > 0 ? list_ny : ny);
}

}  // namespace frazil::io
