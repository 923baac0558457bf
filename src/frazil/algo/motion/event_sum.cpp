#include "frazil/algo/motion/event_sum.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/algo/motion/event_band.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"

namespace frazil::motion {
namespace {

using std::numbers::pi;

/// Part of each frame's raw frames that are whole, inverted; frames without any weigh nothing.
std::vector<double> frame_scales(const ElectronSource& source) {
  std::vector<double> scales;
  for (std::size_t f = 0; f + 1 < source.begin.size(); ++f) {
    int whole = 0;
    for (int raw = source.begin[f]; raw < source.begin[f + 1]; ++raw)
      whole += source.is_whole(source.first + raw) ? 1 : 0;
    scales.push_back(whole > 0 ? static_cast<double>(source.begin[f + 1] - source.begin[f]) / whole : 0);
  }
  return scales;
}

/// Inverse of the mean response of sharing an electron among two points along one axis, relative to an exact shift, at
/// frequencies 0 … n − 1.
/// @param histogram  how often an electron lies at each sixteenth between two points
std::vector<std::complex<double>> inverse_response(int n, const std::array<double, 16>& histogram) {
  std::vector<std::complex<double>> inverse(z(n));
  for (int i = 0; i < n; ++i) {
    const double omega = 2 * pi * (i <= n / 2 ? i : i - n) / n;
    std::complex<double> mean = 0;
    for (std::size_t f = 0; f < histogram.size(); ++f) {
      const double u = static_cast<double>(f) / 16;
      mean += histogram[f] * ((1 - u) * std::polar(1.0, omega * u) + u * std::polar(1.0, -omega * (1 - u)));
    }
    constexpr double least = 0.2;  // half-way between points nothing is known of the grid's own Nyquist frequency
    if (std::abs(mean) < least) mean = least;
    inverse[z(i)] = 1.0 / mean;
  }
  return inverse;
}

/// Where electrons lie between points, over raw frames and places.
void histograms(const ElectronSource& source, const EventGrid& grid, const ShiftPlan& plan, std::array<double, 16>& x,
                std::array<double, 16>& y) {
  constexpr int places = 5, most_frames = 256;  // 6,400 samples: a share of a sixteenth to 5 % of itself
  x.fill(0), y.fill(0);
  const int raw_frames = source.begin.back(), step = std::max(1, raw_frames / most_frames);
  double count = 0;
  for (int raw = 0; raw < raw_frames; raw += step)
    for (int j = 0; j < places; ++j)
      for (int i = 0; i < places; ++i) {
        const Shift s = shift_at(*plan.field, plan.time_of(raw), (i + 0.5) * grid.view_nx / places,
                                 (j + 0.5) * grid.view_ny / places);
        const auto add = [&](std::array<double, 16>& histogram, int cells, double shift) {
          for (int c = 0; c < cells; ++c)
            histogram[z(grid.sixteenths((2 * c + 1) * 4 / cells, shift) & 15)] += 1.0 / cells;
        };
        add(x, source.cells_x, s.x);
        add(y, source.cells_y, s.y);
        count += 1;
      }
  for (auto* histogram : {&x, &y})
    for (double& v : *histogram) v /= count;
}

}  // namespace

Shift shift_at(const MotionField& field, double time, double x_px, double y_px) {
  Shift sum;
  for (const auto& [frame, weight] : cubic_in_time(time, field.frames())) {
    if (weight == 0) continue;
    const Shift s = field.at(frame, x_px, y_px);
    sum.x += weight * s.x;
    sum.y += weight * s.y;
  }
  return sum;
}

Sums sum_electrons(const ElectronSource& source, const Detector& detector, const MotionField& field,
                   const DoseBasis& basis, std::uint64_t seed, const SumParams& params) {
  expect(source.begin.size() >= 2 && field.frames() + 1 == static_cast<int>(source.begin.size()) &&
             basis.b.at(0).size() + 1 == source.begin.size(),
         "field, basis and movie hold equally many frames");
  const EventGrid grid(source.nx, source.ny, detector.nx(), detector.ny());
  const ShiftPlan plan{&field, &source.begin};
  const auto scales = frame_scales(source);
  auto accumulators =
      deposit_all(source, detector, grid, plan, rows_of(basis, params.halves), scales, seed, params.threads);
  std::array<double, 16> at_x{}, at_y{};
  histograms(source, grid, plan, at_x, at_y);
  Response response;
  for (const auto& v : inverse_response(grid.nx(), at_x)) response.x.emplace_back(v);
  for (const auto& v : inverse_response(grid.ny(), at_y)) response.y.emplace_back(v);
  for (auto& image : accumulators) image.pixel_size = source.pixel_size / grid.cells_per_pixel;
  auto sums = combine(std::move(accumulators), basis, response, grid.cells_per_pixel * std::max(1.0, params.binning),
                      params.halves, params.threads);
  const auto cells = static_cast<float>(grid.cells_per_pixel * grid.cells_per_pixel);  // that make a pixel
  for (float& v : sums.plain.pixels()) v *= cells;
  for (auto* image : {&sums.weighted, &sums.odd, &sums.even})
    if (*image)
      for (float& v : (*image)->pixels()) v *= cells;
  return sums;
}

}  // namespace frazil::motion
