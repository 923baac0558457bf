#include "frazil/algo/motion/event_sum.hpp"
#include "frazil/algo/motion/event_kernels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::motion {
namespace {

constexpr double pi = std::numbers::pi;

/// A grating of one frequency that moves, counted electron by electron.
struct Grating {
  int n = 128, frames = 8, raw_per_frame = 20;
  int kx = 0, ky = 0;  ///< cycles over the sensor
  double contrast = 0;
  double electrons_per_pixel = 0.05;  ///< and raw frame
  std::function<Shift(double time, double x, double y)>
      shift;  ///< onto the reference; time in frames, 0 at the middle of the first
};

double time_of(const Grating& g, int raw) { return (raw + 0.5) / g.raw_per_frame - 0.5; }

/// Electrons of each raw frame, known to a quarter of a pixel; a Poisson process.
std::vector<std::vector<Electron>> count(const Grating& g, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::vector<Electron>> raw_frames;
  for (int raw = 0; raw < g.frames * g.raw_per_frame; ++raw) {
    std::vector<Electron> list;
    const auto tries = rng.poisson(g.electrons_per_pixel * g.n * g.n * (1 + g.contrast));
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(tries); ++i) {
      const double u = rng.uniform(0, g.n), v = rng.uniform(0, g.n), x = u - 0.5, y = v - 0.5;
      const Shift s = g.shift(time_of(g, raw), x, y);
      const double phase = 2 * pi * (g.kx * (x + s.x) + g.ky * (y + s.y)) / g.n;
      if (rng.uniform() * (1 + g.contrast) > 1 + g.contrast * std::cos(phase)) continue;
      list.push_back({static_cast<std::uint16_t>(2 * static_cast<int>(4 * u) + 1),
                      static_cast<std::uint16_t>(2 * static_cast<int>(4 * v) + 1)});
    }
    raw_frames.push_back(std::move(list));
  }
  return raw_frames;
}

ElectronSource source_of(const Grating& g, const std::vector<std::vector<Electron>>& raw_frames) {
  ElectronSource source;
  source.nx = source.ny = g.n;
  for (int f = 0; f <= g.frames; ++f) source.begin.push_back(f * g.raw_per_frame);
  source.read = [&raw_frames](int raw, int first_row, int last_row, std::vector<Electron>& scratch) {
    scratch.clear();
    for (const auto& e : raw_frames[static_cast<std::size_t>(raw)])
      if (e.y8 / 8 >= first_row && e.y8 / 8 < last_row) scratch.push_back(e);
    return std::span<const Electron>(scratch);
  };
  source.is_whole = [](int) { return true; };
  return source;
}

MotionField field_of(const Grating& g) {
  std::vector<Shift> track;
  for (int f = 0; f < g.frames; ++f) track.push_back(g.shift(f, 0, 0));
  return MotionField(track);
}

DoseBasis plain_basis(int frames) { return {{std::vector<double>(static_cast<std::size_t>(frames), 1.0)}, {}, 0, 0}; }

/// Σ of exp(−2πi k·(r + s)) over the electrons that the shift leaves in the image: what a perfect sum holds at the
/// grating's frequency.
std::complex<double> ideal(const Grating& g, const std::vector<std::vector<Electron>>& raw_frames) {
  std::complex<double> sum = 0;
  const auto inside = [&](double v) { return v > -0.5 && v < g.n - 0.5; };
  for (std::size_t raw = 0; raw < raw_frames.size(); ++raw)
    for (const auto& e : raw_frames[raw]) {
      const double x = e.x8 / 8.0 - 0.5, y = e.y8 / 8.0 - 0.5;
      const Shift s = g.shift(time_of(g, static_cast<int>(raw)), x, y);
      if (inside(x + s.x) && inside(y + s.y))
        sum += std::polar(1.0, -2 * pi * (g.kx * (x + s.x) + g.ky * (y + s.y)) / g.n);
    }
  return sum;
}

/// Mean power of the ring |k| ± 3 and its number of components, without those of the grating.
double ring_power(const Image& image, double k) {
  const auto spectrum = fft(image);
  double sum = 0, count = 0;
  for (int iy = 0; iy < spectrum.ny(); ++iy)
    for (int ix = 1; ix < spectrum.columns() - 1; ++ix)
      if (std::abs(std::hypot(ix, spectrum.ky(iy)) - k) < 3)
        sum += static_cast<double>(std::norm(spectrum(ix, iy))), count += 1;
  return sum / count;
}

double total(const std::vector<std::vector<Electron>>& raw_frames) {
  double sum = 0;
  for (const auto& list : raw_frames) sum += static_cast<double>(list.size());
  return sum;
}

std::complex<double> component(const Image& image, const Grating& g) {
  return std::complex<double>(fft(image)(g.kx, g.ky));
}

/// The same movie rendered frame by frame on the sensor's grid, then moved and summed.
Image rendered_sum(const Grating& g, const std::vector<std::vector<Electron>>& raw_frames) {
  const FrameSource frames{g.n, g.n, g.frames, 1_A, [&](int f, Image& out) {
                             out = Image(g.n, g.n);
                             for (int raw = f * g.raw_per_frame; raw < (f + 1) * g.raw_per_frame; ++raw)
                               for (const auto& e : raw_frames[static_cast<std::size_t>(raw)])
                                 out(e.x8 >> 3, e.y8 >> 3) += 1;
                           }};
  return sum_frames(frames, Detector(g.n, g.n, Image(), 1), field_of(g), plain_basis(g.frames)).plain;
}

/// Fast drift: one pixel a frame.
Shift fast(double t, double, double) { return {0.8 * (t - 3.5), 0.6 * (t - 3.5)}; }

TEST(EventSum, KeepsSignalAndNoiseAtHighFrequencyUnderFastDrift) {
  Grating g{.kx = 41, .ky = 31, .contrast = 0.5, .shift = fast};  // 51.4 of 64: 0.8 of Nyquist
  const auto electrons = count(g, 1);
  const Detector detector(g.n, g.n, Image(), 1);
  const auto sum = sum_electrons(source_of(g, electrons), detector, field_of(g), plain_basis(g.frames), 1);
  const auto truth = ideal(g, electrons);
  const auto kept = component(sum.plain, g) / truth;
  EXPECT_NEAR(kept.real(), 1,
              0.02);  // amplitude and phase: sign of the shift, centre of the grid, response divided out
  EXPECT_NEAR(kept.imag(), 0, 0.02);
  auto flat = g;
  flat.contrast = 0;
  flat.raw_per_frame = 60;
  const auto noise = count(flat, 2);
  const auto noise_sum = sum_electrons(source_of(flat, noise), detector, field_of(flat), plain_basis(g.frames), 1);
  const double snr = std::norm(kept) / (ring_power(noise_sum.plain, std::hypot(g.kx, g.ky)) / total(noise));
  const auto rendered = component(rendered_sum(g, electrons), g) / truth;
  const double rendered_snr =
      std::norm(rendered) / (ring_power(rendered_sum(flat, noise), std::hypot(g.kx, g.ky)) / total(noise));
  std::printf(
      "at 0.8 Nyquist, drift of 1 px a frame: signal-to-noise %.3f of the ideal from electrons, %.3f when frames are "
      "rendered first\n",
      snr, rendered_snr);
  EXPECT_GT(snr, 0.95);          // theory: 0.995; the ring's noise power is known to 2 %
  EXPECT_LT(rendered_snr, 0.5);  // sinc² of the pixel, blur of the drift, aliases
}

TEST(EventSum, FollowsAFieldThatDiffersOverTheSensor) {
  const auto local = [](double t, double x, double y) {
    return Shift{0.3 * t + 0.004 * t * x, -0.2 * t + 0.003 * t * (x - y)};
  };
  Grating g{.kx = 20, .ky = 12, .contrast = 0.5, .shift = local};
  const auto electrons = count(g, 3);
  const std::vector<double> nodes{0, 127};
  std::vector<Shift> shifts;
  for (int f = 0; f < g.frames; ++f)
    for (const double y : nodes)
      for (const double x : nodes) shifts.push_back(local(f, x, y));
  const auto sum = sum_electrons(source_of(g, electrons), Detector(g.n, g.n, Image(), 1),
                                 MotionField(nodes, nodes, shifts), plain_basis(g.frames), 1);
  const auto kept = component(sum.plain, g) / ideal(g, electrons);
  EXPECT_NEAR(kept.real(), 1, 0.03);
  EXPECT_NEAR(kept.imag(), 0, 0.03);
}

TEST(EventSum, IsTheSameForAnyNumberOfThreadsAndOnEveryGrid) {
  Grating g{.n = 64, .kx = 9, .ky = 7, .contrast = 0.5, .shift = fast};
  const auto electrons = count(g, 4);
  const auto source = source_of(g, electrons);
  for (const auto& [view, pixels] : {std::pair{32, 0.5}, {64, 1.0}, {128, 2.0}, {256, 4.0}}) {
    std::vector<Shift> track;
    for (int f = 0; f < g.frames; ++f) {
      const Shift s = fast(f, 0, 0);
      track.push_back({s.x * pixels, s.y * pixels});
    }
    const Detector detector(view, view, Image(), 1);
    const Exposure exposure{2_e_per_A2, 0_e_per_A2, 300_kV};
    const auto basis = dose_basis(exposure, g.frames, 0.7);
    const auto one = sum_electrons(source, detector, MotionField(track), basis, 1, {.halves = true, .threads = 1}),
               three = sum_electrons(source, detector, MotionField(track), basis, 1, {.halves = true, .threads = 3});
    ASSERT_EQ(one.plain.nx(), view);
    EXPECT_TRUE(std::equal(one.plain.pixels().begin(), one.plain.pixels().end(), three.plain.pixels().begin()));
    EXPECT_TRUE(
        std::equal(one.weighted->pixels().begin(), one.weighted->pixels().end(), three.weighted->pixels().begin()));
    double most = 0;  // the halves are parts of the weighted sum
    for (std::size_t i = 0; i < one.weighted->size(); ++i)
      most = std::max(most, std::abs(static_cast<double>(one.odd->pixels()[i] + one.even->pixels()[i] -
                                                         one.weighted->pixels()[i])));
    EXPECT_LT(most, 1e-3 * statistics(one.weighted->view()).stddev);
    auto on_view = component(one.plain, g);
    // Pixel 0 is centred elsewhere on other grids.
    const double moved = 0.5 - 0.5 / pixels;
    on_view *= std::polar(1.0, 2 * pi * (g.kx + g.ky) * moved / g.n);
    const auto kept = on_view / ideal(g, electrons);
    EXPECT_NEAR(kept.real(), 1, 0.03) << view;
    EXPECT_NEAR(kept.imag(), 0, 0.03) << view;
    const auto binned = sum_electrons(source, detector, MotionField(track), basis, 1, {.binning = 2, .threads = 2});
    EXPECT_EQ(binned.plain.nx(), view / 2);
    EXPECT_NEAR(statistics(binned.plain.view()).mean, statistics(one.plain.view()).mean, 1e-3);
  }
}

TEST(EventSum, FoldsCountersAsThePlainLoopDoes) {
  Rng rng(21);
  for (const int rows : {1, 3, 8}) {
    constexpr std::size_t n = 77, stride = 100, slabs = 5;
    std::vector<std::uint16_t> counts(stride * slabs);
    for (auto& v : counts) v = static_cast<std::uint16_t>(rng.below(65536));
    std::vector<float> weights(slabs * 8);
    for (auto& v : weights) v = static_cast<float>(rng.normal());
    std::vector<std::vector<float>> fast(8, std::vector<float>(n, 1.0F)), plain = fast;
    const auto fold = [&](auto kernel, std::vector<std::uint16_t>& from, std::vector<std::vector<float>>& to) {
      std::array<float*, 8> at{};
      for (std::size_t r = 0; r < 8; ++r) at[r] = to[r].data();
      kernel(FoldRow{from.data(), stride, slabs, weights.data(), 8, rows, at.data(), n, true});
    };
    auto copy = counts;
    fold(fold_row, counts, fast);
    fold(fold_row_reference, copy, plain);
    EXPECT_EQ(counts, copy);
    for (std::size_t r = 0; r < 8; ++r)
      for (std::size_t i = 0; i < n; ++i) ASSERT_NEAR(fast[r][i], plain[r][i], 0.1) << r << " " << i;
  }
}

TEST(EventSum, GainAndDefectsAreMadeUpForAndEdgesAreFilled) {
  Grating g{.n = 64, .frames = 4, .electrons_per_pixel = 0.3, .shift = [](double t, double, double) {
              return Shift{2.5 * t, -2 * t};
            }};
  auto electrons = count(g, 5);
  Image gain(g.n, g.n);
  std::fill(gain.pixels().begin(), gain.pixels().end(), 1.0F);
  Rng rng(6);
  const auto is_dead = [](int x, int y) { return (x >= 30 && x < 33 && y >= 20 && y < 23) || x == 50; };
  for (auto& list : electrons)
    std::erase_if(list, [&](const Electron& e) {
      const int x = e.x8 >> 3, y = e.y8 >> 3;
      return is_dead(x, y) || (x < 16 && rng.uniform() < 0.5);  // columns below 16 count every second electron
    });
  for (int y = 0; y < g.n; ++y)
    for (int x = 0; x < g.n; ++x) gain(x, y) = is_dead(x, y) ? 0 : x < 16 ? 2.0F : 1.0F;
  const auto sum = sum_electrons(source_of(g, electrons), Detector(g.n, g.n, std::move(gain), 1), field_of(g),
                                 plain_basis(g.frames), 1);
  const auto mean_of = [&](int x0, int y0, int x1, int y1) {
    double total_of = 0;
    for (int y = y0; y < y1; ++y)
      for (int x = x0; x < x1; ++x) total_of += static_cast<double>(sum.plain(x, y));
    return total_of / ((x1 - x0) * (y1 - y0));
  };
  const double expected = 0.3 * 80;
  EXPECT_NEAR(mean_of(18, 0, 48, 64) / expected, 1, 0.02);
  EXPECT_NEAR(mean_of(2, 0, 14, 64) / expected, 1, 0.06);
  EXPECT_NEAR(mean_of(30, 14, 42, 24) / expected, 1, 0.06);
  EXPECT_NEAR(mean_of(50, 0, 58, 64) / expected, 1, 0.04);
  EXPECT_NEAR(mean_of(0, 0, 64, 3) / expected, 1, 0.06);
  EXPECT_NEAR(mean_of(0, 61, 64, 64) / expected, 1, 0.06);
  EXPECT_NEAR(mean_of(61, 0, 64, 64) / expected, 1, 0.06);
}

TEST(EventSum, MotionBetweenFramesIsACubicThroughTheirMiddles) {
  std::vector<Shift> track;
  for (int f = 0; f < 6; ++f) track.push_back({0.5 * f * f, 2.0 - 3.0 * f});
  const MotionField field(track);
  for (const double t : {1.0, 1.3, 2.5, 3.9}) {
    EXPECT_NEAR(shift_at(field, t, 0, 0).x, 0.5 * t * t, 1e-9);  // quadratics are exact away from the ends
    EXPECT_NEAR(shift_at(field, t, 0, 0).y, 2 - 3 * t, 1e-9);
  }
  EXPECT_NEAR(shift_at(field, -0.5, 0, 0).y, 3.5, 1e-9);
  EXPECT_NEAR(shift_at(field, 5.5, 0, 0).y, -14.5, 1e-9);
  EXPECT_NEAR(shift_at(field, 0.25, 0, 0).y, 1.25, 1e-9);
  EXPECT_NEAR(shift_at(MotionField(std::vector<Shift>{{1, 2}}), 0.3, 0, 0).x, 1, 1e-9);
}

}  // namespace
}  // namespace frazil::motion
