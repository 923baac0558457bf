#include "frazil/base/content_hash.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/base/hash.hpp"

namespace frazil {

struct ContentHasher::Block {
  std::mutex mutex;
  std::uint64_t next = 0;        ///< bytes of the block that are hashed
  std::optional<Hasher> hasher;  ///< while some are and some are not
  Digest digest;
  std::map<std::uint64_t, std::vector<std::byte>> waiting;  ///< pieces behind a gap, by offset in the block

  void hash(std::uint64_t at, std::span<const std::byte> bytes, std::uint64_t size) {
    if (at + bytes.size() <= next) return;
    if (!hasher) hasher.emplace();
    hasher->add_bytes(bytes.subspan(static_cast<std::size_t>(next - at)));
    next = at + bytes.size();
    if (next < size) return;
    digest = hasher->digest();
    hasher.reset();
  }
  void add(std::uint64_t at, std::span<const std::byte> bytes, std::uint64_t size) {
    if (at > next) {
      auto& kept = waiting[at];
      if (kept.size() < bytes.size()) kept.assign(bytes.begin(), bytes.end());
      return;
    }
    hash(at, bytes, size);
    while (!waiting.empty() && waiting.begin()->first <= next) {
      hash(waiting.begin()->first, waiting.begin()->second, size);
      waiting.erase(waiting.begin());
    }
  }
};

ContentHasher::ContentHasher(std::uint64_t size)
    : size_(size),
      count_(static_cast<std::size_t>((size + block_bytes - 1) / block_bytes)),
      blocks_(new Block[count_]) {}
ContentHasher::~ContentHasher() = default;

std::uint64_t ContentHasher::bytes_of(std::size_t block) const {
  return std::min(block_bytes, size_ - block * block_bytes);
}

void ContentHasher::add(std::uint64_t offset, std::span<const std::byte> bytes) {
  expect(offset <= size_ && bytes.size() <= size_ - offset, "the bytes lie inside the file");
  while (!bytes.empty()) {
    const auto block = static_cast<std::size_t>(offset / block_bytes);
    const auto at = offset % block_bytes;
    const auto here =
        bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), bytes_of(block) - at)));
    {
      const std::lock_guard lock(blocks_[block].mutex);
      blocks_[block].add(at, here, bytes_of(block));
    }
    offset += here.size();
    bytes = bytes.subspan(here.size());
  }
}

std::string ContentHasher::finish(const std::function<void(std::uint64_t offset, std::span<std::byte> out)>& read) {
  Hasher all;
  all.add(std::to_string(size_));
  std::vector<std::byte> bytes;
  for (std::size_t b = 0; b < count_; ++b) {
    auto& block = blocks_[b];
    const std::lock_guard lock(block.mutex);
    while (block.next < bytes_of(b)) {
      const auto end = block.waiting.empty() ? bytes_of(b) : block.waiting.begin()->first;
      bytes.resize(static_cast<std::size_t>(end - block.next));
      read(b * block_bytes + block.next, bytes);
      block.add(block.next, bytes, bytes_of(b));
    }
    all.add(block.digest.hex());
  }
  return all.hex();
}

std::string content_hash(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw Error(ErrorCode::io, "{}: cannot be opened to compute its checksum", path.string());
  ContentHasher hasher(static_cast<std::uint64_t>(file.tellg()));
  return hasher.finish([&](std::uint64_t offset, std::span<std::byte> out) {
    file.seekg(static_cast<std::streamoff>(offset));
    if (!file.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size())))
      throw Error(ErrorCode::io, "{}: reading at offset {} failed while computing its checksum", path.string(), offset);
  });
}

}  // namespace frazil
