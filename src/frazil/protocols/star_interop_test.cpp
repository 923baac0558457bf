// Particle tables with all that RELION puts into them go through our tools and back into RELION.
#include <gtest/gtest.h>

#include <cstdlib>

#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/set_tools.hpp"
#include "frazil/protocols/test_context.hpp"

namespace frazil::protocols {
namespace {

constexpr int groups = 9, particles = 90, side_px = 16;

/// Nine groups that differ in beam tilt, with MTF and aberrations.
std::string relion_table() {
  std::string text =
      "# version "
      "30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup\n_rlnOpticsGroupName\n_rlnAmplitudeContrast\n_rlnBeamTiltX\n_"
      "rlnBeamTiltY\n_rlnSphericalAberration\n_rlnVoltage\n_rlnImagePixelSize\n_rlnImageSize\n_"
      "rlnImageDimensionality\n_"
      "rlnMtfFileName\n_rlnOddZernike\n_rlnMicrographOriginalPixelSize\n";
  for (int g = 1; g <= groups; ++g)
    text += fmt::format("{0} opticsGroup{0} 0.1 {1:.1f} -0.5 2.7 300 1.05 {2} 2 mtf_k3.star [0,{0},0,0,0,0] 0.525\n", g,
                        0.1 * g, side_px);
  text +=
      "\n\n# version 30001\n\ndata_particles\n\nloop_\n_rlnImageName\n_rlnOpticsGroup\n_rlnDefocusU\n_rlnDefocusV\n_"
      "rlnDefocusAngle\n_rlnHelicalTubeID\n_rlnRandomSubset\n";
  for (int i = 0; i < particles; ++i)
    text += fmt::format("{:06}@p.mrcs {} 15000 14800 20 {} {}\n", i + 1, i % groups + 1, i / 10 + 1, i % 2 + 1);
  return text + "\n";
}

TEST(Interop, RelionFindsItsOpticsAndColumnsAfterOurTools) {
  if (std::system("command -v relion_star_handler > /dev/null") != 0) GTEST_SKIP() << "needs relion_star_handler";
  const io::TestFolder folder;
  io::StackWriter stack(folder / "p.mrcs", side_px, side_px, 1.05_A);
  for (int i = 0; i < particles; ++i) stack.append(Image(side_px, side_px, 1.05_A));
  stack.close();
  write_text(folder / "theirs.star", relion_table());
  const auto run = [&](const std::string& command) {
    return std::system(("cd " + folder.path().string() + " && " + command + " > relion.log 2>&1").c_str());
  };
  ASSERT_EQ(run("relion_star_handler --i theirs.star --o in.star --select rlnDefocusU"), 0)
      << read_text(folder / "relion.log");
  Particles all;
  all.star = (folder / "in.star").string();
  all.count = particles;
  all.box = side_px;
  all.pixel_size = 1.05_A;
  TestContext context(folder.path());
  const auto halves = Split{}.process(all, context);
  const auto joined = Union{}.process({*halves.first, *halves.second}, context);
  ASSERT_EQ(run("relion_star_handler --i " + joined.star + " --o out.star --select rlnDefocusU"), 0)
      << read_text(folder / "relion.log");
  const auto before = io::read_star(folder / "in.star"), after = io::read_star(folder / "out.star");
  const auto &in = before.table("optics"), &out = after.table("optics");
  ASSERT_EQ(out.rows(), static_cast<std::size_t>(groups));
  for (const auto& label : in.labels()) {
    ASSERT_TRUE(out.has(label)) << label;
    EXPECT_EQ(out.texts(label), in.texts(label)) << label;
  }
  const auto& rows = after.table("particles");
  ASSERT_EQ(rows.rows(), static_cast<std::size_t>(particles));
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const long i = std::stol(std::string(rows.text(row, "rlnImageName"))) - 1;
    EXPECT_EQ(rows.integer(row, "rlnOpticsGroup"), i % groups + 1);
    EXPECT_EQ(rows.integer(row, "rlnHelicalTubeID"), i / 10 + 1);
    EXPECT_EQ(rows.integer(row, "rlnRandomSubset"), i % 2 + 1);
  }
  EXPECT_EQ(run("relion_stack_create --i " + joined.star + " --o restacked"), 0) << read_text(folder / "relion.log");
}

}  // namespace
}  // namespace frazil::protocols
