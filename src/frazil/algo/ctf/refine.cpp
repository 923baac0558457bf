#include "frazil/algo/ctf/refine.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "frazil/base/error.hpp"
#include "frazil/base/finite.hpp"

namespace frazil::ctf {

Level bare_level(const Rings& rings, const Solution& solution, std::size_t bin) {
  expect(solution.background.size() == rings.background.size() && solution.envelope.size() == rings.envelope.size(),
         "a solution goes with rings of its own splines");
  Level level;
  const auto &back = rings.background_at[bin], &env = rings.envelope_at[bin];
  for (int i = 0; i < 4; ++i) {
    level.background += back.weight[static_cast<std::size_t>(i)] * solution.background(back.first + i);
    level.envelope += env.weight[static_cast<std::size_t>(i)] * solution.envelope(env.first + i);
  }
  return level;
}

namespace {

constexpr int max_steps = 40;  // ends by itself: a limit against cycles

// Columns of the model in one bin: 1, q = −cos 2χ, dq/dΔf, dq/dC, dq/dS, dq/dφ, dq/dCs; then the data.
constexpr int columns = 7;
struct Moments {
  std::array<double, columns*(columns + 1) / 2> product{};  ///< upper triangle, row by row
  std::array<double, columns> data{};
  double data2 = 0, count = 0;
  [[nodiscard]] double at(int i, int j) const {
    if (i > j) std::swap(i, j);
    return product[static_cast<std::size_t>(i * columns - i * (i - 1) / 2 + j - i)];
  }
};

template <int used>
std::vector<Moments> moments_of(const Rings& rings, const Waves& waves, const Shape& shape) {
  std::vector<Moments> all(rings.bins());
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    if (rings.in_fit[b] == 0) continue;
    const double u = double{p.u}, uc = double{p.c}, us = double{p.s}, y = double{p.y}, w = double{p.w};
    const double two_chi = 2 * waves.chi(shape, u, uc, us);
    double sine = 0, cosine = 0;
    sine_cosine(two_chi, sine, cosine);
    const double strength = rings.fade[b] * rings.contrast[b], q = -strength * cosine, slope = 2 * strength * sine;
    const std::array<double, columns> v{1,
                                        q,
                                        slope * waves.pi_lambda * u,
                                        0.5 * slope * waves.pi_lambda * uc,
                                        0.5 * slope * waves.pi_lambda * us,
                                        slope,
                                        -slope * waves.per_mm * u * u};
    Moments& m = all[b];
    for (int i = 0; i < used; ++i) {
      const double vi = w * v[static_cast<std::size_t>(i)];
      m.data[static_cast<std::size_t>(i)] += vi * y;
      double* row = m.product.data() + i * columns - i * (i - 1) / 2 - i;
      for (int j = i; j < used; ++j) row[j] += vi * v[static_cast<std::size_t>(j)];
    }
    m.data2 += w * y * y;
    m.count += 1;
  }
  return all;
}

std::vector<Moments> moments(const Rings& rings, const Waves& waves, const Shape& shape, int used_columns) {
  switch (used_columns) {  // known when compiled: the loops over columns unroll
    case 2:
      return moments_of<2>(rings, waves, shape);
    case 5:
      return moments_of<5>(rings, waves, shape);
    case 6:
      return moments_of<6>(rings, waves, shape);
    default:
      return moments_of<columns>(rings, waves, shape);
  }
}

/// Normal equations of background and envelope alone.
struct Linear {
  Eigen::MatrixXd normal;
  Eigen::VectorXd right;
  double data2 = 0, count = 0;
};

Linear assemble_linear(const Rings& rings, const std::vector<Moments>& all) {
  const int nb = rings.background.size(), ne = rings.envelope.size();
  Linear out{Eigen::MatrixXd::Zero(nb + ne, nb + ne), Eigen::VectorXd::Zero(nb + ne)};
  for (std::size_t b = 0; b < all.size(); ++b) {
    const auto& m = all[b];
    if (m.count == 0) continue;
    const auto &back = rings.background_at[b], &env = rings.envelope_at[b];
    for (int i = 0; i < 4; ++i) {
      const auto si = static_cast<std::size_t>(i);
      const int bi = back.first + i, ei = nb + env.first + i;
      out.right(bi) += back.weight[si] * m.data[0];
      out.right(ei) += env.weight[si] * m.data[1];
      for (int j = 0; j < 4; ++j) {
        const auto sj = static_cast<std::size_t>(j);
        const int bj = back.first + j, ej = nb + env.first + j;
        out.normal(bi, bj) += back.weight[si] * back.weight[sj] * m.at(0, 0);
        out.normal(bi, ej) += back.weight[si] * env.weight[sj] * m.at(0, 1);
        out.normal(ei, bj) += env.weight[si] * back.weight[sj] * m.at(0, 1);
        out.normal(ei, ej) += env.weight[si] * env.weight[sj] * m.at(1, 1);
      }
    }
    out.data2 += m.data2;
    out.count += m.count;
  }
  out.normal.diagonal().array() += 1e-10 * out.normal.trace();
  return out;
}

/// Least squares with the first `free_envelope` envelope coefficients ≥ 0, the others 0: the most negative one is fixed
/// at zero until none is left.
void solve_linear(const Rings& rings, const std::vector<Moments>& all, Solution& solution, int free_envelope) {
  const auto linear = assemble_linear(rings, all);
  const int nb = rings.background.size(), ne = rings.envelope.size();
  std::vector<int> active;
  for (int i = 0; i < nb + free_envelope; ++i) active.push_back(i);
  Eigen::VectorXd x;
  for (;;) {
    const Eigen::MatrixXd normal = linear.normal(active, active);
    const Eigen::VectorXd right = linear.right(active);
    x = normal.ldlt().solve(right);
    int worst = -1;
    double lowest = 0;
    for (int i = nb; i < static_cast<int>(active.size()); ++i)
      if (x(i) < lowest) {
        lowest = x(i);
        worst = i;
      }
    if (worst < 0) break;
    active.erase(active.begin() + worst);
  }
  Eigen::VectorXd full = Eigen::VectorXd::Zero(nb + ne);
  for (std::size_t i = 0; i < active.size(); ++i) full(active[i]) = x(static_cast<Eigen::Index>(i));
  solution.background = full.head(nb);
  solution.envelope = full.tail(ne);
  solution.has_rings = solution.envelope.maxCoeff() > 0;
  solution.pixels = linear.count;
  solution.cost = linear.data2 - 2 * full.dot(linear.right) + full.dot(linear.normal * full);
}

/// Normal equations of all parameters at a solution: background, envelope coefficients that are free, shape.
struct Full {
  Eigen::MatrixXd normal;
  Eigen::VectorXd right;  ///< gradient of the residual
  int shape_at = 0;
};

Full assemble_full(const Rings& rings, const std::vector<Moments>& all, const Solution& solution, int shape_count) {
  const int nb = rings.background.size(), ne = rings.envelope.size(), total = nb + ne + shape_count;
  Full out{Eigen::MatrixXd::Zero(total, total), Eigen::VectorXd::Zero(total), nb + ne};
  for (std::size_t b = 0; b < all.size(); ++b) {
    const auto& m = all[b];
    if (m.count == 0) continue;
    const auto &back = rings.background_at[b], &env = rings.envelope_at[b];
    const auto level = bare_level(rings, solution, b);
    // Every parameter's column is factor × one of the seven columns of the bin.
    std::array<int, 13> index{}, column{};
    std::array<double, 13> factor{};
    std::size_t n = 0;
    for (int i = 0; i < 4; ++i, ++n) {
      index[n] = back.first + i;
      column[n] = 0;
      factor[n] = back.weight[static_cast<std::size_t>(i)];
    }
    for (int i = 0; i < 4; ++i, ++n) {
      index[n] = nb + env.first + i;
      column[n] = 1;
      factor[n] = env.weight[static_cast<std::size_t>(i)];
    }
    for (int i = 0; i < shape_count; ++i, ++n) {
      index[n] = nb + ne + i;
      column[n] = 2 + i;
      factor[n] = level.envelope;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const double residual = m.data[static_cast<std::size_t>(column[i])] - level.background * m.at(0, column[i]) -
                              level.envelope * m.at(1, column[i]);
      out.right(index[i]) += factor[i] * residual;
      for (std::size_t j = 0; j < n; ++j)
        out.normal(index[i], index[j]) += factor[i] * factor[j] * m.at(column[i], column[j]);
    }
  }
  for (int i = 0; i < ne; ++i)
    if (solution.envelope(i) <= 0) {
      out.normal.row(nb + i).setZero();
      out.normal.col(nb + i).setZero();
      out.normal(nb + i, nb + i) = 1;
      out.right(nb + i) = 0;
    }
  return out;
}

/// What is left of the shape's normal equations when the linear parameters follow: Schur complement.
struct Reduced {
  Eigen::MatrixXd normal;
  Eigen::VectorXd right;
};

Reduced eliminate_linear(const Full& full) {
  const int n = full.shape_at, s = static_cast<int>(full.right.size()) - n;
  Eigen::MatrixXd linear = full.normal.topLeftCorner(n, n);
  linear.diagonal().array() += 1e-10 * linear.trace();
  const auto factor = linear.ldlt();
  const Eigen::MatrixXd cross = full.normal.topRightCorner(n, s);
  return {full.normal.bottomRightCorner(s, s) - cross.transpose() * factor.solve(cross),
          full.right.tail(s) - cross.transpose() * factor.solve(full.right.head(n))};
}

Shape moved(const Shape& p, const Eigen::VectorXd& step) {
  return {p.defocus + step(0), p.c + step(1), p.s + step(2), p.phase + (step.size() > 3 ? step(3) : 0)};
}

}  // namespace

Level level_at(const Rings& rings, const Solution& solution, std::size_t bin) {
  auto level = bare_level(rings, solution, bin);
  level.envelope *= rings.fade[bin] * rings.contrast[bin];
  return level;
}

namespace {

constexpr int aberrations = 5;            // defocus, C, S, phase, Cs
constexpr double held_phase_rad = 0.1;    // what amplitude contrast may be off by
constexpr double near_sigmas = 2;         // a step within so many of its errors: the linear one will do
constexpr double large_phase_rad = 0.17;  // below that the linear one will do, too
enum class Free { cs, phase };

/// Shape and aberration that fit best with more free than the shape.
struct Freed {
  Waves waves;
  Solution at;
  double phase_rad = 0;  ///< against where the phase is held
  double cost = 0;       ///< of the held phase, too
};

/// Normal equations at `here`: Cs free and the phase held, or the phase free and Cs fixed.
Reduced normal_equations(const Rings& rings, const Freed& here, Free free, double unit) {
  auto reduced =
      eliminate_linear(assemble_full(rings, moments(rings, here.waves, here.at.shape, columns), here.at, aberrations));
  if (free == Free::phase)
    return {reduced.normal.topLeftCorner<aberrations - 1, aberrations - 1>(), reduced.right.head<aberrations - 1>()};
  const double held = unit / (held_phase_rad * held_phase_rad);
  reduced.normal(3, 3) += held;
  reduced.right(3) -= held * here.phase_rad;
  return reduced;
}

Freed step_from(const Rings& rings, const Freed& here, const Eigen::VectorXd& step, Free free, double unit) {
  Freed there = here;
  if (free == Free::cs) there.waves.cs_term += here.waves.per_mm * step(aberrations - 1);
  there.phase_rad += step(3);
  there.at = solve_at(rings, there.waves, moved(here.at.shape, step));
  there.cost = there.at.cost + (free == Free::cs ? unit * std::pow(there.phase_rad / held_phase_rad, 2) : 0);
  return there;
}

/// Levenberg–Marquardt from `start` until a step is small against its error.
Freed descend(const Rings& rings, Freed here, Free free, double unit) {
  constexpr int most_steps = 12, most_attempts = 5;
  double damping = 0;
  for (int i = 0; i < most_steps; ++i) {
    const auto reduced = normal_equations(rings, here, free, unit);
    bool is_better = false, is_small = false;
    for (int attempt = 0; attempt < most_attempts && !is_better; ++attempt) {
      Eigen::MatrixXd normal = reduced.normal;
      normal.diagonal() *= 1 + damping;
      const Eigen::VectorXd step = normal.ldlt().solve(reduced.right);
      if (!step.allFinite()) return here;
      auto there = step_from(rings, here, step, free, unit);
      is_small = step.dot(reduced.right) < 0.05 * unit;  // what it would gain
      is_better = there.cost < here.cost;
      if (is_better) here = std::move(there);
      damping = is_better ? damping / 5 : std::max(0.03, 5 * damping);
    }
    if (!is_better || is_small) break;
  }
  return here;
}

/// From the shape as it is, and, where overfocus fits better, from that: rings of −Δf and Cs are those of Δf and −Cs.
Freed fit_cs(const Rings& rings, const Waves& waves, const Solution& solution, const Solution& over, double unit) {
  auto best = descend(rings, {waves, solution, 0, solution.cost}, Free::cs, unit);
  if (over.cost < solution.cost && over.shape.defocus < 0) {
    Freed mirrored{waves, {}, 0, 0};
    mirrored.waves.cs_term = -waves.cs_term;
    const auto& s = over.shape;
    mirrored.at = solve_at(rings, mirrored.waves, {-s.defocus, -s.c, -s.s, solution.shape.phase});
    mirrored.cost = mirrored.at.cost;
    if (auto other = descend(rings, std::move(mirrored), Free::cs, unit); other.cost < best.cost)
      best = std::move(other);
  }
  return best;
}

/// From the phase as it is and from 60° to either side: rings know it modulo 180°.
Freed fit_phase(const Rings& rings, const Waves& waves, const Solution& solution, double unit) {
  auto best = descend(rings, {waves, solution, 0, solution.cost}, Free::phase, unit);
  for (const double turn : {-std::numbers::pi / 3, std::numbers::pi / 3}) {
    auto shape = solution.shape;
    shape.phase += turn;
    auto start = solve_at(rings, waves, shape);
    const double cost = start.cost;
    if (auto other = descend(rings, {waves, std::move(start), turn, cost}, Free::phase, unit); other.cost < best.cost)
      best = std::move(other);
  }
  return best;
}

double variance_of(const Reduced& reduced, int which, double unit) {
  return unit * reduced.normal.ldlt().solve(Eigen::VectorXd::Unit(reduced.normal.rows(), which))(which);
}

}  // namespace

Aberration find_aberration(const Rings& rings, const Waves& waves, const Solution& solution, const Solution& over,
                           double unit) {
  Aberration out{{}, {}, waves, solution};
  if (!solution.has_rings || !(unit > 0)) return out;
  const Freed start{waves, solution, 0, solution.cost};
  const auto by_cs = normal_equations(rings, start, Free::cs, unit),
             by_phase = normal_equations(rings, start, Free::phase, unit);
  const Eigen::VectorXd cs_step = by_cs.normal.ldlt().solve(by_cs.right),
                        phase_step = by_phase.normal.ldlt().solve(by_phase.right);
  const double cs_variance = variance_of(by_cs, aberrations - 1, unit), phase_variance = variance_of(by_phase, 3, unit);
  if (!cs_step.allFinite() || !phase_step.allFinite() || !(cs_variance > 0) || !(phase_variance > 0)) return out;
  out.cs = {cs_step(aberrations - 1), std::sqrt(cs_variance), 0};
  out.phase = {phase_step(3), std::sqrt(phase_variance)};
  Reduced at = by_cs;
  double cs_cost = solution.cost - cs_step.dot(by_cs.right),
         phase_cost = solution.cost - phase_step.dot(by_phase.right);
  if (std::abs(out.cs.mm) > near_sigmas * out.cs.sigma_mm || over.cost < solution.cost) {
    auto found = fit_cs(rings, waves, solution, over, unit);
    at = normal_equations(rings, found, Free::cs, unit);
    if (const double variance = variance_of(at, aberrations - 1, unit); variance > 0) {
      out.cs = {(found.waves.cs_term - waves.cs_term) / waves.per_mm, std::sqrt(variance), 0};
      cs_cost = found.cost;
      out.waves = found.waves;
      out.solution = std::move(found.at);
    }
  }
  if (std::abs(out.phase.rad) > large_phase_rad) {
    const auto found = fit_phase(rings, waves, solution, unit);
    if (const double variance = variance_of(normal_equations(rings, found, Free::phase, unit), 3, unit); variance > 0) {
      out.phase = {std::remainder(found.phase_rad, std::numbers::pi), std::sqrt(variance)};
      phase_cost = found.cost;
    }
  }
  const Eigen::Vector3d follow =
      -at.normal.topLeftCorner<3, 3>().ldlt().solve(at.normal.block<3, 1>(0, aberrations - 1));
  if (follow.allFinite()) out.cs.defocus_A_per_mm = follow(0);
  out.phase.over_cs = (cs_cost - phase_cost) / unit;
  return out;
}

Rings seen_part(const Rings& rings, const Waves& waves, const Solution& solution, double unit) {
  // χ² of 18 for one freedom: by chance in 2e-5 of the places where the band may end; one more for each freedom of the
  // envelope beyond. A tenth of room, and a band that holds a ring at 0.5 µm.
  constexpr double chance = 18, margin = 1.1, least_band_per_A = 0.04;
  if (!solution.has_rings || !(unit > 0)) return rings;
  const auto sums = moments(rings, waves, solution.shape, 2);
  const double spacing = (rings.k_max - rings.k_min) / std::max(1, rings.envelope.size() - 3);
  double gain = 0, end = rings.k_max;
  for (std::size_t b = rings.bins(); b-- > 0;) {
    if (rings.in_fit[b] == 0) continue;
    const auto level = bare_level(rings, solution, b);
    gain += 2 * level.envelope * (sums[b].data[1] - level.background * sums[b].at(0, 1)) -
            level.envelope * level.envelope * sums[b].at(1, 1);
    if (gain < unit * (chance + (rings.k_max - rings.k[b]) / spacing)) continue;
    end = rings.k[b];
    break;
  }
  Rings seen = rings;
  seen.k_max = std::min(rings.k_max, std::max(margin * end, rings.k_min + least_band_per_A));
  for (std::size_t b = 0; b < seen.bins(); ++b)
    if (seen.k[b] > seen.k_max) seen.in_fit[b] = 0;
  if (seen.k_max < rings.k_max) set_stiffness(seen, 1);
  return seen;
}

Sensitivity sensitivity(const Rings& rings, const Waves& waves, const Solution& solution,
                        const RefineOptions& options) {
  const int shapes = options.fit_phase ? 4 : 3;
  auto full = assemble_full(rings, moments(rings, waves, solution.shape, columns), solution, shapes);
  const auto n = full.shape_at;
  full.normal(n + 1, n + 1) += options.astigmatism_weight;
  full.normal(n + 2, n + 2) += options.astigmatism_weight;
  Eigen::MatrixXd linear = full.normal.topLeftCorner(n, n);
  linear.diagonal().array() += 1e-10 * linear.trace();
  const Eigen::MatrixXd cross = full.normal.topRightCorner(n, shapes), follow = linear.ldlt().solve(cross);
  const Eigen::MatrixXd reduced = full.normal.bottomRightCorner(shapes, shapes) - cross.transpose() * follow;
  return {full.normal, follow, reduced.ldlt().solve(Eigen::MatrixXd::Identity(shapes, shapes))};
}

Solution refine_overfocus(const Rings& rings, const Waves& waves, const Solution& solution) {
  double cubes = 0, squares = 0, ones = 0;
  for (std::size_t b = 0; b < rings.bins(); ++b) {
    if (rings.in_fit[b] == 0) continue;
    const double u = rings.k[b] * rings.k[b], e = at_least_zero(level_at(rings, solution, b).envelope),
                 w = rings.count[b] * e * e;
    cubes += w * u * u * u;
    squares += w * u * u;
    ones += w * u;
  }
  const double shift = squares > 0 ? 2 * (waves.cs_term * cubes - (waves.offset + solution.shape.phase) * ones) /
                                         (waves.pi_lambda * squares)
                                   : 0;
  return refine(rings, waves,
                {shift - solution.shape.defocus, -solution.shape.c, -solution.shape.s, solution.shape.phase}, {});
}

Solution solve_sums(const Rings& rings, const std::vector<RingSums>& sums) {
  std::vector<Moments> all(sums.size());
  for (std::size_t b = 0; b < sums.size(); ++b) {
    const auto& s = sums[b];
    all[b].product[0] = s.one;
    all[b].product[1] = s.q;
    all[b].product[columns] = s.qq;
    all[b].data[0] = s.y;
    all[b].data[1] = s.qy;
    all[b].data2 = s.yy;
    all[b].count = s.one > 0 ? 1 : 0;
  }
  Solution solution;
  solve_linear(rings, all, solution, rings.envelope.size());
  return solution;
}

void weigh(Rings& rings, const Waves& waves, const Solution& solution) {
  constexpr double least = 0.15;  // of the background: zeros of strong rings shall not outweigh everything
  std::vector<Level> level;
  for (std::size_t b = 0; b < rings.bins(); ++b) level.push_back(level_at(rings, solution, b));
  for (auto& p : rings.pixels) {
    const auto& here = level[static_cast<std::size_t>(p.bin)];
    const double back = std::max(1e-3, here.background);
    const double expected = std::max(least * back, back - here.envelope * waves.cosine(solution.shape, p));
    p.w = static_cast<float>(1 / (expected * expected));
  }
}

Solution solve_at(const Rings& rings, const Waves& waves, const Shape& shape) {
  Solution solution;
  solution.shape = shape;
  solve_linear(rings, moments(rings, waves, shape, 2), solution, rings.envelope.size());
  return solution;
}

Solution solve_without_rings(const Rings& rings) {
  Solution solution;
  std::vector<Moments> all(rings.bins());
  for (const auto& p : rings.pixels) {
    Moments& m = all[static_cast<std::size_t>(p.bin)];
    if (rings.in_fit[static_cast<std::size_t>(p.bin)] == 0) continue;
    const double y = double{p.y}, w = double{p.w};
    m.product[0] += w;
    m.data[0] += w * y;
    m.data2 += w * y * y;
    m.count += 1;
  }
  solve_linear(rings, all, solution, 0);
  return solution;
}

Solution refine(const Rings& rings, const Waves& waves, const Shape& start, const RefineOptions& options) {
  const int shape_count = options.fit_phase ? 4 : 3, used = 2 + shape_count;
  const auto solve = [&](const Shape& shape, const std::vector<Moments>& sums) {
    Solution solution;
    solution.shape = shape;
    solve_linear(rings, sums, solution, rings.envelope.size());
    solution.cost +=
        options.astigmatism_weight * (std::pow(shape.c - options.prior_c, 2) + std::pow(shape.s - options.prior_s, 2));
    return solution;
  };
  const auto normal_equations = [&](const Solution& solution, const std::vector<Moments>& sums) {
    auto reduced = eliminate_linear(assemble_full(rings, sums, solution, shape_count));
    const double w = options.astigmatism_weight;
    reduced.normal(1, 1) += w;
    reduced.normal(2, 2) += w;
    reduced.right(1) -= w * (solution.shape.c - options.prior_c);
    reduced.right(2) -= w * (solution.shape.s - options.prior_s);
    return reduced;
  };
  auto sums = moments(rings, waves, start, used);
  Solution best = solve(start, sums);
  double damping = 1e-3;
  for (int step = 0; step < max_steps && best.has_rings && damping < 1e6; ++step) {
    const auto reduced = normal_equations(best, sums);
    Eigen::MatrixXd normal = reduced.normal;
    normal.diagonal() *= 1 + damping;
    const Eigen::VectorXd move = normal.ldlt().solve(reduced.right);
    if (!move.allFinite()) break;
    const Shape shape = moved(best.shape, move);
    auto next_sums = moments(rings, waves, shape, used);
    Solution next = solve(shape, next_sums);
    if (!(next.cost < best.cost)) {  // a cost that is not a number is no improvement
      damping *= 10;
      continue;
    }
    const bool done =
        best.cost - next.cost < 1e-9 * best.cost || std::abs(move(0)) + std::abs(move(1)) + std::abs(move(2)) < 0.5;
    best = std::move(next);
    sums = std::move(next_sums);
    damping = std::max(1e-6, damping / 10);
    if (done) break;
  }
  if (best.has_rings)
    best.covariance.topLeftCorner(shape_count, shape_count) =
        normal_equations(best, sums).normal.ldlt().solve(Eigen::MatrixXd::Identity(shape_count, shape_count));
  return best;
}

}  // namespace frazil::ctf
