#include "frazil/algo/ctf/consensus.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/errors.hpp"
#include "frazil/algo/ctf/trend.hpp"
#include "frazil/base/random.hpp"

namespace frazil::ctf {
namespace {

Ctf random_ctf(Rng& rng) {
  const double mean = rng.uniform(3000, 30000), half = rng.uniform(0, 500);
  return {Angstrom(mean + half), Angstrom(mean - half), Degrees(rng.uniform(0, 180)), Degrees(rng.uniform(0, 180)), {}};
}

TEST(Consensus, AgreementIsWhereThePhasesFirstDifferByNinetyDegrees) {
  Rng rng(1);
  for (int i = 0; i < 40; ++i) {
    const Optics optics{Kilovolt(rng.uniform(100, 300)), 2.7_mm, 0.1};
    const auto a = random_ctf(rng);
    auto b = a;
    b.defocus_u += Angstrom(rng.uniform(-300, 300));
    b.astigmatism_angle += Degrees(rng.uniform(-20, 20));
    b.phase_shift += Degrees(rng.uniform(-30, 30));
    b = canonical(b);
    const CtfFunction fa(a, optics), fb(b, optics);
    double first = INFINITY;  // by stepping outwards along many directions
    for (double angle = 0; angle < std::numbers::pi; angle += 0.01)
      for (double k = 0.005; k < first && k < 1.5; k += 2e-4)
        if (std::abs(fa.phase(k * std::cos(angle), k * std::sin(angle)) -
                     fb.phase(k * std::cos(angle), k * std::sin(angle))) > std::numbers::pi / 2)
          first = k;
    if (std::isinf(first)) continue;
    EXPECT_NEAR(agreement(a, b, optics).value(), 1 / first, 0.002 / first) << i;
  }
}

TEST(Consensus, OfDefocusAloneIsTheRootOfTwoLambdaTimesTheDifference) {
  const Ctf a{15200_A, 15200_A, 0_deg, 0_deg, {}}, b{15000_A, 15000_A, 0_deg, 0_deg, {}};
  EXPECT_NEAR(agreement(a, b, Optics{}).value(), std::sqrt(2 * wavelength(300_kV).value() * 200), 1e-9);  // 2.8 Å
  EXPECT_EQ(agreement(a, a, Optics{}).value(), 0);
}

TEST(Consensus, OfThreeLeavesOutTheOneThatDisagrees) {
  const Estimate right{{15200_A, 15000_A, 40_deg, 0_deg, {}}, 20_A, 30_A},
      near{{15230_A, 15010_A, 44_deg, 0_deg, {}}, 20_A, 30_A}, wrong{{31000_A, 30000_A, 10_deg, 0_deg, {}}, 5_A, 5_A};
  const auto joined = join({wrong, right, near}, Optics{}, 4_A);
  EXPECT_EQ(joined.members, (std::vector<std::size_t>{1, 2}));
  EXPECT_NEAR(joined.ctf.mean_defocus().value(), 15110, 1e-6);
  EXPECT_NEAR(joined.sigma_defocus.value(), std::sqrt(20.0 * 20.0 + 10.0 * 10.0), 1e-6);
  const auto two = join({wrong, right}, Optics{}, 4_A);
  EXPECT_GT(two.agreement.value(), 10);
  EXPECT_GT(two.sigma_defocus.value(), 3000);
}

TEST(Consensus, IsAsSureAsItsSurestMemberAndItsOwnErrorAllow) {
  const double sharp = useful_probability(50_A), blunt = useful_probability(2000_A);
  EXPECT_GT(sharp, 0.99);
  EXPECT_LT(blunt, 0.15);
  EXPECT_NEAR(joint_confidence({{0.9 * sharp, 50_A}, {0.8 * blunt, 2000_A}}, 60_A), 0.9 * useful_probability(60_A),
              1e-12)
      << "the blunt one takes nothing away";
  EXPECT_NEAR(joint_confidence({{0.9 * sharp, 50_A}}, 2000_A), 0.9 * blunt, 1e-12) << "members that differ";
  EXPECT_EQ(joint_confidence({{0, 50_A}, {0.5, Angstrom(std::nan(""))}}, 50_A), 0);
}

TEST(Consensus, IsTheSameInAnyOrder) {
  Rng rng(5);
  for (int i = 0; i < 20; ++i) {
    const Estimate a{random_ctf(rng), Angstrom(rng.uniform(5, 50)), 20_A};
    Estimate b = a;
    b.ctf.defocus_u += 40_A;
    b.sigma_defocus = 30_A;
    const auto one = join({a, b}, Optics{}, 4_A), other = join({b, a}, Optics{}, 4_A);
    EXPECT_NEAR(one.ctf.defocus_u.value(), other.ctf.defocus_u.value(), 1e-6);
    EXPECT_NEAR(one.sigma_defocus.value(), other.sigma_defocus.value(), 1e-9);
    EXPECT_NEAR(one.difference_z, -other.difference_z, 1e-9);
  }
}

TEST(Trend, MeanOfManyHasTheErrorThatTheirScatterShows) {
  const Rng rng(9);
  double z2 = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    auto own = rng.stream(i);
    std::vector<double> values, sigmas;
    for (int j = 0; j < 30; ++j) {
      sigmas.push_back(own.uniform(0.5, 2));
      values.push_back(1 + std::hypot(sigmas.back(), 1.0) * own.normal());  // scatter beyond the errors given
    }
    values[0] = 100;
    const auto mean = robust_mean(values, sigmas);
    z2 += std::pow((mean.value - 1) / mean.sigma, 2) / 200;
  }
  EXPECT_NEAR(z2, 1, 0.35);
}

TEST(AstigmatismPrior, MakesErrorsSmallerByAsMuchAsItSaysAndLeavesAContradictionAlone) {
  Rng rng(12);
  constexpr double scatter = 40, sigma = 80;
  double before = 0, after = 0, z = 0;
  constexpr int count = 4000;
  for (int i = 0; i < count; ++i) {
    const double c = 300 + scatter * rng.normal(), s = -200 + scatter * rng.normal(), seen_c = c + sigma * rng.normal(),
                 seen_s = s + sigma * rng.normal();
    const double a = std::hypot(seen_c, seen_s);
    const Ctf seen{
        Angstrom(15000 + a / 2), Angstrom(15000 - a / 2), from_rad(0.5 * std::atan2(seen_s, seen_c)), 0_deg, {}};
    const auto pulled = pull_astigmatism(seen, Angstrom(sigma), {300, -200, 5, scatter, 100000});
    const double b = pulled.ctf.astigmatism().value(), angle = 2 * to_rad(pulled.ctf.astigmatism_angle);
    EXPECT_NEAR(pulled.ctf.mean_defocus().value(), 15000, 1e-6);
    before += std::pow(seen_c - c, 2) + std::pow(seen_s - s, 2);
    const double error2 = std::pow(b * std::cos(angle) - c, 2) + std::pow(b * std::sin(angle) - s, 2);
    after += error2;
    z += error2 / 2 / std::pow(pulled.sigma_astigmatism.value(), 2);
  }
  EXPECT_LT(after, 0.3 * before);
  EXPECT_NEAR(z / count, 1, 0.12);  // errors are as large as they are said to be
  const Ctf other{16000_A, 14000_A, 90_deg, 0_deg, {}};
  const auto kept = pull_astigmatism(other, 80_A, {300, -200, 5, scatter, 100000});
  EXPECT_TRUE(kept.conflict);
  EXPECT_EQ(kept.ctf.defocus_u, other.defocus_u);
  EXPECT_EQ(kept.pull, 0_A);
}

TEST(CsPrior, MakesErrorsSmallerByAsMuchAsItSaysAndLeavesWhatChanceExplains) {
  Rng rng(13);
  constexpr double scatter = 0.02, sigma = 0.3;
  double after = 0, z = 0;
  constexpr int count = 4000;
  for (int i = 0; i < count; ++i) {
    const double truth = 0.25 + scatter * rng.normal();
    const auto pulled = pull_cs({truth + sigma * rng.normal(), sigma}, {0.25, 0.01}, scatter);
    after += std::pow(pulled.value - truth, 2) / count;
    z += std::pow((pulled.value - truth) / pulled.sigma, 2) / count;
  }
  EXPECT_LT(std::sqrt(after), 0.1 * sigma);
  EXPECT_NEAR(z, 1, 0.3);
  EXPECT_EQ(pull_cs({0.5, 0.3}, {0.03, 0.01}, 0).value, 0);
  EXPECT_EQ(pull_cs({0.5, 0.3}, {0.03, 0.01}, 0).sigma, 0);
}

}  // namespace
}  // namespace frazil::ctf
