#include "frazil/algo/motion/sum.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {
namespace {

constexpr int taps = 6, before = 2;         ///< taps j = floor(p) − 2 … floor(p) + 3
constexpr int block_x = 512, block_y = 32;  ///< a global shift
constexpr int local_x = 32, local_y = 16;   ///< patch over which a local displacement is taken as constant
constexpr double pi = std::numbers::pi;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

/// Index mirrored into [0, n).
int mirrored(int i, int n) {
  const int period = 2 * n;
  i = ((i % period) + period) % period;
  return i < n ? i : period - 1 - i;
}

struct Scratch {
  AlignedVector<float> patch, rows, value;
};

struct Block {
  int x0, y0, nx, ny;
};

/// out(x, y) = frame(x − s) over one block, into scratch.value (ny × nx).
void gather(ImageView frame, const Block& block, const Shift& shift, Scratch& scratch) {
  const double px = block.x0 - shift.x, py = block.y0 - shift.y;
  const int ix = static_cast<int>(std::floor(px)), iy = static_cast<int>(std::floor(py));
  float wx[taps], wy[taps];
  quintic_taps(px - ix, wx);
  quintic_taps(py - iy, wy);
  const int left = ix - before, top = iy - before, width = block.nx + taps - 1, height = block.ny + taps - 1;
  const float* source = nullptr;
  std::ptrdiff_t stride = 0;
  if (left >= 0 && top >= 0 && left + width <= frame.nx && top + height <= frame.ny) {
    source = frame.row(top) + left;
    stride = frame.stride;
  } else {
    scratch.patch.resize(z(width) * z(height));
    for (int y = 0; y < height; ++y) {
      const float* row = frame.row(mirrored(top + y, frame.ny));
      for (int x = 0; x < width; ++x) scratch.patch[z(y) * z(width) + z(x)] = row[mirrored(left + x, frame.nx)];
    }
    source = scratch.patch.data();
    stride = width;
  }
  scratch.rows.resize(z(block.nx) * z(height));
  scratch.value.resize(z(block.nx) * z(block.ny));
  for (int y = 0; y < height; ++y) {
    const float* __restrict in = source + y * stride;
    float* __restrict out = scratch.rows.data() + z(y) * z(block.nx);
    for (int x = 0; x < block.nx; ++x)
      out[x] = wx[0] * in[x] + wx[1] * in[x + 1] + wx[2] * in[x + 2] + wx[3] * in[x + 3] + wx[4] * in[x + 4] + wx[5] * in[x + 5];
  }
  for (int y = 0; y < block.ny; ++y) {
    const float* __restrict in = scratch.rows.data() + z(y) * z(block.nx);
    float* __restrict out = scratch.value.data() + z(y) * z(block.nx);
    const int n = block.nx;
    for (int x = 0; x < n; ++x)
      out[x] = wy[0] * in[x] + wy[1] * in[x + n] + wy[2] * in[x + 2 * n] + wy[3] * in[x + 3 * n] + wy[4] * in[x + 4 * n] + wy[5] * in[x + 5 * n];
  }
}

void accumulate(const Block& block, const Scratch& scratch, const std::vector<float>& b, std::vector<Image>& accumulators) {
  for (std::size_t r = 0; r < accumulators.size(); ++r)
    for (int y = 0; y < block.ny; ++y) {
      const float* __restrict in = scratch.value.data() + z(y) * z(block.nx);
      float* __restrict out = accumulators[r].row(block.y0 + y) + block.x0;
      for (int x = 0; x < block.nx; ++x) out[x] += b[r] * in[x];
    }
}

/// Mean over frames and places of the gather's response relative to an exact shift, along one axis of n pixels, at indices 0 … n − 1.
std::vector<std::complex<float>> response(int n, const std::vector<double>& shifts) {
  // Aliased copies m: Σ_m sinc⁶(k + m) exp(−2πi m s); only s modulo 1 matters.
  std::array<std::complex<double>, 5> copies{};
  for (int m = -2; m <= 2; ++m) {
    for (const double s : shifts) copies[z(m + 2)] += std::polar(1.0, -2 * pi * m * s);
    copies[z(m + 2)] /= static_cast<double>(shifts.size());
  }
  std::vector<std::complex<float>> inverse(z(n));
  for (int i = 0; i < n; ++i) {
    const double k = static_cast<double>(i <= n / 2 ? i : i - n) / n;
    const auto spline = [](double f) { return f == 0 ? 1.0 : std::pow(std::sin(pi * f) / (pi * f), taps); };
    std::complex<double> sum = 0;
    for (int m = -2; m <= 2; ++m) sum += spline(k + m) * copies[z(m + 2)];
    const double least = 0.5 * spline(k);  // frames that all lie half-way between pixels know nothing of Nyquist
    if (std::abs(sum) < least) sum = std::abs(sum) > 0 ? sum * (least / std::abs(sum)) : least;
    inverse[z(i)] = std::complex<float>(1.0 / sum);
  }
  return inverse;
}

/// All displacements, sampled over the image.
void sampled_shifts(const FrameSource& frames, const MotionField& field, std::vector<double>& x, std::vector<double>& y) {
  const int side = field.is_global() ? 1 : 9;
  for (int t = 0; t < frames.count; ++t)
    for (int j = 0; j < side; ++j)
      for (int i = 0; i < side; ++i) {
        const Shift s = field.at(t, (i + 0.5) * frames.nx / side, (j + 0.5) * frames.ny / side);
        x.push_back(s.x);
        y.push_back(s.y);
      }
}

std::vector<Image> warp_all(const FrameSource& frames, const MotionField& field, const DoseBasis& basis, int threads) {
  std::vector<Image> accumulators;
  for (int r = 0; r < basis.rank(); ++r) accumulators.emplace_back(frames.nx, frames.ny, frames.pixel_size);
  const int batch = std::max(1, threads);
  std::vector<Image> held(z(batch));
  std::vector<Scratch> scratch(z(batch));
  const int step_x = field.is_global() ? block_x : local_x, step_y = field.is_global() ? block_y : local_y;
  for (int first = 0; first < frames.count; first += batch) {
    const int n = std::min(batch, frames.count - first);
    parallel_for(threads, z(n), [&](std::size_t i) { frames.read(first + static_cast<int>(i), held[i]); });
    parallel_for_slots(threads, z((frames.ny + step_y - 1) / step_y), [&](std::size_t band, int slot) {
      std::vector<float> b(z(basis.rank()));
      for (int x0 = 0; x0 < frames.nx; x0 += step_x)
        for (int i = 0; i < n; ++i) {
          const int t = first + i, y0 = static_cast<int>(band) * step_y;
          const Block block{x0, y0, std::min(step_x, frames.nx - x0), std::min(step_y, frames.ny - y0)};
          for (std::size_t r = 0; r < b.size(); ++r) b[r] = static_cast<float>(basis.b[r][z(t)]);
          gather(held[z(i)].view(), block, field.at(t, x0 + 0.5 * (block.nx - 1), y0 + 0.5 * (block.ny - 1)), scratch[z(slot)]);
          accumulate(block, scratch[z(slot)], b, accumulators);
        }
    });
  }
  return accumulators;
}

/// target += a(|k|) · source, a given at multiples of `step_per_A`.
void add_weighted(Spectrum& target, const Spectrum& source, const std::vector<double>& a, double step_per_A, int threads) {
  const double dx = 1 / (source.nx() * source.pixel_size.value()), dy = 1 / (source.ny() * source.pixel_size.value());
  std::vector<float> table(a.begin(), a.end());
  table.push_back(table.back());
  parallel_for(threads, z(source.ny()), [&](std::size_t row) {
    const int iy = static_cast<int>(row);
    const auto ky2 = static_cast<float>(std::pow(source.ky(iy) * dy / step_per_A, 2)), kx2 = static_cast<float>(std::pow(dx / step_per_A, 2));
    for (int ix = 0; ix < source.columns(); ++ix) {
      const float position = std::sqrt(ky2 + kx2 * static_cast<float>(ix) * static_cast<float>(ix));
      const auto i = std::min(static_cast<std::size_t>(position), table.size() - 2);
      const float f = std::min(1.0F, position - static_cast<float>(i));
      target(ix, iy) += source(ix, iy) * (table[i] + f * (table[i + 1] - table[i]));
    }
  });
}

void multiply(Spectrum& spectrum, const std::vector<std::complex<float>>& x, const std::vector<std::complex<float>>& y, int threads) {
  parallel_for(threads, z(spectrum.ny()), [&](std::size_t row) {
    auto* values = spectrum.row(static_cast<int>(row));
    for (int ix = 0; ix < spectrum.columns(); ++ix) values[ix] *= x[z(ix)] * y[row];
  });
}

Image finish(Spectrum&& spectrum, double binning) {
  if (binning <= 1) return ifft(spectrum);
  const auto side = [&](int n) { return std::max(2, 2 * static_cast<int>(std::lround(n / binning / 2))); };
  return ifft(fourier_resize(spectrum, side(spectrum.nx()), side(spectrum.ny())));
}

}  // namespace

void quintic_taps(double u, float out[6]) {
  // Cardinal quintic B-spline at distances u + 2, u + 1, u, 1 − u, 2 − u, 3 − u (Unser 1999, doi:10.1109/79.799930).
  const double distance[6] = {u + 2, u + 1, u, 1 - u, 2 - u, 3 - u};
  for (int i = 0; i < 6; ++i) {
    const double d = distance[i];
    double value = 0;
    if (d < 3) value += std::pow(3 - d, 5);
    if (d < 2) value -= 6 * std::pow(2 - d, 5);
    if (d < 1) value += 15 * std::pow(1 - d, 5);
    out[i] = static_cast<float>(value / 120);
  }
}

Sums sum_frames(const FrameSource& frames, const MotionField& field, const DoseBasis& basis, double binning, int threads) {
  expect(field.frames() == frames.count && basis.b.at(0).size() == z(frames.count), "field, basis and movie hold equally many frames");
  std::vector<double> shifts_x, shifts_y;
  sampled_shifts(frames, field, shifts_x, shifts_y);
  const auto inverse_x = response(frames.nx, shifts_x), inverse_y = response(frames.ny, shifts_y);
  auto accumulators = warp_all(frames, field, basis, threads);
  Sums sums;
  Spectrum plain, weighted;
  // Independent transforms run beside each other; the basis is then added in order.
  for (std::size_t first = 0; first < accumulators.size(); first += z(std::max(1, threads))) {
    const std::size_t n = std::min(accumulators.size() - first, z(std::max(1, threads)));
    std::vector<Spectrum> spectra(n);
    parallel_for(threads, n, [&](std::size_t i) {
      spectra[i] = fft(accumulators[first + i]);
      accumulators[first + i] = Image();
    });
    for (std::size_t i = 0; i < n; ++i) {
      if (basis.weighted()) {
        if (weighted.size() == 0) weighted = Spectrum(frames.nx, frames.ny, frames.pixel_size);
        add_weighted(weighted, spectra[i], basis.a[first + i], basis.step_per_A, threads);
      }
      if (first + i == 0) plain = std::move(spectra[i]);
    }
  }
  parallel_for(threads, basis.weighted() ? 2 : 1, [&](std::size_t i) {
    Spectrum& spectrum = i == 0 ? plain : weighted;
    multiply(spectrum, inverse_x, inverse_y, 1);
    Image image = finish(std::move(spectrum), binning);
    if (i == 0) sums.plain = std::move(image);
    else sums.weighted = std::move(image);
  });
  return sums;
}

}  // namespace frazil::motion
