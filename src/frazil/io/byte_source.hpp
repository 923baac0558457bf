// Bytes at an offset, from a file or from memory: what every parser of this folder reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "frazil/base/content_hash.hpp"

namespace frazil::io {

/// Random access to a file of known size. Reads with pread, so one source serves many threads, and a file that shrinks
/// meanwhile gives an Error, where a memory map would end the process.
class ByteSource {
 public:
  /// @throws Error(not_found|io) ; a folder or device is bad_input
  [[nodiscard]] static ByteSource open(const std::filesystem::path& path);
  /// The same, and the bytes are hashed as they are read: see content_hash.
  [[nodiscard]] static ByteSource open_hashed(const std::filesystem::path& path);
  /// The caller keeps `bytes` alive; `name` stands in messages.
  [[nodiscard]] static ByteSource memory(std::string name, std::span<const std::byte> bytes);
  ~ByteSource();
  ByteSource(ByteSource&& other) noexcept;
  ByteSource& operator=(ByteSource&& other) noexcept;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Size when it was opened.
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// True when [offset, offset + count) lies inside, whatever the numbers.
  [[nodiscard]] bool holds(std::uint64_t offset, std::uint64_t count) const {
    return offset <= size_ && count <= size_ - offset;
  }
  /// Fills `out`. @throws Error(corrupt) when the range is outside, Error(io) when reading fails
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  /// Reads the whole file into memory, where all later reads find it.
  void hold(int threads);
  /// The hash of the whole file, of one that was opened for that; reads what nobody has read so far.
  [[nodiscard]] std::string content_hash() const;
  /// The first `count` bytes, or fewer in a shorter file.
  [[nodiscard]] std::vector<std::byte> head(std::size_t count) const;

 private:
  ByteSource() = default;
  void read_file(std::uint64_t offset, std::span<std::byte> out) const;
  std::string name_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
  std::span<const std::byte> memory_;
  std::unique_ptr<std::byte[]> held_;  // NOLINT(*-avoid-c-arrays): not filled with zeros first
  std::unique_ptr<ContentHasher> hasher_;
};

}  // namespace frazil::io
