#include "flatten.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "flatten_protocol.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::skeleton {
namespace {

TEST(Flatten, RemovesASlowWaveAndKeepsAFastOne) {  // ground truth: what went in must come out
  const auto wave = [](int position, double period_px) {
    return std::cos(2 * std::numbers::pi * position / period_px);
  };
  Image image(64, 64, 2_A);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x) image(x, y) = static_cast<float>(10 * wave(x, 64) + wave(y, 4));
  const auto flat = flatten(image, {.scale = 20_A});
  const auto kept = [](double period_A) {
    return 1 - std::exp(-0.5 * std::pow(20 / period_A, 2));
  };  // the Gaussian of the header
  for (int y = 0; y < 64; ++y) EXPECT_NEAR(flat(5, y), kept(128) * 10 * wave(5, 64) + kept(8) * wave(y, 4), 1e-3);
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
