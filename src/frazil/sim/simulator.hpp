// The ground-truth microscope: particle images, micrographs, movies and power spectra whose every parameter is known.
//
// It shares no CTF, shift, interpolation or projection code with the program that is measured against it. The physics
// is written up in docs/guide/simulator.md. The same seed gives the same data, for any number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "frazil/sim/eer_writer.hpp"
#include "frazil/sim/scene.hpp"
#include "frazil/sim/specimen.hpp"

namespace frazil::sim {

/// The scene's specimens that are shipped models or atomic model files; maps are given by the caller (from_map).
[[nodiscard]] std::vector<Specimen> load_specimens(const Scene& scene);

// ---- particle images
// -------------------------------------------------------------------------------------------------------------

enum class Content { particle, empty, aggregate, crystal };
/// "particle", "empty", "aggregate", "crystal".
[[nodiscard]] std::string_view to_string(Content content);

struct ParticleTruth {
  Content content = Content::particle;
  int specimen = 0;  ///< index into the scene's specimens; −1 where there is none
  Pose pose;
  Angstrom origin_x{}, origin_y{};  ///< as rlnOriginX/YAngst: the particle lies at −origin from the image centre
  Ctf ctf;
};

struct ParticleStack {
  std::vector<Image> images;  ///< box × box; protein bright and background N(0, 1) if scene.normalise, else electrons a
                              ///< pixel, protein dark
  std::vector<ParticleTruth> truth;
  int box = 0;
  Optics optics;
};

/// `count` single-particle images as a perfect extraction would give them: motion-free sums over the whole exposure
/// (not dose-weighted), each with its own CTF, pose, offset, ice and shot noise. Poses are uniform; a share
/// `scene.junk` holds no whole particle.
[[nodiscard]] ParticleStack particle_stack(const Scene& scene, const std::vector<Specimen>& specimens, int count,
                                           const Rng& rng);
[[nodiscard]] ParticleStack particle_stack(const Scene& scene, int count, const Rng& rng);

// ---- micrographs and movies
// ------------------------------------------------------------------------------------------------------

/// A particle in a micrograph, where it is while the first frame is taken.
struct PlacedParticle {
  double x_px = 0, y_px = 0;
  Pose pose;
  int specimen = 0;
};

/// A region that should not be picked: disc around (x, y).
struct JunkRegion {
  Content content = Content::aggregate;
  double x_px = 0, y_px = 0, radius_px = 0;
};

/// Movement of the specimen during a movie, in pixels, +x to the right: frame t shows at x what lay at x − displacement
/// in the first frame. Neither spline nor polynomial: burst, exponential decay and random walk in time; standing waves
/// and a dome in space.
class Motion {
 public:
  Motion() = default;
  Motion(const Scene& scene, const Rng& rng);
  /// Displacement at pixel (x, y) after `dose` e⁻/Å², relative to the middle of the first frame.
  [[nodiscard]] std::array<double, 2> displacement(double x_px, double y_px, double dose) const;
  /// The same without the local part.
  [[nodiscard]] std::array<double, 2> global(double dose) const;
  /// Doses at which the specimen is drawn while a frame (from 0) is exposed, evenly spread: as many as keep it from
  /// moving farther than `reach_px` in between, at most `most`.
  [[nodiscard]] std::vector<double> instants(const Scene& scene, int frame, double reach_px, int most) const;
  /// Local modes: displacement = global + Σ amplitude_m(dose) · shape_m(x, y).
  static constexpr int modes = 4;
  [[nodiscard]] std::array<double, 2> shape(int mode, double x_px, double y_px) const;
  [[nodiscard]] double amplitude(int mode, double dose) const;

 private:
  struct Wave {
    double direction_x = 0, direction_y = 0;  ///< of the movement; the dome's centre for the last mode
    double qx = 0, qy = 0, phase = 0;         ///< wave vector in cycles a pixel
    double mean_x = 0, mean_y = 0;            ///< over the area: taken off, so that `global` is the mean movement
    double weight_px = 0, decay_dose = 4;
  };
  [[nodiscard]] std::array<double, 2> path(double dose) const;
  [[nodiscard]] std::array<double, 2> raw_shape(int mode, double x_px, double y_px) const;
  [[nodiscard]] double raw_amplitude(int mode, double dose) const;
  double nx_ = 1, ny_ = 1, origin_dose_ = 0, pre_exposure_ = 0, step_ = 0.1;
  std::array<double, 2> burst_px_{}, drift_px_{};
  double burst_dose_ = 2.5, drift_dose_ = 20;
  std::array<std::vector<double>, 2> walk_px_;  ///< at multiples of step_
  std::array<std::vector<double>, modes> local_walk_;
  std::array<Wave, modes> waves_{};
};

/// Doses at which the specimen is drawn in a frame of a movie.
[[nodiscard]] std::vector<double> drawn_instants(const Scene& scene, const Motion& motion, int frame);

/// Mean over `doses` of what `at` says of each: the displacement that a frame shows.
template <class At>
std::array<double, 2> mean_displacement(const std::vector<double>& doses, const At& at) {
  std::array<double, 2> mean{};
  for (const double dose : doses) {
    const auto d = at(dose);
    for (std::size_t axis = 0; axis < 2; ++axis) mean[axis] += d[axis] / static_cast<double>(doses.size());
  }
  return mean;
}

/// Where carbon, crystals and aggregates are: the covered share of blocks of 4 × 4 pixels, 0 to 255; the remainder at
/// the far edges is left out.
struct JunkMap {
  static constexpr int bin = 4;
  int nx = 0, ny = 0;
  std::vector<std::uint8_t> share;
  [[nodiscard]] bool at(int x, int y) const {
    return share[static_cast<std::size_t>(y) * static_cast<std::size_t>(nx) + static_cast<std::size_t>(x)] >= 128;
  }
};

struct AreaTruth {
  std::string name;
  Ctf ctf;  ///< at the centre of the area
  Degrees tilt{}, tilt_axis{};
  std::vector<PlacedParticle> particles;
  std::vector<JunkRegion> junk;
  JunkMap junk_map;
  double carbon_fraction = 0;  ///< part of the area covered by carbon
  std::array<double, 3> hole{0, 0,
                             0};  ///< carbon lies outside this circle (x, y, radius in pixels); radius 0: no carbon
  bool crystalline_ice = false;
  std::vector<std::array<double, 2>> shifts_px;  ///< per frame, moves it onto the first: minus the displacement of the
                                                 ///< area, mean over the frame's exposure
  Motion motion;
};

struct SimulatedMicrograph {
  Image image;  ///< electrons a pixel of the whole exposure, no motion, perfect gain
  AreaTruth truth;
};

/// Area `index` of the scene, exposed at once. The same particles, CTF and junk as `movie` gives for that index.
[[nodiscard]] SimulatedMicrograph micrograph(const Scene& scene, const std::vector<Specimen>& specimens, int index);
[[nodiscard]] SimulatedMicrograph micrograph(const Scene& scene, int index);

/// Sensitivity of the camera; one for a scene. Multiplying raw counts by `gain` makes the mean image flat.
struct Camera {
  Image gain;  ///< multiplicative reference, mean 1; 0 at dead pixels
  std::vector<std::array<int, 2>> hot, dead;
};
[[nodiscard]] Camera camera(const Scene& scene);

/// A movie that makes its frames when asked. Thread-safe for different frames.
class SimulatedMovie {
 public:
  SimulatedMovie(const Scene& scene, const std::vector<Specimen>& specimens, const Camera& camera, int index);
  ~SimulatedMovie();
  SimulatedMovie(SimulatedMovie&&) noexcept;
  [[nodiscard]] const AreaTruth& truth() const;
  /// Raw counts of frame `t` (from 0) before gain correction.
  void frame(int t, Image& out) const;
  /// Electrons of frame `t` in each of `scene.raw_frames` raw frames, as a camera that records events counts them: at
  /// most one a pixel and raw frame. They move with the specimen within the frame; their place in the pixel is random.
  void electrons(int t, std::vector<std::vector<Electron>>& raw_frames) const;
  /// Expected counts of frame `t` (no shot noise, perfect gain), for tests.
  [[nodiscard]] Image expected_frame(int t) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// ---- power spectra
// ---------------------------------------------------------------------------------------------------------------

struct SpectrumSpec {
  int box = 512;
  Angstrom pixel_size = 1_A;
  Dose dose = 40_e_per_A2;
  int tiles = 100;  ///< independent tiles averaged: |F|² of each component is Gamma(tiles)/tiles distributed
  Envelope envelope{};
  Ice ice{};
  double protein = 1;  ///< amount of protein in the tile: 1 as in a crowded micrograph
  double detector = 1;
  double carbon = 0;                    ///< part of the area covered by 150 Å of amorphous carbon
  double noise_slope = 0.2;             ///< shot noise falls by this share from zero to Nyquist
  double halo = 2;                      ///< inelastic scattering near the centre
  std::array<double, 2> drift_A{0, 0};  ///< steady drift during the exposure: rings × sinc²(k·drift)
  double depth_A = 0;  ///< scatterers lie at heights spread evenly over this: contrast of the rings × sinc(λ k² depth)
  double defocus_range_A =
      0;             ///< defocus spread evenly over this across the area (tilt) or during the exposure (charging)
  double spots = 0;  ///< a crystalline ring is broken into spots: 0 even, 1 only spots
};

/// A spectrum's specification drawn as sessions have them: kV, defocus, astigmatism, ice, dose, carbon, tiles.
struct SpectrumScene {
  Ctf ctf;
  Optics optics;
  SpectrumSpec spec;
};
/// Good areas: defocus 0.3–4 µm, astigmatism 0–0.3 µm, 100, 200 or 300 kV, ice of 200–1000 Å, a fifth of them with some
/// carbon, 10–60 e⁻/Å²; every tenth shows hardly any rings.
[[nodiscard]] SpectrumScene random_spectrum_scene(Rng& rng);

enum class Spoilt { empty, drifted, crystalline, carbon, charging };
[[nodiscard]] std::string_view to_string(Spoilt kind);
/// The same scene, spoilt: nothing but vacuum; drift of 12–40 Å; crystalline ice; carbon film alone; defocus and place
/// run away by charging.
[[nodiscard]] SpectrumScene spoil(SpectrumScene scene, Spoilt kind, Rng& rng);

/// Averaged |F|² of a micrograph in ice, box × box with zero frequency at (box/2, box/2), Friedel-symmetric; in units
/// of the shot noise (1 where there is nothing else). Background: shot noise, detector, inelastic halo at low k. Rings:
/// ice and protein times CTF².
[[nodiscard]] Image power_spectrum(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec, Rng& rng);
/// Expectation of the same (no speckle).
[[nodiscard]] Image expected_power_spectrum(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec);

/// Cramér–Rao bounds (Å) of the mean defocus and of one astigmatism component from spectra of this specification
/// between 30 Å and `finest`, all three fitted together, background and envelope known.
struct DefocusBound {
  double defocus_A = 0, astigmatism_A = 0;
};
[[nodiscard]] DefocusBound defocus_bound(const Ctf& ctf, const Optics& optics, const SpectrumSpec& spec,
                                         Angstrom finest = 3_A);

}  // namespace frazil::sim
