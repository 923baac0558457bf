// 128-bit content hashes: item ids, reuse keys, file checksums.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace frazil {

/// A hash as two numbers: 16 bytes for what takes 32 as text. Sorts like its text.
struct Digest {
  std::uint64_t high = 0, low = 0;
  friend auto operator<=>(const Digest&, const Digest&) = default;
  /// 32 lower-case hex digits.
  [[nodiscard]] std::string hex() const;
  /// @throws Error(bad_input) unless the text is 32 lower-case hex digits
  [[nodiscard]] static Digest parse(std::string_view hex);
};

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
  [[nodiscard]] std::string hex() const { return digest().hex(); }
  [[nodiscard]] Digest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Hash of the parts in order.
[[nodiscard]] std::string hash_of(std::initializer_list<std::string_view> parts);
/// Hash of a file's bytes. @throws Error(io) if it cannot be read
[[nodiscard]] std::string hash_file(const std::filesystem::path& path);
/// Hash of a file's size, its first and last 64 KiB and fourteen blocks of 4 KiB between them at fixed fractions; of
/// all bytes of a file below 256 KiB. Files with equal content have equal hashes; with equal hashes they are probably
/// equal.
/// @throws Error(io) if it cannot be read, or becomes shorter meanwhile
[[nodiscard]] std::string sample_hash(const std::filesystem::path& path);

}  // namespace frazil

template <>
struct std::hash<frazil::Digest> {
  std::size_t operator()(const frazil::Digest& digest) const noexcept { return digest.low; }
};
