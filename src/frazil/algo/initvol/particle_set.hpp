// Particle images as Fourier components with their CTFs: what the search for poses reads.
#pragma once

#include <Eigen/Dense>
#include <span>
#include <vector>

#include "frazil/algo/recon/plane.hpp"
#include "frazil/model/optics.hpp"

namespace frazil::initvol {

/// One particle: protein bright (inverted contrast), background of mean 0; square, even side, all of one size.
struct ParticleImage {
  Image image;
  Ctf ctf;
  Optics optics;
  /// Where the particle lies, as rlnOriginX/YAngst: it is at −origin from the image centre. Zero when not known.
  Angstrom origin_x{}, origin_y{};
};

/// Components up to a frequency limit, sorted by frequency, phase origin at the image centre, and the CTF at each.
class ParticleSet {
 public:
  /// @param mask_diameter pixels beyond it (plus the edge and the largest shift) fade to zero
  ParticleSet(std::span<const ParticleImage> particles, int max_k, Angstrom mask_diameter, Angstrom max_shift,
              int threads);

  [[nodiscard]] std::size_t size() const { return offsets.size(); }
  [[nodiscard]] const recon::Plane& plane() const { return plane_; }
  [[nodiscard]] int box() const { return plane_.box; }
  [[nodiscard]] Angstrom pixel_size() const { return pixel_size_; }
  [[nodiscard]] const float* real(std::size_t i) const { return real_.data() + i * plane_.size(); }
  [[nodiscard]] const float* imag(std::size_t i) const { return imag_.data() + i * plane_.size(); }
  [[nodiscard]] const float* ctf(std::size_t i) const { return ctf_.data() + i * plane_.size(); }
  /// Mean |X|² of each ring over the listed particles.
  [[nodiscard]] std::vector<double> mean_power(std::span<const std::size_t> members) const;
  /// Components of particle i, times its CTF if `with_ctf`, after the particle has been moved by −displacement_px.
  void centred(std::size_t i, const Eigen::Vector2d& displacement_px, std::size_t count, bool with_ctf, float* real,
               float* imag) const;

  /// Displacement of each particle from its image centre, pixels: −origin.
  std::vector<Eigen::Vector2d> offsets;

 private:
  recon::Plane plane_;
  Angstrom pixel_size_;
  AlignedVector<float> real_, imag_, ctf_;
};

/// exp(+2πi k·d/box) for the first `count` components: moves content by −d pixels.
void phase_ramp(const recon::Plane& plane, const Eigen::Vector2d& displacement_px, std::size_t count, float* real,
                float* imag);

}  // namespace frazil::initvol
