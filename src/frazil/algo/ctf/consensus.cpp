#include "frazil/algo/ctf/consensus.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/errors.hpp"
#include "frazil/base/error.hpp"

namespace frazil::ctf {
namespace {

using std::numbers::pi;

struct Vector {
  double defocus = 0, c = 0, s = 0, phase = 0;
};

Vector vector_of(const Ctf& ctf) {
  const double a = ctf.astigmatism().value(), angle = 2 * to_rad(ctf.astigmatism_angle);
  return {ctf.mean_defocus().value(), a * std::cos(angle), a * std::sin(angle), to_rad(ctf.phase_shift)};
}

/// k² at which |slope u + phase| reaches π/2; infinite when it never does. |phase| ≤ π/2.
double quarter_turn_u(double slope, double phase) {
  if (slope == 0) return INFINITY;
  return slope > 0 ? (pi / 2 - phase) / slope : (-pi / 2 - phase) / slope;
}

/// Standard error of the mean defocus; 2 % of it where the estimator gives none.
double sigma_of(const Estimate& e) {
  return e.sigma_defocus > 0_A ? e.sigma_defocus.value()
                               : 0.02 * std::max(1000.0, std::abs(e.ctf.mean_defocus().value()));
}

std::vector<std::size_t> members_of(const std::vector<Estimate>& all, const Optics& optics, Angstrom tolerance) {
  std::vector<std::size_t> members{0, 1};
  Angstrom best = agreement(all[0].ctf, all[1].ctf, optics);
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j)
      if (const auto reach = agreement(all[i].ctf, all[j].ctf, optics); reach < best) {
        best = reach;
        members = {i, j};
      }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (std::find(members.begin(), members.end(), i) != members.end()) continue;
    if (std::all_of(members.begin(), members.end(),
                    [&](std::size_t m) { return agreement(all[i].ctf, all[m].ctf, optics) <= tolerance; }))
      members.push_back(i);
  }
  std::sort(members.begin(), members.end());
  return members;
}

}  // namespace

Angstrom agreement(const Ctf& a, const Ctf& b, const Optics& optics) {
  const auto va = vector_of(a), vb = vector_of(b);
  const double pi_lambda = pi * wavelength(optics.voltage).value(), mean = va.defocus - vb.defocus,
               half = 0.5 * std::hypot(va.c - vb.c, va.s - vb.s);
  const double phase = std::remainder(va.phase - vb.phase, pi);
  const double u =
      std::min(quarter_turn_u(pi_lambda * (mean + half), phase), quarter_turn_u(pi_lambda * (mean - half), phase));
  constexpr double nowhere_A = 1e4;  // coarser than any structure: the phases differ from the start
  return Angstrom(u <= 0 ? nowhere_A : std::isinf(u) ? 0 : std::min(nowhere_A, 1 / std::sqrt(u)));
}

Pulled pull_astigmatism(const Ctf& ctf, Angstrom sigma_astigmatism, const AstigmatismPrior& prior) {
  constexpr double chance = 13.8;  // χ² of two degrees of freedom, 0.001
  Pulled out{ctf, sigma_astigmatism, 0_A, false};
  const double own = std::pow(sigma_astigmatism.value(), 2);
  if (prior.count < 2 || !(own > 0)) return out;
  const double known = prior.scatter_A * prior.scatter_A + own,
               bound = known * std::sqrt(1.0 / prior.count);  // variance of a variance from 2 · count components
  const double width = prior.scatter_A * prior.scatter_A + bound + prior.sigma_A * prior.sigma_A;
  const auto v = vector_of(ctf);
  const double c = prior.c_A - v.c, s = prior.s_A - v.s;
  if ((c * c + s * s) / (own + width) > chance) {
    out.conflict = true;
    return out;
  }
  const double share = own / (own + width), new_c = v.c + share * c, new_s = v.s + share * s,
               a = std::hypot(new_c, new_s);
  out.ctf = canonical({Angstrom(v.defocus + a / 2), Angstrom(v.defocus - a / 2),
                       from_rad(0.5 * std::atan2(new_s, new_c)), ctf.phase_shift, ctf.b_factor});
  out.sigma_astigmatism = Angstrom(std::sqrt(own * width / (own + width)));
  out.pull = Angstrom(share * std::hypot(c, s));
  return out;
}

Measured pull_cs(const Measured& own, const Measured& session, double scatter) {
  constexpr double chance = 3.29;  // standard errors, 0.001 on both sides
  if (!(session.sigma > 0) || std::abs(session.value) < chance * session.sigma) return {};
  const double known = 1 / (session.sigma * session.sigma + scatter * scatter),
               seen = own.sigma > 0 ? 1 / (own.sigma * own.sigma) : 0;
  return {(known * session.value + seen * own.value) / (known + seen), 1 / std::sqrt(known + seen)};
}

double joint_confidence(const std::vector<std::pair<double, Angstrom>>& members, Angstrom sigma_defocus) {
  double solution = 0;
  for (const auto& [confidence, sigma] : members)
    if (const double own = confidence / useful_probability(sigma); std::isfinite(own))
      solution = std::max(solution, std::min(1.0, own));
  return solution * useful_probability(sigma_defocus);
}

Consensus join(const std::vector<Estimate>& all, const Optics& optics, Angstrom tolerance) {
  expect(all.size() >= 2, "a consensus needs two estimates");
  Consensus out;
  out.members = members_of(all, optics, tolerance);
  double total = 0;
  Vector mean;
  const double reference_phase = vector_of(all[out.members.front()].ctf).phase;
  for (const auto m : out.members) {
    const auto v = vector_of(all[m].ctf);
    const double w = 1 / std::pow(sigma_of(all[m]), 2);
    total += w;
    mean.defocus += w * v.defocus;
    mean.c += w * v.c;
    mean.s += w * v.s;
    mean.phase += w * (reference_phase + std::remainder(v.phase - reference_phase, pi));
  }
  mean = {mean.defocus / total, mean.c / total, mean.s / total, mean.phase / total};
  double sigma = 0, spread = 0, sigma_a = 0, spread_a = 0;
  for (const auto m : out.members) {
    const auto v = vector_of(all[m].ctf);
    const double w = 1 / std::pow(sigma_of(all[m]), 2) / total;
    sigma += w * sigma_of(all[m]);
    spread += w * std::pow(v.defocus - mean.defocus, 2);
    sigma_a += w * all[m].sigma_astigmatism.value();
    spread_a += 0.5 * w * (std::pow(v.c - mean.c, 2) + std::pow(v.s - mean.s, 2));
  }
  const double a = std::hypot(mean.c, mean.s);
  out.ctf = canonical({Angstrom(mean.defocus + a / 2),
                       Angstrom(mean.defocus - a / 2),
                       from_rad(0.5 * std::atan2(mean.s, mean.c)),
                       from_rad(mean.phase),
                       {}});
  out.sigma_defocus = Angstrom(std::sqrt(sigma * sigma + spread));
  out.sigma_astigmatism = Angstrom(std::sqrt(sigma_a * sigma_a + spread_a));
  for (const auto i : out.members)
    for (const auto j : out.members)
      if (i < j) out.agreement = std::max(out.agreement, agreement(all[i].ctf, all[j].ctf, optics));
  const auto &first = all[out.members[0]], &second = all[out.members[1]];
  out.difference = first.ctf.mean_defocus() - second.ctf.mean_defocus();
  out.difference_z = out.difference.value() / std::hypot(sigma_of(first), sigma_of(second));
  return out;
}

}  // namespace frazil::ctf
