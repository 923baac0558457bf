#include "frazil/base/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "frazil/base/braces.hpp"
#include "frazil/base/error.hpp"
#include "frazil/base/index.hpp"
#include "frazil/base/pattern.hpp"
#include "frazil/base/random.hpp"
#include "frazil/base/sinc.hpp"

namespace frazil {
namespace {

TEST(RobustValues, RanksAreThoseOfTheSortedValues) {
  Rng rng(3);
  for (int n = 1; n < 40; ++n) {
    std::vector<double> values;
    for (int i = 0; i < n; ++i) values.push_back(rng.normal());
    auto sorted = values;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(median(values), sorted[z(n / 2)]);
    EXPECT_EQ(at_fraction(values, 0), sorted.front());
    EXPECT_EQ(at_fraction(values, 1), sorted.back());
    EXPECT_EQ(at_fraction(values, 0.25), sorted[static_cast<std::size_t>(0.25 * (n - 1))]);
  }
  EXPECT_EQ(median(std::vector<float>{}), 0);
  EXPECT_EQ(robust_spread(std::vector<float>{}).both, 0);
}

TEST(RobustValues, SpreadsAreThoseOfGaussianValuesWhateverATenthOfOthers) {
  Rng rng(4);
  std::vector<double> values, away;
  for (int i = 0; i < 40000; ++i) values.push_back(rng.normal(5, 2));
  for (const double v : values) away.push_back(std::abs(v - 5));
  EXPECT_NEAR(robust_spread(values).both, 2, 0.04);  // three standard errors of such a quantile
  EXPECT_NEAR(robust_spread(values).lower, 2, 0.04);
  EXPECT_NEAR(sigma_over_mad * median(away), 2, 0.04);
  for (std::size_t i = 0; i < values.size(); i += 20) {
    values[i] = 1e9;
    values[i + 1] = -1e9;
  }
  EXPECT_NEAR(robust_spread(values).median, 5, 0.1);
  EXPECT_LT(robust_spread(values).both, 3);
}

TEST(Index, IsMirroredAtBothEnds) {
  for (int n : {1, 2, 5})
    for (int i = -3 * n; i < 4 * n; ++i) {
      int expected = i;
      while (expected < 0 || expected >= n) expected = expected < 0 ? -1 - expected : 2 * n - 1 - expected;
      EXPECT_EQ(mirrored(i, n), expected) << i << " of " << n;
    }
}

TEST(Sinc, IsSmoothAroundZero) {
  EXPECT_EQ(sinc(0), 1);
  EXPECT_NEAR(sinc(1.1e-6), sinc(0.9e-6), 1e-12);
  EXPECT_NEAR(sinc(-2), std::sin(2) / 2, 1e-15);
}

TEST(Braces, AreFilledByNameAndThoseNeverClosedStay) {
  const auto twice = [](std::string_view name) {
    if (name == "none") throw Error(ErrorCode::bad_input, "nothing is called {}", name);
    return std::string(name) + std::string(name);
  };
  EXPECT_EQ(fill_braces("a{b}c{de}{", twice), "abbcdede{");
  EXPECT_EQ(fill_braces("", twice), "");
  EXPECT_THROW((void)fill_braces("{none}", twice), Error);
}

TEST(Pattern, GivesItsFirstGroup) {
  EXPECT_EQ(find_group("Submitted batch job 42\n", "job ([0-9]+)"), "42");
  EXPECT_EQ(find_group("nothing", "job ([0-9]+)"), std::nullopt);
  EXPECT_EQ(find_group("job 1", "job"), std::nullopt);
  EXPECT_FALSE(is_pattern("("));
  EXPECT_THROW((void)find_group("(", "("), Error);
}

}  // namespace
}  // namespace frazil
