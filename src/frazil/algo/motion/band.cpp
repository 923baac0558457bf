#include "frazil/algo/motion/band.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "frazil/algo/motion/survey.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/image/fft_part.hpp"

namespace frazil::motion {
namespace {

constexpr int cross = 2;  ///< steps around the axes that are left out

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
  const double high = std::min(1 / limits.max_resolution.value(),
                               0.5 / pixel_size.value() - 2 * std::max(band.step_x_per_A, band.step_y_per_A));
  const double width = 6 * std::max(band.step_x_per_A, band.step_y_per_A);
  band.shells = static_cast<int>((high - low) / width);
  if (band.shells < 3)
    throw Error(
        ErrorCode::bad_input,
        "alignment finds no usable resolutions between {:g} and {:g} A in binned frames of {} x {} pixels of {:.3g} A",
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
    int begin = cross;
    while (shell_of(begin) < 0 && begin < nx / 2) ++begin;
    int end = begin;
    while (end < nx / 2 && shell_of(end) >= 0) ++end;
    if (end == begin) continue;
    row.first_kx = begin / Band::lanes * Band::lanes;
    row.count = (end - row.first_kx + Band::lanes - 1) / Band::lanes * Band::lanes;
    row.begin = begin - row.first_kx;
    row.end = end - row.first_kx;
    row.component = components;
    row.offset = 2 * components * z(band.frames);
    for (int kx = row.first_kx; kx < row.first_kx + row.count; ++kx) {
      const int s = kx >= begin && kx < end ? shell_of(kx) : band.shells;
      band.shell.push_back(static_cast<std::uint16_t>(s));
      if (s < band.shells) band.shell_count[z(s)] += 1;
    }
    components += z(row.count);
    band.rows.push_back(row);
  }
  band.data.allocate(2 * components * z(band.frames));
}

constexpr int frames_a_turn = 4;  ///< whose components lie next to one another are written together

struct Scratch {
  Image part;
  std::array<Spectrum, frames_a_turn> spectra;
};

/// Takes the mean out and lets the sides fall off.
void soften(Image& part, const Window& window) {
  const auto offset = static_cast<float>(mean_of(part));
  for (int y = 0; y < part.ny(); ++y) {
    float* __restrict row = part.row(y);
    const float* __restrict along_x = window.taper_x.data();
    const float factor = window.taper_y[z(y)];
    for (int x = 0; x < part.nx(); ++x) row[x] = (row[x] - offset) * (along_x[x] * factor);
  }
}

/// Components of one block; padding is zero.
void copy_block(const Band& band, const Band::Row& row, int b, const std::complex<float>* source, float* __restrict to,
                std::vector<double>& power) {
  float norms[Band::lanes];
  const auto* __restrict from = reinterpret_cast<const float*>(source + b);
  for (int i = 0; i < Band::lanes; ++i) {
    const float re = from[2 * i], im = from[2 * i + 1];
    to[i] = re;
    to[i + Band::lanes] = im;
    norms[i] = re * re + im * im;
  }
  const int begin = std::max(row.begin - b, 0), end = std::min(row.end - b, Band::lanes);
  for (int i = 0; i < begin; ++i) to[i] = to[i + Band::lanes] = 0;
  for (int i = end; i < Band::lanes; ++i) to[i] = to[i + Band::lanes] = 0;
  const std::uint16_t* shell = band.shell.data() + row.component + b;
  for (int i = begin; i < end; ++i) power[shell[i]] += static_cast<double>(norms[i]);
}

/// Fills frames first … last − 1.
void fill(Band& band, int first, int last, const Window& window, Scratch& scratch) {
  const int ny = static_cast<int>(window.taper_y.size());
  if (scratch.part.size() == 0) scratch.part = Image(static_cast<int>(window.taper_x.size()), ny);
  int columns = 0;
  for (const auto& row : band.rows) columns = std::max(columns, row.first_kx + row.count);
  for (int t = first; t < last; ++t) {
    auto& spectrum = scratch.spectra[z(t - first)];
    if (spectrum.size() == 0) spectrum = Spectrum(scratch.part.nx(), ny);
    window.part(t, scratch.part);
    soften(scratch.part, window);
    fft_columns_into(scratch.part, spectrum, std::min(columns, spectrum.columns()), 1);
  }
  for (const auto& row : band.rows)
    for (int b = 0; b < row.count; b += Band::lanes)
      for (int t = first; t < last; ++t)
        copy_block(band, row, b, scratch.spectra[z(t - first)].row(row.ky >= 0 ? row.ky : row.ky + ny) + row.first_kx,
                   band.data.data() + band.at(row, t, b), band.power[z(t)]);
  for (int t = first; t < last; ++t)
    for (int s = 0; s < band.shells; ++s) band.power[z(t)][z(s)] /= std::max(1.0, band.shell_count[z(s)]);
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
  const auto lit =
      static_cast<double>(std::count_if(frame_power.begin(), frame_power.end(), [](double p) { return p > 0; }));
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

Window window_of(std::span<const Image> frames) {
  expect(!frames.empty(), "a band has frames");
  const int nx = good_size_below(frames[0].nx()), ny = good_size_below(frames[0].ny());
  const int x0 = (frames[0].nx() - nx) / 2, y0 = (frames[0].ny() - ny) / 2;
  return {margin(nx), margin(ny), [=](int t, Image& out) {
            const Image& frame = frames[z(t)];
            expect(frame.nx() == frames[0].nx() && frame.ny() == frames[0].ny(), "frames have one size");
            for (int y = 0; y < ny; ++y) std::copy_n(frame.row(y0 + y) + x0, nx, out.row(y));
          }};
}

Band make_band(std::span<const Image> frames, const BandLimits& limits, const Exposure& exposure, int threads) {
  return make_band(static_cast<int>(frames.size()), window_of(frames), frames[0].pixel_size, limits, exposure, threads);
}

Band empty_band(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits) {
  Band band;
  band.frames = frames;
  lay_out(band, static_cast<int>(window.taper_x.size()), static_cast<int>(window.taper_y.size()), pixel_size, limits);
  band.power.assign(z(frames), std::vector<double>(z(band.shells), 0.0));
  return band;
}

Band make_band(int frames, const Window& window, Angstrom pixel_size, const BandLimits& limits,
               const Exposure& exposure, int threads) {
  Band band = empty_band(frames, window, pixel_size, limits);
  std::vector<Scratch> scratch(z(std::max(1, threads)));
  const int turn = std::clamp((frames + threads - 1) / std::max(1, threads), 1, frames_a_turn),
            turns = (frames + turn - 1) / turn;
  parallel_for_slots(threads, z(turns), [&](std::size_t i, int slot) {
    const int first = static_cast<int>(i) * turn;
    fill(band, first, std::min(frames, first + turn), window, scratch[z(slot)]);
  });
  whiten(band, exposure, threads);
  return band;
}

void whiten(Band& band, const Exposure& exposure, int threads) {
  const auto factor = whitening(band, exposure);
  parallel_for(threads, band.rows.size(), [&](std::size_t r) {
    const auto& row = band.rows[r];
    for (int b = 0; b < row.count; b += Band::lanes)
      for (int t = 0; t < band.frames; ++t) {
        float* __restrict values = band.data.data() + band.at(row, t, b);
        const auto* shell = band.shell.data() + row.component + z(b);
        for (int i = 0; i < Band::lanes; ++i) {
          const float f = factor[z(t)][shell[i]];
          values[i] *= f;
          values[i + Band::lanes] *= f;
        }
      }
  });
}

}  // namespace frazil::motion
