#include "frazil/algo/class2d/model.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::class2d {
namespace {

using std::numbers::pi;

/// Mean over a ring and its two neighbours.
Eigen::VectorXf smoothed(const Eigen::VectorXf& values) {
  Eigen::VectorXf out(values.size());
  for (Eigen::Index j = 0; j < values.size(); ++j) {
    const Eigen::Index first = std::max<Eigen::Index>(0, j - 1), last = std::min(values.size() - 1, j + 1);
    out(j) = values.segment(first, last - first + 1).mean();
  }
  return out;
}

double mask_radius_px(const Geometry& geometry) { return to_px(geometry.diameter, geometry.work_pixel()) / 2; }
double mask_edge_px(const Geometry& geometry) { return std::max(1.5, 0.06 * mask_radius_px(geometry)); }
/// Particles are masked more widely, so that shifted ones stay whole.
double particle_radius_px(const Geometry& geometry) {
  const double wide = mask_radius_px(geometry) + to_px(geometry.shift_range, geometry.work_pixel());
  return std::min(wide, geometry.work_box / 2.0 - mask_edge_px(geometry));
}

/// Shift that would bring the centre of mass of the bright part into the middle; limited, so that averages do not jump.
Offset centring_shift(const Image& image) {
  const auto stats = statistics(image);
  const double floor = 0.3 * stats.max;
  double mass = 0, x_sum = 0, y_sum = 0;
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x) {
      const double value = image(x, y) - floor;
      if (value <= 0) continue;
      mass += value;
      x_sum += value * (x - image.nx() / 2);
      y_sum += value * (y - image.ny() / 2);
    }
  if (mass <= 0) return {0, 0};
  const auto limited = [](double v) { return static_cast<float>(std::abs(v) < 0.5 ? 0 : std::clamp(v, -2.0, 2.0)); };
  return {limited(-x_sum / mass), limited(-y_sum / mass)};
}

}  // namespace

int Geometry::rings_to(Angstrom wanted) const {
  const double radius = to_px(work_pixel() * static_cast<double>(work_box), wanted);
  return std::clamp(static_cast<int>(radius / grid.step), 3, grid.rings);
}

Geometry make_geometry(int box, Angstrom pixel_size, Angstrom diameter, const Params& params) {
  if (box < 16) throw Error(ErrorCode::bad_input, "particle images must be at least 16 pixels wide, found {}", box);
  if (!(diameter > 0_A && diameter <= pixel_size * static_cast<double>(box)))
    throw Error(ErrorCode::bad_input, "the diameter must lie between 0 and the box of {:.0f} Å, found {:.0f} Å",
                (pixel_size * static_cast<double>(box)).value(), diameter.value());
  Geometry geometry;
  geometry.box = box;
  geometry.pixel_size = pixel_size;
  geometry.diameter = diameter;
  geometry.shift_range = params.shift_range > 0_A ? params.shift_range : diameter / 8;
  geometry.resolution = std::max(params.resolution, pixel_size * 2.2);
  const double side_A = box * pixel_size.value();
  geometry.work_box =
      std::min(good_size(static_cast<int>(std::ceil(2.3 * side_A / geometry.resolution.value()))), box - box % 2);
  const double radius = std::min(side_A / geometry.resolution.value(), geometry.work_box / 2 - 1.0);
  geometry.open = std::pow((particle_radius_px(geometry) + mask_edge_px(geometry) / 2) / geometry.work_box, 2) * pi;
  geometry.grid = make_grid(geometry.work_box, particle_radius_px(geometry) + mask_edge_px(geometry), radius);
  return geometry;
}

Prepared prepare(const Geometry& geometry, const Image& image, const Ctf& ctf, const Optics& optics,
                 bool phase_flipped) {
  const auto& grid = geometry.grid;
  Image small =
      image.nx() == geometry.work_box ? image.clone() : fourier_resize(image, geometry.work_box, geometry.work_box);
  const double radius = particle_radius_px(geometry), edge = mask_edge_px(geometry);
  const Image mask = soft_disc(geometry.work_box, radius, edge);
  for (std::size_t i = 0; i < small.size(); ++i) small.pixels()[i] *= mask.pixels()[i];
  Prepared out;
  out.samples = sample_rings(grid, small);
  out.power.setZero(grid.rings);
  out.ctf2.setZero(grid.rings);
  const CtfFunction function(ctf, optics);
  const double k_per_px = 1 / (geometry.work_box * geometry.work_pixel().value());
  for (int m = 0; m < grid.half_angles; ++m) {
    const double c = std::cos(pi * m / grid.half_angles) * k_per_px, s = std::sin(pi * m / grid.half_angles) * k_per_px;
    for (int j = 0; j < grid.rings; ++j) {
      double value = function(grid.radius(j) * c, grid.radius(j) * s);
      if (phase_flipped) value = std::abs(value);
      const auto gain = static_cast<float>(value);
      auto &re = out.samples.re(j, m), &im = out.samples.im(j, m);
      out.power(j) += re * re + im * im;
      out.ctf2(j) += gain * gain;
      re *= gain;
      im *= gain;
    }
  }
  out.power /= static_cast<float>(grid.half_angles * geometry.open);
  out.ctf2 /= static_cast<float>(grid.half_angles);
  return out;
}

ClassSums::ClassSums(const PolarGrid& grid) {
  for (int h = 0; h < 2; ++h) {
    signal[static_cast<std::size_t>(h)].setZero(grid.rings, 2 * grid.harmonics);
    weight[static_cast<std::size_t>(h)].setZero(grid.rings);
  }
}

void ClassSums::scale(float factor) {
  for (std::size_t h = 0; h < 2; ++h) {
    signal[h] *= factor;
    weight[h] *= factor;
    mass[h] *= factor;
  }
}

void ClassSums::add(const ClassSums& other) {
  for (std::size_t h = 0; h < 2; ++h) {
    signal[h] += other.signal[h];
    weight[h] += other.weight[h];
    mass[h] += other.mass[h];
  }
}

std::vector<int> State::counts() const {
  std::vector<int> out(sums.size());
  for (const auto& a : assignments)
    if (a.index >= 0) ++out[static_cast<std::size_t>(a.index)];
  return out;
}

Eigen::VectorXf typical_power(const State& state) {
  const auto rings = state.geometry.grid.rings;
  std::vector<std::pair<Eigen::VectorXf, double>> classes;
  double mass = 0;
  for (int k = state.background; k < state.classes(); ++k) {
    const auto index = static_cast<std::size_t>(k);
    classes.emplace_back(ring_power(state.references.harmonics[index]), state.sums[index].total());
    mass += classes.back().second;
  }
  Eigen::VectorXf out = Eigen::VectorXf::Zero(rings);
  for (Eigen::Index j = 0; j < rings; ++j) {
    std::sort(classes.begin(), classes.end(), [&](const auto& a, const auto& b) { return a.first(j) < b.first(j); });
    double below = 0;
    for (const auto& [power, weight] : classes) {
      below += weight;
      out(j) = power(j);
      if (below >= 0.5 * mass) break;
    }
  }
  return out;
}

float heap_evidence(const Geometry& geometry, const Prepared& particle, const Eigen::VectorXf& noise,
                    const Eigen::VectorXf& typical, int rings, double strength) {
  float best = -1e30f;
  for (const double factor : {1.0, 4.0, 16.0}) {
    double sum = 0;
    for (int j = 1; j < rings; ++j) {
      const double components = 0.5 * geometry.grid.area(j) * geometry.open, s2 = noise(j), p = particle.power(j);
      const double v = s2 + particle.ctf2(j) * typical(j) * strength * factor / geometry.open;
      sum += components * (p / s2 - p / v - std::log(v / s2));
    }
    best = std::max(best, static_cast<float>(sum));
  }
  return best;
}

void accumulate(const PolarGrid& grid, const Matcher& matcher, const Prepared& particle,
                const std::vector<ClassMatch>& matches, const std::vector<float>& class_weights, int half,
                std::vector<ClassSums>& sums) {
  const auto h = static_cast<std::size_t>(half);
  const int rings = matcher.sum_rings(), harmonics = grid.harmonics_within(rings);
  std::vector<std::size_t> strong;
  for (std::size_t i = 0; i < matches.size(); ++i)
    if (class_weights[i] > 1e-3f) strong.push_back(i);
  for (const auto i : strong) {
    auto& sum = sums[static_cast<std::size_t>(matches[i].index)];
    sum.weight[h].head(rings) += class_weights[i] * matcher.weight().cwiseProduct(particle.ctf2.head(rings));
    sum.mass[h] += class_weights[i];
  }
  const PolarSamples centred = matcher.centred(particle);
  for (int t = 0; t < static_cast<int>(matcher.offsets().size()); ++t) {
    Harmonics moved;
    for (const auto i : strong) {
      Eigen::VectorXf turn = Eigen::VectorXf::Zero(2 * harmonics);  // Σ w e^{iqθ}
      float share = 0;
      for (const auto& pose : matches[i].poses) {
        if (pose.offset != t) continue;
        const float w = pose.weight * class_weights[i];
        share += w;
        const std::complex<float> step = std::polar(1.f, pose.angle_rad);
        std::complex<float> e = w;
        for (int q = 0; q < harmonics; ++q, e *= step) {
          turn(2 * q) += e.real();
          turn(2 * q + 1) += e.imag();
        }
      }
      if (share < 1e-3f) continue;
      if (moved.size() == 0) moved = matcher.moved_harmonics(centred, t);
      auto& signal = sums[static_cast<std::size_t>(matches[i].index)].signal[h];
      for (int q = 0; q < harmonics; ++q) {
        const int first = grid.first_ring[static_cast<std::size_t>(q)], rest = rings - first;
        const auto re = moved.col(2 * q).tail(rest), im = moved.col(2 * q + 1).tail(rest);
        signal.col(2 * q).segment(first, rest) += turn(2 * q) * re - turn(2 * q + 1) * im;
        signal.col(2 * q + 1).segment(first, rest) += turn(2 * q) * im + turn(2 * q + 1) * re;
      }
    }
  }
}

void update_references(State& state, bool centre, int threads) {
  const auto& grid = state.geometry.grid;
  const int count = state.classes();
  state.references.harmonics.resize(static_cast<std::size_t>(count));
  state.frc.resize(static_cast<std::size_t>(count));
  Eigen::VectorXf area(grid.rings);
  for (int j = 0; j < grid.rings; ++j) area(j) = static_cast<float>(grid.area(j));
  const auto transform = make_transform(grid, grid.harmonics);
  const Image mask = soft_disc(state.geometry.work_box, mask_radius_px(state.geometry), mask_edge_px(state.geometry));
  parallel_for(threads, static_cast<std::size_t>(count), [&](std::size_t k) {
    if (static_cast<int>(k) < state.background) {
      state.references.harmonics[k] = Harmonics::Zero(grid.rings, 2 * grid.harmonics);
      state.frc[k] = Eigen::VectorXf::Zero(grid.rings);
      return;
    }
    const auto& sum = state.sums[k];
    const Eigen::VectorXf total = sum.weight[0] + sum.weight[1];
    const float tiny = 1e-6f * (total.maxCoeff() + 1e-20f);
    std::array<Harmonics, 2> halves;
    for (std::size_t h = 0; h < 2; ++h)
      halves[h] = (sum.weight[h].array() + tiny).inverse().matrix().asDiagonal() * sum.signal[h];
    const Eigen::VectorXf cross = smoothed(ring_cross(halves[0], halves[1]));
    const Eigen::VectorXf p0 = smoothed(ring_power(halves[0])), p1 = smoothed(ring_power(halves[1]));
    state.frc[k] = cross.cwiseQuotient(((p0.cwiseProduct(p1)).cwiseSqrt().array() + 1e-30f).matrix());
    // Signal power, at least a twentieth of what noise alone would leave in this average.
    const Eigen::VectorXf noise_power = area.cwiseQuotient((total.array() + tiny).matrix());
    const Eigen::VectorXf signal = cross.cwiseMax(0.05f * noise_power);
    const Eigen::VectorXf denominator =
        total + area.cwiseQuotient(signal) + Eigen::VectorXf::Constant(grid.rings, tiny);
    Harmonics average = denominator.cwiseInverse().asDiagonal() * (sum.signal[0] + sum.signal[1]);
    Image image = to_image(grid, average, state.geometry.work_pixel());
    if (centre) {
      Image masked = image.clone();
      for (std::size_t i = 0; i < image.size(); ++i) masked.pixels()[i] *= mask.pixels()[i];
      const auto shift = centring_shift(masked);
      if (shift.x_px != 0 || shift.y_px != 0) {
        Spectrum spectrum = fft(image);
        fourier_shift(spectrum, shift.x_px, shift.y_px);
        image = ifft(spectrum);
      }
    }
    for (std::size_t i = 0; i < image.size(); ++i) image.pixels()[i] *= mask.pixels()[i];
    state.references.harmonics[k] = from_image(grid, transform, image);
  });
}

int supported_rings(const State& state) {
  const int rings = state.geometry.grid.rings;
  Eigen::VectorXf mean = Eigen::VectorXf::Zero(rings);
  double mass = 0;
  for (int k = state.background; k < state.classes(); ++k) {
    const auto w = state.sums[static_cast<std::size_t>(k)].total();
    mean += static_cast<float>(w) * state.frc[static_cast<std::size_t>(k)];
    mass += w;
  }
  mean /= static_cast<float>(std::max(mass, 1e-9));
  int supported = 0;
  while (supported < rings && mean(supported) > 1.f / 3) ++supported;
  return supported;
}

int reseed(State& state, int classes, double least) {
  double total = 0;
  for (int k = state.background; k < state.classes(); ++k) total += state.sums[static_cast<std::size_t>(k)].total();
  const double mean = total / (classes - state.background);
  std::vector<int> free_slots;
  for (int k = state.background; k < state.classes(); ++k)
    if (state.sums[static_cast<std::size_t>(k)].total() < least * mean) free_slots.push_back(k);
  while (state.classes() < classes) {
    free_slots.push_back(state.classes());
    state.sums.emplace_back(state.geometry.grid);
    state.references.log_prior.push_back(0);
  }
  int made = 0;
  for (const int k : free_slots) {
    const auto largest = std::max_element(state.sums.begin() + state.background, state.sums.end(),
                                          [](const auto& a, const auto& b) { return a.total() < b.total(); });
    if (largest->total() < 1.2 * mean) break;
    ClassSums child = *largest;
    // The two halves of the parent differ by their noise; that is enough for the next steps to pull them apart.
    child.signal[1] = child.signal[0];
    child.weight[1] = child.weight[0];
    child.mass[1] = child.mass[0];
    largest->signal[0] = largest->signal[1];
    largest->weight[0] = largest->weight[1];
    largest->mass[0] = largest->mass[1];
    child.scale(0.5f);
    largest->scale(0.5f);
    state.sums[static_cast<std::size_t>(k)] = std::move(child);
    ++made;
  }
  return made;
}

}  // namespace frazil::class2d
