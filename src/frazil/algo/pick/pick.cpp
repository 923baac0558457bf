#include "frazil/algo/pick/pick.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/algo/pick/response.hpp"
#include "frazil/algo/pick/working_image.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::pick {
namespace {

constexpr double template_radius = 0.75;  // of the diameter: the particle and the fringe around it
constexpr int passes = 3;                 // template made and searched; the picks hardly change after the second
constexpr std::size_t few = 10;           // a template is made from at least so many places

struct Detection {
  std::vector<Peak> peaks;  ///< all maxima, heights in standard deviations of the noise
  double threshold = 0;
  [[nodiscard]] std::size_t significant() const {
    return static_cast<std::size_t>(std::count_if(peaks.begin(), peaks.end(), [&](const Peak& p) { return p.height > threshold; }));
  }
};

Detection detect(const Image& response, const Area& area, double distance_px, double noise_picks) {
  const auto noise = noise_level(response, area, noise_picks);
  Detection found{find_peaks(response, area, distance_px), noise.threshold};
  for (auto& peak : found.peaks) peak.height = (peak.height - noise.mean) / noise.sigma;
  return found;
}

Area search_area(const WorkingImage& working, const PickParams& params, Angstrom pixel_size) {
  const double border_px = params.border.value() > 0 ? to_px(params.border, pixel_size) / working.scale_x : 0.5 * working.diameter_px;
  const int inset = working.margin + static_cast<int>(std::ceil(border_px));
  return {inset, inset, 2 * working.margin + working.inner_nx - inset, 2 * working.margin + working.inner_ny - inset};
}

/// How many of the first picks the first template is made from: those above the noise, but no more than the best
/// quarter, among which blobs that are no particles are rare; in a crowded micrograph, where particles are the
/// noise of the blob detector, the best quarter as it is.
std::size_t seeds(const Detection& first) {
  const auto quarter = std::max(few, first.peaks.size() / 4), above = first.significant();
  return std::min(first.peaks.size(), above >= few ? std::min(above, quarter) : quarter);
}

/// Drops picks under which the image varies far more than under the others: edges of carbon, ice, aggregates.
int drop_outliers(std::vector<Peak>& picks, const WorkingImage& working, const Spectrum& spectrum) {
  const auto moments = local_moments(working, spectrum, 0.6 * working.diameter_px);
  const auto log_variance = [&](const Peak& p) {
    return std::log(std::max(1e-12F, moments.variance(static_cast<int>(std::lround(p.x)), static_cast<int>(std::lround(p.y)))));
  };
  if (picks.size() < few) return 0;
  std::vector<float> values;
  for (const auto& p : picks) values.push_back(static_cast<float>(log_variance(p)));
  const auto spread = robust_spread(values);
  const double limit = spread.median + std::max(5 * spread.lower, 0.7);  // half as strong again is still a particle
  const auto before = picks.size();
  std::erase_if(picks, [&](const Peak& p) { return log_variance(p) > limit; });
  return static_cast<int>(before - picks.size());
}

}  // namespace

PickResult pick(const Image& micrograph, const PickParams& params) {
  const auto working = working_image(micrograph, params.diameter, params.contrast == Contrast::dark);
  const auto spectrum = fft(working.image);
  const auto area = search_area(working, params, micrograph.pixel_size);
  if (area.empty()) throw Error(ErrorCode::bad_input, "a border of {:.0f} A leaves nothing of the micrograph", params.border.value());
  const double distance_px = params.min_distance.value() > 0 ? to_px(params.min_distance, micrograph.pixel_size) / working.scale_x : 0.6 * working.diameter_px;

  PickResult result;
  result.working_pixel = working.image.pixel_size;
  auto found = detect(correlate(spectrum, blob_kernel(params.method, working.diameter_px)), area, distance_px, params.noise_picks);
  std::size_t count = seeds(found);
  for (int pass = 0; params.refine_template && pass < passes && count > 0; ++pass) {
    const auto radius = static_cast<int>(std::lround(template_radius * working.diameter_px));
    result.profile = radial_profile(working.image, std::span(found.peaks).first(count), radius);
    if (result.profile.empty()) break;
    found = detect(normalised_correlation(working, spectrum, result.profile), area, distance_px, params.noise_picks);
    count = std::min(found.peaks.size(), std::max(few, found.significant()));
  }

  result.candidates = static_cast<int>(found.peaks.size());
  result.threshold = found.threshold + params.threshold_shift;
  std::erase_if(found.peaks, [&](const Peak& p) { return !(p.height > result.threshold); });
  result.outliers = drop_outliers(found.peaks, working, spectrum);
  if (params.max_count > 0 && found.peaks.size() > static_cast<std::size_t>(params.max_count)) found.peaks.resize(static_cast<std::size_t>(params.max_count));
  for (const auto& p : found.peaks) result.picks.push_back({working.to_x(p.x), working.to_y(p.y), p.height});
  return result;
}

}  // namespace frazil::pick
