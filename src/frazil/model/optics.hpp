// Microscope and CTF as plain records, and the one CTF formula of the program.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "frazil/params/fields.hpp"

namespace frazil {

/// What is constant over an acquisition, or over one place of its beam shift template (one row of a RELION optics
/// table).
struct Optics {
  Kilovolt voltage = 300_kV;
  Millimetre cs = 2.7_mm;
  double amplitude_contrast = 0.1;
  std::string optics_group{};  ///< name of the optics group: images with the same beam shift; empty: named by number
  std::vector<double>
      magnification{};  ///< anisotropic magnification, rows of the 2 × 2 matrix as rlnMagMat00, 01, 10, 11; empty: none
  /// Columns of its optics group that we pass on and do not use (beam tilt, MTF, aberrations): label and text.
  std::vector<std::array<std::string, 2>> further{};

  friend bool operator==(const Optics&, const Optics&) = default;

  static constexpr auto fields() {
    using P = Optics;
    return std::tuple(field(&P::voltage, "voltage", "Acceleration voltage").range(40_kV, 1500_kV).star("rlnVoltage"),
                      field(&P::cs, "cs", "Spherical aberration").range(-10_mm, 20_mm).star("rlnSphericalAberration"),
                      field(&P::amplitude_contrast, "amplitude_contrast", "Fraction of amplitude contrast")
                          .range(0, 1)
                          .star("rlnAmplitudeContrast"),
                      field(&P::optics_group, "optics_group", "Name of the optics group"),
                      field(&P::magnification, "magnification",
                            "Anisotropic magnification: the matrix rlnMagMat00, 01, 10, 11; empty: none"),
                      field(&P::further, "further", "Other columns of its optics group, as label and text"));
  }
};

/// Problems of a magnification matrix: four numbers near the unit matrix, or none.
[[nodiscard]] std::vector<std::string> check_magnification(const std::vector<double>& matrix);

/// Relativistic electron wavelength: 12.2643 / sqrt(V + 0.978466e-6 V²) Å with V in volts.
[[nodiscard]] Angstrom wavelength(Kilovolt voltage);

/// Defocus, astigmatism and phase shift of one micrograph or particle.
struct Ctf {
  Angstrom defocus_u{}, defocus_v{};
  Degrees astigmatism_angle{};
  Degrees phase_shift{};
  Angstrom2 b_factor{};

  [[nodiscard]] Angstrom mean_defocus() const { return (defocus_u + defocus_v) / 2; }
  [[nodiscard]] Angstrom astigmatism() const { return defocus_u - defocus_v; }

  static constexpr auto fields() {
    using P = Ctf;
    return std::tuple(field(&P::defocus_u, "defocus_u", "Larger defocus, underfocus positive"),
                      field(&P::defocus_v, "defocus_v", "Smaller defocus"),
                      field(&P::astigmatism_angle, "astigmatism_angle", "From +x to the axis of defocus U"),
                      field(&P::phase_shift, "phase_shift", "Shift by a phase plate"),
                      field(&P::b_factor, "b_factor", "Envelope exp(−B k²/4) of the amplitude"));
  }
};

/// U ≥ V and the angle in [0, 180), the same CTF.
[[nodiscard]] Ctf canonical(Ctf ctf);

/// χ(k) in radians and the CTF built on it, with all constants of one image folded in (conventions.md, "CTF sign").
class CtfFunction {
 public:
  CtfFunction(const Ctf& ctf, const Optics& optics);
  /// χ = πλ Δf(α) k² − ½π Cs λ³ k⁴ + φ + asin(A); kx, ky in 1/Å.
  [[nodiscard]] double phase(double kx_per_A, double ky_per_A) const {
    const double xx = kx_per_A * kx_per_A, yy = ky_per_A * ky_per_A, k2 = xx + yy;
    return a_xx_ * xx + a_xy_ * kx_per_A * ky_per_A + a_yy_ * yy - cs_term_ * k2 * k2 + constant_;
  }
  /// sin χ · exp(−B k²/4): positive at low frequency for a specimen that is bright (inverted contrast) at underfocus.
  [[nodiscard]] double operator()(double kx_per_A, double ky_per_A) const;

 private:
  double a_xx_, a_xy_, a_yy_, cs_term_, constant_, b_quarter_;
};

}  // namespace frazil
