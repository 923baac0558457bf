#include "frazil/algo/recon/orientation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/error.hpp"

namespace frazil::recon {
namespace {

Matrix3 about_z(double angle_rad) {
  const double c = std::cos(angle_rad), s = std::sin(angle_rad);
  Matrix3 m;
  m << c, s, 0, -s, c, 0, 0, 0, 1;
  return m;
}

Matrix3 about_y(double angle_rad) {
  const double c = std::cos(angle_rad), s = std::sin(angle_rad);
  Matrix3 m;
  m << c, 0, -s, 0, 1, 0, s, 0, c;
  return m;
}

}  // namespace

Matrix3 rotation(const Orientation& o) {
  return about_z(to_rad(o.psi)) * about_y(to_rad(o.tilt)) * about_z(to_rad(o.rot));
}

Orientation orientation(const Matrix3& a) {
  const double sine = std::hypot(a(2, 0), a(2, 1));
  const double tilt_rad = std::atan2(sine, a(2, 2));
  if (sine > 1e-9)
    return {from_rad(std::atan2(a(2, 1), a(2, 0))), from_rad(tilt_rad), from_rad(std::atan2(a(1, 2), -a(0, 2)))};
  if (a(2, 2) > 0) return {0_deg, 0_deg, from_rad(std::atan2(a(0, 1), a(0, 0)))};
  return {0_deg, 180_deg, from_rad(std::atan2(a(1, 0), -a(0, 0)))};
}

Degrees angle_between(const Matrix3& a, const Matrix3& b) {
  return from_rad(Eigen::AngleAxisd(Matrix3(a * b.transpose())).angle());
}

Matrix3 about_axis(const Vector3& axis, Degrees angle) {
  expect(axis.norm() > 0, "an axis has a length");
  return Eigen::AngleAxisd(to_rad(angle), axis.normalized()).toRotationMatrix();
}

Matrix3 random_rotation(Rng& rng) {
  const double u = rng.uniform(), v = 2 * std::numbers::pi * rng.uniform(), w = 2 * std::numbers::pi * rng.uniform();
  return Eigen::Quaterniond(std::sqrt(u) * std::cos(w), std::sqrt(1 - u) * std::sin(v), std::sqrt(1 - u) * std::cos(v),
                            std::sqrt(u) * std::sin(w))
      .toRotationMatrix();
}

std::vector<Vector3> even_directions(Degrees step) {
  expect(step > 0_deg, "the step between directions is positive");
  const double area = to_rad(step) * to_rad(step);
  const int count = std::max(1, static_cast<int>(std::lround(4 * std::numbers::pi / area)));
  const double golden_rad = std::numbers::pi * (3 - std::sqrt(5.0));
  std::vector<Vector3> directions;
  directions.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const double z = 1 - (2 * i + 1.0) / count, r = std::sqrt(1 - z * z);
    directions.emplace_back(r * std::cos(i * golden_rad), r * std::sin(i * golden_rad), z);
  }
  return directions;
}

Matrix3 looking_along(const Vector3& d, Degrees psi) {
  return rotation({from_rad(std::atan2(d.y(), d.x())), from_rad(std::atan2(std::hypot(d.x(), d.y()), d.z())), psi});
}

}  // namespace frazil::recon
