#include "frazil/algo/motion/detector.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "frazil/base/finite.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::motion {
namespace {

/// SplitMix64 finaliser: a hash of one number.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

float median_of_nine(std::array<float, 9> v) { return middle_of(std::span<float>(v)); }

}  // namespace

Detector::Detector(int nx, int ny, Image gain, std::uint64_t seed)
    : nx_(nx), ny_(ny), gain_(std::move(gain)), seed_(seed) {
  if (gain_.size() == 0) return;
  if (gain_.nx() != nx || gain_.ny() != ny)
    throw Error(ErrorCode::bad_input, "the gain reference measures {} × {} pixels, the movie {} × {}", gain_.nx(),
                gain_.ny(), nx, ny);
  std::vector<std::uint64_t> zeros;
  for (std::size_t i = 0; i < gain_.size(); ++i) {
    const float g = gain_.pixels()[i];
    if (!std::isfinite(g) || g < 0)
      throw Error(ErrorCode::bad_input, "the gain reference holds {} at pixel ({}, {}), expected a factor of 0 or more",
                  g, i % static_cast<std::size_t>(nx), i / static_cast<std::size_t>(nx));
    if (g == 0) zeros.push_back(i);
  }
  add_defects(zeros);
}

void Detector::add_defects(const std::vector<std::uint64_t>& pixels) {
  defects_.insert(defects_.end(), pixels.begin(), pixels.end());
  std::sort(defects_.begin(), defects_.end());
  defects_.erase(std::unique(defects_.begin(), defects_.end()), defects_.end());
}

bool Detector::is_defect(int x, int y) const {
  return std::binary_search(
      defects_.begin(), defects_.end(),
      static_cast<std::uint64_t>(y) * static_cast<std::uint64_t>(nx_) + static_cast<std::uint64_t>(x));
}

std::vector<std::uint64_t> Detector::substitutes(std::uint64_t pixel) const {
  const auto columns = static_cast<std::uint64_t>(nx_);
  const int x = static_cast<int>(pixel % columns), y = static_cast<int>(pixel / columns);
  std::vector<std::uint64_t> good;
  for (int reach = 2; reach <= 8 && good.empty(); reach += 2)
    for (int j = std::max(0, y - reach); j <= std::min(ny_ - 1, y + reach); ++j)
      for (int i = std::max(0, x - reach); i <= std::min(nx_ - 1, x + reach); ++i)
        if (!is_defect(i, j)) good.push_back(static_cast<std::uint64_t>(j) * columns + static_cast<std::uint64_t>(i));
  return good;
}

void Detector::correct(Image& frame, int index) const {
  expect(frame.nx() == nx_ && frame.ny() == ny_, "the frame has the size of the detector");
  if (gain_.size() != 0) {
    const float* gain = gain_.data();
    float* pixels = frame.data();
    for (std::size_t i = 0; i < frame.size(); ++i) pixels[i] *= gain[i];
  }
  for (const auto pixel : defects_) {
    const auto good = substitutes(pixel);
    frame.pixels()[pixel] =
        good.empty()
            ? 0.0F
            : frame.pixels()[good[mix(seed_ ^ mix(pixel ^ mix(static_cast<std::uint64_t>(index)))) % good.size()]];
  }
}

std::vector<float> Detector::replacements(const Counts& frame, int index) const {
  expect(frame.nx() == nx_ && frame.ny() == ny_, "the frame has the size of the detector");
  std::vector<float> values;
  values.reserve(defects_.size());
  frame.visit([&](const auto& raw) {
    for (const auto pixel : defects_) {
      const auto good = substitutes(pixel);
      if (good.empty()) {
        values.push_back(0);
        continue;
      }
      const auto chosen = good[mix(seed_ ^ mix(pixel ^ mix(static_cast<std::uint64_t>(index)))) % good.size()];
      const auto value = static_cast<float>(raw.data[chosen]);
      values.push_back(gain_.size() == 0 ? value : value * gain_.pixels()[chosen]);
    }
  });
  return values;
}

std::vector<std::uint64_t> find_defects(ImageView sum, double variance_per_count, double limit, int threads) {
  const auto rows = static_cast<std::size_t>(sum.ny), width = static_cast<std::size_t>(sum.nx);
  std::vector<std::vector<std::uint64_t>> found(rows);
  const double scale = 1 / std::max(variance_per_count, 1e-30);
  const auto z = [&](double value, double median) {
    return 2 * (std::sqrt(at_least_zero(value * scale) + 0.375) - std::sqrt(at_least_zero(median * scale) + 0.375));
  };
  constexpr std::size_t band = 32;  // rows a turn of a thread: the result is the same
  parallel_for(threads, (rows + band - 1) / band, [&](std::size_t b) {
    // The neighbours' range bounds their median, and far from the limit for nearly all pixels: roots of three rows,
    // range by column.
    std::array<std::vector<float>, 3> roots;
    for (auto& list : roots) list.resize(width);
    std::vector<float> low(width), high(width);
    const auto take_roots = [&](std::size_t y) {
      const float* __restrict in = sum.row(static_cast<int>(y));
      float* __restrict out = roots[y % 3].data();
      const auto factor = static_cast<float>(scale);
      for (std::size_t x = 0; x < width; ++x) out[x] = 2 * std::sqrt(at_least_zero(in[x] * factor) + 0.375F);
    };
    const auto near_limit = static_cast<float>(limit * 0.999);
    const std::size_t from = b * band, to = std::min(rows, from + band);
    if (from > 0) take_roots(from - 1);
    take_roots(from);
    for (std::size_t y = from; y < to; ++y) {
      const std::size_t above = y > 0 ? y - 1 : y, below = y + 1 < rows ? y + 1 : y;
      if (below > y) take_roots(below);
      const float* __restrict p = roots[above % 3].data();
      const float* __restrict q = roots[y % 3].data();
      const float* __restrict r = roots[below % 3].data();
      for (std::size_t x = 0; x < width; ++x) {
        low[x] = std::min(std::min(p[x], q[x]), r[x]);
        high[x] = std::max(std::max(p[x], q[x]), r[x]);
      }
      for (std::size_t x = 0; x < width; ++x) {
        const std::size_t left = x > 0 ? x - 1 : 0, right = std::min(x + 1, width - 1);
        const float least = std::min(std::min(low[left], low[x]), low[right]),
                    most = std::max(std::max(high[left], high[x]), high[right]);
        if (q[x] - least <= near_limit && most - q[x] <= near_limit) continue;
        std::array<float, 9> around{};
        std::size_t n = 0;
        for (const std::size_t j : {above, y, below})
          for (const std::size_t i : {left, x, right}) around[n++] = sum(static_cast<int>(i), static_cast<int>(j));
        if (std::abs(z(static_cast<double>(sum(static_cast<int>(x), static_cast<int>(y))),
                       static_cast<double>(median_of_nine(around)))) > limit)
          found[y].push_back(y * width + x);
      }
    }
  });
  std::vector<std::uint64_t> all;
  for (const auto& list : found) all.insert(all.end(), list.begin(), list.end());
  return all;
}

namespace {

/// Sum and number of the squared second differences of one pair of rows, outliers left out.
class RowNoise {
 public:
  void add(const float* __restrict a, const float* __restrict b, int nx) {
    if (nx < 2) return;
    const auto n = static_cast<std::size_t>(nx - 1), padded = (n + lanes - 1) / lanes * lanes;
    squares_.resize(padded);
    float* __restrict d = squares_.data();
    for (std::size_t x = 0; x < n; ++x) {
      const float difference = a[x] - a[x + 1] - b[x] + b[x + 1];
      d[x] = difference * difference;
    }
    std::fill(d + n, d + padded, std::numeric_limits<float>::infinity());
    float limit = std::numeric_limits<float>::max();
    double sum = 0, kept = 0;
    for (int pass = 0; pass < 4; ++pass) {
      float sums[lanes] = {}, counts[lanes] = {};
      for (std::size_t x = 0; x < padded; x += lanes)
        for (std::size_t i = 0; i < lanes; ++i) {
          const bool inside = d[x + i] <= limit;
          sums[i] += inside ? d[x + i] : 0.0F;
          counts[i] += inside ? 1.0F : 0.0F;
        }
      sum = kept = 0;
      for (std::size_t i = 0; i < lanes; ++i)
        sum += static_cast<double>(sums[i]), kept += static_cast<double>(counts[i]);
      limit = kept > 0 ? static_cast<float>(64 * sum / kept) : 0;
    }
    total_ += sum;
    count_ += kept;
  }
  /// A second difference of four pixels holds four times the variance of one.
  [[nodiscard]] double variance() const { return count_ > 0 ? total_ / count_ / 4 : 0; }

 private:
  static constexpr std::size_t lanes = 16;  ///< of AVX-512; fixed, so that sums keep their order
  std::vector<float> squares_;
  double total_ = 0, count_ = 0;
};

}  // namespace

double noise_variance(ImageView image) {
  RowNoise noise;
  for (int y = 0; y + 1 < image.ny; y += 4) noise.add(image.row(y), image.row(y + 1), image.nx);
  return noise.variance();
}

double noise_variance(const Counts& frame, const Detector& detector, int first_row, int step) {
  RowNoise noise;
  std::array<std::vector<float>, 2> rows;
  for (auto& row : rows) row.resize(static_cast<std::size_t>(frame.nx()));
  frame.visit([&](const auto& raw) {
    for (int y = first_row; y + 1 < raw.ny; y += step) {
      for (int i = 0; i < 2; ++i) {
        const auto* __restrict in = raw.row(y + i);
        const float* __restrict gain = detector.gain_row(y + i);
        float* __restrict out = rows[static_cast<std::size_t>(i)].data();
        if (gain == nullptr)
          for (int x = 0; x < raw.nx; ++x) out[x] = static_cast<float>(in[x]);
        else
          for (int x = 0; x < raw.nx; ++x) out[x] = static_cast<float>(in[x]) * gain[x];
      }
      noise.add(rows[0].data(), rows[1].data(), raw.nx);
    }
  });
  return noise.variance();
}

}  // namespace frazil::motion
