// Rings in Fourier space and the angular harmonics on them, where turning an image is multiplying by a phase.
#pragma once

#include <Eigen/Core>
#include <array>
#include <complex>
#include <vector>

#include "frazil/image/image.hpp"

namespace frazil::class2d {

using Matrix = Eigen::MatrixXf;

/// Weights of the four neighbours of a point `t` past the second one: the cubic with a = −½ of Keys (1981,
/// doi:10.1109/TASSP.1981.1163711).
inline std::array<float, 4> cubic_weights(double t) {
  const double t2 = t * t, t3 = t2 * t;
  return {static_cast<float>(-0.5 * t + t2 - 0.5 * t3), static_cast<float>(1 - 2.5 * t2 + 1.5 * t3),
          static_cast<float>(0.5 * t + 2 * t2 - 1.5 * t3), static_cast<float>(-0.5 * t2 + 0.5 * t3)};
}

/// Geometry of the rings. Ring j has the radius (j + ½)·step in Fourier pixels of the working box; it is sampled at the
/// angles π m / half_angles, m < half_angles: the other half of the circle is the conjugate of this one.
struct PolarGrid {
  int box = 0;      ///< side of the working images, pixels
  double step = 1;  ///< distance of rings, Fourier pixels
  int rings = 0;
  int half_angles = 0;
  int harmonics = 0;            ///< angular frequencies 0 … harmonics − 1 are kept
  std::vector<int> first_ring;  ///< of each harmonic: on smaller rings an object of this size has none of it

  [[nodiscard]] double radius(int ring) const { return (ring + 0.5) * step; }
  /// Number of independent Fourier components of the full plane that a ring stands for.
  [[nodiscard]] double area(int ring) const;
  /// Harmonics needed when only the rings below `ring_count` are used.
  [[nodiscard]] int harmonics_within(int ring_count) const;
};

/// Grid for images of side `box` that hold an object of radius `object_radius_px`, out to `max_radius` Fourier pixels.
/// Rings lie 1/(3.5 object radii) apart, harmonics reach 2πρ·radius + 5, where the Bessel functions have died out.
[[nodiscard]] PolarGrid make_grid(int box, double object_radius_px, double max_radius);

/// Complex values on the half rings, split: re and im are rings × half_angles.
struct PolarSamples {
  Matrix re, im;
};

/// Angular Fourier series F(ρ, φ) = Σ a_q(ρ) e^{iqφ} of a real image; a_{−q} = (−1)^q conj(a_q), so q ≥ 0 is kept.
/// rings × 2·harmonics: column 2q holds the real part of a_q, column 2q + 1 the imaginary part.
using Harmonics = Matrix;

/// Samples the Fourier transform of an image about its centre (n/2, n/2): doubled by zero-padding, divided by the
/// transform of the interpolation kernel, transformed, read off by cubic convolution (Keys 1981,
/// doi:10.1109/TASSP.1981.1163711). `image` is box × box.
[[nodiscard]] PolarSamples sample_rings(const PolarGrid& grid, const Image& image);

/// Real matrices that turn half rings into harmonics: half_angles × 2·(number of even or odd harmonics).
struct AngularTransform {
  Matrix even, odd;
};
[[nodiscard]] AngularTransform make_transform(const PolarGrid& grid, int harmonics);
/// Harmonics of rows of samples. re and im: rows × half_angles; result: rows × 2·harmonics.
[[nodiscard]] Harmonics to_harmonics(const AngularTransform& transform, const Matrix& re, const Matrix& im);
/// Values on `angles` half-circle angles π m / angles.
[[nodiscard]] PolarSamples from_harmonics(const Harmonics& harmonics, int angles);

/// The image whose transform has these harmonics; components outside the rings are zero.
[[nodiscard]] Image to_image(const PolarGrid& grid, const Harmonics& harmonics, Angstrom pixel_size);
/// Harmonics of an image.
[[nodiscard]] Harmonics from_image(const PolarGrid& grid, const AngularTransform& transform, const Image& image);

/// Mean of |F|² over each ring.
[[nodiscard]] Eigen::VectorXf ring_power(const Harmonics& harmonics);
/// Mean of Re(conj(F) G) over each ring.
[[nodiscard]] Eigen::VectorXf ring_cross(const Harmonics& f, const Harmonics& g);

}  // namespace frazil::class2d
