// RELION renders the EER files that our encoder writes: equal to our decoder, pixel by pixel. It reads 65000, 65001 and
// the older form.
#include <gtest/gtest.h>

#include <algorithm>

#include "frazil/base/random.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/io/test_programs.hpp"
#include "frazil/sim/eer_writer.hpp"

namespace frazil::io {
namespace {

/// Six frames of a 4096 × 4096 sensor, the only size that RELION takes.
void write_movie(const std::filesystem::path& path, const sim::EerFormat& format) {
  Rng rng(11);
  sim::EerWriter writer(path, 4096, 4096, format);
  std::vector<sim::Electron> electrons;
  for (int f = 0; f < 6; ++f) {
    electrons.clear();
    const auto widest =
        40U << static_cast<unsigned>(f);  // dense and sparse frames: runs below and above the largest code
    for (auto p = static_cast<std::uint32_t>(rng.below(widest)); p < 4096U * 4096;
         p += 1 + static_cast<std::uint32_t>(rng.below(widest)))
      electrons.push_back({p, static_cast<std::uint8_t>(rng.below(4)), static_cast<std::uint8_t>(rng.below(4))});
    writer.append(electrons);
  }
  writer.close();
}

TEST(EerInterop, RelionRendersEachCodecAsWeDo) {
  NEEDS(has_program("relion_convert_to_tiff"), "relion_convert_to_tiff");
  struct Case {
    const char* name;
    sim::EerFormat format;
    int upsampling;
  };
  for (const auto& [name, format, upsampling] : {Case{"runs of 7 bits, 8K", {.compression = 65001}, 2},
                                                 {"runs of 8 bits, 4K", {.compression = 65000}, 1},
                                                 {"older form, 8K", {.legacy = true}, 2}}) {
    SCOPED_TRACE(name);
    const TestFolder folder;
    write_movie(folder / "m.eer", format);
    const auto told =
        shell("cd " + folder.path().string() +
              " && relion_convert_to_tiff --i m.eer --o . --eer_grouping 3 --compression none --eer_upsampling " +
              std::to_string(upsampling));
    ASSERT_EQ(told.code, 0) << told.output;
    const MovieReader theirs(folder / "m.tif"),
        ours(folder / "m.eer", {upsampling == 2 ? EerGrid::k8 : EerGrid::k4, 2});
    ASSERT_EQ(theirs.info().nx, ours.info().nx);
    ASSERT_EQ(theirs.info().nz, ours.info().nz);
    for (int i = 0; i < 2; ++i) {
      const auto a = theirs.read_frame(i, 2), b = ours.read_frame(i, 2);
      EXPECT_TRUE(std::equal(a.pixels().begin(), a.pixels().end(), b.pixels().begin())) << "fraction " << i;
    }
  }
}

}  // namespace
}  // namespace frazil::io
