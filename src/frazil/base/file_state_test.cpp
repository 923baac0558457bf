#include "frazil/base/file_state.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"

namespace frazil {
namespace {

TEST(FileState, IsAnotherForAFileThatWasReplacedUnderItsNameWithTheSameSize) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("frazil-state-{}", ::getpid());
  write_text(path, "abc");
  const auto first = file_state(path);
  EXPECT_EQ(file_state(path), first);
  write_text(path, "abd");
  EXPECT_NE(file_state(path), first);
  std::filesystem::remove(path);
  EXPECT_THROW((void)file_state(path), Error);
}

}  // namespace
}  // namespace frazil
