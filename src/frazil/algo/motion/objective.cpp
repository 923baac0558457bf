#include "frazil/algo/motion/objective.hpp"

#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/base/parallel.hpp"

namespace frazil::motion {
namespace {

constexpr double two_pi = 2 * std::numbers::pi;
constexpr int rows_per_chunk = 8;  ///< fixed, so that sums are split alike on any number of threads

std::size_t z(int n) { return static_cast<std::size_t>(n); }

/// exp(−2πi kx s_x(t)) for all columns of the band.
struct Phases {
  Phases(const Band& band, const TrackA& track) {
    for (const auto& row : band.rows) columns = std::max(columns, row.first_kx + row.count);
    re.resize(z(columns) * track.x.size());
    im.resize(re.size());
    for (std::size_t t = 0; t < track.x.size(); ++t) {
      const std::complex<double> step = std::polar(1.0, -two_pi * band.step_x_per_A * track.x[t]);
      std::complex<double> phase = 1;
      for (int kx = 0; kx < columns; ++kx, phase *= step) {
        re[t * z(columns) + z(kx)] = static_cast<float>(phase.real());
        im[t * z(columns) + z(kx)] = static_cast<float>(phase.imag());
      }
    }
  }
  int columns = 0;
  AlignedVector<float> re, im;
};

/// One row of all frames turned by the track, and their sum.
struct Turned {
  AlignedVector<float> re, im;  ///< [frame][count]
  AlignedVector<float> sum_re, sum_im;

  void turn(const Band& band, const Band::Row& row, const std::vector<double>& amplitude, const TrackA& track, const Phases& phases) {
    const int n = row.count;
    re.resize(z(n) * z(band.frames));
    im.resize(re.size());
    sum_re.assign(z(n), 0.0F);
    sum_im.assign(z(n), 0.0F);
    float* __restrict sr = sum_re.data();
    float* __restrict si = sum_im.data();
    for (int t = 0; t < band.frames; ++t) {
      const double phase = -two_pi * row.ky * band.step_y_per_A * track.y[z(t)];
      const auto cy = static_cast<float>(std::cos(phase) * amplitude[z(t)]);
      const auto sy = static_cast<float>(std::sin(phase) * amplitude[z(t)]);
      const float* __restrict px = phases.re.data() + z(t) * z(phases.columns) + row.first_kx;
      const float* __restrict pi = phases.im.data() + z(t) * z(phases.columns) + row.first_kx;
      const float* __restrict fr = band.re.data() + row.offset + z(t) * z(n);
      const float* __restrict fi = band.im.data() + row.offset + z(t) * z(n);
      float* __restrict tr = re.data() + z(t) * z(n);
      float* __restrict ti = im.data() + z(t) * z(n);
      for (int i = 0; i < n; ++i) {
        const float er = px[i] * cy - pi[i] * sy, ei = px[i] * sy + pi[i] * cy;
        const float r = fr[i] * er - fi[i] * ei, j = fr[i] * ei + fi[i] * er;
        tr[i] = r;
        ti[i] = j;
        sr[i] += r;
        si[i] += j;
      }
    }
  }
};

/// Σ_i w_i kx_i Im(S* F) and Σ_i w_i Im(S* F), in lanes of a fixed order.
void row_gradient(int n, int first_kx, const float* __restrict wr, const float* __restrict wi, const float* __restrict fr,
                  const float* __restrict fi, double& along_x, double& along_y) {
  float sum_x[Band::lanes] = {}, sum_y[Band::lanes] = {};
  for (int b = 0; b < n; b += Band::lanes)
    for (int i = 0; i < Band::lanes; ++i) {
      const float v = wr[b + i] * fi[b + i] - wi[b + i] * fr[b + i];
      sum_y[i] += v;
      sum_x[i] += v * static_cast<float>(first_kx + b + i);
    }
  for (int i = 0; i < Band::lanes; ++i) {
    along_x += static_cast<double>(sum_x[i]);
    along_y += static_cast<double>(sum_y[i]);
  }
}

std::size_t chunk_count(const Band& band) { return (band.rows.size() + rows_per_chunk - 1) / rows_per_chunk; }

template <class Body>
void for_rows_of_chunk(const Band& band, std::size_t chunk, const Body& body) {
  for (std::size_t r = chunk * rows_per_chunk; r < std::min(band.rows.size(), (chunk + 1) * rows_per_chunk); ++r) body(band.rows[r]);
}

void add(Objective& total, const Objective& part) {
  total.value += part.value;
  for (std::size_t t = 0; t < total.gradient_x.size(); ++t) {
    total.gradient_x[t] += part.gradient_x[t];
    total.gradient_y[t] += part.gradient_y[t];
  }
}

std::vector<float> padded(const std::vector<double>& weight) {
  std::vector<float> w(weight.begin(), weight.end());
  w.push_back(0.0F);
  return w;
}

}  // namespace

std::array<Objective, 2> evaluate_halves(const Band& band, const std::vector<double>& weight, const std::vector<double>& amplitude, const TrackA& track, int threads) {
  const auto w = padded(weight);
  const Phases phases(band, track);
  std::vector<Objective> parts(chunk_count(band));
  parallel_for(threads, parts.size(), [&](std::size_t chunk) {
    auto& part = parts[chunk];
    part.gradient_x.assign(z(band.frames), 0.0);
    part.gradient_y.assign(z(band.frames), 0.0);
    Turned turned;
    for_rows_of_chunk(band, chunk, [&](const Band::Row& row) {
      turned.turn(band, row, amplitude, track, phases);
      double value = 0;
      for (int i = 0; i < row.count; ++i) {
        const float wi = w[band.shell[row.component + z(i)]];
        auto &sr = turned.sum_re[z(i)], &si = turned.sum_im[z(i)];
        value += static_cast<double>(wi * (sr * sr + si * si));
        sr *= wi;
        si *= wi;
      }
      part.value += value;
      for (int t = 0; t < band.frames; ++t) {
        double along_x = 0, along_y = 0;
        row_gradient(row.count, row.first_kx, turned.sum_re.data(), turned.sum_im.data(), turned.re.data() + z(t) * z(row.count),
                     turned.im.data() + z(t) * z(row.count), along_x, along_y);
        // d/ds |S|² = 2 Re(S* · (−2πi k) F) = 4π k Im(S* F)
        part.gradient_x[z(t)] += 2 * two_pi * band.step_x_per_A * along_x;
        part.gradient_y[z(t)] += 2 * two_pi * band.step_y_per_A * row.ky * along_y;
      }
    });
  });
  std::array<Objective, 2> totals;
  totals.fill({0, std::vector<double>(z(band.frames)), std::vector<double>(z(band.frames))});
  for (std::size_t chunk = 0; chunk < parts.size(); ++chunk) add(totals[chunk % 2], parts[chunk]);
  return totals;
}

Objective evaluate(const Band& band, const std::vector<double>& weight, const std::vector<double>& amplitude, const TrackA& track, int threads) {
  auto [total, other] = evaluate_halves(band, weight, amplitude, track, threads);
  add(total, other);
  return total;
}

Agreement agreement(const Band& band, const std::vector<double>& amplitude, const TrackA& track, int threads, Overlap overlap) {
  const Phases phases(band, track);
  const std::size_t overlaps = overlap == Overlap::measure ? z(band.frames) : 0;
  const auto make = [&] { return Agreement{std::vector<double>(z(band.shells) + 1), std::vector<std::vector<double>>(overlaps, std::vector<double>(z(band.shells) + 1))}; };
  std::vector<Agreement> parts(chunk_count(band));
  parallel_for(threads, parts.size(), [&](std::size_t chunk) {
    auto& part = parts[chunk] = make();
    Turned turned;
    for_rows_of_chunk(band, chunk, [&](const Band::Row& row) {
      turned.turn(band, row, amplitude, track, phases);
      for (int i = 0; i < row.count; ++i) {
        const auto s = band.shell[row.component + z(i)];
        const auto sr = static_cast<double>(turned.sum_re[z(i)]), si = static_cast<double>(turned.sum_im[z(i)]);
        part.sum_power[s] += sr * sr + si * si;
        for (std::size_t t = 0; t < overlaps; ++t) {
          const auto at = t * z(row.count) + z(i);
          part.overlap[t][s] += sr * static_cast<double>(turned.re[at]) + si * static_cast<double>(turned.im[at]);
        }
      }
    });
  });
  Agreement total = make();
  for (const auto& part : parts)
    for (std::size_t s = 0; s < z(band.shells); ++s) {
      total.sum_power[s] += part.sum_power[s] / std::max(1.0, band.shell_count[s]);
      for (std::size_t t = 0; t < overlaps; ++t) {
        // The turned frame carries its amplitude; the overlap is meant without.
        if (amplitude[t] > 0) total.overlap[t][s] += part.overlap[t][s] / (amplitude[t] * std::max(1.0, band.shell_count[s]));
      }
    }
  total.sum_power.pop_back();
  for (auto& list : total.overlap) list.pop_back();
  return total;
}

}  // namespace frazil::motion
