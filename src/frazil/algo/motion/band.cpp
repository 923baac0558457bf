#include "frazil/algo/motion/band.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {
namespace {

constexpr int cross = 2;  ///< steps around the axes that are left out

std::size_t z(int n) { return static_cast<std::size_t>(n); }

std::vector<float> margin(int n) {
  std::vector<float> taper(z(n), 1.0F);
  const int width = std::max(2, n / 50);
  for (int i = 0; i < width; ++i) {
    const auto v = static_cast<float>(0.5 - 0.5 * std::cos(std::numbers::pi * (i + 0.5) / width));
    taper[z(i)] = v;
    taper[z(n - 1 - i)] = v;
  }
  return taper;
}

/// Rows, shells and their sizes, without data.
void lay_out(Band& band, int nx, int ny, Angstrom pixel_size, const BandLimits& limits) {
  band.step_x_per_A = 1 / (nx * pixel_size.value());
  band.step_y_per_A = 1 / (ny * pixel_size.value());
  const double low = 1 / limits.min_resolution.value();
  const double high = std::min(1 / limits.max_resolution.value(), 0.5 / pixel_size.value() - 2 * std::max(band.step_x_per_A, band.step_y_per_A));
  const double width = 6 * std::max(band.step_x_per_A, band.step_y_per_A);
  band.shells = static_cast<int>((high - low) / width);
  if (band.shells < 3)
    throw Error(ErrorCode::bad_input, "alignment finds no usable resolutions between {:g} and {:g} A in binned frames of {} x {} pixels of {:.3g} A",
                limits.min_resolution.value(), limits.max_resolution.value(), nx, ny, pixel_size.value());
  band.first_shell_per_A = low;
  band.shell_width_per_A = (high - low) / band.shells;
  band.shell_count.assign(z(band.shells), 0.0);
  std::size_t components = 0;
  const int reach = static_cast<int>(high / band.step_y_per_A);
  for (int ky = -reach; ky <= reach; ++ky) {
    if (std::abs(ky) < cross) continue;
    const auto shell_of = [&](int kx) {
      const double k = std::hypot(kx * band.step_x_per_A, ky * band.step_y_per_A);
      if (k < low || k >= high) return -1;
      return std::min(band.shells - 1, static_cast<int>((k - low) / band.shell_width_per_A));
    };
    Band::Row row;
    row.ky = ky;
    row.first_kx = cross;
    while (shell_of(row.first_kx) < 0 && row.first_kx < nx / 2) ++row.first_kx;
    int end = row.first_kx;
    while (end < nx / 2 && shell_of(end) >= 0) ++end;
    if (end == row.first_kx) continue;
    row.count = (end - row.first_kx + Band::lanes - 1) / Band::lanes * Band::lanes;
    row.component = components;
    row.offset = components * z(band.frames);
    for (int i = 0; i < row.count; ++i) {
      const int s = row.first_kx + i < end ? shell_of(row.first_kx + i) : band.shells;
      band.shell.push_back(static_cast<std::uint16_t>(s));
      if (s < band.shells) band.shell_count[z(s)] += 1;
    }
    components += z(row.count);
    band.rows.push_back(row);
  }
  band.re.resize(components * z(band.frames));
  band.im.resize(components * z(band.frames));
}

void fill(Band& band, int t, Image part, const Window& window) {
  const int nx = part.nx(), ny = part.ny();
  const auto mean = static_cast<float>(statistics(part).mean);
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) part(x, y) = (part(x, y) - mean) * window.taper_x[z(x)] * window.taper_y[z(y)];
  const Spectrum spectrum = fft(part);
  auto& power = band.power[z(t)];
  power.assign(z(band.shells), 0.0);
  for (const auto& row : band.rows) {
    const auto* source = spectrum.row(row.ky >= 0 ? row.ky : row.ky + ny);
    float* re = band.re.data() + row.offset + z(t) * z(row.count);
    float* im = band.im.data() + row.offset + z(t) * z(row.count);
    for (int i = 0; i < row.count; ++i) {
      const int s = band.shell[row.component + z(i)];
      const auto value = s < band.shells ? source[row.first_kx + i] : std::complex<float>(0);
      re[i] = value.real();
      im[i] = value.imag();
      if (s < band.shells) power[z(s)] += std::norm(value);
    }
  }
  for (int s = 0; s < band.shells; ++s) power[z(s)] /= std::max(1.0, band.shell_count[z(s)]);
}

/// Factor of every frame and shell that whitens it, exposure weight included; updates `power`.
std::vector<std::vector<float>> whitening(Band& band, const Exposure& exposure) {
  std::vector<double> shell_mean(z(band.shells), 0.0), frame_power(z(band.frames), 0.0);
  // Frames first get equal weight, whatever their scale, or one bad frame would set the shape for all.
  for (int t = 0; t < band.frames; ++t) {
    double sum = 0, count = 0;
    for (int s = 0; s < band.shells; ++s) {
      sum += band.power[z(t)][z(s)] * band.shell_count[z(s)];
      count += band.shell_count[z(s)];
    }
    frame_power[z(t)] = sum / count;
    if (sum > 0)
      for (int s = 0; s < band.shells; ++s) shell_mean[z(s)] += band.power[z(t)][z(s)] / frame_power[z(t)];
  }
  const auto lit = static_cast<double>(std::count_if(frame_power.begin(), frame_power.end(), [](double p) { return p > 0; }));
  double mean_scale = 0;
  for (const double p : frame_power) mean_scale += std::sqrt(p) / std::max(1.0, lit);
  std::vector<std::vector<float>> factor(z(band.frames), std::vector<float>(z(band.shells) + 1, 0.0F));
  for (int t = 0; t < band.frames; ++t) {
    double whitened = 0, count = 0;
    band.frame_scale.push_back(mean_scale > 0 ? std::sqrt(frame_power[z(t)]) / mean_scale : 0);
    band.q.emplace_back(z(band.shells));
    for (int s = 0; s < band.shells; ++s) {
      const double mean = shell_mean[z(s)] / std::max(1.0, lit) * frame_power[z(t)];
      band.q[z(t)][z(s)] = frame_weight(exposure, t, band.shell_per_A(s));
      if (mean > 0) {
        factor[z(t)][z(s)] = static_cast<float>(1 / std::sqrt(mean));
        whitened += band.power[z(t)][z(s)] / mean * band.shell_count[z(s)];
        count += band.shell_count[z(s)];
      }
    }
    const double rest = whitened > 0 ? std::sqrt(count / whitened) : 0;
    for (int s = 0; s < band.shells; ++s) {
      factor[z(t)][z(s)] *= static_cast<float>(rest * band.q[z(t)][z(s)]);
      band.power[z(t)][z(s)] *= static_cast<double>(factor[z(t)][z(s)]) * static_cast<double>(factor[z(t)][z(s)]);
    }
  }
  return factor;
}

}  // namespace

int good_size_below(int n) {
  for (int size = n - n % 2; size > 2; size -= 2)
    if (good_size(size) == size) return size;
  return 2;
}

Band make_band(std::span<const Image> frames, const BandLimits& limits, const Exposure& exposure, int threads) {
  expect(!frames.empty(), "a band has frames");
  const int nx = good_size_below(frames[0].nx()), ny = good_size_below(frames[0].ny());
  const Window window{margin(nx), margin(ny), [&](int t) {
                        const Image& frame = frames[z(t)];
                        expect(frame.nx() == frames[0].nx() && frame.ny() == frames[0].ny(), "frames have one size");
                        return crop(frame, (frame.nx() - nx) / 2, (frame.ny() - ny) / 2, nx, ny, 0, frame.pixel_size);
                      }};
  return make_band(static_cast<int>(frames.size()), window, frames[0].pixel_size, limits, exposure, threads);
}

Band make_band(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits, const Exposure& exposure, int threads) {
  Band band;
  band.frames = frames;
  lay_out(band, static_cast<int>(window.taper_x.size()), static_cast<int>(window.taper_y.size()), pixel_size, limits);
  band.power.resize(z(frames));
  parallel_for(threads, z(frames), [&](std::size_t t) { fill(band, static_cast<int>(t), window.part(static_cast<int>(t)), window); });
  const auto factor = whitening(band, exposure);
  parallel_for(threads, band.rows.size(), [&](std::size_t r) {
    const auto& row = band.rows[r];
    for (int t = 0; t < band.frames; ++t) {
      float* re = band.re.data() + row.offset + z(t) * z(row.count);
      float* im = band.im.data() + row.offset + z(t) * z(row.count);
      for (int i = 0; i < row.count; ++i) {
        const float f = factor[z(t)][band.shell[row.component + z(i)]];
        re[i] *= f;
        im[i] *= f;
      }
    }
  });
  return band;
}

}  // namespace frazil::motion
