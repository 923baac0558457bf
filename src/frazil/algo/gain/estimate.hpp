// A gain reference made from movies themselves.
#pragma once

#include <cstdint>
#include <vector>

#include "frazil/image/image.hpp"

namespace frazil::gain {

struct Estimate {
  Image gain;                          ///< factors, mean 1; 0 at defects
  double pattern_std = 0;              ///< relative standard deviation of the pattern found
  double error_std = 0;                ///< what is expected to be wrong in a pixel's factor, relative
  std::vector<std::uint64_t> defects;  ///< pixels (y · nx + x) far from their neighbours, ascending
};

/// What the sums are made of decides what can be told from the specimen.
enum class Halves {
  movies,  ///< each half holds other movies: all that agrees between them is the camera (or the beam, at low frequency)
  frames   ///< one movie, its frames in two halves: the specimen is in both, and only the finest pattern is safe
};

/// Gain from two sums of uncorrected frames.
///
/// @param half_a,half_b  counts, nx × ny, with independent noise, several electrons a pixel each
/// @return factors that make the mean image flat, on scales below 128 pixels (movies) or 5 pixels (frames): a camera's
/// slow
///         variation cannot be told from the beam's
/// @throws Error(bad_input) when a half has no counts or sides below 32 pixels
///
/// Method. For counts that are Poisson with mean exposure/gain the efficient estimate of a factor is local exposure
/// over count, in place of the histograms of columns and rows that Sorzano et al. 2018 (doi:10.1016/j.jsb.2018.02.006)
/// make equal; those use a pixel's whole distribution to learn one number that its sum holds already. Noise and
/// specimen are then suppressed: columns, rows and rings of the Fourier plane each keep the part that agrees between
/// the halves (Wiener weight 2c/(1+c) for a correlation c), so that few movies give a cautious reference and many the
/// full one.
[[nodiscard]] Estimate estimate_gain(const Image& half_a, const Image& half_b, Halves halves);

}  // namespace frazil::gain
