#include "frazil/io/format_check.hpp"

#include <gtest/gtest.h>

#include "frazil/io/test_files.hpp"

namespace frazil::io {
namespace {

TEST(FormatCheck, EveryFormatWorksHereAndNothingIsLeft) {
  const TestFolder folder;
  const auto found = check_formats(folder.path());
  EXPECT_EQ(found.size(), 39U);
  for (const auto& f : found) EXPECT_TRUE(f.works) << f.format << ": " << f.detail;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  for (const auto& f : check_formats(folder / "absent")) EXPECT_FALSE(f.works) << f.format;
}

}  // namespace
}  // namespace frazil::io
