#include "frazil/base/hash.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <vector>

#include "frazil/base/error.hpp"

namespace frazil {

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() {
    if (xxh == nullptr) throw Error(ErrorCode::resource, "no memory for a hash state");
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

Hasher& Hasher::add(std::string_view text) {
  const std::uint64_t size = text.size();
  XXH3_128bits_update(state_->xxh, &size, sizeof size);
  XXH3_128bits_update(state_->xxh, text.data(), text.size());
  return *this;
}

Hasher& Hasher::add_bytes(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
  return *this;
}

Digest Hasher::digest() const {
  const XXH128_hash_t digest = XXH3_128bits_digest(state_->xxh);
  return {digest.high64, digest.low64};
}

std::string Digest::hex() const {
  std::string text(32, '0');
  for (std::size_t i = 0; i < 32; ++i)
    text[i] = "0123456789abcdef"[(i < 16 ? high >> (60 - 4 * i) : low >> (124 - 4 * i)) & 15];
  return text;
}

Digest Digest::parse(std::string_view hex) {
  static constexpr unsigned char none = 16;
  static constexpr auto digits = [] {
    std::array<unsigned char, 256> table{};
    table.fill(none);
    for (unsigned char i = 0; i < 16; ++i) table[static_cast<unsigned char>("0123456789abcdef"[i])] = i;
    return table;
  }();
  if (hex.size() != 32) throw Error(ErrorCode::bad_input, "\"{}\" is no hash: expected 32 hex digits", hex);
  unsigned char all = 0;
  const auto half = [&](std::size_t begin) {
    std::uint64_t value = 0;
    for (std::size_t i = begin; i < begin + 16; ++i) {
      const auto digit = digits[static_cast<unsigned char>(hex[i])];
      all |= digit;
      value = value << 4 | digit;
    }
    return value;
  };
  const Digest digest{half(0), half(16)};
  if (all >= none) throw Error(ErrorCode::bad_input, "\"{}\" is no hash: expected 32 hex digits", hex);
  return digest;
}

std::string hash_of(std::initializer_list<std::string_view> parts) {
  Hasher hasher;
  for (const auto part : parts) hasher.add(part);
  return hasher.hex();
}

std::string hash_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::io, "{}: cannot be opened to compute its checksum", path.string());
  Hasher hasher;
  std::vector<char> block(1 << 20);
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    hasher.add_bytes(std::as_bytes(std::span(block.data(), static_cast<std::size_t>(file.gcount()))));
  }
  if (file.bad()) throw Error(ErrorCode::io, "{}: reading failed while computing its checksum", path.string());
  return hasher.hex();
}

std::string sample_hash(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw Error(ErrorCode::io, "{}: cannot be opened to compute its checksum", path.string());
  const auto size = static_cast<std::int64_t>(file.tellg());
  Hasher hasher;
  hasher.add(std::to_string(size));
  constexpr std::int64_t end_bytes = 1 << 16, block_bytes = 1 << 12, whole_bytes = 1 << 18;
  constexpr int blocks = 14;
  std::vector<char> block(static_cast<std::size_t>(whole_bytes));
  const auto add = [&](std::int64_t at, std::int64_t bytes) {
    file.seekg(at);
    file.read(block.data(), bytes);
    if (file.gcount() != bytes)
      throw Error(ErrorCode::io, "{}: reading at offset {} failed while computing its checksum", path.string(), at);
    hasher.add_bytes(std::as_bytes(std::span(block.data(), static_cast<std::size_t>(bytes))));
  };
  if (size < whole_bytes) {
    add(0, size);
    return hasher.hex();
  }
  add(0, end_bytes);
  for (int i = 1; i <= blocks; ++i)
    add(end_bytes + (size - 2 * end_bytes - block_bytes) / (blocks + 1) * i, block_bytes);
  add(size - end_bytes, end_bytes);
  return hasher.hex();
}

}  // namespace frazil
