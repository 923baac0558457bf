#include "frazil/algo/recon/align.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "frazil/algo/recon/projector.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::recon {
namespace {

using Complex = std::complex<float>;
using std::numbers::pi;

/// Components of the reference up to a shell, one of each ±k pair.
struct Cloud {
  std::vector<Vector3> k;
  std::vector<Complex> value;
  double power = 0;
};

Cloud cloud_of(const Projector& reference, int max_k) {
  Cloud cloud;
  for (int z = -max_k; z <= max_k; ++z)
    for (int y = -max_k; y <= max_k; ++y)
      for (int x = 0; x <= max_k; ++x) {
        const int k2 = x * x + y * y + z * z;
        if (k2 == 0 || k2 > max_k * max_k || (x == 0 && (y < 0 || (y == 0 && z < 0)))) continue;
        cloud.k.emplace_back(x, y, z);
        cloud.value.push_back(reference.at(x, y, z));
        cloud.power += std::norm(cloud.value.back());
      }
  return cloud;
}

struct Candidate {
  double score = -2;
  bool mirrored = false;
  Matrix3 rotation = Matrix3::Identity();
  Vector3 shift = Vector3::Zero();
};

/// Best translation of the moving map turned by `a`: peak of the correlation on a grid as fine as max_k needs.
Candidate best_shift(const Cloud& cloud, const Projector& moving, const Matrix3& a, int box, int grid) {
  VolumeSpectrum product(grid, grid, grid);
  const Matrix3 back = a.transpose();
  double power = 0;
  const auto wrap = [grid](double i) { return static_cast<int>(i < 0 ? i + grid : i); };
  for (std::size_t j = 0; j < cloud.k.size(); ++j) {
    const auto& k = cloud.k[j];
    const Vector3 q = back * k;
    const auto m = moving.at(q.x(), q.y(), q.z());
    power += std::norm(m);
    const auto v = cloud.value[j] * std::conj(m);
    product(static_cast<int>(k.x()), wrap(k.y()), wrap(k.z())) = v;
    if (k.x() == 0) product(0, wrap(-k.y()), wrap(-k.z())) = std::conj(v);
  }
  const auto map = ifft(product);
  const auto best = static_cast<int>(std::max_element(map.data(), map.data() + map.size()) - map.data());
  const auto centred = [&](int i) { return static_cast<double>(i > grid / 2 ? i - grid : i) * box / grid; };
  Candidate c;
  c.rotation = a;
  c.shift = Vector3(centred(best % grid), centred(best / grid % grid), centred(best / grid / grid));
  c.score = map.data()[best] * std::pow(grid, 3) / (2 * std::sqrt(std::max(power * cloud.power, 1e-60)));
  return c;
}

double correlation_at(const Cloud& cloud, const Projector& moving, const Matrix3& a, const Vector3& shift, int box) {
  const Matrix3 back = a.transpose();
  double cross = 0, power = 0;
  for (std::size_t j = 0; j < cloud.k.size(); ++j) {
    const Vector3 q = back * cloud.k[j];
    const auto m = moving.at(q.x(), q.y(), q.z());
    const double phase = -2 * pi * cloud.k[j].dot(shift) / box;
    const Complex turned = m * Complex(static_cast<float>(std::cos(phase)), static_cast<float>(std::sin(phase)));
    cross += (cloud.value[j] * std::conj(turned)).real();
    power += std::norm(m);
  }
  return cross / std::sqrt(std::max(power * cloud.power, 1e-60));
}

/// Pattern search over three small rotations and three shifts, halving the steps.
Candidate descend(const Cloud& cloud, const Projector& moving, Candidate c, int box, Degrees step) {
  c.score = correlation_at(cloud, moving, c.rotation, c.shift, box);
  Degrees angle = step / 2;
  double shift_step = 1;
  while (angle > 0.2_deg) {
    bool better = false;
    for (int axis = 0; axis < 6; ++axis)
      for (const int sign : {1, -1}) {
        Candidate trial = c;
        if (axis < 3)
          trial.rotation = about_axis(Vector3::Unit(axis), sign * angle) * c.rotation;
        else
          trial.shift += sign * shift_step * Vector3::Unit(axis - 3);
        trial.score = correlation_at(cloud, moving, trial.rotation, trial.shift, box);
        if (trial.score > c.score) {
          c = trial;
          better = true;
          break;
        }
      }
    if (better) continue;
    angle *= 0.5;
    shift_step *= 0.5;
  }
  return c;
}

int shell_of(Angstrom resolution, const Volume& v) {
  return std::clamp(static_cast<int>(std::lround(v.nx() * (v.pixel_size / resolution))), 2, v.nx() / 2 - 1);
}

std::vector<Matrix3> rotation_grid(Degrees step) {
  std::vector<Matrix3> grid;
  const int turns = static_cast<int>(std::ceil(360.0 / step.value()));
  for (const auto& d : even_directions(step))
    for (int i = 0; i < turns; ++i) grid.push_back(looking_along(d, 360_deg * i / turns));
  return grid;
}

}  // namespace

Alignment align_volumes(const Volume& reference, const Volume& moving, const AlignParams& params) {
  expect(reference.nx() == moving.nx() && reference.size() == moving.size(), "both maps have one box");
  const int box = reference.nx(), fine = shell_of(params.resolution, reference),
            coarse = std::min(shell_of(params.coarse_resolution, reference), fine);
  const Projector target(reference, fine);
  const auto cloud = cloud_of(target, coarse), fine_cloud = cloud_of(target, fine);
  const int grid = good_size(2 * coarse + 2);
  const auto rotations = rotation_grid(params.step);
  Candidate best;
  for (int hand = 0; hand < (params.both_hands ? 2 : 1); ++hand) {
    const Projector source(hand == 1 ? mirror(moving) : moving.clone(), fine);
    std::vector<Candidate> found(rotations.size());
    parallel_for(params.threads, rotations.size(),
                 [&](std::size_t i) { found[i] = best_shift(cloud, source, rotations[i], box, grid); });
    std::stable_sort(found.begin(), found.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    found.resize(std::min(found.size(), static_cast<std::size_t>(params.candidates)));
    parallel_for(params.threads, found.size(), [&](std::size_t i) {
      found[i] = descend(cloud, source, found[i], box, params.step);
      found[i].mirrored = hand == 1;
      found[i].score = correlation_at(fine_cloud, source, found[i].rotation, found[i].shift, box);
    });
    std::stable_sort(found.begin(), found.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    found.resize(std::min<std::size_t>(found.size(), 3));
    parallel_for(params.threads, found.size(),
                 [&](std::size_t i) { found[i] = descend(fine_cloud, source, found[i], box, params.step / 3); });
    for (const auto& c : found)
      if (c.score > best.score) best = c;
  }
  return {best.mirrored, best.rotation, best.shift, best.score};
}

Volume apply(const Alignment& alignment, const Volume& moving) {
  return rotate(alignment.mirrored ? mirror(moving) : moving.clone(), alignment.rotation, alignment.shift_px,
                moving.nx() / 2 - 1);
}

}  // namespace frazil::recon
