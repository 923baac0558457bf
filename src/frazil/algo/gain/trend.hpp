// A camera over many movies: verdict on the gain reference, running residual, defects that stay, dose.
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "frazil/algo/gain/check.hpp"

namespace frazil::gain {

/// What a check comes to.
struct Verdict {
  std::string word;   ///< good, turned, unrelated, stale, unclear, wrong-size
  std::string alarm;  ///< one sentence, empty when nothing is wrong
};

/// @param check          of the reference as it was filed
/// @param used,divided   how the reference was used
/// @param residual       pattern left with the reference used so, if known; {0, 0} otherwise
/// @param reference      variance of the reference's own fine pattern (pattern_variance)
[[nodiscard]] Verdict judge(const Check& check, GainOrientation used, bool divided, const Residual& residual,
                            double reference);
/// Without a reference: is there a pattern that calls for one?
[[nodiscard]] Verdict judge_without_gain(const Residual& raw);

/// One movie in the eyes of the trend.
struct MovieSigns {
  double counts = 0;
  Residual residual;
  std::vector<std::uint64_t> defects;
  std::string verdict, alarm, orientation;
  bool inverted = false;
  double correlation = 0;
};

/// What is carried from batch to batch.
struct TrendState {
  int movies = 0;
  std::deque<double> counts;                      ///< of the last 50 movies
  std::deque<std::vector<std::uint64_t>> recent;  ///< defects of the last 8 movies
  std::set<std::uint64_t> defects;                ///< that were in at least 3 of 8 movies running
  Residual first;                                 ///< of the first batch
};

/// What a batch adds.
struct Trend {
  double counts = 0;
  int dose_outliers = 0;
  Residual residual;
  int new_defects = 0;
  std::string orientation, verdict, alarm;
  bool inverted = false;
  double correlation = 0;
};

/// Takes a batch of movies, in their order, into the state.
///
/// Residual: mean of the movies' signed variances weighted by their errors, so that a pattern far below the noise of
/// one movie shows. Defects: a pixel counts once it was flagged in 3 of the last 8 movies; chance does not repeat
/// itself at one place. Dose: a movie is an outlier more than 5 % off the median of the last 50. Alarms: most movies of
/// the batch say that the reference is wrong; the residual grew by 6 standard errors and to more than 0.5 % over the
/// first batch; more than 30 % of at least 5 movies are dose outliers; the defects more than doubled (by 20 or more).
[[nodiscard]] Trend follow(TrendState& state, const std::vector<MovieSigns>& batch);

}  // namespace frazil::gain
