// The sign of the CTF through RELION's reader: a ball of protein, estimated, extracted and multiplied with RELION's CTF, is white again.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/estimate_ctf.hpp"
#include "frazil/protocols/extract.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/test_context.hpp"
#include "frazil/sim/simulator.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

constexpr double radius_A = 60, pixel_A = 1.5;

sim::Specimen ball() {
  constexpr int n = 48;
  constexpr double voxel_A = 3;
  Volume map(n, n, n, Angstrom(voxel_A));
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) map(x, y, z) = std::hypot(x - n / 2, y - n / 2, z - n / 2) * voxel_A < radius_A ? 1.0F : 0.0F;
  return sim::from_map(map, 0.5, "ball");
}

/// Correlation of the mean of a stack with the projection of the ball.
double likeness(const fs::path& stack) {
  const io::StackReader reader(stack);
  const int n = reader.info().nx;
  Image mean(n, n), truth(n, n);
  for (int i = 0; i < reader.info().nz; ++i) {
    const auto image = reader.read(i);
    for (std::size_t p = 0; p < mean.size(); ++p) mean.pixels()[p] += image.pixels()[p];
  }
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x) {
      const double r = std::hypot(x - n / 2, y - n / 2) * pixel_A;
      truth(x, y) = r < radius_A ? static_cast<float>(std::sqrt(radius_A * radius_A - r * r)) : 0.0F;
    }
  return correlation(mean.pixels(), truth.pixels());
}

TEST(CtfInterop, PhasesOfAKnownObjectHaveTheRightSignThroughRelionsReader) {
  if (std::system("command -v relion_ctf_toolbox > /dev/null 2>&1") != 0) GTEST_SKIP() << "relion_ctf_toolbox is not installed";
  const io::TestFolder folder;
  TestContext context(folder.path());
  sim::Scene scene;
  scene.kind = sim::SceneKind::micrographs;
  scene.seed = 91;  // of this test alone
  scene.nx = scene.ny = 1024;
  scene.pixel_size = Angstrom(pixel_A);
  scene.particles = 20;
  scene.astigmatism = 800_A;  // a wrong axis would show
  scene.defocus_min = scene.defocus_max = 10000_A;
  const auto made = sim::micrograph(scene, {ball()}, 0);
  const auto file = context.output("ball.mrc");
  io::write_image(file, made.image);
  io::StarTable places("", {"rlnCoordinateX", "rlnCoordinateY"});
  for (const auto& p : made.truth.particles) {
    const auto row = places.add_row();
    places.set(row, "rlnCoordinateX", p.x_px);
    places.set(row, "rlnCoordinateY", p.y_px);
  }
  io::StarFile star;
  star.add(std::move(places));
  io::write_star(context.output("ball_picks.star"), star);

  const Json optics = {{"voltage", scene.voltage.value()}, {"cs", scene.cs.value()}, {"amplitude_contrast", scene.amplitude_contrast}, {"pixel_size", pixel_A}};
  const auto micrograph = record_from_json<Micrograph>(records_from_file("Micrograph", file, optics).front().record);
  const auto ctf = EstimateCtf{}.process({micrograph, {}, {}}, context);
  EXPECT_NEAR(((ctf.defocus_u + ctf.defocus_v) / 2).value(), made.truth.ctf.mean_defocus().value(), 150);
  Coordinates coordinates;
  coordinates.coordinates = context.output("ball_picks.star").string();
  coordinates.diameter = Angstrom(2 * radius_A);
  Extract extract;
  extract.params.box = 192;
  const auto particles = extract.process({micrograph, coordinates, ctf}, context);
  ASSERT_GT(particles.count, 10);
  const auto command = "cd " + folder.path().string() + " && relion_ctf_toolbox --i " + particles.star + " --o times_ctf > relion.log 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  fs::path multiplied;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
    if (entry.path().filename().string().find("times_ctf") != std::string::npos && entry.path().extension() == ".mrcs") multiplied = entry.path();
  ASSERT_FALSE(multiplied.empty());
  const double before = likeness(particles.stack), after = likeness(multiplied);
  extract.params.phase_flip = true;
  const double flipped = likeness(extract.process({micrograph, coordinates, ctf}, context).stack);
  std::printf("likeness of the mean image to the ball: as extracted %.3f, times RELION's CTF %.3f, phases flipped here %.3f\n", before, after, flipped);
  EXPECT_GT(after, before);    // RELION's CTF undoes what the lens did, so it has the right sign at every frequency
  EXPECT_GT(after, 0.6);       // white on black
  EXPECT_GT(flipped, before);
}

}  // namespace
}  // namespace frazil::protocols
