#include "frazil/algo/gain/estimate.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "frazil/base/index.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::gain {
namespace {

constexpr int local_px = 63;                           // side of the local mean
constexpr double slow_px = 128;                        // longest wave kept when halves are other movies
constexpr double fine_px = 5;                          // longest wave kept when the specimen is in both halves
constexpr double low_factor = 0.5, high_factor = 1.5;  // beyond: a defect, not a gain
constexpr double defect_sigmas = 6;  // by chance in 2e-9: not one pixel of a camera. √(n + ⅜) has σ ½ (Anscombe 1948)

/// Mean of the pixels that are not flagged in a window of side 2 half + 1, cut at the borders.
Image local_mean(const Image& image, const std::vector<char>& flagged, int half) {
  const int nx = image.nx(), ny = image.ny();
  std::vector<double> sums(z(nx + 1) * z(ny + 1)), counts(sums.size());
  for (int y = 0; y < ny; ++y) {
    double sum = 0, count = 0;
    for (int x = 0; x < nx; ++x) {
      if (const auto i = z(y) * z(nx) + z(x); flagged[i] == 0) {
        sum += image.pixels()[i];
        count += 1;
      }
      const auto at = z(y + 1) * z(nx + 1) + z(x + 1);
      sums[at] = sums[at - z(nx + 1)] + sum;
      counts[at] = counts[at - z(nx + 1)] + count;
    }
  }
  Image out(nx, ny, image.pixel_size);
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) {
      const auto x0 = z(std::max(0, x - half)), x1 = z(std::min(nx, x + half + 1)), y0 = z(std::max(0, y - half)),
                 y1 = z(std::min(ny, y + half + 1));
      const auto box = [&](const std::vector<double>& t) {
        return t[y1 * z(nx + 1) + x1] - t[y0 * z(nx + 1) + x1] - t[y1 * z(nx + 1) + x0] + t[y0 * z(nx + 1) + x0];
      };
      out(x, y) = static_cast<float>(box(sums) / std::max(1.0, box(counts)));
    }
  return out;
}

/// Flags pixels far from their surroundings by more than chance; twice, since the first round moves the local mean.
std::vector<char> find_defects(const Image& sum) {
  std::vector<char> flagged(sum.size(), 0);
  for (int pass = 0; pass < 2; ++pass) {
    const auto mean = local_mean(sum, flagged, 3);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      const double m = mean.pixels()[i], v = sum.pixels()[i];
      flagged[i] = (v < low_factor * m || v > high_factor * m) &&
                           std::abs(std::sqrt(v + 0.375) - std::sqrt(m + 0.375)) > defect_sigmas / 2
                       ? 1
                       : 0;
    }
  }
  return flagged;
}

/// value / local mean − 1, 0 at defects.
Image relative(const Image& sum, const std::vector<char>& flagged) {
  const auto mean = local_mean(sum, flagged, local_px / 2);
  Image out(sum.nx(), sum.ny(), sum.pixel_size);
  for (std::size_t i = 0; i < out.size(); ++i)
    out.pixels()[i] = flagged[i] != 0 || mean.pixels()[i] <= 0 ? 0 : sum.pixels()[i] / mean.pixels()[i] - 1;
  return out;
}

struct Profile {
  std::vector<double> a, b;
};

/// Share of the mean of two measurements that is common to both: 2c/(1+c).
double common_share(double ab, double aa, double bb) {
  const double c = aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
  return c > 0 ? 2 * c / (1 + c) : 0;
}

double common_share(const Profile& p) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < p.a.size(); ++i) {
    ab += p.a[i] * p.b[i];
    aa += p.a[i] * p.a[i];
    bb += p.b[i] * p.b[i];
  }
  return common_share(ab, aa, bb);
}

/// Takes the mean of every column (or row) off both images and adds what is common to it to `kept`.
void take_lines(Image& a, Image& b, bool columns, Image& kept) {
  const int lines = columns ? a.nx() : a.ny(), length = columns ? a.ny() : a.nx();
  Profile p{std::vector<double>(z(lines)), std::vector<double>(z(lines))};
  const auto at = [columns](Image& image, int line, int i) -> float& {
    return columns ? image(line, i) : image(i, line);
  };
  for (int l = 0; l < lines; ++l) {
    for (int i = 0; i < length; ++i) {
      p.a[z(l)] += at(a, l, i);
      p.b[z(l)] += at(b, l, i);
    }
    p.a[z(l)] /= length;
    p.b[z(l)] /= length;
  }
  const double share = common_share(p);
  for (int l = 0; l < lines; ++l)
    for (int i = 0; i < length; ++i) {
      at(a, l, i) -= static_cast<float>(p.a[z(l)]);
      at(b, l, i) -= static_cast<float>(p.b[z(l)]);
      at(kept, l, i) += static_cast<float>(share * (p.a[z(l)] + p.b[z(l)]) / 2);
    }
}

/// The part of the mean of two images that agrees between them, ring by ring of the Fourier plane. @return with the
/// error's variance
std::pair<Image, double> common_part(const Image& a, const Image& b, double longest_px) {
  auto fa = fft(a), fb = fft(b);
  const int rings = 64;
  const auto frequency = [&](int ix, int iy) {
    return std::hypot(static_cast<double>(ix) / fa.nx(), static_cast<double>(fa.ky(iy)) / fa.ny());
  };
  const auto ring_of = [&](double k) { return z(std::min(rings - 1, static_cast<int>(k / 0.7072 * rings))); };
  std::vector<double> ab(z(rings)), aa(z(rings)), bb(z(rings));
  for (int iy = 0; iy < fa.ny(); ++iy)
    for (int ix = 0; ix < fa.columns(); ++ix) {
      const auto r = ring_of(frequency(ix, iy));
      const auto u = std::complex<double>(fa(ix, iy)), v = std::complex<double>(fb(ix, iy));
      ab[r] += (u * std::conj(v)).real();
      aa[r] += std::norm(u);
      bb[r] += std::norm(v);
    }
  double wrong = 0;
  const double cells = static_cast<double>(a.size());
  for (int iy = 0; iy < fa.ny(); ++iy)
    for (int ix = 0; ix < fa.columns(); ++ix) {
      const double k = frequency(ix, iy);
      const auto r = ring_of(k);
      const double share = common_share(ab[r], aa[r], bb[r]) * std::clamp(2 * k * longest_px - 1, 0.0, 1.0);
      const auto mean = 0.5F * (fa(ix, iy) + fb(ix, iy));
      const double noise = std::norm(std::complex<double>(fa(ix, iy) - fb(ix, iy))) / 4;  // of the mean of the halves
      wrong += (ix == 0 || 2 * ix == fa.nx() ? 1 : 2) * share * noise / (cells * cells);
      fa(ix, iy) = static_cast<float>(share) * mean;
    }
  return {ifft(fa), wrong};
}

}  // namespace

Estimate estimate_gain(const Image& half_a, const Image& half_b, Halves halves) {
  expect(half_a.nx() == half_b.nx() && half_a.ny() == half_b.ny(), "halves of one sensor");
  if (half_a.nx() < 32 || half_a.ny() < 32)
    throw Error(ErrorCode::bad_input, "a gain needs a sensor of 32 × 32 pixels or more, found {} × {}", half_a.nx(),
                half_a.ny());
  for (const auto* half : {&half_a, &half_b})
    if (!(statistics(*half).mean > 0))
      throw Error(ErrorCode::bad_input, "a half of the frames holds no counts: a gain cannot be estimated");
  auto sum = half_a.clone();
  for (std::size_t i = 0; i < sum.size(); ++i) sum.pixels()[i] += half_b.pixels()[i];
  const auto flagged = find_defects(sum);
  auto a = relative(half_a, flagged), b = relative(half_b, flagged);
  Image pattern(sum.nx(), sum.ny(), sum.pixel_size);
  take_lines(a, b, true, pattern);
  take_lines(a, b, false, pattern);
  const auto [fine, wrong] = common_part(a, b, halves == Halves::movies ? slow_px : fine_px);

  Estimate estimate;
  estimate.gain = Image(sum.nx(), sum.ny(), sum.pixel_size);
  double squares = 0, total = 0, count = 0;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    if (flagged[i] != 0) {
      estimate.defects.push_back(i);
      continue;
    }
    const double p = static_cast<double>(pattern.pixels()[i]) + static_cast<double>(fine.pixels()[i]);
    squares += p * p;
    count += 1;
    const double factor = 1 / std::clamp(1 + p, low_factor, high_factor);
    estimate.gain.pixels()[i] = static_cast<float>(factor);
    total += factor;
  }
  for (float& g : estimate.gain.pixels()) g = static_cast<float>(g * count / total);
  estimate.pattern_std = std::sqrt(squares / std::max(1.0, count));
  estimate.error_std = std::sqrt(wrong);
  return estimate;
}

}  // namespace frazil::gain
