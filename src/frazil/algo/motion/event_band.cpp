#include "frazil/algo/motion/event_band.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "frazil/algo/motion/event_kernels.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/base/random.hpp"

namespace frazil::motion {
namespace {

constexpr int band_rows = 16;      ///< rows of the fine grid that a band fills
constexpr int slabs_at_once = 16;  ///< counters of so many slabs are held, then added to the images in one pass
constexpr int block_shift = 8;     ///< the shift is constant over 32 sensor columns (256 eighths)
constexpr int one_electron = 256;  ///< counters hold electrons in units of 1/256, 16 bits wide
constexpr float most_gain = 16;    ///< a pixel that counts a sixteenth is dead: no counter overflows
constexpr int far_away = 8;        ///< pixels of the frames' grid: farthest substitute of a defect

int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/// Raw frames that are counted together: those of one frame, or fewer, so that no counter overflows.
struct Slab {
  int first, last, frame;
};

std::vector<Slab> slabs_of(const std::vector<int>& begin, int most) {
  std::vector<Slab> slabs;
  for (int f = 0; f + 1 < static_cast<int>(begin.size()); ++f)
    for (int raw = begin[z(f)]; raw < begin[z(f + 1)]; raw += most)
      slabs.push_back({raw, std::min(raw + most, begin[z(f + 1)]), f});
  return slabs;
}

/// Gain as numbers of 1/256: 0 for a defect, negative for a pixel that stands in for one.
struct Sensitivity {
  struct Substitution {
    std::uint64_t good, bad;
    std::uint32_t choice, choices;
  };
  std::vector<std::int16_t> gain;
  std::vector<Substitution> substitutions;  ///< by good pixel
  std::vector<std::pair<int, int>>
      reach;  ///< [row of the frames' grid]: rows of the substitutes of the defects in it; empty when first > second
  float most = 1;

  explicit Sensitivity(const Detector& detector)
      : gain(z(detector.nx()) * z(detector.ny()), one_electron), reach(z(detector.ny()), {1, 0}) {
    if (detector.gain().size() != 0)
      for (std::size_t i = 0; i < gain.size(); ++i) {
        const float g = std::min(detector.gain().pixels()[i], most_gain);
        most = std::max(most, g);
        gain[i] = static_cast<std::int16_t>(std::max(1L, std::lround(g * one_electron)));
      }
    const auto columns = static_cast<std::uint64_t>(detector.nx());
    for (const auto bad : detector.defects()) {
      const auto good = detector.substitutes(bad);
      auto& rows = reach[static_cast<std::size_t>(bad / columns)];
      if (!good.empty() && rows.first > rows.second)
        rows = {static_cast<int>(bad / columns), static_cast<int>(bad / columns)};
      for (std::size_t i = 0; i < good.size(); ++i) {
        substitutions.push_back({good[i], bad, static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(good.size())});
        rows.first = std::min(rows.first, static_cast<int>(good[i] / columns)),
        rows.second = std::max(rows.second, static_cast<int>(good[i] / columns));
      }
    }
    std::sort(substitutions.begin(), substitutions.end(), [](const Substitution& a, const Substitution& b) {
      return std::pair(a.good, a.bad) < std::pair(b.good, b.bad);
    });
    for (const auto& s : substitutions) gain[s.good] = static_cast<std::int16_t>(-std::abs(gain[s.good]));
    for (const auto bad : detector.defects()) gain[bad] = 0;
  }
};

/// Shares of four points for each place between them, in units of 1/128 of what 16 × 16 sixteenths make.
const std::array<std::array<std::int16_t, 4>, 256>& shares() {
  static const auto table = [] {
    std::array<std::array<std::int16_t, 4>, 256> t{};
    for (int fy = 0; fy < 16; ++fy)
      for (int fx = 0; fx < 16; ++fx) {
        const auto share = [](int w) { return static_cast<std::int16_t>(std::min(32767, w * 128)); };
        t[z(fy * 16 + fx)] = {share((16 - fx) * (16 - fy)), share(fx * (16 - fy)), share((16 - fx) * fy),
                              share(fx * fy)};
      }
    return t;
  }();
  return table;
}

/// Counters of one slab in one band, with a row and a column to spare on each side.
struct Counters {
  int stride;
  std::uint16_t* data;

  /// Four shares and where they go.
  struct Deposit {
    std::uint16_t* at;
    std::uint64_t parts;
  };

  /// Of an electron at (x, y), sixteenths of a cell from the corner of the spare row and column; asks for the counters'
  /// memory.
  [[nodiscard]] Deposit deposit(int x, int y, int gain) const {
    const __m128i share =
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(shares()[z((y & 15) << 4 | (x & 15))].data()));
    const __m128i parts = _mm_mulhrs_epi16(share, _mm_set1_epi16(static_cast<short>(gain)));
    std::uint16_t* at = data + static_cast<std::ptrdiff_t>(y >> 4) * stride + (x >> 4);
    __builtin_prefetch(at, 1);
    __builtin_prefetch(at + stride, 1);
    return {at, static_cast<std::uint64_t>(_mm_cvtsi128_si64(parts))};
  }

  void add(const Deposit& d) const {
    add_pair(d.at, static_cast<std::uint32_t>(d.parts));
    add_pair(d.at + stride, static_cast<std::uint32_t>(d.parts >> 32U));
  }

 private:
  static void add_pair(std::uint16_t* at, std::uint32_t pair) {
    std::uint32_t old;
    std::memcpy(&old, at, sizeof(old));
    old += pair;
    std::memcpy(at, &old, sizeof(old));
  }
};

/// Deposits that wait for their counters to come near: memory answers later than an electron takes.
class Deposits {
 public:
  explicit Deposits(const Counters& counters) : counters_(counters) {}
  Deposits(const Deposits&) = delete;
  Deposits& operator=(const Deposits&) = delete;
  ~Deposits() { flush(); }
  void add(int x, int y, int gain) {
    held_[count_++] = counters_.deposit(x, y, gain);
    if (count_ == held_.size()) flush();
  }

 private:
  void flush() {
    for (std::size_t i = 0; i < count_; ++i) counters_.add(held_[i]);
    count_ = 0;
  }
  Counters counters_;
  std::size_t count_ = 0;
  std::array<Counters::Deposit, 32> held_;
};

struct Offset {
  int x, y;
};

/// Everything that the bands share.
struct Work {
  const ElectronSource& source;
  const Detector& detector;
  const EventGrid& grid;
  const ShiftPlan& plan;
  const Sensitivity& sensitivity;
  std::uint64_t seed;
  unsigned view_shift;  ///< eighths to a pixel of the frames' grid
};

/// One band on one thread.
class BandOfRows {
 public:
  BandOfRows(const Work& work, int first_row)
      : w_(work),
        first_row_(first_row),
        rows_(std::min(band_rows, work.grid.ny() - first_row)),
        blocks_((8 * work.source.nx >> block_shift) + 1) {
    const auto& field = *w_.plan.field;
    const int places = field.is_global() ? 1 : blocks_;
    const double y_px = (first_row_ + 0.5 * rows_) / w_.grid.cells_per_pixel;
    for (int f = 0; f < field.frames(); ++f)
      for (int b = 0; b < places; ++b)
        shifts_.push_back(field.at(f, ((b + 0.5) * (1 << block_shift)) / w_.grid.eighths - 0.5, y_px));
    places_ = places;
    offsets_.resize(z(blocks_));
  }

  /// Counts the electrons of one raw frame.
  void count(int raw, const Counters& counters) {
    place(raw);
    const int k = w_.grid.per_eighth, most = 8 * w_.source.ny;
    // Rows of the sensor, in eighths, from which electrons reach the band.
    const int from8 = floor_div(-most_y_, k) - 1, to8 = floor_div(16 * (rows_ + 1) - least_y_, k) + 1;
    const int near =
        (std::max(std::abs(least_x_), std::abs(most_x_)) + 16) / k + 8;  // columns that may be mirrored into the image
    const auto part = [&](int a8, int b8, int scale, int extra) {
      if (a8 >= b8) return;
      int first = std::clamp(a8 / 8, 0, w_.source.ny), last = std::clamp((b8 + 7) / 8, 0, w_.source.ny);
      if (scale > 0) widen_for_defects(first, last);
      if (first < last)
        scatter(w_.source.read(w_.source.first + raw, first, last, scratch_), raw, counters, scale, extra, near);
    };
    part(std::max(from8, 0), std::min(to8, most), k, 0);
    part(0, std::min(-from8, most), -k, 0);                                                 // mirrored at the first row
    part(std::max(2 * most - to8, 0), std::min(most, 2 * most - from8), -k, 2 * k * most);  // and at the last
  }

  [[nodiscard]] int rows() const { return rows_; }

 private:
  /// Offsets of all blocks for a raw frame.
  void place(int raw) {
    const auto weights = cubic_in_time(w_.plan.time_of(raw), w_.plan.field->frames());
    least_x_ = least_y_ = std::numeric_limits<int>::max();
    most_x_ = most_y_ = std::numeric_limits<int>::min();
    for (int b = 0; b < places_; ++b) {
      Shift s;
      for (const auto& [frame, weight] : weights) {
        const Shift& at = shifts_[z(frame) * z(places_) + z(b)];
        s.x += weight * at.x, s.y += weight * at.y;
      }
      const Offset o{w_.grid.offset(s.x) + 16, w_.grid.offset(s.y) - 16 * (first_row_ - 1)};
      offsets_[z(b)] = o;
      least_x_ = std::min(least_x_, o.x), most_x_ = std::max(most_x_, o.x);
      least_y_ = std::min(least_y_, o.y), most_y_ = std::max(most_y_, o.y);
    }
    if (places_ == 1) std::fill(offsets_.begin() + 1, offsets_.end(), offsets_[0]);
  }

  /// Defects in the rows may have their substitutes outside of them.
  void widen_for_defects(int& first, int& last) const {
    const int view0 = 8 * first / w_.grid.eighths,
              view1 = std::min(w_.detector.ny(), (8 * last + w_.grid.eighths - 1) / w_.grid.eighths);
    for (int y = view0; y < view1; ++y) {
      const auto& reach = w_.sensitivity.reach[z(y)];
      if (reach.first > reach.second) continue;
      first = std::max(0, std::min(first, reach.first * w_.grid.eighths / 8));
      last = std::min(w_.source.ny, std::max(last, ((reach.second + 1) * w_.grid.eighths + 7) / 8));
    }
  }

  void scatter(std::span<const Electron> electrons, int raw, const Counters& counters, int scale_y, int extra_y,
               int near) const {
    const int k = w_.grid.per_eighth, columns = w_.detector.nx(), inner = 8 * w_.source.nx - 2 * near;
    const auto last_row = static_cast<unsigned>(rows_), last_column = static_cast<unsigned>(w_.grid.nx());
    const auto inside = [&](int x, int y) {
      return static_cast<unsigned>(y >> 4) <= last_row && static_cast<unsigned>(x >> 4) <= last_column;
    };
    const std::int16_t* gains = w_.sensitivity.gain.data();
    const unsigned shift = w_.view_shift;
    Deposits deposits(counters);
    for (const Electron e : electrons) {
      const Offset o = offsets_[e.x8 >> block_shift];
      const int x = k * e.x8 + o.x, y = scale_y * e.y8 + extra_y + o.y;
      const auto view_x = std::min(e.x8 >> shift, columns - 1), view_y = std::min(e.y8 >> shift, w_.detector.ny() - 1);
      const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(view_y) * columns + view_x;
      int gain = gains[pixel];
      if (gain <= 0) {
        if (gain < 0 && scale_y > 0) stand_in(e, static_cast<std::uint64_t>(pixel), raw, deposits);
        gain = -gain;
      }
      if (inside(x, y)) deposits.add(x, y, gain);
      if (e.x8 - near < 0 || e.x8 - near >= inner) {  // near the first or last column
        const int mirrored = e.x8 - near < 0 ? o.x - k * e.x8 : o.x + k * (16 * w_.source.nx - e.x8);
        if (inside(mirrored, y)) deposits.add(mirrored, y, gain);
      }
    }
  }

  /// An electron in a good pixel counts for the defects that chose the pixel in this raw frame, too.
  void stand_in(const Electron& e, std::uint64_t pixel, int raw, Deposits& deposits) const {
    const auto& list = w_.sensitivity.substitutions;
    const int columns = w_.detector.nx();
    for (auto s = std::lower_bound(list.begin(), list.end(), pixel,
                                   [](const auto&entry, std::uint64_t p) { return entry.good < p; });
         s != list.end() && s->good == pixel; ++s) {
      Rng choice = Rng(w_.seed).stream(s->bad).stream(static_cast<std::uint64_t>(w_.source.first + raw));
      if (choice.below(s->choices) != s->choice) continue;
      const auto good = static_cast<int>(s->good), bad = static_cast<int>(s->bad);
      const int x8 = e.x8 + (bad % columns - good % columns) * w_.grid.eighths,
                y8 = e.y8 + (bad / columns - good / columns) * w_.grid.eighths;
      const Offset o = offsets_[z(x8 >> block_shift)];
      const int x = w_.grid.per_eighth * x8 + o.x, y = w_.grid.per_eighth * y8 + o.y;
      if (static_cast<unsigned>(y >> 4) <= static_cast<unsigned>(rows_) &&
          static_cast<unsigned>(x >> 4) <= static_cast<unsigned>(w_.grid.nx()))
        deposits.add(x, y, std::abs(w_.sensitivity.gain[s->good]));
    }
  }

  const Work& w_;
  int first_row_, rows_, blocks_, places_ = 1;
  int least_x_ = 0, most_x_ = 0, least_y_ = 0, most_y_ = 0;
  std::vector<Shift> shifts_;    ///< [frame][block]
  std::vector<Offset> offsets_;  ///< [block]
  std::vector<Electron> scratch_;
};

/// images[r] += Σ_slab b[slab][r] · counters[slab] over one band; the counters are left at zero.
/// @param counters  [slab][band_rows + 2][stride]
void fold(AlignedVector<std::uint16_t>& counters, int stride, int first_row, int rows, const std::vector<float>& b,
          std::size_t slabs, std::vector<Image>& images) {
  const auto nx = z(images[0].nx());
  const std::size_t rank = images.size(), slab = z(band_rows + 2) * z(stride);
  for (int y = 0; y < rows; ++y)
    for (std::size_t r = 0; r < rank; r += most_fold_rows) {
      const std::size_t n = std::min<std::size_t>(most_fold_rows, rank - r);
      std::array<float*, most_fold_rows> to{};
      for (std::size_t i = 0; i < n; ++i) to[i] = images[r + i].row(first_row + y);
      fold_row({counters.data() + z(y + 1) * z(stride) + 1, slab, slabs, b.data() + r, rank, static_cast<int>(n),
                to.data(), nx, r + n == rank});
    }
  for (std::size_t s = 0; s < slabs; ++s) {  // what is to spare
    std::uint16_t* from = counters.data() + s * slab;
    for (const int y : {0, rows + 1}) std::fill_n(from + z(y) * z(stride), stride, std::uint16_t{0});
    for (int y = 1; y <= rows; ++y) {
      std::uint16_t* row = from + z(y) * z(stride);
      row[0] = 0;
      std::fill(row + nx + 1, row + stride, std::uint16_t{0});
    }
  }
}

}  // namespace

EventGrid::EventGrid(int sensor_nx, int sensor_ny, int view_nx_, int view_ny_) : view_nx(view_nx_), view_ny(view_ny_) {
  eighths = 0;
  for (const int e : {2, 4, 8, 16})
    if (8 * sensor_nx / e == view_nx && 8 * sensor_ny / e == view_ny) eighths = e;
  expect(eighths != 0, "the frames' grid is the sensor's, half, twice or four times it");
  cells_per_pixel = eighths >= 8 ? 2 : 1;
  per_eighth = 16 * cells_per_pixel / eighths;
}

int EventGrid::offset(double shift_px) const {
  return static_cast<int>(std::lround(16 * cells_per_pixel * shift_px)) - 8 * cells_per_pixel;
}

std::array<std::pair<int, double>, 4> cubic_in_time(double time, int frames) {
  std::array<std::pair<int, double>, 4> weights{};
  if (frames < 2) {
    weights[0] = {0, 1};
    return weights;
  }
  const int f = std::clamp(static_cast<int>(std::floor(time)), 0, frames - 2);
  const double u = time - f;
  for (int i = 0; i < 4; ++i) weights[z(i)] = {std::clamp(f + i - 1, 0, frames - 1), 0};
  if (u < 0 || u > 1) {  // beyond the middle of the first or last frame
    weights[1].second = 1 - u, weights[2].second = u;
    return weights;
  }
  const double c[4] = {u * (-0.5 + u * (1 - 0.5 * u)), 1 + u * u * (-2.5 + 1.5 * u), u * (0.5 + u * (2 - 1.5 * u)),
                       u * u * (-0.5 + 0.5 * u)};
  for (int i = 0; i < 4; ++i) weights[z(i)].second += c[i];
  // Beyond the ends a frame lies as far on as the last step went.
  if (f == 0) weights[0].second = 0, weights[1].second += 2 * c[0], weights[2].second -= c[0];
  if (f == frames - 2) weights[3].second = 0, weights[2].second += 2 * c[3], weights[1].second -= c[3];
  return weights;
}

double ShiftPlan::time_of(int raw) const {
  const auto& at = *begin;
  const auto middle = [&](std::size_t f) { return 0.5 * (at[f] + at[f + 1]); };
  const double t = raw + 0.5;
  auto f = static_cast<std::size_t>(std::upper_bound(at.begin(), at.end(), raw) - at.begin()) - 1;
  if (t < middle(f) && f > 0) --f;
  if (at.size() < 3) return 0;
  f = std::min(f, at.size() - 3);
  return static_cast<double>(f) + (t - middle(f)) / (middle(f + 1) - middle(f));
}

std::vector<Image> deposit_all(const ElectronSource& source, const Detector& detector, const EventGrid& grid,
                               const ShiftPlan& plan, const std::vector<std::vector<double>>& weights,
                               const std::vector<double>& scales, std::uint64_t seed, int threads) {
  const Sensitivity sensitivity(detector);
  unsigned view_shift = 0;
  while (1 << view_shift < grid.eighths) ++view_shift;
  const Work work{source, detector, grid, plan, sensitivity, seed, view_shift};
  // A point gets at most the whole of four electrons a raw frame, from the pixels around it.
  const int most = std::max(1, static_cast<int>(65535 / (4.0F * one_electron * sensitivity.most)));
  const auto slabs = slabs_of(source.begin, most);
  std::vector<Image> images(weights.size());
  parallel_for(threads, images.size(), [&](std::size_t r) { images[r] = Image(grid.nx(), grid.ny()); });
  const int stride = (grid.nx() + 2 + 15) / 16 * 16;
  std::vector<AlignedVector<std::uint16_t>> counters(z(std::max(1, threads)));
  parallel_for_slots(threads, z((grid.ny() + band_rows - 1) / band_rows), [&](std::size_t index, int slot) {
    auto& held = counters[z(slot)];
    held.resize(z(std::min<int>(slabs_at_once, static_cast<int>(slabs.size()))) * z(band_rows + 2) * z(stride));
    const int first_row = static_cast<int>(index) * band_rows;
    BandOfRows band(work, first_row);
    for (std::size_t from = 0; from < slabs.size(); from += slabs_at_once) {
      const std::size_t n = std::min<std::size_t>(slabs_at_once, slabs.size() - from);
      std::vector<float> b;  // [slab][r]
      for (std::size_t s = 0; s < n; ++s) {
        const Slab& slab = slabs[from + s];
        const Counters target{stride, held.data() + s * z(band_rows + 2) * z(stride)};
        for (int raw = slab.first; raw < slab.last; ++raw) band.count(raw, target);
        for (const auto& row : weights)
          b.push_back(static_cast<float>(row[z(slab.frame)] * scales[z(slab.frame)] / one_electron));
      }
      fold(held, stride, first_row, band.rows(), b, n, images);
    }
  });
  return images;
}

}  // namespace frazil::motion
