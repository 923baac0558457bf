// Sources: where a workflow's first items come from: movies, finished micrographs, particles of other programs.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// What is the same for all files of an acquisition.
struct ImportMoviesParams {
  std::string movies;
  std::string gain, defects;
  std::string metadata, exclude;
  std::vector<double> magnification;
  Angstrom pixel_size{};
  Kilovolt voltage = 300_kV;
  Millimetre cs = 2.7_mm;
  double amplitude_contrast = 0.1;
  std::optional<Dose> dose_per_frame;  ///< 0: no weighting; none: as the files say
  Dose pre_exposure{};
  EerGrid eer_grid = EerGrid::k4;
  Dose eer_dose_per_fraction = 1_e_per_A2;
  double eer_frames_per_fraction = 0;
  int expected = 0;
  Seconds idle{};
  Seconds patience = 60_s;
  Seconds metadata_wait = 60_s;

  static constexpr auto fields() {
    using P = ImportMoviesParams;
    return std::tuple(
        field(&P::movies, "movies", "Folder, glob pattern or file with the movies").required().runtime(),
        field(&P::gain, "gain", "Gain reference").file(), field(&P::defects, "defects", "Defect list or map").file(),
        field(&P::metadata, "metadata",
              "Folder with the metadata files of the microscope (EPU XML, SerialEM mdoc); empty: beside the movies")
            .runtime(),
        field(&P::exclude, "exclude",
              "Files to leave out: names or patterns separated by commas, or a file with one a line")
            .runtime(),
        field(&P::magnification, "magnification", "Anisotropic magnification: rlnMagMat00, 01, 10, 11; empty: none")
            .advanced(),
        field(&P::pixel_size, "pixel_size",
              "Pixel of the movies at the specimen (EER: of the sensor, whatever the grid); 0: as the files say")
            .range(0_A, 100_A),
        field(&P::voltage, "voltage", "Acceleration voltage").range(40_kV, 1500_kV),
        field(&P::cs, "cs", "Spherical aberration").range(-10_mm, 20_mm),
        field(&P::amplitude_contrast, "amplitude_contrast", "Fraction of amplitude contrast").range(0, 1),
        field(
            &P::dose_per_frame, "dose_per_frame",
            "Exposure of one frame (EER: of one raw frame); 0: no weighting; left out: as the files of the microscope "
            "say")
            .range(0_e_per_A2, 100_e_per_A2),
        field(&P::pre_exposure, "pre_exposure", "Exposure before the first frame").range(0_e_per_A2, 1000_e_per_A2),
        field(&P::eer_grid, "eer_grid", "EER: grid on which electrons are counted; 4K is the sensor's pixel")
            .advanced(),
        field(&P::eer_dose_per_fraction, "eer_dose_per_fraction",
              "EER: raw frames are gathered into frames of this exposure")
            .range(0.01_e_per_A2, 50_e_per_A2)
            .advanced(),
        field(&P::eer_frames_per_fraction, "eer_frames_per_fraction", "EER: or of so many raw frames; 0: by exposure")
            .range(0, 100000)
            .advanced(),
        field(&P::expected, "expected", "The stream closes after so many movies; 0: no such limit")
            .range(0, 100000000)
            .runtime(),
        field(&P::idle, "idle", "The stream closes after so long without a new movie; 0: no such limit")
            .range(0_s, 1000000_s)
            .runtime(),
        field(&P::patience, "patience",
              "An incomplete movie that has not grown for so long is named and no longer waited for")
            .range(1_s, 100000_s)
            .advanced()
            .runtime(),
        field(&P::metadata_wait, "metadata_wait",
              "Once movies of the stream have metadata files, one without waits so long for its own; 0: never")
            .range(0_s, 100000_s)
            .advanced()
            .runtime());
  }
};

/// A pixel size that is no record's and not 0.
[[nodiscard]] inline std::vector<std::string> check_pixel_size(Angstrom pixel_size) {
  constexpr Angstrom least = 0.05_A;  // of the records
  if (pixel_size == 0_A || pixel_size >= least) return {};
  return {fmt::format("pixel_size must lie in {} to 100 Å, or be 0 (as the files say), not {}", least.value(),
                      pixel_size.value())};
}

/// One sentence a parameter that cannot be.
[[nodiscard]] inline std::vector<std::string> check(const ImportMoviesParams& params) {
  auto problems = check_magnification(params.magnification);
  for (auto& problem : check_pixel_size(params.pixel_size)) problems.push_back(std::move(problem));
  return problems;
}

struct ImportMovies {
  static constexpr flow::Info info{.name = "import-movies",
                                   .title = "Movies",
                                   .version = 2,
                                   .help = "Watch a folder and take each movie as soon as its file is whole."};
  using Params = ImportMoviesParams;
  using Output = Movie;
  Params params;

  [[nodiscard]] flow::Watch watch() const;
  [[nodiscard]] static flow::FileCheck check(const std::filesystem::path& path);
  [[nodiscard]] static std::string short_name(const std::string& path);
  [[nodiscard]] Movie record(const std::filesystem::path& path, const std::string& reference) const;
  /// Whether the metadata file of a movie is there.
  [[nodiscard]] bool has_companion(const std::filesystem::path& path) const;
  /// Where a movie and what the microscope says of it contradict what is set.
  [[nodiscard]] std::vector<Finding> contradictions(const Movie& movie) const;
  /// Pixel size, voltage and exposure as the files of the microscope tell them.
  [[nodiscard]] std::vector<flow::ToldValue> told(const Movie& movie) const;
};

struct ImportMicrographsParams {
  std::string micrographs;
  std::string exclude;
  Angstrom pixel_size{};
  Kilovolt voltage = 300_kV;
  Millimetre cs = 2.7_mm;
  double amplitude_contrast = 0.1;
  int expected = 0;
  Seconds idle{};

  static constexpr auto fields() {
    using P = ImportMicrographsParams;
    return std::tuple(
        field(&P::micrographs, "micrographs", "Folder, glob pattern or file with the images").required().runtime(),
        field(&P::exclude, "exclude",
              "Files to leave out: names or patterns separated by commas, or a file with one a line")
            .runtime(),
        field(&P::pixel_size, "pixel_size", "Pixel at the specimen; 0: as the files say").range(0_A, 100_A),
        field(&P::voltage, "voltage", "Acceleration voltage").range(40_kV, 1500_kV),
        field(&P::cs, "cs", "Spherical aberration").range(-10_mm, 20_mm),
        field(&P::amplitude_contrast, "amplitude_contrast", "Fraction of amplitude contrast").range(0, 1),
        field(&P::expected, "expected", "The stream closes after so many images; 0: no such limit")
            .range(0, 100000000)
            .runtime(),
        field(&P::idle, "idle", "The stream closes after so long without a new image; 0: no such limit")
            .range(0_s, 1000000_s)
            .runtime());
  }
};

/// One sentence a parameter that cannot be.
[[nodiscard]] inline std::vector<std::string> check(const ImportMicrographsParams& params) {
  return check_pixel_size(params.pixel_size);
}

struct ImportMicrographs {
  static constexpr flow::Info info{
      .name = "import-micrographs",
      .title = "Micrographs",
      .version = 1,
      .help = "Watch a folder and take each motion-corrected image as soon as its file is whole."};
  using Params = ImportMicrographsParams;
  using Output = Micrograph;
  Params params;

  [[nodiscard]] flow::Watch watch() const;
  [[nodiscard]] static flow::FileCheck check(const std::filesystem::path& path);
  [[nodiscard]] static std::string short_name(const std::string& path);
  [[nodiscard]] Micrograph record(const std::filesystem::path& path, const std::string& reference) const;
};

struct ImportParticlesParams {
  std::string particles;
  Angstrom diameter{};
  int expected = 1;

  static constexpr auto fields() {
    using P = ImportParticlesParams;
    return std::tuple(
        field(&P::particles, "particles", "STAR file, folder or glob pattern of STAR files with particle images")
            .required()
            .runtime(),
        field(&P::diameter, "diameter", "Particle diameter; 0: unknown").range(0_A, 5000_A),
        field(&P::expected, "expected", "The stream closes after so many STAR files; 0: no such limit")
            .range(0, 100000000)
            .runtime());
  }
};

struct ImportParticles {
  static constexpr flow::Info info{.name = "import-particles",
                                   .title = "Particles",
                                   .version = 1,
                                   .help = "Take particle stacks with their RELION STAR files (3.0, 3.1 or later)."};
  using Params = ImportParticlesParams;
  using Output = Particles;
  Params params;

  [[nodiscard]] flow::Watch watch() const;
  [[nodiscard]] static flow::FileCheck check(const std::filesystem::path& path);
  [[nodiscard]] Particles record(const std::filesystem::path& path, const std::string& reference) const;
};

}  // namespace frazil::protocols
