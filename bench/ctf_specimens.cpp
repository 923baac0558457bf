#include "ctf_specimens.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <vector>

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::bench {
namespace {

struct Kind {
  std::string name;
  sim::Scene scene;
  std::vector<sim::Specimen> specimens;
  ctf::FitParams params;
};

struct Sample {
  ctf::PowerSpectrum power;
  Ctf truth;
};

struct Row {
  Ctf truth;
  std::array<ctf::Fit, 2> fit;  ///< rings, model
};

/// 1536² at 1.1 Å, 50 e⁻/Å², 0.5 to 2.5 µm. Weak ice and full contrast: the signal comes from the particles.
sim::Scene base_scene(std::uint64_t seed) {
  sim::Scene scene;
  scene.kind = sim::SceneKind::micrographs;
  scene.seed = static_cast<int>(seed);
  scene.nx = scene.ny = 1536;
  scene.pixel_size = 1.1_A;
  scene.frames = 50;
  scene.dose_per_frame = 1_e_per_A2;
  scene.defocus_min = 5000_A;
  scene.defocus_max = 25000_A;
  scene.contrast = 1;
  scene.ice_noise = 0.4;  // 0.16 of the power
  scene.particles = 45;
  return scene;
}

/// The first `share` of a model's scatterers, which lie in the order of its chains, about their own centre.
sim::Specimen part_of(sim::Specimen whole, double share, const std::string& name) {
  whole.scatterers.resize(static_cast<std::size_t>(share * static_cast<double>(whole.scatterers.size())));
  std::array<double, 3> centre{};
  const auto n = static_cast<double>(whole.scatterers.size());
  for (const auto& s : whole.scatterers) {
    centre[0] += s.x / n;
    centre[1] += s.y / n;
    centre[2] += s.z / n;
  }
  whole.radius_A = 0;
  for (auto& s : whole.scatterers) {
    s.x -= centre[0];
    s.y -= centre[1];
    s.z -= centre[2];
    whole.radius_A = std::max(whole.radius_A, std::hypot(s.x, s.y, s.z));
  }
  whole.mass_kDa *= share;
  whole.name = name;
  return whole;
}

/// Two copies back to back, as GroEL's rings are.
sim::Specimen doubled(sim::Specimen one, const std::string& name) {
  double height = 0;
  for (const auto& s : one.scatterers) height = std::max(height, s.z);
  auto all = one.scatterers;
  for (auto& s : all) s.z -= height;
  for (auto s : all) {
    s.y = -s.y;
    s.z = -s.z;
    all.push_back(s);
  }
  one.scatterers = std::move(all);
  one.radius_A = 0;
  for (const auto& s : one.scatterers) one.radius_A = std::max(one.radius_A, std::hypot(s.x, s.y, s.z));
  one.mass_kDa *= 2;
  one.name = name;
  return one;
}

std::vector<Kind> all_kinds(std::uint64_t seed) {
  const auto bgal = sim::shipped_model("5a1a"), groel = sim::shipped_model("1oel"),
             ferritin = sim::shipped_model("4v1w");
  std::vector<Kind> kinds;
  const auto add = [&](const std::string& name, const sim::Specimen& specimen, int particles) -> Kind& {
    kinds.push_back({name, base_scene(seed + kinds.size()), {specimen}, {}});
    kinds.back().scene.particles = particles;
    return kinds.back();
  };
  add("ice", bgal, 0).scene.ice_noise = 1;
  add("465 kDa, 45 in weak ice", bgal, 45);
  add("465 kDa, 12 in weak ice", bgal, 12);
  {
    auto& kind = add("465 kDa, 45 in ice", bgal, 45);
    kind.scene.ice_noise = 1;
    kind.scene.contrast = 0.7;
  }
  add("58 kDa, 250 in weak ice", part_of(bgal, 0.125, "58 kDa"), 250);
  add("400 kDa ring, 40 in weak ice", groel, 40);
  add("800 kDa, 12 in weak ice", doubled(groel, "800 kDa"), 12);
  add("480 kDa shell, 90 in weak ice", ferritin, 90);
  {
    auto& kind = add("carbon edge, 465 kDa", bgal, 45);
    kind.scene.carbon = 1;
    kind.scene.ice_noise = 0.5;
  }
  {
    auto& kind = add("phase plate, 465 kDa", bgal, 45);
    kind.scene.phase_shift_min = 30_deg;
    kind.scene.phase_shift_max = 150_deg;
    kind.scene.ice_noise = 0.5;
    kind.params.fit_phase_shift = true;
  }
  for (const bool carbon : {false, true}) {
    auto& kind = add(carbon ? "near focus, carbon edge" : "near focus, 465 kDa in ice", bgal, 40);
    kind.scene.nx = kind.scene.ny = 1024;
    kind.scene.ice_noise = 1;
    kind.scene.contrast = 0.7;
    kind.scene.carbon = carbon ? 1 : 0;
    kind.scene.astigmatism = 60_A;
    kind.scene.defocus_min = 1200_A;
    kind.scene.defocus_max = 3000_A;
    kind.params.min_defocus = 500_A;
  }
  return kinds;
}

/// Header of a kept spectrum: side, pixel, relative variance; U, V, angle and phase of the truth.
using Header = std::array<double, 7>;

bool read_sample(const std::filesystem::path& path, Sample& sample) {
  std::ifstream in(path, std::ios::binary);
  Header h{};
  if (!in || !in.read(reinterpret_cast<char*>(h.data()), sizeof h)) return false;
  const int n = static_cast<int>(h[0]);
  sample.power = {Image(n, n, Angstrom(h[1])), Angstrom(h[1]), h[2]};
  sample.truth = {Angstrom(h[3]), Angstrom(h[4]), Degrees(h[5]), Degrees(h[6]), {}};
  const auto pixels = sample.power.power.pixels();
  return static_cast<bool>(
      in.read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(pixels.size_bytes())));
}

void write_sample(const std::filesystem::path& path, const Sample& sample) {
  const Header h{static_cast<double>(sample.power.power.nx()),
                 sample.power.pixel_size.value(),
                 sample.power.relative_variance,
                 sample.truth.defocus_u.value(),
                 sample.truth.defocus_v.value(),
                 sample.truth.astigmatism_angle.value(),
                 sample.truth.phase_shift.value()};
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(h.data()), sizeof h);
  const auto pixels = sample.power.power.pixels();
  out.write(reinterpret_cast<const char*>(pixels.data()), static_cast<std::streamsize>(pixels.size_bytes()));
}

Sample sample_of(const Kind& kind, std::size_t index, std::uint64_t seed, const std::string& keep) {
  Sample sample;
  const auto path = std::filesystem::path(keep) / fmt::format("{}-{}-{}.spectrum", kind.name, seed, index);
  if (!keep.empty() && read_sample(path, sample)) return sample;
  const auto made = sim::micrograph(kind.scene, kind.specimens, static_cast<int>(index));
  sample = {ctf::power_spectrum(made.image, kind.scene.pixel_size), made.truth.ctf};
  if (!keep.empty()) write_sample(path, sample);
  return sample;
}

Row run(const Kind& kind, std::size_t index, std::uint64_t seed, const std::string& keep) {
  const auto sample = sample_of(kind, index, seed, keep);
  return {sample.truth,
          {ctf::fit(sample.power, kind.scene.optics(), kind.params),
           ctf::fit_model(sample.power, kind.scene.optics(), kind.params)}};
}

std::array<double, 3> errors_of(const Ctf& truth, const Ctf& found) {
  const auto vector = [](const Ctf& c) {
    const double a = c.astigmatism().value(), angle = 2 * to_rad(c.astigmatism_angle);
    return std::array{c.mean_defocus().value(), a * std::cos(angle), a * std::sin(angle)};
  };
  const auto t = vector(truth), f = vector(found);
  return {f[0] - t[0], f[1] - t[1], f[2] - t[2]};
}

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void report(const Kind& kind, const std::vector<Row>& rows) {
  static constexpr std::array names{"rings", "model"};
  for (std::size_t e = 0; e < names.size(); ++e) {
    std::vector<double> errors, sigmas, astigmatisms, magnitudes;
    double z2 = 0, za2 = 0, largest = 0, n = 0;
    int failed = 0, confident = 0;
    for (const auto& row : rows) {
      const auto& f = row.fit[e];
      const auto [d, c, s] = errors_of(row.truth, f.ctf);
      const double sigma = f.sigma_defocus.value(), sigma_a = f.sigma_astigmatism.value(), z = std::abs(d) / sigma;
      errors.push_back(std::abs(d));
      sigmas.push_back(sigma);
      magnitudes.push_back(z);
      failed += std::abs(d) > 300;
      confident += std::abs(d) > 300 && f.quality.confidence > 0.9;
      largest = std::max(largest, z);
      if (std::abs(d) > 300) continue;
      n += 1;
      z2 += z * z;
      za2 += (c * c + s * s) / 2 / (sigma_a * sigma_a);
      astigmatisms.push_back(std::hypot(c, s) / std::sqrt(2.0));
    }
    fmt::print(
        "{:32} {}: {:3} spectra, median error {:6.1f} A, sigma {:6.1f}, z SD {:.2f} (median |z| / 0.674 {:.2f}, "
        "largest "
        "{:.1f}), astigmatism {:5.1f} A, z SD {:.2f}; beyond 300 A {}, of them with confidence > 0.9 {}\n",
        kind.name, names[e], rows.size(), median(errors), median(sigmas), std::sqrt(z2 / std::max(1.0, n)),
        median(magnitudes) / 0.6745, largest, median(astigmatisms), std::sqrt(za2 / std::max(1.0, n)), failed,
        confident);
  }
}

void append_csv(const std::string& keep, const Kind& kind, const std::vector<Row>& rows, std::size_t first) {
  std::ofstream out(std::filesystem::path(keep) / "fits.csv", std::ios::app);
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t e = 0; e < 2; ++e) {
      const auto& f = rows[i].fit[e];
      const auto [d, c, s] = errors_of(rows[i].truth, f.ctf);
      out << fmt::format("{},{},{},{:.0f},{:.1f},{:.1f},{:.1f},{:.1f},{:.1f},{:.4f},{:.2f},{:.2f}\n", kind.name,
                         first + i, e == 0 ? "rings" : "model", rows[i].truth.mean_defocus().value(), d,
                         f.sigma_defocus.value(), c, s, f.sigma_astigmatism.value(), f.quality.confidence,
                         f.fit_resolution.value(), f.quality.background_misfit);
    }
}

}  // namespace

void report_specimens(std::size_t first, std::size_t count, std::uint64_t seed, const std::string& only,
                      const std::string& keep) {
  const auto kinds = all_kinds(seed);
  bool known = only.empty();
  for (const auto& kind : kinds) {
    if (!only.empty() && kind.name.find(only) == std::string::npos) continue;
    known = true;
    std::vector<Row> rows(count);
    parallel_for(available_cpus(), count, [&](std::size_t i) { rows[i] = run(kind, first + i, seed, keep); });
    report(kind, rows);
    if (!keep.empty()) append_csv(keep, kind, rows, first);
    std::fflush(stdout);
  }
  if (!known) throw Error(ErrorCode::bad_input, "no specimen is named '{}'", only);
}

}  // namespace frazil::bench
