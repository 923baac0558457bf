#include "frazil/protocols/set_tools.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>

#include "frazil/base/files.hpp"
#include "frazil/io/star.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

/// Results and inputs in one folder of its own.
class FolderContext final : public flow::Context {
 public:
  explicit FolderContext(fs::path folder) : folder_(std::move(folder)) { make_folders(folder_); }
  ~FolderContext() override { fs::remove_all(folder_); }
  fs::path output(std::string_view name) override { return folder_ / name; }
  std::string reference(std::string_view name) const override { return std::string(name); }
  fs::path input(const std::string& reference) const override { return folder_ / reference; }
  fs::path scratch() override { return folder_; }
  int threads() const override { return 1; }
  Rng rng() const override { return Rng(7); }
  void check_cancelled() const override {}
  void progress(double, std::string_view) override {}

 private:
  fs::path folder_;
};

class SetTools : public ::testing::Test {
 protected:
  /// Particles at the given places (px of their micrograph) of micrograph m; `pixel` is that of the micrograph, images
  /// are `box` wide.
  Particles write(const std::string& name, const std::vector<std::pair<double, double>>& places, double pixel,
                  int box) {
    std::string text = fmt::format(
        "data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n_"
        "rlnImagePixelSize\n_rlnMicrographPixelSize\n_rlnImageSize\n"
        "1 300 2.7 0.1 {} {} "
        "{}\n\ndata_particles\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnImageName\n_rlnMicrographName\n_"
        "rlnOpticsGroup\n_rlnDefocusU\n",
        pixel, pixel, box);
    for (std::size_t i = 0; i < places.size(); ++i)
      text += fmt::format("{} {} {:06}@{}.mrcs m.mrc 1 {}\n", places[i].first, places[i].second, i + 1, name,
                          10000 + 1000 * i);
    write_text(context_.output(name + ".star"), text);
    write_text(context_.output(name + ".mrcs"), "stacks are named, not read");
    Particles particles;
    particles.star = name + ".star";
    particles.count = static_cast<int>(places.size());
    particles.box = box;
    particles.pixel_size = Angstrom(pixel);
    return particles;
  }
  std::vector<std::string> images(const std::optional<Particles>& particles) {
    if (!particles || particles->count == 0) return {};
    const auto file = io::read_star(context_.input(particles->star));
    const auto list = file.table("particles").texts("rlnImageName");
    EXPECT_EQ(static_cast<int>(list.size()), particles->count);
    return list;
  }

  FolderContext context_{fs::temp_directory_path() / fmt::format("frazil-set-tools-{}", ::getpid())};
};

using Names = std::vector<std::string>;

TEST_F(SetTools, AChoiceMadeOnBinnedImagesSelectsAmongFullSizeOnes) {
  const auto full = write("full", {{100, 100}, {500, 120}, {300, 700}}, 1.0, 64);
  const auto chosen =
      write("small", {{125.2, 30}, {75, 175}}, 4.0, 16);  // the second and third, on a micrograph binned by 4
  const auto out = Intersect{}.process({full, chosen}, context_);
  EXPECT_EQ(images(out.accepted), (Names{"000002@full.mrcs", "000003@full.mrcs"}));
  EXPECT_EQ(images(out.set_aside), Names{"000001@full.mrcs"});
  EXPECT_EQ(out.accepted->box, 64);
  EXPECT_EQ(out.accepted->left_out_counts, std::vector<int>{1});
}

TEST_F(SetTools, AUnionHoldsWhatIsInBothOnce) {
  const auto first = write("a", {{100, 100}, {500, 120}}, 1.0, 64);
  const auto second = write("b", {{501, 121}, {900, 900}}, 1.0, 64);
  EXPECT_EQ(images(Union{}.process({first, second}, context_)),
            (Names{"000001@a.mrcs", "000002@a.mrcs", "000002@b.mrcs"}));
  EXPECT_EQ(images(Union{{.tolerance = 0_A}}.process({first, second}, context_)).size(), 4u);
  EXPECT_THROW((void)Union{}.process({first, write("c", {{1, 1}}, 1.0, 32)}, context_), Error) << "other boxes";
}

TEST_F(SetTools, SplitAndSampleAreRandomPartsThatComeAgain) {
  std::vector<std::pair<double, double>> places;
  for (int i = 0; i < 100; ++i) places.emplace_back(10 * i, 5);
  const auto all = write("all", places, 1.0, 64);
  const auto halves = Split{{.fraction = 0.3}}.process(all, context_);
  const auto first = images(halves.first), second = images(halves.second);
  EXPECT_EQ(first.size(), 30u);
  std::set<std::string> both(first.begin(), first.end());
  both.insert(second.begin(), second.end());
  EXPECT_EQ(both.size(), 100u);
  EXPECT_EQ(images(Split{{.fraction = 0.3}}.process(all, context_).first), first);
  const auto some = images(Sample{{.count = 7}}.process(all, context_));
  EXPECT_EQ(some.size(), 7u);
  EXPECT_TRUE(std::is_sorted(some.begin(), some.end())) << "in their old order";
  EXPECT_EQ(images(Sample{{.count = 1000}}.process(all, context_)).size(), 100u);
}

TEST_F(SetTools, FiltersByExpressionAndExportsPositions) {
  const auto all = write("all", {{100, 100}, {500, 120}, {300, 700}}, 1.0, 64);
  const auto out = FilterItems{{.expression = "rlnDefocusU <= 11000 && rlnCoordinateX > 200"}}.process(all, context_);
  EXPECT_EQ(images(out.accepted), Names{"000002@all.mrcs"});
  EXPECT_EQ(images(out.set_aside).size(), 2u);
  EXPECT_THROW((void)FilterItems{{.expression = "rlnNone > 1"}}.process(all, context_), Error);

  write_text(context_.output("m.star"), "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n100.4 50\n7 8\n");
  Coordinates coordinates;
  coordinates.coordinates = "m.star";
  coordinates.name = "m";
  EXPECT_EQ(
      read_text(context_.input(
          ExportCoordinates{{.format = CoordinateFormat::box, .box = 20}}.process(coordinates, context_).coordinates)),
      "90\t40\t20\t20\n-3\t-2\t20\t20\n");
  EXPECT_EQ(read_text(context_.input(
                ExportCoordinates{{.format = CoordinateFormat::csv}}.process(coordinates, context_).coordinates)),
            "x,y\n100.4,50\n7,8\n");
}

/// A particle table of another program as text, with its record.
class SetToolsOnForeignTables : public SetTools {
 protected:
  Particles foreign(const std::string& name, const std::string& optics, const std::string& particles, int count) {
    write_text(context_.output(name + ".star"),
               "data_optics\nloop_\n" + optics + "\ndata_particles\nloop_\n" + particles);
    write_text(context_.output("s.mrcs"), "stacks are named, not read");
    Particles record;
    record.star = name + ".star";
    record.count = count;
    record.box = 48;
    record.pixel_size = 1_A;
    return record;
  }
  io::StarFile read(const Particles& particles) { return io::read_star(context_.input(particles.star)); }
};

constexpr const char* odd_optics =
    "_rlnOpticsGroup\n_rlnOpticsGroupName\n_rlnVoltage\n_rlnImagePixelSize\n_rlnImageSize\n_rlnBeamTiltX\n_"
    "rlnMtfFileName\n"
    "3 opticsGroup3 300 1 48 0.3 k3.star\n1 opticsGroup1 300 1 48 0.1 k3.star\n9 left 300 1 48 0.1 k3.star\n";
constexpr const char* odd_particles =
    "_rlnImageName\n_rlnOpticsGroup\n_rlnDefocusU\n_wrpUnheardOf\n_rlnHelicalTubeID\n"
    "1@s.mrcs 3 10000 \"a b\" 7\n2@s.mrcs 9 10000 c 7\n3@s.mrcs 1 10000 d 8\n4@s.mrcs 3 20000 e 8\n";

TEST_F(SetToolsOnForeignTables, OpticsGroupsAndUnknownColumnsGoThroughAllTools) {
  const auto all = foreign("odd", odd_optics, odd_particles, 4);
  const auto halves = Split{}.process(all, context_);
  const auto parts = FilterItems{{.expression = "rlnDefocusU > 15000"}}.process(all, context_);
  const auto common = Intersect{}.process({all, *parts.set_aside}, context_);
  const auto joined = Union{}.process({*halves.first, *halves.second}, context_);
  const auto some = Sample{{.count = 3}}.process(all, context_);
  for (const auto& made :
       {*halves.first, *halves.second, *parts.accepted, *parts.set_aside, *common.accepted, joined, some}) {
    SCOPED_TRACE(made.star);
    const auto file = read(made);
    EXPECT_EQ(file.table("optics").texts("rlnBeamTiltX"), (Names{"0.3", "0.1", "0.1"}));
    EXPECT_EQ(file.table("optics").texts("rlnMtfFileName"), Names(3, "k3.star"));
    EXPECT_EQ(file.table("optics").texts("rlnOpticsGroupName"), (Names{"opticsGroup3", "opticsGroup1", "left"}));
    const auto& rows = file.table("particles");
    const std::map<std::string, std::pair<std::string, long>> right = {
        {"a b", {"7", 1}}, {"c", {"7", 3}}, {"d", {"8", 2}}, {"e", {"8", 1}}};
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      const auto& [tube, group] = right.at(std::string(rows.text(row, "wrpUnheardOf")));
      EXPECT_EQ(rows.text(row, "rlnHelicalTubeID"), tube);
      EXPECT_EQ(rows.integer(row, "rlnOpticsGroup"), group);
    }
  }
  EXPECT_EQ(joined.count, 4);
  EXPECT_EQ(parts.accepted->count, 1);
  EXPECT_EQ(common.accepted->count, 3);
}

TEST_F(SetToolsOnForeignTables, ParticlesWithoutCtfArePartedAndPutTogether) {
  const char* optics = "_rlnOpticsGroup\n_rlnVoltage\n_rlnImagePixelSize\n_rlnMicrographPixelSize\n1 300 1 1\n";
  const char* columns = "_rlnImageName\n_rlnOpticsGroup\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n";
  const auto text =
      std::string(columns) + "1@s.mrcs 1 m.mrc 100 100\n2@s.mrcs 1 m.mrc 200 100\n3@s.mrcs 1 n.mrc 100 100\n";
  const auto all = foreign("bare", optics, text, 3);
  const auto halves = Split{}.process(all, context_);
  EXPECT_EQ(Union{}.process({*halves.first, *halves.second}, context_).count, 3);
  EXPECT_EQ(Intersect{}.process({all, *halves.first}, context_).accepted->count, halves.first->count);
  EXPECT_EQ(images(FilterItems{{.expression = "rlnCoordinateX > 150"}}.process(all, context_).accepted),
            Names{"2@s.mrcs"});
  EXPECT_EQ(images(Sample{{.count = 2}}.process(all, context_)).size(), 2u);

  const auto fitted =
      foreign("fitted", optics, std::string(columns) + "_rlnDefocusU\n4@s.mrcs 1 m.mrc 300 300 9000\n", 1);
  EXPECT_THROW((void)Union{}.process({all, fitted}, context_), Error) << "a defocus of 0 would be a lie";
}

TEST_F(SetToolsOnForeignTables, MicrographsOfOneNameInTwoFoldersAreTwo) {
  const char* optics = "_rlnOpticsGroup\n_rlnVoltage\n_rlnImagePixelSize\n_rlnMicrographPixelSize\n1 300 1 1\n";
  const std::string columns = "_rlnImageName\n_rlnOpticsGroup\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n";
  const auto all = foreign("two", optics, columns + "1@s.mrcs 1 a/m.mrc 100 100\n2@s.mrcs 1 b/m.mrc 100 100\n", 2);
  const auto one = foreign("one", optics, columns + "9@s.mrcs 1 b/m.mrc 100 100\n", 1);
  EXPECT_EQ(images(Intersect{}.process({all, one}, context_).accepted), Names{"2@s.mrcs"});
  const auto same =
      foreign("same", optics, columns + "9@s.mrcs 1 elsewhere/b_m.mrc 1 1\n8@s.mrcs 1 elsewhere/m_DW.mrc 100 100\n", 2);
  EXPECT_EQ(images(Intersect{}.process({one, same}, context_).accepted), Names{"9@s.mrcs"})
      << "suffixes and folders differ";
}

TEST_F(SetToolsOnForeignTables, ImagesAreKnownByFileAndNumberWhateverTheyAreCalled) {
  const char* optics = "_rlnOpticsGroup\n_rlnVoltage\n_rlnImagePixelSize\n1 300 1\n";
  const std::string columns = "_rlnImageName\n_rlnOpticsGroup\n";
  const auto all = foreign("all", optics, columns + "1@s.mrcs 1\n2@s.mrcs 1\n3@s.mrcs 1\n", 3);
  fs::create_symlink("s.mrcs", context_.input("link.mrcs"));
  const auto path = fs::absolute(context_.input("s.mrcs")).string();
  const auto same = foreign("other", optics, columns + "000001@link.mrcs 1\n2@./s.mrcs 1\n0003@" + path + " 1\n", 3);
  EXPECT_EQ(Union{}.process({all, same}, context_).count, 3);
  EXPECT_EQ(Intersect{}.process({all, same}, context_).accepted->count, 3);
  const auto one = foreign("one", optics, columns + "1@s.mrcs 1\n", 1),
             two = foreign("two", optics, columns + "2@s.mrcs 1\n", 1);
  EXPECT_EQ(Union{}.process({one, two}, context_).count, 2);
  const auto located = foreign("located", optics,
                               "_rlnImageName\n_rlnOpticsGroup\n_rlnMicrographName\n_rlnCoordinateX\n"
                               "_rlnCoordinateY\n1@s.mrcs 1 m.mrc 10 10\n",
                               1);
  EXPECT_THROW((void)Intersect{}.process({all, located}, context_), Error) << "it cannot be told";
}

TEST_F(SetTools, PositionsOfOneMicrographAmongMany) {
  write_text(context_.output("many.star"),
             "data_\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnAutopickFigureOfMerit\n"
             "a.mrc 1 2 0.5\nb.mrc 3 4 0.6\na.mrc 5 6 0.7\n");
  Coordinates coordinates;
  coordinates.coordinates = "many.star";
  coordinates.micrograph = coordinates.name = "a.mrc";
  EXPECT_EQ(read_text(context_.input(
                ExportCoordinates{{.format = CoordinateFormat::csv}}.process(coordinates, context_).coordinates)),
            "x,y\n1,2\n5,6\n");
  const auto star = io::read_star(
      context_.input(ExportCoordinates{{.format = CoordinateFormat::star}}.process(coordinates, context_).coordinates));
  EXPECT_EQ(star.table_with("rlnCoordinateX").texts("rlnAutopickFigureOfMerit"), (Names{"0.5", "0.7"}));
}

}  // namespace
}  // namespace frazil::protocols
