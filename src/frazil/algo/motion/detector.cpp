#include "frazil/algo/motion/detector.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "frazil/base/parallel.hpp"

namespace frazil::motion {
namespace {

/// SplitMix64 finaliser: a hash of one number.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

float median_of_nine(std::array<float, 9> v) {
  std::nth_element(v.begin(), v.begin() + 4, v.end());
  return v[4];
}

}  // namespace

Detector::Detector(int nx, int ny, Image gain, std::uint64_t seed) : nx_(nx), ny_(ny), gain_(std::move(gain)), seed_(seed) {
  if (gain_.size() == 0) return;
  if (gain_.nx() != nx || gain_.ny() != ny)
    throw Error(ErrorCode::bad_input, "the gain reference measures {} × {} pixels, the movie {} × {}", gain_.nx(), gain_.ny(), nx, ny);
  std::vector<std::uint64_t> zeros;
  for (std::size_t i = 0; i < gain_.size(); ++i) {
    const float g = gain_.pixels()[i];
    if (!std::isfinite(g) || g < 0) throw Error(ErrorCode::bad_input, "the gain reference holds {} at pixel ({}, {}), expected a factor of 0 or more", g, i % static_cast<std::size_t>(nx), i / static_cast<std::size_t>(nx));
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
  return std::binary_search(defects_.begin(), defects_.end(), static_cast<std::uint64_t>(y) * static_cast<std::uint64_t>(nx_) + static_cast<std::uint64_t>(x));
}

void Detector::correct(Image& frame, int index) const {
  expect(frame.nx() == nx_ && frame.ny() == ny_, "the frame has the size of the detector");
  if (gain_.size() != 0) {
    const float* gain = gain_.data();
    float* pixels = frame.data();
    for (std::size_t i = 0; i < frame.size(); ++i) pixels[i] *= gain[i];
  }
  for (const auto pixel : defects_) {
    const int x = static_cast<int>(pixel % static_cast<std::uint64_t>(nx_)), y = static_cast<int>(pixel / static_cast<std::uint64_t>(nx_));
    std::array<float, 17 * 17> good{};
    std::size_t count = 0;
    for (int reach = 2; reach <= 8 && count == 0; reach += 2)
      for (int j = std::max(0, y - reach); j <= std::min(ny_ - 1, y + reach); ++j)
        for (int i = std::max(0, x - reach); i <= std::min(nx_ - 1, x + reach); ++i)
          if (!is_defect(i, j)) good[count++] = frame(i, j);
    frame(x, y) = count == 0 ? 0.0F : good[mix(seed_ ^ mix(pixel ^ mix(static_cast<std::uint64_t>(index)))) % count];
  }
}

std::vector<std::uint64_t> find_defects(ImageView sum, double variance_per_count, double limit, int threads) {
  const auto rows = static_cast<std::size_t>(sum.ny);
  std::vector<std::vector<std::uint64_t>> found(rows);
  const double scale = 1 / std::max(variance_per_count, 1e-30);
  parallel_for(threads, rows, [&](std::size_t row) {
    const int y = static_cast<int>(row);
    for (int x = 0; x < sum.nx; ++x) {
      std::array<float, 9> around{};
      for (int j = -1, n = 0; j <= 1; ++j)
        for (int i = -1; i <= 1; ++i, ++n)
          around[static_cast<std::size_t>(n)] = sum(std::clamp(x + i, 0, sum.nx - 1), std::clamp(y + j, 0, sum.ny - 1));
      const double value = std::max(0.0, sum(x, y) * scale);
      // Far from the limit for nearly all pixels: the neighbours' range bounds the median.
      const auto [low, high] = std::minmax_element(around.begin(), around.end());
      const auto z = [&](double median) { return 2 * (std::sqrt(value + 0.375) - std::sqrt(std::max(0.0, median * scale) + 0.375)); };
      if (std::abs(z(*low)) <= limit && std::abs(z(*high)) <= limit) continue;
      if (std::abs(z(median_of_nine(around))) > limit)
        found[row].push_back(static_cast<std::uint64_t>(y) * static_cast<std::uint64_t>(sum.nx) + static_cast<std::uint64_t>(x));
    }
  });
  std::vector<std::uint64_t> all;
  for (const auto& list : found) all.insert(all.end(), list.begin(), list.end());
  return all;
}

double noise_variance(ImageView image) {
  double total = 0, count = 0;
  std::vector<float> d(static_cast<std::size_t>(std::max(0, image.nx - 1)));
  for (int y = 0; y + 1 < image.ny; y += 4) {
    const float *a = image.row(y), *b = image.row(y + 1);
    for (std::size_t x = 0; x < d.size(); ++x) {
      const float difference = a[x] - a[x + 1] - b[x] + b[x + 1];
      d[x] = difference * difference;
    }
    double limit = std::numeric_limits<double>::infinity(), sum = 0, kept = 0;
    for (int pass = 0; pass < 4; ++pass) {
      sum = kept = 0;
      for (const float v : d)
        if (v <= limit) { sum += v; kept += 1; }
      limit = kept > 0 ? 64 * sum / kept : 0;
    }
    total += sum;
    count += kept;
  }
  return count > 0 ? total / count / 4 : 0;
}

}  // namespace frazil::motion
