// Initial volume and reconstruction against real particles with published answers, and against RELION's own programs.
#include <gtest/gtest.h>
#include <unistd.h>

#include <Eigen/LU>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "frazil/algo/initvol/initial_volume.hpp"
#include "frazil/algo/recon/align.hpp"
#include "frazil/algo/recon/fsc.hpp"
#include "frazil/algo/recon/projector.hpp"
#include "frazil/algo/recon/symmetry.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/io/test_files.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

std::vector<initvol::ParticleImage> read_real(const fs::path& star_path, const fs::path& images,
                                              std::vector<recon::Matrix3>* poses) {
  const auto star = io::read_star(star_path);
  const auto& table = star.table("particles");
  const auto optics = io::read_optics(star, table);
  std::vector<initvol::ParticleImage> particles;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto at = io::split_reference(std::string(table.text(row, "rlnImageName")));
    const auto& group = optics.groups.at(static_cast<std::size_t>(optics.group_of_row.at(row)));
    initvol::ParticleImage p;
    p.image = io::read_image(images / at.file, at.index);
    p.image.pixel_size = group.image_pixel_size;
    p.optics = group.optics;
    p.ctf = {Angstrom(table.number(row, "rlnDefocusU")),
             Angstrom(table.number(row, "rlnDefocusV")),
             Degrees(table.number(row, "rlnDefocusAngle")),
             {},
             {}};
    p.origin_x = Angstrom(table.number_or(row, "rlnOriginXAngst", 0));
    p.origin_y = Angstrom(table.number_or(row, "rlnOriginYAngst", 0));
    if (poses != nullptr)
      poses->push_back(
          recon::rotation({Degrees(table.number(row, "rlnAngleRot")), Degrees(table.number(row, "rlnAngleTilt")),
                           Degrees(table.number(row, "rlnAnglePsi"))}));
    particles.push_back(std::move(p));
  }
  return particles;
}

Volume back_project(const std::vector<initvol::ParticleImage>& particles, const std::vector<recon::Matrix3>& poses,
                    const std::string& symmetry) {
  const int box = particles.front().image.nx(), max_k = box / 2 - 1;
  const initvol::ParticleSet set(particles, max_k, 300_A, 0_A, available_cpus());
  recon::BackProjector back(box, max_k, set.pixel_size());
  const std::size_t count = set.plane().size();
  std::vector<float> re(count), im(count), weight(count);
  std::vector<std::complex<float>> value(count);
  for (std::size_t i = 0; i < poses.size(); ++i) {
    set.centred(i, set.offsets[i], count, true, re.data(), im.data());
    for (std::size_t j = 0; j < count; ++j) {
      value[j] = {re[j], im[j]};
      weight[j] = set.ctf(i)[j] * set.ctf(i)[j];
    }
    for (const auto& g : recon::symmetry_operators(symmetry))
      back.insert(set.plane(), count, poses[i] * g, value.data(), weight.data());
  }
  const auto weights = back.mean_weight();
  std::vector<double> wiener(weights.size(), 0.1 * weights[weights.size() / 2]);
  return back.reconstruct(wiener);
}

/// The centre of a larger map.
Volume central(const Volume& map, int box) {
  Volume out(box, box, box, map.pixel_size);
  const int shift = map.nx() / 2 - box / 2;
  for (int z = 0; z < box; ++z)
    for (int y = 0; y < box; ++y)
      for (int x = 0; x < box; ++x) out(x, y, z) = map(x + shift, y + shift, z + shift);
  return out;
}

/// Ball of constant density stretched to the second moments of the positive part of a map.
Volume ellipsoid_like(const Volume& map) {
  const int n = map.nx();
  Eigen::Matrix3d moments = Eigen::Matrix3d::Zero();
  double mass = 0;
  const auto for_all = [n](auto&& f) {
    for (int z = 0; z < n; ++z)
      for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x) f(x, y, z, recon::Vector3(x - n / 2, y - n / 2, z - n / 2));
  };
  for_all([&](int x, int y, int z, const recon::Vector3& r) {
    const double w = at_least_zero(map(x, y, z));
    moments += w * r * r.transpose();
    mass += w;
  });
  const Eigen::Matrix3d inverse = (5 * moments / mass).inverse();  // a solid ellipsoid has ⟨r rᵀ⟩ = axes² / 5
  Volume out(n, n, n, map.pixel_size);
  for_all([&](int x, int y, int z, const recon::Vector3& r) { out(x, y, z) = r.dot(inverse * r) < 1 ? 1.0F : 0.0F; });
  return out;
}

TEST(InitialVolumeOnRealParticles,
     ShowsBetaGalactosidase) {  // 1,157 picks, about half of them particles; published CTF
  const auto shared = io::shared_data();
  if (!shared) GTEST_SKIP() << "no real data; set FRAZIL_SHARED to the folder that holds bgal-10204-relion5-run";
  const auto& data = *shared;
  const auto answers = data / "bgal-10204-published-answers/derived", run = data / "bgal-10204-relion5-run";
  if (!fs::exists(answers) || !fs::exists(run))
    GTEST_SKIP() << "no beta-galactosidase particles in " << data << ": set FRAZIL_SHARED";
  const auto map = recon::low_pass(central(io::read_volume(data / "maps-and-models/bgal_relion_100px.mrc"), 64), 15_A);
  const auto peak = *std::max_element(map.data(), map.data() + map.size());
  const auto mask = recon::soft_mask(map, 0.15 * peak, 15_A);
  const auto compare = [&](const Volume& v, bool align) {
    const auto placed =
        align ? recon::apply(recon::align_volumes(map, v, {.threads = available_cpus()}), v) : v.clone();
    return recon::masked_correlation(map, recon::low_pass(placed, 15_A), &mask);
  };
  std::vector<recon::Matrix3> poses;
  const auto good = read_real(answers / "particles_good_with_published_poses.star", run, &poses);
  const auto all = read_real(answers / "particles_all_ctf_from_published_run.star", run, nullptr);
  ASSERT_EQ(all.size(), 1157U);
  initvol::InitialVolumeParams params;
  params.symmetry = "d2";
  params.diameter = 190_A;
  params.starts = 2;
  const auto found = initvol::initial_volume(all, params, Rng(2024), available_cpus());
  const double ours = compare(found.volume, true), published = compare(back_project(good, poses, "d2"), false);
  const double ellipsoid = compare(ellipsoid_like(map), false), mirrored = compare(recon::mirror(map), false);
  const double fraction = (ours - ellipsoid) / (published - ellipsoid);
  std::printf(
      "beta-galactosidase, correlation with the published map inside its mask at 15 A: ours %.3f, published poses "
      "%.3f, ellipsoid %.3f, mirror image %.3f; "
      "(ours - ellipsoid) / (published - ellipsoid) = %.2f; halves agree to %.1f A\n",
      ours, published, ellipsoid, mirrored, fraction, found.resolution.value());
  EXPECT_GE(fraction, 0.5);
}

/// A small asymmetric map: boxes of unequal size, smoothed.
Volume lumps() {
  Volume v(48, 48, 48, 3_A);
  const int box[4][6] = {
      {14, 20, 12, 30, 18, 26}, {24, 34, 20, 24, 22, 30}, {20, 24, 26, 36, 14, 20}, {28, 31, 28, 34, 28, 36}};
  for (const auto& b : box)
    for (int z = b[4]; z < b[5]; ++z)
      for (int y = b[2]; y < b[3]; ++y)
        for (int x = b[0]; x < b[1]; ++x) v(x, y, z) += 1;
  return recon::low_pass(v, 9_A);
}

TEST(ReconInterop, ProjectsAsRelionProjectDoes) {
  if (std::system("command -v relion_project > /dev/null 2>&1") != 0) GTEST_SKIP() << "relion_project is not installed";
  const auto folder = fs::temp_directory_path() / ("frazil_recon_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const auto volume = lumps();
  io::write_volume(folder / "map.mrc", volume);
  const recon::Projector projector(volume, 23);
  for (const auto& [rot, tilt, psi] : {std::array{0.0, 0.0, 0.0}, std::array{35.0, 0.0, 0.0},
                                       std::array{40.0, 65.0, -110.0}, std::array{-120.0, 140.0, 25.0}}) {
    const auto command =
        fmt::format("cd {} && relion_project --i map.mrc --o p.mrc --rot {} --tilt {} --psi {} --angpix 3 > log 2>&1",
                    folder.string(), rot, tilt, psi);
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    const auto theirs = io::read_image(folder / "p.mrc");
    const auto ours = ifft(projector.project(recon::rotation({Degrees(rot), Degrees(tilt), Degrees(psi)})));
    EXPECT_GT(correlation(theirs.pixels(), ours.pixels()), 0.99) << rot << " " << tilt << " " << psi;
  }
  fs::remove_all(folder);
}

TEST(ReconInterop, PointGroupsAreRelions) {
  if (std::system("command -v relion_refine > /dev/null 2>&1") != 0) GTEST_SKIP() << "relion_refine is not installed";
  const auto file = fs::temp_directory_path() / ("frazil_symmetry_" + std::to_string(::getpid()));
  for (const std::string name : {"C5", "D2", "D3", "T", "O", "I1", "I2"}) {
    ASSERT_EQ(
        std::system(
            fmt::format("relion_refine --sym {} --print_symmetry_ops > {} 2>/dev/null", name, file.string()).c_str()),
        0);
    std::istringstream text(read_text(file));
    const auto ours = recon::symmetry_operators(name);
    std::size_t count = 0;
    for (std::string line; std::getline(text, line);) {
      if (line.find("R(") == std::string::npos || line.find('=') == std::string::npos) continue;
      recon::Matrix3 m;
      for (int i = 0; i < 9; ++i) text >> m(i / 3, i % 3);
      EXPECT_TRUE(std::any_of(ours.begin(), ours.end(), [&](const recon::Matrix3& g) { return (g - m).norm() < 1e-4; }))
          << name;
      ++count;
    }
    EXPECT_EQ(count, ours.size()) << name;
  }
  fs::remove(file);
}

TEST(ReconInterop, ReconstructsAsRelionReconstructDoes) {  // angles, origins and the sign of the CTF
  if (std::system("command -v relion_reconstruct > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "relion_reconstruct is not installed";
  const auto folder = fs::temp_directory_path() / ("frazil_reconstruct_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const auto volume = lumps();
  const int box = volume.nx();
  const recon::Projector projector(volume, box / 2 - 1);
  Rng rng(31);
  io::StackWriter stack(folder / "p.mrcs", box, box, 3_A);
  std::string star =
      "data_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnVoltage #3\n_rlnSphericalAberration "
      "#4\n_rlnAmplitudeContrast #5\n"
      "_rlnImagePixelSize #6\n_rlnImageSize #7\n_rlnImageDimensionality #8\nopticsGroup1 1 300 2.7 0.1 3 48 "
      "2\n\ndata_particles\n\nloop_\n_rlnImageName #1\n"
      "_rlnOpticsGroup #2\n_rlnAngleRot #3\n_rlnAngleTilt #4\n_rlnAnglePsi #5\n_rlnOriginXAngst #6\n_rlnOriginYAngst "
      "#7\n_rlnDefocusU #8\n_rlnDefocusV #9\n"
      "_rlnDefocusAngle #10\n";
  std::vector<initvol::ParticleImage> particles;
  std::vector<recon::Matrix3> poses;
  for (int i = 0; i < 600; ++i) {
    poses.push_back(recon::random_rotation(rng));
    const auto angles = recon::orientation(poses.back());
    const double x_A = rng.uniform(-12, 12), y_A = rng.uniform(-12, 12), defocus_A = rng.uniform(8000, 20000),
                 axis_deg = rng.uniform(0, 180);
    initvol::ParticleImage p;
    p.ctf = {Angstrom(defocus_A), Angstrom(defocus_A - 800), Degrees(axis_deg), {}, {}};
    p.origin_x = Angstrom(x_A);
    p.origin_y = Angstrom(y_A);
    auto spectrum = projector.project(poses.back());
    fourier_shift(spectrum, -x_A / 3, -y_A / 3);
    const CtfFunction ctf(p.ctf, p.optics);
    for (int y = 0; y < box; ++y)
      for (int kx = 0; kx <= box / 2; ++kx)
        spectrum(kx, y) *= static_cast<float>(ctf(kx / (box * 3.0), spectrum.ky(y) / (box * 3.0)));
    p.image = ifft(spectrum);
    p.image.pixel_size = 3_A;
    stack.append(p.image);
    star += fmt::format("{:06d}@p.mrcs 1 {} {} {} {} {} {} {} {}\n", i + 1, angles.rot.value(), angles.tilt.value(),
                        angles.psi.value(), x_A, y_A, defocus_A, defocus_A - 800, axis_deg);
    particles.push_back(std::move(p));
  }
  stack.close();
  write_text(folder / "p.star", star);
  ASSERT_EQ(std::system(fmt::format("cd {} && relion_reconstruct --i p.star --o r.mrc --ctf --angpix 3 > log 2>&1",
                                    folder.string())
                            .c_str()),
            0);
  const auto theirs = io::read_volume(folder / "r.mrc"), ours = back_project(particles, poses, "c1");
  std::printf("correlation at 9 A: ours with theirs %.4f, ours with the truth %.4f, theirs with the truth %.4f\n",
              recon::masked_correlation(recon::low_pass(ours, 9_A), recon::low_pass(theirs, 9_A)),
              recon::masked_correlation(recon::low_pass(ours, 9_A), volume),
              recon::masked_correlation(recon::low_pass(theirs, 9_A), volume));
  EXPECT_GT(recon::masked_correlation(recon::low_pass(ours, 9_A), recon::low_pass(theirs, 9_A)), 0.97);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace frazil::protocols
