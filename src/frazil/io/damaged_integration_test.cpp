// A corpus of damaged files, made here: each gives one clear Error naming the file (or reads, where the damage does not
// touch what is read), never a crash, a hang or an allocation far beyond the size of the file.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>

#include "frazil/base/files.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/completeness.hpp"
#include "frazil/io/frame_file.hpp"
#include "frazil/io/gain.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/tiff_writer.hpp"

namespace frazil::io {
namespace {

/// What a reader made of some bytes: empty when it read them, else the message.
struct Verdict {
  std::string message;
  ErrorCode code = ErrorCode::bug;
};

template <class Read>
Verdict verdict_of(const std::string& bytes, Read read) {
  try {
    read(ByteSource::memory("damaged.file", std::as_bytes(std::span(bytes))));
    return {};
  } catch (const Error& error) {
    return {error.what(), error.code()};
  }
}

void read_all(ByteSource source) {
  const FrameFile file(std::move(source));
  Image image;
  for (int i = 0; i < file.info().nz; ++i) file.read(i, image);
}

/// One sentence that names the file, from a code that fails the item.
void expect_clear(const Verdict& v) {
  EXPECT_NE(v.message.find("damaged.file"), std::string::npos) << v.message;
  EXPECT_EQ(v.message.find('\n'), std::string::npos) << v.message;
  EXPECT_LT(v.message.size(), 300U) << v.message;
  EXPECT_TRUE(v.code == ErrorCode::corrupt || v.code == ErrorCode::unsupported || v.code == ErrorCode::bad_input)
      << to_string(v.code) << ": " << v.message;
}

/// Runs `body` in a child with at most 1 GiB of address space more than now and 60 s of CPU; fails when it dies.
void in_confinement(const std::function<void()>& body) {
  ::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const rlimit memory{1UL << 30U, 1UL << 30U};
    ::setrlimit(RLIMIT_AS, &memory);
#endif
    const rlimit time{60, 60};
    ::setrlimit(RLIMIT_CPU, &time);
    try {
      body();
    } catch (const std::exception& error) {
      ADD_FAILURE() << "not an Error: " << error.what();
    }
    ::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  EXPECT_EQ(status, 0) << "see the messages above";
}

Image counts(int nx, int ny) {
  Rng rng(1);
  Image image(nx, ny);
  for (auto& value : image.pixels()) value = static_cast<float>(rng.poisson(2));
  return image;
}

std::string mrc(MrcMode mode, int frames = 3) {
  const TestFolder folder;
  StackWriter writer(folder / "x.mrcs", 20, 12, 1_A, mode);
  for (int i = 0; i < frames; ++i) writer.append(counts(20, 12));
  writer.close();
  return read_text(folder / "x.mrcs");
}

std::string tiff(const TiffOptions& options, int frames = 3) {
  const TestFolder folder;
  TiffStackWriter writer(folder / "x.tif", 20, 12, options);
  for (int i = 0; i < frames; ++i) writer.append(counts(20, 12));
  writer.close();
  return read_text(folder / "x.tif");
}

std::vector<std::string> all_tiffs() {
  std::vector<std::string> files;
  for (const auto compression : {TiffCompression::none, TiffCompression::lzw, TiffCompression::deflate})
    for (const auto type : {PixelType::u8, PixelType::i16, PixelType::f32})
      for (const bool big : {false, true}) files.push_back(tiff({compression, type, big, 5, big}));
  return files;
}

TEST(DamagedFiles, CutAnywhereGiveAnError) {
  in_confinement([] {
    auto files = all_tiffs();
    for (const auto mode : {MrcMode::i8, MrcMode::i16, MrcMode::f32, MrcMode::u16, MrcMode::f16, MrcMode::u4})
      files.push_back(mrc(mode));
    for (const auto& whole : files) {
      EXPECT_EQ(verdict_of(whole, read_all).message, "");
      for (std::size_t size = 0; size < whole.size(); ++size) expect_clear(verdict_of(whole.substr(0, size), read_all));
    }
  });
}

TEST(DamagedFiles, AnyByteChangedIsReadOrRefusedClearly) {
  in_confinement([] {
    Rng rng(2);
    auto files = all_tiffs();
    files.push_back(mrc(MrcMode::f32)), files.push_back(mrc(MrcMode::u4)), files.push_back(swap_mrc(mrc(MrcMode::i16)));
    for (const auto& whole : files)
      for (int trial = 0; trial < 3000; ++trial) {
        auto changed = whole;
        for (std::uint64_t n = 1 + rng.below(4); n > 0; --n)
          changed[rng.below(changed.size())] = static_cast<char>(rng.below(256));
        const auto v = verdict_of(changed, read_all);
        if (!v.message.empty()) expect_clear(v);
      }
  });
}

TEST(DamagedFiles, AbsurdMrcHeadersAreRefusedBeforeAnythingIsAllocated) {
  in_confinement([] {
    const auto whole = mrc(MrcMode::i16);
    for (const std::size_t field : {0U, 4U, 8U, 12U, 92U})
      for (const std::uint32_t value : {0U, 0x7fffffffU, 0x80000000U, 0xffffffffU, 1000000U, 0x00ffffffU}) {
        SCOPED_TRACE(fmt::format("word at {} is {}", field, value));
        auto changed = whole;
        put_word(changed, field, value);
        const auto v = verdict_of(changed, read_all);
        const bool harmless = field == 92;  // an extended header that is not there: the frames follow the main one
        const bool known = field == 12 && value == 0;  // mode 0: half the bytes, the rest is left over
        if (!harmless && !known) expect_clear(v);
      }
    auto order = whole;  // header turned, data not promised: both orders implausible
    put_word(order, 0, 0x01020304), put_word(order, 12, 0x01000001);
    expect_clear(verdict_of(order, read_all));
    expect_clear(verdict_of(std::string(100000, '\0'), read_all));
    expect_clear(verdict_of(std::string(100000, '\xff'), read_all));
  });
}

std::size_t tag_at(const std::string& bytes, std::size_t ifd, unsigned tag) {
  for (std::size_t at = ifd + 2; at + 12 < bytes.size(); at += 12)
    if ((get_word(bytes, at) & 0xffffU) == tag) return at;
  throw Error(ErrorCode::bug, "no tag {}", tag);
}

TEST(DamagedFiles, TiffDirectoriesThatLieAreRefused) {
  in_confinement([] {
    const auto whole = tiff({.rows_per_strip = 5});
    const std::size_t ifd = get_word(whole, 4);
    const auto with = [&](const std::function<void(std::string&)>& change) {
      auto changed = whole;
      change(changed);
      return verdict_of(changed, read_all);
    };
    const auto expect_words = [](const Verdict& v, const char* words) {
      expect_clear(v);
      EXPECT_NE(v.message.find(words), std::string::npos) << v.message;
    };
    const auto tags = get_word(whole, ifd) & 0xffffU;
    const std::size_t link = ifd + 2 + 12 * tags;
    expect_words(with([&](auto& b) { put_word(b, link, static_cast<std::uint32_t>(ifd)); }), "comes back");
    expect_words(with([&](auto& b) { put_word(b, link, 0x7fffffff); }), "unfinished or cut off");
    expect_words(with([&](auto& b) { put_half(b, ifd, 65535); }), "65535 tags");
    expect_words(with([&](auto& b) { put_half(b, ifd, 0); }), "0 tags");
    expect_words(with([&](auto& b) { put_word(b, tag_at(b, ifd, 273) + 4, 0x7fffffff); }), "unfinished or cut off");
    expect_words(with([&](auto& b) { put_word(b, tag_at(b, ifd, 278) + 8, 1); }), "need 12");
    expect_words(with([&](auto& b) {
                   put_half(b, tag_at(b, ifd, 256) + 2, 4), put_word(b, tag_at(b, ifd, 256) + 8, 1U << 30U);
                 }),
                 "promises 1073741824 x 12");
    expect_words(with([&](auto& b) {
                   put_half(b, tag_at(b, ifd, 256) + 2, 4), put_word(b, tag_at(b, ifd, 256) + 8, 1U << 20U);
                 }),
                 "cannot hold");
    expect_words(with([&](auto& b) { put_half(b, tag_at(b, ifd, 273) + 2, 2); }), "type 2");
    const auto offsets = get_word(whole, tag_at(whole, ifd, 273) + 8);
    const bool wide = (get_word(whole, tag_at(whole, ifd, 273)) >> 16U) == 4;
    ASSERT_TRUE(wide || (get_word(whole, tag_at(whole, ifd, 273)) >> 16U) == 3);
    const std::size_t step = wide ? 4 : 2;
    const auto put = [&](std::string& b, std::size_t at, std::uint32_t value) {
      wide ? put_word(b, at, value) : put_half(b, at, static_cast<std::uint16_t>(value));
    };
    const auto get = [&](std::size_t at) { return wide ? get_word(whole, at) : get_word(whole, at) & 0xffffU; };
    expect_words(with([&](auto& b) { put(b, offsets, get(offsets + step)); }), "overlap");
    expect_words(with([&](auto& b) { put(b, offsets, 0); }), "empty");
    expect_words(with([&](auto& b) { put(b, offsets, 65535); }), "lies at offset 65535");
    auto big = tiff({.rows_per_strip = 5, .big = true});
    std::uint64_t at = 0;
    std::memcpy(&at, big.data() + 8, 8);
    put_word(big, static_cast<std::size_t>(at), 0xffffffffU),
        put_word(big, static_cast<std::size_t>(at) + 4, 0xffffffffU);
    expect_words(verdict_of(big, read_all), "18446744073709551615 tags");
  });
}

/// A small file whose directories all point at one long table of strips must not become large in memory.
TEST(DamagedFiles, SharedStripTablesDoNotMultiply) {
  in_confinement([] {
    constexpr std::uint32_t strips = 100000, directories = 2000;
    std::string bytes("II*\0", 4);
    const auto half = [&](unsigned v) { bytes.append({static_cast<char>(v & 255U), static_cast<char>(v >> 8U)}); };
    const auto word = [&](std::uint32_t v) { half(v & 0xffffU), half(v >> 16U); };
    word(8 + strips * 4);
    for (std::uint32_t i = 0; i < strips; ++i) word(8);
    for (std::uint32_t i = 0; i < directories; ++i) {
      const auto tag = [&](unsigned id, std::uint32_t count, std::uint32_t value) {
        half(id), half(4), word(count), word(value);
      };
      half(5);
      tag(256, 1, 1), tag(257, 1, strips), tag(273, strips, 8), tag(278, 1, 1), tag(279, strips, 8);
      word(i + 1 < directories ? static_cast<std::uint32_t>(bytes.size()) + 4 : 0);
    }
    const auto start = std::chrono::steady_clock::now();
    expect_clear(verdict_of(bytes, read_all));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
    EXPECT_EQ(check_complete(ByteSource::memory("damaged.file", std::as_bytes(std::span(bytes)))).state,
              FileState::broken);
  });
}

TEST(DamagedFiles, NotANumberIsReadAndPassedOn) {
  const TestFolder folder;
  auto image = counts(8, 8);
  image(3, 4) = std::numeric_limits<float>::quiet_NaN();
  write_image(folder / "x.mrc", image);
  EXPECT_TRUE(std::isnan(read_image(folder / "x.mrc")(3, 4)));
  auto bytes = read_text(folder / "x.mrc");
  put_word(bytes, 40, 0x7fc00000U);  // the cell is not a number: the pixel size is unknown
  write_text(folder / "y.mrc", bytes);
  EXPECT_EQ(read_info(folder / "y.mrc").pixel_size, 0_A);
  EXPECT_EQ(read_image(folder / "y.mrc").pixel_size, 1_A);
}

TEST(DamagedFiles, StarFilesOfAnyKindGiveTablesOrAnError) {
  in_confinement([] {
    const std::string whole =
        "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n1 300\n2 'x y'\n\ndata_p\n_rlnA "
        "\"q\"\n_rlnB 3\n";
    Rng rng(3);
    const auto read = [](const ByteSource& source) {
      const auto file = read_star(source);
      for (const auto& table : file.tables) (void)read_optics(file, table);
    };
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto v = verdict_of(whole.substr(0, size), read);
      if (!v.message.empty()) expect_clear(v);
    }
    for (int trial = 0; trial < 20000; ++trial) {
      auto changed = whole;
      for (std::uint64_t n = 1 + rng.below(5); n > 0; --n)
        changed[rng.below(changed.size())] = "\n _#;'\"\t\0ax1.-e"[rng.below(16)];
      const auto v = verdict_of(changed, read);
      if (!v.message.empty()) expect_clear(v);
    }
    expect_clear(verdict_of("data_x\nloop_\n" + std::string(100000, '_') + "\n" + std::string(100000, '"'), read));
    std::string wide = "data_x\nloop_\n";
    for (int i = 0; i < 5000; ++i) wide += fmt::format("_c{}\n", i);
    expect_clear(verdict_of(wide, read));
  });
}

TEST(DamagedFiles, TheStructuralTestNeverThrowsForContent) {
  in_confinement([] {
    Rng rng(4);
    auto files = all_tiffs();
    files.push_back(mrc(MrcMode::f32));
    for (const auto& whole : files)
      for (int trial = 0; trial < 2000; ++trial) {
        auto changed = whole.substr(0, rng.below(whole.size() + 1));
        for (int n = 0; n < 3 && !changed.empty(); ++n)
          changed[rng.below(changed.size())] = static_cast<char>(rng.below(256));
        const auto found = check_complete(ByteSource::memory("damaged.file", std::as_bytes(std::span(changed))));
        EXPECT_EQ(found.reason.empty(), found.state == FileState::complete) << found.reason;
      }
  });
}

}  // namespace
}  // namespace frazil::io
