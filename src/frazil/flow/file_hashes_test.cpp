#include "frazil/flow/file_hashes.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "frazil/base/files.hpp"

namespace frazil::flow {
namespace {

TEST(FileHashes, ContentCountsAndNotTheName) {
  const auto folder = std::filesystem::temp_directory_path() / ("frazil-hashes-" + std::to_string(::getpid()));
  make_folders(folder);
  const auto gain = (folder / "gain.mrc").string(), moved = (folder / "moved.mrc").string();
  write_text(gain, "one");
  FileHashes files;
  const auto one = files.of(gain);
  EXPECT_EQ(files.of(""), "");
  EXPECT_TRUE(files.changed().empty());
  write_text(gain, "two");
  EXPECT_EQ(files.changed(), std::vector<std::string>{gain});
  EXPECT_NE(files.of(gain), one) << "replaced under its name";
  write_text(moved, "one");
  EXPECT_EQ(files.of(moved), one);
  const auto two = files.of(gain);
  FileHashes again(files.text());
  std::filesystem::remove(gain);
  EXPECT_EQ(again.of(gain), two) << "as it was known last";
  EXPECT_NE(again.of((folder / "a").string()), again.of((folder / "b").string()));
  EXPECT_EQ(FileHashes("nonsense").text(), "{}");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace frazil::flow
