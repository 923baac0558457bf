#include <gtest/gtest.h>

#include "frazil/base/files.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/io/test_files.hpp"

namespace frazil::io {
namespace {

constexpr const char* sample =
    "# version 30001\n\ndata_optics\n\nloop_ \n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnVoltage "
    "#3\n_rlnImagePixelSize #4\n"
    "opticsGroup1 1 300.000000 1.77\nsecond 2 200 0.9 # a comment\n\n"
    "data_particles\nloop_\n_rlnImageName #1\n_rlnCoordinateX\n_rlnOpticsGroup\n000001@a.mrcs 12.5 1\n'b c.mrcs' -3e-2 "
    "2\n\"it's\" +7 1\n"
    "data_general\n_rlnFinalResolution 3.25\n_rlnNote   \"two words\"";

TEST(Star, ReadsLoopsPairsQuotesCommentsAndAMissingLastNewline) {
  const auto file = parse_star(sample, "x.star");
  ASSERT_EQ(file.tables.size(), 3U);
  const auto& particles = file.table("particles");
  ASSERT_EQ(particles.rows(), 3U);
  EXPECT_EQ(particles.text(1, "rlnImageName"), "b c.mrcs");
  EXPECT_EQ(particles.text(2, "rlnImageName"), "it's");
  EXPECT_EQ(particles.numbers("rlnCoordinateX"), (std::vector<double>{12.5, -0.03, 7}));
  EXPECT_EQ(file.table("optics").text(1, 0), "second");
  EXPECT_FALSE(file.table("general").is_loop);
  EXPECT_EQ(file.table("general").number(0, "rlnFinalResolution"), 3.25);
  EXPECT_EQ(file.table("general").text(0, "rlnNote"), "two words");
}

TEST(Star, LineEndsOfWindowsChangeNothing) {
  std::string windows;
  for (const char c : std::string(sample)) windows += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_EQ(format_star(parse_star(windows, "x")), format_star(parse_star(sample, "x")));
}

TEST(Star, WhatIsWrittenReadsBackEqual) {
  Rng rng(1);
  StarFile file;
  auto& table = file.add(StarTable("particles", {"rlnName", "rlnValue", "rlnCount"}));
  const std::string texts[] = {"plain",  "two words", "",           "it's \"x\"y", "data_block",
                               "_label", "#hash",     "say \"no\"", "loop_"};
  for (int i = 0; i < 500; ++i) {
    const auto row = table.add_row();
    const auto& text = texts[rng.below(9)];
    table.set(row, 0, text == "it's \"x\"y" ? "it's" : text);
    table.set(row, 1, std::ldexp(rng.normal(), static_cast<int>(rng.below(200)) - 100));
    table.set(row, 2, static_cast<long>(rng.below(1000000)));
  }
  const TestFolder folder;
  write_star(folder / "x.star", file);
  const auto back = read_star(folder / "x.star");
  const auto& other = back.table("particles");
  ASSERT_EQ(other.rows(), 500U);
  for (std::size_t row = 0; row < 500; ++row) {
    ASSERT_EQ(other.text(row, 0), table.text(row, 0));
    ASSERT_EQ(other.number(row, 1), table.number(row, 1));
    ASSERT_EQ(other.integer(row, 2), table.integer(row, 2));
  }
  EXPECT_EQ(format_star(back), format_star(file));
}

TEST(Star, ColumnsAreAddedToFilledTables) {
  auto file = parse_star(sample, "x.star");
  auto& t = file.table("particles");
  const int column = t.add_column("rlnClassNumber", "4");
  EXPECT_EQ(t.integer(2, column), 4);
  t.set(2, column, 9);
  EXPECT_EQ(t.integers("rlnClassNumber"), (std::vector<long>{4, 4, 9}));
  EXPECT_EQ(t.text(1, "rlnImageName"), "b c.mrcs");
  EXPECT_EQ(t.add_column("rlnClassNumber"), column);
}

TEST(Star, ErrorsNameFileAndLine) {
  const auto bad = [](const std::string& text) { return parse_star(text, "x.star"); };
  EXPECT_ERROR(bad("data_p\nloop_\n_a #1\n_b #2\n1 2\n3\n"), corrupt,
               "x.star line 6: 1 values, table data_p has 2 columns");
  EXPECT_ERROR(bad("data_p\nloop_\n_a #1\n_a #2\n"), corrupt, "line 4: column a comes twice");
  EXPECT_ERROR(bad("data_p\n_a 1\ndata_q\n_a 1\ndata_p\n_a 2\n"), corrupt, "line 5: the block data_p comes twice");
  EXPECT_ERROR(
      (void)parse_optics(parse_star("data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n1 300\n2 300\n1 200\n", "x.star")
                             .table("optics")),
      corrupt, "line 7: optics group 1 comes twice");
  EXPECT_ERROR(bad("data_p\nloop_\n_a\n'x\n"), corrupt, "line 4: a quoted value does not end");
  EXPECT_ERROR(bad("1 2 3\n"), corrupt, "line 1: something stands before");
  EXPECT_ERROR(bad("data_p\n_a 1 2\n"), corrupt, "label a has 2 values");
  EXPECT_ERROR(bad(""), corrupt, "no data_ block");
  EXPECT_ERROR(bad("# only a comment\n"), corrupt, "no data_ block");
  EXPECT_ERROR(bad("data_p\n_a\n;text\n;\n"), corrupt, "line 2");
  EXPECT_ERROR(bad("data_p\nloop_\n_a\n;text\n;\n"), unsupported, "line 4");
  EXPECT_ERROR(bad(std::string("data_p\n\0", 8)), corrupt, "binary");
  const auto file = parse_star("data_p\nloop_\n_a #1\n_b #2\n1 two\n", "x.star");
  EXPECT_ERROR((void)file.table("p").number(0, "b"), corrupt, "x.star line 5: b is \"two\"");
  EXPECT_ERROR((void)file.table("p").column("c"), bad_input, "x.star: table data_p has no column c");
  EXPECT_ERROR((void)file.table("q"), bad_input, "only data_p");
}

TEST(Star, OpticsGroupsGoThroughTheirTable) {
  OpticsGroup a, b;
  a.optics = {300_kV, 2.7_mm, 0.1};
  a.image_pixel_size = 1.77_A, a.image_size = 256, a.original_pixel_size = 0.885_A;
  b = a;
  b.id = 2, b.name = "other", b.optics.cs = 1.4_mm;
  const std::vector<OpticsGroup> groups{a, b};
  StarFile file;
  file.add(optics_table(groups));
  auto& rows = file.add(StarTable("particles", {"rlnOpticsGroup"}));
  for (const int id : {2, 1, 2}) rows.set(rows.add_row(), 0, id);
  const auto again = parse_star(format_star(file), "x");
  const auto found = read_optics(again, again.table("particles"));
  ASSERT_EQ(found.groups.size(), 2U);
  EXPECT_EQ(found.group_of_row, (std::vector<int>{1, 0, 1}));
  EXPECT_EQ(found.groups[1].optics.cs, 1.4_mm);
  EXPECT_EQ(found.groups[1].name, "other");
  EXPECT_EQ(found.groups[0].image_size, 256);
  EXPECT_EQ(found.groups[0].pixel_size(), 1.77_A);
  EXPECT_EQ(found.groups[0].micrograph_pixel_size, 0_A);
  EXPECT_FALSE(file.tables[0].has("rlnMicrographPixelSize"));
}

TEST(Star, OpticsGroupsKeepTheirNamesAndAnisotropicMagnification) {
  std::vector<OpticsGroup> groups;
  OpticsGroup first, named;
  named.optics.optics_group = "shot7";
  auto bent = named;
  bent.optics.magnification = {1.01, 0.002, 0.002, 0.99};
  EXPECT_EQ(add_group(groups, first), 1);
  EXPECT_EQ(add_group(groups, named), 2);
  EXPECT_EQ(add_group(groups, bent), 3);
  EXPECT_EQ(add_group(groups, named), 2) << "the same optics and sizes are one group";
  EXPECT_EQ(groups[2].name, "shot7_3") << "RELION wants names that differ";
  StarFile file;
  file.add(optics_table(groups));
  const auto again = parse_optics(parse_star(format_star(file), "x").table("optics"));
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(again[0].optics.optics_group, "opticsGroup1") << "a number tells groups of one table apart";
  EXPECT_TRUE(again[0].optics.magnification.empty()) << "the unit matrix says nothing";
  EXPECT_EQ(again[1].optics, named.optics);
  EXPECT_EQ(again[2].optics.magnification, bent.optics.magnification);
  const auto table = [](const std::string& matrix) {
    return parse_optics(
        parse_star(
            "data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n_rlnMagMat00\n_rlnMagMat01\n_rlnMagMat10\n" + matrix,
            "m.star")
            .table("optics"));
  };
  EXPECT_ERROR((void)table("1 300 1 0 0\n"), corrupt, "expected the four numbers");
  EXPECT_ERROR((void)table("_rlnMagMat11\n1 300 10 0 0 1\n"), corrupt, "m.star line 9: magnification");
}

constexpr const char* tilted =
    "data_optics\nloop_\n_rlnOpticsGroup\n_rlnOpticsGroupName\n_rlnVoltage\n_rlnBeamTiltX\n_rlnMtfFileName\n_"
    "rlnOddZernike\n";

TEST(Star, GroupsKeepColumnsThatWeDoNotUse) {
  const auto groups =
      parse_optics(parse_star(std::string(tilted) + "4 opticsGroup4 300 0.1 k3.star [0,1.5,0]\n7 opticsGroup7 300 0.2 "
                                                    "k3.star [0,0,0]\n",
                              "t.star")
                       .table("optics"));
  ASSERT_EQ(groups.size(), 2U);
  OpticsGroup plain;
  plain.optics.voltage = 200_kV;
  std::vector<OpticsGroup> all;
  EXPECT_EQ(add_group(all, plain), 1);
  EXPECT_EQ(merge_groups(all, groups), (std::vector{2, 3}));
  const auto table = optics_table(all);
  EXPECT_EQ(table.texts("rlnBeamTiltX"), (std::vector<std::string>{"0", "0.1", "0.2"}));
  EXPECT_EQ(table.texts("rlnMtfFileName"), (std::vector<std::string>{"None", "k3.star", "k3.star"}));
  EXPECT_EQ(table.texts("rlnOddZernike"), (std::vector<std::string>{"[]", "[0,1.5,0]", "[0,0,0]"}));
  EXPECT_EQ(table.texts("rlnOpticsGroupName"),
            (std::vector<std::string>{"opticsGroup1", "opticsGroup4", "opticsGroup7"}));
  EXPECT_EQ(merge_groups(all, parse_optics(table)), (std::vector{1, 2, 3})) << "what was written is found again";
}

TEST(Star, GroupsThatOneTableTellsApartStayApart) {
  const auto read = [](const std::string& rows) {
    return parse_optics(parse_star(tilted + rows, "t.star").table("optics"));
  };
  std::vector<OpticsGroup> all;
  const auto twins = read("1 opticsGroup1 300 0 m []\n2 opticsGroup2 300 0 m []\n");
  EXPECT_EQ(merge_groups(all, twins), (std::vector{1, 2})) << "of equal values, but told apart";
  EXPECT_EQ(merge_groups(all, twins), (std::vector{1, 2})) << "the same file again";
  EXPECT_EQ(merge_groups(all, read("1 opticsGroup1 300 0 m []\n")), std::vector{1}) << "a part of it";
  EXPECT_EQ(merge_groups(all, read("1 opticsGroup1 300 0.3 m []\n")), std::vector{3}) << "one with another tilt";
  EXPECT_EQ(all.back().name, "opticsGroup3") << "RELION wants names that differ";
  EXPECT_EQ(merge_groups(all, read("1 opticsGroup1 300 0.3 m []\n")), std::vector{3});
  EXPECT_EQ(merge_groups(all, read("1 left 300 0 m []\n")), std::vector{4}) << "a real name is a difference";
  EXPECT_EQ(merge_groups(all, read("1 left 300 9 m []\n")), std::vector{5});
  EXPECT_EQ(all.back().name, "left_5");
  EXPECT_EQ(merge_groups(all, read("1 left 300 9 m []\n")), std::vector{5});
}

TEST(Star, OlderFilesWithoutOpticsTableGiveTheirGroups) {
  const auto file = parse_star(
      "data_\nloop_\n_rlnImageName\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n_"
      "rlnDetectorPixelSize\n_rlnMagnification\n"
      "1@a 300 2.7 0.1 5 50000\n2@a 300 2.7 0.1 5 50000\n3@b 200 2.7 0.1 5 50000\n",
      "old.star");
  const auto found = read_optics(file, file.tables[0]);
  ASSERT_EQ(found.groups.size(), 2U);
  EXPECT_NEAR(found.groups[0].pixel_size().value(), 1.0, 1e-12);
  EXPECT_EQ(found.groups[1].optics.voltage, 200_kV);
  EXPECT_EQ(found.group_of_row, (std::vector<int>{0, 0, 1}));
  const auto lost = parse_star(
      "data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n1 300\ndata_p\nloop_\n_rlnOpticsGroup\n7\n", "y.star");
  EXPECT_ERROR((void)read_optics(lost, lost.table("p")), corrupt, "y.star line 9: optics group 7");
}

TEST(Star, OpticsBeyondTheirRangeAreRefusedWithFileLineAndRange) {
  const auto read = [](const std::string& row) {
    const auto file = parse_star(
        "data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n"
        "_rlnImagePixelSize\n" +
            row + "\n",
        "x.star");
    (void)parse_optics(file.table("optics"));
  };
  EXPECT_NO_THROW(read("1 300 2.7 0.07 1.1"));
  EXPECT_ERROR(read("1 300 2.7 7 1.1"), bad_input, "x.star line 8: rlnAmplitudeContrast must lie in 0 to 1, not 7");
  EXPECT_ERROR(read("1 300 2.7 nan 1.1"), bad_input, "rlnAmplitudeContrast must lie in 0 to 1, not nan");
  EXPECT_ERROR(read("1 300000 2.7 0.1 1.1"), bad_input, "rlnVoltage must lie in 40 to 1500, not 300000");
  EXPECT_ERROR(read("1 300 2700 0.1 1.1"), bad_input, "rlnSphericalAberration must lie in -10 to 20, not 2700");
  EXPECT_ERROR(read("1 300 2.7 0.1 -1.1"), bad_input, "rlnImagePixelSize must lie in 0.05 to 100");
  EXPECT_ERROR(read("1 300 2.7 0.1 inf"), bad_input, "rlnImagePixelSize must lie in 0.05 to 100");
}

}  // namespace
}  // namespace frazil::io
