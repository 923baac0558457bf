// Other programs read what we write, and we what they write: RELION, mrcfile, tifffile. Absent programs are skipped.
#include <gtest/gtest.h>

#include <array>

#include "frazil/base/files.hpp"
#include "frazil/base/random.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/test_programs.hpp"
#include "frazil/io/tiff_writer.hpp"

namespace frazil::io {
namespace {

Image counts(int nx, int ny, double mean, std::uint64_t seed) {
  Rng rng(seed);
  Image image(nx, ny, 1.25_A);
  for (auto& value : image.pixels()) value = static_cast<float>(rng.poisson(mean));
  image(5, 0) = 15;  // rows are told apart from columns and from their mirror images
  return image;
}

double sum_of(const std::filesystem::path& path, int images) {
  double sum = 0;
  for (int i = 0; i < images; ++i) {
    const auto image = read_image(path, i);
    for (const float value : image.pixels()) sum += static_cast<double>(value);
  }
  return sum;
}

/// The number after `key` in a text.
double number_after(const std::string& text, const std::string& key) {
  const auto at = text.find(key);
  return at == std::string::npos ? std::nan("") : std::strtod(text.c_str() + at + key.size(), nullptr);
}

constexpr std::array modes{MrcMode::i8, MrcMode::i16, MrcMode::f32, MrcMode::u16, MrcMode::f16, MrcMode::u4};

TEST(Interop, RelionReadsOurImagesInEveryMode) {
  NEEDS(has_program("relion_image_handler"), "relion_image_handler");
  const TestFolder folder;
  for (const auto mode : modes) {
    SCOPED_TRACE(static_cast<int>(mode));
    const auto path = (folder / "x.mrc").string();
    const auto image = counts(64, 48, 3, 1);
    write_image(path, image, mode);
    const auto told = shell("relion_image_handler --stats --i " + path);
    if (mode == MrcMode::f16 && told.output.find("RELION 3.1 does not support half-precision") != std::string::npos)
      continue;
    const auto truth = statistics(image.view());
    EXPECT_EQ(told.code, 0) << told.output;
    EXPECT_NE(told.output.find("(x,y,z,n)= 64 x 48 x 1 x 1"), std::string::npos) << told.output;
    EXPECT_NEAR(number_after(told.output, "avg="), truth.mean, 1e-3) << told.output;
    EXPECT_NEAR(number_after(told.output, "stddev="), truth.stddev, 1e-2) << told.output;
    EXPECT_NEAR(number_after(told.output, "angpix ="), 1.25, 1e-6) << told.output;
  }
}

TEST(Interop, RelionReadsOurStacksAndVolumes) {
  NEEDS(has_program("relion_image_handler"), "relion_image_handler");
  const TestFolder folder;
  StackWriter writer(folder / "s.mrcs", 32, 32, 2.5_A);
  for (std::uint64_t i = 0; i < 7; ++i) writer.append(counts(32, 32, 2.0 + static_cast<double>(i), i));
  writer.close();
  const auto stack = shell("relion_image_handler --stats --i " + (folder / "s.mrcs").string());
  EXPECT_NE(stack.output.find("000007@"), std::string::npos) << stack.output;
  EXPECT_EQ(stack.output.find("000008@"), std::string::npos) << stack.output;
  EXPECT_NEAR(number_after(stack.output, "angpix ="), 2.5, 1e-6) << stack.output;
  Volume volume(16, 16, 16, 3_A);
  volume(3, 4, 5) = 1;
  write_volume(folder / "v.mrc", volume);
  const auto told = shell("relion_image_handler --stats --i " + (folder / "v.mrc").string());
  EXPECT_NE(told.output.find("16 x 16 x 16 x 1"), std::string::npos) << told.output;
  EXPECT_NEAR(number_after(told.output, "angpix ="), 3, 1e-6) << told.output;

  const auto one = shell("cd " + folder.path().string() +
                         " && relion_image_handler --i 000003@s.mrcs --o third.mrc --multiply_constant 2");
  ASSERT_EQ(one.code, 0) << one.output;
  const auto third = read_image(folder / "third.mrc"), ours = read_image(folder / "s.mrcs", 2);
  for (std::size_t i = 0; i < ours.size(); ++i) ASSERT_NEAR(third.pixels()[i], 2 * ours.pixels()[i], 1e-5);
}

TEST(Interop, RelionReadsOurTiffMovies) {
  NEEDS(has_program("relion_image_handler"), "relion_image_handler");
  const TestFolder folder;
  TiffStackWriter writer(folder / "m.tif", 60, 40, {.type = PixelType::u8, .rows_per_strip = 9});
  const auto image = counts(60, 40, 1, 4);
  writer.append(image);
  writer.close();
  const auto told = shell("relion_image_handler --stats --i " + (folder / "m.tif").string());
  EXPECT_NE(told.output.find("60 x 40 x 1 x 1"), std::string::npos) << told.output;
  EXPECT_NEAR(number_after(told.output, "avg="), statistics(image.view()).mean, 1e-4) << told.output;
}

TEST(Interop, AStackAndTheTiffThatRelionMakesOfItAreTheSameArray) {
  NEEDS(has_program("relion_convert_to_tiff"), "relion_convert_to_tiff");
  const TestFolder folder;
  for (const auto* options : {"", " --compression deflate", " --compression none"}) {
    SCOPED_TRACE(options);
    StackWriter writer(folder / "a.mrcs", 30, 20, 1_A, MrcMode::i16);
    for (std::uint64_t i = 0; i < 3; ++i) writer.append(counts(30, 20, 4, i));
    writer.close();
    const auto made =
        shell("cd " + folder.path().string() + " && relion_convert_to_tiff --i a.mrcs --o out/" + options);
    ASSERT_EQ(made.code, 0) << made.output;
    ASSERT_EQ(read_info(folder / "out/a.tif").nz, 3);
    for (int i = 0; i < 3; ++i) {
      const auto ours = read_image(folder / "a.mrcs", i), theirs = read_image(folder / "out/a.tif", i);
      ASSERT_TRUE(
          std::equal(ours.pixels().begin(), ours.pixels().end(), theirs.pixels().begin(), theirs.pixels().end()))
          << "frame " << i;
    }
  }
}

StarFile particles(int count) {
  OpticsGroup group;
  group.image_pixel_size = 1.77_A, group.image_size = 64, group.original_pixel_size = 0.885_A,
  group.micrograph_pixel_size = 0.885_A;
  group.optics.magnification = {1.01, 0.002, 0.003, 0.99};
  StarFile file;
  file.add(optics_table(std::span(&group, 1)));
  auto& rows = file.add(StarTable("particles", {"rlnCoordinateX", "rlnCoordinateY", "rlnImageName", "rlnMicrographName",
                                                "rlnOpticsGroup", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"}));
  Rng rng(8);
  for (int i = 0; i < count; ++i) {
    const auto row = rows.add_row();
    rows.set(row, 0, rng.uniform(0, 4096));
    rows.set(row, 1, rng.uniform(0, 4096));
    rows.set(row, 2, join_reference(i, "stack.mrcs"));
    rows.set(row, 3, "micrographs/m1.mrc");
    rows.set(row, 4, 1);
    rows.set(row, 5, 12345.678);
    rows.set(row, 6, 12000.0);
    rows.set(row, 7, 1.0e-7);
  }
  return file;
}

TEST(Interop, RelionReadsOurStarFilesAndWeItsCopy) {
  NEEDS(has_program("relion_star_handler") && has_program("relion_star_printtable"), "relion_star_handler");
  const TestFolder folder;
  const auto file = particles(30);
  write_star(folder / "p.star", file);
  const auto printed =
      shell("relion_star_printtable " + (folder / "p.star").string() + " data_particles _rlnImageName _rlnDefocusU");
  EXPECT_EQ(printed.code, 0) << printed.output;
  EXPECT_NE(printed.output.find("000030@stack.mrcs"), std::string::npos) << printed.output;
  const auto copied =
      shell("cd " + folder.path().string() +
            " && relion_star_handler --i p.star --o q.star --select rlnDefocusU --minval 0 --maxval 99999");
  ASSERT_EQ(copied.code, 0) << copied.output;
  const auto back = read_star(folder / "q.star");
  const auto &ours = file.tables[1], &theirs = back.table("particles");
  ASSERT_EQ(theirs.rows(), 30U);
  for (std::size_t row = 0; row < 30; ++row) {
    for (const auto* label : {"rlnCoordinateX", "rlnCoordinateY", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"})
      ASSERT_NEAR(theirs.number(row, label), ours.number(row, label), 1e-5 * (1 + std::abs(ours.number(row, label))))
          << label;
    ASSERT_EQ(theirs.text(row, "rlnImageName"), ours.text(row, "rlnImageName"));
  }
  const auto groups = read_optics(back, theirs);
  ASSERT_EQ(groups.groups.size(), 1U);
  EXPECT_NEAR(groups.groups[0].image_pixel_size.value(), 1.77, 1e-6);
  EXPECT_NEAR(groups.groups[0].original_pixel_size.value(), 0.885, 1e-6);
  EXPECT_EQ(groups.groups[0].image_size, 64);
  EXPECT_EQ(groups.groups[0].name, "opticsGroup1");
  EXPECT_EQ(groups.groups[0].optics.magnification, (std::vector{1.01, 0.002, 0.003, 0.99}))
      << "RELION knows the labels: it drops others on the way";
}

TEST(Interop, MrcfileFindsOurFilesValidAndReadsTheSamePixels) {
  NEEDS(has_python("mrcfile"), "python3-mrcfile");
  const TestFolder folder;
  for (const auto mode : modes) {
    if (mode == MrcMode::u4) continue;  // mrcfile has no 4-bit pixels
    SCOPED_TRACE(static_cast<int>(mode));
    const auto path = (folder / "x.mrc").string();
    StackWriter writer(path, 33, 20, 1.25_A, mode);
    for (std::uint64_t i = 0; i < 3; ++i) writer.append(counts(33, 20, 3, i));
    writer.close();
    const auto told =
        shell("/usr/bin/python3 -c \"import mrcfile,sys; ok=mrcfile.validate('" + path + "'); m=mrcfile.open('" + path +
              "'); "
              "print('valid',ok,'shape',m.data.shape,'stack',m.is_image_stack(),'px',float(m.voxel_size.x),'at',float("
              "m.data[1,0,5]),'sum',float(m.data.astype('f8').sum()))\"");
    const double sum = sum_of(path, 3);
    EXPECT_NE(told.output.find("valid True shape (3, 20, 33) stack True px 1.25 at 15.0"), std::string::npos)
        << told.output;
    EXPECT_NEAR(number_after(told.output, "sum"), sum, 1e-6);
  }
  write_volume(folder / "v.mrc", Volume(4, 5, 6, 2_A));
  const auto told =
      shell("/usr/bin/python3 -c \"import mrcfile; print('valid',mrcfile.validate('" + (folder / "v.mrc").string() +
            "'),mrcfile.open('" + (folder / "v.mrc").string() + "').is_volume())\"");
  EXPECT_NE(told.output.find("valid True True"), std::string::npos) << told.output;
}

TEST(Interop, WeReadWhatMrcfileWrites) {
  NEEDS(has_python("mrcfile") && has_python("numpy"), "python3-mrcfile");
  const TestFolder folder;
  for (const auto* type : {"int8", "int16", "float32", "uint16", "float16"}) {
    SCOPED_TRACE(type);
    const auto path = (folder / "x.mrc").string();
    const auto made = shell(
        std::string(
            "/usr/bin/python3 -c \"import mrcfile,numpy as n; a=(n.arange(2*6*7).reshape(2,6,7)%100-20*(n.dtype('") +
        type + "').kind!='u')).astype('" + type + "'); m=mrcfile.new('" + path +
        "',a,overwrite=True); m.set_image_stack(); m.voxel_size=1.5; m.close()\"");
    ASSERT_EQ(made.code, 0) << made.output;
    const auto image = read_image(path, 1);
    const float offset = std::string(type) == "uint16" ? 0 : -20;
    EXPECT_EQ(image(3, 2), static_cast<float>((42 + 2 * 7 + 3) % 100) + offset);
    EXPECT_NEAR(image.pixel_size.value(), 1.5, 1e-6);
  }
}

TEST(Interop, TifffileAndWeReadEachOthersStacks) {
  NEEDS(has_python("tifffile") && has_python("numpy"), "python3-tifffile");
  const TestFolder folder;
  for (const auto compression :
       {TiffCompression::none, TiffCompression::deflate}) {  // LZW needs a package tifffile does not bring
    TiffStackWriter writer(folder / "ours.tif", 30, 20,
                           {compression, PixelType::u16, false, 6, compression == TiffCompression::deflate});
    for (std::uint64_t i = 0; i < 3; ++i) writer.append(counts(30, 20, 5, i));
    writer.close();
    const auto told =
        shell("/usr/bin/python3 -c \"import tifffile; a=tifffile.imread('" + (folder / "ours.tif").string() +
              "'); print(a.shape, a.dtype, a[2,19,5], 'sum', a.sum())\"");
    if (told.output.find("imagecodecs") == std::string::npos) {
      const double sum = sum_of(folder / "ours.tif", 3);
      EXPECT_NE(told.output.find("(3, 20, 30) uint16 15"), std::string::npos)
          << told.output;  // their last row is our first
      EXPECT_EQ(number_after(told.output, "sum"), sum) << told.output;
    }
  }
  for (const auto* options : {"", ",bigtiff=True", ",byteorder='>'", ",rowsperstrip=3"}) {
    SCOPED_TRACE(options);
    const auto path = (folder / "theirs.tif").string();
    const auto made = shell(
        "/usr/bin/python3 -c \"import tifffile,numpy as n; a=n.arange(3*8*9).reshape(3,8,9).astype('int16')-50; "
        "w=tifffile.TiffWriter('" +
        path + "'" + (std::string(options).find("rows") == std::string::npos ? options : "") +
        "); [w.write(f,contiguous=False,photometric='minisblack',metadata=None" +
        (std::string(options).find("rows") != std::string::npos ? options : "") + ") for f in a]; w.close()\"");
    ASSERT_EQ(made.code, 0) << made.output;
    ASSERT_EQ(read_info(path).nz, 3);
    EXPECT_EQ(read_image(path, 2)(4, 1), static_cast<float>(2 * 72 + 6 * 9 + 4 - 50));
  }
}

}  // namespace
}  // namespace frazil::io
