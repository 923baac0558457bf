#include "frazil/algo/motion/dose.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/error.hpp"
#include "frazil/base/linalg.hpp"

namespace frazil::motion {
namespace {

constexpr int bins = 400;  ///< of frequency up to the corner: 60 e⁻/Å² at 1 Å a pixel are linear between them to 6e-4

/// (v/c)² of electrons accelerated by `voltage`.
double beta_squared(Kilovolt voltage) {
  const double gamma = 1 + voltage.value() / 510.99895;
  return 1 - 1 / (gamma * gamma);
}

}  // namespace

Dose critical_exposure(double k_per_A, Kilovolt voltage) {
  const double at_300 = 0.24499 * std::pow(k_per_A, -1.6649) + 2.8141;
  return Dose(at_300 * beta_squared(voltage) / beta_squared(300_kV));
}

double frame_weight(const Exposure& exposure, int index, double k_per_A) {
  if (exposure.per_frame <= 0_e_per_A2 || k_per_A <= 0) return 1;
  const double twice = 2 * critical_exposure(k_per_A, exposure.voltage).value();
  const double width = exposure.per_frame.value() / twice;
  const double start = (exposure.before.value() + index * exposure.per_frame.value()) / twice;
  return std::exp(-start) * (-std::expm1(-width) / width);
}

std::vector<double> filter_weights(const Exposure& exposure, int frames, double k_per_A) {
  std::vector<double> weights(static_cast<std::size_t>(frames));
  // Relative to the first frame: a huge pre-exposure must not underflow, and cancels in the ratio.
  double squares = 0;
  const double twice = k_per_A > 0 ? 2 * critical_exposure(k_per_A, exposure.voltage).value() : 1;
  for (int t = 0; t < frames; ++t) {
    auto& w = weights[static_cast<std::size_t>(t)];
    w = k_per_A > 0 ? std::exp(-t * exposure.per_frame.value() / twice) : 1.0;
    squares += w * w;
  }
  const double scale = std::sqrt(frames / squares);
  for (auto& w : weights) w *= scale;
  return weights;
}

DoseBasis dose_basis(const Exposure& exposure, int frames, double highest_per_A, double tolerance) {
  expect(frames > 0, "a dose basis has frames");
  DoseBasis basis;
  basis.b.emplace_back(static_cast<std::size_t>(frames), 1.0);
  if (exposure.per_frame <= 0_e_per_A2) return basis;
  basis.step_per_A = highest_per_A / (bins - 1);
  Eigen::MatrixXd weights(frames, bins);
  for (int i = 0; i < bins; ++i) {
    const auto column = filter_weights(exposure, frames, i * basis.step_per_A);
    weights.col(i) = Eigen::Map<const Eigen::VectorXd>(column.data(), frames);
  }
  const Eigen::VectorXd ones = Eigen::VectorXd::Ones(frames) / std::sqrt(static_cast<double>(frames));
  const Eigen::MatrixXd rest = weights - ones * (ones.transpose() * weights);
  const auto gram = eigen_symmetric(rest * rest.transpose());
  Eigen::MatrixXd rows = ones;  // orthonormal columns, one a row of the basis
  const Eigen::VectorXd norms = weights.colwise().norm();
  for (;;) {
    const Eigen::MatrixXd residual = weights - rows * (rows.transpose() * weights);
    basis.max_error = (residual.colwise().norm().transpose().array() / norms.array()).maxCoeff();
    if (basis.max_error < tolerance || rows.cols() == frames) break;
    rows.conservativeResize(Eigen::NoChange, rows.cols() + 1);
    rows.col(rows.cols() - 1) = gram.vectors.col(frames - (rows.cols() - 1));
  }
  const Eigen::MatrixXd coefficients = rows.transpose() * weights;
  for (int r = 0; r < rows.cols(); ++r) {
    const double scale = r == 0 ? std::sqrt(static_cast<double>(frames)) : 1.0;
    if (r > 0) {
      basis.b.emplace_back(static_cast<std::size_t>(frames));
      for (int t = 0; t < frames; ++t) basis.b.back()[static_cast<std::size_t>(t)] = rows(t, r);
    }
    basis.a.emplace_back(static_cast<std::size_t>(bins));
    for (int i = 0; i < bins; ++i) basis.a.back()[static_cast<std::size_t>(i)] = coefficients(r, i) / scale;
  }
  return basis;
}

}  // namespace frazil::motion
