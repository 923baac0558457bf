// Accuracy of the CTF fit on simulated micrographs: errors against truth, failures, honesty of the standard errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/algo/ctf/tilt.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::ctf {
namespace {

struct Error2 {
  double mean = 0, astigmatism = 0, c = 0, s = 0, z = 0, z_astigmatism = 0, confidence = 0;
};

sim::Scene scene_of(int seed) {
  sim::Scene scene;
  scene.kind = sim::SceneKind::micrographs;
  scene.seed = seed;
  scene.nx = scene.ny = 1536;
  scene.pixel_size = 1.2_A;
  scene.particles = 70;
  scene.frames = 40;
  scene.dose_per_frame = 1_e_per_A2;
  scene.defocus_min = 5000_A;
  scene.defocus_max = 25000_A;
  return scene;
}

Error2 error_of(const Ctf& truth, const Fit& found) {
  const auto vector = [](const Ctf& ctf) {
    const double a = ctf.astigmatism().value(), angle = 2 * to_rad(ctf.astigmatism_angle);
    return std::pair(a * std::cos(angle), a * std::sin(angle));
  };
  const auto [c, s] = vector(truth);
  const auto [found_c, found_s] = vector(found.ctf);
  Error2 e;
  e.mean = (found.ctf.mean_defocus() - truth.mean_defocus()).value();
  e.astigmatism = (found.ctf.astigmatism() - truth.astigmatism()).value();
  e.c = found_c - c;
  e.s = found_s - s;
  e.z = e.mean / found.sigma_defocus.value();
  e.z_astigmatism = std::hypot(e.c, e.s) / std::sqrt(2.0) / found.sigma_astigmatism.value();
  return e;
}

template <class Get>
double rms(const std::vector<Error2>& errors, Get get) {
  double sum = 0;
  for (const auto& e : errors) sum += get(e) * get(e);
  return std::sqrt(sum / static_cast<double>(errors.size()));
}

TEST(CtfAccuracy, FiftySimulatedMicrographsWithinSixtyAngstrom) {
  const auto scene = scene_of(410);  // this seed is for reporting only: constants were chosen on others
  const auto specimens = sim::load_specimens(scene);
  std::vector<Error2> errors(50);
  parallel_for(std::min(available_cpus(), 8), errors.size(), [&](std::size_t i) {
    const auto simulated = sim::micrograph(scene, specimens, static_cast<int>(i));
    errors[i] = error_of(simulated.truth.ctf, fit(power_spectrum(simulated.image, scene.pixel_size), scene.optics()));
  });
  const auto failures =
      std::count_if(errors.begin(), errors.end(), [](const Error2& e) { return std::abs(e.mean) > 300; });
  const double mean = rms(errors, [](const Error2&e) { return e.mean; }),
               astigmatism = rms(errors, [](const Error2&e) { return e.astigmatism; });
  const double z = rms(errors, [](const Error2&e) { return e.z; }),
               z_astigmatism = rms(errors, [](const Error2&e) { return e.z_astigmatism; });
  fmt::print(
      "CTF of 50 simulated micrographs, 1536 x 1536 at 1.2 A, 0.5 to 2.5 um, 40 e/A2: defocus RMS error {:.1f} A, "
      "astigmatism RMS error {:.1f} A, "
      "failures (> 300 A) {}, RMS z-score {:.2f} (defocus), {:.2f} (astigmatism)\n",
      mean, astigmatism, failures, z, z_astigmatism);
  EXPECT_EQ(failures, 0);
  EXPECT_LT(mean, 60);
  EXPECT_LT(astigmatism, 60);
  EXPECT_GT(z, 0.7);  // standard errors are neither shy nor bold
  EXPECT_LT(z, 1.4);
  EXPECT_GT(z_astigmatism, 0.7);
  EXPECT_LT(z_astigmatism, 1.4);
}

/// Both estimators on micrographs of a scene, each error with its claim.
std::array<std::vector<Error2>, 2> errors_in(const sim::Scene& scene, const FitParams& params, std::size_t count,
                                             int& confidently_wrong) {
  const auto specimens = sim::load_specimens(scene);
  std::array<std::vector<Error2>, 2> errors{std::vector<Error2>(count), std::vector<Error2>(count)};
  std::vector<int> wrong(count, 0);
  parallel_for(std::min(available_cpus(), 8), count, [&](std::size_t i) {
    const auto made = sim::micrograph(scene, specimens, static_cast<int>(i));
    const auto power = power_spectrum(made.image, scene.pixel_size);
    const std::array fits{fit(power, scene.optics(), params), fit_model(power, scene.optics(), params)};
    for (std::size_t e = 0; e < fits.size(); ++e) {
      errors[e][i] = error_of(made.truth.ctf, fits[e]);
      errors[e][i].confidence = fits[e].quality.confidence;
      wrong[i] += std::abs(errors[e][i].mean) > 300 && fits[e].quality.confidence > 0.9;
    }
  });
  for (const int w : wrong) confidently_wrong += w;
  return errors;
}

TEST(CtfAccuracy, ErrorsHoldWhereTheSignalComesFromParticles) {
  auto scene = scene_of(911);
  scene.nx = scene.ny = 1024;
  scene.particles = 30;
  scene.ice_noise = 0.4;
  scene.contrast = 1;
  for (const char* specimen : {"5a1a", "1oel"}) {
    scene.specimens = {specimen};
    int confidently_wrong = 0;
    const auto errors = errors_in(scene, {}, 16, confidently_wrong);
    EXPECT_EQ(confidently_wrong, 0);
    for (auto of_one : errors) {
      std::erase_if(of_one, [](const Error2& e) { return e.confidence < 0.5; });  // what filter-ctf lets pass
      ASSERT_GE(of_one.size(), 8U);
      const double z = rms(of_one, [](const Error2&e) { return e.z; }),
                   z_astigmatism = rms(of_one, [](const Error2&e) { return e.z_astigmatism; });
      fmt::print("{}, 30 in weak ice: RMS z-score {:.2f} (defocus), {:.2f} (astigmatism)\n", specimen, z,
                 z_astigmatism);
      // 1.25 is what they should be; of 16 values one far out makes 1.9 of it. Before the specimen's own structure was
      // taken into account 1oel stood at 2.2 and 2.3.
      EXPECT_LT(z, 2.1);
      EXPECT_LT(z_astigmatism, 1.8);
    }
  }
}

TEST(CtfAccuracy, NearFocusIsNeverConfidentlyWrong) {
  auto scene = scene_of(912);
  scene.nx = scene.ny = 1024;
  scene.pixel_size = 1_A;
  scene.defocus_min = scene.defocus_max = 1500_A;
  FitParams params;
  params.min_defocus = 500_A;
  int confidently_wrong = 0;
  (void)errors_in(scene, params, 12, confidently_wrong);
  EXPECT_EQ(confidently_wrong, 0);
}

TEST(CtfAccuracy, SpectraWithoutRingsAreNotTakenForGoodOnes) {
  const Optics optics;
  const Rng rng(77);
  int accepted = 0;
  for (std::uint64_t i = 0; i < 12; ++i) {
    auto own = rng.stream(i);
    PowerSpectrum spectrum{Image(512, 512, 1.4_A), 1.4_A, 0};  // speckle on a falling background
    for (int y = 0; y < 512; ++y)
      for (int x = 0; x < 512; ++x) {
        double gamma = 0;
        for (int t = 0; t < 20; ++t) gamma -= std::log(1 - own.uniform()) / 20;
        spectrum.power(x, y) = static_cast<float>(gamma * (1 + 4 * std::exp(-std::hypot(x - 256, y - 256) / 30)));
      }
    const Ctf claimed{Angstrom(9000.0 + 1500.0 * static_cast<double>(i)),
                      Angstrom(8700.0 + 1500.0 * static_cast<double>(i)),
                      30_deg,
                      0_deg,
                      {}};
    const auto found = fit(spectrum, optics);
    EXPECT_LT(found.score, 0.05);
    EXPECT_GT(found.sigma_defocus.value(), 300);
    if (assess(spectrum, optics, claimed).accepted) ++accepted;
  }
  EXPECT_EQ(accepted, 0);  // one in a thousand by chance
}

/// Radial means of a spectrum between 25 and 3.3 Å in eight bands of k.
std::vector<double> bands(const Image& power) {
  std::vector<double> sum(8, 0.0), count(8, 0.0);
  const int n = power.nx(), h = n / 2;
  for (int y = 1; y < n; ++y)
    for (int x = h + 1; x < n; ++x) {
      const double k = std::hypot(x - h, y - h) / (n * power.pixel_size.value());
      const auto band = static_cast<int>(std::floor((k - 1 / 25.0) / (1 / 3.3 - 1 / 25.0) * 8));
      if (y == h || band < 0 || band >= 8) continue;
      sum[static_cast<std::size_t>(band)] += double{power(x, y)};
      count[static_cast<std::size_t>(band)] += 1;
    }
  for (std::size_t i = 0; i < 8; ++i) sum[i] /= count[i];
  return sum;
}

TEST(SimulatedSpectra, HaveTheSizeAndShapeOfThoseOfSimulatedMicrographs) {
  auto scene = scene_of(77);
  scene.nx = scene.ny = 1024;
  scene.pixel_size = 1.5_A;
  scene.particles = 0;
  const auto made = sim::micrograph(scene, 0);
  auto measured = power_spectrum(made.image, scene.pixel_size);
  // Counts of mean m scatter by m: that is the unit of the simulated spectra.
  const double unit = scene.electrons_per_frame() * scene.frames;
  for (float& v : measured.power.pixels()) v = static_cast<float>(double{v} / unit);
  measured.power.pixel_size = scene.pixel_size;
  sim::SpectrumSpec spec{.pixel_size = scene.pixel_size,
                         .dose = scene.total_dose(),
                         .envelope = scene.envelope(),
                         .ice = scene.ice(),
                         .protein = 0,
                         .noise_slope = 0,
                         .halo = 0};
  const auto expected = bands(sim::expected_power_spectrum(made.truth.ctf, scene.optics(), spec)),
             found = bands(measured.power);
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_NEAR(found[i] / expected[i], 1, 0.08) << "band " << i;  // speckle of 8 tiles, uneven light of 3 %
}

TEST(CtfTilt, IsFoundWithItsAxisAndErrorFromTheDefocusOfParts) {
  auto scene = scene_of(78);
  scene.nx = scene.ny = 2048;
  scene.particles = 120;
  scene.defocus_min = scene.defocus_max = 15000_A;
  scene.tilt = 25_deg;
  scene.tilt_axis = 35_deg;
  const auto made = sim::micrograph(scene, 0);
  std::vector<RegionSpectrum> regions;
  const auto power = power_spectrum(made.image, scene.pixel_size, {}, &regions);
  EXPECT_EQ(regions.size(), 16U);
  const auto tilt = find_tilt(regions, power, scene.optics(), fit(power, scene.optics()), {});
  ASSERT_TRUE(tilt);
  fmt::print("tilt {:.1f} +- {:.1f} degrees (truth 25), axis {:.1f} (truth 35)\n", tilt->tilt.value(),
             tilt->sigma.value(), tilt->axis.value());
  EXPECT_NEAR(tilt->tilt.value(), 25, 3);  // what CTFFIND 5 claims: eLife 97227
  EXPECT_NEAR(std::remainder(tilt->axis.value() - 35, 360), 0, 10);
  EXPECT_GT(tilt->z2, 14);
}

TEST(CtfThickness, IsFoundFromNodesAndNotInventedWithoutThem) {
  const Optics optics{300_kV, 2.7_mm, 0.07};
  const Rng rng(79);
  int seen = 0, invented = 0;
  for (std::uint64_t i = 0; i < 6; ++i) {
    auto own = rng.stream(i);
    const double truth_A = 900 + 150.0 * static_cast<double>(i);  // nodes at 4.2 to 5.7 Å
    sim::SpectrumSpec spec{.pixel_size = 1.2_A,
                           .dose = 50_e_per_A2,
                           .tiles = 200,
                           .envelope = {.b_factor_A2 = 40},
                           .ice = {.thickness_A = truth_A},
                           .depth_A = truth_A};
    const Ctf ctf{Angstrom(9000 + 1500.0 * static_cast<double>(i)),
                  Angstrom(8800 + 1500.0 * static_cast<double>(i)),
                  20_deg,
                  0_deg,
                  {}};
    const auto thick = fit({sim::power_spectrum(ctf, optics, spec, own), 1.2_A, 1.0 / spec.tiles}, optics);
    if (thick.thickness > 0_A) {
      ++seen;
      EXPECT_NEAR(thick.thickness.value(), truth_A, std::max(60.0, 5 * thick.sigma_thickness.value()))
          << "CTFFIND 5 claims 50 Å (eLife 97227)";
    }
    spec.ice.thickness_A = spec.depth_A = 300;  // node at 2.4 Å, beyond the band
    const auto thin = fit({sim::power_spectrum(ctf, optics, spec, own), 1.2_A, 1.0 / spec.tiles}, optics);
    invented += thin.thickness > 0_A;
  }
  EXPECT_GE(seen, 5);
  EXPECT_EQ(invented, 0);
}

TEST(CtfBend, IsFoundFromTheDefocusOfPartsAndNotInFlatOnes) {
  const Optics optics{300_kV, 2.7_mm, 0.07};
  const auto found = [&](double bend) {
    Rng rng(80);
    const sim::SpectrumSpec spec{.pixel_size = 1.4_A, .dose = 50_e_per_A2, .tiles = 12};
    std::vector<RegionSpectrum> regions;
    PowerSpectrum whole{Image(512, 512, 1.4_A), 1.4_A, 1.0 / (16 * spec.tiles)};
    for (int iy = 0; iy < 4; ++iy)
      for (int ix = 0; ix < 4; ++ix) {
        RegionSpectrum region{{}, 1400 * (ix - 1.5), 1400 * (iy - 1.5), spec.tiles};
        const Angstrom local(12000 + 0.05 * region.x_A + bend * region.x_A * region.x_A);
        const auto power = sim::power_spectrum({local + 100_A, local - 100_A, 30_deg, 0_deg, {}}, optics, spec, rng);
        for (std::size_t i = 0; i < power.size(); ++i) whole.power.pixels()[i] += power.pixels()[i] / 16;
        for (int y = 0; y < 512; ++y)
          for (int x = 256; x <= 512; ++x) region.half.push_back(power(x % 512, x < 512 || y == 0 ? y : 512 - y));
        regions.push_back(std::move(region));
      }
    return *find_tilt(regions, whole, optics, fit(whole, optics), {});
  };
  const auto bent = found(1.5e-4), flat = found(0);  // 660 Å of defocus from the middle to the edge
  fmt::print("bend {:.2e} (truth 1.50e-04), xy {:.2e}, yy {:.2e} per A\n", bent.bend[0], bent.bend[1], bent.bend[2]);
  EXPECT_NEAR(bent.bend[0], 1.5e-4, 0.4e-4);
  EXPECT_NEAR(bent.bend[2], 0, 0.4e-4);
  EXPECT_EQ(flat.bend, (std::array<double, 3>{}));
}

}  // namespace
}  // namespace frazil::ctf
