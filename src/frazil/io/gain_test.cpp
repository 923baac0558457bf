#include <gtest/gtest.h>

#include <fstream>

#include "frazil/io/gain.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/tiff_writer.hpp"

namespace frazil::io {
namespace {

Image numbered(int nx, int ny) {
  Image image(nx, ny);
  for (std::size_t i = 0; i < image.size(); ++i) image.pixels()[i] = static_cast<float>(i + 1);
  return image;
}

bool equal(const Image& a, const Image& b) { return a.nx() == b.nx() && a.ny() == b.ny() && std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin()); }

GainOrientation at(int i) { return static_cast<GainOrientation>(i); }

TEST(Gain, TheEightOrientationsDifferAndFormAGroup) {
  const auto image = numbered(5, 3);
  for (int a = 0; a < gain_orientation_count; ++a) {
    EXPECT_TRUE(equal(orient(orient(image, at(a)), inverse(at(a))), image)) << to_string(at(a));
    EXPECT_EQ(gain_orientation_from(to_string(at(a))), at(a));
    for (int b = 0; b < gain_orientation_count; ++b) {
      EXPECT_TRUE(equal(orient(orient(image, at(a)), at(b)), orient(image, combine(at(a), at(b)))));
      EXPECT_EQ(equal(orient(image, at(a)), orient(image, at(b))), a == b);
    }
  }
  EXPECT_ERROR((void)gain_orientation_from("sideways"), bad_input, "rotate-90");
}

TEST(Gain, OrientationsMoveCornersAsTheirNamesSay) {
  const auto image = numbered(4, 2);  // (0, 0) is 1, +x end of row 0 is 4, row 1 is above row 0
  EXPECT_EQ(orient(image, GainOrientation::flip_x)(0, 0), 4);
  EXPECT_EQ(orient(image, GainOrientation::flip_y)(0, 0), 5);
  EXPECT_EQ(orient(image, GainOrientation::rotate_180)(0, 0), 8);
  EXPECT_EQ(orient(image, GainOrientation::transpose)(0, 3), 4);
  const auto turned = orient(image, GainOrientation::rotate_90);  // counter-clockwise: +x end goes up, origin to the right
  EXPECT_EQ(turned(1, 0), 1);
  EXPECT_EQ(turned(1, 3), 4);
}

TEST(Gain, IsReadOrientedAndInverted) {
  const TestFolder folder;
  auto gain = numbered(4, 2);
  gain(1, 0) = 0;
  write_image(folder / "gain.mrc", gain);
  const auto factors = read_gain(folder / "gain.mrc", 2, 4, GainOrientation::transpose, GainKind::divide);
  EXPECT_FLOAT_EQ(factors(0, 3), 0.25F);
  EXPECT_EQ(factors(0, 1), 0.0F);
  TiffStackWriter writer(folder / "gain.tif", 4, 2, {.type = PixelType::f32});
  writer.append(gain);
  writer.close();
  EXPECT_TRUE(equal(read_gain(folder / "gain.tif", 4, 2), gain));
}

TEST(Gain, WrongOnesAreRefused) {
  const TestFolder folder;
  auto gain = numbered(4, 2);
  write_image(folder / "gain.mrc", gain);
  EXPECT_ERROR((void)read_gain(folder / "gain.mrc", 2, 4), bad_input, "4 x 2 pixels in orientation identity, the movie 2 x 4");
  gain(3, 1) = std::numeric_limits<float>::quiet_NaN();
  write_image(folder / "nan.mrc", gain);
  EXPECT_ERROR((void)read_gain(folder / "nan.mrc", 4, 2), bad_input, "(3, 1)");
  write_image(folder / "zero.mrc", Image(4, 2));
  EXPECT_ERROR((void)read_gain(folder / "zero.mrc", 4, 2), bad_input, "0 everywhere");
  std::ofstream(folder / "g.dm4") << std::string("\0\0\0\4\0\0\0\0", 8) << std::string(2000, 'x');
  EXPECT_ERROR((void)read_gain(folder / "g.dm4", 4, 2), unsupported, "DM4");
}

}  // namespace
}  // namespace frazil::io
