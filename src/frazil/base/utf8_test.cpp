#include "frazil/base/utf8.hpp"

#include <gtest/gtest.h>

namespace frazil {
namespace {

TEST(Utf8, IsToldFromOtherBytes) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("Carr\xc3\xa9 \xe2\x84\xab \xf0\x9f\x94\xac"));
  for (const auto* bad : {"Carr\xe9", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xe2\x84"})
    EXPECT_FALSE(is_utf8(bad)) << bad;
}

TEST(Utf8, OtherTextIsTakenAsLatin1) {
  EXPECT_EQ(as_utf8("Carr\xe9 4"), "Carr\xc3\xa9 4");
  EXPECT_EQ(as_utf8("Carr\xc3\xa9 4"), "Carr\xc3\xa9 4");
}

TEST(Utf8, NamesCanStandInAnyTableAndStayDifferent) {
  EXPECT_EQ(printable_name("square 3/mic_01.tiff"), "square 3/mic_01.tiff");
  EXPECT_EQ(printable_name("pr\xe9p.mrc"), "pr%E9p.mrc");
  EXPECT_EQ(printable_name("pr\xc3\xa9p.mrc"), "pr\xc3\xa9p.mrc");
  EXPECT_EQ(printable_name("it's \"so\"\n.mrc"), "it's %22so%22%0A.mrc");
  EXPECT_NE(printable_name("a%22.mrc"), printable_name("a\".mrc"));
  EXPECT_TRUE(is_utf8(printable_name("\xff\xfe\x80")));
}

}  // namespace
}  // namespace frazil
