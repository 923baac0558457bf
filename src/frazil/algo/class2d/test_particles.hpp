// Particle images of known make for the tests of this folder: Gaussian blobs projected analytically, own CTF formula.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <vector>

#include "frazil/algo/class2d/model.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::class2d::testing {

using Vector3 = std::array<double, 3>;

struct Scene {
  int count = 300;
  int box = 32;
  Angstrom pixel_size = 5_A;
  int species = 1;   ///< different proteins, mixed evenly
  double junk = 0;   ///< fraction of images without a particle: empty, edges, crystals, aggregates
  double snr = 0.1;  ///< variance of the signal over that of the noise, whole box
  double shift_sigma_A = 4;
  bool symmetry_d2 = false;
  bool fixed_views = false;  ///< each species is seen from one direction only
  bool with_ctf = true;
};

struct Truth {
  int species = 0;  ///< −1: junk
  Vector3 view{};   ///< direction of projection in the frame of the protein
  double psi_deg = 0, origin_x_A = 0, origin_y_A = 0;
};

struct Data {
  ParticleSet set;
  std::vector<Truth> truth;
  std::shared_ptr<std::vector<Image>> images;
};

struct Blob {
  Vector3 at;
  double weight;
};

/// 40 blobs within 60 Å, elongated along z so that views differ; under D2 each of 10 stands for four.
inline std::vector<Blob> make_protein(Rng rng, bool symmetry_d2) {
  std::vector<Blob> blobs;
  while (blobs.size() < 40) {
    const Vector3 r{rng.uniform(-38, 38), rng.uniform(-52, 52), rng.uniform(-64, 64)};
    if (std::hypot(r[0] / 38, r[1] / 52, r[2] / 64) > 1) continue;
    const double w = rng.uniform(0.5, 1.5);
    blobs.push_back({r, w});
    if (!symmetry_d2) continue;
    blobs.push_back({{r[0], -r[1], -r[2]}, w});
    blobs.push_back({{-r[0], r[1], -r[2]}, w});
    blobs.push_back({{-r[0], -r[1], r[2]}, w});
  }
  return blobs;
}

/// Uniform rotation from a random quaternion (Shoemake 1992).
inline std::array<Vector3, 3> random_rotation(Rng& rng) {
  const double u = rng.uniform(), a = 2 * std::numbers::pi * rng.uniform(), b = 2 * std::numbers::pi * rng.uniform();
  const double x = std::sqrt(1 - u) * std::sin(a), y = std::sqrt(1 - u) * std::cos(a), z = std::sqrt(u) * std::sin(b),
               w = std::sqrt(u) * std::cos(b);
  return {{{1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)},
           {2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)},
           {2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)}}};
}

/// Adds a round Gaussian of width sigma (pixels) at (x, y) pixels from the centre.
inline void add_gaussian(Image& image, double x_px, double y_px, double sigma_px, double weight) {
  std::vector<double> gx(static_cast<std::size_t>(image.nx()));
  for (int x = 0; x < image.nx(); ++x)
    gx[static_cast<std::size_t>(x)] = std::exp(-std::pow((x - image.nx() / 2 - x_px) / sigma_px, 2) / 2);
  for (int y = 0; y < image.ny(); ++y) {
    const double gy = weight * std::exp(-std::pow((y - image.ny() / 2 - y_px) / sigma_px, 2) / 2);
    for (int x = 0; x < image.nx(); ++x) image(x, y) += static_cast<float>(gy * gx[static_cast<std::size_t>(x)]);
  }
}

inline void add_junk(Image& image, Rng& rng, double scale) {
  switch (rng.below(4)) {
    case 0:
      break;   // empty
    case 1: {  // straight edge of a film
      const double angle = rng.uniform(0, 2 * std::numbers::pi), at = rng.uniform(-0.3, 0.3) * image.nx();
      for (int y = 0; y < image.ny(); ++y)
        for (int x = 0; x < image.nx(); ++x) {
          const double d = (x - image.nx() / 2) * std::cos(angle) + (y - image.ny() / 2) * std::sin(angle) - at;
          image(x, y) += static_cast<float>(3 * scale / (1 + std::exp(-d)));
        }
      break;
    }
    case 2:  // ice crystal: small and strong
      add_gaussian(image, rng.normal(0, 0.08 * image.nx()), rng.normal(0, 0.08 * image.nx()), rng.uniform(1.5, 3),
                   9 * scale);
      break;
    default:  // aggregate: a heap of blobs without a centre
      for (int i = 0; i < 12; ++i)
        add_gaussian(image, rng.normal(0, 0.3 * image.nx()), rng.normal(0, 0.3 * image.nx()), 2.5,
                     rng.uniform(1, 3) * scale);
  }
}

/// Multiplies by sin(πλ Δf k² − ½π Cs λ³ k⁴ + asin A), written out here again on purpose.
inline void apply_ctf(Image& image, const Ctf& ctf, const Optics& optics) {
  const double volt = optics.voltage.value() * 1e3, lambda = 12.2643 / std::sqrt(volt + 0.978466e-6 * volt * volt);
  const double cs = optics.cs.value() * 1e7, axis = to_rad(ctf.astigmatism_angle);
  Spectrum spectrum = fft(image);
  for (int iy = 0; iy < spectrum.ny(); ++iy)
    for (int ix = 0; ix < spectrum.columns(); ++ix) {
      const double kx = ix / (image.nx() * image.pixel_size.value()),
                   ky = spectrum.ky(iy) / (image.ny() * image.pixel_size.value());
      const double k2 = kx * kx + ky * ky, u = ctf.defocus_u.value(), v = ctf.defocus_v.value();
      const double defocus = 0.5 * (u + v + (u - v) * std::cos(2 * (std::atan2(ky, kx) - axis)));
      const double chi = std::numbers::pi * (lambda * defocus * k2 - 0.5 * cs * lambda * lambda * lambda * k2 * k2) +
                         std::asin(optics.amplitude_contrast);
      spectrum(ix, iy) *= static_cast<float>(std::sin(chi));
    }
  ifft_into(spectrum, image);
}

inline Data make_particles(const Scene& scene, std::uint64_t seed) {
  Data data;
  const Rng root(seed);
  std::vector<std::vector<Blob>> proteins;
  std::vector<std::array<Vector3, 3>> views;
  for (int s = 0; s < scene.species; ++s) {
    proteins.push_back(make_protein(root.stream(1000 + static_cast<std::uint64_t>(s)), scene.symmetry_d2));
    Rng rng = root.stream(2000 + static_cast<std::uint64_t>(s));
    views.push_back(random_rotation(rng));
  }
  const double px = scene.pixel_size.value(), blob_px = 6 / px;
  data.images = std::make_shared<std::vector<Image>>();
  double power = 0;
  int signals = 0;
  for (int i = 0; i < scene.count; ++i) {
    Rng rng = root.stream(static_cast<std::uint64_t>(i) + 10000),
        field = root.stream(static_cast<std::uint64_t>(i / 50) + 5000);
    Truth truth;
    truth.species =
        rng.uniform() < scene.junk ? -1 : static_cast<int>(rng.below(static_cast<std::uint64_t>(scene.species)));
    Image image(scene.box, scene.box, scene.pixel_size);
    const double u = field.uniform(10000, 22000);
    const Ctf ctf{Angstrom(u), Angstrom(u - field.uniform(0, 500)), Degrees(field.uniform(0, 180)), 0_deg,
                  Angstrom2(0)};
    if (truth.species >= 0) {
      const auto s = static_cast<std::size_t>(truth.species);
      const auto r = scene.fixed_views ? views[s] : random_rotation(rng);
      truth.psi_deg = rng.uniform(0, 360);
      truth.origin_x_A = rng.normal(0, scene.shift_sigma_A);
      truth.origin_y_A = rng.normal(0, scene.shift_sigma_A);
      truth.view = r[2];
      const double c = std::cos(truth.psi_deg * std::numbers::pi / 180),
                   sn = std::sin(truth.psi_deg * std::numbers::pi / 180);
      for (const auto& blob : proteins[s]) {
        const double x = r[0][0] * blob.at[0] + r[0][1] * blob.at[1] + r[0][2] * blob.at[2];
        const double y = r[1][0] * blob.at[0] + r[1][1] * blob.at[1] + r[1][2] * blob.at[2];
        add_gaussian(image, (c * x - sn * y - truth.origin_x_A) / px, (sn * x + c * y - truth.origin_y_A) / px, blob_px,
                     blob.weight);
      }
    } else {
      add_junk(image, rng, 1.5);
    }
    const Optics optics{};
    if (scene.with_ctf) apply_ctf(image, ctf, optics);
    if (truth.species >= 0) {
      const auto stats = statistics(image);
      power += stats.stddev * stats.stddev;
      ++signals;
    }
    data.images->push_back(std::move(image));
    data.set.ctf.push_back(scene.with_ctf ? ctf : Ctf{0_A, 0_A, 0_deg, 90_deg, Angstrom2(0)});
    data.set.optics.push_back(scene.with_ctf ? optics : Optics{300_kV, 0_mm, 0.0});
    data.truth.push_back(truth);
  }
  const auto scale = static_cast<float>(std::sqrt(scene.snr / (power / std::max(1, signals))));
  for (std::size_t i = 0; i < data.images->size(); ++i) {
    Rng rng = root.stream(900000 + i);
    auto& image = (*data.images)[i];
    for (auto& p : image.pixels()) p = p * scale + static_cast<float>(rng.normal());
    normalise_background(image, 0.45 * scene.box);
  }
  data.set.box = scene.box;
  data.set.pixel_size = scene.pixel_size;
  data.set.image = [images = data.images](std::size_t i) { return (*images)[i].clone(); };
  return data;
}

/// Angle between two directions, the smallest over the group D2 when asked.
inline double angle_between_deg(const Vector3& a, const Vector3& b, bool symmetry_d2) {
  const double x = a[0] * b[0], y = a[1] * b[1], z = a[2] * b[2];
  double best = x + y + z;
  if (symmetry_d2) best = std::max({best, x - y - z, -x + y - z, -x - y + z});
  return std::acos(std::clamp(best, -1.0, 1.0)) * 180 / std::numbers::pi;
}

struct Quality {
  double junk_purity = 0;        ///< share of images whose class has their label (junk or particle) as majority
  double median_spread_deg = 0;  ///< median angle of a particle to the medoid direction of its class
  double random_spread_deg = 0;  ///< the same for a random partition with the same counts
  double worst_mixing = 0;       ///< largest share of the minor protein in a class above 5 % of the data
};

inline double median_spread_deg(const std::vector<Truth>& truth, const std::vector<int>& index, int classes, bool d2) {
  std::vector<double> angles;
  for (int k = 0; k < classes; ++k) {
    std::vector<Vector3> views;
    for (std::size_t i = 0; i < truth.size(); ++i)
      if (index[i] == k && truth[i].species >= 0) views.push_back(truth[i].view);
    std::vector<double> best;
    double lowest = 1e9;
    for (std::size_t c = 0; c < views.size(); c += std::max<std::size_t>(1, views.size() / 80)) {
      std::vector<double> list;
      double sum = 0;
      for (const auto& v : views) list.push_back(angle_between_deg(v, views[c], d2)), sum += list.back();
      if (sum < lowest) lowest = sum, best = list;
    }
    angles.insert(angles.end(), best.begin(), best.end());
  }
  if (angles.empty()) return 0;
  std::nth_element(angles.begin(), angles.begin() + static_cast<std::ptrdiff_t>(angles.size() / 2), angles.end());
  return angles[angles.size() / 2];
}

inline Quality measure(const Data& data, const std::vector<Assignment>& assignments, int classes, bool d2) {
  Quality q;
  std::vector<int> index;
  for (const auto& a : assignments) index.push_back(a.index);
  double right = 0;
  for (int k = 0; k < classes; ++k) {
    double junk = 0, all = 0;
    std::vector<double> species(8);
    for (std::size_t i = 0; i < index.size(); ++i)
      if (index[i] == k) {
        ++all;
        if (data.truth[i].species < 0)
          ++junk;
        else
          ++species[static_cast<std::size_t>(data.truth[i].species)];
      }
    right += std::max(junk, all - junk);
    if (all > 0.05 * static_cast<double>(index.size())) {
      const double good = all - junk;
      if (good > junk)
        q.worst_mixing = std::max(q.worst_mixing, 1 - *std::max_element(species.begin(), species.end()) / good);
    }
  }
  q.junk_purity = right / static_cast<double>(index.size());
  q.median_spread_deg = median_spread_deg(data.truth, index, classes, d2);
  Rng rng(99);
  for (std::size_t i = index.size() - 1; i > 0; --i) std::swap(index[i], index[rng.below(i + 1)]);
  q.random_spread_deg = median_spread_deg(data.truth, index, classes, d2);
  return q;
}

/// Adjusted Rand index of two partitions (Hubert & Arabie 1985).
inline double adjusted_rand(const std::vector<int>& a, const std::vector<int>& b) {
  const int na = *std::max_element(a.begin(), a.end()) + 1, nb = *std::max_element(b.begin(), b.end()) + 1;
  std::vector<double> table(static_cast<std::size_t>(na * nb)), rows(static_cast<std::size_t>(na)),
      columns(static_cast<std::size_t>(nb));
  for (std::size_t i = 0; i < a.size(); ++i) {
    ++table[static_cast<std::size_t>(a[i] * nb + b[i])];
    ++rows[static_cast<std::size_t>(a[i])];
    ++columns[static_cast<std::size_t>(b[i])];
  }
  const auto pairs = [](const std::vector<double>& v) {
    double s = 0;
    for (const double x : v) s += x * (x - 1) / 2;
    return s;
  };
  const double n = static_cast<double>(a.size()), expected = pairs(rows) * pairs(columns) / (n * (n - 1) / 2);
  return (pairs(table) - expected) / (0.5 * (pairs(rows) + pairs(columns)) - expected);
}

}  // namespace frazil::class2d::testing
