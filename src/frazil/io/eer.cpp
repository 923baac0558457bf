#include "frazil/io/eer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>

#include "frazil/base/error.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"

namespace frazil::io {
namespace {

constexpr int usual_fractions = 40;
constexpr Dose usual_dose = 1_e_per_A2;
constexpr int band_cells = 256 * 1024;  ///< counters of one band; 16 bits each stay in a second-level cache

/// Eighths of a sensor pixel in a cell of the grid, as a shift.
unsigned cell_shift(EerGrid grid) { return 4U - static_cast<unsigned>(grid); }
int side(int n, EerGrid grid) { return grid == EerGrid::k2 ? n / 2 : n << (static_cast<unsigned>(grid) - 1U); }

EerIndex index_of(const ByteSource& source) {
  if (looks_like_tiff(source.head(4))) {
    auto scan = scan_tiff(source);
    return eer_index(std::move(scan), source);
  }
  auto found = scan_legacy_eer(source);
  if (!found.problem.empty())
    throw Error(ErrorCode::corrupt, "{}: the EER file without TIFF is damaged: {}", source.name(), found.problem);
  return std::move(found.index);
}

/// More bytes than the codes of a frame can fill.
bool is_too_long(const EerFrame& frame, const EerIndex& index) {
  const auto pixels = static_cast<std::uint64_t>(index.nx) * static_cast<std::uint64_t>(index.ny);
  return frame.bytes > (pixels + 1) * static_cast<std::uint64_t>(index.codec.code_bits()) / 8 + 4096;
}

}  // namespace

int eer_fractions(int raw_frames, const EerGrouping& grouping) {
  expect(raw_frames > 0, "an EER movie has raw frames");
  double each = grouping.raw_per_fraction;
  if (!(each > 0) && grouping.per_raw_frame > 0_e_per_A2)
    each = (grouping.per_fraction > 0_e_per_A2 ? grouping.per_fraction : usual_dose) / grouping.per_raw_frame;
  if (!(each > 0)) return std::min(raw_frames, usual_fractions);
  return std::clamp(static_cast<int>(raw_frames / std::max(each, 1.0) + 1e-9), 1, raw_frames);
}

std::pair<int, int> raw_frames_of(int index, int fractions, int raw_frames) {
  const auto begin = [&](std::int64_t i) { return static_cast<int>(i * raw_frames / fractions); };
  return {begin(index), begin(index + 1)};
}

struct EerFile::Cache {
  explicit Cache(std::size_t frames) : once(new std::once_flag[frames]), marks(frames) {}
  std::unique_ptr<std::once_flag[]> once;
  std::vector<EerMarks> marks;
};

EerFile::EerFile(ByteSource source)
    : source_(std::move(source)), index_(index_of(source_)), cache_(std::make_shared<Cache>(index_.frames.size())) {}
EerFile::EerFile(ByteSource source, EerIndex index)
    : source_(std::move(source)), index_(std::move(index)), cache_(std::make_shared<Cache>(index_.frames.size())) {}

Dose EerFile::dose_per_raw_frame() const {
  if (!(index_.electrons_per_pixel > 0) || !(index_.pixel_size > 0_A)) return {};
  return Dose(index_.electrons_per_pixel / raw_frames() / std::pow(index_.pixel_size.value(), 2));
}

/// Bytes [from, to) of the stream of a raw frame, which strips cut, and slack.
void EerFile::read(int raw_frame, std::uint64_t from, std::uint64_t to, std::vector<std::byte>& out) const {
  const auto& frame = index_.frames[z(raw_frame)];
  out.resize(static_cast<std::size_t>(to - from) + eer_slack);
  std::fill(out.end() - static_cast<std::ptrdiff_t>(eer_slack), out.end(), std::byte{0});
  std::uint64_t strip_begin = 0;
  for (std::size_t s = 0; s < frame.strip_count && strip_begin < to; ++s) {
    const auto& strip = index_.strips[frame.first_strip + s];
    const auto first = std::max(from, strip_begin), last = std::min(to, strip_begin + strip.bytes);
    if (first < last)
      source_.read(strip.offset + first - strip_begin, std::span(out).subspan(static_cast<std::size_t>(first - from),
                                                                              static_cast<std::size_t>(last - first)));
    strip_begin += strip.bytes;
  }
}

/// Marks of a raw frame; when this call is the one that makes them, `bytes` receives the whole frame.
const EerMarks& EerFile::marks(int raw_frame, std::vector<std::byte>* bytes) const {
  expect(raw_frame >= 0 && raw_frame < raw_frames(), "the raw frame exists");
  auto& made = cache_->marks[z(raw_frame)];
  std::call_once(cache_->once[z(raw_frame)], [&] {
    const auto& frame = index_.frames[z(raw_frame)];
    if (frame.bytes == 0 || is_too_long(frame, index_)) return;
    std::vector<std::byte> own;
    auto& buffer = bytes != nullptr ? *bytes : own;
    read(raw_frame, 0, frame.bytes, buffer);
    made = mark_eer_frame(buffer, index_.codec, index_.nx, index_.ny);
  });
  return made;
}

bool EerFile::is_whole(int raw_frame) const { return marks(raw_frame, nullptr).whole; }

int EerFile::broken_frames(int threads) const {
  std::atomic<int> broken = 0;
  parallel_for(threads, index_.frames.size(), [&](std::size_t i) { broken += is_whole(static_cast<int>(i)) ? 0 : 1; });
  return broken;
}

std::span<const Electron> EerFile::electrons(int raw_frame, int first_row, int last_row,
                                             std::vector<Electron>& scratch) const {
  expect(first_row >= 0 && first_row < last_row && last_row <= index_.ny, "rows lie on the sensor");
  const auto& found = marks(raw_frame, nullptr);
  if (!found.whole) return {};
  thread_local std::vector<std::byte> bytes;
  const auto [from, to] = eer_bytes_of_rows(found, index_.frames[z(raw_frame)].bytes, first_row, last_row);
  read(raw_frame, from, to, bytes);
  return decode_eer_rows(bytes, from, index_.codec, index_.nx, found, first_row, last_row, scratch);
}

int EerFile::nx(EerGrid grid) const { return side(index_.nx, grid); }
int EerFile::ny(EerGrid grid) const { return side(index_.ny, grid); }
Angstrom EerFile::pixel_size(EerGrid grid) const {
  return index_.pixel_size * 0.25 * static_cast<double>(1U << cell_shift(grid)) * 0.5;
}

void EerFile::render(int first, int last, EerGrid grid, ImageSpan out, int threads) const {
  expect(first >= 0 && first < last && last <= raw_frames() && out.nx == nx(grid) && out.ny == ny(grid),
         "raw frames and image fit the movie");
  const int count = last - first;
  std::vector<std::vector<std::byte>> held(z(count));
  parallel_for(threads, z(count), [&](std::size_t i) {
    const int raw = first + static_cast<int>(i);
    if (marks(raw, &held[i]).whole && held[i].empty()) read(raw, 0, index_.frames[z(raw)].bytes, held[i]);
  });
  int whole = 0;
  for (int i = 0; i < count; ++i) whole += cache_->marks[z(first + i)].whole ? 1 : 0;
  if (whole == 0)
    throw Error(ErrorCode::corrupt, "{}: none of the raw frames {} to {} fills the sensor: their codes are damaged",
                name(), first + 1, last);
  const float scale = static_cast<float>(count) / static_cast<float>(whole);
  const unsigned shift = cell_shift(grid);
  // Whole sensor rows and whole grid rows.
  const int most_rows =
      std::max(2, static_cast<int>(static_cast<std::int64_t>(band_cells) / out.nx << shift >> 3U) & ~1);
  const int bands = (index_.ny + most_rows - 1) / most_rows;
  parallel_for(threads, z(bands), [&](std::size_t b) {
    const int row0 = static_cast<int>(b) * most_rows, row1 = std::min(index_.ny, row0 + most_rows);
    const int top = row0 * 8 >> shift, bottom = std::min(out.ny, (row1 * 8) >> shift), nx_out = out.nx;
    // The last odd row or column of a sensor has no room on a coarser grid: one spare column and row take it.
    std::vector<std::uint16_t> counts(z(bottom - top + 1) * z(nx_out + 1));
    std::vector<Electron> list;
    for (int i = 0; i < count; ++i) {
      const auto& found = cache_->marks[z(first + i)];
      if (!found.whole) continue;
      for (const auto& e : decode_eer_rows(held[z(i)], 0, index_.codec, index_.nx, found, row0, row1, list))
        ++counts[z((e.y8 >> shift) - top) * z(nx_out + 1) + (static_cast<unsigned>(e.x8) >> shift)];
    }
    for (int y = top; y < bottom; ++y) {
      const std::uint16_t* from = counts.data() + z(y - top) * z(nx_out + 1);
      float* to = out.row(y);
      for (int x = 0; x < nx_out; ++x) to[x] = scale * static_cast<float>(from[x]);
    }
  });
}

}  // namespace frazil::io
