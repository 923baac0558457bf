// Real files of other programs, where the folder with them is there: what is read, and what is refused and why.
#include <gtest/gtest.h>

#include <iostream>

#include "frazil/base/files.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/completeness.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/io/test_files.hpp"

namespace frazil::io {
namespace {

std::optional<std::filesystem::path> folder_of(const std::string& name) {
  const auto data = shared_data();
  if (!data || !std::filesystem::is_directory(*data / name)) return std::nullopt;
  return *data / name;
}

#define NEEDS_DATA(variable, name)       \
  const auto variable = folder_of(name); \
  if (!variable) GTEST_SKIP() << "the real files of " << name << " are not here (set FRAZIL_SHARED to their folder)"

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder,
                                            std::initializer_list<const char*> endings) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (std::find(endings.begin(), endings.end(), entry.path().extension().string()) != endings.end())
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

TEST(RealFiles, EveryMrcFileIsReadWhole) {
  const auto data = shared_data();
  if (!data) GTEST_SKIP() << "no real files here (set FRAZIL_SHARED to their folder)";
  const auto files = files_of(*data, {".mrc", ".mrcs"});
  for (const auto& path : files) {
    SCOPED_TRACE(path.string());
    const StackReader reader(path);
    Image image;
    for (int i = 0; i < reader.info().nz; i += std::max(1, reader.info().nz / 3)) {
      reader.read(i, image);
      const auto s = statistics(image.view());
      EXPECT_EQ(s.not_finite, 0U);
      EXPECT_LE(s.min, s.max);  // empty classes are flat
    }
    EXPECT_EQ(check_complete(path).state, FileState::complete) << check_complete(path).reason;
  }
  std::cout << files.size() << " MRC files read\n";
}

TEST(RealFiles, DmFilesOfBothVersionsAreRead) {
  NEEDS_DATA(folder, "format-samples");
  int read = 0;
  for (const auto& path : files_of(*folder, {".dm3", ".dm4"})) {
    SCOPED_TRACE(path.string());
    try {
      EXPECT_EQ(statistics(read_image(path)).not_finite, 0U);
      EXPECT_EQ(check_complete(path).state, FileState::complete) << check_complete(path).reason;
      ++read;
    } catch (const Error& error) {  // complex images
      EXPECT_EQ(error.code(), ErrorCode::unsupported) << error.what();
      EXPECT_EQ(check_complete(path).state, FileState::broken);
      std::cout << "refused: " << error.what() << '\n';
    }
  }
  EXPECT_GE(read, 7);
  const auto nc = *folder / "openNCEM";
  const auto three = read_image(nc / "dmTest_3D_int16_64,65,66.dm4");
  EXPECT_EQ(read_info(nc / "dmTest_3D_int16_64,65,66.dm4").nz * three.nx() * three.ny(),
            64 * 65 * 66);  // sides as in its name
  EXPECT_EQ(three.ny(), 65);
  const auto a = read_image(nc / "dmTest_float32_nonSquare_diffPixelSize.dm3"),
             b = read_image(nc / "dmTest_float32_nonSquare_diffPixelSize.dm4");
  ASSERT_EQ(a.size(), b.size());
  EXPECT_NE(a.nx(), a.ny());
  EXPECT_TRUE(std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin()));
}

TEST(RealFiles, AnExtendedHeaderOfAnySizeIsSkipped) {
  NEEDS_DATA(folder, "format-samples");
  const auto odd = *folder / "rosettasciio" / "HAADFscan.mrc";  // an extended header of 909,312 bytes, mode 6
  EXPECT_EQ(read_info(odd).nx, 16);
  EXPECT_EQ(read_info(odd).type, PixelType::u16);
}

TEST(RealFiles, EveryStarFileIsReadAndReadsBackEqual) {
  const auto data = shared_data();
  if (!data) GTEST_SKIP() << "no real files here (set FRAZIL_SHARED to their folder)";
  // Not STAR: RELION 3.1 left a tab inside a value of its job options, and one MTF file ends with the foot of an
  // e-mail.
  const auto known_bad = [](const std::string& message) {
    return message.find("12 values, table data_joboptions_full_definition has 11") != std::string::npos ||
           message.find("mtf_f3_200_linear.star line 2057") != std::string::npos;
  };
  int read = 0;
  for (const auto& path : files_of(*data, {".star"})) {
    SCOPED_TRACE(path.string());
    try {
      const auto file = read_star(path);
      const auto text = format_star(file);
      EXPECT_EQ(format_star(parse_star(text, "again")), text);
      ++read;
    } catch (const Error& error) {
      EXPECT_TRUE(known_bad(error.what())) << error.what();
      std::cout << "refused: " << error.what() << '\n';
    }
  }
  std::cout << read << " STAR files read\n";
}

TEST(RealFiles, OpticsOfBothGenerationsAgree) {
  NEEDS_DATA(folder, "small-real-particles");
  const auto newer = read_star(*folder / "aspire" / "sample_particles_relion31.star");
  const auto a = read_optics(newer, newer.table("particles"));
  ASSERT_FALSE(a.groups.empty());
  EXPECT_GT(a.groups[0].optics.voltage, 0_kV);
  EXPECT_EQ(a.group_of_row.size(), newer.table("particles").rows());
  const auto plain = read_star(*folder / "cryodrgn" / "empiar_10076_7.star");
  const auto& table = plain.table_with("rlnImageName");
  const auto b = read_optics(plain, table);
  ASSERT_EQ(b.groups.size(), 1U);
  EXPECT_EQ(b.groups[0].optics.voltage, 300_kV);
  EXPECT_NEAR(b.groups[0].optics.cs.value(), 2.7, 1e-6);
}

TEST(RealFiles, ParticlesAreFoundThroughTheirReferences) {
  NEEDS_DATA(folder, "small-real-particles");
  const auto file = read_star(*folder / "aspire" / "sample_particles_relion31.star");
  const auto& table = file.table("particles");
  const StackReader reader(*folder / "aspire" / "sample.mrcs");
  EXPECT_EQ(reader.info().nx, 200);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto reference = split_reference(std::string(table.text(row, "rlnImageName")));
    ASSERT_LT(reference.index, reader.info().nz);
  }
}

}  // namespace
}  // namespace frazil::io
