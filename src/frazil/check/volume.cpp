#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/check/checks.hpp"
#include "frazil/image/fft.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"

namespace frazil::check {
namespace {

using std::numbers::pi;

/// Rotation as a unit quaternion (w, x, y, z), mirror in z before it, shift in Å after it.
struct Placement {
  std::array<double, 4> q{1, 0, 0, 0};
  bool mirrored = false;
  Vector3 shift_A{};
};

std::array<double, 4> product(const std::array<double, 4>& a, const std::array<double, 4>& b) {
  return {a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3], a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
          a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1], a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0]};
}

std::array<Vector3, 3> matrix_of(const std::array<double, 4>& q) {
  const auto [w, x, y, z] = q;
  return {{{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
           {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
           {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}}};
}

Vector3 apply(const std::array<Vector3, 3>& m, const Placement& p, Vector3 r) {
  if (p.mirrored) r[2] = -r[2];
  Vector3 out = p.shift_A;
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) out[i] += m[i][j] * r[j];
  return out;
}

/// Trilinear value at a place in Å from the centre; 0 outside.
double sample(const Volume& v, const Vector3& r_A) {
  const double s = 1 / v.pixel_size.value(), x = r_A[0] * s + v.nx() / 2, y = r_A[1] * s + v.ny() / 2,
               z = r_A[2] * s + v.nz() / 2;
  const int ix = static_cast<int>(std::floor(x)), iy = static_cast<int>(std::floor(y)),
            iz = static_cast<int>(std::floor(z));
  if (ix < 0 || iy < 0 || iz < 0 || ix + 1 >= v.nx() || iy + 1 >= v.ny() || iz + 1 >= v.nz()) return 0;
  const double fx = x - ix, fy = y - iy, fz = z - iz;
  const auto row = [&](int jy, int jz) { return v(ix, jy, jz) * (1 - fx) + v(ix + 1, jy, jz) * fx; };
  return (row(iy, iz) * (1 - fy) + row(iy + 1, iz) * fy) * (1 - fz) +
         (row(iy, iz + 1) * (1 - fy) + row(iy + 1, iz + 1) * fy) * fz;
}

/// Gaussian low-pass, half amplitude at `resolution`.
Volume low_pass(const Volume& v, double resolution_A) {
  auto f = fft(v);
  const double sigma2 = 1 / (resolution_A * resolution_A * std::numbers::ln2);
  for (int z = 0; z < f.nz(); ++z)
    for (int y = 0; y < f.ny(); ++y)
      for (int x = 0; x < f.columns(); ++x) {
        const double ky = y <= f.ny() / 2 ? y : y - f.ny(), kz = z <= f.nz() / 2 ? z : z - f.nz(),
                     side_A = v.nx() * v.pixel_size.value();
        f(x, y, z) *= static_cast<float>(std::exp(-(x * x + ky * ky + kz * kz) / (side_A * side_A) / sigma2));
      }
  auto out = ifft(f);
  out.pixel_size = v.pixel_size;
  return out;
}

/// Points of the truth in a ball and its values there.
struct Points {
  std::vector<Vector3> places_A;
  std::vector<double> values;
};

Points take_points(const Volume& truth, double radius_A, double spacing_A) {
  Points points;
  const int reach = static_cast<int>(radius_A / spacing_A);
  for (int z = -reach; z <= reach; ++z)
    for (int y = -reach; y <= reach; ++y)
      for (int x = -reach; x <= reach; ++x) {
        const Vector3 r{x * spacing_A, y * spacing_A, z * spacing_A};
        if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] > radius_A * radius_A) continue;
        points.places_A.push_back(r);
        points.values.push_back(sample(truth, r));
      }
  return points;
}

/// Pearson correlation of the points with the volume at their images.
double score(const Points& points, const Volume& found, const Placement& placement) {
  const auto m = matrix_of(placement.q);
  double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
  for (std::size_t i = 0; i < points.places_A.size(); ++i) {
    const double a = points.values[i], b = sample(found, apply(m, placement, points.places_A[i]));
    sx += a, sy += b, sxx += a * a, syy += b * b, sxy += a * b;
  }
  const auto n = static_cast<double>(points.places_A.size());
  const double vx = sxx - sx * sx / n, vy = syy - sy * sy / n;
  return vx > 0 && vy > 0 ? (sxy - sx * sy / n) / std::sqrt(vx * vy) : 0;
}

/// Where the positive mass of a volume lies, in Å from the centre.
Vector3 centre_of_mass(const Volume& v) {
  Vector3 sum{};
  double mass = 0;
  const double limit = *std::max_element(v.voxels().begin(), v.voxels().end()) * 0.2;
  for (int z = 0; z < v.nz(); ++z)
    for (int y = 0; y < v.ny(); ++y)
      for (int x = 0; x < v.nx(); ++x)
        if (const double w = v(x, y, z); w > limit) {
          mass += w;
          sum[0] += w * (x - v.nx() / 2), sum[1] += w * (y - v.ny() / 2), sum[2] += w * (z - v.nz() / 2);
        }
  for (auto& s : sum) s = mass > 0 ? s / mass * v.pixel_size.value() : 0;
  return sum;
}

std::array<double, 4> turn(std::size_t axis, double angle_rad) {
  std::array<double, 4> q{std::cos(angle_rad / 2), 0, 0, 0};
  q[axis + 1] = std::sin(angle_rad / 2);
  return q;
}

/// Pattern search over the six degrees of freedom; steps halve when nothing helps.
double refine(const Points& points, const Volume& found, Placement& placement, double angle_deg, double shift_A,
              double stop_deg) {
  double best = score(points, found, placement);
  while (angle_deg > stop_deg) {
    bool better = false;
    for (std::size_t axis = 0; axis < 3; ++axis)
      for (const double sign : {-1.0, 1.0}) {
        Placement turned = placement, moved = placement;
        turned.q = product(turn(axis, sign * angle_deg * pi / 180), placement.q);
        moved.shift_A[axis] += sign * shift_A;
        for (const auto& candidate : {turned, moved})
          if (const double s = score(points, found, candidate); s > best)
            best = s, placement = candidate, better = true;
      }
    if (!better) angle_deg /= 2, shift_A /= 2;
  }
  return best;
}

/// Rotations about 15° apart: spiral of view directions times in-plane turns.
std::vector<std::array<double, 4>> coarse_rotations() {
  constexpr int views = 180, turns = 24;
  std::vector<std::array<double, 4>> list;
  for (int i = 0; i < views; ++i) {
    const double tilt = std::acos(1 - (2 * i + 1.0) / views), rot = i * pi * (3 - std::sqrt(5.0));
    for (int j = 0; j < turns; ++j)
      list.push_back(product(product(turn(2, rot), turn(1, tilt)), turn(2, 2 * pi * j / turns)));
  }
  return list;
}

/// Best placement of the truth in the found volume: all rotations and both hands at 30 Å, the best 24 refined there,
/// the winner at finer scale.
std::pair<Placement, double> align(const Volume& found, const Volume& truth, double radius_A) {
  const auto rough_truth = low_pass(truth, 30), rough_found = low_pass(found, 30);
  const auto rough = take_points(rough_truth, radius_A, radius_A / 8);
  const auto at_truth = centre_of_mass(rough_truth), at_found = centre_of_mass(rough_found);
  std::vector<std::pair<double, Placement>> list;
  for (const auto& q : coarse_rotations())
    for (const bool mirrored : {false, true}) {
      Placement p{q, mirrored, {}};
      const auto moved = apply(matrix_of(q), p, at_truth);
      for (std::size_t c = 0; c < 3; ++c) p.shift_A[c] = at_found[c] - moved[c];
      list.emplace_back(score(rough, rough_found, p), p);
    }
  constexpr std::ptrdiff_t kept = 24;
  std::partial_sort(list.begin(), list.begin() + kept, list.end(),
                    [](const auto& a, const auto& b) { return a.first > b.first; });
  std::pair<double, Placement> best{-2, {}};
  for (std::ptrdiff_t i = 0; i < kept; ++i) {
    auto& [s, p] = list[static_cast<std::size_t>(i)];
    s = refine(rough, rough_found, p, 8, 8, 1);
    if (s > best.first) best = {s, p};
  }
  const auto fine_truth = low_pass(truth, 12), fine_found = low_pass(found, 12);
  const auto fine = take_points(fine_truth, radius_A, std::max(4.0, radius_A / 24));
  // The hand is decided at the finer scale: both are refined there.
  std::pair<double, Placement> winner{-2, {}};
  for (std::ptrdiff_t i = 0; i < kept; ++i) {
    auto& [s, p] = list[static_cast<std::size_t>(i)];
    if (s < best.first - 0.03) continue;
    auto placed = p;
    const double reached = refine(fine, fine_found, placed, 1, 2, 0.5);
    if (reached > winner.first) winner = {reached, placed};
  }
  winner.first = refine(fine, fine_found, winner.second, 0.5, 1, 0.05);
  return {winner.second, winner.first};
}

/// The found volume in the frame and on the grid of the truth. The source is first sampled twice as finely.
Volume bring_back(const Volume& found, const Volume& truth, const Placement& placement) {
  const auto fine = fourier_resize(found, 2 * found.nx());
  const auto m = matrix_of(placement.q);
  Volume out(truth.nx(), truth.ny(), truth.nz(), truth.pixel_size);
  const double s = truth.pixel_size.value();
  for (int z = 0; z < out.nz(); ++z)
    for (int y = 0; y < out.ny(); ++y)
      for (int x = 0; x < out.nx(); ++x)
        out(x, y, z) = static_cast<float>(sample(
            fine, apply(m, placement, {(x - out.nx() / 2) * s, (y - out.ny() / 2) * s, (z - out.nz() / 2) * s})));
  return out;
}

void mask_ball(Volume& v, double radius_A) {
  const double edge_A = 20, s = v.pixel_size.value();
  double mean = 0;
  std::size_t count = 0;
  const auto distance = [&](int x, int y, int z) {
    return s * std::sqrt(std::pow(x - v.nx() / 2, 2) + std::pow(y - v.ny() / 2, 2) + std::pow(z - v.nz() / 2, 2));
  };
  for (int pass = 0; pass < 2; ++pass)
    for (int z = 0; z < v.nz(); ++z)
      for (int y = 0; y < v.ny(); ++y)
        for (int x = 0; x < v.nx(); ++x) {
          const double d = distance(x, y, z);
          if (pass == 0) {
            if (d > radius_A) mean += v(x, y, z), ++count;
            continue;
          }
          const double w = d < radius_A            ? 1
                           : d > radius_A + edge_A ? 0
                                                   : 0.5 + 0.5 * std::cos(pi * (d - radius_A) / edge_A);
          v(x, y, z) = static_cast<float>(w * (v(x, y, z) - (count > 0 ? mean / static_cast<double>(count) : 0)));
        }
}

/// Resolution where the curve first falls below `level`, linear between shells; 0 if it never does.
double crossing_A(const std::vector<double>& k, const std::vector<double>& fsc, double level) {
  for (std::size_t i = 1; i < fsc.size(); ++i)
    if (fsc[i] < level)
      return 1 / (k[i - 1] + (k[i] - k[i - 1]) * std::clamp((fsc[i - 1] - level) / (fsc[i - 1] - fsc[i]), 0.0, 1.0) +
                  1e-12);
  return k.empty() ? 0 : 1 / k.back();
}

}  // namespace

Json compare_volumes(const Volume& found, const Volume& truth, double diameter_A) {
  const double radius_A = diameter_A / 2 + 10;
  const auto [placement, reached] = align(found, truth, radius_A);
  auto a = bring_back(found, truth, placement);
  auto b = truth.clone();
  const double mask_A = std::min(radius_A, 0.5 * truth.nx() * truth.pixel_size.value() - 20);
  mask_ball(a, mask_A);
  mask_ball(b, mask_A);
  const auto fa = fft(a), fb = fft(b);
  const int shells = truth.nx() / 2;
  std::vector<double> cross(static_cast<std::size_t>(shells)), pa(cross.size()), pb(cross.size()), k, fsc;
  for (int z = 0; z < fa.nz(); ++z)
    for (int y = 0; y < fa.ny(); ++y)
      for (int x = 0; x < fa.columns(); ++x) {
        const double ky = y <= fa.ny() / 2 ? y : y - fa.ny(), kz = z <= fa.nz() / 2 ? z : z - fa.nz();
        const auto shell = static_cast<std::size_t>(std::lround(std::sqrt(x * x + ky * ky + kz * kz)));
        if (shell >= cross.size()) continue;
        cross[shell] += (fa(x, y, z) * std::conj(fb(x, y, z))).real(), pa[shell] += std::norm(fa(x, y, z)),
            pb[shell] += std::norm(fb(x, y, z));
      }
  // Beyond the found map's own Nyquist frequency there is nothing to compare.
  const double k_max = 0.5 / found.pixel_size.value();
  for (int s = 1; s < shells; ++s) {
    const auto i = static_cast<std::size_t>(s);
    if (s / (truth.nx() * truth.pixel_size.value()) > k_max) break;
    k.push_back(s / (truth.nx() * truth.pixel_size.value()));
    fsc.push_back(pa[i] > 0 && pb[i] > 0 ? cross[i] / std::sqrt(pa[i] * pb[i]) : 0);
  }
  return {{"fsc_half_A", crossing_A(k, fsc, 0.5)},
          {"fsc_0143_A", crossing_A(k, fsc, 0.143)},
          {"correlation", reached},
          {"hand", placement.mirrored ? "mirrored" : "same"},
          {"k_per_A", k},
          {"fsc", fsc}};
}

Json check_volume(const Truth& truth, const std::filesystem::path& map, int specimen) {
  if (specimen < 0 || static_cast<std::size_t>(specimen) >= truth.specimens.size())
    throw Error(ErrorCode::bad_input, "--specimen {}: the scene has {}", specimen, truth.specimens.size());
  const auto& s = truth.specimens[static_cast<std::size_t>(specimen)];
  return compare_volumes(io::read_volume(map), io::read_volume(s.map), s.diameter_A);
}

}  // namespace frazil::check
