#include "frazil/algo/extract/extract.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::extract {
namespace {

constexpr std::size_t batch = 64;  // images held at a time

struct Centre {
  std::size_t index;
  int x, y;
};

std::vector<Centre> inside(std::span<const Position> positions, int box, int nx, int ny) {
  std::vector<Centre> centres;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    if (!std::isfinite(positions[i].x) || !std::isfinite(positions[i].y)) continue;
    const double x0 = std::round(positions[i].x) - box / 2, y0 = std::round(positions[i].y) - box / 2;
    if (x0 < 0 || y0 < 0 || x0 + box > nx || y0 + box > ny) continue;
    centres.push_back({i, static_cast<int>(x0) + box / 2, static_cast<int>(y0) + box / 2});
  }
  return centres;
}

/// Mean of the pixels in a square of side 2·reach + 1 for which `sound` holds; wider when there are none.
template <class Sound>
double mean_around(const Image& image, int x, int y, const Sound& sound, double otherwise) {
  for (const int reach : {3, 9, 27}) {
    double sum = 0;
    int count = 0;
    for (int j = std::max(0, y - reach); j <= std::min(image.ny() - 1, y + reach); ++j)
      for (int i = std::max(0, x - reach); i <= std::min(image.nx() - 1, x + reach); ++i)
        if (sound(image(i, j))) {
          sum += image(i, j);
          ++count;
        }
    if (count > 0) return sum / count;
  }
  return otherwise;
}

Image cut(const Image& source, const Centre& centre, const Geometry& geometry) {
  Image box = crop(source, centre.x - geometry.box / 2, centre.y - geometry.box / 2, geometry.box, geometry.box, 0,
                   source.pixel_size);
  if (geometry.output_box != geometry.box) box = fourier_resize(box, geometry.output_box, geometry.output_box);
  box.pixel_size = geometry.pixel_size;
  return box;
}

}  // namespace

std::vector<std::string> check(const ExtractParams& params) {
  std::vector<std::string> problems;
  if (params.box % 2 != 0) problems.push_back(fmt::format("box must be even, not {}", params.box));
  if (params.downsampled_box % 2 != 0)
    problems.push_back(fmt::format("downsampled_box must be even, not {}", params.downsampled_box));
  if (params.box > 0 && params.downsampled_box > params.box)
    problems.push_back(fmt::format("downsampled_box {} is larger than box {}", params.downsampled_box, params.box));
  if (params.downsampled_box > 0 && params.downsampled_pixel_size.value() > 0)
    problems.push_back("give downsampled_box or downsampled_pixel_size, not both");
  return problems;
}

Geometry geometry(const ExtractParams& params, Angstrom pixel_size, Angstrom picked_diameter) {
  const Angstrom diameter = params.diameter.value() > 0 ? params.diameter : picked_diameter;
  Geometry g;
  if (params.box == 0 && !(diameter.value() > 0))
    throw Error(ErrorCode::bad_input,
                "extract needs a box or a diameter; neither is given, and the coordinates have no diameter");
  g.box = params.box > 0 ? params.box : good_size(static_cast<int>(std::ceil(1.5 * to_px(diameter, pixel_size))));
  g.output_box = params.downsampled_box > 0 ? params.downsampled_box : g.box;
  if (params.downsampled_pixel_size.value() > 0) {
    if (params.downsampled_pixel_size < pixel_size)
      throw Error(ErrorCode::bad_input, "downsampled_pixel_size {:.4g} A is finer than the micrograph's {:.4g} A",
                  params.downsampled_pixel_size.value(), pixel_size.value());
    g.output_box = 2 * static_cast<int>(std::lround(g.box * (pixel_size / params.downsampled_pixel_size) / 2));
  }
  if (g.output_box > g.box || g.output_box < 8)
    throw Error(ErrorCode::bad_input, "downsampled box of {} px does not fit a box of {} px (8 px to the box itself)",
                g.output_box, g.box);
  g.pixel_size = pixel_size * (static_cast<double>(g.box) / g.output_box);
  const Angstrom background = params.background_diameter.value() > 0 ? params.background_diameter : diameter;
  g.background_radius_px = background.value() > 0 ? to_px(background, g.pixel_size) / 2 : 0.375 * g.output_box;
  if (params.normalise && g.background_radius_px > 0.6 * g.output_box)  // the corners end at 0.707
    throw Error(ErrorCode::bad_input, "box of {:.0f} A has no background outside a circle of {:.0f} A",
                (g.pixel_size * g.output_box).value(), background.value());
  return g;
}

int repair(Image& image, double sigmas, Rng& rng) {
  const auto s = statistics(image);
  if (s.not_finite * 2 > image.size())
    throw Error(ErrorCode::bad_input, "micrograph has {} of {} pixels that are not finite; at least half must be",
                s.not_finite, image.size());
  const double median = quantile(image, 0.5), sigma = 0.5 * (quantile(image, 0.8413) - quantile(image, 0.1587));
  const bool clip = sigmas > 0 && sigma > 0;
  const auto sound = [&](float v) { return std::isfinite(v) && (!clip || std::abs(v - median) <= sigmas * sigma); };
  std::vector<std::pair<std::size_t, float>> repairs;  // put in afterwards, so that repaired pixels repair no others
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x)
      if (!sound(image(x, y))) {
        const auto place =
            static_cast<std::size_t>(y) * static_cast<std::size_t>(image.nx()) + static_cast<std::size_t>(x);
        repairs.emplace_back(place, static_cast<float>(mean_around(image, x, y, sound, median) + sigma * rng.normal()));
      }
  for (const auto& [place, value] : repairs) image.data()[place] = value;
  return static_cast<int>(repairs.size());
}

Image flip_phases(const Image& image, const Lens& lens) {
  const int nx = good_size(image.nx()), ny = good_size(image.ny());
  const auto mean = static_cast<float>(statistics(image).mean);
  auto spectrum = fft(crop(image, 0, 0, nx, ny, mean, image.pixel_size));
  const CtfFunction ctf(lens.ctf, lens.optics);
  const double step_x = 1 / (nx * image.pixel_size.value()), step_y = 1 / (ny * image.pixel_size.value());
  for (int iy = 0; iy < ny; ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix)
      if (ctf(ix * step_x, spectrum.ky(iy) * step_y) < 0) spectrum(ix, iy) = -spectrum(ix, iy);
  return crop(ifft(spectrum), 0, 0, image.nx(), image.ny(), mean, image.pixel_size);
}

bool normalise(Image& image, double radius_px) {
  const int cx = image.nx() / 2, cy = image.ny() / 2;
  const auto outside = [&](int x, int y) { return (x - cx) * (x - cx) + (y - cy) * (y - cy) > radius_px * radius_px; };
  Eigen::Matrix3d normal = Eigen::Matrix3d::Zero();
  Eigen::Vector3d right = Eigen::Vector3d::Zero();
  double count = 0;
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x)
      if (outside(x, y)) {
        const Eigen::Vector3d basis(1, x - cx, y - cy);
        normal += basis * basis.transpose();
        right += basis * static_cast<double>(image(x, y));
        ++count;
      }
  if (count < 16) return false;
  const Eigen::Vector3d plane = normal.ldlt().solve(right);
  const auto at = [&](int x, int y) { return plane[0] + plane[1] * (x - cx) + plane[2] * (y - cy); };
  double squares = 0;
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x)
      if (outside(x, y)) squares += std::pow(image(x, y) - at(x, y), 2);
  const double sigma = std::sqrt(squares / count), size = std::abs(plane[0]);
  if (!(sigma > 1e-6 * size) || !std::isfinite(sigma)) return false;
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x) image(x, y) = static_cast<float>((image(x, y) - at(x, y)) / sigma);
  return true;
}

Summary extract(const Image& micrograph, std::span<const Position> positions, const std::optional<Lens>& lens,
                const ExtractParams& params, const Geometry& geometry, Rng& rng, int threads,
                const std::function<void(Particle&&)>& sink) {
  if (geometry.box > micrograph.nx() || geometry.box > micrograph.ny())
    throw Error(ErrorCode::bad_input, "box of {} px is larger than the micrograph of {} x {} px", geometry.box,
                micrograph.nx(), micrograph.ny());
  if (params.phase_flip && !lens)
    throw Error(ErrorCode::bad_input, "phases can only be flipped with a CTF, and there is none for this micrograph");

  Image source = micrograph.clone();
  Summary summary;
  summary.repaired_pixels = repair(source, params.dust, rng);
  if (params.phase_flip) source = flip_phases(source, *lens);
  const auto centres = inside(positions, geometry.box, source.nx(), source.ny());
  summary.outside = static_cast<int>(positions.size() - centres.size());

  for (std::size_t first = 0; first < centres.size(); first += batch) {
    const std::size_t size = std::min(batch, centres.size() - first);
    std::vector<Image> images(size);
    std::vector<char> good(size, 1);
    parallel_for(threads, size, [&](std::size_t i) {
      images[i] = cut(source, centres[first + i], geometry);
      if (params.normalise) good[i] = normalise(images[i], geometry.background_radius_px);
      if (params.invert)
        for (float& v : images[i].pixels()) v = -v;
    });
    for (std::size_t i = 0; i < size; ++i) {
      if (!good[i]) {
        ++summary.flat;
        continue;
      }
      ++summary.kept;
      const auto& centre = centres[first + i];
      sink({centre.index, centre.x, centre.y, std::move(images[i])});
    }
  }
  return summary;
}

}  // namespace frazil::extract
