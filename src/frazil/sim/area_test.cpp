#include "frazil/sim/area.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "frazil/image/ops.hpp"

namespace frazil::sim {
namespace {

/// Rows [first, first + count) of an image, as one span.
std::span<const float> strip(const Image& image, int first, int count) {
  return image.pixels().subspan(static_cast<std::size_t>(first) * static_cast<std::size_t>(image.nx()),
                                static_cast<std::size_t>(count) * static_cast<std::size_t>(image.nx()));
}

TEST(Area, TiltChangesTheDefocusWithTheHeight) {
  Scene scene;
  scene.nx = scene.ny = 768;
  scene.pixel_size = 2_A;
  scene.particles = 0;
  scene.tilt = 40_deg;  // about the x axis: height grows with y
  const auto area = draw_area(scene, {made_up(1)}, 0, 16);
  const auto phase = [&] {
    Spectrum ice(area.grid_x, area.grid_y, scene.pixel_size);
    add_coloured_noise(ice, RadialTable(corner_k(scene.pixel_size), [](double) { return 1.0; }), Rng(3), 1);
    return ice;
  };
  const auto tilted = contrast_of(area, phase());
  const int y = 600;
  const double height_A = std::tan(to_rad(scene.tilt)) * 2 * (y - scene.ny / 2);
  const auto flat_at = [&](double change_A) {
    auto flat = draw_area(scene, {made_up(1)}, 0, 16);
    flat.scene.tilt = Degrees(0);
    flat.truth.ctf.defocus_u += Angstrom(change_A);
    flat.truth.ctf.defocus_v += Angstrom(change_A);
    return contrast_of(flat, phase());
  };
  // A strip of 8 rows spans 13 Å of height.
  const auto correlation_with = [&](double change_A) {
    return correlation(strip(tilted, y + 16 - 4, 8), strip(flat_at(change_A), y + 16 - 4, 8));
  };
  EXPECT_GT(correlation_with(height_A), 0.95);
  EXPECT_LT(correlation_with(-height_A), 0.8);
  EXPECT_LT(correlation_with(0), 0.9);
}

TEST(Area, ParticlesKeepTheirDistanceAndStayOffTheCarbon) {
  Scene scene;
  scene.pixel_size = 3_A;
  scene.particles = 60;
  scene.carbon = 1;
  scene.aggregates = 2;
  scene.crystals = 2;
  const auto specimen = made_up(1);
  for (int index = 0; index < 3; ++index) {
    const auto area = draw_area(scene, {specimen}, index, 16);
    const auto& t = area.truth;
    const double diameter_px = specimen.diameter() / scene.pixel_size;
    EXPECT_GT(t.carbon_fraction, 0);
    for (std::size_t i = 0; i < t.particles.size(); ++i) {
      EXPECT_LT(std::hypot(t.particles[i].x_px - t.hole[0], t.particles[i].y_px - t.hole[1]), t.hole[2]);
      for (std::size_t j = 0; j < i; ++j)
        EXPECT_GE(std::hypot(t.particles[i].x_px - t.particles[j].x_px, t.particles[i].y_px - t.particles[j].y_px),
                  scene.spacing * diameter_px);
      for (const auto& j : t.junk)
        EXPECT_GT(std::hypot(t.particles[i].x_px - j.x_px, t.particles[i].y_px - j.y_px), j.radius_px);
    }
  }
}

}  // namespace
}  // namespace frazil::sim
