// Thon rings ready to be fitted: the pixels of a power spectrum in the fit band over a smooth baseline, and their
// bases.
#pragma once

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "frazil/algo/ctf/power_spectrum.hpp"
#include "frazil/model/optics.hpp"

namespace frazil::ctf {

/// Four cubic B-splines that are not zero at a point.
struct SplineAt {
  int first = 0;
  std::array<double, 4> weight{};
};

/// Uniform cubic B-splines over [low, high].
class SplineBasis {
 public:
  SplineBasis() = default;
  /// Knots at most `spacing` apart; spacing is shrunk to fit.
  SplineBasis(double low, double high, double spacing);
  [[nodiscard]] int size() const { return intervals_ + 3; }
  /// Points outside are moved to the nearer end.
  [[nodiscard]] SplineAt at(double t) const;

 private:
  double low_ = 0, high_ = 1;
  int intervals_ = 1;
};

/// One pixel of the half-plane, y = measured power over baseline.
struct RingPixel {
  float y = 0;
  float u = 0;         ///< k², 1/Å²
  float c = 0, s = 0;  ///< k² cos 2α, k² sin 2α
  float w = 1;         ///< weight in least squares: 1 over the squared expectation, once that is known
  int ix = 0, iy = 0, bin = 0;
};

/// Everything the fit needs of one spectrum. Background and envelope are splines in √k and k with knots so wide
/// (see rings.cpp) that no ring of a defocus above 0.2 µm can hide in the background.
struct Rings {
  int n = 0;                      ///< side of the spectrum
  double dk = 0;                  ///< 1/Å from pixel to pixel and from bin to bin
  double k_min = 0, k_max = 0;    ///< fit band
  std::vector<RingPixel> pixels;  ///< band and, beyond it, up to Nyquist
  std::vector<double> k;          ///< centre of each bin
  std::vector<double> count;      ///< pixels in each bin
  std::vector<char> in_fit;       ///< bin is in the band and not in the ice ring
  std::vector<double> baseline;   ///< power that y = 1 means
  std::vector<double>
      fade;  ///< how the rings' amplitude over the baseline falls, 1 or less: the envelope's spline is a factor on it
  std::vector<double>
      contrast;  ///< what the ice's thickness leaves of the rings: 1, or sinc(λ k² t) where a node was seen
  std::vector<double> highest;  ///< brightest pixel of each bin over its median, robust standard deviations
  std::size_t limited = 0;      ///< pixels that were outliers
  std::vector<SplineAt> background_at, envelope_at;
  SplineBasis background, envelope;

  [[nodiscard]] std::size_t bins() const { return k.size(); }
};

/// Resolution range of crystalline and vitreous ice's strongest rings, kept out of the fit.
inline constexpr double ice_low_k = 1 / 3.98, ice_high_k = 1 / 3.50;

/// Flattens the spectrum: divides by exp(cubic in √k of the log radial mean), limits outliers of each bin.
/// @throws Error(bad_input) if the band holds fewer than 8 bins or the spectrum is not positive
[[nodiscard]] Rings make_rings(const PowerSpectrum& power, Angstrom min_resolution, Angstrom max_resolution);

/// Gives background and envelope other knots: `factor` times as far apart as make_rings has them.
void set_stiffness(Rings& rings, double factor);

/// Mean defocus, astigmatism components and phase shift, the numbers that are fitted.
/// C = (U − V) cos 2α₀, S = (U − V) sin 2α₀ have no singular point (Å).
struct Shape {
  double defocus = 0, c = 0, s = 0, phase = 0;
};
[[nodiscard]] Shape shape_of(const Ctf& ctf);
[[nodiscard]] Ctf ctf_of(const Shape& shape);

/// Sine and cosine together: reduction to [−π/4, π/4] and Taylor polynomials, error below 4e-9 for |x| < 1e6.
inline void sine_cosine(double x, double& sine, double& cosine) {
  const double quarter = std::floor(x * (2 / std::numbers::pi) + 0.5);
  const double t = x - quarter * (std::numbers::pi / 2), t2 = t * t;
  const double s = t * (1 + t2 * (-1.0 / 6 + t2 * (1.0 / 120 + t2 * (-1.0 / 5040 + t2 / 362880))));
  const double c = 1 + t2 * (-0.5 + t2 * (1.0 / 24 + t2 * (-1.0 / 720 + t2 * (1.0 / 40320 - t2 / 3628800))));
  const auto q = static_cast<long>(quarter) & 3;
  sine = q == 0 ? s : q == 1 ? c : q == 2 ? -s : -c;
  cosine = q == 0 ? c : q == 1 ? -s : q == 2 ? -c : s;
}

/// Constants of χ = πλ (Δf u + ½(C u_c + S u_s)) − ½πCsλ³ u² + φ + asin A.
struct Waves {
  explicit Waves(const Optics& optics);
  double pi_lambda, cs_term, offset;
  double per_mm = 0;  ///< −∂χ/∂Cs over k⁴, per millimetre
  [[nodiscard]] double chi(const Shape& p, double u, double u_c, double u_s) const {
    return pi_lambda * (p.defocus * u + 0.5 * (p.c * u_c + p.s * u_s)) - cs_term * u * u + p.phase + offset;
  }
  /// cos 2χ at a pixel.
  [[nodiscard]] double cosine(const Shape& p, const RingPixel& at) const {
    double sine = 0, cosine = 0;
    sine_cosine(2 * chi(p, double{at.u}, double{at.c}, double{at.s}), sine, cosine);
    return cosine;
  }
};

}  // namespace frazil::ctf
