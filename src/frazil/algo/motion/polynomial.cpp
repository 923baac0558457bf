#include "frazil/algo/motion/polynomial.hpp"

#include <cmath>

#include "frazil/base/linalg.hpp"

namespace frazil::motion {
namespace {

constexpr int side = 9;  ///< places of the field along an axis, for six terms of space

std::array<double, ThirdOrder::terms> basis(double z, double u, double v) {
  const std::array<double, 6> space{1, u, u * u, v, v * v, u * v};
  std::array<double, ThirdOrder::terms> values{};
  for (std::size_t i = 0; i < space.size(); ++i) {
    double power = 1;
    for (std::size_t j = 0; j < 3; ++j) values[3 * i + j] = space[i] * (power *= z);
  }
  return values;
}

}  // namespace

Shift ThirdOrder::at(double z, double u, double v) const {
  const auto values = basis(z, u, v);
  Shift s;
  for (std::size_t i = 0; i < terms; ++i) {
    s.x += x[i] * values[i];
    s.y += y[i] * values[i];
  }
  return s;
}

ThirdOrderFit fit_third_order(const MotionField& field, const std::vector<Shift>& track, int nx, int ny) {
  const auto terms = static_cast<Eigen::Index>(ThirdOrder::terms);
  const auto frames = static_cast<int>(track.size());
  const Eigen::Index rows = static_cast<Eigen::Index>(frames) * side * side;
  // Time runs from 0 to 1 in the fit, or its cubes would spoil the condition.
  const double scale = std::max(1, frames - 1);
  Eigen::MatrixXd a(rows, terms), b(rows, 2);
  Eigen::Index row = 0;
  for (int t = 0; t < frames; ++t)
    for (int j = 0; j < side; ++j)
      for (int i = 0; i < side; ++i, ++row) {
        const double u = (i + 0.5) / side - 0.5, v = (j + 0.5) / side - 0.5;
        const auto values = basis(t / scale, u, v);
        for (std::size_t k = 0; k < values.size(); ++k) a(row, static_cast<Eigen::Index>(k)) = values[k];
        const Shift s = field.at(t, (u + 0.5) * nx, (v + 0.5) * ny), global = track[static_cast<std::size_t>(t)];
        b(row, 0) = s.x - global.x;
        b(row, 1) = s.y - global.y;
      }
  const Eigen::MatrixXd solution = least_squares(a, b);  // few frames leave powers of time undetermined
  ThirdOrderFit fit;
  for (std::size_t k = 0; k < ThirdOrder::terms; ++k) {
    const double power = std::pow(scale, static_cast<double>(k % 3) + 1);
    fit.model.x[k] = solution(static_cast<Eigen::Index>(k), 0) / power;
    fit.model.y[k] = solution(static_cast<Eigen::Index>(k), 1) / power;
  }
  fit.rms_px = std::sqrt((a * solution - b).squaredNorm() / static_cast<double>(rows));
  return fit;
}

}  // namespace frazil::motion
