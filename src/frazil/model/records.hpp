// The records that flow between steps: movie, micrograph, motion, CTF fit, coordinates, particles, classes, volume.
// Records hold results, never times: what a task took is in the store and in the `seconds` of a --json line.
// File paths are relative to the project folder inside a project, and as given when a step runs alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frazil/model/ctf_quality.hpp"
#include "frazil/model/exposure_info.hpp"
#include "frazil/model/kind_traits.hpp"
#include "frazil/model/optics.hpp"
#include "frazil/params/finding.hpp"

namespace frazil {

/// Grid on which the electrons of an EER movie are counted, named after cameras of 4096 pixels a side: 4K is the
/// sensor's own pixel, 2K twice as coarse, 8K two and 16K four times as fine.
enum class EerGrid { k2, k4, k8, k16 };
constexpr auto names_of(EerGrid) { return std::array{"2K", "4K", "8K", "16K"}; }

/// A recorded movie with what is known of how it was recorded.
struct Movie {
  static constexpr std::string_view kind = "Movie";
  std::string path;  ///< file with the frames
  std::string name;  ///< file name without folders: names the derived files
  int nx = 0, ny = 0, frames = 0;
  Angstrom pixel_size = 1_A;
  Optics optics;
  Dose dose_per_frame{};  ///< zero: unknown
  Dose pre_exposure{};
  std::string gain;       ///< file, empty: none
  std::string defects;    ///< file, empty: none
  ExposureInfo exposure;  ///< as the microscope tells
  // EER only: the frames above are fractions, groups of the raw frames in the file.
  int raw_frames = 0;                  ///< 0: not EER
  EerGrid eer_grid = EerGrid::k4;      ///< of nx, ny and pixel_size
  double eer_frames_per_fraction = 0;  ///< mean; some fractions hold one raw frame more than others
  Dose eer_dose_per_fraction{};        ///< mean, equals dose_per_frame; zero: unknown

  static constexpr auto fields() {
    using P = Movie;
    return std::tuple(
        field(&P::path, "path", "File with the frames").file(), field(&P::name, "name", "File name"),
        field(&P::nx, "nx", "Columns"), field(&P::ny, "ny", "Rows"), field(&P::frames, "frames", "Number of frames"),
        field(&P::pixel_size, "pixel_size", "Size of a pixel at the specimen").range(0.05_A, 100_A),
        field(&P::optics, "optics", "Voltage, Cs, amplitude contrast"),
        field(&P::dose_per_frame, "dose_per_frame", "Exposure of one frame; 0 if unknown")
            .range(0_e_per_A2, 100_e_per_A2),
        field(&P::pre_exposure, "pre_exposure", "Exposure before the first frame").range(0_e_per_A2, 1000_e_per_A2),
        field(&P::gain, "gain", "Gain reference").file(), field(&P::defects, "defects", "Defect list or map").file(),
        field(&P::exposure, "exposure", "Where and how it was taken, as the microscope tells"),
        field(&P::raw_frames, "raw_frames", "Raw frames of an EER movie"),
        field(&P::eer_grid, "eer_grid", "Grid on which EER electrons are counted: 4K is the sensor's pixel"),
        field(&P::eer_frames_per_fraction, "eer_frames_per_fraction", "EER: raw frames in one frame; 0: by exposure")
            .range(0, 100000),
        field(&P::eer_dose_per_fraction, "eer_dose_per_fraction", "EER: exposure of one frame, made of raw frames")
            .range(0_e_per_A2, 100_e_per_A2));
  }
};
template <>
struct KindTraits<Movie> {
  static constexpr KindFacts facts{.one = "movie",
                                   .names = {"path"},
                                   .settable = {"pixel_size", "dose_per_frame", "pre_exposure", "gain", "defects",
                                                "eer_grid", "eer_dose_per_fraction", "eer_frames_per_fraction"},
                                   .is_image = true};
};

/// A summed (or single) image of one area.
struct Micrograph {
  static constexpr std::string_view kind = "Micrograph";
  std::string path;
  std::string name;  ///< of the movie or image it comes from
  int nx = 0, ny = 0;
  Angstrom pixel_size = 1_A;
  Optics optics;
  bool dose_weighted = false;
  std::optional<Angstrom> asked_defocus;  ///< of the microscope, underfocus positive; empty: unknown
  std::optional<Degrees> stage_tilt;      ///< as the microscope tells
  std::string thumbnail;                  ///< picture, empty: none

  static constexpr auto fields() {
    using P = Micrograph;
    return std::tuple(field(&P::path, "path", "Image file").file(), field(&P::name, "name", "Name of the area"),
                      field(&P::nx, "nx", "Columns"), field(&P::ny, "ny", "Rows"),
                      field(&P::pixel_size, "pixel_size", "Size of a pixel").range(0.05_A, 100_A),
                      field(&P::optics, "optics", "Voltage, Cs, amplitude contrast"),
                      field(&P::dose_weighted, "dose_weighted", "Sum weighted by exposure"),
                      field(&P::asked_defocus, "asked_defocus", "Defocus asked of the microscope"),
                      field(&P::stage_tilt, "stage_tilt", "Tilt that the microscope tells"),
                      field(&P::thumbnail, "thumbnail", "Small picture").file());
  }
};
template <>
struct KindTraits<Micrograph> {
  static constexpr KindFacts facts{.one = "micrograph",
                                   .names = {"path"},
                                   .settable = {"pixel_size"},
                                   .star_label = "rlnMicrographName",
                                   .star_without = {"rlnCoordinateX", "rlnImageName"},
                                   .is_image = true};
};

/// Regions of a micrograph where nothing is to be picked.
struct MicrographMask {
  static constexpr std::string_view kind = "MicrographMask";
  std::string micrograph, name;
  std::string mask;  ///< MRC of the micrograph's size: 0 usable, 1 carbon, 2 crystal, 3 aggregate
  double masked_fraction = 0, carbon_fraction = 0, crystal_fraction = 0, aggregate_fraction = 0;
  std::string picture;

  static constexpr auto fields() {
    using P = MicrographMask;
    return std::tuple(field(&P::micrograph, "micrograph", "Image").file(), field(&P::name, "name", "Name of the area"),
                      field(&P::mask, "mask", "Mask file").file(),
                      field(&P::masked_fraction, "masked_fraction", "Masked part of the image"),
                      field(&P::carbon_fraction, "carbon_fraction", "Part taken for carbon"),
                      field(&P::crystal_fraction, "crystal_fraction", "Part taken for ice crystals"),
                      field(&P::aggregate_fraction, "aggregate_fraction", "Part taken for aggregates"),
                      field(&P::picture, "picture", "Image with the mask drawn over it").file());
  }
};
template <>
struct KindTraits<MicrographMask> {
  static constexpr KindFacts facts{.one = "mask", .names = {"micrograph", "mask"}};
};

/// How the specimen moved during a movie.
struct Motion {
  static constexpr std::string_view kind = "Motion";
  std::string movie, micrograph, micrograph_dw;
  int frames = 0;
  Angstrom pixel_size = 1_A;                   ///< of the movie
  std::vector<std::vector<double>> shifts_px;  ///< [frame][x, y]; first frame zero; moves the frame onto the reference
  double shift_sigma_px = 0;                   ///< standard error of one shift component
  Angstrom total_path{}, net_drift{}, max_step{};  ///< of the smoothed path
  Angstrom local_amplitude{};                      ///< RMS of the local part of the field, 0 when global only
  std::string motion_field, local_model, spectra;  ///< files; empty: none
  std::string star, plot;                          ///< RELION motion STAR, picture
  Dose dose{};                                     ///< total
  int defects = 0;                                 ///< hot and dead pixels replaced
  double fixed_pattern = 0;                        ///< RMS of a pattern the gain left, over the noise of one frame
  // EER only.
  int raw_frames = 0;         ///< in the movie
  int broken_raw_frames = 0;  ///< of them left out because their codes do not fill the sensor
  double broken_raw_percent = 0;
  double eer_frames_per_fraction = 0;  ///< raw frames in a frame, mean
  Dose eer_dose_per_fraction{};        ///< exposure of a frame, mean; zero: unknown

  static constexpr auto fields() {
    using P = Motion;
    return std::tuple(
        field(&P::movie, "movie", "Movie file").file(), field(&P::micrograph, "micrograph", "Sum").file(),
        field(&P::micrograph_dw, "micrograph_dw", "Dose-weighted sum").file(),
        field(&P::frames, "frames", "Frames used"),
        field(&P::pixel_size, "pixel_size", "Pixel of the movie").range(0.05_A, 100_A),
        field(&P::shifts_px, "shifts_px", "Shift of each frame onto the reference, x and y"),
        field(&P::shift_sigma_px, "shift_sigma_px", "Standard error of a shift"),
        field(&P::total_path, "total_path", "Length of the smoothed path"),
        field(&P::net_drift, "net_drift", "Distance from first to last frame"),
        field(&P::max_step, "max_step", "Largest step between frames"),
        field(&P::local_amplitude, "local_amplitude", "RMS of local motion"),
        field(&P::motion_field, "motion_field", "File with the fitted displacement on a grid").file(),
        field(&P::local_model, "local_model", "File with RELION's third-order model").file(),
        field(&P::spectra, "spectra", "File with power spectra of frame groups").file(),
        field(&P::star, "star", "RELION motion STAR").file(), field(&P::plot, "plot", "Picture of the track").file(),
        field(&P::dose, "dose", "Exposure of the frames used"),
        field(&P::defects, "defects", "Hot and dead pixels replaced"),
        field(&P::fixed_pattern, "fixed_pattern",
              "RMS of a fixed pattern that the gain left, over the noise of one frame"),
        field(&P::raw_frames, "raw_frames", "EER: raw frames in the movie"),
        field(&P::broken_raw_frames, "broken_raw_frames", "EER: raw frames left out because they are damaged"),
        field(&P::broken_raw_percent, "broken_raw_percent", "EER: their share in per cent"),
        field(&P::eer_frames_per_fraction, "eer_frames_per_fraction", "EER: raw frames in one frame"),
        field(&P::eer_dose_per_fraction, "eer_dose_per_fraction", "EER: exposure of one frame; 0 if unknown"));
  }
};
template <>
struct KindTraits<Motion> {
  static constexpr KindFacts facts{
      .one = "motion", .names = {"movie"}, .star_label = "rlnMicrographShiftX", .star_without = {"rlnImageName"}};
};

/// A CTF estimate and how far to trust it.
struct CtfFit {
  static constexpr std::string_view kind = "CtfFit";
  std::string micrograph;  ///< image the values belong to
  std::string name;
  Angstrom pixel_size = 1_A;
  Optics optics;
  Angstrom defocus_u{}, defocus_v{};
  Degrees astigmatism_angle{}, phase_shift{};
  Angstrom fit_resolution{};
  double score = 0;
  Angstrom sigma_defocus{};
  Angstrom sigma_astigmatism{};  ///< of each of its components
  Degrees sigma_phase{};
  double iceness = 0;
  Angstrom2 b_factor{};
  Degrees tilt{};  ///< of the specimen, from the defocus of regions; ≥ 0
  Degrees tilt_axis{},
      sigma_tilt{};  ///< direction of the axis from +x, defocus grows to its left; standard error, 0: not measured
  std::vector<double> bend;  ///< what a bent specimen adds to the plane: x², xy and y² terms in 1/Å, x and y from the
                             ///< middle; empty: flat
  Angstrom thickness{}, sigma_thickness{};  ///< of the ice, from nodes of the rings; 0: no node seen
  Angstrom
      agreement{};  ///< of a consensus: its estimates' phases agree within 90 degrees to here; 0: one estimate alone
  Angstrom difference{};    ///< of a consensus: mean defocus of its first minus that of its second estimate
  double difference_z = 0;  ///< the same over their error bars
  std::optional<Angstrom> asked_defocus;  ///< of the microscope, underfocus positive; empty: unknown
  std::optional<Degrees> stage_tilt;      ///< as the microscope tells
  CtfQuality quality;
  std::string method, power_spectrum, star;  ///< estimator; picture of measured and model; STAR row
  std::string profile;                       ///< JSON file with radial profile, model and correlation

  [[nodiscard]] Ctf ctf() const { return {defocus_u, defocus_v, astigmatism_angle, phase_shift, Angstrom2(0)}; }
  /// What tilt and bend add to the defocus at a place given in Å from the middle of the image; 0 where they are not
  /// significant.
  [[nodiscard]] Angstrom defocus_offset(double x_A, double y_A) const;

  static constexpr auto fields() {
    using P = CtfFit;
    return std::tuple(
        field(&P::micrograph, "micrograph", "Image").file(), field(&P::name, "name", "Name of the area"),
        field(&P::pixel_size, "pixel_size", "Pixel of the image").range(0.05_A, 100_A),
        field(&P::optics, "optics", "Voltage, Cs, amplitude contrast"),
        field(&P::defocus_u, "defocus_u", "Larger defocus"), field(&P::defocus_v, "defocus_v", "Smaller defocus"),
        field(&P::astigmatism_angle, "astigmatism_angle", "+x to the axis of U"),
        field(&P::phase_shift, "phase_shift", "Phase plate"),
        field(&P::fit_resolution, "fit_resolution", "Finest resolution where rings and model agree"),
        field(&P::score, "score", "Agreement of rings and model, 0 to 1"),
        field(&P::sigma_defocus, "sigma_defocus", "Standard error of the mean defocus").star("frazilCtfSigmaDefocus"),
        field(&P::sigma_astigmatism, "sigma_astigmatism", "Standard error of each component of the astigmatism")
            .star("frazilCtfSigmaAstigmatism"),
        field(&P::sigma_phase, "sigma_phase", "Standard error of the phase shift, 0 when it is not fitted")
            .star("frazilCtfSigmaPhaseShift"),
        field(&P::iceness, "iceness", "Ice ring over its background; null: beyond Nyquist")
            .nullable()
            .star("frazilCtfIceness"),
        field(&P::b_factor, "b_factor", "Decay of the rings").star("frazilCtfRingDecay"),
        field(&P::tilt, "tilt", "Specimen tilt").star("frazilCtfTilt"),
        field(&P::tilt_axis, "tilt_axis", "Direction of the tilt axis from +x; defocus grows to its left")
            .star("frazilCtfTiltAxis"),
        field(&P::sigma_tilt, "sigma_tilt", "Standard error of the tilt; 0: not measured").star("frazilCtfSigmaTilt"),
        field(&P::bend, "bend", "Curvature of the specimen: defocus per x^2, xy and y^2 in 1/A; empty: flat"),
        field(&P::thickness, "thickness", "Ice thickness from nodes of the rings; 0: no node seen")
            .star("frazilCtfThickness"),
        field(&P::sigma_thickness, "sigma_thickness", "Its standard error").star("frazilCtfSigmaThickness"),
        field(&P::agreement, "agreement", "Estimates agree within 90 degrees to this resolution; 0: one estimate")
            .star("frazilCtfAgreement"),
        field(&P::difference, "difference", "Mean defocus of the first minus that of the second estimate")
            .star("frazilCtfDifference"),
        field(&P::difference_z, "difference_z", "The same over their error bars"),
        field(&P::asked_defocus, "asked_defocus", "Defocus asked of the microscope"),
        field(&P::stage_tilt, "stage_tilt", "Tilt that the microscope tells"),
        field(&P::quality, "quality", "Criteria of the spectrum and the fit"), field(&P::method, "method", "Estimator"),
        field(&P::power_spectrum, "power_spectrum", "Picture").file(), field(&P::star, "star", "STAR row").file(),
        field(&P::profile, "profile", "Radial profile").file());
  }
};
template <>
struct KindTraits<CtfFit> {
  static constexpr KindFacts facts{.one = "CTF fit",
                                   .names = {"micrograph"},
                                   .settable = {"pixel_size"},
                                   .star_label = "rlnDefocusU",
                                   .star_without = {"rlnImageName"}};
};

/// Power spectra of the frame groups of one movie, averaged: what estimate-ctf reads instead of the sum.
struct Spectra {
  static constexpr std::string_view kind = "Spectra";
  std::string movie, micrograph, name;
  std::string
      path;  ///< amplitude spectra as MRC stack: the whole image first, then its parts; zero frequency in the middle
  Angstrom pixel_size = 1_A;     ///< Nyquist of the spectra is 1 / (2 pixel_size)
  int groups = 0;                ///< frame groups averaged
  double relative_variance = 0;  ///< of one pixel of the whole's power
  std::vector<double> x_A, y_A;  ///< centres of the parts from the middle of the image
  std::vector<int> tiles;        ///< tiles behind each part

  static constexpr auto fields() {
    using P = Spectra;
    return std::tuple(
        field(&P::movie, "movie", "Movie file").file(), field(&P::micrograph, "micrograph", "Sum").file(),
        field(&P::name, "name", "Name of the area"),
        field(&P::path, "path", "Amplitude spectra: whole image, then its parts").file(),
        field(&P::pixel_size, "pixel_size", "Pixel that the spectra's Nyquist frequency means").range(0.05_A, 100_A),
        field(&P::groups, "groups", "Frame groups averaged"),
        field(&P::relative_variance, "relative_variance", "Variance over squared mean of one pixel"),
        field(&P::x_A, "x_A", "Centres of the parts, x"), field(&P::y_A, "y_A", "Centres of the parts, y"),
        field(&P::tiles, "tiles", "Tiles behind each part"));
  }
};
template <>
struct KindTraits<Spectra> {
  static constexpr KindFacts facts{.one = "spectra", .names = {"movie", "micrograph", "path"}};
};

/// Verdict on the estimates of one micrograph.
struct CtfConsensus {
  static constexpr std::string_view kind = "CtfConsensus";
  std::string micrograph, name;
  bool accepted = true;
  std::string rule, reason;
  double value = 0, limit = 0;
  Angstrom defocus_u{}, defocus_v{};
  Degrees astigmatism_angle{}, phase_shift{};
  Angstrom sigma_defocus{}, sigma_astigmatism{};
  Angstrom agreement{}, difference{};
  Angstrom agreement_alone{};  ///< before the acquisition's prior moved the estimates; the same where none was given
  double difference_z = 0;
  std::vector<std::string> methods;  ///< estimators, in the order of their inputs
  std::vector<int> used;             ///< 1: joined, 0: disagrees with the others
  std::string star;                  ///< fused row and the sources

  static constexpr auto fields() {
    using P = CtfConsensus;
    return std::tuple(
        field(&P::micrograph, "micrograph", "Image").file(), field(&P::name, "name", "Name of the area"),
        field(&P::accepted, "accepted", "The estimates agree"), field(&P::rule, "rule", "Criterion"),
        field(&P::reason, "reason", "Why not"), field(&P::value, "value", "Measured"),
        field(&P::limit, "limit", "Limit"), field(&P::defocus_u, "defocus_u", "Larger defocus"),
        field(&P::defocus_v, "defocus_v", "Smaller defocus"),
        field(&P::astigmatism_angle, "astigmatism_angle", "+x to the axis of U"),
        field(&P::phase_shift, "phase_shift", "Phase plate"),
        field(&P::sigma_defocus, "sigma_defocus", "Standard error of the mean defocus"),
        field(&P::sigma_astigmatism, "sigma_astigmatism", "Standard error of each component of the astigmatism"),
        field(&P::agreement, "agreement", "Phases agree within 90 degrees to this resolution in every direction"),
        field(&P::agreement_alone, "agreement_alone", "The same without the acquisition's prior"),
        field(&P::difference, "difference", "Mean defocus of the first minus that of the second estimate"),
        field(&P::difference_z, "difference_z", "The same over their error bars"),
        field(&P::methods, "methods", "Estimators"), field(&P::used, "used", "Joined (1) or left out (0)"),
        field(&P::star, "star", "STAR file").file());
  }
};
template <>
struct KindTraits<CtfConsensus> {
  static constexpr KindFacts facts{.one = "CTF consensus", .names = {"micrograph"}};
};

/// What the CTF fits of an acquisition say together: whether voltage, pixel size and Cs can be right, and how the
/// microscope drifts. Its lists hold the last `window` values, so that a version of twenty thousand fits is no larger
/// than one of a hundred.
struct CtfTrend {
  static constexpr std::string_view kind = "CtfTrend";
  static constexpr std::size_t window = 100;
  int count = 0;                                         ///< fits so far
  int left_out = 0;                                      ///< others, whose defocus or optics are not numbers
  std::vector<double> cs_mm, cs_sigma_mm;                ///< of each fit that can tell
  std::vector<double> astigmatism_c_A, astigmatism_s_A;  ///< (U − V) cos 2α, (U − V) sin 2α of each fit
  std::vector<double> astigmatism_sigma_A;               ///< standard error of each of them
  std::vector<double> ice_A, ice_sigma_A;                ///< places of ice rings
  std::vector<double> gold_A, gold_sigma_A;              ///< places of gold rings
  std::vector<double> phase_deg, phase_sigma_deg;        ///< constant phase seen minus given
  std::vector<double> phase_over_cs;                     ///< how much better that explains the rings than another Cs
  std::vector<double> asked_A;                           ///< defocus asked of the microscope, of fits that know it …
  std::vector<double> found_A, found_sigma_A;            ///< … and found, with the spherical aberration given
  std::vector<double> found_per_cs_A;                    ///< … and its change with a millimetre of that
  std::vector<double> tilt_x_deg, tilt_y_deg;            ///< along and across +x: tilt × (cos, sin) of its axis
  std::vector<double> tilt_sigma_deg;                    ///< standard error of each of them
  std::vector<double> stage_tilt_deg;                    ///< as the microscope tells, of fits that know it
  std::vector<double> disagreement;       ///< |difference| of the estimates over their error bars, each consensus
  Millimetre cs{};                        ///< spherical aberration given
  Kilovolt voltage{};                     ///< given
  Angstrom pixel_size{};                  ///< given
  Millimetre cs_deviation{}, sigma_cs{};  ///< weighted mean and its error
  Millimetre cs_spread{};                 ///< scatter that the fits' errors do not explain
  Angstrom astigmatism{}, astigmatism_spread{};  ///< length of the mean vector; scatter of one component that the fits'
                                                 ///< errors do not explain
  Angstrom sigma_astigmatism{};                  ///< standard error of each component of that mean
  Degrees astigmatism_angle{};
  double asked_scale = 0, sigma_asked_scale = 0;  ///< found over asked defocus, from their changes; 0: not measured
  Angstrom asked_offset{}, sigma_asked_offset{};  ///< found minus asked defocus, mean; error 0: not measured
  Degrees tilt{}, tilt_axis{}, sigma_tilt{};      ///< mean of the last fits; error 0: not measured
  std::vector<std::string> explanations;          ///< of what the rings show, the most probable first …
  std::vector<double> probabilities;              ///< … and how probable
  double visible_pixel_error = 1;  ///< smallest relative error of the pixel size that these fits would show
  Degrees phase{}, sigma_phase{};  ///< constant phase seen minus given, mean; error 0: not measured
  std::vector<Finding> findings;   ///< what is wrong; empty: nothing

  static constexpr auto fields() {
    using P = CtfTrend;
    return std::tuple(
        field(&P::count, "count", "Fits so far"), field(&P::left_out, "left_out", "Fits left out: not finite"),
        field(&P::cs_mm, "cs_seen_mm", "Spherical aberration seen minus given, the last fits"),
        field(&P::cs_sigma_mm, "cs_seen_sigma_mm", "Its standard error"),
        field(&P::astigmatism_c_A, "astigmatism_c_A", "(U - V) cos 2a of the last fits"),
        field(&P::astigmatism_s_A, "astigmatism_s_A", "(U - V) sin 2a of the last fits"),
        field(&P::astigmatism_sigma_A, "astigmatism_sigma_A", "Standard error of each of them"),
        field(&P::ice_A, "ice_A", "Places of the last ice rings"),
        field(&P::ice_sigma_A, "ice_sigma_A", "Their standard errors"),
        field(&P::gold_A, "gold_A", "Places of the last gold rings"),
        field(&P::gold_sigma_A, "gold_sigma_A", "Their standard errors"),
        field(&P::phase_deg, "phase_seen_deg", "Constant phase seen minus given, the last fits"),
        field(&P::phase_sigma_deg, "phase_seen_sigma_deg", "Its standard error"),
        field(&P::phase_over_cs, "phase_over_cs", "How much better that explains the rings than another Cs: chi^2"),
        field(&P::asked_A, "asked_A", "Defocus asked of the microscope, the last fits that know it"),
        field(&P::found_A, "found_A", "Mean defocus of these fits, with the spherical aberration given"),
        field(&P::found_sigma_A, "found_sigma_A", "Its standard error"),
        field(&P::found_per_cs_A, "found_per_cs_A", "Its change with a millimetre of spherical aberration"),
        field(&P::tilt_x_deg, "tilt_x_deg", "Tilt times the cosine of its axis, the last fits"),
        field(&P::tilt_y_deg, "tilt_y_deg", "Tilt times the sine of its axis, the last fits"),
        field(&P::tilt_sigma_deg, "tilt_sigma_deg", "Standard error of each of them"),
        field(&P::stage_tilt_deg, "stage_tilt_deg", "Tilt of the stage, the last fits that know it"),
        field(&P::disagreement, "disagreement",
              "Difference of the estimates over their error bars, the last consensuses"),
        field(&P::cs, "cs", "Spherical aberration given"), field(&P::voltage, "voltage", "Voltage given"),
        field(&P::pixel_size, "pixel_size", "Pixel size given"),
        field(&P::cs_deviation, "cs_deviation", "Spherical aberration seen minus given, mean"),
        field(&P::sigma_cs, "sigma_cs", "Its standard error"),
        field(&P::cs_spread, "cs_spread", "Scatter that the fits' errors do not explain"),
        field(&P::astigmatism, "astigmatism", "Mean astigmatism"),
        field(&P::astigmatism_spread, "astigmatism_spread", "Scatter of one component, errors of the fits removed"),
        field(&P::sigma_astigmatism, "sigma_astigmatism", "Standard error of each component of the mean"),
        field(&P::astigmatism_angle, "astigmatism_angle", "+x to the axis of U, mean"),
        field(&P::asked_scale, "asked_scale", "Found over asked defocus, from their changes; 0: not measured"),
        field(&P::sigma_asked_scale, "sigma_asked_scale", "Its standard error"),
        field(&P::asked_offset, "asked_offset", "Found minus asked defocus"),
        field(&P::sigma_asked_offset, "sigma_asked_offset", "Its standard error; 0: not measured"),
        field(&P::tilt, "tilt", "Tilt of the last fits together"),
        field(&P::tilt_axis, "tilt_axis", "Direction of its axis from +x"),
        field(&P::sigma_tilt, "sigma_tilt", "Standard error; 0: not measured"),
        field(&P::explanations, "explanations", "What explains the rings, the most probable first"),
        field(&P::probabilities, "probabilities", "How probable that is"),
        field(&P::visible_pixel_error, "visible_pixel_error",
              "Smallest relative error of the pixel size that these fits would show; 1: none"),
        field(&P::phase, "phase", "Constant phase seen minus given, mean"),
        field(&P::sigma_phase, "sigma_phase", "Standard error; 0: not measured"),
        field(&P::findings, "findings", "What is wrong with the acquisition"));
  }
};
template <>
struct KindTraits<CtfTrend> {
  static constexpr KindFacts facts{.one = "CTF trend"};
};

/// How well a CTF that was given describes an image.
struct CtfAssessment {
  static constexpr std::string_view kind = "CtfAssessment";
  std::string micrograph, name;
  Angstrom defocus_u{}, defocus_v{};
  Degrees astigmatism_angle{}, phase_shift{};
  double score = 0;
  Angstrom fit_resolution{};
  bool accepted = false;
  std::string reason;
  double z = 0, z_limit = 0;
  Angstrom agreement{}, best_defocus{};

  static constexpr auto fields() {
    using P = CtfAssessment;
    return std::tuple(
        field(&P::micrograph, "micrograph", "Image").file(), field(&P::name, "name", "Name of the area"),
        field(&P::defocus_u, "defocus_u", "Given larger defocus"),
        field(&P::defocus_v, "defocus_v", "Given smaller defocus"),
        field(&P::astigmatism_angle, "astigmatism_angle", "Given: +x to the axis of U"),
        field(&P::phase_shift, "phase_shift", "Given phase shift"),
        field(&P::score, "score", "Agreement of rings and given CTF, 0 to 1"),
        field(&P::fit_resolution, "fit_resolution", "Finest resolution where they agree"),
        field(&P::accepted, "accepted", "The given CTF describes the rings"),
        field(&P::reason, "reason", "Why, in one sentence"),
        field(&P::z, "z", "Ring strength above that at wrong defoci, standard deviations"),
        field(&P::z_limit, "z_limit", "What z must exceed"),
        field(&P::agreement, "agreement", "Finest resolution where given and best CTF agree within 90 degrees"),
        field(&P::best_defocus, "best_defocus", "Mean defocus that fits best"));
  }
};
template <>
struct KindTraits<CtfAssessment> {
  static constexpr KindFacts facts{.one = "CTF assessment", .names = {"micrograph"}};
};

/// Particle positions of one micrograph.
struct Coordinates {
  static constexpr std::string_view kind = "Coordinates";
  std::string micrograph, name;
  std::string coordinates;  ///< STAR file with rlnCoordinateX/Y
  int count = 0;
  Angstrom diameter{};
  Angstrom pixel_size{};  ///< of the image the positions count in; 0: of the one they are used with
  double threshold = 0;   ///< lowest score taken
  std::string picture;

  static constexpr auto fields() {
    using P = Coordinates;
    return std::tuple(field(&P::micrograph, "micrograph", "Image").file(), field(&P::name, "name", "Name of the area"),
                      field(&P::coordinates, "coordinates", "STAR file").file(),
                      field(&P::count, "count", "Number of positions"),
                      field(&P::diameter, "diameter", "Particle diameter").range(0_A, 10000_A),
                      field(&P::pixel_size, "pixel_size",
                            "Pixel of the image the positions count in; 0: of the one they are used with")
                          .range(0_A, 100_A),
                      field(&P::threshold, "threshold", "Lowest score taken, in standard deviations of the noise"),
                      field(&P::picture, "picture", "Positions drawn on the image").file());
  }
};
template <>
struct KindTraits<Coordinates> {
  static constexpr KindFacts facts{.one = "positions",
                                   .names = {"micrograph", "coordinates"},
                                   .settable = {"diameter", "pixel_size"},
                                   .star_label = "rlnCoordinateX"};
};

/// All particles cut from one micrograph: one STAR file and one stack.
struct Particles {
  static constexpr std::string_view kind = "Particles";
  std::string star, stack;
  std::string micrograph, name;
  int count = 0;
  int box = 0;                ///< pixels
  Angstrom pixel_size = 1_A;  ///< of the stack
  Angstrom diameter{};
  Optics optics;
  bool phase_flipped = false;                 ///< the CTF's sign is already applied
  std::vector<std::string> left_out_reasons;  ///< why particles of the input are not here …
  std::vector<int> left_out_counts;           ///< … and how many for each reason

  static constexpr auto fields() {
    using P = Particles;
    return std::tuple(field(&P::star, "star", "STAR file of the particles").file(),
                      field(&P::stack, "stack", "Image stack").file(),
                      field(&P::micrograph, "micrograph", "Image").file(), field(&P::name, "name", "Name of the area"),
                      field(&P::count, "count", "Number of particles"), field(&P::box, "box", "Side in pixels"),
                      field(&P::pixel_size, "pixel_size", "Pixel of the stack").range(0.05_A, 100_A),
                      field(&P::diameter, "diameter", "Particle diameter").range(0_A, 10000_A),
                      field(&P::optics, "optics", "Voltage, Cs, amplitude contrast"),
                      field(&P::phase_flipped, "phase_flipped", "Phases are flipped by the CTF"),
                      field(&P::left_out_reasons, "left_out_reasons", "Why particles of the input are not here"),
                      field(&P::left_out_counts, "left_out_counts", "How many for each reason"));
  }
};
template <>
struct KindTraits<Particles> {
  static constexpr KindFacts facts{.one = "particles",
                                   .names = {"micrograph", "star"},
                                   .settable = {"pixel_size", "diameter"},
                                   .star_label = "rlnImageName"};
};

/// One version of a growing 2D classification.
struct Classes {
  static constexpr std::string_view kind = "Classes";
  std::string star, averages, particles;  ///< classes.star, averages.mrcs, particles.star
  std::string state;                      ///< what the next version starts from
  int version = 0, classes = 0, particle_count = 0, box = 0;
  int background = 0;  ///< so many classes, the first ones, gather images that no average explains
  Angstrom pixel_size = 1_A;
  Angstrom diameter{};
  std::vector<int> counts;                    ///< particles in each class
  std::vector<Angstrom> resolution;           ///< of each class
  std::vector<int> selected;                  ///< 1: kept, 0: set aside, per class; empty before selection
  std::vector<std::string> reasons;           ///< why not kept, per class; empty before selection
  std::vector<double> scores;                 ///< 0 to 1, per class; empty before selection
  bool phase_flipped = false;                 ///< of the particles
  std::vector<std::string> left_out_reasons;  ///< why particles of the input are in no class …
  std::vector<int> left_out_counts;           ///< … and how many for each reason

  static constexpr auto fields() {
    using P = Classes;
    return std::tuple(
        field(&P::star, "star", "classes.star").file(), field(&P::averages, "averages", "averages.mrcs").file(),
        field(&P::particles, "particles", "particles.star with class, angle and shift").file(),
        field(&P::state, "state", "State of the classification").file(),
        field(&P::version, "version", "Counts up as data come in"), field(&P::classes, "classes", "Number of classes"),
        field(&P::background, "background", "So many classes, the first ones, gather images that no average explains"),
        field(&P::particle_count, "particle_count", "Particles classified"), field(&P::box, "box", "Side in pixels"),
        field(&P::pixel_size, "pixel_size", "Pixel of the averages").range(0.05_A, 100_A),
        field(&P::diameter, "diameter", "Particle diameter").range(0_A, 10000_A),
        field(&P::counts, "counts", "Particles in each class"),
        field(&P::resolution, "resolution", "Resolution of each class"),
        field(&P::selected, "selected", "Kept (1) or set aside (0)"),
        field(&P::reasons, "reasons", "Why a class is set aside"),
        field(&P::scores, "scores", "How likely a class shows particles"),
        field(&P::phase_flipped, "phase_flipped", "Phases of the particles are flipped by the CTF"),
        field(&P::left_out_reasons, "left_out_reasons", "Why particles of the input are in no class"),
        field(&P::left_out_counts, "left_out_counts", "How many for each reason"));
  }
};
template <>
struct KindTraits<Classes> {
  static constexpr KindFacts facts{
      .one = "classes", .names = {"star"}, .settable = {"pixel_size", "diameter"}, .star_label = "rlnReferenceImage"};
};

/// A density map.
struct VolumeMap {
  static constexpr std::string_view kind = "Volume";
  std::string volume;
  std::string half1, half2;  ///< half maps, empty: none
  int box = 0;
  Angstrom pixel_size = 1_A;
  double score = 0;
  Angstrom resolution{};  ///< where the halves (or odd/even batches) agree
  int particle_count = 0;
  std::string symmetry = "c1";
  std::string star;                           ///< particles with poses
  std::string fsc;                            ///< JSON file with the curve
  std::vector<std::string> left_out_reasons;  ///< why particles of the input are not in the map …
  std::vector<int> left_out_counts;           ///< … and how many for each reason

  static constexpr auto fields() {
    using P = VolumeMap;
    return std::tuple(field(&P::volume, "volume", "MRC map").file(), field(&P::half1, "half1", "Half map 1").file(),
                      field(&P::half2, "half2", "Half map 2").file(), field(&P::box, "box", "Side in voxels"),
                      field(&P::pixel_size, "pixel_size", "Voxel").range(0.05_A, 100_A),
                      field(&P::score, "score", "How well the particles agree with the map"),
                      field(&P::resolution, "resolution", "Agreement of the halves"),
                      field(&P::particle_count, "particle_count", "Particles used"),
                      field(&P::symmetry, "symmetry", "Point group"),
                      field(&P::star, "star", "Particles with poses").file(), field(&P::fsc, "fsc", "FSC curve").file(),
                      field(&P::left_out_reasons, "left_out_reasons", "Why particles of the input are not in the map"),
                      field(&P::left_out_counts, "left_out_counts", "How many for each reason"));
  }
};
template <>
struct KindTraits<VolumeMap> {
  static constexpr KindFacts facts{
      .one = "volume", .names = {"volume"}, .settable = {"pixel_size", "symmetry"}, .is_image = true};
};

// Compiled once, in records.cpp: these are the templates that cost most time in every file that names a record.
extern template Json record_to_json<Movie>(const Movie&);
extern template Movie record_from_json<Movie>(const Json&);
extern template Json record_to_json<Micrograph>(const Micrograph&);
extern template Micrograph record_from_json<Micrograph>(const Json&);
extern template Json record_to_json<Motion>(const Motion&);
extern template Motion record_from_json<Motion>(const Json&);
extern template Json record_to_json<CtfFit>(const CtfFit&);
extern template CtfFit record_from_json<CtfFit>(const Json&);
extern template Json record_to_json<CtfAssessment>(const CtfAssessment&);
extern template CtfAssessment record_from_json<CtfAssessment>(const Json&);
extern template Json record_to_json<CtfConsensus>(const CtfConsensus&);
extern template CtfConsensus record_from_json<CtfConsensus>(const Json&);
extern template Json record_to_json<CtfTrend>(const CtfTrend&);
extern template CtfTrend record_from_json<CtfTrend>(const Json&);
extern template Json record_to_json<Spectra>(const Spectra&);
extern template Spectra record_from_json<Spectra>(const Json&);
extern template Json record_to_json<Coordinates>(const Coordinates&);
extern template Coordinates record_from_json<Coordinates>(const Json&);
extern template Json record_to_json<Particles>(const Particles&);
extern template Particles record_from_json<Particles>(const Json&);
extern template Json record_to_json<Classes>(const Classes&);
extern template Classes record_from_json<Classes>(const Json&);
extern template Json record_to_json<VolumeMap>(const VolumeMap&);
extern template VolumeMap record_from_json<VolumeMap>(const Json&);

}  // namespace frazil
