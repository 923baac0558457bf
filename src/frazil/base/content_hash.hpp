// The hash of a file's whole content, made of pieces that are read in any order while the file is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace frazil {

/// XXH3-128 of the size and of the XXH3-128 of each block of 1 MiB, in order: blocks can be hashed side by side, and a
/// file is hashed by whoever reads it for its own purposes. Several threads may add at a time.
class ContentHasher {
 public:
  explicit ContentHasher(std::uint64_t size);
  ~ContentHasher();
  ContentHasher(const ContentHasher&) = delete;
  ContentHasher& operator=(const ContentHasher&) = delete;

  /// Bytes of the file at an offset; what was added before counts once. Pieces that come before those in front of them
  /// in the same block are kept until then.
  void add(std::uint64_t offset, std::span<const std::byte> bytes);
  /// 32 hex digits. @param read  fills with the bytes at an offset; called for what nobody has added
  [[nodiscard]] std::string finish(const std::function<void(std::uint64_t offset, std::span<std::byte> out)>& read);

 private:
  struct Block;
  static constexpr std::uint64_t block_bytes = 1U << 20U;
  [[nodiscard]] std::uint64_t bytes_of(std::size_t block) const;

  std::uint64_t size_;
  std::size_t count_;
  std::unique_ptr<Block[]> blocks_;
};

/// The same of a file on disk. @throws Error(io) if it cannot be read
[[nodiscard]] std::string content_hash(const std::filesystem::path& path);

}  // namespace frazil
