#include <gtest/gtest.h>

#include <fstream>

#include "frazil/base/files.hpp"
#include "frazil/io/completeness.hpp"
#include "frazil/io/defects.hpp"
#include "frazil/io/dm.hpp"
#include "frazil/io/gain.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/tiff_writer.hpp"
#include "frazil/sim/dm_writer.hpp"

namespace frazil::io {
namespace {

Image numbered(int nx, int ny) {
  Image image(nx, ny);
  for (std::size_t i = 0; i < image.size(); ++i) image.pixels()[i] = static_cast<float>(i + 1);
  return image;
}

bool same_pixels(const Image& a, const Image& b) {
  return a.nx() == b.nx() && a.ny() == b.ny() && std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin());
}

GainOrientation at(int i) { return static_cast<GainOrientation>(i); }

TEST(Gain, TheEightOrientationsDifferAndFormAGroup) {
  const auto image = numbered(5, 3);
  for (int a = 0; a < gain_orientation_count; ++a) {
    EXPECT_TRUE(same_pixels(orient(orient(image, at(a)), inverse(at(a))), image)) << to_string(at(a));
    EXPECT_EQ(gain_orientation_from(to_string(at(a))), at(a));
    for (int b = 0; b < gain_orientation_count; ++b) {
      EXPECT_TRUE(same_pixels(orient(orient(image, at(a)), at(b)), orient(image, combine(at(a), at(b)))));
      EXPECT_EQ(same_pixels(orient(image, at(a)), orient(image, at(b))), a == b);
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
  const auto turned =
      orient(image, GainOrientation::rotate_90);  // counter-clockwise: +x end goes up, origin to the right
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
  EXPECT_TRUE(same_pixels(read_gain(folder / "gain.tif", 4, 2), gain));
}

TEST(Gain, WrongOnesAreRefused) {
  const TestFolder folder;
  auto gain = numbered(4, 2);
  write_image(folder / "gain.mrc", gain);
  EXPECT_ERROR((void)read_gain(folder / "gain.mrc", 2, 4), bad_input,
               "4 x 2 pixels in orientation identity, the movie 2 x 4");
  gain(3, 1) = std::numeric_limits<float>::quiet_NaN();
  write_image(folder / "nan.mrc", gain);
  EXPECT_ERROR((void)read_gain(folder / "nan.mrc", 4, 2), bad_input, "(3, 1)");
  write_image(folder / "zero.mrc", Image(4, 2));
  EXPECT_ERROR((void)read_gain(folder / "zero.mrc", 4, 2), bad_input, "0 everywhere");
  std::ofstream(folder / "g.h5") << std::string("\x89HDF\r\n\x1a\n", 8) << std::string(2000, 'x');
  EXPECT_ERROR((void)read_gain(folder / "g.h5", 4, 2), unsupported, "HDF5");
}

TEST(Gain, FactorsThatNoPixelHasAreDefectsOrNoGain) {
  const TestFolder folder;
  auto gain = numbered(4, 2);
  gain(1, 1) = 1e38F;
  gain(2, 1) = 1e-38F;
  write_image(folder / "odd.mrc", gain);
  for (const auto kind : {GainKind::multiply, GainKind::divide}) {
    const auto factors = read_gain(folder / "odd.mrc", 4, 2, GainOrientation::identity, kind);
    EXPECT_EQ(factors(1, 1), 0);
    EXPECT_EQ(factors(2, 1), 0);
    EXPECT_GT(factors(3, 1), 0);
  }
  for (auto& value : gain.pixels()) value = 1e30F;
  write_image(folder / "no.mrc", gain);
  for (const auto kind : {GainKind::multiply, GainKind::divide})
    EXPECT_ERROR((void)read_gain(folder / "no.mrc", 4, 2, GainOrientation::identity, kind), bad_input,
                 "8 factors of the gain lie beyond");
}

void write_tiff(const std::filesystem::path& path, const Image& image) {
  TiffStackWriter writer(path, image.nx(), image.ny(), {.type = PixelType::f32});
  writer.append(image);
  writer.close();
}

TEST(Gain, FinerReferencesAreAveragedAndCoarserOnesRepeated) {
  const TestFolder folder;
  auto fine = numbered(4, 4);
  fine(0, 0) = fine(1, 0) = fine(0, 1) = 0;  // three of four parts are dead
  fine(2, 0) = 0;                            // one of four
  write_image(folder / "fine.mrc", fine);
  const auto gain = read_gain(folder / "fine.mrc", 2, 2);
  EXPECT_EQ(gain(0, 0), 0);
  EXPECT_FLOAT_EQ(gain(1, 0), (4 + 7 + 8) / 3.0F);
  EXPECT_FLOAT_EQ(gain(1, 1), (11 + 12 + 15 + 16) / 4.0F);
  write_image(folder / "coarse.mrc", numbered(2, 2));
  const auto repeated = read_gain(folder / "coarse.mrc", 6, 6);
  EXPECT_EQ(repeated(2, 2), 1);
  EXPECT_EQ(repeated(3, 2), 2);
  EXPECT_EQ(repeated(5, 5), 4);
  EXPECT_ERROR((void)read_gain(folder / "coarse.mrc", 6, 4), bad_input, "2 x 2");
  EXPECT_ERROR((void)read_gain(folder / "coarse.mrc", 3, 3), bad_input, "2 x 2");
}

TEST(Gain, AnAverageImageBecomesItsMeanOverItself) {
  const TestFolder folder;
  Image average(2, 2);
  average(0, 0) = 2, average(1, 0) = 4, average(1, 1) = 6;
  write_image(folder / "a.mrc", average);
  const auto gain = read_gain(folder / "a.mrc", 2, 2, GainOrientation::identity, GainKind::average);
  EXPECT_FLOAT_EQ(gain(0, 0), 2);
  EXPECT_FLOAT_EQ(gain(1, 0), 1);
  EXPECT_EQ(gain(0, 1), 0);  // a defect
  EXPECT_FLOAT_EQ(gain(1, 1), 4.0F / 6);
  EXPECT_EQ(usual_gain_kind("x.gain", true), GainKind::multiply);
  EXPECT_EQ(usual_gain_kind("x.mrc", true), GainKind::average);
  EXPECT_EQ(usual_gain_kind("x.mrc", false), GainKind::multiply);
}

TEST(Gain, RowsOfGainFilesOfEerAreNotFlippedThoughTheyAreTiff) {
  const TestFolder folder;
  const auto gain = numbered(4, 2);
  write_tiff(folder / "g.gain", gain);
  write_tiff(folder / "g.tif", gain);
  EXPECT_TRUE(same_pixels(read_gain(folder / "g.tif", 4, 2), gain));
  EXPECT_TRUE(same_pixels(read_gain(folder / "g.gain", 4, 2), orient(gain, GainOrientation::flip_y)));
}

TEST(Gain, Dm4AndDm3AreReadWithTheRowsOfTiff) {
  const TestFolder folder;
  auto gain = numbered(5, 3);
  gain.pixel_size = 1.25_A;
  for (const int version : {3, 4}) {
    write_text(folder / "g.dm", sim::dm_file(gain, version));  // its first row is the picture's top, as in a TIFF file
    EXPECT_TRUE(same_pixels(read_gain(folder / "g.dm", 5, 3), gain));
    EXPECT_NEAR(read_info(folder / "g.dm").pixel_size.value(), 1.25, 1e-6);
    const auto bytes = read_text(folder / "g.dm");
    for (std::size_t cut = 40; cut + 10 < bytes.size(); cut += 7) {
      const auto part = std::as_bytes(std::span(bytes.data(), cut));
      EXPECT_ERROR((void)open_dm(ByteSource::memory("cut.dm", part)), corrupt, "cut.dm");
      EXPECT_EQ(check_complete(ByteSource::memory("cut.dm", part)).state, FileState::growing) << cut;
    }
  }
}

TEST(Defects, ListsAndMapsOfAnyGridGiveThePixelsOfTheFrame) {
  const TestFolder folder;
  write_text(folder / "d.txt", "# x y w h\n1 0 2 1\n\n3 2 1 1  # hot\n");
  EXPECT_EQ(read_defects(folder / "d.txt", 4, 3), (std::vector<std::uint64_t>{1, 2, 11}));
  EXPECT_EQ(read_defects(folder / "d.txt", 8, 6, 4, 3),
            (std::vector<std::uint64_t>{2, 3, 4, 5, 10, 11, 12, 13, 38, 39, 46, 47}));
  EXPECT_EQ(read_defects(folder / "d.txt", 2, 2, 4, 4), (std::vector<std::uint64_t>{0, 1, 3}));
  Image map(4, 4);
  map(2, 1) = 1;
  write_image(folder / "m.mrc", map, MrcMode::i8);
  EXPECT_EQ(read_defects(folder / "m.mrc", 4, 4), (std::vector<std::uint64_t>{6}));
  EXPECT_EQ(read_defects(folder / "m.mrc", 2, 2), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(read_defects(folder / "m.mrc", 8, 8), (std::vector<std::uint64_t>{20, 21, 28, 29}));
  write_tiff(folder / "m.tif", map);
  EXPECT_EQ(read_defects(folder / "m.tif", 4, 4), (std::vector<std::uint64_t>{6}));
}

TEST(Defects, WhatIsNoListOrMapIsRefusedInASentence) {
  const TestFolder folder;
  const auto refused = [&](const std::string& text) {
    write_text(folder / "d.txt", text);
    return read_defects(folder / "d.txt", 4, 3);
  };
  EXPECT_ERROR((void)refused("CameraSizeX 3838\nCameraSizeY 3710\nBadColumns 12 13\n"), unsupported, "SerialEM");
  EXPECT_ERROR((void)refused("1 2 3\n"), bad_input, "line 1");
  EXPECT_ERROR((void)refused("1 2 1 1\n1 2 x 1\n"), bad_input, "line 2");
  EXPECT_ERROR((void)refused("3 2 2 1\n"), bad_input, "does not lie in a frame of 4 x 3");
  EXPECT_ERROR((void)refused("0 0 4 3\n"), bad_input, "every pixel");
  EXPECT_ERROR((void)refused(std::string(50, '\0')), bad_input, "found neither");
  write_image(folder / "m.mrc", Image(5, 3));
  EXPECT_ERROR((void)read_defects(folder / "m.mrc", 4, 3), bad_input, "5 x 3");
}

}  // namespace
}  // namespace frazil::io
