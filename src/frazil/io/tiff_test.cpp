#include <gtest/gtest.h>
#include <tiffio.h>

#include <array>

#include "frazil/base/files.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/completeness.hpp"
#include "frazil/io/lzw.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/tiff_writer.hpp"

namespace frazil::io {
namespace {

Image frame(int nx, int ny, PixelType type, Rng& rng) {
  Image image(nx, ny);
  for (auto& value : image.pixels()) {
    const double wide = rng.uniform() < 0.02 ? rng.uniform() : 0.0;
    if (type == PixelType::f32)
      value = static_cast<float>(rng.normal());
    else if (type == PixelType::i16)
      value = static_cast<float>(std::floor(rng.normal() * 3 + wide * 30000));
    else if (type == PixelType::i8)
      value = static_cast<float>(std::floor(rng.uniform(-128, 128)));
    else
      value = static_cast<float>(rng.poisson(0.8)) +
              std::floor(static_cast<float>(wide * (type == PixelType::u8 ? 200 : 60000)));
  }
  return image;
}

bool equal(const Image& a, const Image& b) {
  return a.nx() == b.nx() && a.ny() == b.ny() && std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin());
}

TEST(Tiff, EveryKindComesBackExactlyOnAnyNumberOfThreads) {
  const TestFolder folder;
  Rng rng(11);
  int kinds = 0;
  for (const auto compression : {TiffCompression::none, TiffCompression::lzw, TiffCompression::deflate})
    for (const auto type : {PixelType::u8, PixelType::i8, PixelType::u16, PixelType::i16, PixelType::f32})
      for (const bool predictor : {false, true})
        for (const bool big : {false, true}) {
          SCOPED_TRACE(fmt::format("compression {} {} predictor {} big {}", static_cast<int>(compression),
                                   to_string(type), predictor, big));
          const auto path = folder / fmt::format("{}.tif", kinds++);
          std::vector<Image> frames;
          TiffStackWriter writer(path, 67, 41, {compression, type, predictor, 7, big, 0.83_A});
          for (int i = 0; i < 3; ++i) {
            frames.push_back(frame(67, 41, type, rng));
            writer.append(frames.back());
          }
          writer.close();
          const MovieReader reader(path);
          ASSERT_EQ(reader.info().nz, 3);
          EXPECT_EQ(reader.info().type, type);
          EXPECT_NEAR(reader.info().pixel_size.value(), 0.83, 1e-6);
          for (int i = 0; i < 3; ++i)
            for (const int threads : {1, 4})
              ASSERT_TRUE(equal(reader.read_frame(i, threads), frames[static_cast<std::size_t>(i)]));
        }
}

TEST(Tiff, LibtiffSeesTheFirstRowOfTheFileWhereWeSeeTheLast) {
  const TestFolder folder;
  Image image(3, 2);
  image(1, 1) = 7;
  TiffStackWriter writer(folder / "x.tif", 3, 2);
  writer.append(image);
  writer.close();
  TIFF* tiff = TIFFOpen((folder / "x.tif").c_str(), "r");
  ASSERT_NE(tiff, nullptr);
  std::uint8_t strip[6];
  EXPECT_EQ(TIFFReadEncodedStrip(tiff, 0, strip, 6), 6);
  TIFFClose(tiff);
  EXPECT_EQ(strip[1], 7);
  EXPECT_EQ(strip[4], 0);
}

/// A LibTIFF file in the other byte order.
TEST(Tiff, FilesOfBigEndianMachinesAreRead) {
  const TestFolder folder;
  Rng rng(3);
  for (const bool predictor : {false, true}) {
    TIFF* tiff = TIFFOpen((folder / "b.tif").c_str(), "wb");
    ASSERT_NE(tiff, nullptr);
    const auto image = frame(50, 20, PixelType::u16, rng);
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 50);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 20);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 16);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 20);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_LZW);
    if (predictor) TIFFSetField(tiff, TIFFTAG_PREDICTOR, 2);
    std::vector<std::uint16_t> pixels(1000);
    for (int y = 0; y < 20; ++y)
      for (int x = 0; x < 50; ++x)
        pixels[static_cast<std::size_t>((19 - y) * 50 + x)] = static_cast<std::uint16_t>(image(x, y));
    ASSERT_EQ(TIFFWriteEncodedStrip(tiff, 0, pixels.data(), 2000), 2000);
    TIFFClose(tiff);
    EXPECT_EQ(read_text(folder / "b.tif").substr(0, 2), "MM");
    EXPECT_TRUE(equal(read_image(folder / "b.tif"), image));
  }
}

TEST(Tiff, OurLzwEqualsThatOfLibtiffOnEveryKindOfData) {
  const TestFolder folder;
  Rng rng(5);
  for (int trial = 0; trial < 40; ++trial) {
    SCOPED_TRACE(trial);
    const int n = 1 + static_cast<int>(rng.below(300000));
    const double mean = std::exp(rng.uniform(-5, 6));
    const int run = 1 + static_cast<int>(rng.below(trial % 3 == 0 ? 400 : 2));
    std::vector<std::byte> pixels(static_cast<std::size_t>(n));
    std::byte value{0};
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      if (i % static_cast<std::size_t>(run) == 0) value = static_cast<std::byte>(rng.poisson(mean) & 255);
      pixels[i] = value;
    }
    const auto path = folder / "l.tif";
    TIFF* tiff = TIFFOpen(path.c_str(), "w");
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, n);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 1);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 1);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_LZW);
    ASSERT_EQ(TIFFWriteEncodedStrip(tiff, 0, pixels.data(), n), n);
    TIFFClose(tiff);
    tiff = TIFFOpen(path.c_str(), "r");
    std::vector<std::byte> stored(static_cast<std::size_t>(TIFFRawStripSize64(tiff, 0)));
    ASSERT_EQ(TIFFReadRawStrip(tiff, 0, stored.data(), static_cast<tmsize_t>(stored.size())),
              static_cast<tmsize_t>(stored.size()));
    TIFFClose(tiff);
    std::vector<std::byte> decoded(pixels.size() + lzw_slack);
    const auto result = lzw_decode(stored, decoded.data(), pixels.size());
    ASSERT_EQ(result.status, LzwStatus::ok);
    ASSERT_EQ(result.bytes, pixels.size());
    decoded.resize(pixels.size());
    ASSERT_EQ(decoded, pixels);
    for (std::size_t cut = 0; cut < std::min<std::size_t>(stored.size(), 50);
         ++cut) {  // any prefix ends early, none runs away
      std::vector<std::byte> part(pixels.size() + lzw_slack);
      EXPECT_LE(lzw_decode(std::span(stored).first(cut), part.data(), pixels.size()).bytes, pixels.size());
    }
  }
}

/// Found by fuzzing: a code that completes itself copies from where it writes.
TEST(Tiff, LzwRunsOfOneValueOverlapWithThemselves) {
  const unsigned codes[] = {256, 7, 258, 259, 260, 261, 257};  // 1 + 2 + 3 + 4 + 5 bytes
  std::vector<std::byte> stored;
  std::uint64_t buffer = 0;
  unsigned ready = 0;
  for (const unsigned code : codes) {
    buffer = buffer << 9U | code, ready += 9;
    for (; ready >= 8; ready -= 8) stored.push_back(static_cast<std::byte>(buffer >> (ready - 8)));
  }
  stored.push_back(static_cast<std::byte>(buffer << (8 - ready)));
  std::vector<std::byte> decoded(100 + lzw_slack);
  EXPECT_EQ(lzw_decode(stored, decoded.data(), 100).bytes, 15U);
  for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ(decoded[i], std::byte{7});
}

TEST(Tiff, LzwWritersMayFillTheTableToItsLastCode) {
  Rng rng(6);
  std::vector<std::byte> stored;
  std::uint64_t buffer = 0;
  unsigned ready = 0;
  const auto put = [&](unsigned code, unsigned width) {
    buffer = buffer << width | code, ready += width;
    for (; ready >= 8; ready -= 8) stored.push_back(static_cast<std::byte>(buffer >> (ready - 8)));
  };
  std::vector<std::byte> expected;
  put(256, 9);
  for (unsigned i = 0; i < 3839; ++i) {  // the first literal adds nothing, each further one a string of two bytes
    const unsigned next = i == 0 ? 258 : 257 + i;
    expected.push_back(static_cast<std::byte>(rng.below(256)));
    put(std::to_integer<unsigned>(expected.back()), next >= 2047 ? 12 : next >= 1023 ? 11 : next >= 511 ? 10 : 9);
  }
  for (const unsigned code : {4095U, 258U, 4095U}) {
    put(code, 12);
    const auto first = expected[code - 258], second = expected[code - 257];
    expected.push_back(first), expected.push_back(second);
  }
  put(0, 7);
  std::vector<std::byte> decoded(expected.size() + lzw_slack);
  EXPECT_EQ(lzw_decode(stored, decoded.data(), expected.size()).bytes, expected.size());
  decoded.resize(expected.size());
  EXPECT_EQ(decoded, expected);
}

TEST(Tiff, ManyDirectoriesCostLinearTime) {
  const TestFolder folder;
  constexpr std::uint32_t count = 70000;  // more than libtiff numbers
  std::string bytes("II*\0\x08\0\0\0", 8);
  const auto half = [&](unsigned v) { bytes.append({static_cast<char>(v & 255U), static_cast<char>(v >> 8U)}); };
  const auto word = [&](std::uint32_t v) { half(v & 0xffffU), half(v >> 16U); };
  const auto tag = [&](unsigned id, std::uint32_t value) { half(id), half(4), word(1), word(value); };
  constexpr std::uint32_t ifd = 2 + 6 * 12 + 4 + 4;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t at = 8 + i * ifd;
    half(6);
    tag(256, 2), tag(257, 2), tag(258, 8), tag(259, 1), tag(273, at + ifd - 4), tag(279, 4);
    word(i + 1 < count ? at + ifd : 0);
    word(i);
  }
  write_text(folder / "many.tif", bytes);
  const MovieReader reader(folder / "many.tif");
  EXPECT_EQ(reader.info().nz, 70000);
  EXPECT_EQ(reader.read_frame(69999)(1, 1), static_cast<float>((69999 >> 8) & 255));
}

/// One directory of 4 × 4 bytes, all `value`, whose description tells of more.
void write_one_directory(const std::filesystem::path& path, const char* description, std::uint8_t value) {
  TIFF* tiff = TIFFOpen(path.c_str(), "w");
  ASSERT_NE(tiff, nullptr);
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 4);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 4);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 4);
  TIFFSetField(tiff, TIFFTAG_IMAGEDESCRIPTION, description);
  std::array<std::uint8_t, 16> pixels{};
  pixels.fill(value);
  ASSERT_EQ(TIFFWriteEncodedStrip(tiff, 0, pixels.data(), 16), 16);
  TIFFClose(tiff);
}

TEST(Tiff, FramesBehindOneDirectoryAreAllThereOrNone) {
  const TestFolder folder;
  for (const auto* description :
       {"ImageJ=1.53t\nimages=3\nslices=3\n", "{\"shape\": [3, 4, 4], \"truncated\": true}"}) {
    SCOPED_TRACE(description);
    const auto path = folder / "s.tif";
    write_one_directory(path, description, 1);
    EXPECT_ERROR((void)read_info(path), corrupt, "3 images");
    EXPECT_EQ(check_complete(path).state, FileState::broken) << "the directory lies where they would";
    auto all = read_text(path);
    const auto entry =
        all.find(std::string("\x11\x01", 2), 8 + 16);  // StripOffsets, of one strip: its value is in place
    ASSERT_NE(entry, std::string::npos);
    put_word(all, entry + 8, static_cast<std::uint32_t>(all.size()));
    all += std::string(16, '\1') + std::string(16, '\2') + std::string(16, '\3');
    write_text(path, all);
    const MovieReader reader(path);
    ASSERT_EQ(reader.info().nz, 3);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(reader.read_frame(i)(3, 3), static_cast<float>(i + 1));
    EXPECT_EQ(check_complete(path).state, FileState::complete);
    write_text(path, all.substr(0, all.size() - 1));
    EXPECT_ERROR((void)read_info(path), corrupt, "3 images");
    EXPECT_EQ(check_complete(path).state, FileState::growing);
  }
  write_one_directory(folder / "one.tif", "{\"shape\": [4, 4]}", 5);
  EXPECT_EQ(read_info(folder / "one.tif").nz, 1);
}

TEST(Tiff, FramesMayBeReadByManyThreadsAtOnce) {
  const TestFolder folder;
  Rng rng(9);
  std::vector<Image> frames;
  TiffStackWriter writer(folder / "m.tif", 200, 150, {.rows_per_strip = 16});
  for (int i = 0; i < 12; ++i) {
    frames.push_back(frame(200, 150, PixelType::u8, rng));
    writer.append(frames.back());
  }
  writer.close();
  const MovieReader reader(folder / "m.tif");
  std::vector<Image> read(12);
  parallel_for(4, 12, [&](std::size_t i) { reader.read_frame(static_cast<int>(i), read[i], 2); });
  for (std::size_t i = 0; i < 12; ++i) EXPECT_TRUE(equal(read[i], frames[i]));
}

TEST(Tiff, WhatIsNotReadIsNamed) {
  const TestFolder folder;
  Image image(8, 8);
  TiffStackWriter writer(folder / "x.tif", 8, 8);
  writer.append(image);
  writer.close();
  const auto bytes = read_text(folder / "x.tif");
  const auto with_tag = [&](unsigned tag, std::uint16_t value) {
    auto changed = bytes;
    const auto ifd = get_word(bytes, 4);
    for (std::size_t at = ifd + 2; at + 12 < bytes.size(); at += 12)
      if ((get_word(bytes, at) & 0xffffU) == tag) {
        put_half(changed, at + 8, value);
        write_text(folder / "y.tif", changed);
        return;
      }
    FAIL() << "no tag " << tag;
  };
  with_tag(259, 50000);
  EXPECT_ERROR((void)read_info(folder / "y.tif"), unsupported, "compression 50000");
  with_tag(277, 3);
  EXPECT_ERROR((void)read_info(folder / "y.tif"), unsupported, "3 values a pixel");
  with_tag(258, 12);
  EXPECT_ERROR((void)read_info(folder / "y.tif"), unsupported, "12 bits");
  image(2, 3) = 256;
  TiffStackWriter small(folder / "z.tif", 8, 8);
  EXPECT_ERROR(small.append(image), bad_input, "256 at (2, 3) of frame 1");
}

}  // namespace
}  // namespace frazil::io
