// Two or more estimates of one CTF: how far they agree, which belong together, and their weighted mean with an error
// bar.
#pragma once

#include <utility>
#include <vector>

#include "frazil/model/optics.hpp"

namespace frazil::ctf {

/// Finest resolution at which the phases χ of two CTFs differ by at most 90 degrees in every direction. Phases count
/// modulo 180 degrees, as in a power spectrum. Per azimuth |πλ ΔΔf(α) k² + Δφ| = π/2 is solved for k; the worst
/// azimuths are those of the largest and the smallest defocus difference.
[[nodiscard]] Angstrom agreement(const Ctf& a, const Ctf& b, const Optics& optics);

/// What the micrographs of an acquisition say about the astigmatism of the next one.
struct AstigmatismPrior {
  double c_A = 0, s_A = 0;  ///< mean of (U − V) cos 2α and (U − V) sin 2α
  double sigma_A = 0;       ///< standard error of each of them
  double scatter_A = 0;     ///< of one micrograph about the mean, errors of the fits removed
  int count = 0;            ///< micrographs behind it
};

struct Pulled {
  Ctf ctf;
  Angstrom sigma_astigmatism{}, pull{};
  bool conflict = false;  ///< too far from the prior to be of the same kind: left as it is
};

/// Empirical Bayes (Efron & Morris 1975, doi:10.1080/01621459.1975.10479864): the mean of estimate and prior, weighted
/// by 1/σ² and 1/(τ² + σ₀²). The scatter τ is known from `count` micrographs only; its upper bound of one standard
/// deviation is taken, so that a prior from few of them pulls little. An estimate that lies farther away than chance
/// allows once in a thousand keeps its own value. The mean defocus stays.
[[nodiscard]] Pulled pull_astigmatism(const Ctf& ctf, Angstrom sigma_astigmatism, const AstigmatismPrior& prior);

/// A value with its standard error.
struct Measured {
  double value = 0, sigma = 0;
};
/// The deviation of the spherical aberration that a micrograph's CTF goes with (mm), by the same rule: `own` as its
/// rings show it (sigma 0: they cannot tell), `session` the acquisition's mean, `scatter` that of its micrographs. A
/// mean that chance explains (1 in 1,000) leaves Cs as given: {0, 0}.
[[nodiscard]] Measured pull_cs(const Measured& own, const Measured& session, double scatter);

struct Estimate {
  Ctf ctf;
  Angstrom sigma_defocus{};      ///< 0: the estimator gives none; then 2 % of the defocus is taken
  Angstrom sigma_astigmatism{};  ///< of one component
};

/// `confidence` of a mean: members that agree are the same solution, which is as probable as the surest of them holds
/// it, and what they differ by is in the mean's error.
/// @param members  confidence and standard error of each that gives them; empty: 0
[[nodiscard]] double joint_confidence(const std::vector<std::pair<double, Angstrom>>& members, Angstrom sigma_defocus);

struct Consensus {
  Ctf ctf;
  Angstrom sigma_defocus{}, sigma_astigmatism{};
  Angstrom agreement{};              ///< worst of the pairs used
  Angstrom difference{};             ///< mean defocus of the first minus that of the second estimate used
  double difference_z = 0;           ///< the same over the error bars together
  std::vector<std::size_t> members;  ///< estimates used, in the order given; the others disagree with them
};

/// Joins estimates of the same image. Of three and more the pair that agrees to the finest resolution is taken first,
/// then every other that agrees with all members to `tolerance`. Weights are 1/σ²; the estimates see the same noise, so
/// their errors add in full and what they differ by is added on top: σ² = (Σ w σ)² + Σ w (x − x̄)².
/// @param estimates  at least two
[[nodiscard]] Consensus join(const std::vector<Estimate>& estimates, const Optics& optics, Angstrom tolerance);

}  // namespace frazil::ctf
