#include "frazil/protocols/import.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/protocols/set_star.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

class Import : public ::testing::Test {
 protected:
  Import() { make_folders(folder_); }
  ~Import() override { fs::remove_all(folder_); }

  fs::path write_stack(const fs::path& name, int frames) const {
    const auto path = folder_ / name;
    make_folders(path.parent_path());
    io::StackWriter writer(path, 16, 12, 1_A, io::MrcMode::i8);
    for (int i = 0; i < frames; ++i) writer.append(Image(16, 12));
    writer.close();
    return path;
  }
  [[nodiscard]] Movie import(const fs::path& path) const {
    ImportMovies source;
    source.params.movies = folder_.string();
    source.params.metadata = (folder_ / "xml").string();
    source.params.magnification = {1.01, 0, 0, 0.99};
    return source.record(path, "raw/movies/" + fs::relative(path, folder_).string());
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("frazil-import-{}", ::getpid());
};

TEST_F(Import, TakesPlaceAndBeamShiftGroupFromNamesAndMetadataFiles) {
  const auto movie = [&](const std::string& hole, const std::string& shot) {
    return write_stack("GridSquare_8/Data/FoilHole_" + hole + "_Data_" + shot + "_6_20250108_154915_fractions.mrc", 3);
  };
  const auto first = movie("1", "91"), second = movie("2", "92"), third = movie("3", "91");
  make_folders(folder_ / "xml/GridSquare_8/Data");
  write_text(folder_ / "xml/GridSquare_8/Data/FoilHole_1_Data_91_6_20250108_154915.xml",
             "<MicroscopeImage><microscopeData><stage><Position><X>-0.0008</X><Y>0.0001</Y></Position></stage></"
             "microscopeData></MicroscopeImage>");
  const auto record = import(first);
  EXPECT_EQ(record.exposure.grid_square, "8");
  EXPECT_EQ(record.exposure.hole, "1");
  EXPECT_EQ(record.exposure.acquired, "2025-01-08T15:49:15");
  ASSERT_TRUE(record.exposure.stage_x_um);
  EXPECT_NEAR(*record.exposure.stage_x_um, -800, 1e-9) << "from the tree of metadata files elsewhere";
  EXPECT_FALSE(import(second).exposure.stage_x_um) << "without its file what the name tells remains";
  EXPECT_EQ(record_from_json<Movie>(record_to_json(record)).exposure, record.exposure);

  std::vector<Json> records;
  for (const auto& path : {first, second, third}) records.push_back(record_to_json(import(path)));
  const auto star = io::parse_star(*set_star("Movie", records, folder_), "movies.star");
  const auto optics = io::read_optics(star, star.table("movies"));
  ASSERT_EQ(optics.groups.size(), 2U) << "exposures at the same place of the beam shift template share their beam tilt";
  EXPECT_EQ(optics.group_of_row, (std::vector{0, 1, 0}));
  EXPECT_EQ(optics.groups[0].name, "shot91");
  EXPECT_EQ(optics.groups[1].optics.magnification, (std::vector{1.01, 0.0, 0.0, 0.99}));
}

TEST_F(Import, MetadataOfSerialEmLiesBesideTheMovie) {
  const auto path = write_stack("a_001.mrc", 3);
  write_text(
      folder_ / "a_001.mrc.mdoc",
      "[FrameSet = 0]\nStagePosition = 792.824 -213.633\nNavigatorLabel = 12-3\nMultishotHoleAndPosition = 2-1\n");
  const auto record = import(path);
  EXPECT_TRUE(ImportMovies().has_companion(path));
  EXPECT_FALSE(ImportMovies().has_companion(folder_ / "a_002.mrc"));
  EXPECT_EQ(record.exposure.grid_square, "12-3");
  EXPECT_EQ(record.optics.optics_group, "shot2-1");
}

TEST_F(Import, SumsAndReferencesAmongMoviesAreLeftOutAndSaid) {
  using State = flow::FileCheck::State;
  const std::string stem = "GridSquare_7/Data/FoilHole_101_Data_31_1_20240101_120001";
  const auto age = [](const fs::path& path) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1));
    return path;
  };
  const auto sum = write_stack(stem + ".mrc", 1);
  EXPECT_EQ(ImportMovies::check(sum).state, State::growing) << "its movie may come";
  const auto movie = write_stack(stem + "_Fractions.mrc", 3);
  const auto left = ImportMovies::check(sum);
  EXPECT_EQ(left.state, State::left_out);
  EXPECT_NE(left.reason.find("the sum of FoilHole_101_Data_31_1_20240101_120001_Fractions.mrc"), std::string::npos);
  EXPECT_EQ(ImportMovies::check(movie).state, State::complete);
  EXPECT_EQ(ImportMovies::check(age(write_stack("FoilHole_1_Data_2_3_20240101_120001.mrc", 1))).state, State::complete)
      << "nothing but sums: they are what there is";
  for (const auto* name : {"CountRef_a.mrc", "SuperRef_b.mrc", "gain.mrc", "20240101_gain_reference.mrc"})
    EXPECT_EQ(ImportMovies::check(write_stack(name, 1)).state, State::left_out) << name;
  EXPECT_EQ(ImportMovies::check(write_stack("gain_series.mrc", 5)).state, State::complete) << "a movie all the same";
  EXPECT_EQ(ImportMovies::check(write_stack("one.mrc", 1)).state, State::complete);
  ImportMovies source;
  source.params.gain = "/data/my.mrc";
  ASSERT_EQ(source.watch().apart.size(), 1U);
  EXPECT_EQ(source.watch().apart[0].first, "/data/my.mrc");
}

TEST_F(Import, APixelSizeThatNoRecordHoldsIsRefusedBeforeTheFirstFile) {
  ImportMoviesParams movies;
  ImportMicrographsParams micrographs;
  for (const double size : {1e-300, 0.049, 0.0, -0.0, 0.05, 0.83}) {
    movies.pixel_size = micrographs.pixel_size = Angstrom(size);
    const std::size_t refused = size > 0 && size < 0.05 ? 1 : 0;
    EXPECT_EQ(check(movies).size(), refused) << size;
    EXPECT_EQ(check(micrographs).size(), refused) << size;
  }
}

TEST_F(Import, TextOfMetadataThatIsNotUtf8IsRepaired) {
  const auto path = write_stack("m2.mrc", 2);
  write_text(folder_ / "m2.mrc.mdoc", "[FrameSet = 0]\nStagePosition = 1 2\nNavigatorLabel = Carr\xe9 4\n");
  const auto movie = import(path);
  EXPECT_EQ(movie.exposure.grid_square, "Carr\xc3\xa9 4");
  EXPECT_NO_THROW((void)record_to_json(movie).dump());
}

TEST_F(Import, ListsOfFilesToLeaveOut) {
  ImportMovies source;
  source.params.exclude = "bad_*.tif, ,square_3/x.mrc";
  EXPECT_EQ(source.watch().exclude, (std::vector<std::string>{"bad_*.tif", "square_3/x.mrc"}));
  write_text(folder_ / "list.txt", "# drifted, says the log\nbad_1.tif\r\n\n  bad_2.tif\n");
  source.params.exclude = (folder_ / "list.txt").string();
  EXPECT_EQ(source.watch().exclude, (std::vector<std::string>{"bad_1.tif", "bad_2.tif"}));
  EXPECT_TRUE(source.watch().notes.empty());
}

TEST_F(Import, SaysWhichNamesToLeaveOutCanFitNoFile) {
  ImportMovies source;
  source.params.movies = folder_.string();
  const auto notes = [&](const std::string& exclude) {
    source.params.exclude = exclude;
    return source.watch().notes;
  };
  EXPECT_TRUE(notes("").empty());
  EXPECT_TRUE(notes("bad_*,square_3/x.TIF,*.txt").empty()) << "patterns and names of movies";
  const auto told = notes("bad_*,/data/bad.txt");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].text.find("there is no list /data/bad.txt"), std::string::npos) << told[0].text;
  EXPECT_EQ(notes("bad.txt").size(), 1U) << "a list by its relative path";
  EXPECT_EQ(notes("/data/movies/bad.tif").size(), 1U) << "files are compared below the folder that is watched";
  source.params.movies = folder_ / "*.raw";
  EXPECT_TRUE(notes("bad.raw").empty()) << "a pattern of files to watch takes any extension";
}

}  // namespace
}  // namespace frazil::protocols
