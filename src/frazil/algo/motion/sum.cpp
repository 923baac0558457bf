#include "frazil/algo/motion/sum.hpp"

#include <array>
#include <cmath>
#include <numbers>

#include "frazil/base/index.hpp"
#include "frazil/base/sinc.hpp"

namespace frazil::motion {
namespace {

using std::numbers::pi;

/// Mean over displacements of the gather's response relative to an exact shift, inverted, along one axis of n pixels at
/// indices 0 … n − 1.
std::vector<std::complex<float>> inverse_along(int n, const std::vector<double>& shifts, int taps) {
  // Aliased copies m: Σ_m sinc^taps(k + m) exp(−2πi m s); only s modulo 1 matters.
  std::array<std::complex<double>, 5> copies{};
  for (int m = -2; m <= 2; ++m) {
    for (const double s : shifts) copies[z(m + 2)] += std::polar(1.0, -2 * pi * m * s);
    copies[z(m + 2)] /= static_cast<double>(shifts.size());
  }
  std::vector<std::complex<float>> inverse(z(n));
  for (int i = 0; i < n; ++i) {
    const double k = static_cast<double>(i <= n / 2 ? i : i - n) / n;
    const auto spline = [&](double f) { return std::pow(sinc(pi * f), taps); };
    std::complex<double> sum = 0;
    for (int m = -2; m <= 2; ++m) sum += spline(k + m) * copies[z(m + 2)];
    const double least = 0.5 * spline(k);  // frames that all lie half-way between pixels know nothing of Nyquist
    if (std::abs(sum) < least) sum = std::abs(sum) > 0 ? sum * (least / std::abs(sum)) : least;
    inverse[z(i)] = std::complex<float>(1.0 / sum);
  }
  return inverse;
}

}  // namespace

std::vector<std::vector<double>> rows_of(const DoseBasis& basis, bool halves) {
  if (!halves) return basis.b;
  std::vector<std::vector<double>> rows;
  for (const auto& row : basis.b)
    for (std::size_t parity = 0; parity < 2; ++parity) {
      rows.push_back(row);
      for (std::size_t t = 1 - parity; t < row.size(); t += 2) rows.back()[t] = 0;
    }
  return rows;
}

Response inverse_response(int nx, int ny, const MotionField& field, Spline spline) {
  std::vector<double> x, y;
  const int side = field.is_global() ? 1 : 9;
  for (int t = 0; t < field.frames(); ++t)
    for (int j = 0; j < side; ++j)
      for (int i = 0; i < side; ++i) {
        const Shift s = field.at(t, (i + 0.5) * nx / side, (j + 0.5) * ny / side);
        x.push_back(s.x);
        y.push_back(s.y);
      }
  return {inverse_along(nx, x, static_cast<int>(spline)), inverse_along(ny, y, static_cast<int>(spline))};
}

Sums sum_frames(const FrameSource& frames, const Detector& detector, const MotionField& field, const DoseBasis& basis,
                const SumParams& params) {
  expect(field.frames() == frames.count && basis.b.at(0).size() == z(frames.count),
         "field, basis and movie hold equally many frames");
  const Spline spline = params.binning >= 2 ? Spline::cubic : Spline::quintic;
  auto sums =
      params.backend->warp_frames(frames, detector, field, rows_of(basis, params.halves), {spline, params.threads});
  if (frames.done) frames.done();
  return combine(std::move(sums), basis, inverse_response(frames.nx, frames.ny, field, spline), params.binning,
                 params.halves, params.threads);
}

}  // namespace frazil::motion
