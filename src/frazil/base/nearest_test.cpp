#include "frazil/base/nearest.hpp"

#include <gtest/gtest.h>

namespace frazil {
namespace {

const std::vector<std::string> names = {"movies", "gain", "pixel_size", "dose_per_frame", "voltage", "cs"};

TEST(Nearest, FindsWhatWasMeant) {
  EXPECT_EQ(nearest("pixelsize", names), "pixel_size");
  EXPECT_EQ(nearest("dose_pre_frame", names), "dose_per_frame");
  EXPECT_EQ(nearest("gian", names), "gain") << "two letters swapped are one slip";
  EXPECT_EQ(nearest("Voltage", names), "voltage");
  EXPECT_EQ(nearest("dose", names), "dose_per_frame") << "the beginning of a longer name";
  EXPECT_EQ(did_you_mean("movie", names), ", did you mean movies?");
}

TEST(Nearest, SaysNothingWhereNothingComesClose) {
  for (const auto* word : {"", "x", "defects", "symmetry"}) EXPECT_EQ(did_you_mean(word, names), "") << word;
  EXPECT_EQ(nearest("gain", {}), "");
}

}  // namespace
}  // namespace frazil
