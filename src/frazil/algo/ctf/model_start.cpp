#include "frazil/algo/ctf/model_start.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/base/finite.hpp"

namespace frazil::ctf {
namespace {

constexpr int groups = 12;                                          // sectors are joined to so many for the start
constexpr std::array decays_A2{20.0, 120.0, 500.0};                 // of the rings' power, exp(−decay k²/2)
constexpr std::array windows_A{0.0, 250.0, 600.0, 1200.0, 2000.0};  // how far a sector may lie from the mean
constexpr std::size_t phases = 12;                                  // steps of 2φ when the phase shift is unknown

struct Grid {
  double first = 0, step = 1;
  Eigen::Index size = 0;
  [[nodiscard]] double at(Eigen::Index i) const { return first + step * static_cast<double>(i); }
};

Eigen::ArrayXXd joined(const SectorTable& table, const Eigen::ArrayXXd& excess, Eigen::ArrayXXd& weight) {
  Eigen::ArrayXXd sum = Eigen::ArrayXXd::Zero(table.shells(), groups);
  weight = Eigen::ArrayXXd::Zero(table.shells(), groups);
  for (int s = 0; s < table.sectors; ++s) {
    const int g = s * groups / table.sectors;
    sum.col(g) += excess.col(s) * table.count.col(s);
    weight.col(g) += table.count.col(s);
  }
  return (weight > 0).select(sum / weight.max(1.0), 0.0);
}

/// Complex response of each group at each defocus, in units of its noise: Σ w y exp(−2iχ) / √(Σ w²/n).
Eigen::ArrayXXcd respond(const SectorTable& table, const Eigen::ArrayXXd& value, const Eigen::ArrayXXd& weight,
                         const Waves& waves, const Grid& grid, double decay_A2) {
  Eigen::ArrayXXcd response = Eigen::ArrayXXcd::Zero(grid.size, groups);
  Eigen::Array<double, 1, groups> norm = Eigen::Array<double, 1, groups>::Zero();
  for (Eigen::Index s = 0; s < table.shells(); ++s) {
    if (table.used[static_cast<std::size_t>(s)] == 0) continue;
    const double u = table.k[static_cast<std::size_t>(s)] * table.k[static_cast<std::size_t>(s)],
                 fall = std::exp(-decay_A2 * u / 2);
    const Eigen::Array<double, 1, groups> w = fall * weight.row(s), wy = w * value.row(s);
    norm += fall * w;
    const double turn = -2 * waves.pi_lambda * u * grid.step, start = -2 * waves.chi({grid.first, 0, 0, 0}, u, 0, 0);
    const std::complex<double> step(std::cos(turn), std::sin(turn));
    std::complex<double> wave(std::cos(start), std::sin(start));
    for (Eigen::Index d = 0; d < grid.size; ++d, wave *= step)
      response.row(d) += wave * wy.cast<std::complex<double>>();
  }
  for (int g = 0; g < groups; ++g) response.col(g) /= std::sqrt(std::max(1e-12, norm(g)));
  return response;
}

struct Guess {
  Eigen::Index at = 0;
  double window = 0, phase = 0, strength = 0;
};

/// Largest value within ±reach of each defocus, group by group.
Eigen::ArrayXXd spread(const Eigen::ArrayXXd& real, Eigen::Index reach) {
  Eigen::ArrayXXd out = real;
  for (Eigen::Index d = 0; d < real.rows(); ++d)
    for (Eigen::Index o = std::max<Eigen::Index>(0, d - reach); o <= std::min(real.rows() - 1, d + reach); ++o)
      out.row(d) = out.row(d).max(real.row(o));
  return out;
}

/// Peaks of the summed responses, in robust standard deviations over all defoci.
void add_peaks(const Eigen::ArrayXXd& real, const Grid& grid, double window, double phase,
               std::vector<Guess>& guesses) {
  const Eigen::ArrayXd sum = spread(real, static_cast<Eigen::Index>(std::lround(window / grid.step))).rowwise().sum();
  std::vector<double> sorted(sum.begin(), sum.end());
  std::sort(sorted.begin(), sorted.end());
  const double centre = sorted[sorted.size() / 2], width = std::max(1e-9, (centre - sorted[sorted.size() * 16 / 100]));
  for (Eigen::Index d = 0; d < sum.size(); ++d)
    if ((d == 0 || sum(d) >= sum(d - 1)) && (d + 1 == sum.size() || sum(d) > sum(d + 1)))
      guesses.push_back({d, window, phase, (sum(d) - centre) / width});
}

/// The cosine through each group's best defocus, in a window that narrows.
Shape joined_by_cosine(const Eigen::ArrayXXd& real, const Grid& grid, const Guess& guess) {
  Shape shape{grid.at(guess.at), 0, 0, 0};
  double window = std::max(guess.window, grid.step);
  for (int round = 0; round < 5; ++round, window = std::max(1.5 * grid.step, window / 1.6)) {
    Eigen::Matrix3d normal = 1e-9 * Eigen::Matrix3d::Identity();
    Eigen::Vector3d right = Eigen::Vector3d::Zero();
    for (int g = 0; g < groups; ++g) {
      const double a = std::numbers::pi * (g + 0.5) / groups,
                   expected = shape.defocus + 0.5 * (shape.c * std::cos(2 * a) + shape.s * std::sin(2 * a));
      const auto low = std::clamp<Eigen::Index>(static_cast<Eigen::Index>((expected - window - grid.first) / grid.step),
                                                0, grid.size - 1);
      const auto high = std::clamp<Eigen::Index>(
          static_cast<Eigen::Index>((expected + window - grid.first) / grid.step) + 1, low, grid.size - 1);
      Eigen::Index best = low;
      for (Eigen::Index d = low; d <= high; ++d)
        if (real(d, g) > real(best, g)) best = d;
      const double w = std::pow(at_least_zero(real(best, g)), 2);
      const Eigen::Vector3d row(1, 0.5 * std::cos(2 * a), 0.5 * std::sin(2 * a));
      normal += w * row * row.transpose();
      right += w * row * grid.at(best);
    }
    const Eigen::Vector3d x = normal.ldlt().solve(right);
    if (x.allFinite()) shape = {x(0), x(1), x(2), 0};
  }
  return shape;
}

}  // namespace

std::vector<Shape> sector_guesses(const SectorTable& table, const Eigen::ArrayXXd& excess, const Waves& waves,
                                  const FitParams& params, std::size_t count) {
  const double k_end = std::min(table.k.back(), 0.25), margin = windows_A.back();
  Grid grid{std::max(300.0, params.min_defocus.value() - margin),
            std::clamp(0.6 / (2 * waves.pi_lambda * k_end * k_end), 25.0, 200.0), 0};
  grid.size = static_cast<Eigen::Index>((params.max_defocus.value() + margin - grid.first) / grid.step) + 1;
  Eigen::ArrayXXd weight;
  const auto value = joined(table, excess, weight);
  std::vector<std::pair<double, Shape>> found;
  for (const double decay : decays_A2) {
    const auto response = respond(table, value, weight, waves, grid, decay);
    for (std::size_t p = 0; p < (params.fit_phase_shift ? phases : 1); ++p) {
      const double phase = std::numbers::pi * static_cast<double>(p) / phases;  // of χ
      const Eigen::ArrayXXd real = -(response * std::complex<double>(std::cos(2 * phase), -std::sin(2 * phase))).real();
      std::vector<Guess> guesses;
      for (const double window : windows_A)
        if (window <= params.max_astigmatism.value() / 2 + 1) add_peaks(real, grid, window, phase, guesses);
      std::stable_sort(guesses.begin(), guesses.end(),
                       [](const Guess& a, const Guess& b) { return a.strength > b.strength; });
      if (guesses.size() > count) guesses.resize(count);
      for (const auto& guess : guesses) {
        auto shape = joined_by_cosine(real, grid, guess);
        shape.phase = phase;
        found.emplace_back(guess.strength, shape);
      }
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Shape> out;
  for (const auto& [strength, shape] : found) {
    const double mean = shape.defocus;
    if (mean < 0.7 * params.min_defocus.value() || mean > 1.1 * params.max_defocus.value() || out.size() >= count)
      continue;
    const bool known = std::any_of(out.begin(), out.end(), [&, s = shape](const Shape& o) {
      return std::abs(o.defocus - s.defocus) < 1.5 * grid.step && std::hypot(o.c - s.c, o.s - s.s) < 6 * grid.step &&
             o.phase == s.phase;
    });
    if (!known) out.push_back(shape);
  }
  return out;
}

}  // namespace frazil::ctf
