// 128-bit content hashes: item ids, reuse keys, file checksums.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace frazil {

/// Streaming XXH3-128. Each `add` of a string is length-prefixed, so ("ab","c") and ("a","bc") differ.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  Hasher& add(std::string_view text);
  Hasher& add_bytes(std::span<const std::byte> bytes);
  /// 32 lower-case hex digits of everything added so far.
  [[nodiscard]] std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Hash of the parts in order.
[[nodiscard]] std::string hash_of(std::initializer_list<std::string_view> parts);
/// Hash of a file's bytes. @throws Error(io) if it cannot be read
[[nodiscard]] std::string hash_file(const std::filesystem::path& path);

}  // namespace frazil
