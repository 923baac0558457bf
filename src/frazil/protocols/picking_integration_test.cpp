// pick, extract and screen-particles on files: simulated micrographs with known particles, real ones with people's
// picks, and RELION reading the result.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>

#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/extract.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/pick.hpp"
#include "frazil/protocols/screen_particles.hpp"
#include "frazil/protocols/test_context.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

struct Place {
  double x, y;
};

std::vector<Place> places_of(const fs::path& star) {
  const auto file = io::read_star(star);
  const auto& table = file.table_with("rlnCoordinateX");
  const auto x = table.numbers("rlnCoordinateX"), y = table.numbers("rlnCoordinateY");
  std::vector<Place> places;
  for (std::size_t i = 0; i < x.size(); ++i) places.push_back({x[i], y[i]});
  return places;
}

struct Tally {
  int hits = 0, picks = 0, truth = 0;
  [[nodiscard]] double f1() const { return 2.0 * hits / std::max(1, picks + truth); }
};

/// One to one, nearest pairs first, what lies within `border` of the edge left out on both sides.
void count(std::vector<Place> picks, std::vector<Place> truth, double distance, double border, int nx, int ny,
           Tally& tally) {
  const auto outside = [&](const Place& p) {
    return p.x < border || p.y < border || p.x >= nx - border || p.y >= ny - border;
  };
  std::erase_if(picks, outside);
  std::erase_if(truth, outside);
  struct Pair {
    double d;
    std::size_t pick, truth;
  };
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < picks.size(); ++i)
    for (std::size_t j = 0; j < truth.size(); ++j)
      if (const double d = std::hypot(picks[i].x - truth[j].x, picks[i].y - truth[j].y); d < distance)
        pairs.push_back({d, i, j});
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.d < b.d; });
  std::vector<char> pick_used(picks.size()), truth_used(truth.size());
  for (const auto& pair : pairs) {
    if (pick_used[pair.pick] != 0 || truth_used[pair.truth] != 0) continue;
    pick_used[pair.pick] = truth_used[pair.truth] = 1;
    ++tally.hits;
  }
  tally.picks += static_cast<int>(picks.size());
  tally.truth += static_cast<int>(truth.size());
}

/// A simulated area on disk, as align-movie would have left it.
struct Area {
  Micrograph micrograph;
  CtfFit ctf;
  std::vector<Place> truth;
};

Area simulate(const sim::Scene& scene, const std::vector<sim::Specimen>& specimens, int index, const fs::path& folder) {
  const auto made = sim::micrograph(scene, specimens, index);
  Area area;
  area.micrograph.name = "area" + std::to_string(index) + ".mrc";
  area.micrograph.path = (folder / area.micrograph.name).string();
  area.micrograph.nx = made.image.nx();
  area.micrograph.ny = made.image.ny();
  area.micrograph.pixel_size = scene.pixel_size;
  area.micrograph.optics = scene.optics();
  io::write_image(area.micrograph.path, made.image);
  area.ctf.optics = scene.optics();
  area.ctf.defocus_u = made.truth.ctf.defocus_u;
  area.ctf.defocus_v = made.truth.ctf.defocus_v;
  area.ctf.astigmatism_angle = made.truth.ctf.astigmatism_angle;
  for (const auto& p : made.truth.particles) area.truth.push_back({p.x_px, p.y_px});
  return area;
}

double mean_within(const Image& image, Angstrom radius) {
  double sum = 0;
  int pixels = 0;
  for (int y = 0; y < image.ny(); ++y)
    for (int x = 0; x < image.nx(); ++x)
      if (std::hypot(x - image.nx() / 2, y - image.ny() / 2) * image.pixel_size < radius) {
        sum += image(x, y);
        ++pixels;
      }
  return sum / pixels;
}

sim::Scene scene_of(int seed) {
  sim::Scene scene;
  scene.kind = sim::SceneKind::micrographs;
  scene.seed = seed;
  scene.nx = scene.ny = 1024;
  scene.pixel_size = 1.5_A;
  scene.defocus_min = 10000_A;
  scene.defocus_max = 20000_A;
  scene.particles = 45;
  return scene;
}

Pick picker(Angstrom diameter) {
  Pick protocol;
  protocol.params.diameter = diameter;
  return protocol;
}

TEST(Picking, FindsGalactosidaseInSimulatedMicrographs) {
  const io::TestFolder folder;
  TestContext context(folder.path());
  Tally tally;
  const auto scene = scene_of(7101);
  const auto specimens = sim::load_specimens(scene);
  for (int i = 0; i < 4; ++i) {
    const auto area = simulate(scene, specimens, i, folder.path());
    const auto found = picker(180_A).process({area.micrograph, {}}, context);
    EXPECT_EQ(found.count, static_cast<int>(places_of(found.coordinates).size()));
    count(places_of(found.coordinates), area.truth, 30, 60, area.micrograph.nx, area.micrograph.ny, tally);
  }
  RecordProperty("f1", std::to_string(tally.f1()));
  std::printf("simulated: %d hits, %d picks, %d particles, F1 %.3f\n", tally.hits, tally.picks, tally.truth,
              tally.f1());
  EXPECT_GT(tally.f1(), 0.9);
}

TEST(Picking, LeavesMaskedRegionsAlone) {
  const io::TestFolder folder;
  TestContext context(folder.path());
  const auto scene = scene_of(7101);
  const auto area = simulate(scene, sim::load_specimens(scene), 0, folder.path());
  Image covered(256, 256);  // coarser than the micrograph: its right half
  for (int y = 0; y < 256; ++y)
    for (int x = 128; x < 256; ++x) covered(x, y) = 1;
  MicrographMask mask;
  mask.mask = (folder / "half.mrc").string();
  io::write_image(mask.mask, covered, io::MrcMode::i8);
  const auto everywhere = places_of(picker(180_A).process({area.micrograph, {}}, context).coordinates);
  const auto left = places_of(picker(180_A).process({area.micrograph, mask}, context).coordinates);
  EXPECT_GT(std::count_if(everywhere.begin(), everywhere.end(), [](const Place& p) { return p.x > 560; }), 8);
  EXPECT_EQ(std::count_if(left.begin(), left.end(), [](const Place& p) { return p.x > 512; }), 0);
  EXPECT_GT(left.size(), 10U);
  for (float& v : covered.pixels()) v = 1;
  io::write_image(mask.mask, covered, io::MrcMode::i8);
  EXPECT_EQ(picker(180_A).process({area.micrograph, mask}, context).count, 0);
}

TEST(Picking, AgreesWithPeopleOnRealApoferritin) {
  const auto data = io::shared_data();
  if (!data || !fs::is_directory(*data / "apoferritin-10146-micrographs"))
    GTEST_SKIP() << "no real data; set FRAZIL_SHARED to the folder that holds apoferritin-10146-micrographs";
  const auto set = *data / "apoferritin-10146-micrographs";
  const io::TestFolder folder;
  TestContext context(folder.path());
  Tally tally;
  for (const std::string name : {"May08_05.57.01", "May08_07.08.55",
                                 "May08_07.13.35"}) {  // kept for reporting; constants come from the other six
    Micrograph micrograph;
    micrograph.path = (set / "sums" / (name + "_sum.mrc")).string();
    micrograph.name = name + "_sum.mrc";
    micrograph.pixel_size = 1.5_A;
    const auto found = picker(125_A).process({micrograph, {}}, context);
    std::vector<Place> people;
    std::istringstream lines(read_text(set / "picks" / (name + ".csv")));
    for (std::string line; std::getline(lines, line);) {
      double x = 0, y = 0;
      if (std::sscanf(line.c_str(), "%lf,%lf", &x, &y) == 2) people.push_back({x, y});
    }
    ASSERT_GT(people.size(), 50U);
    count(places_of(found.coordinates), people, 15, 64, 1240, 1200, tally);
  }
  std::printf("apoferritin: %d hits, %d picks, %d by people, F1 %.3f\n", tally.hits, tally.picks, tally.truth,
              tally.f1());
  EXPECT_GT(tally.f1(), 0.9);
}

TEST(Picking, ExtractedParticlesAreWhiteAndScreeningTellsThemFromEmptyPlaces) {
  const io::TestFolder folder;
  TestContext context(folder.path());
  const auto scene = scene_of(7102);
  const auto specimens = sim::load_specimens(scene);
  int kept = 0, particles = 0, caught = 0, empties = 0;
  double contrast = 0;
  for (int i = 0; i < 3; ++i) {
    const auto area = simulate(scene, specimens, i, folder.path());
    // The true places and as many empty ones, away from every particle.
    io::StarTable table("", {"rlnCoordinateX", "rlnCoordinateY"});
    std::vector<Place> places = area.truth;
    const auto true_count = places.size();
    Rng rng(static_cast<std::uint64_t>(i) + 50);
    for (int tries = 0; tries < 3000 && places.size() < true_count + 15; ++tries) {
      const Place p{rng.uniform(100, 924), rng.uniform(100, 924)};
      if (std::all_of(places.begin(), places.end(),
                      [&](const Place& q) { return std::hypot(p.x - q.x, p.y - q.y) > 110; }))
        places.push_back(p);
    }
    for (const auto& p : places) {
      const auto row = table.add_row();
      table.set(row, 0, p.x);
      table.set(row, 1, p.y);
    }
    io::StarFile file;
    file.add(std::move(table));
    Coordinates coordinates;
    coordinates.coordinates = (folder / "places.star").string();
    coordinates.diameter = 180_A;
    io::write_star(coordinates.coordinates, file);

    Extract extract;
    extract.params.downsampled_pixel_size = 4_A;
    extract.params.phase_flip = true;
    const auto cut = extract.process({area.micrograph, coordinates, area.ctf}, context);
    const auto screened = ScreenParticles{}.process(cut, context);
    EXPECT_EQ(cut.count, screened.accepted.count + (screened.set_aside ? screened.set_aside->count : 0));
    const auto is_particle = [&](const io::StarTable& rows, std::size_t row) {
      return rows.integer(row, "rlnParticleId") <= static_cast<long>(true_count);
    };
    const auto all = io::read_star(cut.star), accepted = io::read_star(screened.accepted.star);
    const auto& all_rows = all.table("particles");
    for (std::size_t row = 0; row < all_rows.rows(); ++row) {
      const bool good = is_particle(all_rows, row);
      (good ? particles : empties) += 1;
      if (!good) continue;
      const auto image = io::read_image(cut.stack, static_cast<int>(row));
      contrast += mean_within(image, 60_A);
    }
    const auto& rows = accepted.table("particles");
    int here = 0;
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      if (is_particle(rows, row))
        ++kept;
      else
        ++here;
    }
    caught -= here;
  }
  caught += empties;
  std::printf("screening: %d of %d particles kept, %d of %d empty places set aside, mean within 60 A %.3f\n", kept,
              particles, caught, empties, contrast / particles);
  ASSERT_GT(empties, 15);
  EXPECT_GT(contrast / particles, 0.05);
  EXPECT_GT(static_cast<double>(kept) / particles, 0.95);
  EXPECT_GT(static_cast<double>(caught) / empties, 0.9);
}

TEST(Picking, ExtractionsOfOnePlaceShareTheirNumberWhateverTheBox) {
  const io::TestFolder folder;
  TestContext context(folder.path());
  const auto scene = scene_of(7103);
  const auto area = simulate(scene, sim::load_specimens(scene), 0, folder.path());
  const auto found = picker(180_A).process({area.micrograph, {}}, context);
  Extract small, large;
  small.params.box = 128;
  small.params.normalise = false;
  large.params.box = 256;
  const auto rows_of = [&](const Extract& protocol) {
    const auto cut = protocol.process({area.micrograph, found, std::nullopt}, context);
    const auto file = io::read_star(cut.star);
    const auto& table = file.table("particles");
    std::map<long, Place> rows;
    for (std::size_t r = 0; r < table.rows(); ++r)
      rows[table.integer(r, "rlnParticleId")] = {table.number(r, "rlnCoordinateX"), table.number(r, "rlnCoordinateY")};
    EXPECT_EQ(rows.size(), static_cast<std::size_t>(cut.count));
    return rows;
  };
  const auto many = rows_of(small), few = rows_of(large);
  EXPECT_LT(few.size(), many.size());
  for (const auto& [id, place] : few) {
    ASSERT_TRUE(many.contains(id));
    EXPECT_EQ(many.at(id).x, place.x);
    EXPECT_EQ(many.at(id).y, place.y);
  }
}

TEST(Picking, WithoutParticlesTheStarFilesAreEmptyAndValid) {
  const io::TestFolder folder;
  TestContext context(folder.path());
  Rng rng(3);
  Image image(512, 512, 3_A);
  for (float& v : image.pixels()) v = static_cast<float>(20 + rng.normal());
  Micrograph micrograph;
  micrograph.path = (folder / "ice.mrc").string();
  micrograph.name = "ice.mrc";
  micrograph.pixel_size = 3_A;
  io::write_image(micrograph.path, image);
  auto protocol = picker(180_A);
  protocol.params.threshold_shift = 20;
  const auto found = protocol.process({micrograph, {}}, context);
  EXPECT_EQ(found.count, 0);
  EXPECT_TRUE(places_of(found.coordinates).empty());
  const auto cut = Extract{}.process({micrograph, found, std::nullopt}, context);
  EXPECT_EQ(cut.count, 0);
  EXPECT_TRUE(cut.stack.empty());
  const auto screened = ScreenParticles{}.process(cut, context);
  EXPECT_EQ(screened.accepted.count, 0);
  EXPECT_FALSE(screened.set_aside.has_value());
}

TEST(Picking, ABoxLargerThanTheMicrographIsNamedWithItsFile) {
  const io::TestFolder folder;
  TestContext context(folder.path());
  const auto scene = scene_of(7104);
  const auto area = simulate(scene, sim::load_specimens(scene), 0, folder.path());
  const auto found = picker(180_A).process({area.micrograph, {}}, context);
  Extract protocol;
  protocol.params.box = 2048;
  EXPECT_ERROR((void)protocol.process({area.micrograph, found, std::nullopt}, context), bad_input, "area0.mrc");
}

TEST(PickingInterop, RelionReadsParticlesAndStacks) {
  if (std::system("command -v relion_refine > /dev/null 2>&1") != 0) GTEST_SKIP() << "RELION is not installed";
  const io::TestFolder folder;
  TestContext context(folder.path());
  const auto scene = scene_of(7105);
  const auto area = simulate(scene, sim::load_specimens(scene), 0, folder.path());
  const auto found = picker(180_A).process({area.micrograph, {}}, context);
  Extract extract;
  extract.params.downsampled_box = 48;
  const auto cut = extract.process({area.micrograph, found, area.ctf}, context);
  const auto run = [&](const std::string& command) {
    return std::system(("cd " + folder.path().string() + " && " + command + " > relion.log 2>&1").c_str());
  };
  EXPECT_EQ(run("relion_image_handler --i " + cut.star + " --o flipped --angpix 5 --flipX"), 0)
      << read_text(folder / "relion.log");
  EXPECT_EQ(run("relion_image_handler --i " + cut.stack + " --stats"), 0) << read_text(folder / "relion.log");
  EXPECT_EQ(run("relion_refine --i " + cut.star + " --o " + (folder / "out").string() +
                " --iter 1 --K 2 --ctf --tau2_fudge 2 --particle_diameter 180 --offset_range 2 --psi_step 30 "
                "--zero_mask --dont_check_norm --j 1"),
            0)
      << read_text(folder / "relion.log");
  ASSERT_TRUE(fs::exists(folder / "out_it001_data.star"));
  const auto back = io::read_star(folder / "out_it001_data.star");
  EXPECT_EQ(back.table("particles").rows(), static_cast<std::size_t>(cut.count));
  const auto groups = io::parse_optics(back.table("optics"));
  EXPECT_NEAR(groups.at(0).image_pixel_size.value(), cut.pixel_size.value(), 1e-4);
  EXPECT_EQ(groups.at(0).image_size, cut.box);
}

}  // namespace
}  // namespace frazil::protocols
