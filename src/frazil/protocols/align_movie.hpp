// Movie to micrographs: alignment of frames, plain and dose-weighted sum.
#pragma once

#include "frazil/algo/motion/align.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/image/orientation.hpp"
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

enum class GainUse { automatic, multiply, divide, average };
constexpr auto names_of(GainUse) { return std::array{"automatic", "multiply", "divide", "average"}; }
/// What to do when the movie shows that the gain reference lies the other way round.
enum class GainCorrection { ask, apply };
constexpr auto names_of(GainCorrection) { return std::array{"ask", "apply"}; }
enum class OutputFormat { f32, f16 };
constexpr auto names_of(OutputFormat) { return std::array{"f32", "f16"}; }

struct AlignMovieParams : motion::AlignParams {
  std::string frames;
  double binning = 1;
  bool dose_weighting = true;
  GainOrientation gain_orientation = GainOrientation::identity;
  GainUse gain_use = GainUse::automatic;
  GainCorrection gain_correction = GainCorrection::ask;
  bool halves = false;
  bool spectra = false;
  Dose spectra_dose = 4_e_per_A2;
  OutputFormat output_format = OutputFormat::f32;

  static constexpr auto fields() {
    using P = AlignMovieParams;
    return std::tuple_cat(
        std::tuple(field(&P::frames, "frames", "Frames to use, as first-last counted from 1 (2-15, 3-); empty: all"),
                   field(&P::binning, "binning", "Fourier-crop the sums by this factor").range(1, 8)),
        motion::AlignParams::fields(),
        std::tuple(
            field(&P::dose_weighting, "dose_weighting",
                  "Also write the sum weighted by exposure (needs dose_per_frame)"),
            field(&P::gain_orientation, "gain_orientation", "Brings the gain reference to the orientation of the movie")
                .advanced(),
            field(&P::gain_use, "gain_use",
                  "What raw counts do with the reference: multiply, divide, or average for an image of the evenly lit "
                  "camera; automatic: average for EER unless the file is named .gain, else multiply")
                .advanced(),
            field(&P::gain_correction, "gain_correction",
                  "When a movie shows that the reference fits another way round: ask (use it as told, raise the alarm) "
                  "or apply (use it as it fits)"),
            field(&P::halves, "halves",
                  "Also write the sums of odd (1, 3, …) and even frames, weighted like the best sum")
                .advanced(),
            field(&P::spectra, "spectra", "Also write power spectra of groups of frames, for estimate-ctf").advanced(),
            field(&P::spectra_dose, "spectra_dose",
                  "Exposure of one such group; four frames where the dose of a frame is unknown")
                .range(0.1_e_per_A2, 100_e_per_A2)
                .advanced(),
            field(&P::output_format, "output_format", "Pixels of the micrographs: 32-bit or 16-bit floats")
                .advanced()));
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
                                   .version = 6,
                                   .cites = "10.7554/eLife.06980",
                                   .help =
                                       "Align the frames of a movie, also where motion differs over the field, and sum "
                                       "them, plain and weighted by exposure."};
  using Params = AlignMovieParams;
  using Input = Movie;
  using Output = AlignedMovie;
  Params params;

  [[nodiscard]] static std::vector<flow::Device> devices();
  [[nodiscard]] Output process(const Movie& movie, flow::Context& context) const;
  /// Frames that the movie has not; a gain reference or defects that cannot be read, do not fit or correct nothing.
  [[nodiscard]] flow::Foresight foresee(const Movie& movie, const flow::Context& context) const;
  /// Of the sums.
  [[nodiscard]] double bytes_written(const Movie& movie) const;
  [[nodiscard]] std::vector<flow::Withheld> withholds(const Movie& movie) const;
  [[nodiscard]] int memory_mib(const Movie& movie) const;
};

}  // namespace frazil::protocols
