#include "frazil/algo/motion/objective.hpp"

#include <cmath>
#include <complex>
#include <numbers>
#include <numeric>

#include "frazil/algo/motion/objective_kernels.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/parallel.hpp"

namespace frazil::motion {
namespace {

constexpr int rows_per_chunk = 8;  ///< fixed, so that sums are split alike on any number of threads
static_assert(half_of(rows_per_chunk - 1) == 0 && half_of(rows_per_chunk) == 1, "a chunk lies in one half");
constexpr std::size_t lanes = Band::lanes;

/// Without the checks for infinities that the operator makes.
std::complex<double> product(const std::complex<double>& a, const std::complex<double>& b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

/// exp(−2πi k·s_t) of all columns and rows of the band, as the kernels want them.
class Phases {
 public:
  Phases(const Band& band, const std::vector<double>& amplitude, const TrackA& track) : frames_(track.x.size()) {
    int columns = 0;
    for (const auto& row : band.rows)
      columns = std::max(columns, row.first_kx + row.count), reach_ = std::max(reach_, std::abs(row.ky));
    x_.resize(z(columns) * 2 * frames_);
    y_.resize(z(2 * reach_ + 1) * 2 * frames_);
    for (std::size_t t = 0; t < frames_; ++t) {
      const auto step = std::polar(1.0, -two_pi * band.step_x_per_A * track.x[t]);
      std::complex<double> phase = 1;
      for (std::size_t kx = 0; kx < z(columns); ++kx, phase = product(phase, step)) {
        float* to = x_.data() + (kx / lanes * frames_ + t) * 2 * lanes + kx % lanes;
        to[0] = static_cast<float>(phase.real());
        to[lanes] = static_cast<float>(phase.imag());
      }
    }
    for (std::size_t t = 0; t < frames_; ++t) {
      const auto step = std::polar(1.0, -two_pi * band.step_y_per_A * track.y[t]);
      std::complex<double> phase = amplitude[t];
      for (int ky = 0; ky <= reach_; ++ky, phase = product(phase, step))
        for (const int sign : {1, -1}) {
          float* to = y_.data() + (z(reach_ + sign * ky) * frames_ + t) * 2;
          to[0] = static_cast<float>(phase.real());
          to[1] = static_cast<float>(sign * phase.imag());
        }
    }
  }
  [[nodiscard]] const float* along_x(int kx) const { return x_.data() + z(kx) * 2 * frames_; }
  [[nodiscard]] const float* along_y(int ky) const { return y_.data() + z(reach_ + ky) * 2 * frames_; }

 private:
  std::size_t frames_;
  int reach_ = 0;
  AlignedVector<float> x_, y_;
};

/// Calls body(row, first component of the block in the row, block) for all blocks of a chunk of rows.
template <class Body>
void for_blocks(const Band& band, const Phases& phases, std::size_t chunk, const Body& body) {
  for (std::size_t r = chunk * rows_per_chunk; r < std::min(band.rows.size(), (chunk + 1) * rows_per_chunk); ++r) {
    const auto& row = band.rows[r];
    for (int i = 0; i < row.count; i += Band::lanes)
      body(row, i,
           ObjectiveBlock{band.data.data() + band.at(row, 0, i), phases.along_x(row.first_kx + i),
                          phases.along_y(row.ky), band.frames});
  }
}

std::size_t chunk_count(const Band& band) { return (band.rows.size() + rows_per_chunk - 1) / rows_per_chunk; }

void add_power(const float* sum, const std::uint16_t* shell, std::vector<double>& power) {
  for (std::size_t i = 0; i < lanes; ++i)
    power[shell[i]] += static_cast<double>(sum[i] * sum[i] + sum[i + lanes] * sum[i + lanes]);
}

void add_to(std::vector<double>& total, const std::vector<double>& part) {
  for (std::size_t i = 0; i < total.size(); ++i) total[i] += part[i];
}

double in_lanes(const float* values) { return std::accumulate(values, values + lanes, 0.0); }

Objective evaluate_chunk(const Band& band, const Phases& phases, const std::vector<float>& weight, std::size_t chunk) {
  const auto& kernels = objective_kernels();
  const auto frames = z(band.frames);
  AlignedVector<float> turned(2 * lanes * frames), totals(3 * lanes * frames), sum(2 * lanes);
  Objective part{0, std::vector<double>(frames), std::vector<double>(frames), std::vector<double>(frames),
                 std::vector<double>(z(band.shells) + 1)};
  for_blocks(band, phases, chunk, [&](const Band::Row& row, int i, const ObjectiveBlock& block) {
    kernels.turn(block, turned.data(), sum.data());
    const std::uint16_t* shell = band.shell.data() + row.component + z(i);
    add_power(sum.data(), shell, part.sum_power);
    for (std::size_t j = 0; j < lanes; ++j) {
      sum[j] *= weight[shell[j]];
      sum[j + lanes] *= weight[shell[j]];
    }
    kernels.slope(turned.data(), sum.data(), static_cast<float>(row.first_kx + i), static_cast<float>(row.ky),
                  band.frames, totals.data());
  });
  for (std::size_t t = 0; t < frames; ++t) {
    const float* at = totals.data() + t * 3 * lanes;
    // d/ds |S|² = 2 Re(S* · (−2πi k) F) = 4π k Im(S* F)
    part.gradient_x[t] = 2 * two_pi * band.step_x_per_A * in_lanes(at);
    part.gradient_y[t] = 2 * two_pi * band.step_y_per_A * in_lanes(at + lanes);
    part.overlap[t] = in_lanes(at + 2 * lanes);
  }
  return part;
}

}  // namespace

std::array<Objective, 2> evaluate_halves(const Band& band, const std::vector<double>& weight,
                                         const std::vector<double>& amplitude, const TrackA& track, int threads) {
  std::vector<float> w(weight.begin(), weight.end());
  w.push_back(0.0F);
  const Phases phases(band, amplitude, track);
  const auto frames = z(band.frames);
  std::vector<Objective> parts(chunk_count(band));
  parallel_for(threads, parts.size(),
               [&](std::size_t chunk) { parts[chunk] = evaluate_chunk(band, phases, w, chunk); });
  std::array<Objective, 2> totals;
  totals.fill({0, std::vector<double>(frames), std::vector<double>(frames), std::vector<double>(frames),
               std::vector<double>(z(band.shells))});
  for (std::size_t chunk = 0; chunk < parts.size(); ++chunk) {
    auto& total = totals[chunk % 2];
    add_to(total.gradient_x, parts[chunk].gradient_x);
    add_to(total.gradient_y, parts[chunk].gradient_y);
    add_to(total.overlap, parts[chunk].overlap);
    add_to(total.sum_power, parts[chunk].sum_power);
  }
  for (auto& total : totals) {
    total.value = std::inner_product(weight.begin(), weight.end(), total.sum_power.begin(), 0.0);
    // The turned frame carries its amplitude; the overlap is meant without.
    for (std::size_t t = 0; t < frames; ++t) total.overlap[t] = amplitude[t] > 0 ? total.overlap[t] / amplitude[t] : 0;
  }
  return totals;
}

Objective evaluate(const Band& band, const std::vector<double>& weight, const std::vector<double>& amplitude,
                   const TrackA& track, int threads) {
  return sum_of(evaluate_halves(band, weight, amplitude, track, threads));
}

Objective sum_of(std::array<Objective, 2> halves) {
  auto& [total, other] = halves;
  total.value += other.value;
  add_to(total.gradient_x, other.gradient_x);
  add_to(total.gradient_y, other.gradient_y);
  add_to(total.overlap, other.overlap);
  add_to(total.sum_power, other.sum_power);
  return std::move(total);
}

std::array<std::vector<double>, 2> power_of_sum(const Band& band, const std::vector<double>& amplitude,
                                                const TrackA& track, int threads) {
  const Phases phases(band, amplitude, track);
  std::vector<std::vector<double>> parts(chunk_count(band), std::vector<double>(z(band.shells) + 1));
  parallel_for(threads, parts.size(), [&](std::size_t chunk) {
    const auto& kernels = objective_kernels();
    alignas(64) float sum[2 * lanes];
    for_blocks(band, phases, chunk, [&](const Band::Row& row, int i, const ObjectiveBlock& block) {
      kernels.sum(block, sum);
      add_power(sum, band.shell.data() + row.component + z(i), parts[chunk]);
    });
  });
  std::array<std::vector<double>, 2> totals{std::vector<double>(z(band.shells)), std::vector<double>(z(band.shells))};
  for (std::size_t chunk = 0; chunk < parts.size(); ++chunk) add_to(totals[chunk % 2], parts[chunk]);
  return totals;
}

}  // namespace frazil::motion
