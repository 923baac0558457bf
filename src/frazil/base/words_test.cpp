#include "frazil/base/words.hpp"

#include <gtest/gtest.h>

namespace frazil {
namespace {

TEST(Words, CountsHaveTheirPlural) {
  EXPECT_EQ(counted(0, "movie"), "0 movies");
  EXPECT_EQ(counted(1, "movie"), "1 movie");
  EXPECT_EQ(counted(12345, "movie"), "12,345 movies");
  EXPECT_EQ(counted(1, "particles"), "1 particles");
  EXPECT_EQ(counted(2, "query"), "2 queries");
  EXPECT_EQ(counted(2, "day"), "2 days");
}

TEST(Words, TimesThatPassAndMomentsAreToldApart) {
  EXPECT_EQ(elapsed_text(8.4), "8 s");
  EXPECT_EQ(elapsed_text(700), "11 min");
  EXPECT_EQ(elapsed_text(7800), "2 h 10 min");
  EXPECT_EQ(elapsed_text(7200), "2 h");
  EXPECT_EQ(elapsed_text(2 * 86400 + 3600), "2 days 1 h");
  EXPECT_EQ(moment_text(1.7e9).size(), 19u);
}

TEST(Words, NumbersHaveAsManyDigitsAsTheyCarry) {
  EXPECT_EQ(significant(1.06773), "1.068");
  EXPECT_EQ(significant(0), "0");
  EXPECT_EQ(significant(17342.4), "17342");
  EXPECT_EQ(significant(10), "10");
  EXPECT_EQ(grouped(-1500), "-1,500");
}

TEST(Words, UnitsOfSentencesAreThoseThatPeopleWrite) {
  EXPECT_EQ(with_units("fit resolution is 5.456 A, at most 5 A is allowed"),
            "fit resolution is 5.456 Å, at most 5 Å is allowed");
  EXPECT_EQ(with_units("dose 2.5 e-/A^2, defocus 1.2 um"), "dose 2.5 e⁻/Å², defocus 1.2 µm");
  EXPECT_EQ(with_units("A 5 Apples_3 A_b mic_5 A"), "A 5 Apples_3 A_b mic_5 Å");
  EXPECT_EQ(with_units(""), "");
}

}  // namespace
}  // namespace frazil
