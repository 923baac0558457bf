#include "frazil/sim/area.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "frazil/base/finite.hpp"

namespace frazil::sim {
namespace {

using std::numbers::pi;

std::size_t draw_share(const std::vector<double>& shares, Rng& rng) {
  double u = rng.uniform() * std::accumulate(shares.begin(), shares.end(), 0.0);
  for (std::size_t i = 0; i + 1 < shares.size(); ++i)
    if ((u -= shares[i]) < 0) return i;
  return shares.size() - 1;
}

/// 1 on carbon, 0 in the hole.
double carbon_at(const AreaTruth& truth, double x_px, double y_px, double pixel_A) {
  if (truth.hole[2] <= 0) return 0;
  const double outside_px = std::hypot(x_px - truth.hole[0], y_px - truth.hole[1]) - truth.hole[2];
  return 1 / (1 + std::exp(std::clamp(-outside_px * pixel_A / 6, -40.0, 40.0)));
}

void draw_hole(const Scene& scene, AreaTruth& truth, Rng& rng) {
  if (rng.uniform() >= scene.carbon) return;
  const double radius_px = 6000 / scene.pixel_size.value(), direction = rng.uniform(0, 2 * pi);
  const double edge_px =
      rng.uniform(-0.05, 0.4) * std::min(scene.nx, scene.ny);  // from the centre of the image outwards
  truth.hole = {scene.nx / 2 + (edge_px - radius_px) * std::cos(direction),
                scene.ny / 2 + (edge_px - radius_px) * std::sin(direction), radius_px};
  int covered = 0;
  for (int j = 0; j < 50; ++j)
    for (int i = 0; i < 50; ++i)
      covered += carbon_at(truth, (i + 0.5) * scene.nx / 50, (j + 0.5) * scene.ny / 50, scene.pixel_size.value()) > 0.5;
  truth.carbon_fraction = covered / 2500.0;
}

void draw_junk(const Scene& scene, double diameter_px, AreaTruth& truth, Rng& rng) {
  const auto crystals = rng.poisson(scene.crystals), aggregates = rng.poisson(scene.aggregates);
  for (std::int64_t i = 0; i < crystals; ++i)
    truth.junk.push_back({Content::crystal, rng.uniform(0, scene.nx), rng.uniform(0, scene.ny),
                          rng.uniform(80, 350) / scene.pixel_size.value()});
  for (std::int64_t i = 0; i < aggregates; ++i)
    truth.junk.push_back(
        {Content::aggregate, rng.uniform(0, scene.nx), rng.uniform(0, scene.ny), rng.uniform(0.8, 1.8) * diameter_px});
}

/// Random sequential adsorption over the camera and a rim of one radius, away from carbon and junk.
std::vector<PlacedParticle> place_particles(const Scene& scene, double diameter_px, const AreaTruth& truth, Rng& rng) {
  std::vector<PlacedParticle> placed;
  if (rng.uniform() < scene.empty || scene.particles == 0) return placed;
  const double rim = diameter_px / 2, closest = scene.spacing * diameter_px;
  const double area_ratio = (scene.nx + 2 * rim) * (scene.ny + 2 * rim) / (static_cast<double>(scene.nx) * scene.ny);
  const auto wanted = static_cast<std::size_t>(rng.poisson(scene.particles * area_ratio));
  for (std::size_t attempt = 0; attempt < 60 * wanted && placed.size() < wanted; ++attempt) {
    PlacedParticle p{rng.uniform(-rim, scene.nx + rim), rng.uniform(-rim, scene.ny + rim), random_pose(rng),
                     static_cast<int>(draw_share(scene.shares, rng))};
    bool free = carbon_at(truth, p.x_px, p.y_px, scene.pixel_size.value()) < 0.01;
    for (const auto& j : truth.junk)
      free = free && std::hypot(p.x_px - j.x_px, p.y_px - j.y_px) > j.radius_px + 0.6 * diameter_px;
    for (const auto& other : placed) free = free && std::hypot(p.x_px - other.x_px, p.y_px - other.y_px) > closest;
    if (free) placed.push_back(p);
  }
  return placed;
}

struct Copy {
  double x_px, y_px;
  Pose pose;
  std::size_t specimen;
};

/// Adds the phase of every copy to `phase`; each is evaluated at its exact sub-pixel place.
void render_copies(const Scene& scene, const std::vector<Specimen>& specimens, const std::vector<Copy>& copies,
                   int margin, Image& phase) {
  std::vector<Projector> projectors;
  for (const auto& s : specimens)
    projectors.emplace_back(s, box_for(s, scene.pixel_size), scene.pixel_size, scene.voltage);
  constexpr std::size_t batch = 32;
  for (std::size_t first = 0; first < copies.size(); first += batch) {
    const std::size_t count = std::min(batch, copies.size() - first);
    std::vector<Image> images(count);
    const auto corner = [&](double centre, int box) { return static_cast<int>(std::floor(centre)) + margin - box / 2; };
    parallel_for(scene.threads, count, [&](std::size_t i) {
      const auto& c = copies[first + i];
      images[i] =
          ifft(projectors[c.specimen].spectrum(c.pose, c.x_px - std::floor(c.x_px), c.y_px - std::floor(c.y_px)));
    });
    for (std::size_t i = 0; i < count; ++i) {
      const int box = images[i].nx(), x0 = corner(copies[first + i].x_px, box),
                y0 = corner(copies[first + i].y_px, box);
      for (int y = std::max(0, -y0); y < std::min(box, phase.ny() - y0); ++y)
        for (int x = std::max(0, -x0); x < std::min(box, phase.nx() - x0); ++x)
          phase(x0 + x, y0 + y) += images[i](x, y);
    }
  }
}

/// Amorphous carbon of 150 Å: independent atoms (0.1 per Å³) plus the step of its mean potential (8 V).
void add_carbon(const Area& area, Image& phase) {
  const Scene& scene = area.scene;
  const RadialTable power(corner_k(scene.pixel_size), [&](double k) {
    return 0.1 * 150 * std::pow(interaction(scene.voltage) * 2.5 * std::exp(-2 * k * k), 2);
  });
  Spectrum noise(area.grid_x, area.grid_y, scene.pixel_size);
  add_coloured_noise(noise, power, area.rng.stream("carbon"), scene.threads);
  const auto film = ifft(noise);
  const double step_rad = interaction(scene.voltage) / 47.878 * 8 * 150;
  for (int y = 0; y < phase.ny(); ++y)
    for (int x = 0; x < phase.nx(); ++x)
      if (const double covered = carbon_at(area.truth, x - area.margin, y - area.margin, scene.pixel_size.value());
          covered > 1e-6)
        phase(x, y) += static_cast<float>(covered * (step_rad + film(x, y)));
}

/// Share of four places in each block that lie on carbon, in a crystal (more than a sixth of the highest one's height)
/// or within a copy of an aggregate.
JunkMap draw_junk_map(const Area& area, const std::vector<Copy>& aggregated, double radius_px, const Image& crystals) {
  constexpr int b = JunkMap::bin;
  const Scene& scene = area.scene;
  JunkMap map{scene.nx / b, scene.ny / b, {}};
  map.share.resize(static_cast<std::size_t>(map.nx) * static_cast<std::size_t>(map.ny));
  float highest = 0;
  for (const float v : crystals.pixels()) highest = std::max(highest, v);
  for (int y = 0; y < map.ny; ++y)
    for (int x = 0; x < map.nx; ++x) {
      int covered = 0;
      for (int j = y * b + 1; j < (y + 1) * b; j += 2)
        for (int i = x * b + 1; i < (x + 1) * b; i += 2) {
          bool is_junk = carbon_at(area.truth, i, j, scene.pixel_size.value()) > 0.5 ||
                         (highest > 0 && crystals(i + area.margin, j + area.margin) > highest / 6);
          for (const auto& c : aggregated) is_junk = is_junk || std::hypot(i - c.x_px, j - c.y_px) < radius_px;
          covered += is_junk ? 1 : 0;
        }
      map.share[static_cast<std::size_t>(y) * static_cast<std::size_t>(map.nx) + static_cast<std::size_t>(x)] =
          static_cast<std::uint8_t>(255 * covered / 4);
    }
  return map;
}

/// Uneven illumination of a few per cent, and what carbon and crystals absorb.
Image draw_transparency(const Area& area, const Image& crystals, Rng& rng) {
  const Scene& scene = area.scene;
  Image image(scene.nx, scene.ny, scene.pixel_size);
  const double slope = rng.uniform(0, 0.02), direction = rng.uniform(0, 2 * pi), cx = rng.uniform(-0.3, 0.3),
               cy = rng.uniform(-0.3, 0.3);
  for (int y = 0; y < scene.ny; ++y)
    for (int x = 0; x < scene.nx; ++x) {
      const double u = static_cast<double>(x) / scene.nx - 0.5, v = static_cast<double>(y) / scene.ny - 0.5;
      double value = 1 + slope * (u * std::cos(direction) + v * std::sin(direction)) -
                     0.03 * ((u - cx) * (u - cx) + (v - cy) * (v - cy) - 1.0 / 6 - cx * cx - cy * cy);
      if (area.truth.hole[2] > 0) value *= 1 - 0.12 * carbon_at(area.truth, x, y, scene.pixel_size.value());
      if (crystals.size() > 0) value *= std::exp(-0.3 * crystals(x + area.margin, y + area.margin));
      image(x, y) = static_cast<float>(value);
    }
  return image;
}

void multiply(Spectrum& spectrum, const std::vector<float>& gain) {
  for (std::size_t i = 0; i < spectrum.size(); ++i) spectrum.data()[i] *= gain[i];
}

}  // namespace

Area draw_area(const Scene& scene, const std::vector<Specimen>& specimens, int index, int margin) {
  expect(!specimens.empty() && specimens.size() == scene.shares.size(), "one share for each specimen");
  Area area;
  area.scene = scene;
  area.rng = Rng(static_cast<std::uint64_t>(scene.seed)).stream("area").stream(static_cast<std::uint64_t>(index));
  area.margin = margin;
  area.grid_x = good_size(scene.nx + 2 * margin);
  area.grid_y = good_size(scene.ny + 2 * margin);
  auto& truth = area.truth;
  truth.name = fmt::format("{}_{:04}", scene.prefix, index + 1);
  truth.tilt = scene.tilt;
  truth.tilt_axis = scene.tilt_axis;
  Rng of_lens = area.rng.stream("lens"), of_junk = area.rng.stream("junk"), of_particles = area.rng.stream("particles");
  truth.ctf = draw_ctf(scene, of_lens);
  area.ice = scene.ice();
  truth.crystalline_ice = of_junk.uniform() < scene.crystalline_ice;
  if (truth.crystalline_ice) area.ice.crystalline = of_junk.uniform(20, 80);
  double diameter_px = 0;
  for (const auto& s : specimens) diameter_px = std::max(diameter_px, s.diameter() / scene.pixel_size);
  draw_hole(scene, truth, of_junk);
  draw_junk(scene, diameter_px, truth, of_junk);
  const auto placed = place_particles(scene, diameter_px, truth, of_particles);
  std::vector<Copy> copies;
  for (const auto& p : placed) {
    copies.push_back({p.x_px, p.y_px, p.pose, static_cast<std::size_t>(p.specimen)});
    if (p.x_px >= 0 && p.y_px >= 0 && p.x_px < scene.nx && p.y_px < scene.ny) truth.particles.push_back(p);
  }
  std::vector<Copy> aggregated;
  for (const auto& j : truth.junk)
    if (j.content == Content::aggregate)
      for (const auto& [dx, dy] : draw_aggregate(j.radius_px, diameter_px, of_junk).offsets_px)
        aggregated.push_back({j.x_px + dx, j.y_px + dy, random_pose(of_junk), draw_share(scene.shares, of_junk)});
  copies.insert(copies.end(), aggregated.begin(), aggregated.end());
  Image phase(area.grid_x, area.grid_y, scene.pixel_size);
  render_copies(scene, specimens, copies, margin, phase);
  area.protein = fft(phase);
  Image still, crystals;
  const bool has_crystals = std::any_of(truth.junk.begin(), truth.junk.end(),
                                        [](const JunkRegion& j) { return j.content == Content::crystal; });
  if (has_crystals) {
    crystals = Image(area.grid_x, area.grid_y, scene.pixel_size);
    std::uint64_t number = 0;
    for (const auto& j : truth.junk)
      if (j.content == Content::crystal)
        draw_crystal(crystals, j.x_px + margin, j.y_px + margin, j.radius_px, scene.voltage, of_junk.stream(number++));
  }
  if (has_crystals || truth.hole[2] > 0) {
    still = has_crystals ? crystals.clone() : Image(area.grid_x, area.grid_y, scene.pixel_size);
    if (truth.hole[2] > 0) add_carbon(area, still);
    area.still = fft(still);
  }
  truth.junk_map = draw_junk_map(area, aggregated, diameter_px / 2, crystals);
  Rng of_light = area.rng.stream("light");
  area.transparency = draw_transparency(area, crystals, of_light);
  truth.motion = Motion(scene, area.rng);
  for (int t = 0; t < scene.frames; ++t) {
    const auto d = mean_displacement(drawn_instants(scene, truth.motion, t),
                                     [&](double dose) { return truth.motion.global(dose); });
    truth.shifts_px.push_back({-d[0], -d[1]});
  }
  return area;
}

Image contrast_of(const Area& area, Spectrum phase) {
  const Scene& scene = area.scene;
  const Lens lens(area.truth.ctf, scene.optics(), scene.envelope());
  if (scene.tilt.value() == 0) {
    multiply(phase, contrast_transfer(scene, lens, area.grid_x, area.grid_y, scene.threads));
    return ifft(phase);
  }
  // Height of the specimen along the beam at each pixel sets the defocus: interpolated between slabs.
  const double slope = std::tan(to_rad(scene.tilt)), nx = -std::sin(to_rad(scene.tilt_axis)),
               ny = std::cos(to_rad(scene.tilt_axis));
  const double pixel_A = scene.pixel_size.value();
  const auto height_A = [&](int x, int y) {
    return slope * pixel_A * (nx * (x - area.margin - scene.nx / 2) + ny * (y - area.margin - scene.ny / 2));
  };
  const double reach_A = std::abs(slope) * pixel_A * (std::abs(nx) * area.grid_x + std::abs(ny) * area.grid_y) / 2 + 1;
  const int slabs = std::clamp(static_cast<int>(std::ceil(2 * reach_A / 400)) + 1, 2, 64);
  const double thickness_A = 2 * reach_A / (slabs - 1);
  Image sum(area.grid_x, area.grid_y, scene.pixel_size);
  for (int s = 0; s < slabs; ++s) {
    const double centre_A = -reach_A + s * thickness_A;
    auto part = phase.clone();
    multiply(part,
             contrast_transfer(scene, lens.defocused(Angstrom(centre_A)), area.grid_x, area.grid_y, scene.threads));
    const auto slab = ifft(part);
    for (int y = 0; y < area.grid_y; ++y)
      for (int x = 0; x < area.grid_x; ++x) {
        const double weight = 1 - std::abs(std::clamp(height_A(x, y), -reach_A, reach_A) - centre_A) / thickness_A;
        if (weight > 0) sum(x, y) += static_cast<float>(weight) * slab(x, y);
      }
  }
  return sum;
}

SimulatedMicrograph micrograph(const Scene& scene, int index) {
  return micrograph(scene, load_specimens(scene), index);
}

SimulatedMicrograph micrograph(const Scene& scene, const std::vector<Specimen>& specimens, int index) {
  auto area = draw_area(scene, specimens, index, 32);
  const double before = scene.damage * scene.pre_exposure.value(), dose = scene.total_dose().value(),
               k_max = corner_k(scene.pixel_size);
  const RadialTable survived(k_max, [&](double k) {
    return scene.contrast * mean_survival(k, before, before + scene.damage * dose, scene.voltage);
  });
  const RadialTable ice(k_max, [&](double k) { return area.ice.power(k, scene.voltage) * area.ice.averaged(k, dose); });
  auto phase = std::move(area.protein);
  const bool has_still = area.still.size() > 0;
  for_components(
      area.grid_x, area.grid_y, scene.pixel_size, scene.threads, [&](int ix, int iy, double, double, double k) {
        phase(ix, iy) =
            phase(ix, iy) * static_cast<float>(survived(k)) + (has_still ? area.still(ix, iy) : std::complex<float>{});
      });
  add_coloured_noise(phase, ice, area.rng.stream("ice"), scene.threads);
  const auto contrast = contrast_of(area, std::move(phase));
  SimulatedMicrograph result{Image(scene.nx, scene.ny, scene.pixel_size), std::move(area.truth)};
  const double electrons = scene.electrons_per_frame() * scene.frames;
  const Rng of_counts = area.rng.stream("counts");
  parallel_for(scene.threads, static_cast<std::size_t>(scene.ny), [&](std::size_t row) {
    Rng own = of_counts.stream(row);
    const int y = static_cast<int>(row);
    for (int x = 0; x < scene.nx; ++x) {
      const double expected =
          electrons * area.transparency(x, y) * at_least_zero(1.0 + contrast(x + area.margin, y + area.margin));
      result.image(x, y) = static_cast<float>(own.poisson(expected));
    }
  });
  return result;
}

}  // namespace frazil::sim
