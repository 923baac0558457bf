// A particle made of Gaussian balls with projections known in closed form: ground truth for tests of this folder.
#pragma once

#include <cmath>
#include <numbers>
#include <vector>

#include "frazil/algo/recon/orientation.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::recon::testing {

struct Ball {
  Vector3 centre_A;
  double sigma_A, amount;
};

/// Sum of Gaussian balls inside a sphere of `diameter`; without symmetry, hand and all.
inline std::vector<Ball> random_phantom(Rng& rng, double diameter_A, int count, double sigma_A) {
  std::vector<Ball> balls;
  while (static_cast<int>(balls.size()) < count) {
    Vector3 r(rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5));
    r *= diameter_A;
    const bool inside =
        r.norm() < diameter_A / 2 - sigma_A && (r - Vector3(diameter_A / 3, 0, 0)).norm() > diameter_A / 4;
    if (inside) balls.push_back({r, sigma_A * rng.uniform(0.8, 1.3), rng.uniform(0.5, 1.5)});
  }
  Vector3 centre = Vector3::Zero();
  double total = 0;
  for (const auto& b : balls) centre += b.amount * b.centre_A, total += b.amount;
  for (auto& b : balls) b.centre_A -= centre / total;
  return balls;
}

inline std::vector<Ball> symmetrised(const std::vector<Ball>& balls, const std::vector<Matrix3>& operators) {
  std::vector<Ball> all;
  for (const auto& g : operators)
    for (auto b : balls) {
      b.centre_A = g * b.centre_A;
      all.push_back(b);
    }
  return all;
}

/// Density per voxel, each ball integrating to `amount`.
inline Volume phantom_volume(const std::vector<Ball>& balls, int n, double pixel_A) {
  Volume v(n, n, n, Angstrom(pixel_A));
  for (const auto& b : balls) {
    const double norm = b.amount * std::pow(pixel_A, 3) / std::pow(2 * std::numbers::pi * b.sigma_A * b.sigma_A, 1.5);
    std::vector<double> line[3];
    for (int axis = 0; axis < 3; ++axis)
      for (int i = 0; i < n; ++i) {
        const double d = (i - n / 2) * pixel_A - b.centre_A(axis);
        line[axis].push_back(std::exp(-0.5 * d * d / (b.sigma_A * b.sigma_A)));
      }
    for (int z = 0; z < n; ++z)
      for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x)
          v(x, y, z) += static_cast<float>(norm * line[0][static_cast<std::size_t>(x)] *
                                           line[1][static_cast<std::size_t>(y)] * line[2][static_cast<std::size_t>(z)]);
  }
  return v;
}

/// Its projection at pose A, the particle's centre moved by (dx, dy) Å from the image centre; exact integral per pixel
/// centre.
inline Image phantom_projection(const std::vector<Ball>& balls, const Matrix3& a, int n, double pixel_A,
                                double dx_A = 0, double dy_A = 0) {
  Image image(n, n, Angstrom(pixel_A));
  std::vector<double> wx(static_cast<std::size_t>(n)), wy(static_cast<std::size_t>(n));
  for (const auto& b : balls) {
    const Vector3 r = a * b.centre_A;
    for (int i = 0; i < n; ++i) {
      const double x = (i - n / 2) * pixel_A - r.x() - dx_A, y = (i - n / 2) * pixel_A - r.y() - dy_A;
      wx[static_cast<std::size_t>(i)] = std::exp(-0.5 * x * x / (b.sigma_A * b.sigma_A));
      wy[static_cast<std::size_t>(i)] = std::exp(-0.5 * y * y / (b.sigma_A * b.sigma_A));
    }
    const double norm = b.amount * pixel_A * pixel_A / (2 * std::numbers::pi * b.sigma_A * b.sigma_A);
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        image(x, y) += static_cast<float>(norm * wx[static_cast<std::size_t>(x)] * wy[static_cast<std::size_t>(y)]);
  }
  return image;
}

}  // namespace frazil::recon::testing
