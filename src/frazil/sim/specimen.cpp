#include "frazil/sim/specimen.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/sim/lens.hpp"

namespace frazil::sim {
namespace {

using std::numbers::pi;
constexpr double spread_px = 0.9;  // of the twice finer grid
constexpr int specimen_taps = 10;

/// One scatterer onto the fine grid, periodic.
void spread(const std::array<double, 2>& weight, double u, double v, int side, std::array<Image, 2>& grids) {
  std::array<float, specimen_taps> wx{}, wy{};
  const int x0 = static_cast<int>(std::floor(u)) - specimen_taps / 2 + 1,
            y0 = static_cast<int>(std::floor(v)) - specimen_taps / 2 + 1;
  for (int i = 0; i < specimen_taps; ++i) {
    wx[static_cast<std::size_t>(i)] = static_cast<float>(std::exp(-std::pow((x0 + i - u) / spread_px, 2) / 2));
    wy[static_cast<std::size_t>(i)] = static_cast<float>(std::exp(-std::pow((y0 + i - v) / spread_px, 2) / 2));
  }
  const bool inside = x0 >= 0 && x0 + specimen_taps <= side;
  for (std::size_t g = 0; g < 2; ++g) {
    if (weight[g] == 0) continue;
    for (int j = 0; j < specimen_taps; ++j) {
      const float w = static_cast<float>(weight[g]) * wy[static_cast<std::size_t>(j)];
      float* row = grids[g].row(((y0 + j) % side + side) % side);
      if (inside)
        for (int i = 0; i < specimen_taps; ++i) row[x0 + i] += w * wx[static_cast<std::size_t>(i)];
      else
        for (int i = 0; i < specimen_taps; ++i)
          row[((x0 + i) % side + side) % side] += w * wx[static_cast<std::size_t>(i)];
    }
  }
}

bool uses_second(const Specimen& specimen) { return !specimen.form[1].empty(); }

}  // namespace

Pose random_pose(Rng& rng) {
  const double rot = rng.uniform(-180, 180), cos_tilt = rng.uniform(-1, 1), psi = rng.uniform(-180, 180);
  return {Degrees(rot), from_rad(std::acos(cos_tilt)), Degrees(psi)};
}

std::array<std::array<double, 3>, 3> rotation_of(const Pose& pose) {
  const double ca = std::cos(to_rad(pose.rot)), sa = std::sin(to_rad(pose.rot));
  const double cb = std::cos(to_rad(pose.tilt)), sb = std::sin(to_rad(pose.tilt));
  const double cg = std::cos(to_rad(pose.psi)), sg = std::sin(to_rad(pose.psi));
  return {{{cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb},
           {-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb},
           {sb * ca, sb * sa, cb}}};
}

double Specimen::form_factor(int which, double k_per_A) const {
  if (k_per_A > k_max_per_A) return 0;
  double sum = 0;
  for (const auto& term : form[static_cast<std::size_t>(which)])
    sum += term.amplitude * std::exp(-term.b_A2 * k_per_A * k_per_A / 4);
  return sum;
}

Projector::Projector(const Specimen& specimen, int box, Angstrom pixel_size, Kilovolt voltage)
    : specimen_(&specimen), box_(box), pixel_size_(pixel_size) {
  expect(box > 0 && box % 2 == 0, "projections have an even box");
  const double pixel_A = pixel_size.value();
  const double scale = interaction(voltage) / (pixel_A * pixel_A);
  const int columns = box / 2 + 1;
  for (int which = 0; which < (uses_second(specimen) ? 2 : 1); ++which) {
    auto& gain = gain_[static_cast<std::size_t>(which)];
    gain.resize(static_cast<std::size_t>(columns) * static_cast<std::size_t>(box));
    for (int iy = 0; iy < box; ++iy)
      for (int ix = 0; ix < columns; ++ix) {
        const int ky = iy <= box / 2 ? iy : iy - box;
        const double fine2 = (static_cast<double>(ix) * ix + static_cast<double>(ky) * ky) / (4.0 * box * box);
        const double kernel = 2 * pi * spread_px * spread_px * std::exp(-2 * pi * pi * spread_px * spread_px * fine2);
        const double k_per_A = std::hypot(ix, ky) / (box * pixel_A);
        gain[static_cast<std::size_t>(iy * columns + ix)] =
            static_cast<float>(scale * specimen.form_factor(which, k_per_A) / kernel);
      }
  }
}

Spectrum Projector::spectrum(const Pose& pose, double x_px, double y_px) const {
  const int side = 2 * box_;
  const bool second = uses_second(*specimen_);
  std::array<Image, 2> grids{Image(side, side), second ? Image(side, side) : Image()};
  const auto a = rotation_of(pose);
  const double fine_per_A = 2 / pixel_size_.value(), centre = box_ / 2;
  for (const auto& s : specimen_->scatterers)
    spread(s.weight, (a[0][0] * s.x + a[0][1] * s.y + a[0][2] * s.z) * fine_per_A + 2 * (centre + x_px),
           (a[1][0] * s.x + a[1][1] * s.y + a[1][2] * s.z) * fine_per_A + 2 * (centre + y_px), side, grids);
  Spectrum out(box_, box_, pixel_size_);
  Spectrum fine(side, side);
  for (std::size_t g = 0; g < (second ? 2U : 1U); ++g) {
    fft_into(grids[g], fine);
    for (int iy = 0; iy < box_; ++iy) {
      const auto* from = fine.row(iy <= box_ / 2 ? iy : side + iy - box_);
      const auto* gain = gain_[g].data() + iy * out.columns();
      auto* to = out.row(iy);
      for (int ix = 0; ix < out.columns(); ++ix) to[ix] += gain[ix] * from[ix];
    }
  }
  return out;
}

Image project_direct(const Specimen& specimen, const Pose& pose, int box, Angstrom pixel_size, Kilovolt voltage,
                     Angstrom2 b_factor, double x_px, double y_px) {
  const auto a = rotation_of(pose);
  const double pixel_A = pixel_size.value(), scale = interaction(voltage);
  std::vector<double> sum(static_cast<std::size_t>(box) * static_cast<std::size_t>(box));
  for (const auto& s : specimen.scatterers) {
    const double x_A = a[0][0] * s.x + a[0][1] * s.y + a[0][2] * s.z + x_px * pixel_A;
    const double y_A = a[1][0] * s.x + a[1][1] * s.y + a[1][2] * s.z + y_px * pixel_A;
    for (std::size_t which = 0; which < 2; ++which)
      for (const auto& term : specimen.form[which]) {
        const double b_A2 = term.b_A2 + b_factor.value();
        const double height = scale * s.weight[which] * term.amplitude * 4 * pi / b_A2;
        for (int iy = 0; iy < box; ++iy)
          for (int ix = 0; ix < box; ++ix) {
            const double dx = (ix - box / 2) * pixel_A - x_A, dy = (iy - box / 2) * pixel_A - y_A;
            sum[static_cast<std::size_t>(iy * box + ix)] +=
                height * std::exp(-4 * pi * pi * (dx * dx + dy * dy) / b_A2);
          }
      }
  }
  Image image(box, box, pixel_size);
  std::transform(sum.begin(), sum.end(), image.data(), [](double v) { return static_cast<float>(v); });
  return image;
}

int box_for(const Specimen& specimen, Angstrom pixel_size) {
  return good_size(static_cast<int>(std::ceil((2 * specimen.radius_A + 20) / pixel_size.value())));
}

Volume density(const Specimen& specimen, int box, Angstrom pixel_size, Angstrom2 b_factor) {
  const double pixel_A = pixel_size.value();
  Volume sum(box, box, box, pixel_size);
  // Scatterers are spread with a Gaussian of 1.2 voxels; the transform is then corrected for it and given the form
  // factor.
  constexpr double sigma = 1.2;
  std::array<Volume, 2> grids{Volume(box, box, box), Volume(box, box, box)};
  for (const auto& s : specimen.scatterers) {
    const double u = s.x / pixel_A + box / 2, v = s.y / pixel_A + box / 2, w = s.z / pixel_A + box / 2;
    for (int iz = static_cast<int>(std::ceil(w - 5)); iz <= w + 5; ++iz)
      for (int iy = static_cast<int>(std::ceil(v - 5)); iy <= v + 5; ++iy)
        for (int ix = static_cast<int>(std::ceil(u - 5)); ix <= u + 5; ++ix) {
          if (ix < 0 || iy < 0 || iz < 0 || ix >= box || iy >= box || iz >= box) continue;
          const double g =
              std::exp(-((ix - u) * (ix - u) + (iy - v) * (iy - v) + (iz - w) * (iz - w)) / (2 * sigma * sigma));
          for (std::size_t which = 0; which < 2; ++which)
            grids[which](ix, iy, iz) += static_cast<float>(s.weight[which] * g);
        }
  }
  for (std::size_t which = 0; which < 2; ++which) {
    if (specimen.form[which].empty()) continue;
    auto f = fft(grids[which]);
    for (int iz = 0; iz < box; ++iz)
      for (int iy = 0; iy < box; ++iy)
        for (int ix = 0; ix < f.columns(); ++ix) {
          const double ky = iy <= box / 2 ? iy : iy - box, kz = iz <= box / 2 ? iz : iz - box;
          const double m2 = (ix * ix + ky * ky + kz * kz) / (static_cast<double>(box) * box),
                       k_per_A = std::sqrt(m2) / pixel_A;
          const double kernel = std::pow(2 * pi * sigma * sigma, 1.5) * std::exp(-2 * pi * pi * sigma * sigma * m2);
          const double gain = m2 > 0.25 ? 0
                                        : 47.878 * specimen.form_factor(static_cast<int>(which), k_per_A) / kernel /
                                              std::pow(pixel_A, 3) *
                                              std::exp(-b_factor.value() * m2 / (4 * pixel_A * pixel_A));
          f(ix, iy, iz) *= static_cast<float>(gain);
        }
    const auto part = ifft(f);
    for (std::size_t i = 0; i < sum.size(); ++i) sum.data()[i] += part.data()[i];
  }
  return sum;
}

}  // namespace frazil::sim
