// Does a gain reference belong to a movie, which way round, and does it still remove the camera's pattern?
#pragma once

#include "frazil/image/orientation.hpp"

namespace frazil::gain {

/// How a gain reference agrees with what a movie shows.
struct Check {
  GainOrientation orientation = GainOrientation::identity;  ///< brings the reference to the movie, of the best state
  bool inverted = false;                                    ///< the reference must be divided by, not multiplied with
  double correlation = 0;  ///< of the movie's fixed pattern with 1/gain in the best state, 0 to 1
  double significance =
      0;              ///< correlation over its standard deviation for references that have nothing to do with the movie
  double second = 0;  ///< correlation of the next best state
  double expected = 0;  ///< significance that a reference of this contrast would reach if it were right
  double agreement =
      0;  ///< share of the reference's pattern that the movie shows: 1 for a true reference, less for a stale one
  double agreement_sigma = 0;    ///< standard error of `agreement`
  double gain_std = 0;           ///< relative standard deviation of the reference's fine pattern (5 × 5 means removed)
  int states = 0;                ///< states that the sizes allow: 16, 8 on a sensor that is no square, 0 if none fits
  int shift_x = 0, shift_y = 0;  ///< reference(x + shift) fits better than reference(x), pixels; 0: it does not

  /// One state stands out of what chance gives, and of the other states.
  [[nodiscard]] bool found() const;
  /// The reference fits only when it is displaced by a few pixels.
  [[nodiscard]] bool is_displaced() const { return shift_x != 0 || shift_y != 0; }
  /// No state stands out although a right reference would: it belongs to another camera, or the movie is corrected
  /// already.
  [[nodiscard]] bool unrelated() const;
};

/// Compares the reference with the unaligned sum in each of 8 orientations × {gain, 1/gain} that fit the size.
///
/// @param raw_sum     sum of uncorrected frames, nx × ny, in counts
/// @param gain        factors as in the file, of any orientation; pixels of factor 0 are left out
/// @param most_tiles  tiles of 256 × 256 pixels that are looked at; 0: as many as there are
/// Method: Pearson correlation of sum/local mean with (1/gain)/local mean, local over 5 × 5 pixels, values clipped at 4
/// standard deviations, so that hot pixels do not decide. To first order these are the high-passed logarithms; the
/// ratio has no bias where counts are few. The null distribution is measured: the same pair displaced by 24 vectors,
/// which keeps the spectra of both, columns and blur included. One movie of 28 e⁻/px and a pattern of 2 % give r = 0.1
/// and, on a million pixels, 100 standard deviations.
/// A reference that does not fit, or of which only a part does, is tried displaced by up to 4 rows or columns, too
/// (cropped or binned with another offset than the movies): orientation, inversion and correlation are then those of
/// the displaced one.
[[nodiscard]] Check check_gain(ImageView raw_sum, const Image& gain, int most_tiles = 0);

/// Variance of a fixed pattern relative to the mean, and its standard error. The variance may come out negative by
/// chance.
struct Residual {
  double variance = 0, sigma = 0;
};

/// The pattern in a sum of frames, from what its noise exceeds that of its frames: a pattern adds up like the frames,
/// noise like their squares. Both variances are of one pixel, from mixed second differences.
/// @param sum_variance     of the sum, `frames_variance` the frames' summed up, `mean` of a pixel in one frame
/// @param pixels           that the variances were measured on
[[nodiscard]] Residual residual_of_sum(double sum_variance, double frames_variance, int frames, double mean,
                                       double pixels);

/// White part of the pattern in one image without noise: mean square of mixed second differences over 4, relative to
/// the mean; differences beyond 8 standard deviations are left out, as are pixels of value 0.
[[nodiscard]] double pattern_variance(const Image& image);

/// Covariance of the fine patterns of two sums of the same pixels with independent noise (halves of a movie or of
/// a session), relative to their means: what is fixed, free of any model of the noise. Mixed second differences look
/// where the specimen has no power, the corner of the Fourier plane.
[[nodiscard]] Residual common_pattern(const Image& half_a, const Image& half_b);

}  // namespace frazil::gain
