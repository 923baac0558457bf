#include "frazil/algo/motion/coarse.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <numeric>

#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::motion {
namespace {

/// Twice the finest resolution of the fit that follows, which so starts within a quarter of its waves. B leaves 38 % of
/// the amplitude there; Grant & Grigorieff (2015, doi:10.7554/eLife.06980) take 1500 Å². A frame 15 Å from where its
/// neighbours let expect it costs as much as one standard deviation of the correlation.
constexpr double finest_A = 16, b_factor_A2 = 1000, reach_A = 15;
constexpr double search_A = 16 * reach_A;  ///< a peak farther off would have to stand out by 128 units of likelihood

struct Point {
  double x = 0, y = 0;
};

/// The coarse part of the band as a list.
class Coarse {
 public:
  Coarse(const Band& band, double fixed_pattern, int threads)
      : band_(band), fixed_pattern_(fixed_pattern), threads_(threads) {
    for (const auto& row : band.rows)
      for (int i = 0; i < row.count; ++i) {
        const int s = band.shell[row.component + z(i)];
        if (s >= band.shells) continue;
        const double k = band.shell_per_A(s);
        if (k > 1 / finest_A) continue;
        const int kx = row.first_kx + i;
        parts_.push_back({kx, row.ky, static_cast<float>(std::exp(-b_factor_A2 * k * k / 4)), band.at(row, 0, i)});
        reach_x_ = std::max(reach_x_, kx);
        reach_y_ = std::max(reach_y_, std::abs(row.ky));
      }
    if (parts_.empty())
      throw Error(ErrorCode::bad_input, "alignment finds no components coarser than {:g} A", finest_A);
    nx_ = good_size(4 * reach_x_);
    ny_ = good_size(4 * reach_y_);
    frames_.resize(parts_.size() * z(band.frames));
    parallel_for(threads, z(band.frames), [&](std::size_t t) {
      for (std::size_t i = 0; i < parts_.size(); ++i) {
        const auto at = parts_[i].offset + t * 2 * Band::lanes;
        frames_[t * parts_.size() + i] = {band.data[at], band.data[at + Band::lanes]};
      }
    });
    sum_.assign(parts_.size(), 0);
    pattern_.assign(parts_.size(), 0);
  }

  /// Adds (sign 1) or takes away (−1) frame t moved by s.
  void add(int t, const Point& s, float sign) {
    const auto x = phases(reach_x_, band_.step_x_per_A * s.x, sign), y = phases(reach_y_, band_.step_y_per_A * s.y, 1);
    for_parts([&](std::size_t i) {
      const auto turn = product(x[z(parts_[i].kx + reach_x_)], y[z(parts_[i].ky + reach_y_)]);
      sum_[i] += product(component(i, t), turn);
      pattern_[i] += turn;
    });
  }

  /// Where frame t correlates with the sum, given where it is expected. Of the inverse transform only the lags around
  /// that are made.
  Point find(int t, const Point& expected) {
    columns_.assign(z(reach_x_ + 1) * z(ny_), 0);
    std::vector<double> variances(pieces);
    for_parts([&](std::size_t i) {
      const auto& p = parts_[i];
      const auto frame = component(i, t);
      columns_[z(p.kx) * z(ny_) + z(wrapped(p.ky, ny_))] =
          p.weight * (product(sum_[i], std::conj(frame)) - static_cast<float>(fixed_pattern_) * pattern_[i]);
      variances[i * pieces / parts_.size()] +=
          static_cast<double>(std::norm(p.weight * sum_[i]) * std::norm(frame)) / 2;
    });
    const double variance = std::accumulate(variances.begin(), variances.end(), 0.0);
    ifft_rows_in_pieces(columns_, ny_);
    const double step_x = 1 / (nx_ * band_.step_x_per_A), step_y = 1 / (ny_ * band_.step_y_per_A);
    const Lags along_x(nx_, expected.x / step_x, search_A / step_x),
        along_y(ny_, expected.y / step_y, search_A / step_y);
    const int first_row = along_y.first - 1,
              rows = along_y.last - along_y.first + 3;  // one more on either side, for the parabola
    rows_.assign(z(rows) * z(nx_), 0);
    for (int kx = 0; kx <= reach_x_; ++kx)
      for (int row = 0; row < rows; ++row)
        rows_[z(row) * z(nx_) + z(kx)] = columns_[z(kx) * z(ny_) + z(wrapped(first_row + row, ny_))];
    ifft_rows_in_pieces(rows_, nx_);
    // The half plane counts for the whole.
    const auto at = [&](int x, int y) {
      return 2 * static_cast<double>(rows_[z(y - first_row) * z(nx_) + z(wrapped(x, nx_))].real());
    };
    const double to_sd = variance > 0 ? static_cast<double>(nx_) * ny_ / 2 / std::sqrt(variance) : 0;
    double best = -1e300;
    int best_x = 0, best_y = 0;
    for (int y = along_y.first; y <= along_y.last; ++y)
      for (int x = along_x.first; x <= along_x.last; ++x) {
        const double dx = x * step_x - expected.x, dy = y * step_y - expected.y;
        const double score = at(x, y) * to_sd - 0.5 * (dx * dx + dy * dy) / (reach_A * reach_A);
        if (score > best) {
          best = score;
          best_x = x;
          best_y = y;
        }
      }
    return {(best_x + top(at(best_x - 1, best_y), at(best_x, best_y), at(best_x + 1, best_y))) * step_x,
            (best_y + top(at(best_x, best_y - 1), at(best_x, best_y), at(best_x, best_y + 1))) * step_y};
  }

 private:
  struct Part {
    int kx, ky;
    float weight;
    std::size_t offset;
  };

  /// Lags that are looked at: those of a transform of n within `half` of the expected one.
  struct Lags {
    Lags(int n, double expected, double half) {
      const int least = -(n / 2), most = (n + 1) / 2 - 1;
      const double centre = std::clamp(expected, static_cast<double>(least), static_cast<double>(most));
      first = std::max(least, static_cast<int>(std::floor(centre - half)));
      last = std::min(most, static_cast<int>(std::ceil(centre + half)));
    }
    int first, last;
  };

  static constexpr std::size_t pieces = 8;  ///< fixed, so that sums are split alike on any number of threads

  /// body(i) for all parts.
  template <class Body>
  void for_parts(const Body& body) const {
    const std::size_t n = parts_.size();
    parallel_for(threads_, pieces, [&](std::size_t piece) {
      for (std::size_t i = (piece * n + pieces - 1) / pieces; i * pieces < (piece + 1) * n; ++i) body(i);
    });
  }
  void ifft_rows_in_pieces(std::vector<std::complex<float>>& data, int n) const {
    const std::size_t count = data.size() / z(n);
    parallel_for(threads_, pieces, [&](std::size_t piece) {
      const std::size_t from = piece * count / pieces, to = (piece + 1) * count / pieces;
      ifft_rows(data.data() + from * z(n), n, static_cast<int>(to - from));
    });
  }
  static int wrapped(int i, int n) { return ((i % n) + n) % n; }
  /// Without the checks for infinities that the operator makes.
  static std::complex<float> product(std::complex<float> a, std::complex<float> b) {
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
  }
  /// scale · exp(−2πi k step) for k from −reach to reach.
  static std::vector<std::complex<float>> phases(int reach, double step, float scale) {
    std::vector<std::complex<float>> list;
    for (int k = -reach; k <= reach; ++k)
      list.push_back(std::complex<float>(std::polar(1.0, -two_pi * k * step)) * scale);
    return list;
  }
  /// Top of the parabola through three points, from the middle one.
  static double top(double left, double middle, double right) {
    const double curvature = left - 2 * middle + right;
    return curvature < 0 ? std::clamp(0.5 * (left - right) / curvature, -0.5, 0.5) : 0;
  }
  [[nodiscard]] std::complex<float> component(std::size_t i, int t) const { return frames_[z(t) * parts_.size() + i]; }
  const Band& band_;
  double fixed_pattern_;
  int threads_;
  std::vector<Part> parts_;
  AlignedVector<std::complex<float>> frames_;  ///< [frame][part]
  std::vector<std::complex<float>> sum_, pattern_;
  std::vector<std::complex<float>> columns_, rows_;  ///< scratch of `find`
  int reach_x_ = 0, reach_y_ = 0, nx_ = 0, ny_ = 0;
};

}  // namespace

TrackA coarse_track(const Band& band, double fixed_pattern, int threads) {
  Coarse coarse(band, fixed_pattern, threads);
  const int frames = band.frames, middle = frames / 2;
  std::vector<Point> track(z(frames));
  coarse.add(middle, track[z(middle)], 1);
  // Outwards, both ways by turns, so that the reference stays centred in time.
  for (int distance = 1; distance <= std::max(middle, frames - 1 - middle); ++distance)
    for (const int t : {middle + distance, middle - distance}) {
      if (t < 0 || t >= frames) continue;
      const int toward = t > middle ? -1 : 1;
      const Point& last = track[z(t + toward)];
      Point expected = last;
      if (distance > 2) {
        const Point& before = track[z(t + 3 * toward)];
        expected = {last.x + (last.x - before.x) / 2, last.y + (last.y - before.y) / 2};
      }
      track[z(t)] = coarse.find(t, expected);
      coarse.add(t, track[z(t)], 1);
    }
  for (int sweep = 0; sweep < 2; ++sweep)
    for (int t = 0; t < frames; ++t) {
      const int before = std::max(0, t - 1), after = std::min(frames - 1, t + 1);
      const Point expected{(track[z(before)].x + track[z(after)].x) / 2, (track[z(before)].y + track[z(after)].y) / 2};
      coarse.add(t, track[z(t)], -1);
      track[z(t)] = coarse.find(t, expected);
      coarse.add(t, track[z(t)], 1);
    }
  TrackA result;
  for (const auto& p : track) {
    result.x.push_back(p.x);
    result.y.push_back(p.y);
  }
  return result;
}

}  // namespace frazil::motion
