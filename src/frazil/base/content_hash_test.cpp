#include "frazil/base/content_hash.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "frazil/base/files.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/base/random.hpp"

namespace frazil {
namespace {

std::vector<std::byte> some_bytes(std::size_t count) {
  Rng rng(count);
  std::vector<std::byte> bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(rng.below(256));
  return bytes;
}

std::string read_alone(const std::vector<std::byte>& bytes, ContentHasher& hasher, std::size_t* also_read = nullptr) {
  return hasher.finish([&](std::uint64_t offset, std::span<std::byte> out) {
    if (also_read != nullptr) *also_read += out.size();
    std::memcpy(out.data(), bytes.data() + offset, out.size());
  });
}

TEST(ContentHash, IsTheSameForPiecesInAnyOrderSomeOftenAndSomeNotAtAll) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1} << 20U, std::size_t{3'500'001}}) {
    const auto bytes = some_bytes(size);
    ContentHasher plain(size);
    const auto expected = read_alone(bytes, plain);
    Rng rng(size + 1);
    for (int repeat = 0; repeat < 5; ++repeat) {
      ContentHasher hasher(size);
      std::vector<std::pair<std::size_t, std::size_t>> pieces;
      std::vector<char> is_added(size);
      for (int i = 0; i < 40 && size > 0; ++i) {
        const auto from = static_cast<std::size_t>(rng.below(size)),
                   count = std::min(size - from, static_cast<std::size_t>(rng.below(300'000)));
        pieces.emplace_back(from, count);
        std::fill_n(is_added.begin() + static_cast<std::ptrdiff_t>(from), count, char{1});
      }
      parallel_for(3, pieces.size(), [&](std::size_t i) {
        hasher.add(pieces[i].first, std::span(bytes).subspan(pieces[i].first, pieces[i].second));
      });
      std::size_t also_read = 0;
      EXPECT_EQ(read_alone(bytes, hasher, &also_read), expected) << size;
      EXPECT_EQ(also_read, static_cast<std::size_t>(std::count(is_added.begin(), is_added.end(), char{0}))) << size;
    }
  }
}

TEST(ContentHash, IsThatOfTheFileAndTellsOneByte) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("frazil-content-{}", ::getpid());
  auto bytes = some_bytes(2'100'000);
  const auto write = [&] { write_text(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}); };
  write();
  ContentHasher hasher(bytes.size());
  const auto before = content_hash(path);
  EXPECT_EQ(read_alone(bytes, hasher), before);
  bytes[1'700'000] ^= std::byte{1};
  write();
  EXPECT_NE(content_hash(path), before);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace frazil
