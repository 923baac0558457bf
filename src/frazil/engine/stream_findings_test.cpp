#include "frazil/engine/stream_findings.hpp"

#include <gtest/gtest.h>

namespace frazil::engine {
namespace {

Finding wrong(const std::string& text, AlarmKind kind = AlarmKind::pixel_size) { return {.kind = kind, .text = text}; }

TEST(StreamFindings, WhatAllFilesSayIsSaidOnceInTheWordsOfTheLast) {
  StreamFindings stream;
  EXPECT_TRUE(stream.standing().empty());
  stream.add("a", {wrong("1.2 for 1.5"), wrong("200 for 300", AlarmKind::voltage)});
  stream.add("b", {wrong("1.2 for 1.6"), wrong("200 for 300", AlarmKind::voltage)});
  const auto found = stream.standing();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].text, "1.2 for 1.6");
}

TEST(StreamFindings, OneFileAmongManyIsNamedUntilTwentyOthersHaveCome) {
  StreamFindings stream;
  for (int i = 0; i < 3; ++i) stream.add(fmt::format("good_{}", i), {});
  stream.add("odd", {wrong("1.2 for 1.5")});
  for (int i = 0; i < 19; ++i) {
    ASSERT_EQ(stream.standing().size(), 1U) << i;
    EXPECT_NE(stream.standing()[0].text.find("1 of the last"), std::string::npos);
    EXPECT_NE(stream.standing()[0].text.find("odd was the last"), std::string::npos);
    stream.add(fmt::format("later_{}", i), {});
  }
  stream.add("last", {});
  EXPECT_TRUE(stream.standing().empty());
}

}  // namespace
}  // namespace frazil::engine
