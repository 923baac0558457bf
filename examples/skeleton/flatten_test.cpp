#include "flatten.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "flatten_protocol.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::skeleton {
namespace {

TEST(Flatten, RemovesASlowWaveAndKeepsAFastOne) {  // ground truth: what went in must come out
  Image image(64, 64, 2_A);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x)
      image(x, y) = static_cast<float>(10 * std::cos(2 * std::numbers::pi * x / 64) + std::cos(2 * std::numbers::pi * y / 4));
  const auto flat = flatten(image, {.scale = 10_A});
  for (int y = 0; y < 64; ++y) EXPECT_NEAR(flat(0, y), std::cos(2 * std::numbers::pi * y / 4), 0.05);  // 0.5 % of the slow wave is left
}

TEST(Flatten, RefusesAScaleBelowTwoPixels) { EXPECT_THROW((void)flatten(Image(8, 8, 20_A), {.scale = 30_A}), Error); }

TEST(FlattenProtocol, DescribesItselfFromItsParameters) {
  const auto protocol = flow::make_protocol<FlattenMicrograph>();
  EXPECT_EQ(protocol.params.at(0).unit, "Å");
  EXPECT_EQ(protocol.inputs.at(0).kind, "Micrograph");
  EXPECT_EQ(protocol.check({{"scale", 1}}).size(), 1u);
}

}  // namespace
}  // namespace frazil::skeleton
