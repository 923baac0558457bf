#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "frazil/base/files.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/mrc.hpp"
#include "frazil/io/test_files.hpp"

namespace frazil::io {
namespace {

Image noise(int nx, int ny, double low, double high, std::uint64_t seed) {
  Rng rng(seed);
  Image image(nx, ny, 1.34_A);
  for (auto& value : image.pixels()) value = static_cast<float>(rng.uniform(low, high));
  return image;
}

struct ModeCase {
  MrcMode mode;
  double low, high, tolerance;
};
const ModeCase all_modes[] = {{MrcMode::i8, -128, 127, 0.5}, {MrcMode::i16, -32768, 32767, 0.5},
                              {MrcMode::f32, -1e6, 1e6, 0},  {MrcMode::u16, 0, 65535, 0.5},
                              {MrcMode::f16, -8, 8, 0.002},  {MrcMode::u4, 0, 15, 0.5}};

TEST(Mrc, EveryModeComesBackWithinItsRounding) {
  const TestFolder folder;
  for (const auto& c : all_modes) {
    SCOPED_TRACE(static_cast<int>(c.mode));
    const auto path = folder / "image.mrc";
    const auto image = noise(37, 21, c.low, c.high, 3);  // odd sides: rows of 4-bit pixels are padded
    write_image(path, image, c.mode);
    const auto back = read_image(path);
    ASSERT_EQ(back.nx(), 37);
    ASSERT_EQ(back.ny(), 21);
    EXPECT_NEAR(back.pixel_size.value(), 1.34, 1e-6);
    for (std::size_t i = 0; i < image.size(); ++i) ASSERT_NEAR(back.pixels()[i], image.pixels()[i], c.tolerance);
  }
}

TEST(Mrc, BothByteOrdersGiveTheSamePixels) {
  const TestFolder folder;
  for (const auto& c : all_modes) {
    SCOPED_TRACE(static_cast<int>(c.mode));
    const auto path = folder / "image.mrc", turned = folder / "turned.mrc";
    write_image(path, noise(16, 9, c.low, c.high, 4), c.mode);
    write_text(turned, swap_mrc(read_text(path)));
    const auto a = read_image(path), b = read_image(turned);
    EXPECT_TRUE(std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin(), b.pixels().end()));
    EXPECT_EQ(a.pixel_size, b.pixel_size);
  }
}

TEST(Mrc, AnExtendedHeaderIsSkipped) {
  const TestFolder folder;
  const auto path = folder / "image.mrc";
  const auto image = noise(8, 8, -1, 1, 5);
  write_image(path, image);
  auto bytes = read_text(path);
  put_word(bytes, 92, 3072);
  bytes.insert(1024, std::string(3072, 'x'));
  write_text(path, bytes);
  EXPECT_EQ(read_image(path)(7, 7), image(7, 7));
}

TEST(Mrc, AValueThatDoesNotFitIsRefusedAndLeavesNothing) {
  const TestFolder folder;
  Image image(4, 4);
  image(2, 1) = 70000;
  EXPECT_ERROR(write_image(folder / "x.mrc", image, MrcMode::u16), bad_input, "70000 at (2, 1) of image 1");
  EXPECT_ERROR(write_image(folder / "x.mrc", image, MrcMode::f16), bad_input, "70000");
  image(2, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_ERROR(write_image(folder / "x.mrc", image, MrcMode::i8), bad_input, "does not fit");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Mrc, StacksAndVolumesAreToldApartByTheirHeader) {
  const TestFolder folder;
  StackWriter writer(folder / "s.mrcs", 6, 4, 2_A, MrcMode::i16);
  for (int i = 0; i < 5; ++i) {
    Image image(6, 4);
    image(3, 2) = static_cast<float>(i);
    writer.append(image);
  }
  EXPECT_EQ(writer.count(), 5);
  EXPECT_FALSE(std::filesystem::exists(folder / "s.mrcs"));
  writer.close();
  const StackReader reader(folder / "s.mrcs");
  EXPECT_EQ(reader.info().nz, 5);
  EXPECT_FALSE(reader.info().is_volume);
  EXPECT_EQ(reader.info().type, PixelType::i16);
  EXPECT_EQ(reader.read(3)(3, 2), 3.0F);
  EXPECT_ERROR((void)reader.read(5), bad_input, "image 6 is asked for, the file has 5");

  Volume volume(4, 5, 6, 3_A);
  volume(1, 2, 3) = 9;
  write_volume(folder / "v.mrc", volume);
  const auto back = read_volume(folder / "v.mrc");
  EXPECT_TRUE(read_info(folder / "v.mrc").is_volume);
  EXPECT_EQ(back.nz(), 6);
  EXPECT_EQ(back(1, 2, 3), 9.0F);
  EXPECT_EQ(back.pixel_size, 3_A);
}

TEST(Mrc, BytesWithoutStampAreSignedOrNotByTheirHistogram) {
  const TestFolder folder;
  Rng rng(7);
  const auto check = [&](double mean, double sigma, PixelType expected) {
    std::string bytes(1024 + 4096, '\0');
    put_word(bytes, 0, 64), put_word(bytes, 4, 64), put_word(bytes, 8, 1), put_word(bytes, 12, 0);
    for (std::size_t i = 1024; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>(static_cast<int>(std::lround(rng.normal(mean, sigma))));
    write_text(folder / "b.mrc", bytes);
    EXPECT_EQ(read_info(folder / "b.mrc").type, expected) << mean;
  };
  check(0, 20, PixelType::i8);
  check(-40, 20, PixelType::i8);
  check(128, 20, PixelType::u8);
  check(140, 15, PixelType::u8);
  check(20, 4, PixelType::i8);            // both readings agree
  std::string counts(1024 + 4096, '\0');  // counting movie with a few saturated pixels
  put_word(counts, 0, 64), put_word(counts, 4, 64), put_word(counts, 8, 1);
  counts[2000] = counts[3000] = static_cast<char>(255);
  write_text(folder / "b.mrc", counts);
  EXPECT_EQ(read_info(folder / "b.mrc").type, PixelType::u8);
}

TEST(Mrc, SignedBytesOfImodStandForCountsThatAre128Higher) {
  const TestFolder folder;
  std::string bytes(1024 + 16, '\0');
  put_word(bytes, 0, 4), put_word(bytes, 4, 4), put_word(bytes, 8, 1);
  put_word(bytes, 152, 1146047817), put_word(bytes, 156, 1);
  for (int i = 0; i < 16; ++i) bytes[static_cast<std::size_t>(1024 + i)] = static_cast<char>(i - 128);
  write_text(folder / "b.mrc", bytes);
  const auto image = read_image(folder / "b.mrc");
  for (int i = 0; i < 16; ++i) EXPECT_EQ(image(i % 4, i / 4), static_cast<float>(i));
  Counts counts;
  MovieReader(folder / "b.mrc").read_counts(0, counts);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(std::to_integer<int>(counts.row(0)[i]), i);
  put_word(bytes, 156, 0);  // IMOD's stamp without the flag: unsigned
  write_text(folder / "b.mrc", bytes);
  EXPECT_EQ(read_image(folder / "b.mrc")(0, 0), 128.0F);
}

TEST(Mrc, AHeaderOfMorePixelsThanAnyFileHoldsIsRefused) {
  const TestFolder folder;
  std::string bytes(1024, '\0');
  put_word(bytes, 0, 1 << 20), put_word(bytes, 4, 1 << 20), put_word(bytes, 8, 1 << 22), put_word(bytes, 12, 2);
  write_text(folder / "b.mrc", bytes);
  EXPECT_ERROR((void)read_info(folder / "b.mrc"), corrupt, "make no sense");
}

TEST(Mrc, AnExtendedHeaderThatIsNotThereIsNotSkipped) {
  const TestFolder folder;
  write_image(folder / "x.mrc", noise(8, 8, -1, 1, 5));
  const auto first = read_image(folder / "x.mrc")(0, 0);
  auto bytes = read_text(folder / "x.mrc");
  put_word(bytes, 92, 57600);
  write_text(folder / "x.mrc", bytes);
  EXPECT_EQ(read_image(folder / "x.mrc")(0, 0), first);
}

TEST(Mrc, StatisticsStandInTheHeader) {
  const TestFolder folder;
  Image image(2, 2);
  image(0, 0) = 1, image(1, 0) = 2, image(0, 1) = 3, image(1, 1) = 6;
  write_image(folder / "x.mrc", image);
  const auto bytes = read_text(folder / "x.mrc");
  EXPECT_EQ(get_real(bytes, 76), 1);
  EXPECT_EQ(get_real(bytes, 80), 6);
  EXPECT_EQ(get_real(bytes, 84), 3);
  EXPECT_NEAR(get_real(bytes, 216), std::sqrt(3.5), 1e-6);
}

TEST(Mrc, ReferencesAreCountedFromOneInFilesAndFromZeroInside) {
  const auto r = split_reference("000003@dir/stack.mrcs");
  EXPECT_EQ(r.index, 2);
  EXPECT_EQ(r.file, "dir/stack.mrcs");
  EXPECT_EQ(join_reference(r.index, r.file), "000003@dir/stack.mrcs");
  EXPECT_EQ(split_reference("plain.mrc").file, "plain.mrc");
  EXPECT_ERROR((void)split_reference("0@x.mrcs"), bad_input, "from 1");
  EXPECT_ERROR((void)split_reference("a@x.mrcs"), bad_input, "from 1");
}

TEST(Mrc, ForeignFilesAreNamed) {
  const TestFolder folder;
  using namespace std::literals;
  auto text = "\0\0\0\x04\0\0\0\0"s;
  text.append(2000, '\1');
  write_text(folder / "x.dm4", text);
  EXPECT_ERROR((void)read_info(folder / "x.dm4"), corrupt, "x.dm4");
  EXPECT_ERROR((void)read_info(folder / "none.mrc"), not_found, "none.mrc");
  EXPECT_ERROR((void)read_info(folder.path()), bad_input, "regular file");
}

}  // namespace
}  // namespace frazil::io
