#include <gtest/gtest.h>

#include "frazil/base/files.hpp"
#include "frazil/io/completeness.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/tiff_writer.hpp"

namespace frazil::io {
namespace {

Completeness check(const std::string& bytes, int expected = 0) {
  return check_complete(ByteSource::memory("m", std::as_bytes(std::span(bytes))), expected);
}

std::string mrc(int frames) {
  const TestFolder folder;
  StackWriter writer(folder / "x.mrcs", 10, 8, 1_A, MrcMode::u16);
  for (int i = 0; i < frames; ++i) writer.append(Image(10, 8));
  writer.close();
  return read_text(folder / "x.mrcs");
}

std::string tiff(int frames, bool big) {
  const TestFolder folder;
  TiffStackWriter writer(folder / "x.tif", 100, 80, {.rows_per_strip = 16, .big = big});
  Image image(100, 80);
  for (int i = 0; i < frames; ++i) {
    for (std::size_t p = 0; p < image.size(); ++p)
      image.pixels()[p] = static_cast<float>((p * p + static_cast<std::size_t>(i)) % 7);
    writer.append(image);
  }
  writer.close();
  return read_text(folder / "x.tif");
}

TEST(Completeness, AnMrcFileGrowsUntilItHasWhatItsHeaderPromises) {
  const auto whole = mrc(4);
  EXPECT_EQ(check(whole).state, FileState::complete);
  EXPECT_EQ(check(whole).frames, 4);
  EXPECT_TRUE(check(whole).reason.empty());
  for (std::size_t size = 0; size < whole.size(); size += 13)
    EXPECT_EQ(check(whole.substr(0, size)).state, FileState::growing) << size;
  EXPECT_EQ(check(whole.substr(0, 1024 + 400)).frames, 2);
  EXPECT_EQ(check(whole + std::string(160, 'x')).state, FileState::growing);  // a frame more than the header knows
  const auto longer = check(whole + "abc");
  EXPECT_EQ(longer.state, FileState::complete);
  EXPECT_TRUE(longer.is_doubtful);
  EXPECT_NE(longer.reason.find("3 more"), std::string::npos);
  auto absurd = whole;
  put_word(absurd, 12, 77);
  EXPECT_EQ(check(absurd).state, FileState::broken);
  EXPECT_EQ(check(std::string(5000, '\0')).state, FileState::growing);  // space set aside, nothing written
  EXPECT_EQ(check(std::string(5000, 'q')).state, FileState::broken);
}

TEST(Completeness, AnExtendedHeaderThatIsPromisedAndNotThereIsNamed) {
  auto bytes = mrc(4);
  put_word(bytes, 92, 57600);
  const auto without = check(bytes);
  EXPECT_EQ(without.state, FileState::complete);
  EXPECT_TRUE(without.is_doubtful);
  EXPECT_NE(without.reason.find("NSYMBT"), std::string::npos);
  const auto cut = check(bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(cut.state, FileState::growing);
  EXPECT_NE(cut.reason.find("NSYMBT = 57600"), std::string::npos);
  put_word(bytes, 1024, 768);  // an extended header of FEI begins with its own size: it is there, the data are not yet
  EXPECT_EQ(check(bytes).state, FileState::growing);
}

TEST(Completeness, AnMrcHeaderOfMorePixelsThanAnyFileHoldsIsBroken) {
  auto bytes = mrc(1);
  put_word(bytes, 0, 1 << 20), put_word(bytes, 4, 1 << 20), put_word(bytes, 8, 1 << 22), put_word(bytes, 12, 2);
  EXPECT_EQ(check(bytes.substr(0, 1024)).state, FileState::broken);  // 4 × 2^62 is 2^64, which is 0
}

TEST(Completeness, ATiffFileGrowsUntilItsLastDirectory) {
  for (const bool big : {false, true}) {
    const auto whole = tiff(3, big), two = tiff(2, big);
    EXPECT_EQ(check(whole).state, FileState::complete);
    EXPECT_EQ(check(whole).frames, 3);
    EXPECT_EQ(check(whole, 4).state, FileState::growing);
    EXPECT_EQ(check(whole, 3).state, FileState::complete);
    for (std::size_t size = 0; size < whole.size(); size += 11)
      EXPECT_EQ(check(whole.substr(0, size)).state, FileState::growing) << size;
    EXPECT_EQ(check(two + std::string(4000, 'x')).state, FileState::growing);  // strips of a third frame
  }
}

TEST(Completeness, ContradictionsInATiffFileAreBroken) {
  auto loop = tiff(1, false);
  const auto ifd = get_word(loop, 4);
  const auto tags = get_word(loop, ifd) & 0xffffU;
  put_word(loop, ifd + 2 + tags * 12, ifd);
  EXPECT_EQ(check(loop).state, FileState::broken);
  EXPECT_NE(check(loop).reason.find("comes back"), std::string::npos);
  auto none = tiff(1, false);
  put_word(none, 4, 0);
  EXPECT_EQ(check(none).state, FileState::growing);  // libtiff writes the first offset last
}

TEST(Completeness, PicturesEndWithTheirMarker) {
  const TestFolder folder;
  write_png(folder / "x.png", Picture(20, 20, 1));
  write_jpeg(folder / "x.jpg", Picture(20, 20, 3));
  for (const auto* name : {"x.png", "x.jpg"}) {
    const auto bytes = read_text(folder / name);
    EXPECT_EQ(check(bytes).state, FileState::complete);
    EXPECT_EQ(check(bytes.substr(0, bytes.size() - 1)).state, FileState::growing);
  }
  EXPECT_EQ(check("").state, FileState::growing);
  EXPECT_ERROR((void)check_complete(folder / "absent.mrc"), not_found, "absent.mrc");
}

}  // namespace
}  // namespace frazil::io
