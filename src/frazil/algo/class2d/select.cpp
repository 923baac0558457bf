#include "frazil/algo/class2d/select.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/finite.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/image/sound.hpp"

namespace frazil::class2d {
namespace {

/// Rises from 0 to 1 around `middle` over about `width` on either side.
double rise(double value, double middle, double width) { return 1 / (1 + std::exp(-3 * (value - middle) / width)); }

/// Upper quartile.
double best_quarter(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() * 3 / 4];
}

std::string refusal(const ClassFeatures& f, const SelectParams& params, double mean_count, double score,
                    const std::string& weakest) {
  if (f.count == 0) return "no particles";
  if (f.background) return "images that no average explains";
  if (!f.finite) return "the average is not finite";
  if (f.count < params.min_share * mean_count) return fmt::format("only {} particles", f.count);
  if (f.resolution > params.max_resolution) return fmt::format("resolution only {:.0f} Å", f.resolution.value());
  return fmt::format("{} (score {:.2f})", weakest, score);
}

}  // namespace

ClassFeatures measure_average(const Image& average, int count, Angstrom resolution, Angstrom diameter) {
  ClassFeatures out;
  out.count = count;
  out.resolution = resolution;
  out.finite = soundness(average) != Soundness::not_finite && std::isfinite(resolution.value());
  if (!out.finite) return out;
  const int n = average.nx();
  const double radius = to_px(diameter, average.pixel_size) / 2, rim = std::min(1.25 * radius, n / 2.0);
  double in = 0, in2 = 0, in_count = 0, ring = 0, ring2 = 0, ring_count = 0;
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const double r = std::hypot(x - n / 2, y - n / 2), v = average(x, y);
      if (r <= radius)
        in += v, in2 += v * v, ++in_count;
      else if (r <= rim || rim >= n / 2.0)
        ring += v, ring2 += v * v, ++ring_count;
    }
  if (in_count < 4 || ring_count < 4) return out;
  const double in_mean = in / in_count, ring_mean = ring / ring_count;
  const double in_sd = std::sqrt(at_least_zero(in2 / in_count - in_mean * in_mean));
  const double ring_sd = std::sqrt(std::max(1e-30, ring2 / ring_count - ring_mean * ring_mean));
  out.contrast = in_sd / ring_sd;
  out.bright = (in_mean - ring_mean) / ring_sd;
  const double floor = ring_mean + 0.3 * (statistics(average).max - ring_mean);
  double mass = 0, mx = 0, my = 0, outside = 0;
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const double v = average(x, y) - floor;
      if (v <= 0) continue;
      mass += v;
      mx += v * (x - n / 2);
      my += v * (y - n / 2);
      if (std::hypot(x - n / 2, y - n / 2) > radius) outside += v;
    }
  if (mass > 0) {
    out.offset = std::hypot(mx, my) / mass / radius;
    out.overflow = outside / mass;
  }
  return out;
}

std::vector<ClassVerdict> select_classes(const std::vector<ClassFeatures>& features, const SelectParams& params) {
  std::vector<double> contrasts, frequencies;
  double total = 0, classes = 0;
  for (const auto& f : features) {
    if (f.background || !f.finite) continue;
    total += f.count;
    ++classes;
    if (f.count == 0) continue;
    contrasts.push_back(std::log(std::max(f.contrast, 1e-3)));
    frequencies.push_back(1 / std::max(1.0, f.resolution.value()));
  }
  const double mean = total / std::max<double>(1, classes);
  const double contrast = best_quarter(contrasts), frequency = best_quarter(frequencies);
  std::vector<ClassVerdict> out;
  for (const auto& f : features) {
    const std::vector<std::pair<double, std::string>> parts{
        {rise(std::log(std::max(f.contrast, 1e-3)), 0.35 * contrast, 0.4 * std::max(contrast, 0.3)),
         "the average hardly differs from its background"},
        {rise(1 / std::max(1.0, f.resolution.value()), 0.45 * frequency, 0.3 * frequency),
         fmt::format("resolution only {:.0f} Å", f.resolution.value())},
        {rise(0.45 - f.offset, 0, 0.15), "the bright part lies off-centre"},
        {rise(0.25 - f.overflow, 0, 0.1), "the bright part reaches beyond the particle"},
        {rise(f.bright, 0.3, 0.3), "darker than its surroundings"}};
    ClassVerdict verdict;
    verdict.features = f;
    verdict.score = 1;
    for (const auto& part : parts) verdict.score *= part.first;
    if (f.background || !f.finite) verdict.score = 0;
    const auto weakest =
        std::min_element(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    verdict.selected = f.count > 0 && !f.background && f.finite && f.count >= params.min_share * mean &&
                       f.resolution <= params.max_resolution && verdict.score >= params.min_score;
    if (!verdict.selected) verdict.reason = refusal(f, params, mean, verdict.score, weakest->second);
    out.push_back(std::move(verdict));
  }
  if (!out.empty() && std::none_of(out.begin(), out.end(), [](const auto& v) { return v.selected; })) {
    const auto best =
        std::max_element(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.score < b.score; });
    if (best->features.count > 0 && !best->features.background && best->features.finite)
      best->selected = true, best->reason.clear();
  }
  return out;
}

}  // namespace frazil::class2d
