// What the simulated microscope looks at and how: every parameter of a SCENE.json, declared once.
#pragma once

#include "frazil/sim/lens.hpp"

namespace frazil::sim {

enum class SceneKind { movies, micrographs, particles, project };
constexpr auto names_of(SceneKind) { return std::array{"movies", "micrographs", "particles", "project"}; }
enum class MovieFormat { mrc, tiff, eer };
constexpr auto names_of(MovieFormat) { return std::array{"mrc", "tiff", "eer"}; }

/// Lengths at the specimen in Å, doses in e⁻/Å² at the specimen. Fractions and counts "per movie" are means of random
/// numbers.
struct Scene {
  // What to write.
  SceneKind kind = SceneKind::movies;
  int count = 10;
  int seed = 1;
  MovieFormat format = MovieFormat::mrc;
  std::string prefix = "mic";
  // Camera and exposure.
  int nx = 1024, ny = 1024;
  Angstrom pixel_size = 1.5_A;
  int frames = 16;
  Dose dose_per_frame = 2.5_e_per_A2;
  Dose pre_exposure{};
  int raw_frames = 25;
  double detector = 1;
  double gain_sigma = 0.04;
  int hot_pixels = 20, dead_pixels = 20;
  // Microscope.
  Kilovolt voltage = 300_kV;
  Millimetre cs = 2.7_mm;
  double amplitude_contrast = 0.1;
  Angstrom defocus_min = 8000_A, defocus_max = 20000_A;
  Angstrom astigmatism = 200_A;
  Degrees phase_shift_min{}, phase_shift_max{};
  Degrees tilt{}, tilt_axis{};
  Angstrom2 b_factor = Angstrom2(60);
  Angstrom focal_spread = 50_A;
  double half_angle_mrad = 0.02;
  // Specimen.
  std::vector<std::string> specimens{"5a1a"};
  std::vector<double> shares{1};
  double map_threshold = 0;
  int particles = 40;
  double spacing = 1.15;
  double contrast = 0.7;
  Angstrom ice_thickness = 400_A;
  double ice_noise = 1;
  double damage = 1;
  // Motion.
  Angstrom burst = 4_A;
  Angstrom drift = 3_A;
  Angstrom jitter = 0.15_A;
  Angstrom local_motion = 2_A;
  // Junk.
  double carbon = 0, crystals = 0, crystalline_ice = 0, aggregates = 0, empty = 0;
  // Particle stacks.
  int box = 0;
  Angstrom max_offset = 6_A;
  double junk = 0;
  bool normalise = true;
  // How to run.
  int threads = 1;

  [[nodiscard]] Optics optics() const { return {voltage, cs, amplitude_contrast}; }
  [[nodiscard]] Envelope envelope() const { return {b_factor.value(), focal_spread.value(), half_angle_mrad}; }
  [[nodiscard]] Ice ice() const {
    return {.thickness_A = ice_thickness.value(), .strength = ice_noise, .crystalline = 0};
  }
  [[nodiscard]] Dose total_dose() const { return frames * dose_per_frame; }
  /// Mean electrons counted in a pixel during one frame.
  [[nodiscard]] double electrons_per_frame() const {
    return dose_per_frame.value() * pixel_size.value() * pixel_size.value() *
           transmission(ice_thickness.value(), voltage);
  }

  static constexpr auto fields() {
    using P = Scene;
    return std::tuple(
        field(&P::kind, "kind", "What is written"),
        field(&P::count, "count", "Number of movies, micrographs or particles").range(1, 1000000),
        field(&P::seed, "seed", "Seed of all random numbers").range(0, 2147483647),
        field(&P::format, "format", "Container of the movies"),
        field(&P::prefix, "prefix", "Start of every file name").advanced(),
        field(&P::nx, "nx", "Columns of the camera").range(64, 16384),
        field(&P::ny, "ny", "Rows of the camera").range(64, 16384),
        field(&P::pixel_size, "pixel_size", "Pixel at the specimen").range(0.2_A, 20_A),
        field(&P::frames, "frames", "Frames of a movie").range(1, 2000),
        field(&P::dose_per_frame, "dose_per_frame", "Exposure of one frame").range(0.01_e_per_A2, 100_e_per_A2),
        field(&P::pre_exposure, "pre_exposure", "Exposure before the first frame").range(0_e_per_A2, 1000_e_per_A2),
        field(&P::raw_frames, "raw_frames", "EER: raw frames in one frame").range(1, 1000).advanced(),
        field(&P::detector, "detector", "Blur of the detector: 0 none, 1 a counting camera").range(0, 2).advanced(),
        field(&P::gain_sigma, "gain_sigma", "Spread of the pixels' sensitivity").range(0, 0.3),
        field(&P::hot_pixels, "hot_pixels", "Pixels that always count too much").range(0, 100000),
        field(&P::dead_pixels, "dead_pixels", "Pixels that never count").range(0, 100000),
        field(&P::voltage, "voltage", "Acceleration voltage").range(40_kV, 1500_kV),
        field(&P::cs, "cs", "Spherical aberration").range(-10_mm, 20_mm),
        field(&P::amplitude_contrast, "amplitude_contrast", "Fraction of amplitude contrast").range(0, 0.9),
        field(&P::defocus_min, "defocus_min", "Smallest mean defocus").range(0_A, 100000_A),
        field(&P::defocus_max, "defocus_max", "Largest mean defocus").range(0_A, 100000_A),
        field(&P::astigmatism, "astigmatism", "Scale of the Rayleigh-distributed U − V").range(0_A, 5000_A),
        field(&P::phase_shift_min, "phase_shift_min", "Smallest phase shift").range(0_deg, 180_deg).advanced(),
        field(&P::phase_shift_max, "phase_shift_max", "Largest phase shift").range(0_deg, 180_deg).advanced(),
        field(&P::tilt, "tilt", "Tilt of the specimen").range(-70_deg, 70_deg).advanced(),
        field(&P::tilt_axis, "tilt_axis", "Direction of the tilt axis from +x").range(-180_deg, 180_deg).advanced(),
        field(&P::b_factor, "b_factor", "Gaussian part of the envelope").range(Angstrom2(0), Angstrom2(2000)),
        field(&P::focal_spread, "focal_spread", "Temporal coherence").range(0_A, 500_A).advanced(),
        field(&P::half_angle_mrad, "half_angle_mrad", "Illumination semi-angle in milliradian").range(0, 2).advanced(),
        field(&P::specimens, "specimens", "Shipped models (5a1a, 1oel, 4v1w), atomic models or MRC maps"),
        field(&P::shares, "shares", "Relative number of particles of each specimen"),
        field(&P::map_threshold, "map_threshold", "Voxels of a map above this are protein").advanced(),
        field(&P::particles, "particles", "Particles in one micrograph").range(0, 100000),
        field(&P::spacing, "spacing", "Smallest distance of two centres, in diameters").range(0, 10),
        field(&P::contrast, "contrast", "Factor on the potential: calculated contrast exceeds measured contrast")
            .range(0, 10)
            .advanced(),
        field(&P::ice_thickness, "ice_thickness", "Thickness of the ice").range(0_A, 5000_A),
        field(&P::ice_noise, "ice_noise", "Factor on the structural noise of the ice").range(0, 10),
        field(&P::damage, "damage", "Factor on the rate of radiation damage").range(0, 10).advanced(),
        field(&P::burst, "burst", "Median length of the fast movement at the start").range(0_A, 100_A),
        field(&P::drift, "drift", "Median length of the slow drift").range(0_A, 200_A),
        field(&P::jitter, "jitter", "Random walk, r.m.s. per axis after 1 e⁻/Å²").range(0_A, 5_A),
        field(&P::local_motion, "local_motion", "Largest movement of a corner against the mean").range(0_A, 50_A),
        field(&P::carbon, "carbon", "Fraction of areas with a carbon edge").range(0, 1),
        field(&P::crystals, "crystals", "Ice crystals per area").range(0, 1000),
        field(&P::crystalline_ice, "crystalline_ice", "Fraction of areas with a sharp ring at 3.67 Å").range(0, 1),
        field(&P::aggregates, "aggregates", "Protein aggregates per area").range(0, 1000),
        field(&P::empty, "empty", "Fraction of areas without particles").range(0, 1),
        field(&P::box, "box", "Side of particle images in pixels; 0: 1.5 diameters").range(0, 4096),
        field(&P::max_offset, "max_offset", "Particles lie off centre by up to this on each axis").range(0_A, 500_A),
        field(&P::junk, "junk", "Fraction of images without a whole particle").range(0, 1),
        field(&P::normalise, "normalise", "Invert contrast and give the background mean 0 and deviation 1"),
        field(&P::threads, "threads", "Threads").range(1, 1024).runtime());
  }
};

/// Contradictions between fields, one sentence each.
[[nodiscard]] std::vector<std::string> check(const Scene& scene);
/// Reads SCENE.json. @throws Error(bad_input) with every problem at once
[[nodiscard]] Scene scene_from_json(const Json& json, const std::string& name);
/// CTF of area `index` of the scene, canonical.
[[nodiscard]] Ctf draw_ctf(const Scene& scene, Rng& rng);

}  // namespace frazil::sim
