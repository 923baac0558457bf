// The plain version of matching: what the fast one is tested against.
#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "frazil/algo/class2d/match.hpp"
#include "frazil/base/parallel.hpp"

namespace frazil::class2d {
namespace {

using std::numbers::pi;
using Rings = std::vector<std::complex<double>>;  ///< samples of the half rings, ring by ring

/// A particle's samples moved by an origin shift.
Rings moved_rings(const PolarGrid& grid, const Prepared& particle, int rings, double shift_x_px, double shift_y_px) {
  Rings out;
  for (int j = 0; j < rings; ++j)
    for (int m = 0; m < grid.half_angles; ++m) {
      const double phi = pi * m / grid.half_angles;
      const double ramp =
          -2 * pi * grid.radius(j) * (std::cos(phi) * shift_x_px + std::sin(phi) * shift_y_px) / grid.box;
      out.push_back(std::complex<double>(particle.samples.re(j, m), particle.samples.im(j, m)) * std::polar(1.0, ramp));
    }
  return out;
}

/// A class average turned.
Rings turned_rings(const PolarGrid& grid, const Harmonics& reference, int rings, double angle_rad) {
  Rings out;
  for (int j = 0; j < rings; ++j)
    for (int m = 0; m < grid.half_angles; ++m) {
      const double phi = pi * m / grid.half_angles;
      std::complex<double> a = reference(j, 0);
      for (int q = 1; q < static_cast<int>(reference.cols() / 2); ++q) {
        const std::complex<double> c(reference(j, 2 * q), reference(j, 2 * q + 1)),
            e = std::polar(1.0, q * (phi - angle_rad));
        a += c * e + (q % 2 == 0 ? 1.0 : -1.0) * std::conj(c) * std::conj(e);
      }
      out.push_back(a);
    }
  return out;
}

/// Log-likelihood ratio to pure noise of samples `x` under the average `a`.
double log_likelihood(const PolarGrid& grid, const Rings& x, const Rings& a, const Eigen::VectorXf& ctf2,
                      const Eigen::VectorXf& noise) {
  double total = 0;
  std::size_t i = 0;
  for (int j = 0; i < x.size(); ++j) {
    double cross = 0, power = 0;
    for (int m = 0; m < grid.half_angles; ++m, ++i) {
      cross += x[i].real() * a[i].real() + x[i].imag() * a[i].imag();
      power += std::norm(a[i]);
    }
    total += grid.area(j) / noise(j) * (cross - 0.5 * ctf2(j) * power) / grid.half_angles;
  }
  return total;
}

class ReferenceMatcher final : public Matcher {
 public:
  explicit ReferenceMatcher(const Search& search)
      : Matcher(search), references_(search.references), noise_(search.noise) {}

  std::vector<std::vector<ClassMatch>> match(std::span<const Prepared* const> particles, float margin,
                                             int threads) const override {
    std::vector<std::vector<ClassMatch>> matches(particles.size());
    for (int k = 0; k < classes_; ++k) {
      const Harmonics reference = references_.harmonics[static_cast<std::size_t>(k)].leftCols(2 * harmonics_);
      std::vector<Rings> turned;
      for (int m = 0; m < angles_; ++m) turned.push_back(turned_rings(grid_, reference, rings_, 2 * pi * m / angles_));
      parallel_for(threads, particles.size(),
                   [&](std::size_t i) { matches[i].push_back(match_class(k, turned, *particles[i])); });
    }
    for (auto& list : matches) settle(list, margin);
    return matches;
  }

 private:
  [[nodiscard]] ClassMatch match_class(int k, const std::vector<Rings>& turned, const Prepared& particle) const {
    std::vector<double> values;  // [shift][angle]
    for (const auto& offset : offsets_) {
      const auto moved =
          moved_rings(grid_, particle, rings_, offset.x_px + particle.center_x_px, offset.y_px + particle.center_y_px);
      for (const auto& average : turned)
        values.push_back(log_likelihood(grid_, moved, average, particle.ctf2, noise_) / heat_ +
                         log_prior_of(offset, particle));
    }
    const double best = *std::max_element(values.begin(), values.end());
    ClassMatch match{k, 0, {}};
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] < best - pose_margin) continue;
      const double weight = std::exp(values[i] - best);
      sum += weight;
      match.poses.push_back({static_cast<int>(i / turned.size()),
                             static_cast<float>(2 * pi * static_cast<double>(i % turned.size()) / angles_),
                             static_cast<float>(weight)});
    }
    match.log_evidence = static_cast<float>(best + std::log(sum / static_cast<double>(values.size()))) +
                         log_prior_[static_cast<std::size_t>(k)];
    return match;
  }

  References references_;
  Eigen::VectorXf noise_;
};

}  // namespace

double log_likelihood_reference(const PolarGrid& grid, const Prepared& particle, const Harmonics& reference,
                                const Eigen::VectorXf& noise, int rings, double shift_x_px, double shift_y_px,
                                double angle_rad) {
  return log_likelihood(grid, moved_rings(grid, particle, rings, shift_x_px, shift_y_px),
                        turned_rings(grid, reference, rings, angle_rad), particle.ctf2, noise);
}

std::unique_ptr<const Matcher> make_reference_matcher(const Search& search) {
  return std::make_unique<ReferenceMatcher>(search);
}

}  // namespace frazil::class2d
