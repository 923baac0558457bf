// How the rings' amplitude falls: decay, and nodes of thick ice.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "frazil/algo/ctf/refine.hpp"
#include "frazil/base/sinc.hpp"

namespace frazil::ctf {
namespace {

/// Mean square of the shells' mean residuals over their variance, at least 1.
double radial_misfit(const Rings& rings, const std::vector<RingSums>& sums, const Solution& solution, double unit) {
  double sum = 0, n = 0;
  for (std::size_t b = 0; b < sums.size(); ++b) {
    if (!(sums[b].one > 0)) continue;
    const auto level = bare_level(rings, solution, b);
    const double residual = sums[b].y - level.background * sums[b].one - level.envelope * sums[b].q;
    sum += residual * residual / (unit * sums[b].one);
    n += 1;
  }
  return n > 0 ? std::max(1.0, sum / n) : 1;
}

/// sinc(λ k² t).
double node_contrast(double lambda, double k, double t_A) { return sinc(std::numbers::pi * lambda * k * k * t_A); }

/// Sums with the rings at full strength: neither fade nor contrast.
std::vector<RingSums> bare_sums(const Rings& rings, const Waves& waves, const Shape& shape) {
  std::vector<RingSums> all(rings.bins());
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    if (rings.in_fit[b] == 0) continue;
    all[b].add(double{p.w}, -waves.cosine(shape, p), double{p.y});
  }
  return all;
}

/// The same with rings of the strength `factor` in each bin.
std::vector<RingSums> scaled(std::vector<RingSums> sums, const std::vector<double>& factor) {
  for (std::size_t b = 0; b < sums.size(); ++b) {
    sums[b].q *= factor[b];
    sums[b].qq *= factor[b] * factor[b];
    sums[b].qy *= factor[b];
  }
  return sums;
}

/// Ways in which rings may fade: as the spline alone lets them, or as exp(−B k²/2) over the baseline, B in steps of
/// `step_A2`.
std::vector<std::vector<double>> fades(const Rings& rings, double step_A2) {
  constexpr double largest_A2 = 1000;  // leaves exp(−5) of the rings at 10 Å: there are none to fit then
  std::vector<std::vector<double>> all{std::vector<double>(rings.bins(), 1.0)};
  for (double b_A2 = 0; b_A2 <= largest_A2; b_A2 += step_A2) {
    std::vector<double> fade;
    for (std::size_t b = 0; b < rings.bins(); ++b)
      fade.push_back(std::exp(-0.5 * b_A2 * (rings.k[b] * rings.k[b] - rings.k[0] * rings.k[0])) * rings.baseline[0] /
                     rings.baseline[b]);
    const double top = *std::max_element(fade.begin(), fade.end());
    for (double& f : fade) f /= top;
    all.push_back(std::move(fade));
  }
  return all;
}

/// Contrast that ice of thickness t leaves; `inverted`: the rings come back beyond a node, else they end at the first.
std::vector<double> contrast_of(const Rings& rings, const Waves& waves, double t_A, bool inverted) {
  const double lambda = waves.pi_lambda / std::numbers::pi;
  std::vector<double> all;
  for (const double k : rings.k)
    all.push_back(!inverted && lambda * k * k * t_A > 1 ? 0 : node_contrast(lambda, k, t_A));
  return all;
}

}  // namespace

void set_thickness(Rings& rings, const Waves& waves, double t_A) {
  const double lambda = waves.pi_lambda / std::numbers::pi;
  for (std::size_t b = 0; b < rings.bins(); ++b) rings.contrast[b] = node_contrast(lambda, rings.k[b], t_A);
}
void set_fade(Rings& rings, const Waves& waves, const Solution& solution) {
  std::fill(rings.fade.begin(), rings.fade.end(), 1.0);
  if (!solution.has_rings) return;
  const auto sums = scaled(bare_sums(rings, waves, solution.shape), rings.contrast);
  double least = std::numeric_limits<double>::infinity();
  for (auto& fade : fades(rings, 50))
    if (const double cost = solve_sums(rings, scaled(sums, fade)).cost; cost < least) {
      least = cost;
      rings.fade = std::move(fade);
    }
}

Thickness find_thickness(const Rings& rings, const Waves& waves, const Solution& solution, double unit) {
  // First nodes at 2.4 and 8.9 Å (λ of 300 kV); 60 Å turn the contrast's phase at 4 Å by 0.23 rad. A gain of 25 in χ²
  // comes by chance in exp(−25/2) = 4e-6 at one thickness, in a thousandth over the few hundred that are tried.
  constexpr double thinnest_A = 300, thickest_A = 4000, least_gain = 25, coarse_A = 60, fine_A = 20;
  if (!solution.has_rings || !(unit > 0)) return {};
  const double k_max = rings.k_max,
               low = std::max(thinnest_A, 1.1 * std::numbers::pi / (waves.pi_lambda * k_max * k_max));
  const auto sums = bare_sums(rings, waves, solution.shape);
  std::vector<std::vector<RingSums>> faded;
  for (const auto& fade : fades(rings, 200)) faded.push_back(scaled(sums, fade));
  const auto solved = [&](std::size_t f, double t_A, bool inverted) {
    return solve_sums(rings, scaled(faded[f], contrast_of(rings, waves, t_A, inverted)));
  };
  const auto least_of_all = [&](double t_A, bool inverted) {
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t f = 0; f < faded.size(); ++f) least = std::min(least, solved(f, t_A, inverted).cost);
    return least;
  };
  double best = 0, least = least_of_all(0, true) - least_gain * unit;
  std::size_t best_fade = 0;
  const auto look = [&](std::size_t f, double t_A) {
    const double cost = solved(f, t_A, true).cost;
    if (cost >= least) return;
    least = cost;
    best = t_A;
    best_fade = f;
  };
  for (std::size_t f = 0; f < faded.size(); ++f)
    for (double t = low; t <= thickest_A; t += coarse_A) look(f, t);
  if (best == 0) return {};
  const double coarse = best;
  for (double t = coarse - coarse_A + fine_A; t < coarse + coarse_A; t += fine_A) look(best_fade, t);
  if (best <= low) return {};
  const double misfit = radial_misfit(rings, scaled(faded[best_fade], contrast_of(rings, waves, best, true)),
                                      solved(best_fade, best, true), unit);
  if (least_of_all(best, false) < least + least_gain * unit * misfit) return {};
  const double before = solved(best_fade, best - fine_A, true).cost,
               after = solved(best_fade, best + fine_A, true).cost,
               bend = (before - 2 * least + after) / (fine_A * fine_A);
  if (!(bend > 0)) return {};
  return {best - 0.5 * (after - before) / (fine_A * bend), std::sqrt(2 * unit / bend)};
}

}  // namespace frazil::ctf
