#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "frazil/base/finite.hpp"
#include "frazil/sim/formation.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::sim {
namespace {

/// What is the same for all images of a stack.
struct Setting {
  const Scene& scene;
  std::vector<Projector> projectors;
  std::vector<double> cumulative_shares;
  int box, padded;
  double electrons;  ///< a pixel over the whole exposure
  RadialTable survival, ice;
};

Setting prepare(const Scene& scene, const std::vector<Specimen>& specimens) {
  expect(!specimens.empty() && specimens.size() == scene.shares.size(), "one share for each specimen");
  double diameter_A = 0;
  for (const auto& s : specimens) diameter_A = std::max(diameter_A, s.diameter().value());
  const int box =
      scene.box > 0 ? scene.box : good_size(static_cast<int>(std::ceil(1.5 * diameter_A / scene.pixel_size.value())));
  // Padding: what the CTF carries out of the box must not come back on the other side.
  const int padded = good_size(box + box / 2);
  std::vector<Projector> projectors;
  for (const auto& s : specimens) projectors.emplace_back(s, padded, scene.pixel_size, scene.voltage);
  std::vector<double> shares(scene.shares.size());
  std::partial_sum(scene.shares.begin(), scene.shares.end(), shares.begin());
  const double before = scene.pre_exposure.value(), dose = scene.total_dose().value(),
               k_max = corner_k(scene.pixel_size);
  const Ice ice = scene.ice();
  return {scene,
          std::move(projectors),
          std::move(shares),
          box,
          padded,
          scene.electrons_per_frame() * scene.frames,
          RadialTable(k_max,
                      [&](double k) {
                        return scene.contrast *
                               mean_survival(k, scene.damage * before, scene.damage * (before + dose), scene.voltage);
                      }),
          RadialTable(k_max, [&](double k) { return ice.power(k, scene.voltage) * ice.averaged(k, dose); })};
}

int draw_specimen(const Setting& setting, Rng& rng) {
  const double u = rng.uniform() * setting.cumulative_shares.back();
  const auto found = std::upper_bound(setting.cumulative_shares.begin(), setting.cumulative_shares.end(), u);
  return static_cast<int>(
      std::min<std::ptrdiff_t>(found - setting.cumulative_shares.begin(), std::ssize(setting.cumulative_shares) - 1));
}

void add(Spectrum& sum, const Spectrum& part) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum.data()[i] += part.data()[i];
}

Spectrum content_phase(const Setting& setting, ParticleTruth& truth, Rng& rng) {
  const double pixel_A = setting.scene.pixel_size.value();
  Spectrum phase(setting.padded, setting.padded, setting.scene.pixel_size);
  if (truth.content == Content::particle) {
    return setting.projectors[static_cast<std::size_t>(truth.specimen)].spectrum(
        truth.pose, -truth.origin_x.value() / pixel_A, -truth.origin_y.value() / pixel_A);
  }
  if (truth.content == Content::aggregate) {
    const auto which = static_cast<std::size_t>(draw_specimen(setting, rng));
    const double diameter_px = setting.box / 1.5;
    for (const auto& [x, y] : draw_aggregate(0.8 * diameter_px, diameter_px, rng).offsets_px)
      add(phase, setting.projectors[which].spectrum(random_pose(rng), x, y));
  }
  if (truth.content == Content::crystal) {
    Image drawn(setting.padded, setting.padded, setting.scene.pixel_size);
    draw_crystal(drawn, setting.padded / 2 + rng.uniform(-10, 10), setting.padded / 2 + rng.uniform(-10, 10),
                 rng.uniform(0.25, 0.6) * setting.box, setting.scene.voltage, rng.stream("crystal"));
    add(phase, fft(drawn));
  }
  return phase;
}

/// Standard deviation of a pixel's electrons away from any particle: shot noise and ice.
double background_sigma(const Setting& setting, const std::vector<float>& transfer) {
  const int n = setting.padded;
  const double pixel_A = setting.scene.pixel_size.value();
  std::vector<double> rows(static_cast<std::size_t>(n));
  for_components(n, n, setting.scene.pixel_size, 1, [&](int ix, int iy, double, double, double k) {
    const double gain = transfer[static_cast<std::size_t>(iy * (n / 2 + 1) + ix)];
    if (ix + iy > 0)
      rows[static_cast<std::size_t>(iy)] += (ix == 0 || ix == n / 2 ? 1 : 2) * gain * gain * setting.ice(k);
  });
  const double ice_variance =
      std::accumulate(rows.begin(), rows.end(), 0.0) / (static_cast<double>(n) * n * pixel_A * pixel_A);
  return std::sqrt(setting.electrons + setting.electrons * setting.electrons * ice_variance);
}

Image form_image(const Setting& setting, ParticleTruth& truth, Rng& rng) {
  const int n = setting.padded, box = setting.box;
  auto phase = content_phase(setting, truth, rng);
  for_components(n, n, setting.scene.pixel_size, 1, [&](int ix, int iy, double, double, double k) {
    phase(ix, iy) *= static_cast<float>(setting.survival(k));
  });
  add_coloured_noise(phase, setting.ice, rng.stream("ice"), 1);
  const auto transfer =
      contrast_transfer(setting.scene, Lens(truth.ctf, setting.scene.optics(), setting.scene.envelope()), n, n, 1);
  for (std::size_t i = 0; i < phase.size(); ++i) phase.data()[i] *= transfer[i];
  const auto contrast = ifft(phase);
  const double sigma = background_sigma(setting, transfer);
  Image image(box, box, setting.scene.pixel_size);
  for (int y = 0; y < box; ++y)
    for (int x = 0; x < box; ++x) {
      const double expected =
          setting.electrons * at_least_zero(1.0 + contrast(x + n / 2 - box / 2, y + n / 2 - box / 2));
      const auto counted = static_cast<double>(rng.poisson(expected));
      image(x, y) = static_cast<float>(setting.scene.normalise ? (setting.electrons - counted) / sigma : counted);
    }
  return image;
}

Content draw_content(const Scene& scene, Rng& rng) {
  if (rng.uniform() >= scene.junk) return Content::particle;
  const double u = rng.uniform();
  return u < 0.4 ? Content::empty : u < 0.8 ? Content::aggregate : Content::crystal;
}

}  // namespace

std::string_view to_string(Content content) {
  constexpr std::array<std::string_view, 4> names{"particle", "empty", "aggregate", "crystal"};
  return names[static_cast<std::size_t>(content)];
}

std::vector<Specimen> load_specimens(const Scene& scene) {
  std::vector<Specimen> list;
  for (const auto& name : scene.specimens)
    list.push_back(std::filesystem::exists(name) ? read_model(name) : shipped_model(name));
  return list;
}

ParticleStack particle_stack(const Scene& scene, int count, const Rng& rng) {
  return particle_stack(scene, load_specimens(scene), count, rng);
}

ParticleStack particle_stack(const Scene& scene, const std::vector<Specimen>& specimens, int count, const Rng& rng) {
  const auto setting = prepare(scene, specimens);
  ParticleStack stack;
  stack.box = setting.box;
  stack.optics = scene.optics();
  stack.images.resize(static_cast<std::size_t>(count));
  stack.truth.resize(static_cast<std::size_t>(count));
  parallel_for(scene.threads, static_cast<std::size_t>(count), [&](std::size_t i) {
    Rng own = rng.stream(i);
    auto& truth = stack.truth[i];
    truth.ctf = draw_ctf(scene, own);
    truth.content = draw_content(scene, own);
    truth.specimen = truth.content == Content::particle ? draw_specimen(setting, own) : -1;
    truth.pose = random_pose(own);
    const double reach_A = scene.max_offset.value();
    truth.origin_x = Angstrom(own.uniform(-reach_A, reach_A));
    truth.origin_y = Angstrom(own.uniform(-reach_A, reach_A));
    stack.images[i] = form_image(setting, truth, own);
  });
  return stack;
}

}  // namespace frazil::sim
