// Movie to micrographs: alignment of frames, plain and dose-weighted sum.
#pragma once

#include "frazil/algo/motion/align.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

enum class GainTurn { identity, rotate_90, rotate_180, rotate_270, flip_x, flip_y, transpose, transverse };
enum class GainUse { automatic, multiply, divide, average };
/// What to do when the movie shows that the gain reference lies the other way round.
enum class GainCorrection { ask, apply };
enum class OutputFormat { f32, f16 };

struct AlignMovieParams {
  std::string frames;
  double binning = 1;
  motion::MotionModel model = motion::MotionModel::smooth;
  bool dose_weighting = true;
  GainTurn gain_orientation = GainTurn::identity;
  GainUse gain_use = GainUse::automatic;
  GainCorrection gain_correction = GainCorrection::ask;
  bool find_defects = true;
  bool halves = false;
  bool spectra = false;
  Dose spectra_dose = 4_e_per_A2;
  OutputFormat output_format = OutputFormat::f32;
  Angstrom min_resolution = 100_A;
  Angstrom max_resolution = 8_A;

  static constexpr auto fields() {
    using P = AlignMovieParams;
    return std::tuple(
        field(&P::frames, "frames", "Frames to use, as first-last counted from 1 (2-15, 3-); empty: all"),
        field(&P::binning, "binning", "Fourier-crop the sums by this factor").range(1, 8),
        field(&P::model, "model",
              "Motion over the field: global (one track), smooth (where held-out data say it is better), flow (may "
              "break)"),
        field(&P::dose_weighting, "dose_weighting", "Also write the sum weighted by exposure (needs dose_per_frame)"),
        field(&P::gain_orientation, "gain_orientation", "Brings the gain reference to the orientation of the movie")
            .advanced(),
        field(&P::gain_use, "gain_use",
              "What raw counts do with the reference: multiply, divide, or average for an image of the evenly lit "
              "camera; automatic: average for EER unless the file is named .gain, else multiply")
            .advanced(),
        field(&P::gain_correction, "gain_correction",
              "When a movie shows that the reference fits another way round: ask (use it as told, raise the alarm) or "
              "apply (use it as it fits)"),
        field(&P::find_defects, "find_defects", "Look for hot and dead pixels in the unaligned sum").advanced(),
        field(&P::halves, "halves", "Also write the sums of odd (1, 3, …) and even frames, weighted like the best sum")
            .advanced(),
        field(&P::spectra, "spectra", "Also write power spectra of groups of frames, for estimate-ctf").advanced(),
        field(&P::spectra_dose, "spectra_dose",
              "Exposure of one such group; four frames where the dose of a frame is unknown")
            .range(0.1_e_per_A2, 100_e_per_A2)
            .advanced(),
        field(&P::output_format, "output_format", "Pixels of the micrographs: 32-bit or 16-bit floats").advanced(),
        field(&P::min_resolution, "min_resolution", "Coarsest structure used for alignment")
            .range(30_A, 1000_A)
            .advanced(),
        field(&P::max_resolution, "max_resolution", "Finest structure used for alignment").range(2_A, 20_A).advanced());
  }
};

/// First and last frame, counted from 1, both included.
struct FrameRange {
  int first = 1, last = 1;
};
/// "", "2-15", "3-" or "7". @throws Error(bad_input) when the text is no range or asks for frames the movie has not
[[nodiscard]] FrameRange frame_range(const std::string& text, int frames);

struct AlignedMovie {
  Motion motion;  ///< first: its keys are those of the `--json` line
  Micrograph micrograph;
  std::optional<Micrograph> weighted;
  Detector detector;
  std::optional<Spectra> spectra;

  static constexpr auto ports() {
    using P = AlignedMovie;
    return std::tuple(flow::port(&P::motion, "motion"), flow::port(&P::micrograph, "micrographs"),
                      flow::port(&P::weighted, "micrographs_dw"), flow::port(&P::detector, "detector"),
                      flow::port(&P::spectra, "spectra"));
  }
};

struct AlignMovie {
  static constexpr flow::Info info{.name = "align-movie",
                                   .title = "Movie alignment",
                                   .version = 5,
                                   .cites = "10.7554/eLife.06980",
                                   .help =
                                       "Align the frames of a movie, also where motion differs over the field, and sum "
                                       "them, plain and weighted by exposure."};
  using Params = AlignMovieParams;
  using Input = Movie;
  using Output = AlignedMovie;
  Params params;

  [[nodiscard]] Output process(const Movie& movie, flow::Context& context) const;
  [[nodiscard]] int memory_mib(const Movie& movie) const;
};

}  // namespace frazil::protocols

namespace frazil {
template <>
struct EnumNames<protocols::GainTurn> {
  static constexpr std::array names{"identity", "rotate-90", "rotate-180", "rotate-270",
                                    "flip-x",   "flip-y",    "transpose",  "transverse"};
};
template <>
struct EnumNames<protocols::GainCorrection> {
  static constexpr std::array names{"ask", "apply"};
};
template <>
struct EnumNames<protocols::OutputFormat> {
  static constexpr std::array names{"f32", "f16"};
};
template <>
struct EnumNames<protocols::GainUse> {
  static constexpr std::array names{"automatic", "multiply", "divide", "average"};
};
}  // namespace frazil
