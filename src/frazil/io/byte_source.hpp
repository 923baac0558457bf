// Bytes at an offset, from a file or from memory: what every parser of this folder reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace frazil::io {

/// Random access to a file of known size. Reads with pread, so one source serves many threads, and a file that shrinks
/// meanwhile gives an Error, where a memory map would end the process.
class ByteSource {
 public:
  /// @throws Error(not_found|io) ; a folder or device is bad_input
  [[nodiscard]] static ByteSource open(const std::filesystem::path& path);
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
  /// The first `count` bytes, or fewer in a shorter file.
  [[nodiscard]] std::vector<std::byte> head(std::size_t count) const;

 private:
  ByteSource() = default;
  std::string name_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
  std::span<const std::byte> memory_;
};

}  // namespace frazil::io
