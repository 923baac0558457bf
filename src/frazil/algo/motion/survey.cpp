#include "frazil/algo/motion/survey.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

#include "frazil/base/finite.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/base/random.hpp"

namespace frazil::motion {
namespace {

/// Unaligned sum without gain: whole numbers stay exact.
template <class T>
using Total = std::conditional_t<std::is_floating_point_v<T>, float,
                                 std::conditional_t<std::is_signed_v<T>, std::int32_t, std::uint32_t>>;

template <class T>
void add_row(const T* __restrict in, Total<T>* __restrict total, std::size_t n) {
  for (std::size_t x = 0; x < n; ++x) total[x] += static_cast<Total<T>>(in[x]);
}

template <class T>
void correct_row(const T* __restrict in, const float* __restrict gain, float* __restrict out, std::size_t n,
                 bool first) {
  if (gain == nullptr) {
    if (first)
      for (std::size_t x = 0; x < n; ++x) out[x] = static_cast<float>(in[x]);
    else
      for (std::size_t x = 0; x < n; ++x) out[x] += static_cast<float>(in[x]);
  } else if (first) {
    for (std::size_t x = 0; x < n; ++x) out[x] = static_cast<float>(in[x]) * gain[x];
  } else {
    for (std::size_t x = 0; x < n; ++x) out[x] += static_cast<float>(in[x]) * gain[x];
  }
}

template <int factor>
void add_columns(const float* __restrict in, float* __restrict out, std::size_t n, float scale) {
  for (std::size_t x = 0; x < n; ++x) {
    float sum = 0;
    for (std::size_t i = 0; i < factor; ++i) sum += in[x * factor + i];
    out[x] += sum * scale;
  }
}

void add_columns(const float* in, float* out, std::size_t n, int factor, float scale) {
  switch (factor) {
    case 1:
      return add_columns<1>(in, out, n, scale);
    case 2:
      return add_columns<2>(in, out, n, scale);
    case 3:
      return add_columns<3>(in, out, n, scale);
    case 4:
      return add_columns<4>(in, out, n, scale);
    default:
      break;
  }
  for (std::size_t x = 0; x < n; ++x) {
    float sum = 0;
    for (int i = 0; i < factor; ++i) sum += in[x * z(factor) + z(i)];
    out[x] += sum * scale;
  }
}

/// What one band of rows, as high as a binned pixel, adds to its binned row and to the sum.
template <class T>
void take_band(const View2<const T>& raw, const Detector& detector, int band, int factor, float* binned,
               Total<T>* total, std::vector<float>& scratch) {
  const auto nx = z(raw.nx);
  scratch.resize(nx);
  const int from = band * factor, to = std::min(raw.ny, from + factor);
  for (int y = from; y < to; ++y) {
    add_row(raw.row(y), total + z(y) * nx, nx);
    correct_row(raw.row(y), detector.gain_row(y), scratch.data(), nx, y == from);
  }
  if (to - from == factor && binned != nullptr)
    add_columns(scratch.data(), binned, nx / z(factor), factor, 1.0F / static_cast<float>(factor * factor));
}

template <class T>
bool all_finite(const View2<const T>& raw) {
  if constexpr (std::is_floating_point_v<T>) {
    float sum = 0;
    for (int y = 0; y < raw.ny; ++y)
      for (int x = 0; x < raw.nx; ++x) sum += raw.row(y)[x] * 1e30F * 0.0F;  // beyond 10⁸ counts: infinity times 0
    return sum == 0;
  }
  return true;
}

/// Passes over the frames, a batch in memory at a time.
class Surveyor {
 public:
  Surveyor(const FrameSource& frames, const Detector& detector, int factor, int group, int threads)
      : frames_(frames), detector_(detector), factor_(factor), group_(group), threads_(threads) {}

  Survey run() {
    const int width = frames_.nx / factor_, height = frames_.ny / factor_;
    survey_.bin = factor_;
    survey_.group = group_;
    survey_.binned.resize(z((frames_.count + group_ - 1) / group_));
    parallel_for(threads_, survey_.binned.size(),
                 [&](std::size_t g) { survey_.binned[g] = Image(width, height, frames_.pixel_size * factor_); });
    variance_.assign(z(frames_.count), 0.0);
    const int batch = batch_of(frames_, threads_);
    std::vector<std::shared_ptr<const Counts>> held(z(batch));
    for (int first = 0; first < frames_.count; first += batch) {
      const int n = std::min(batch, frames_.count - first);
      held.resize(z(n));
      parallel_for(threads_, z(n), [&](std::size_t i) { held[i] = read(first + static_cast<int>(i)); });
      held.front()->visit([&]<class T>(const View2<T>&) { take_batch<std::remove_const_t<T>>(held, first); });
      std::fill(held.begin(), held.end(), nullptr);
    }
    for (const double v : variance_) survey_.noise_variance += v;
    return std::move(survey_);
  }

 private:
  [[nodiscard]] std::shared_ptr<const Counts> read(int t) {
    // The rows differ from frame to frame: all are seen in sixteen frames.
    constexpr int step = 16;
    auto counts = counts_of(frames_, t);
    if (!counts->visit([](const auto& raw) { return all_finite(raw); }))
      throw Error(ErrorCode::corrupt, "frame {} holds values that are not finite, or beyond 3e8", t + 1);
    variance_[z(t)] =
        noise_variance(*counts, detector_, frames_.ny > 2 * step ? t % step : 0, frames_.ny > 2 * step ? step : 2);
    return counts;
  }

  template <class T>
  void take_batch(const std::vector<std::shared_ptr<const Counts>>& held, int first) {
    auto& total = totals<T>();
    total.resize(z(frames_.nx) * z(frames_.ny));
    const int bands = (frames_.ny + factor_ - 1) / factor_;
    constexpr int bands_a_turn = 8;  // of a thread: the result is the same
    std::vector<std::vector<float>> scratch(z(std::max(1, threads_)));
    parallel_for_slots(threads_, z((bands + bands_a_turn - 1) / bands_a_turn), [&](std::size_t turn, int slot) {
      for (std::size_t i = 0; i < held.size(); ++i) {
        const int t = first + static_cast<int>(i);
        Image& binned = survey_.binned[z(t / group_)];
        held[i]->visit([&]<class U>(const View2<U>& raw) {
          if constexpr (std::is_same_v<std::remove_const_t<U>, T>)
            for (int band = static_cast<int>(turn) * bands_a_turn;
                 band < std::min(bands, static_cast<int>(turn + 1) * bands_a_turn); ++band)
              take_band<T>(raw, detector_, band, factor_, band < binned.ny() ? binned.row(band) : nullptr, total.data(),
                           scratch[z(slot)]);
        });
      }
    });
    if (first + static_cast<int>(held.size()) == frames_.count) finish_sum(total);
  }

  template <class Value>
  void finish_sum(AlignedVector<Value>& total) {
    survey_.sum = Image(frames_.nx, frames_.ny, frames_.pixel_size);
    parallel_for(threads_, z(frames_.ny), [&](std::size_t y) {
      correct_row(total.data() + y * z(frames_.nx), detector_.gain_row(static_cast<int>(y)),
                  survey_.sum.row(static_cast<int>(y)), z(frames_.nx), true);
    });
    total = {};
  }

  template <class T>
  auto& totals() {
    if constexpr (std::is_floating_point_v<T>)
      return float_total_;
    else if constexpr (std::is_signed_v<T>)
      return signed_total_;
    else
      return unsigned_total_;
  }

  const FrameSource& frames_;
  const Detector& detector_;
  int factor_, group_, threads_;
  Survey survey_;
  std::vector<double> variance_;
  AlignedVector<float> float_total_;
  AlignedVector<std::int32_t> signed_total_;
  AlignedVector<std::uint32_t> unsigned_total_;
};

}  // namespace

Survey survey(const FrameSource& frames, const Detector& detector, int bin_factor, int group, int threads) {
  expect(frames.count > 0 && group > 0 && bin_factor > 0, "a movie has frames");
  return Surveyor(frames, detector, bin_factor, group, threads).run();
}

void repair(Survey& survey, const std::vector<std::uint64_t>& defects, int nx, std::uint64_t seed, int threads) {
  if (survey.binned.empty()) return;
  const int width = survey.binned[0].nx(), height = survey.binned[0].ny();
  std::vector<std::size_t> bad;
  for (const auto pixel : defects) {
    const int x = static_cast<int>(pixel % static_cast<std::uint64_t>(nx)) / survey.bin,
              y = static_cast<int>(pixel / static_cast<std::uint64_t>(nx)) / survey.bin;
    if (x < width && y < height) bad.push_back(z(y) * z(width) + z(x));
  }
  std::sort(bad.begin(), bad.end());
  bad.erase(std::unique(bad.begin(), bad.end()), bad.end());
  parallel_for(threads, survey.binned.size(), [&](std::size_t t) {
    Image& image = survey.binned[t];
    const Rng frame_rng = Rng(seed).stream(t);
    for (const auto pixel : bad) {
      Rng rng = frame_rng.stream(pixel);
      const int x = static_cast<int>(pixel % z(width)), y = static_cast<int>(pixel / z(width));
      for (int attempt = 0; attempt < 64; ++attempt) {
        const int reach = 1 + attempt / 8, side = 2 * reach + 1;
        const int i = x - reach + static_cast<int>(rng.below(z(side))),
                  j = y - reach + static_cast<int>(rng.below(z(side)));
        if (i < 0 || j < 0 || i >= width || j >= height) continue;
        if (std::binary_search(bad.begin(), bad.end(), z(j) * z(width) + z(i))) continue;
        image(x, y) = image(i, j);
        break;
      }
    }
  });
}

double mean_of(const Image& image, int threads) {
  constexpr int lanes = 16;  // of AVX-512; fixed, so that sums keep their order
  std::vector<double> rows(z(image.ny()));
  parallel_for(threads, rows.size(), [&](std::size_t y) {
    const float* __restrict row = image.row(static_cast<int>(y));
    float sums[lanes] = {};
    int x = 0;
    for (; x + lanes <= image.nx(); x += lanes)
      for (int i = 0; i < lanes; ++i) sums[i] += row[x + i];
    for (; x < image.nx(); ++x) sums[0] += row[x];
    rows[y] = std::accumulate(sums, sums + lanes, 0.0);
  });
  return std::accumulate(rows.begin(), rows.end(), 0.0) / static_cast<double>(image.size());
}

double fixed_pattern(const Survey& survey, int frames) {
  if (frames < 2 || survey.noise_variance <= 0) return 0;
  const double excess = noise_variance(survey.sum) / survey.noise_variance - 1;
  return at_least_zero(excess / (frames - 1));
}

}  // namespace frazil::motion
