#include "frazil/algo/extract/screen.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/parallel.hpp"
#include "frazil/base/statistics.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/image/sound.hpp"

namespace frazil::extract {
namespace {

constexpr double pixels_a_diameter = 16;  // an image at an eighth of the diameter's resolution: shape, and little noise
constexpr std::size_t enough_for_filter = 8, enough_for_outliers = 10;  // an average, a spread to a third: 1.17/√n
constexpr std::array orders{3, 5};  // odd, so that two-fold and four-fold particles add little

/// What is kept of one image.
struct Measures {
  bool finite = true;
  double peak = 0;                 ///< largest pixel off zero, full resolution
  double inside = 0, outside = 0;  ///< mean square within and outside the diameter, low resolution
  std::vector<double> rings;       ///< sum over each ring
  std::vector<std::array<double, 2 * orders.size()>> waves;  ///< sum over each ring times √2 cos, √2 sin of each order
};

struct Sizes {
  int box = 0;           ///< low resolution
  double radius_px = 0;  ///< of the particle
  int ring_count = 0;
  double inside = 0, outside = 0;  ///< pixels
  std::vector<double> ring_pixels;
};

Sizes sizes_for(int box, double diameter_px) {
  Sizes s;
  s.box = std::min(box, 2 * static_cast<int>(std::lround(0.5 * box * pixels_a_diameter / diameter_px)));
  s.radius_px = 0.5 * diameter_px * s.box / box;
  s.ring_count = s.box / 2;
  s.ring_pixels.resize(static_cast<std::size_t>(s.ring_count));
  for (int y = 0; y < s.box; ++y)
    for (int x = 0; x < s.box; ++x) {
      const double r = std::hypot(x - s.box / 2, y - s.box / 2);
      (r <= s.radius_px ? s.inside : s.outside) += 1;
      if (const auto ring = std::lround(r); ring < s.ring_count) s.ring_pixels[static_cast<std::size_t>(ring)] += 1;
    }
  return s;
}

Measures measure(const Image& image, const Sizes& s) {
  Measures m;
  const auto range = statistics(image);
  m.finite = soundness(image) != Soundness::not_finite;
  if (!m.finite) return m;
  m.peak = std::max(std::abs(range.min), std::abs(range.max));
  const Image small = s.box == image.nx() ? image.clone() : fourier_resize(image, s.box, s.box);
  m.rings.resize(static_cast<std::size_t>(s.ring_count));
  m.waves.resize(m.rings.size());
  for (int y = 0; y < s.box; ++y)
    for (int x = 0; x < s.box; ++x) {
      const double dx = x - s.box / 2, dy = y - s.box / 2, r = std::hypot(dx, dy), v = small(x, y);
      (r <= s.radius_px ? m.inside : m.outside) += v * v;
      const auto ring = std::lround(r);
      if (ring >= s.ring_count) continue;
      const auto i = static_cast<std::size_t>(ring);
      m.rings[i] += v;
      const double angle = std::atan2(dy, dx);
      for (std::size_t o = 0; o < orders.size(); ++o) {
        m.waves[i][2 * o] += v * std::sqrt(2.0) * std::cos(orders[o] * angle);
        m.waves[i][2 * o + 1] += v * std::sqrt(2.0) * std::sin(orders[o] * angle);
      }
    }
  m.inside /= s.inside;
  m.outside /= s.outside;
  return m;
}

/// The rotational average as a matched filter: amplitude of each image (1 for the typical one) and of noise.
struct Filtered {
  std::vector<double> amplitudes;
  double noise = 0;  ///< standard deviation of an amplitude; 0: there is no filter
};

Filtered filter_by_average(const std::vector<Measures>& all, const Sizes& s) {
  Filtered out;
  std::vector<double> profile(static_cast<std::size_t>(s.ring_count)), column;
  double norm = 0;
  for (std::size_t ring = 0; ring < profile.size(); ++ring) {
    column.clear();
    for (const auto& m : all)
      if (m.finite) column.push_back(m.rings[ring] / s.ring_pixels[ring]);
    if (column.size() < enough_for_filter) return out;
    profile[ring] = at_fraction(column, 0.5);
    norm += s.ring_pixels[ring] * profile[ring] * profile[ring];
  }
  if (!(norm > 0)) return out;
  std::vector<double> decoys;
  for (const auto& m : all) {
    double amplitude = 0;
    std::array<double, 2 * orders.size()> turned{};
    for (std::size_t ring = 0; m.finite && ring < profile.size(); ++ring) {
      amplitude += profile[ring] * m.rings[ring];
      for (std::size_t o = 0; o < turned.size(); ++o) turned[o] += profile[ring] * m.waves[ring][o];
    }
    out.amplitudes.push_back(amplitude / norm);
    if (m.finite)
      for (const double t : turned) decoys.push_back(std::abs(t) / norm);
  }
  out.noise = at_fraction(decoys, 0.5) / 0.6745;
  return out;
}

/// Median and robust spread of log values over the sound images.
struct Usual {
  double median = 0, sigma = 0;
};

template <class Value>
Usual usual(const std::vector<Measures>& all, const Value& value) {
  std::vector<double> values;
  for (const auto& m : all)
    if (m.finite) values.push_back(std::log(std::max(1e-12, value(m))));
  if (values.size() < enough_for_outliers) return {};
  const auto spread = robust_spread(std::move(values));
  return {spread.median, std::max(spread.both, 0.1)};  // a tenth: nothing is an outlier for being 50 % stronger
}

/// Robust standard deviations by which the logarithm of a value lies above the usual; 0 when nothing is usual.
double excess(double value, const Usual& usual) {
  return usual.sigma > 0 ? (std::log(std::max(1e-12, value)) - usual.median) / usual.sigma : 0;
}

bool is_empty(const Measures& m, std::size_t index, const Filtered& filtered, const Sizes& s, double sigmas,
              Verdict& verdict) {
  if (filtered.noise > 0 && filtered.noise < 0.5) {
    const double limit = std::min(sigmas * filtered.noise, 0.4);
    if (filtered.amplitudes[index] >= limit) return false;
    verdict = {Reason::empty, filtered.amplitudes[index] / filtered.noise, limit / filtered.noise};
    return true;
  }
  const double z =
      std::log(std::max(1e-12, m.inside) / std::max(1e-12, m.outside)) / std::sqrt(2 / s.inside + 2 / s.outside);
  if (z >= sigmas) return false;
  verdict = {Reason::empty, z, sigmas};
  return true;
}

}  // namespace

std::vector<Verdict> screen(std::size_t count, const std::function<Image(std::size_t)>& read, Angstrom diameter,
                            const ScreenParams& params, int threads) {
  std::vector<Verdict> verdicts(count);
  if (count == 0) return verdicts;
  const Image first = read(0);
  const double diameter_px = to_px(diameter, first.pixel_size);
  if (!(diameter_px > 0)) throw Error(ErrorCode::bad_input, "the particle diameter is not known; give --diameter in Å");
  if (first.nx() != first.ny() || diameter_px > 0.95 * first.nx())
    throw Error(ErrorCode::bad_input, "a particle of {:.0f} px fills its image of {} x {} px: no background is left",
                diameter_px, first.nx(), first.ny());
  const auto sizes = sizes_for(first.nx(), diameter_px);
  std::vector<Measures> all(count);
  parallel_for(threads, count, [&](std::size_t i) { all[i] = measure(read(i), sizes); });

  const auto filtered = params.empty ? filter_by_average(all, sizes) : Filtered{};
  const auto inside = usual(all, [](const Measures& m) { return m.inside; });
  const auto outside = usual(all, [](const Measures& m) { return m.outside; });
  for (std::size_t i = 0; i < count; ++i) {
    const auto& m = all[i];
    auto& verdict = verdicts[i];
    if (!m.finite)
      verdict = {Reason::not_finite, 0, 0};
    else if (params.dust_sigmas > 0 && m.peak > params.dust_sigmas)
      verdict = {Reason::dust, m.peak, params.dust_sigmas};
    else if (const double in = excess(m.inside, inside), out = excess(m.outside, outside);
             params.outlier_sigmas > 0 && std::max(in, out) > params.outlier_sigmas)
      verdict = {in > out ? Reason::too_strong : Reason::uneven_background, std::max(in, out), params.outlier_sigmas};
    else if (params.empty)
      (void)is_empty(m, i, filtered, sizes, params.empty_sigmas, verdict);
  }
  return verdicts;
}

}  // namespace frazil::extract
