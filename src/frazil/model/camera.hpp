// Records of the camera: what one movie tells of it, how that changes in time, a gain reference made from movies.
#pragma once

#include <string>
#include <vector>

#include "frazil/model/kind_traits.hpp"
#include "frazil/model/optics.hpp"
#include "frazil/params/finding.hpp"

namespace frazil {

/// What one movie tells of the camera and its gain reference.
struct Detector {
  static constexpr std::string_view kind = "Detector";
  std::string movie, name;
  int nx = 0, ny = 0, frames = 0;
  int raw_frames = 0;              ///< EER: in the file; 0: not EER
  Angstrom pixel_size{};           ///< as given at import
  Kilovolt voltage{};              ///< as given at import
  double counts = 0;               ///< mean of a pixel in one frame, gain applied
  double noise_ratio = 0;          ///< variance of a pixel's counts over their mean: 1 where an electron is one count;
                                   ///< 0: not measured
  Dose dose_per_frame{};           ///< counts over the area of a pixel
  Dose declared_dose_per_frame{};  ///< as given at import; 0: unknown
  int hot = 0, dead = 0;           ///< pixels found too bright or too dark
  std::string defects;             ///< file, "x y width height" a line; empty: none found
  std::string gain;                ///< reference; empty: none given
  std::string orientation;         ///< that the reference needs; empty without a reference
  bool inverted = false;           ///< the reference must be divided by
  int shift_x = 0, shift_y = 0;    ///< pixels by which the reference lies beside the movie's pattern
  double correlation = 0, significance = 0, agreement = 0;
  double residual_std = 0;  ///< pattern left after the gain, relative
  double residual_variance = 0,
         residual_sigma = 0;   ///< its square before clipping at 0, and the standard error of that
  std::string verdict, alarm;  ///< one word; one sentence, empty when nothing is wrong

  static constexpr auto fields() {
    using P = Detector;
    return std::tuple(
        field(&P::movie, "movie", "Movie file").file(), field(&P::name, "name", "Name of the area"),
        field(&P::nx, "nx", "Columns"), field(&P::ny, "ny", "Rows"), field(&P::frames, "frames", "Frames used"),
        field(&P::raw_frames, "raw_frames", "EER: raw frames in the file"),
        field(&P::pixel_size, "pixel_size", "As given at import"), field(&P::voltage, "voltage", "As given at import"),
        field(&P::counts, "counts", "Mean counts of a pixel in one frame, gain applied"),
        field(&P::noise_ratio, "noise_ratio",
              "Variance of a pixel's counts over their mean; 1: an electron is one count"),
        field(&P::dose_per_frame, "dose_per_frame", "Counts over the area of a pixel"),
        field(&P::declared_dose_per_frame, "declared_dose_per_frame", "As given at import"),
        field(&P::hot, "hot", "Pixels found too bright"), field(&P::dead, "dead", "Pixels found too dark"),
        field(&P::defects, "defects", "File with the pixels found").file(),
        field(&P::gain, "gain", "Gain reference").file(),
        field(&P::orientation, "orientation", "Orientation that the reference needs"),
        field(&P::inverted, "inverted", "The reference must be divided by"),
        field(&P::shift_x, "shift_x", "Columns by which the reference is displaced"),
        field(&P::shift_y, "shift_y", "Rows by which the reference is displaced"),
        field(&P::correlation, "correlation", "Of the movie's fixed pattern with the reference"),
        field(&P::significance, "significance", "Correlation over what chance gives"),
        field(&P::agreement, "agreement", "Share of the reference's pattern that the movie shows"),
        field(&P::residual_std, "residual_std", "Pattern left after the gain, relative"),
        field(&P::residual_variance, "residual_variance", "Its square, negative by chance"),
        field(&P::residual_sigma, "residual_sigma", "Standard error of residual_variance"),
        field(&P::verdict, "verdict", "The gain reference in a word"),
        field(&P::alarm, "alarm", "What is wrong, and what to do"));
  }
};
template <>
struct KindTraits<Detector> {
  static constexpr KindFacts facts{.one = "detector", .names = {"movie"}};
};

/// The camera over many movies; each version continues the one before.
struct DetectorTrend {
  static constexpr std::string_view kind = "DetectorTrend";
  int version = 0, movies = 0, batch = 0;       ///< movies: so far; batch: new in this version
  double counts = 0;                            ///< median of the last 50 movies
  double counts_spread = 0;                     ///< of ln counts of one movie, robust, the same movies
  double usual_share = 0;                       ///< of all movies so far that lie at a usual level
  bool is_sure = false;                         ///< enough movies to say which are odd
  std::vector<double> levels;                   ///< counts that are usual here
  std::vector<std::string> odd;                 ///< movies, the last ones, whose counts lie at none of them
  Dose dose_per_frame{};                        ///< electrons after the specimen that `counts` mean; 0: cannot be told
  double noise_ratio = 0;                       ///< median of the new movies
  int dose_outliers = 0;                        ///< of the new movies, more than 5 % off the running median
  double residual_std = 0, residual_sigma = 0;  ///< of the new movies together, and the standard error
  double first_residual_std = 0;                ///< of the first version
  int defects_count = 0;                        ///< pixels bad in at least 3 of the last 8 movies, at any time
  int new_defects = 0;
  std::string orientation;  ///< that most of the new movies ask for
  bool inverted = false;
  double correlation = 0;  ///< mean of the new movies
  std::string verdict;
  std::vector<Finding> findings;
  std::string defects, state;  ///< files: list of pixels, what the next version starts from
  int left_out = 0;            ///< of the new movies: what they tell is not finite

  static constexpr auto fields() {
    using P = DetectorTrend;
    return std::tuple(
        field(&P::version, "version", "Counts up as movies come in"), field(&P::movies, "movies", "Movies so far"),
        field(&P::batch, "batch", "New movies"),
        field(&P::counts, "counts", "Median counts of a pixel in one frame, last 50 movies"),
        field(&P::counts_spread, "counts_spread", "Scatter of their logarithm"),
        field(&P::usual_share, "usual_share", "Share of all movies at a usual level"),
        field(&P::is_sure, "is_sure", "Enough movies to say which are odd"),
        field(&P::levels, "levels", "Counts that are usual here"),
        field(&P::odd, "odd", "Movies, the last ones, whose counts lie at none of them"),
        field(&P::dose_per_frame, "dose_per_frame", "Electrons after the specimen; 0: cannot be told"),
        field(&P::noise_ratio, "noise_ratio", "Variance of a pixel's counts over their mean"),
        field(&P::dose_outliers, "dose_outliers", "New movies more than 5 % off the running median"),
        field(&P::residual_std, "residual_std", "Pattern that the gain leaves, relative, new movies together"),
        field(&P::residual_sigma, "residual_sigma", "Standard error of its square"),
        field(&P::first_residual_std, "first_residual_std", "The same of the first movies"),
        field(&P::defects_count, "defects_count", "Pixels that stay bad"),
        field(&P::new_defects, "new_defects", "Of these, new in this version"),
        field(&P::orientation, "orientation", "That the gain reference needs"),
        field(&P::inverted, "inverted", "The reference must be divided by"),
        field(&P::correlation, "correlation", "Of the movies' fixed pattern with the reference"),
        field(&P::verdict, "verdict", "The gain reference in a word"),
        field(&P::findings, "findings", "What is wrong, and what to do"),
        field(&P::defects, "defects", "File with the pixels that stay bad").file(),
        field(&P::state, "state", "State of the monitor").file(),
        field(&P::left_out, "left_out", "New movies left out: not finite"));
  }
};
template <>
struct KindTraits<DetectorTrend> {
  static constexpr KindFacts facts{.one = "detector trend"};
};

/// A gain reference estimated from movies, and how a given one compares.
struct GainReference {
  static constexpr std::string_view kind = "GainReference";
  std::string gain;  ///< MRC, factors
  int version = 0, movies = 0;
  double electrons = 0;                   ///< counts a pixel that it rests on
  double pattern_std = 0, error_std = 0;  ///< pattern found; expected error of a factor
  int defects_count = 0;
  std::string given;        ///< reference of the movies; empty: none
  std::string orientation;  ///< of `given`, from the file to the movies
  bool inverted = false;
  double correlation = 0, significance = 0, agreement = 0;
  double residual_std = 0;    ///< pattern that `given` leaves in its best state; without one, that of the raw movies
  double residual_sigma = 0;  ///< standard error of its square
  std::string verdict;
  std::vector<Finding> findings;
  std::string sum_a, sum_b;  ///< files: sums of the halves
  int frames_left_out = 0;   ///< of the movies so far: not finite

  static constexpr auto fields() {
    using P = GainReference;
    return std::tuple(
        field(&P::gain, "gain", "Gain reference made, factors").file(),
        field(&P::version, "version", "Counts up as movies come in"), field(&P::movies, "movies", "Movies it rests on"),
        field(&P::electrons, "electrons", "Counts a pixel that it rests on"),
        field(&P::pattern_std, "pattern_std", "Pattern found, relative"),
        field(&P::error_std, "error_std", "Expected error of a factor, relative"),
        field(&P::defects_count, "defects_count", "Pixels set to 0"),
        field(&P::given, "given", "Reference that came with the movies").file(),
        field(&P::orientation, "orientation", "Brings the given reference to the movies"),
        field(&P::inverted, "inverted", "The given reference must be divided by"),
        field(&P::correlation, "correlation", "Of the movies' fixed pattern with the given reference"),
        field(&P::significance, "significance", "Correlation over what chance gives"),
        field(&P::agreement, "agreement", "Share of the given pattern that the movies show"),
        field(&P::residual_std, "residual_std", "Pattern that the given reference leaves, relative"),
        field(&P::residual_sigma, "residual_sigma", "Standard error of its square"),
        field(&P::verdict, "verdict", "The given reference in a word"),
        field(&P::findings, "findings", "What is wrong, and what to do"),
        field(&P::sum_a, "sum_a", "Sum of one half").file(), field(&P::sum_b, "sum_b", "Sum of the other half").file(),
        field(&P::frames_left_out, "frames_left_out", "Frames left out: not finite"));
  }
};
template <>
struct KindTraits<GainReference> {
  static constexpr KindFacts facts{.one = "gain reference", .names = {"gain"}};
};

}  // namespace frazil
