#include "frazil/algo/pick/response.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/finite.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::pick {
namespace {

/// The kernel around pixel (0, 0) of a periodic image.
Image drawn(const RadialKernel& kernel, int nx, int ny) {
  Image out(nx, ny);
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x)
      out(x, y) = static_cast<float>(kernel(std::hypot(std::min(x, nx - x), std::min(y, ny - y))));
  return out;
}

Image correlated(const Correlator& image, const Image& kernel) {
  return std::move(image.with(std::span(&kernel, 1)).front());
}

std::unique_ptr<Correlator> hold_squared(const Image& image, const Backend& backend) {
  auto squared = image.clone();
  for (float& v : squared.pixels()) v *= v;
  return backend.hold(squared);
}

double half_width(std::vector<float> values) { return robust_spread(std::move(values)).both; }

/// Offset of the vertex of the parabola through three values, within ±0.5.
double vertex(double left, double centre, double right) {
  const double curvature = left - 2 * centre + right;
  return curvature < 0 ? std::clamp(0.5 * (left - right) / curvature, -0.5, 0.5) : 0;
}

bool is_maximum(const Image& response, int x, int y) {
  const float v = response(x, y);
  for (int j = -1; j <= 1; ++j)
    for (int i = -1; i <= 1; ++i) {
      if (i == 0 && j == 0) continue;
      const float other = response(x + i, y + j);
      if (other > v || (other == v && (j < 0 || (j == 0 && i < 0)))) return false;  // of equals, the first counts
    }
  return true;
}

/// Rotational average around a peak, each pixel shared linearly between the two nearest radii.
std::vector<double> rotational_average(const Image& image, const Peak& peak, int radius) {
  std::vector<double> sum(static_cast<std::size_t>(radius) + 2), weight(sum.size());
  const int x0 = static_cast<int>(std::floor(peak.x)) - radius, y0 = static_cast<int>(std::floor(peak.y)) - radius;
  for (int y = y0; y <= y0 + 2 * radius + 1; ++y)
    for (int x = x0; x <= x0 + 2 * radius + 1; ++x) {
      const double r = std::hypot(x - peak.x, y - peak.y);
      const auto i = static_cast<std::size_t>(r);
      if (i > static_cast<std::size_t>(radius)) continue;
      const double outer = r - static_cast<double>(i), v = image(x, y);
      sum[i] += (1 - outer) * v;
      weight[i] += 1 - outer;
      sum[i + 1] += outer * v;
      weight[i + 1] += outer;
    }
  sum.resize(static_cast<std::size_t>(radius) + 1);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = weight[i] > 0 ? sum[i] / weight[i] : 0;
  return sum;
}

}  // namespace

RadialKernel blob_kernel(Method method, double diameter_px) {
  // The response to a disc of radius R is largest for sigma = R / sqrt(2) (Lindeberg 1998,
  // doi:10.1023/A:1008045108935).
  const double sigma = diameter_px / 2 / std::numbers::sqrt2;
  if (method == Method::log)
    return [sigma](double r) {
      const double q = r * r / (2 * sigma * sigma);
      return (1 - q) * std::exp(-q);
    };
  const double inner = sigma / std::sqrt(1.2), outer = sigma * std::sqrt(1.2);
  return [inner, outer](double r) {
    const auto gauss = [r](double s) { return std::exp(-r * r / (2 * s * s)) / (s * s); };
    return gauss(inner) - gauss(outer);
  };
}

Responses::Responses(const Image& image, const Backend& backend)
    : nx_(image.nx()), ny_(image.ny()), image_(backend.hold(image)), squared_(hold_squared(image, backend)) {}

Image Responses::to(const RadialKernel& kernel) const {
  auto k = drawn(kernel, nx_, ny_);
  double sum = 0, squares = 0;
  for (const float v : k.pixels()) sum += v;
  const double mean = sum / static_cast<double>(k.size());
  for (const float v : k.pixels()) squares += (v - mean) * (v - mean);
  const double norm = squares > 0 ? 1 / std::sqrt(squares) : 0;
  for (float& v : k.pixels()) v = static_cast<float>((v - mean) * norm);
  return correlated(*image_, k);
}

LocalMoments Responses::local_moments(double radius_px) const {
  const auto disc = drawn([radius_px](double r) { return r <= radius_px ? 1.0 : 0.0; }, nx_, ny_);
  double n = 0;
  for (const float v : disc.pixels()) n += v;
  LocalMoments out{correlated(*image_, disc), correlated(*squared_, disc)};
  for (std::size_t i = 0; i < out.mean.size(); ++i) {
    const double mean = out.mean.data()[i] / n, square = out.variance.data()[i] / n;
    out.mean.data()[i] = static_cast<float>(mean);
    out.variance.data()[i] = static_cast<float>(at_least_zero(square - mean * mean));
  }
  return out;
}

Image Responses::normalised(const std::vector<double>& profile) const {
  const double radius = static_cast<double>(profile.size()) - 1;
  const auto value = [&](double r) {
    const auto i = static_cast<std::size_t>(r);
    return i + 1 < profile.size() ? profile[i] + (r - static_cast<double>(i)) * (profile[i + 1] - profile[i])
                                  : profile.back();
  };
  auto kernel = drawn([&](double r) { return r <= radius ? value(r) : 0.0; }, nx_, ny_);
  const auto disc = drawn([radius](double r) { return r <= radius ? 1.0 : 0.0; }, nx_, ny_);
  double n = 0, sum = 0, squares = 0;
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    n += disc.data()[i];
    sum += kernel.data()[i];
  }
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    const double v = (kernel.data()[i] - sum / n) * disc.data()[i];
    kernel.data()[i] = static_cast<float>(v);
    squares += v * v;
  }
  auto out = correlated(*image_, kernel);
  const auto moments = local_moments(radius);
  const auto usual =
      robust_spread(std::vector<float>(moments.variance.pixels().begin(), moments.variance.pixels().end()));
  const double floor = std::max(0.5 * usual.median, 1e-12), scale = squares > 0 ? 1 / std::sqrt(squares * n) : 0;
  for (std::size_t i = 0; i < out.size(); ++i)
    out.data()[i] =
        static_cast<float>(out.data()[i] * scale / std::sqrt(std::max<double>(moments.variance.data()[i], floor)));
  return out;
}

NoiseLevel noise_level(const Image& response, const Mask& where, double maxima) {
  std::vector<float> values, dx, dy;
  for (int y = 0; y + 1 < response.ny(); ++y)
    for (int x = 0; x + 1 < response.nx(); ++x) {
      if (where(x, y) == 0) continue;
      const float v = response(x, y);
      values.push_back(v);
      if (where(x + 1, y) != 0) dx.push_back(response(x + 1, y) - v);
      if (where(x, y + 1) != 0) dy.push_back(response(x, y + 1) - v);
    }
  const double pixels = static_cast<double>(values.size());
  const auto spread = robust_spread(std::move(values));
  if (!(spread.lower > 0)) return {spread.median, 1, 1e30};
  // Maxima of a Gaussian field above u: area · lambda · u exp(−u²/2) / (2π)^1.5, lambda its second spectral moment.
  const double lambda = half_width(std::move(dx)) * half_width(std::move(dy)) / (spread.lower * spread.lower);
  const double density = pixels * lambda / std::pow(2 * std::numbers::pi, 1.5);
  double low = 1, high = 12;  // above 1 the expression falls with u
  for (int i = 0; i < 60; ++i) {
    const double u = 0.5 * (low + high);
    (density * u * std::exp(-0.5 * u * u) > maxima ? low : high) = u;
  }
  return {spread.median, spread.lower, high};
}

std::vector<Peak> find_peaks(const Image& response, const Mask& where, double distance_px) {
  std::vector<Peak> all, kept;
  for (int y = 1; y + 1 < response.ny(); ++y)
    for (int x = 1; x + 1 < response.nx(); ++x)
      if (where(x, y) != 0 && is_maximum(response, x, y))
        all.push_back({x + vertex(response(x - 1, y), response(x, y), response(x + 1, y)),
                       y + vertex(response(x, y - 1), response(x, y), response(x, y + 1)), response(x, y)});
  std::stable_sort(all.begin(), all.end(), [](const Peak& a, const Peak& b) { return a.height > b.height; });
  // A grid of cells as wide as the distance: only neighbours' cells can hold a pick that is too near.
  const double cell = std::max(1.0, distance_px);
  const int columns = static_cast<int>(response.nx() / cell) + 1, rows = static_cast<int>(response.ny() / cell) + 1;
  std::vector<std::vector<std::size_t>> grid(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows));
  const auto cell_at = [&](int cx, int cy) -> auto& {
    return grid[static_cast<std::size_t>(cy) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(cx)];
  };
  for (const auto& peak : all) {
    const int cx = std::clamp(static_cast<int>(peak.x / cell), 0, columns - 1),
              cy = std::clamp(static_cast<int>(peak.y / cell), 0, rows - 1);
    bool free = true;
    for (int j = std::max(0, cy - 1); j <= std::min(rows - 1, cy + 1) && free; ++j)
      for (int i = std::max(0, cx - 1); i <= std::min(columns - 1, cx + 1) && free; ++i)
        for (const auto k : cell_at(i, j))
          free = free && std::hypot(kept[k].x - peak.x, kept[k].y - peak.y) >= distance_px;
    if (!free) continue;
    cell_at(cx, cy).push_back(kept.size());
    kept.push_back(peak);
  }
  return kept;
}

std::vector<double> radial_profile(const Image& image, std::span<const Peak> peaks, int radius_px) {
  std::vector<std::vector<double>> all;
  for (const auto& peak : peaks) {
    const bool room = peak.x >= radius_px + 1 && peak.y >= radius_px + 1 && peak.x < image.nx() - radius_px - 2 &&
                      peak.y < image.ny() - radius_px - 2;
    if (room) all.push_back(rotational_average(image, peak, radius_px));
  }
  if (all.empty()) return {};
  std::vector<double> profile(static_cast<std::size_t>(radius_px) + 1);
  std::vector<double> column(all.size());
  for (std::size_t i = 0; i < profile.size(); ++i) {
    for (std::size_t j = 0; j < all.size(); ++j) column[j] = all[j][i];
    profile[i] = middle_of(std::span(column));
  }
  return profile;
}

}  // namespace frazil::pick
