#include "frazil/protocols/detector_record.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "frazil/algo/gain/trend.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/statistics.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::protocols {
namespace {

constexpr int checked_tiles =
    8;  // half a million pixels: a pattern of 1 % stands out by 30 standard deviations at 28 e⁻/px

/// The sum as the camera counted it.
Image raw_sum(const CameraView& view) {
  auto raw = view.corrected_sum.clone();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const float g = view.gain.pixels()[i];
    raw.pixels()[i] = g > 0 ? raw.pixels()[i] / g : 0;
  }
  return raw;
}

float median_around(const Image& image, int x, int y) {
  std::array<float, 9> values{};
  std::size_t n = 0;
  for (int j = -1; j <= 1; ++j)
    for (int i = -1; i <= 1; ++i)
      values[n++] = image(std::clamp(x + i, 0, image.nx() - 1), std::clamp(y + j, 0, image.ny() - 1));
  return middle_of(std::span<float>(values));
}

}  // namespace

gain::Check check_used_gain(const CameraView& view) {
  if (view.gain.size() == 0) return {};
  auto check = gain::check_gain(raw_sum(view), view.gain, checked_tiles);
  check.orientation = combine(view.used, check.orientation);  // from the file, not from the reference as used
  check.inverted = check.inverted != view.divided;
  return check;
}

Detector detector_record(const Movie& movie, const CameraView& view, const gain::Check& check) {
  Detector out;
  out.movie = movie.path;
  out.name = movie.name;
  out.nx = movie.nx;
  out.ny = movie.ny;
  out.frames = view.frames;
  out.raw_frames = movie.raw_frames;
  out.pixel_size = movie.pixel_size;
  out.voltage = movie.optics.voltage;
  out.noise_ratio = view.noise_ratio;
  out.counts = statistics(view.corrected_sum).mean / view.frames;
  out.dose_per_frame = Dose(out.counts / (movie.pixel_size.value() * movie.pixel_size.value()));
  out.declared_dose_per_frame = movie.dose_per_frame;
  for (const auto pixel : view.found) {
    const int x = static_cast<int>(pixel % static_cast<std::uint64_t>(movie.nx)),
              y = static_cast<int>(pixel / static_cast<std::uint64_t>(movie.nx));
    ++(view.corrected_sum(x, y) > median_around(view.corrected_sum, x, y) ? out.hot : out.dead);
  }
  out.gain = movie.gain;
  out.residual_variance = view.residual.variance;
  out.residual_sigma = view.residual.sigma;
  out.residual_std = std::sqrt(at_least_zero(view.residual.variance));
  const auto verdict = view.gain.size() == 0 ? gain::judge_without_gain(view.residual)
                                             : gain::judge(check, view.used, view.divided, view.residual,
                                                           gain::pattern_variance(view.gain));
  out.verdict = verdict.word;
  out.alarm = verdict.alarm;
  if (view.gain.size() == 0) return out;
  out.orientation = to_string(check.orientation);
  out.inverted = check.inverted;
  out.shift_x = check.shift_x;
  out.shift_y = check.shift_y;
  out.correlation = check.correlation;
  out.significance = check.significance;
  out.agreement = check.agreement;
  return out;
}

void write_defects(const std::filesystem::path& path, const std::vector<std::uint64_t>& pixels, int nx) {
  std::string text;
  for (const auto pixel : pixels)
    text += fmt::format("{} {} 1 1\n", pixel % static_cast<std::uint64_t>(nx), pixel / static_cast<std::uint64_t>(nx));
  write_text(path, text);
}

std::vector<std::uint64_t> read_defects(const std::filesystem::path& path, int nx) {
  std::istringstream lines(read_text(path));
  std::vector<std::uint64_t> pixels;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line);
    std::uint64_t x = 0, y = 0;
    if (!(words >> x >> y) || x >= static_cast<std::uint64_t>(nx))
      throw Error(ErrorCode::corrupt, "{} line {}: expected the place of a pixel, found \"{}\"", path.string(), number,
                  line);
    pixels.push_back(y * static_cast<std::uint64_t>(nx) + x);
  }
  return pixels;
}

}  // namespace frazil::protocols
