#include "frazil/algo/motion/survey.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/parallel.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {
namespace {

constexpr int band_rows = 64;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

bool all_finite(const Image& image) {
  float sum = 0;
  for (const float v : image.pixels()) sum += v * 0.0F;
  return sum == 0;
}

}  // namespace

Survey survey(const FrameSource& frames, const Detector& detector, int bin_factor, int group, int threads) {
  expect(frames.count > 0 && group > 0, "a movie has frames");
  Survey result;
  result.bin = bin_factor;
  result.group = group;
  result.sum = Image(frames.nx, frames.ny, frames.pixel_size);
  const int batch = std::max(1, threads);
  std::vector<Image> held(z(batch)), small(z(batch));
  std::vector<double> variance(z(batch));
  for (int first = 0; first < frames.count; first += batch) {
    const int n = std::min(batch, frames.count - first);
    parallel_for(threads, z(n), [&](std::size_t i) {
      const int t = first + static_cast<int>(i);
      frames.read(t, held[i]);
      detector.correct(held[i], t);
      if (!all_finite(held[i])) throw Error(ErrorCode::corrupt, "frame {} holds values that are not finite", t + 1);
      variance[i] = noise_variance(held[i]);
      small[i] = bin(held[i], bin_factor, frames.pixel_size);
    });
    parallel_for(threads, z((frames.ny + band_rows - 1) / band_rows), [&](std::size_t b) {
      const std::size_t from = b * band_rows * z(frames.nx), to = std::min(result.sum.size(), from + band_rows * z(frames.nx));
      for (int i = 0; i < n; ++i) {
        const float* __restrict source = held[z(i)].data();
        float* __restrict target = result.sum.data();
        for (std::size_t p = from; p < to; ++p) target[p] += source[p];
      }
    });
    for (int i = 0; i < n; ++i) {
      result.noise_variance += variance[z(i)];
      if ((first + i) % group == 0) result.binned.push_back(std::move(small[z(i)]));
      else
        std::transform(small[z(i)].pixels().begin(), small[z(i)].pixels().end(), result.binned.back().pixels().begin(),
                       result.binned.back().pixels().begin(), [](float a, float b) { return a + b; });
    }
  }
  return result;
}

void repair(Survey& survey, const std::vector<std::uint64_t>& defects, int nx, std::uint64_t seed) {
  if (survey.binned.empty()) return;
  const int width = survey.binned[0].nx(), height = survey.binned[0].ny();
  std::vector<std::size_t> bad;
  for (const auto pixel : defects) {
    const int x = static_cast<int>(pixel % static_cast<std::uint64_t>(nx)) / survey.bin, y = static_cast<int>(pixel / static_cast<std::uint64_t>(nx)) / survey.bin;
    if (x < width && y < height) bad.push_back(z(y) * z(width) + z(x));
  }
  std::sort(bad.begin(), bad.end());
  bad.erase(std::unique(bad.begin(), bad.end()), bad.end());
  for (std::size_t t = 0; t < survey.binned.size(); ++t) {
    Image& image = survey.binned[t];
    const Rng frame_rng = Rng(seed).stream(t);
    for (const auto pixel : bad) {
      Rng rng = frame_rng.stream(pixel);
      const int x = static_cast<int>(pixel % z(width)), y = static_cast<int>(pixel / z(width));
      for (int attempt = 0; attempt < 64; ++attempt) {
        const int reach = 1 + attempt / 8, side = 2 * reach + 1;
        const int i = x - reach + static_cast<int>(rng.below(z(side))), j = y - reach + static_cast<int>(rng.below(z(side)));
        if (i < 0 || j < 0 || i >= width || j >= height) continue;
        if (std::binary_search(bad.begin(), bad.end(), z(j) * z(width) + z(i))) continue;
        image(x, y) = image(i, j);
        break;
      }
    }
  }
}

double fixed_pattern(const Survey& survey, int frames) {
  if (frames < 2 || survey.noise_variance <= 0) return 0;
  const double excess = noise_variance(survey.sum) / survey.noise_variance - 1;
  return std::max(0.0, excess / (frames - 1));
}

}  // namespace frazil::motion
