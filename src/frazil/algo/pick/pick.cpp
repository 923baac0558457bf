#include "frazil/algo/pick/pick.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/algo/pick/response.hpp"
#include "frazil/algo/pick/working_image.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::pick {
namespace {

constexpr double template_radius = 0.75;  // of the diameter: the particle and the fringe around it
constexpr int passes = 3;                 // template made and searched; the picks hardly change after the second
constexpr std::size_t few = 10;           // a template is made from at least so many places

struct Detection {
  std::vector<Peak> peaks;  ///< all maxima, heights in standard deviations of the noise
  double threshold = 0;
  [[nodiscard]] std::size_t significant() const {
    return static_cast<std::size_t>(
        std::count_if(peaks.begin(), peaks.end(), [&](const Peak& p) { return p.height > threshold; }));
  }
};

Detection detect(const Image& response, const Mask& where, double distance_px, double noise_picks) {
  const auto noise = noise_level(response, where, noise_picks);
  Detection found{find_peaks(response, where, distance_px), noise.threshold};
  for (auto& peak : found.peaks) peak.height = (peak.height - noise.mean) / noise.sigma;
  return found;
}

/// Where a centre may be: away from the edges, and not where gross features cover more than a quarter of the particle.
Mask allowed_centres(const WorkingImage& working, const PickParams& params, Angstrom pixel_size) {
  const double border_px =
      params.border.value() > 0 ? to_px(params.border, pixel_size) / working.scale_x : 0.5 * working.diameter_px;
  const int inset = working.margin + static_cast<int>(std::ceil(border_px));
  const int x1 = 2 * working.margin + working.inner_nx - inset, y1 = 2 * working.margin + working.inner_ny - inset;
  const auto covered = masked_share(working.masked, 0.5 * working.diameter_px);
  Mask allowed(working.image.nx(), working.image.ny(), false);
  for (int y = inset; y < y1; ++y)
    for (int x = inset; x < x1; ++x) allowed(x, y) = working.masked(x, y) == 0 && covered(x, y) < 0.25F ? 1 : 0;
  return allowed;
}

/// Flags for which a value lies more than `sigmas` (and at least `slack`) from the median of the first `count`.
std::vector<char> far_off(const std::vector<float>& values, std::size_t count, double sigmas, double slack,
                          bool both_sides) {
  const auto usual =
      robust_spread(std::vector<float>(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count)));
  const double limit = std::max(sigmas * (both_sides ? usual.both : usual.lower), slack);
  std::vector<char> flags;
  for (const float v : values)
    flags.push_back((both_sides ? std::abs(v - usual.median) : v - usual.median) > limit ? 1 : 0);
  return flags;
}

/// Drops peaks that stand out of the first `count` in what lies under them: a variance far larger (aggregates, ends of
/// edges), or a mean far off (crystals of ice, which are evenly dark).
int drop_outliers(std::vector<Peak>& peaks, std::size_t count, const LocalMoments& moments) {
  if (count < few) return 0;
  std::vector<float> means, log_variances;
  for (const auto& p : peaks) {
    const int x = static_cast<int>(std::lround(p.x)), y = static_cast<int>(std::lround(p.y));
    means.push_back(moments.mean(x, y));
    log_variances.push_back(std::log(std::max(1e-12F, moments.variance(x, y))));
  }
  const auto strong = far_off(log_variances, count, 5, 0.7, false);  // up to twice the variance is still a particle
  const auto dark = far_off(means, count, 7, 0, true);
  std::vector<Peak> kept;
  for (std::size_t i = 0; i < peaks.size(); ++i)
    if (strong[i] == 0 && dark[i] == 0) kept.push_back(peaks[i]);
  const auto dropped = static_cast<int>(peaks.size() - kept.size());
  peaks = std::move(kept);
  return dropped;
}

/// How many of the first picks the first template is made from: those above the noise, but no more than the best
/// quarter, among which blobs that are no particles are rare; in a crowded micrograph, where particles are the
/// noise of the blob detector, the best quarter as it is.
std::size_t seeds(const Detection& first) {
  const auto quarter = std::max(few, first.peaks.size() / 4), above = first.significant();
  return std::min(first.peaks.size(), above >= few ? std::min(above, quarter) : quarter);
}

}  // namespace

PickResult pick(const Image& micrograph, const PickParams& params, const Image* excluded, const Backend& backend) {
  const auto working = working_image(micrograph, params.diameter, params.contrast == Contrast::dark, excluded);
  if (working.masked.fraction() * static_cast<double>(working.image.size()) >
      static_cast<double>(working.image.size()) - 4 * working.diameter_px * working.diameter_px)
    return {};  // no room left
  const Responses responses(working.image, backend);
  const auto allowed = allowed_centres(working, params, micrograph.pixel_size);
  const double distance_px = params.min_distance.value() > 0
                                 ? to_px(params.min_distance, micrograph.pixel_size) / working.scale_x
                                 : 0.6 * working.diameter_px;

  PickResult result;
  result.working_pixel = working.image.pixel_size;
  auto found =
      detect(responses.to(blob_kernel(params.method, working.diameter_px)), allowed, distance_px, params.noise_picks);
  const auto moments = responses.local_moments(0.6 * working.diameter_px);
  drop_outliers(found.peaks, seeds(found), moments);
  std::size_t count = seeds(found);
  for (int pass = 0; params.refine_template && pass < passes && count > 0; ++pass) {
    const auto radius = static_cast<int>(std::lround(template_radius * working.diameter_px));
    result.profile = radial_profile(working.image, std::span(found.peaks).first(count), radius);
    if (result.profile.empty()) break;
    found = detect(responses.normalised(result.profile), allowed, distance_px, params.noise_picks);
    count = std::min(found.peaks.size(), std::max(few, found.significant()));
  }

  result.candidates = static_cast<int>(found.peaks.size());
  result.threshold = found.threshold + params.threshold_shift;
  std::erase_if(found.peaks, [&](const Peak& p) { return !(p.height > result.threshold); });
  result.outliers = drop_outliers(found.peaks, found.peaks.size(), moments);
  if (params.max_count > 0 && found.peaks.size() > static_cast<std::size_t>(params.max_count))
    found.peaks.resize(static_cast<std::size_t>(params.max_count));
  for (const auto& p : found.peaks) result.picks.push_back({working.to_x(p.x), working.to_y(p.y), p.height});
  return result;
}

}  // namespace frazil::pick
