#include "frazil/io/star_expression.hpp"

#include <gtest/gtest.h>

#include "frazil/base/error.hpp"

namespace frazil::io {
namespace {

StarTable table() {
  StarTable t("particles", {"rlnDefocusU", "rlnClassNumber", "rlnImageName"});
  const auto row = t.add_row();
  t.set(row, "rlnDefocusU", 15000.0);
  t.set(row, "rlnClassNumber", 3);
  t.set(row, "rlnImageName", "000001@a.mrcs");
  return t;
}

TEST(StarExpression, BindsAsArithmeticAndLogicDo) {
  const auto t = table();
  for (const auto& [text, value] :
       std::vector<std::pair<std::string, double>>{{"1 + 2 * 3", 7},
                                                   {"(1 + 2) * 3", 9},
                                                   {"7 - 2 - 1", 4},
                                                   {"-2 * 3", -6},
                                                   {"rlnDefocusU < 20000 && rlnClassNumber == 3", 1},
                                                   {"rlnDefocusU<20000&&rlnClassNumber!=3", 0},
                                                   {"!(rlnClassNumber >= 3) || rlnDefocusU / 1e4 > 1.4", 1},
                                                   {"1 || 0 && 0", 1},
                                                   {"2 <= 2", 1},
                                                   {".5 + 1", 1.5},
                                                   {"0 && rlnImageName", 0}})
    EXPECT_EQ(StarExpression(text, t).value(0), value) << text;
  EXPECT_THROW((void)StarExpression("rlnImageName > 1", t).value(0), Error) << "no number";
}

TEST(StarExpression, WhatIsNotFiniteIsTrueUnderNoCondition) {
  auto t = table();
  t.set(0, "rlnDefocusU", std::string_view("nan"));
  for (const auto* text : {"rlnDefocusU", "!rlnDefocusU", "rlnDefocusU != 3", "!(rlnDefocusU < 20000)", "-rlnDefocusU",
                           "rlnClassNumber / 0 > 1", "rlnClassNumber > 1 && rlnDefocusU < 3", "0 || rlnDefocusU > 3",
                           "!(rlnClassNumber < 0 || rlnDefocusU > 3)", "0 / 0 != 0 / 0"})
    EXPECT_FALSE(StarExpression(text, t).holds(0)) << text;
  for (const auto* text : {"rlnClassNumber == 3 || rlnDefocusU > 3", "!(rlnClassNumber < 3 && rlnDefocusU > 3)"})
    EXPECT_TRUE(StarExpression(text, t).holds(0)) << text;
}

TEST(StarExpression, SaysWhatIsWrongAndWhere) {
  const auto t = table();
  const auto problem = [&](const std::string& text) -> std::string {
    try {
      (void)StarExpression(text, t);
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_NE(problem("rlnDefocusU <").find("at character 14, found \"the end\""), std::string::npos)
      << problem("rlnDefocusU <");
  EXPECT_NE(problem("(1 + 2").find("expected \")\""), std::string::npos);
  EXPECT_NE(problem("1 2").find("an operator or the end at character 3"), std::string::npos);
  EXPECT_NE(problem("rlnNothing > 1").find("rlnNothing"), std::string::npos);
  EXPECT_NE(problem(std::string(1000, '(')).find("too many parentheses"), std::string::npos);
  EXPECT_NE(problem("").find("found \"the end\""), std::string::npos);
}

}  // namespace
}  // namespace frazil::io
