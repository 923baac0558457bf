// A camera over many movies: verdict on the gain reference, running residual, defects that stay, dose.
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "frazil/algo/gain/check.hpp"
#include "frazil/algo/gain/dose_watch.hpp"

namespace frazil::gain {

/// What a check comes to.
struct Verdict {
  std::string word;   ///< good, turned, shifted, unrelated, stale, unclear, wrong-size
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

/// The same in the form of all watchers; empty when nothing is wrong.
[[nodiscard]] std::vector<Finding> findings_of(const Verdict& verdict);

/// One movie in the eyes of the trend.
struct MovieSigns {
  Exposed exposed = {};
  Residual residual = {};
  std::vector<std::uint64_t> defects = {};
  std::string verdict = {}, alarm = {}, orientation = {};
  bool inverted = false;
  int shift_x = 0, shift_y = 0;
  double correlation = 0;
};

/// What is carried from batch to batch.
struct TrendState {
  int movies = 0;
  DoseState dose;
  std::deque<std::vector<std::uint64_t>> recent;  ///< defects of the last 8 movies
  std::set<std::uint64_t> defects;                ///< that were in at least 3 of 8 movies running
  Residual first;                                 ///< of the first batch
};

/// What a batch adds.
struct Trend {
  DoseSummary dose;  ///< its findings among those below
  int dose_outliers = 0;
  Residual residual;
  int new_defects = 0;
  std::string orientation, verdict;
  std::vector<Finding> findings;
  bool inverted = false;
  double correlation = 0;
};

/// Takes a batch of movies, in their order, into the state.
///
/// Residual: mean of the movies' signed variances weighted by their errors, so that a pattern far below the noise of
/// one movie shows. Defects: a pixel counts once it was flagged in 3 of the last 8 movies; chance does not repeat
/// itself at one place. Dose: a movie is counted as an outlier more than 5 % off the median of the last 50, which ice
/// alone may do; findings on it are those of follow_dose. Others: most movies of the batch say that the reference is
/// wrong, in the same way (an unrelated one fits best in an orientation by chance, which does not matter); the residual
/// grew by 6 standard errors and to more than 0.5 % over the first batch; the defects more than doubled (by 20 or
/// more).
[[nodiscard]] Trend follow(TrendState& state, const std::vector<MovieSigns>& batch);

}  // namespace frazil::gain
