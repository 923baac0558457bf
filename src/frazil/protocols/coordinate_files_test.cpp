#include "frazil/protocols/coordinate_files.hpp"

#include <gtest/gtest.h>

#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/extract.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/test_context.hpp"

namespace frazil::protocols {
namespace {

using Rows = std::vector<std::size_t>;

io::StarTable table_of(const std::string& rows) {
  return io::parse_star("data_\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n" + rows, "c.star")
      .tables[0];
}

TEST(CoordinateFiles, PathsAreComparedFolderByFolderFromTheirEnd) {
  EXPECT_TRUE(same_path("job002/a.mrc", "/data/job002/a.mrc"));
  EXPECT_TRUE(same_path("./a/../a/m.mrc", "a/m.mrc"));
  EXPECT_TRUE(same_path("m.mrc", "m.mrc"));
  EXPECT_FALSE(same_path("m.mrc", "a/m.mrc")) << "a name alone is no path";
  EXPECT_FALSE(same_path("a/m.mrc", "b/m.mrc"));
}

TEST(CoordinateFiles, RowsOfAMicrographByPathThenByName) {
  const auto table = table_of("x/a.mrc 1 1\nx/b.mrc 2 2\ny/a.mrc 3 3\nx/a.mrc 4 4\n");
  EXPECT_EQ(rows_of_micrograph(table, "x/a.mrc", "/d/m.mrc"), (Rows{0, 3})) << "what the record says exactly";
  EXPECT_EQ(rows_of_micrograph(table, "", "/d/y/a.mrc"), Rows{2});
  EXPECT_EQ(rows_of_micrograph(table, "", "/elsewhere/b_DW.mrc"), Rows{1});
  EXPECT_THROW((void)rows_of_micrograph(table, "", "/elsewhere/a.mrc"), Error) << "two could be meant";
  EXPECT_THROW((void)rows_of_micrograph(table, "", "c.mrc"), Error) << "none is";
  EXPECT_EQ(rows_of_micrograph(table_of("x/a.mrc 1 1\nx/a.mrc 2 2\n"), "", "c.mrc"), (Rows{0, 1}))
      << "one is joined already";
}

class ManyMicrographs : public ::testing::Test {
 protected:
  ManyMicrographs() {
    Rng rng(5);
    for (const auto* name : {"mic_1.mrc", "mic_2.mrc"}) {
      Image image(160, 160, 2_A);
      for (float& v : image.pixels()) v = static_cast<float>(rng.normal(20, 3));
      io::write_image(folder_ / name, image);
    }
    write_text(folder_ / "picks.star",
               "data_\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnClassNumber\n"
               "raw/mic_1.mrc 60 60 4\nraw/mic_2.mrc 70 70 5\nraw/mic_1.mrc 90 90 6\n");
  }
  Particles extract(const std::string& micrograph, const std::string& positions, int box) {
    const auto records = records_from_file("Coordinates", positions, {{"diameter", 60}});
    for (const auto& found : records) {
      if (found.area != area_name(micrograph)) continue;
      Extract extract;
      extract.params.box = box;
      const auto image = records_from_file("Micrograph", folder_ / micrograph, {{"voltage", 200}});
      return extract.process(
          {record_from_json<Micrograph>(image.at(0).record), record_from_json<Coordinates>(found.record), std::nullopt},
          context_);
    }
    return {};
  }

  io::TestFolder folder_;
  TestContext context_{folder_.path()};
};

TEST_F(ManyMicrographs, EachTakesItsOwnPositionsAndTheirColumns) {
  EXPECT_EQ(records_from_file("Coordinates", folder_ / "picks.star", Json::object()).size(), 2U);
  const auto first = extract("mic_1.mrc", folder_ / "picks.star", 32),
             second = extract("mic_2.mrc", folder_ / "picks.star", 32);
  EXPECT_EQ(first.count, 2);
  EXPECT_EQ(second.count, 1);
  const auto star = io::read_star(first.star);
  EXPECT_EQ(star.table("particles").texts("rlnClassNumber"), (std::vector<std::string>{"4", "6"}));
  EXPECT_EQ(star.table("particles").numbers("rlnCoordinateX"), (std::vector<double>{60, 90}));
  EXPECT_EQ(star.table("optics").number(0, "rlnVoltage"), 200);
}

TEST_F(ManyMicrographs, ParticlesAreCutAgainWithWhatTheirTableSays) {
  write_text(
      folder_ / "particles.star",
      "data_optics\nloop_\n_rlnOpticsGroup\n_rlnOpticsGroupName\n_rlnVoltage\n_rlnMicrographPixelSize\n_"
      "rlnImagePixelSize\n_rlnImageSize\n_rlnBeamTiltX\n1 left 300 1 4 16 0.1\n2 right 300 1 4 16 0.2\n\n"
      "data_particles\nloop_\n_rlnImageName\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnOpticsGroup\n_"
      "rlnDefocusU\n_rlnAnglePsi\n_rlnParticleId\n"
      "1@s.mrcs a/mic_1.mrc 120 120 2 11000 30 17\n2@s.mrcs a/mic_2.mrc 140 140 1 12000 40 18\n"
      "3@s.mrcs a/mic_1.mrc 180 180 1 13000 50 19\n");
  EXPECT_TRUE(may_hold("Coordinates", folder_ / "particles.star"));
  const auto again = extract("mic_1.mrc", folder_ / "particles.star", 32);
  ASSERT_EQ(again.count, 2);
  const auto star = io::read_star(again.star);
  const auto& rows = star.table("particles");
  EXPECT_EQ(rows.numbers("rlnCoordinateX"), (std::vector<double>{60, 90})) << "they counted in pixels half as large";
  EXPECT_EQ(rows.numbers("rlnDefocusU"), (std::vector<double>{11000, 13000}));
  EXPECT_EQ(rows.numbers("rlnAnglePsi"), (std::vector<double>{30, 50}));
  EXPECT_EQ(rows.integers("rlnParticleId"), (std::vector<long>{17, 19}));
  const auto optics = io::read_optics(star, rows);
  EXPECT_EQ(optics.groups.at(static_cast<std::size_t>(optics.group_of_row[0])).name, "right");
  EXPECT_EQ(optics.groups.at(static_cast<std::size_t>(optics.group_of_row[1])).name, "left");
  for (const auto& group : optics.groups) {
    EXPECT_EQ(group.optics.voltage, 300_kV) << "as the table says, not as an image without optics is given";
    EXPECT_EQ(group.image_pixel_size, 2_A);
    EXPECT_EQ(group.image_size, 32);
    EXPECT_EQ(group.optics.further.size(), 1U);
  }
}

TEST_F(ManyMicrographs, AFolderGivesItsStarFiles) {
  make_folders(folder_ / "job");
  make_folders(folder_ / "job/movies");
  for (const auto* name : {"mic_1", "mic_2"})
    write_text(folder_ / "job/movies" / (std::string(name) + "_autopick.star"),
               "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n50 50\n");
  write_text(folder_ / "job" / "job.star", "data_job\n\n_rlnJobTypeLabel x\n");
  EXPECT_TRUE(may_hold("Coordinates", folder_ / "job"));
  EXPECT_FALSE(may_hold("Particles", folder_ / "job"));
  const auto records = records_from_file("Coordinates", folder_ / "job", Json::object());
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].area, "mic_1");
  EXPECT_EQ(records[1].area, "mic_2");
  EXPECT_THROW((void)records_from_file("CtfFit", folder_ / "job", Json::object()), Error);
}

}  // namespace
}  // namespace frazil::protocols
