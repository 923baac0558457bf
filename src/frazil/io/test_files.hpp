// Help for tests of files: a folder that goes away, errors with their code and words, bytes changed in place.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

#include "frazil/base/error.hpp"

namespace frazil::io {

/// A fresh folder, removed at the end.
class TestFolder {
 public:
  TestFolder() {
    auto name = (std::filesystem::temp_directory_path() / "frazil-io-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error(ErrorCode::io, "{}: cannot be made", name);
    path_ = name;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// `statement` must throw Error with this code and these words.
#define EXPECT_ERROR(statement, wanted, words)                                           \
  try {                                                                                  \
    statement;                                                                           \
    ADD_FAILURE() << "no error, expected one with: " << (words);                         \
  } catch (const ::frazil::Error& error) {                                               \
    EXPECT_EQ(::frazil::to_string(error.code()), #wanted) << error.what();               \
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what(); \
  }

inline void put_word(std::string& bytes, std::size_t offset, std::uint32_t value) {
  std::memcpy(bytes.data() + offset, &value, 4);
}
inline void put_half(std::string& bytes, std::size_t offset, std::uint16_t value) {
  std::memcpy(bytes.data() + offset, &value, 2);
}
inline std::uint32_t get_word(const std::string& bytes, std::size_t offset) {
  std::uint32_t value;
  std::memcpy(&value, bytes.data() + offset, 4);
  return value;
}
inline float get_real(const std::string& bytes, std::size_t offset) {
  float value;
  std::memcpy(&value, bytes.data() + offset, 4);
  return value;
}

/// An MRC file of this machine in the other byte order.
inline std::string swap_mrc(std::string bytes) {
  const auto mode = get_word(bytes, 12);
  const auto turn = [&](std::size_t from, std::size_t to, std::size_t width) {
    for (; from + width <= to; from += width)
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                   bytes.begin() + static_cast<std::ptrdiff_t>(from + width));
  };
  turn(0, 208, 4);
  turn(216, 224, 4);
  const std::size_t width = mode == 2 ? 4 : mode == 1 || mode == 6 || mode == 12 ? 2 : 1;
  if (width > 1) turn(1024, bytes.size(), width);
  return bytes;
}

/// The folder with real data: FRAZIL_SHARED, or ../shared/data beside the repository.
inline std::optional<std::filesystem::path> shared_data() {
  const char* set = std::getenv("FRAZIL_SHARED");
  const std::filesystem::path folder = set != nullptr ? set : "../shared/data";
  if (std::filesystem::is_directory(folder)) return folder;
  return std::nullopt;
}

}  // namespace frazil::io
