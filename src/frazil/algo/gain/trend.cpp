#include "frazil/algo/gain/trend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "frazil/base/finite.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::gain {
namespace {

constexpr std::size_t recent_movies = 8, dose_window = 50;
constexpr int repeats = 3;          // of recent_movies: a pixel that is hot by chance in one of 10⁴ movies never is
constexpr double alarm_sigmas = 6;  // no false alarm in a facility's years: 1e-9 a movie
// A pattern of relative standard deviation g adds n g² to the noise variance 1 of a pixel that counts n in a movie: 0.5
// % adds 0.1 % at n = 40, 1 % adds 0.4 %: too little to act on.
constexpr double least_growth_std = 0.005, noticed_pattern_std = 0.01;
constexpr double left_share = 0.25;  // of the reference's variance: a stale reference leaves more
// The counts of a whole movie are known to far better than 0.1 %: 5 % are no chance; one movie in three is no accident.
constexpr double dose_tolerance = 0.05, dose_alarm_share = 0.3;

double percent(double variance) { return 100 * std::sqrt(at_least_zero(variance)); }

/// Weighted by precision.
Residual mean_residual(const std::vector<MovieSigns>& batch) {
  double sum = 0, weight = 0;
  for (const auto& movie : batch)
    if (movie.residual.sigma > 0) {
      const double w = 1 / (movie.residual.sigma * movie.residual.sigma);
      sum += w * movie.residual.variance;
      weight += w;
    }
  return weight > 0 ? Residual{sum / weight, 1 / std::sqrt(weight)} : Residual{};
}

void note_defects(TrendState& state, const std::vector<std::uint64_t>& found) {
  state.recent.push_back(found);
  if (state.recent.size() > recent_movies) state.recent.pop_front();
  std::map<std::uint64_t, int> times;
  for (const auto& list : state.recent)
    for (const auto pixel : list) ++times[pixel];
  for (const auto& [pixel, count] : times)
    if (count >= repeats) state.defects.insert(pixel);
}

/// The alarm that more than half of the batch raises, with the movie that raised it first.
const MovieSigns* common_alarm(const std::vector<MovieSigns>& batch) {
  std::map<std::string, int> count;
  for (const auto& movie : batch)
    if (!movie.alarm.empty()) ++count[movie.verdict + movie.orientation + (movie.inverted ? "/" : "*")];
  for (const auto& movie : batch)
    if (const auto found = count.find(movie.verdict + movie.orientation + (movie.inverted ? "/" : "*"));
        !movie.alarm.empty() && found->second * 2 > static_cast<int>(batch.size()))
      return &movie;
  return nullptr;
}

void add(std::string& alarm, const std::string& sentence) { alarm += (alarm.empty() ? "" : "; ") + sentence; }

}  // namespace

Verdict judge(const Check& check, GainOrientation used, bool divided, const Residual& residual, double reference) {
  if (check.states == 0)
    return {"wrong-size",
            "the gain reference has another size than the movies in every orientation: give the reference of this "
            "camera and mode"};
  if (check.unrelated())
    return {"unrelated",
            fmt::format("the gain reference has nothing in common with the pattern of the movies (r = {:.4f}, {:.1f} "
                        "standard deviations, {:.0f} expected of the right one): it belongs to another "
                        "camera or mode, or the movies are corrected already",
                        check.correlation, check.significance, check.expected)};
  if (!check.found()) return {"unclear", ""};
  if (check.orientation != used || check.inverted != divided)
    return {
        "turned",
        fmt::format("the gain reference fits the movies only in orientation {}, {} (r = {:.3f}, {:.0f} standard "
                    "deviations), but was used in orientation {}, {}: confirm with gain_correction=apply, or "
                    "give a corrected reference",
                    to_string(check.orientation), check.inverted ? "divided by" : "multiplied with", check.correlation,
                    check.significance, to_string(used), divided ? "divided by" : "multiplied with")};
  if (residual.variance - alarm_sigmas * residual.sigma > left_share * reference && residual.sigma > 0)
    return {"stale", fmt::format("the gain reference leaves a pattern of {:.2f} % where it takes {:.2f} % away: it is "
                                 "out of date, record a new one",
                                 percent(residual.variance), percent(reference))};
  return {"good", ""};
}

Verdict judge_without_gain(const Residual& raw) {
  if (raw.sigma > 0 && raw.variance - alarm_sigmas * raw.sigma > noticed_pattern_std * noticed_pattern_std)
    return {"none", fmt::format("the movies carry a fixed pattern of {:.2f} % and no gain reference was given: give "
                                "one, or make one with estimate-gain",
                                percent(raw.variance))};
  return {"none", ""};
}

Trend follow(TrendState& state, const std::vector<MovieSigns>& batch) {
  Trend trend;
  if (batch.empty()) return trend;
  const auto known = state.defects.size();
  double correlation = 0;
  for (const auto& movie : batch) {
    state.counts.push_back(movie.counts);
    if (state.counts.size() > dose_window) state.counts.pop_front();
    note_defects(state, movie.defects);
    correlation += movie.correlation;
  }
  trend.correlation = correlation / static_cast<double>(batch.size());
  trend.counts = median(std::vector<double>(state.counts.begin(), state.counts.end()));
  for (const auto& movie : batch)
    trend.dose_outliers += trend.counts > 0 && std::abs(movie.counts / trend.counts - 1) > dose_tolerance ? 1 : 0;
  trend.residual = mean_residual(batch);
  const bool is_first = state.movies == 0;
  if (is_first) state.first = trend.residual;
  state.movies += static_cast<int>(batch.size());
  trend.new_defects = static_cast<int>(state.defects.size() - known);

  const auto* raised = common_alarm(batch);
  const auto& spokesman = raised != nullptr ? *raised : batch.back();
  trend.orientation = spokesman.orientation;
  trend.inverted = spokesman.inverted;
  trend.verdict = spokesman.verdict;
  if (raised != nullptr) add(trend.alarm, raised->alarm);
  const double growth = trend.residual.variance - state.first.variance,
               error = std::hypot(trend.residual.sigma, state.first.sigma);
  if (!is_first && growth > alarm_sigmas * error && growth > least_growth_std * least_growth_std)
    add(trend.alarm,
        fmt::format(
            "the pattern that the gain reference leaves has grown from {:.2f} % to {:.2f} %: record a new reference",
            percent(state.first.variance), percent(trend.residual.variance)));
  if (batch.size() >= 5 && trend.dose_outliers > dose_alarm_share * static_cast<double>(batch.size()))
    add(trend.alarm, fmt::format("{} of the last {} movies have a dose more than 5 % off the running median: the beam "
                                 "or the shutter is unstable",
                                 trend.dose_outliers, batch.size()));
  if (!is_first && known > 0 && trend.new_defects >= 20 && static_cast<std::size_t>(trend.new_defects) > known)
    add(trend.alarm, fmt::format("{} pixels have become hot or dead, {} were so before: the camera may need annealing",
                                 trend.new_defects, known));
  return trend;
}

}  // namespace frazil::gain
