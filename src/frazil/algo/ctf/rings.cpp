#include "frazil/algo/ctf/rings.hpp"
#include "frazil/base/statistics.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>

namespace frazil::ctf {
namespace {

using std::numbers::pi;

// Knots of the background in √k (1/√Å), of the envelope in k (1/Å). Cubic splines with knots h apart follow waves
// longer than about 2h: 0.066 in √k is 2h = 0.08 1/Å at k = 0.1 1/Å, twice the ring spacing there at 0.5 µm, 300 kV.
constexpr double ring_background_spacing = 0.066, ring_envelope_spacing = 0.075;
constexpr double outlier_sigmas = 6;    // Gaussian noise gets there once in 5e8 pixels
constexpr std::size_t fewest_bins = 8;  // for four coefficients of each of two splines

std::vector<RingPixel> collect(const PowerSpectrum& power, double dk, double k_min, double k_end, std::size_t& bins) {
  const int n = power.power.nx(), h = n / 2;
  const int first = static_cast<int>(std::ceil(k_min / dk)),
            last = std::min(h - 1, static_cast<int>(std::floor(k_end / dk)));
  bins = last >= first ? static_cast<std::size_t>(last - first + 1) : 0;
  std::vector<RingPixel> pixels;
  pixels.reserve(static_cast<std::size_t>(n) * static_cast<std::size_t>(h));
  // The axes are left out: rows and columns of the detector, and of what tiles leave of edges, gather there.
  for (int iy = 1; iy < n; ++iy)
    for (int kx = 1; kx < h; ++kx) {
      const int ky = iy - h;
      if (ky == 0) continue;
      const double r = std::hypot(kx, ky);
      const int bin = static_cast<int>(std::lround(r)) - first;
      if (bin < 0 || bin >= static_cast<int>(bins)) continue;
      const double scale = dk * dk;
      pixels.push_back({power.power(kx + h, iy), static_cast<float>(r * r * scale),
                        static_cast<float>((double{1} * kx * kx - double{1} * ky * ky) * scale),
                        static_cast<float>(2.0 * kx * ky * scale), 1, kx, iy, bin});
    }
  return pixels;
}

/// Caps what lies far above its bin: crystals, lattices, lines.
void limit_outliers(Rings& rings) {
  std::vector<std::vector<float>> values(rings.bins());
  for (const auto& p : rings.pixels) values[static_cast<std::size_t>(p.bin)].push_back(p.y);
  std::vector<float> cap(rings.bins(), 0);
  rings.highest.assign(rings.bins(), 0.0);
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    if (values[b].empty()) continue;
    const double top = double{*std::max_element(values[b].begin(), values[b].end())},
                 centre = double{middle_of(std::span(values[b]))};
    for (float& v : values[b]) v = std::abs(v - static_cast<float>(centre));
    const double sigma = sigma_over_mad * double{middle_of(std::span(values[b]))};
    cap[b] = static_cast<float>(centre + outlier_sigmas * sigma);
    rings.highest[b] = sigma > 0 ? (top - centre) / sigma : 0;
  }
  for (auto& p : rings.pixels) {
    const float limit = cap[static_cast<std::size_t>(p.bin)];
    if (p.y <= limit) continue;
    p.y = limit;
    ++rings.limited;
  }
}

std::vector<double> radial_means(const Rings& rings) {
  std::vector<double> mean(rings.bins(), 0.0);
  for (const auto& p : rings.pixels) mean[static_cast<std::size_t>(p.bin)] += double{p.y};
  for (std::size_t b = 0; b < rings.bins(); ++b) mean[b] /= std::max(1.0, rings.count[b]);
  return mean;
}

/// exp of a weighted least-squares cubic in √k through the logarithm of the radial mean: too stiff to follow rings,
/// which it would imprint on the background and the envelope that are fitted over it.
void divide_by_baseline(Rings& rings) {
  const auto mean = radial_means(rings);
  const double low = std::sqrt(rings.k.front()), width = std::sqrt(rings.k.back()) - low;
  const auto powers = [&](std::size_t b) {
    const double t = 2 * (std::sqrt(rings.k[b]) - low) / width - 1;
    return Eigen::Vector4d(1, t, t * t, t * t * t);
  };
  Eigen::Matrix4d normal = Eigen::Matrix4d::Zero();
  Eigen::Vector4d right = Eigen::Vector4d::Zero();
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    if (rings.count[b] == 0) continue;
    if (!(mean[b] > 0))
      throw Error(ErrorCode::bad_input, "the power spectrum is {} at {:.1f} A, expected a positive number", mean[b],
                  1 / rings.k[b]);
    const auto v = powers(b);
    normal += v * v.transpose();
    right += v * std::log(mean[b]);
  }
  const Eigen::Vector4d cubic = normal.ldlt().solve(right);
  rings.baseline.resize(rings.bins());
  for (std::size_t b = 0; b < rings.bins(); ++b) rings.baseline[b] = std::exp(powers(b).dot(cubic));
  for (auto& p : rings.pixels) p.y = static_cast<float>(double{p.y} / rings.baseline[static_cast<std::size_t>(p.bin)]);
}

}  // namespace

SplineBasis::SplineBasis(double low, double high, double spacing)
    : low_(low), high_(high), intervals_(std::max(1, static_cast<int>(std::ceil((high - low) / spacing - 1e-9)))) {}

SplineAt SplineBasis::at(double t) const {
  const double x = std::clamp((t - low_) / (high_ - low_), 0.0, 1.0) * intervals_;
  const int cell = std::min(intervals_ - 1, static_cast<int>(x));
  const double f = x - cell, g = 1 - f;
  return {cell,
          {g * g * g / 6, (3 * f * f * f - 6 * f * f + 4) / 6, (3 * g * g * g - 6 * g * g + 4) / 6, f * f * f / 6}};
}

Rings make_rings(const PowerSpectrum& power, Angstrom min_resolution, Angstrom max_resolution) {
  Rings rings;
  rings.n = power.power.nx();
  rings.dk = 1 / (rings.n * power.pixel_size.value());
  const double k_nyquist = 0.5 / power.pixel_size.value();
  rings.k_min = 1 / min_resolution.value();
  rings.k_max = std::min(1 / max_resolution.value(), 0.97 * k_nyquist);
  std::size_t bins = 0;
  rings.pixels = collect(power, rings.dk, rings.k_min, 0.97 * k_nyquist, bins);
  if (bins < fewest_bins || rings.k_max < rings.k_min + static_cast<double>(fewest_bins) * rings.dk)
    throw Error(ErrorCode::bad_input,
                "the band {:.1f} to {:.1f} A holds fewer than {} shells of a {} px spectrum with Nyquist {:.2f} A",
                min_resolution.value(), max_resolution.value(), fewest_bins, rings.n, 1 / k_nyquist);
  const double first = std::ceil(rings.k_min / rings.dk);
  rings.count.assign(bins, 0.0);
  rings.fade.assign(bins, 1.0);
  rings.contrast.assign(bins, 1.0);
  for (const auto& p : rings.pixels) rings.count[static_cast<std::size_t>(p.bin)] += 1;
  for (std::size_t b = 0; b < bins; ++b) {
    const double k = (first + static_cast<double>(b)) * rings.dk;
    rings.k.push_back(k);
    rings.in_fit.push_back(rings.count[b] > 0 && k <= rings.k_max && (k < ice_low_k || k > ice_high_k) ? 1 : 0);
  }
  set_stiffness(rings, 1);
  limit_outliers(rings);
  divide_by_baseline(rings);
  return rings;
}

void set_stiffness(Rings& rings, double factor) {
  rings.background = SplineBasis(std::sqrt(rings.k_min), std::sqrt(rings.k_max), factor * ring_background_spacing);
  rings.envelope = SplineBasis(rings.k_min, rings.k_max, factor * ring_envelope_spacing);
  rings.background_at.clear();
  rings.envelope_at.clear();
  for (const double k : rings.k) {
    rings.background_at.push_back(rings.background.at(std::sqrt(k)));
    rings.envelope_at.push_back(rings.envelope.at(k));
  }
}

Shape shape_of(const Ctf& ctf) {
  const double a = ctf.astigmatism().value(), angle = 2 * to_rad(ctf.astigmatism_angle);
  return {ctf.mean_defocus().value(), a * std::cos(angle), a * std::sin(angle), to_rad(ctf.phase_shift)};
}

Ctf ctf_of(const Shape& p) {
  const double a = std::hypot(p.c, p.s);
  Ctf ctf;
  ctf.defocus_u = Angstrom(p.defocus + a / 2);
  ctf.defocus_v = Angstrom(p.defocus - a / 2);
  ctf.astigmatism_angle = from_rad(0.5 * std::atan2(p.s, p.c));
  double phase = std::fmod(p.phase, pi);
  if (phase < 0) phase += pi;
  if (phase >= pi) phase = 0;
  ctf.phase_shift = from_rad(phase);
  return canonical(ctf);
}

Waves::Waves(const Optics& optics) {
  const double lambda = wavelength(optics.voltage).value();
  pi_lambda = pi * lambda;
  per_mm = 0.5 * pi * 1e7 * lambda * lambda * lambda;
  cs_term = optics.cs.value() * per_mm;
  offset = std::asin(optics.amplitude_contrast);
}

}  // namespace frazil::ctf
