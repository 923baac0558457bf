// The sign of the CTF through RELION's reader: a ball of protein, estimated, extracted and multiplied with RELION's
// CTF, is white again.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstdlib>

#include "frazil/image/fft.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/estimate_ctf.hpp"
#include "frazil/protocols/extract.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/test_context.hpp"
#include "frazil/sim/lens.hpp"
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
      for (int x = 0; x < n; ++x)
        map(x, y, z) = std::hypot(x - n / 2, y - n / 2, z - n / 2) * voxel_A < radius_A ? 1.0F : 0.0F;
  return sim::from_map(map, 0.5, "ball");
}

struct Agreement {
  double centre = 0;  ///< mean of the multiplied images within the ball minus that around it
  double same_sign =
      0;  ///< share of the frequencies down to 5 Å, weighted by the true |CTF|, at which RELION's CTF has the true sign
  double worst = 0;  ///< largest difference of the two CTFs down to 8 Å
};

/// RELION's CTF is what its output has more than its input, frequency by frequency; the true one is the simulator's.
Agreement compare(const fs::path& before, const fs::path& after, const sim::Lens& lens) {
  const io::StackReader in(before), out(after);
  const int n = in.info().nx;
  std::vector<double> product(static_cast<std::size_t>(n) * static_cast<std::size_t>(n / 2 + 1), 0.0), power = product;
  Agreement result;
  for (int i = 0; i < in.info().nz; ++i) {
    const auto image = out.read(i);
    double inner = 0, inners = 0, outer = 0, outers = 0;
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const double r = std::hypot(x - n / 2, y - n / 2) * pixel_A;
        if (r < 0.8 * radius_A) {
          inner += double{image(x, y)};
          ++inners;
        } else if (r > 1.3 * radius_A && r < 1.8 * radius_A) {
          outer += double{image(x, y)};
          ++outers;
        }
      }
    result.centre += (inner / inners - outer / outers) / in.info().nz;
    const auto a = fft(in.read(i)), b = fft(image);
    for (int y = 0; y < n; ++y)
      for (int x = 0; x <= n / 2; ++x) {
        const auto p = static_cast<std::size_t>(y) * static_cast<std::size_t>(n / 2 + 1) + static_cast<std::size_t>(x);
        product[p] += std::real(std::complex<double>(b.row(y)[x]) * std::conj(std::complex<double>(a.row(y)[x])));
        power[p] += std::norm(std::complex<double>(a.row(y)[x]));
      }
  }
  double right = 0, total = 0;
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n / 2; ++x) {
      const double kx = x / (n * pixel_A), ky = (y < n / 2 ? y : y - n) / (n * pixel_A), k = std::hypot(kx, ky);
      const auto p = static_cast<std::size_t>(y) * static_cast<std::size_t>(n / 2 + 1) + static_cast<std::size_t>(x);
      if (k > 1 / 5.0 || k == 0 || !(power[p] > 0)) continue;
      const double truth = lens.transfer(kx, ky), relion = product[p] / power[p];
      total += std::abs(truth);
      if (truth * relion > 0) right += std::abs(truth);
      if (k < 1 / 8.0) result.worst = std::max(result.worst, std::abs(truth - relion));
    }
  result.same_sign = right / total;
  return result;
}

TEST(CtfInterop, PhasesOfAKnownObjectHaveTheRightSignThroughRelionsReader) {
  if (std::system("command -v relion_ctf_toolbox > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "relion_ctf_toolbox is not installed";
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

  const Json optics = {{"voltage", scene.voltage.value()},
                       {"cs", scene.cs.value()},
                       {"amplitude_contrast", scene.amplitude_contrast},
                       {"pixel_size", pixel_A}};
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
  const auto command = "cd " + folder.path().string() + " && relion_ctf_toolbox --i " + particles.star +
                       " --o times_ctf > relion.log 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  fs::path multiplied;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
    if (entry.path().filename().string().find("times_ctf") != std::string::npos && entry.path().extension() == ".mrcs")
      multiplied = entry.path();
  ASSERT_FALSE(multiplied.empty());
  const auto found = compare(particles.stack, multiplied, sim::Lens(made.truth.ctf, scene.optics(), scene.envelope()));
  std::printf(
      "RELION's CTF by our STAR file against the true one: same sign at %.2f %% of the frequencies to 5 A, largest "
      "difference to 8 A %.3f; ball over background %.3f\n",
      100 * found.same_sign, found.worst, found.centre);
  EXPECT_GT(found.same_sign, 0.98);  // what the estimate's own error leaves
  EXPECT_LT(found.worst, 0.5);
  EXPECT_GT(found.centre, 0);  // white on black
}

}  // namespace
}  // namespace frazil::protocols
