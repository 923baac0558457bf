#include <gtest/gtest.h>

#include "frazil/base/files.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/test_files.hpp"

namespace frazil::io {
namespace {

Picture noise(int channels) {
  Rng rng(2);
  Picture picture(31, 17, channels);
  for (auto& value : picture.pixels) value = static_cast<std::uint8_t>(rng.below(256));
  return picture;
}

TEST(Picture, PngComesBackExactly) {
  const TestFolder folder;
  for (const int channels : {1, 3}) {
    const auto picture = noise(channels);
    write_png(folder / "x.png", picture);
    const auto back = read_png(folder / "x.png");
    EXPECT_EQ(back.nx, 31);
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.pixels, picture.pixels);
  }
}

TEST(Picture, JpegComesBackNearly) {
  const TestFolder folder;
  Picture picture(64, 48, 1);
  for (int y = 0; y < 48; ++y)
    for (int x = 0; x < 64; ++x) *picture.at(x, y) = static_cast<std::uint8_t>(2 * x + 2 * y);
  write_jpeg(folder / "x.jpg", picture, 95);
  const auto back = read_jpeg(folder / "x.jpg");
  ASSERT_EQ(back.pixels.size(), picture.pixels.size());
  for (std::size_t i = 0; i < back.pixels.size(); ++i) ASSERT_NEAR(back.pixels[i], picture.pixels[i], 4);
  auto bytes = read_text(folder / "x.jpg");
  write_text(folder / "cut.jpg", bytes.substr(0, bytes.size() / 2));
  EXPECT_ERROR((void)read_jpeg(folder / "cut.jpg"), corrupt, "cut.jpg");
  write_text(folder / "none.jpg", "hello");
  EXPECT_ERROR((void)read_jpeg(folder / "none.jpg"), corrupt, "none.jpg");
}

TEST(Picture, GreyLevelsAreClampedAndTheFirstRowStaysFirst) {
  Image image(3, 2);
  image(0, 0) = -5, image(1, 0) = 0, image(2, 0) = 1;
  image(0, 1) = 9, image(1, 1) = std::numeric_limits<float>::quiet_NaN(), image(2, 1) = 2;
  const auto picture = to_picture(image, 0, 2);
  EXPECT_EQ(picture.pixels, (std::vector<std::uint8_t>{0, 0, 128, 255, 0, 255}));
  const TestFolder folder;
  write_png(folder / "a.png", image, 0, 2);
  EXPECT_EQ(read_png(folder / "a.png").pixels, picture.pixels);
  write_png_auto(folder / "b.png", Image(8, 8));  // no contrast at all
  EXPECT_EQ(to_image(read_png(folder / "b.png"))(3, 3), 0.0F);
}

TEST(Picture, DamagedPngIsAnError) {
  const TestFolder folder;
  write_png(folder / "x.png", noise(1));
  const auto bytes = read_text(folder / "x.png");
  const auto all = std::as_bytes(std::span(bytes));
  for (std::size_t size = 0; size < bytes.size() - 24;
       ++size) {  // the last pixels stand before the checksums and the end chunk
    EXPECT_ERROR((void)read_png(ByteSource::memory("cut.png", all.first(size))), corrupt, "cut.png");
  }
  auto huge = bytes;
  huge[16] = 0x7f;  // width
  write_text(folder / "huge.png", huge);
  EXPECT_ERROR((void)read_png(folder / "huge.png"), corrupt, "huge.png");
}

}  // namespace
}  // namespace frazil::io
