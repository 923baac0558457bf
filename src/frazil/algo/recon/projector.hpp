// Central slices of a volume's Fourier transform and their adjoint: projection and back-projection.
#pragma once

#include <complex>
#include <span>
#include <vector>

#include "frazil/algo/recon/orientation.hpp"
#include "frazil/algo/recon/plane.hpp"
#include "frazil/image/image.hpp"

namespace frazil::recon {

/// Half (x ≥ 0) of a cubic Fourier grid twice as fine as the volume's own, phase origin at the volume's centre.
/// Stored indices: x in [0, radius], y and z in [−radius, radius].
struct GridShape {
  int box = 0, max_k = 0;
  static constexpr int padding =
      2;  ///< linear interpolation then leaves sinc²(1/4) = 0.81 along each axis at the box's edge
  [[nodiscard]] int radius() const { return padding * max_k + 1; }
  [[nodiscard]] int width() const { return radius() + 1; }
  [[nodiscard]] int height() const { return 2 * radius() + 1; }
  [[nodiscard]] std::size_t size() const {
    return static_cast<std::size_t>(width()) * static_cast<std::size_t>(height()) * static_cast<std::size_t>(height());
  }
  [[nodiscard]] std::size_t index(int x, int y, int z) const {
    return (static_cast<std::size_t>(z + radius()) * static_cast<std::size_t>(height()) +
            static_cast<std::size_t>(y + radius())) *
               static_cast<std::size_t>(width()) +
           static_cast<std::size_t>(x);
  }
};

/// Projects a volume: trilinear interpolation in the transform of the volume padded to twice its side, with the
/// interpolation's fall-off divided out beforehand. An image equals the sum of voxels along the viewing direction.
class Projector {
 public:
  /// @param volume cubic, even side
  /// @param max_k  finest frequency, in index units of the volume's own transform, at most side/2 − 1
  Projector(const Volume& volume, int max_k);
  /// From values on the grid, as a solver holds them; the caller has divided out the fall-off.
  Projector(GridShape shape, AlignedVector<std::complex<float>> grid);

  /// Transform at frequency k (index units, phase origin at the centre); |k| ≤ max_k.
  [[nodiscard]] std::complex<float> at(double kx, double ky, double kz) const;
  /// First `count` components of the plane seen from A, real and imaginary parts apart.
  void slice(const Plane& plane, std::size_t count, const Matrix3& a, float* real, float* imag) const;
  void slice(const Plane& plane, std::size_t count, const Matrix3& a, std::complex<float>* out) const;
  /// The whole projection as a spectrum in image layout (frequencies up to max_k).
  [[nodiscard]] Spectrum project(const Matrix3& a) const;
  [[nodiscard]] const GridShape& shape() const { return shape_; }

 private:
  GridShape shape_;
  Angstrom pixel_size_ = 1_A;
  AlignedVector<std::complex<float>> grid_;
};

/// Gathers weighted slices; `reconstruct` divides by the weight. Not safe for concurrent inserts: give each part of
/// the data its own and `add` them in a fixed order.
class BackProjector {
 public:
  BackProjector(int box, int max_k, Angstrom pixel_size);

  /// Adjoint of Projector::slice on the grid. `value` is Σ CTF·X/σ², `weight` Σ CTF²/σ² of each component, phase
  /// origin at the image centre and the particle's origin already shifted there.
  void insert(const Plane& plane, std::size_t count, const Matrix3& a, const std::complex<float>* value,
              const float* weight);
  void add(const BackProjector& other);
  /// Multiplies values and weights: forgetting, or a change of units.
  void scale(float factor);
  void clear();

  /// Wiener estimate Σ CTF X/σ² / (Σ CTF²/σ² + 1/τ²), back in real space with the interpolation's fall-off divided out.
  /// @param inverse_tau2 1/τ² of each ring 0 … max_k, in units of the weights; empty: none. A floor of 1/1000 of the
  ///        ring's mean weight keeps gaps finite.
  [[nodiscard]] Volume reconstruct(std::span<const double> inverse_tau2 = {}) const;
  /// Mean weight of each ring, 0 … max_k.
  [[nodiscard]] std::vector<double> mean_weight() const;

  [[nodiscard]] const GridShape& shape() const { return shape_; }
  [[nodiscard]] std::span<const std::complex<float>> values() const { return value_; }
  [[nodiscard]] std::span<const float> weights() const { return weight_; }

 private:
  GridShape shape_;
  Angstrom pixel_size_;
  AlignedVector<std::complex<float>> value_;
  AlignedVector<float> weight_;
};

/// Rotates and shifts in Fourier space: out(r) = in(Aᵀ (r − shift)), so that `out` seen from pose B looks like
/// `in` seen from pose B·A; frequencies up to `max_k` are kept.
[[nodiscard]] Volume rotate(const Volume& volume, const Matrix3& a, const Vector3& shift_px, int max_k);

/// out(x, y, z) = in(x, y, −z) about the centre: the other hand.
[[nodiscard]] Volume mirror(const Volume& volume);

}  // namespace frazil::recon
