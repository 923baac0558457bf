#include "frazil/algo/gain/trend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "frazil/base/finite.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::gain {
namespace {

constexpr std::size_t recent_movies = 8;
constexpr int repeats = 3;          // of recent_movies: a pixel that is hot by chance in one of 10⁴ movies never is
constexpr double alarm_sigmas = 6;  // no false alarm in a facility's years: 1e-9 a movie
// A pattern of relative standard deviation g adds n g² to the noise variance 1 of a pixel that counts n in a movie: 0.5
// % adds 0.1 % at n = 40, 1 % adds 0.4 %: too little to act on.
constexpr double least_growth_std = 0.005, noticed_pattern_std = 0.01;
constexpr double left_share = 0.25;      // of the reference's variance: a stale reference leaves more
constexpr double dose_tolerance = 0.05;  // the counts of a whole movie are known to far better than 0.1 %

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

/// What makes the complaints of two movies the same. An unrelated reference fits best in some orientation by chance.
std::string complaint_of(const MovieSigns& movie) {
  if (movie.verdict == "turned") return movie.verdict + movie.orientation + (movie.inverted ? "/" : "*");
  if (movie.verdict == "shifted") return fmt::format("{} {} {}", movie.verdict, movie.shift_x, movie.shift_y);
  return movie.verdict;
}

/// A movie with the complaint that more than half of the batch have; null: there is none.
const MovieSigns* common_complaint(const std::vector<MovieSigns>& batch) {
  std::map<std::string, int> count;
  for (const auto& movie : batch)
    if (!movie.alarm.empty()) ++count[complaint_of(movie)];
  for (const auto& movie : batch)
    if (!movie.alarm.empty() && count[complaint_of(movie)] * 2 > static_cast<int>(batch.size())) return &movie;
  return nullptr;
}

/// More than half complain, but not of the same.
bool is_disputed(const std::vector<MovieSigns>& batch) {
  const auto complaining =
      std::count_if(batch.begin(), batch.end(), [](const MovieSigns& movie) { return !movie.alarm.empty(); });
  return complaining * 2 > static_cast<std::ptrdiff_t>(batch.size());
}

std::string advice_of(const std::string& verdict) {
  if (verdict == "turned") return "confirm with gain_correction=apply, or give the reference as it fits";
  if (verdict == "shifted") return "give the reference of the same crop and binning as the movies";
  if (verdict == "stale") return "record a new gain reference";
  if (verdict == "none") return "give a gain reference, or make one with estimate-gain";
  return "give the gain reference of this camera and mode";
}

void watch_reference(const std::vector<MovieSigns>& batch, const MovieSigns* common, std::vector<Finding>& findings) {
  if (common == nullptr && !is_disputed(batch)) return;
  const auto& movie = common != nullptr
                          ? *common
                          : *std::find_if(batch.rbegin(), batch.rend(), [](const auto& m) { return !m.alarm.empty(); });
  findings.push_back(
      {.kind = AlarmKind::gain,
       .text = common != nullptr ? movie.alarm
                                 : "the movies disagree on what is wrong with the gain reference: " + movie.alarm,
       .seen = movie.verdict == "none" ? "no gain reference" : fmt::format("r = {:.3f}", movie.correlation),
       .expected = "a reference that takes the camera's pattern off",
       .advice = advice_of(movie.verdict),
       .sure = common != nullptr ? 1 : 0.9});
}

void watch_residual(const Residual& first, const Residual& now, std::vector<Finding>& findings) {
  const double growth = now.variance - first.variance, error = std::hypot(now.sigma, first.sigma);
  if (growth < alarm_sigmas * error || growth < least_growth_std * least_growth_std) return;
  findings.push_back(
      {.kind = AlarmKind::gain,
       .about = "drift",
       .text = fmt::format("the pattern that the gain reference leaves has grown from {:.2f} % to {:.2f} %",
                           percent(first.variance), percent(now.variance)),
       .seen = fmt::format("{:.2f} %", percent(now.variance)),
       .expected = fmt::format("{:.2f} % (the first movies)", percent(first.variance)),
       .advice = "record a new gain reference"});
}

void watch_defects(std::size_t known, int new_defects, std::vector<Finding>& findings) {
  if (known == 0 || new_defects < 20 || static_cast<std::size_t>(new_defects) <= known) return;
  findings.push_back({.kind = AlarmKind::gain,
                      .about = "defects",
                      .text = fmt::format("{} pixels have become hot or dead, {} were so before", new_defects, known),
                      .seen = fmt::format("{} pixels", known + static_cast<std::size_t>(new_defects)),
                      .expected = fmt::format("{} pixels", known),
                      .advice = "the camera may need annealing; give a new list of defects"});
}

}  // namespace

Verdict judge(const Check& check, GainOrientation used, bool divided, const Residual& residual, double reference) {
  if (check.states == 0)
    return {"wrong-size",
            "the gain reference has another size than the movies in every orientation: give the reference of this "
            "camera and mode"};
  if (check.is_displaced())
    return {
        "shifted",
        fmt::format("the gain reference fits the movies only when it is moved by {} columns and {} rows (r = {:.3f}, "
                    "{:.0f} standard deviations): it was cropped or binned with another offset than the movies",
                    -check.shift_x, -check.shift_y, check.correlation, check.significance)};
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

std::vector<Finding> findings_of(const Verdict& verdict) {
  if (verdict.alarm.empty()) return {};
  return {{.kind = AlarmKind::gain, .text = verdict.alarm, .advice = advice_of(verdict.word)}};
}

Trend follow(TrendState& state, const std::vector<MovieSigns>& batch) {
  Trend trend;
  if (batch.empty()) return trend;
  const auto known = state.defects.size();
  std::vector<Exposed> exposed;
  for (const auto& movie : batch) {
    exposed.push_back(movie.exposed);
    note_defects(state, movie.defects);
    trend.correlation += movie.correlation / static_cast<double>(batch.size());
  }
  trend.dose = follow_dose(state.dose, exposed);
  for (const auto& movie : exposed)
    trend.dose_outliers +=
        trend.dose.counts > 0 && std::abs(movie.counts / trend.dose.counts - 1) > dose_tolerance ? 1 : 0;
  trend.residual = mean_residual(batch);
  const bool is_first = state.movies == 0;
  if (is_first) state.first = trend.residual;
  state.movies += static_cast<int>(batch.size());
  trend.new_defects = static_cast<int>(state.defects.size() - known);

  const auto* common = common_complaint(batch);
  const auto& spokesman = common != nullptr ? *common : batch.back();
  trend.orientation = spokesman.orientation;
  trend.inverted = spokesman.inverted;
  trend.verdict = spokesman.verdict;
  watch_reference(batch, common, trend.findings);
  if (!is_first) {
    watch_residual(state.first, trend.residual, trend.findings);
    watch_defects(known, trend.new_defects, trend.findings);
  }
  trend.findings.insert(trend.findings.end(), trend.dose.findings.begin(), trend.dose.findings.end());
  return trend;
}

}  // namespace frazil::gain
