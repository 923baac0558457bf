// The simulator's own microscope optics: wavelength, aberration, coherence envelopes, damage, structure of ice.
#pragma once

#include <cmath>
#include <numbers>

#include "frazil/base/random.hpp"
#include "frazil/model/optics.hpp"

namespace frazil::sim {

/// sin(π x) / (π x).
inline double sinc(double x) {
  const double turn = std::numbers::pi * x;
  return std::abs(x) < 1e-9 ? 1 : std::sin(turn) / turn;
}

/// de Broglie wavelength of relativistic electrons from the CODATA constants, in Å.
[[nodiscard]] double electron_wavelength_A(Kilovolt voltage);
/// λ γ: phase in radians per Å of scattering length and per Å² of area.
[[nodiscard]] double interaction(Kilovolt voltage);

/// Coherence of the source and steadiness of the stage.
struct Envelope {
  double b_factor_A2 = 60;        ///< everything that acts like a Gaussian
  double focal_spread_A = 50;     ///< 1/e half width of the temporal envelope
  double half_angle_mrad = 0.02;  ///< illumination semi-angle, spatial envelope
};

/// Contrast transfer of one area, evaluated in polar form.
class Lens {
 public:
  Lens(const Ctf& ctf, const Optics& optics, const Envelope& envelope);
  /// sin χ, χ = 2π(½ λ Δf k² − ¼ Cs λ³ k⁴) + φ + asin A; kx, ky in 1/Å.
  [[nodiscard]] double transfer(double kx_per_A, double ky_per_A) const;
  /// exp(−B k²/4) · exp(−½ (π λ δ)² k⁴) · exp(−(π α/λ)² (Cs λ³ k³ − Δf λ k)²), at the mean defocus.
  [[nodiscard]] double envelope(double k_per_A) const;
  /// The same lens with the defocus moved by `change`.
  [[nodiscard]] Lens defocused(Angstrom change) const;

 private:
  Ctf ctf_;
  Optics optics_;
  Envelope envelope_;
  double lambda_A_, cs_A_, cos_2a_, sin_2a_, constant_;
};

/// Fraction of a structure's amplitude left after `dose` e⁻/Å² at frequency k: exp(−dose/(2 Nc)), Nc the critical dose
/// at which the intensity of a reflection falls to 1/e (0.24499 k^−1.6649 + 2.8141 at 300 kV, Grant & Grigorieff 2015),
/// proportional to β² of the electrons at other voltages.
[[nodiscard]] double survival(double k_per_A, double dose_e_per_A2, Kilovolt voltage);
/// Mean of `survival` from dose `from` to dose `to`.
[[nodiscard]] double mean_survival(double k_per_A, double from, double to, Kilovolt voltage);

/// Vitreous ice as a random phase object.
struct Ice {
  double thickness_A = 400;
  double strength = 1;       ///< factor on the noise amplitude
  double crystalline = 0;    ///< height of a sharp ring at 3.67 Å, 0: vitreous
  double mobility_A2 = 0.3;  ///< mean-square displacement of a molecule, per axis and per e⁻/Å²

  /// Power of the phase noise in rad² Å² at k: n t (λγ f_water(k))² S(k) plus thickness undulations.
  [[nodiscard]] double power(double k_per_A, Kilovolt voltage) const;
  /// Correlation of two exposures that are `dose` e⁻/Å² apart: exp(−2π² k² · mobility · dose).
  [[nodiscard]] double memory(double k_per_A, double dose_e_per_A2) const;
  /// Power left in the mean over an exposure of `dose`: 2 (x − 1 + e^−x)/x², x = 2π² k² · mobility · dose.
  [[nodiscard]] double averaged(double k_per_A, double dose_e_per_A2) const;
};

/// Fraction of electrons that reach the image without energy loss (mean free path 3000 Å at 300 kV, ∝ β²).
[[nodiscard]] double transmission(double thickness_A, Kilovolt voltage);

/// Detector's amplitude response: sinc of the pixel's aperture times 1 − 0.35 (k/Nyquist)², 1 at zero; `sharpness` 1 is
/// that of a counting camera, 0 a perfect one.
[[nodiscard]] double detector_mtf(double kx_nyquist, double ky_nyquist, double sharpness);

/// Defocus 0.5 to 2.5 µm, astigmatism up to about 600 Å (Rayleigh of 200 Å), any angle, no phase shift; canonical.
[[nodiscard]] Ctf random_ctf(Rng& rng);

}  // namespace frazil::sim
