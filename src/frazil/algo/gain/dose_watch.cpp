#include "frazil/algo/gain/dose_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace frazil::gain {
namespace {

constexpr std::size_t recent_counts = 50, remembered_odd = 200, remembered_batches = 50;
constexpr int fewest_to_judge = 5;  // movies before one is called odd
constexpr double least_counting = 0.65, most_counting = 1.15;
constexpr double too_many = 0.05, too_few = -0.27;                  // ln of seen over declared, see the header
constexpr double few_movies_more = 0.05, few_movies_fewer = -0.10;  // over the number of movies
constexpr double gross = 0.405;                                     // ln 1.5: units are tried
constexpr double changed = 0.25, unstable = 0.3, unstable_share = 0.2;
constexpr int fewest_unstable = 4, fewest_of_level = 3;
constexpr double level_share = 0.2, level_width = 0.2;

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(std::lround(share * static_cast<double>(values.size() - 1)));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

double middle(std::vector<double> values) { return quantile(std::move(values), 0.5); }

/// Within the share of `level` that ice explains.
bool is_near(double counts, double level) { return counts > least_usual * level && counts < most_usual * level; }

/// Electrons seen over electrons declared; 0: one of them is unknown.
double ratio_of(const Exposed& movie) {
  const double declared = movie.declared * movie.pixel_A * movie.pixel_A;
  return declared > 0 ? electrons_of(movie.counts, movie.noise_ratio) / declared : 0;
}

bool agrees_with_declared(const Exposed& movie) {
  const double ratio = ratio_of(movie);
  return ratio > least_declared && ratio < most_declared;
}

template <class Value, class Of>
std::vector<Value> list_of(const std::vector<Exposed>& batch, const Of& of) {
  std::vector<Value> list;
  for (const auto& movie : batch) list.push_back(of(movie));
  return list;
}

/// The value that most movies have.
template <class Of>
auto most_common(const std::vector<Exposed>& batch, const Of& of) {
  std::map<decltype(of(batch.front())), int> count;
  for (const auto& movie : batch) ++count[of(movie)];
  return std::max_element(count.begin(), count.end(), [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

/// Counts at which so many movies of the batch lie together that they are how the session is recorded now.
std::vector<double> levels_of(std::vector<double> counts) {
  std::vector<double> levels;
  std::sort(counts.begin(), counts.end());
  const auto fewest = std::max<std::size_t>(
      fewest_of_level, static_cast<std::size_t>(std::ceil(level_share * static_cast<double>(counts.size()))));
  for (std::size_t first = 0; first < counts.size();) {
    std::size_t end = first;
    while (end < counts.size() && counts[end] <= (1 + level_width) * counts[first]) ++end;
    if (end - first >= fewest) levels.push_back(counts[(first + end) / 2]);
    first = end;
  }
  return levels;
}

/// Whether the declared exposure is what this session shows: then it says what is right.
bool shows_declared(const std::vector<double>& levels, Exposed movie) {
  return std::any_of(levels.begin(), levels.end(), [&](double level) {
    movie.counts = level;
    return agrees_with_declared(movie);
  });
}

/// New levels, if no fault explains them better: where most movies show the declared exposure, others with half of it
/// or twice as much are wrong however many they are.
void learn_levels(DoseState& state, const std::vector<Exposed>& batch) {
  if (shows_declared(state.levels, batch.front())) return;
  std::vector<double> agreeing, apart;
  for (const auto& movie : batch) {
    if (!(movie.counts > 0)) continue;
    if (agrees_with_declared(movie)) agreeing.push_back(movie.counts);
    if (!is_usual(state.levels, movie) || state.levels.empty()) apart.push_back(movie.counts);
  }
  if (state.levels.empty() && agreeing.size() * 2 > batch.size())
    state.levels.push_back(middle(agreeing));
  else
    for (const double level : levels_of(apart)) state.levels.push_back(level);
}

void note_odd(DoseState& state, const std::vector<Exposed>& batch) {
  for (const auto& movie : batch) {
    if (is_usual(state.levels, movie)) continue;
    ++state.outside;
    if (state.movies < fewest_to_judge || state.levels.empty()) continue;
    state.odd.push_back(movie.name);
    if (state.odd.size() > remembered_odd) state.odd.pop_front();
  }
}

// ---- dose -------------------------------------------------------------------------------------------------------

/// A way to type a dose that is none of e⁻/Å² and frame.
struct Confusion {
  double factor;  ///< declared over true
  AlarmKind kind;
  std::string words, advice;
};

std::vector<Confusion> confusions_of(const Exposed& movie) {
  const double area = movie.pixel_A * movie.pixel_A, frames = movie.frames;
  const std::string again = "give dose_per_frame in electrons per square angstrom and frame";
  std::vector<Confusion> list{
      {frames, AlarmKind::dose, fmt::format("that of the whole movie of {} frames", movie.frames), again},
      {1 / frames, AlarmKind::dose, fmt::format("divided by the {} frames once more", movie.frames), again},
      {area, AlarmKind::dose, "counted per pixel, not per square angstrom", again},
      {1 / area, AlarmKind::dose, "divided by the area of a pixel once more", again},
      {area * frames, AlarmKind::dose, "per pixel, of the whole movie", again},
      {10, AlarmKind::dose, "ten times too high", again},
      {0.1, AlarmKind::dose, "ten times too low", again},
      {100, AlarmKind::dose, "per square nanometre", again},
      {4, AlarmKind::pixel_size, "right, and the pixel size that of the sensor with movies in super-resolution",
       "give the pixel size of the movies: half of the sensor's"},
      {0.25, AlarmKind::pixel_size, "right, and the pixel size that of super-resolution with movies that are binned",
       "give the pixel size of the movies: that of the sensor"}};
  if (movie.raw_frames > movie.frames && movie.frames > 0) {
    const double group = static_cast<double>(movie.raw_frames) / movie.frames;
    list.push_back({group, AlarmKind::dose, "that of a fraction, not of a raw frame", again});
    list.push_back({1 / group, AlarmKind::dose, "that of a raw frame, not of a fraction", again});
    list.push_back(
        {static_cast<double>(movie.raw_frames), AlarmKind::dose, "that of the whole movie, not of a raw frame", again});
  }
  std::erase_if(list, [](const Confusion& c) { return std::abs(std::log(c.factor)) < gross - 0.1; });
  return list;
}

/// Confusions that explain ln(seen/declared), the best first: what is left of x must be what ice takes, 9 ± 8 %.
std::vector<Confusion> explaining(double x, const Exposed& movie) {
  constexpr double usual_x = -0.09, usual_sigma = 0.08, farthest = 2.5;
  auto list = confusions_of(movie);
  const auto away = [&](const Confusion& c) { return std::abs(x + std::log(c.factor) - usual_x) / usual_sigma; };
  std::erase_if(list, [&](const Confusion& c) { return away(c) > farthest; });
  std::stable_sort(list.begin(), list.end(), [&](const Confusion& a, const Confusion& b) { return away(a) < away(b); });
  return list;
}

Finding gross_dose(double x, const Exposed& movie, Finding finding) {
  const auto list = explaining(x, movie);
  if (list.empty()) {
    finding.text = fmt::format(
        "the camera counts {:.3g} times the declared dose, and no confusion of units explains it", std::exp(x));
    finding.advice = "compare dose_per_frame and pixel_size with the microscope's own values";
    return finding;
  }
  finding.kind = list.front().kind;
  finding.text = fmt::format("the camera counts {:.3g} times the declared dose, as if the dose were {}", std::exp(x),
                             list.front().words);
  for (std::size_t i = 1; i < std::min<std::size_t>(3, list.size()); ++i)
    finding.text += fmt::format(", or {}", list[i].words);
  finding.advice = list.front().advice;
  return finding;
}

/// A dose that was declared wrongly is wrong in every batch; what was right before and is not now has changed.
void watch_dose(DoseState& state, const std::vector<Exposed>& batch, std::vector<Finding>& findings) {
  std::vector<double> ratios;
  for (const auto& movie : batch)
    if (const double ratio = ratio_of(movie); ratio > 0) ratios.push_back(std::log(ratio));
  if (ratios.size() * 2 <= batch.size()) return;
  state.most_ratios.push_back(quantile(ratios, 0.9));
  if (state.most_ratios.size() > remembered_batches) state.most_ratios.pop_front();
  const auto [least, most] = std::minmax_element(state.most_ratios.begin(), state.most_ratios.end());
  const double x = *least > 0 ? *least : *most < 0 ? *most : 0, median = middle(ratios);
  // The correction for coincidence is known to half of itself: some programs scale the counts for it already.
  const double noise = middle(list_of<double>(batch, [](const Exposed&m) { return m.noise_ratio; })),
               slack = 0.25 * std::abs(std::log(std::min(1.0, noise)));
  if (x < too_many + few_movies_more / state.movies + slack && x > too_few + few_movies_fewer / state.movies - slack)
    return;
  const auto& movie = batch.back();
  Finding finding{.kind = AlarmKind::dose,
                  .seen = fmt::format("{:.3g} e-/A^2 per frame behind the specimen", movie.declared * std::exp(median)),
                  .expected = fmt::format("{:.3g} e-/A^2 per frame (declared)", movie.declared)};
  if (std::abs(x) > gross) {
    finding.sure = 0.999;
    findings.push_back(gross_dose(x, movie, std::move(finding)));
    return;
  }
  finding.sure = 0.9;
  if (x > 0) {
    finding.text = fmt::format(
        "the camera counts {:.0f} % more electrons than the declared dose brings, and ice only "
        "takes some away",
        100 * std::expm1(x));
    finding.advice = "measure the dose again, and set dose_per_frame";
  } else {
    finding.text = fmt::format(
        "the camera counts {:.0f} % less electrons than declared even where the ice is "
        "thinnest: the dose is lower than declared, the beam is cut, or the ice is thicker than "
        "800 A everywhere",
        -100 * std::expm1(x));
    finding.advice = "look at the beam without specimen and measure the dose again; set dose_per_frame";
  }
  findings.push_back(std::move(finding));
}

// ---- changes ----------------------------------------------------------------------------------------------------

void watch_change(const DoseState& state, double most_now, std::size_t size, std::vector<Finding>& findings) {
  constexpr int fewest_before = 20;
  if (state.movies - static_cast<int>(size) < fewest_before || size < 3) return;
  const double before = middle({state.most_counts.begin(), state.most_counts.end()});
  if (!(before > 0) || !(most_now > 0) || std::abs(std::log(most_now / before)) < changed) return;
  const bool fell = most_now < before;
  findings.push_back({.kind = AlarmKind::dose,
                      .about = "change",
                      .text = fmt::format("the counts of the last {} movies are {:.0f} % {} those before", size,
                                          100 * std::abs(most_now / before - 1), fell ? "below" : "above"),
                      .seen = fmt::format("{:.3g} counts per pixel and frame", most_now),
                      .expected = fmt::format("{:.3g} (the movies before)", before),
                      .advice = fell ? "look at beam, apertures, energy filter slit and ice"
                                     : "look at beam and apertures: the specimen gets more dose than before",
                      .sure = 0.99});
}

void watch_stability(const std::vector<Exposed>& batch, std::vector<Finding>& findings) {
  const double median = middle(list_of<double>(batch, [](const Exposed& m) { return m.counts; }));
  const auto off = std::count_if(batch.begin(), batch.end(), [&](const Exposed& m) {
    return !(m.counts > (1 - unstable) * median) || m.counts > (1 + unstable) * median;
  });
  if (off < fewest_unstable || static_cast<double>(off) < unstable_share * static_cast<double>(batch.size())) return;
  findings.push_back(
      {.kind = AlarmKind::dose,
       .about = "unstable",
       .text = fmt::format("{} of the last {} movies have a dose more than {:.0f} % off their median: the "
                           "beam or the shutter is unstable, or the beam is cut",
                           off, batch.size(), 100 * unstable),
       .seen = fmt::format("{} of {} movies", off, batch.size()),
       .expected = "none or single ones",
       .advice = "look at beam, shutter and beam shift calibration",
       .sure = 0.99});
}

// ---- frames -----------------------------------------------------------------------------------------------------

void watch_format(const DoseState& state, const std::vector<Exposed>& batch, std::vector<Finding>& findings) {
  constexpr double eer_tolerance = 0.03;  // a camera that counts time writes some raw frames more or less
  const auto differs = [&](const Exposed& m) {
    if (m.nx != state.nx || m.ny != state.ny) return true;
    if (m.raw_frames > 0) return std::abs(m.raw_frames - state.raw_frames) > eer_tolerance * state.raw_frames;
    return m.frames != state.frames;
  };
  const auto others = std::count_if(batch.begin(), batch.end(), differs);
  if (others < 2 || others * 10 < static_cast<std::ptrdiff_t>(batch.size())) return;
  const auto& one = *std::find_if(batch.rbegin(), batch.rend(), differs);
  const auto describe = [](int nx, int ny, int frames) { return fmt::format("{} x {} x {} frames", nx, ny, frames); };
  const bool is_eer = one.raw_frames > 0;
  findings.push_back(
      {.kind = AlarmKind::frames,
       .text = fmt::format("{} of the last {} movies have another size or number of frames than those before", others,
                           batch.size()),
       .seen = describe(one.nx, one.ny, is_eer ? one.raw_frames : one.frames),
       .expected = describe(state.nx, state.ny, is_eer ? static_cast<int>(state.raw_frames) : state.frames),
       .advice = "check the camera's settings; a dose per frame that was typed holds for one number of frames only",
       .sure = 1});
}

void watch_fractions(const std::vector<Exposed>& batch, std::vector<Finding>& findings) {
  const auto& movie = batch.back();
  if (movie.raw_frames <= 0 || movie.frames <= 0) return;
  const bool too_coarse = movie.frames < 6 || movie.declared > 5,
             too_fine = movie.frames > 400 || (movie.declared > 0 && movie.declared < 0.05);
  if (!too_coarse && !too_fine) return;
  findings.push_back(
      {.kind = AlarmKind::frames,
       .about = "fractions",
       .text = fmt::format("the {} raw frames of an EER movie are gathered into {} fractions of {:.3g} e-/A^2: {}",
                           movie.raw_frames, movie.frames, movie.declared,
                           too_coarse ? "too few to follow the movement" : "too little in each to be aligned"),
       .seen = fmt::format("{} fractions", movie.frames),
       .expected = "6 to 400 fractions of 0.05 to 5 e-/A^2",
       .advice = "set dose_per_frame (of a raw frame), eer_dose_per_fraction or eer_frames_per_fraction",
       .sure = 1});
}

}  // namespace

double electrons_of(double counts, double noise_ratio) {
  if (!(noise_ratio >= least_counting && noise_ratio <= most_counting)) return 0;
  return counts / std::sqrt(std::min(1.0, noise_ratio));
}

bool is_usual(const std::vector<double>& levels, const Exposed& movie) {
  if ((levels.empty() || shows_declared(levels, movie)) && agrees_with_declared(movie)) return true;
  return std::any_of(levels.begin(), levels.end(), [&](double level) { return is_near(movie.counts, level); });
}

DoseSummary follow_dose(DoseState& state, const std::vector<Exposed>& batch) {
  DoseSummary out;
  if (batch.empty()) return out;
  if (state.movies == 0)
    std::tie(state.nx, state.ny, state.frames, state.raw_frames) = most_common(batch, [](const Exposed& m) {
      return std::tuple(m.nx, m.ny, m.raw_frames > 0 ? 0 : m.frames, static_cast<double>(m.raw_frames));
    });
  state.movies += static_cast<int>(batch.size());
  learn_levels(state, batch);
  note_odd(state, batch);
  for (const auto& movie : batch) {
    state.counts.push_back(movie.counts);
    if (state.counts.size() > recent_counts) state.counts.pop_front();
  }
  const auto counts = list_of<double>(batch, [](const Exposed& m) { return m.counts; });
  const double most_now = quantile(counts, 0.9);
  watch_dose(state, batch, out.findings);
  watch_change(state, most_now, batch.size(), out.findings);
  watch_stability(batch, out.findings);
  watch_format(state, batch, out.findings);
  watch_fractions(batch, out.findings);
  state.most_counts.push_back(most_now);
  if (state.most_counts.size() > remembered_batches) state.most_counts.pop_front();

  out.counts = middle({state.counts.begin(), state.counts.end()});
  std::vector<double> away;
  for (const double c : state.counts)
    if (c > 0 && out.counts > 0) away.push_back(std::abs(std::log(c / out.counts)));
  out.spread = 1.4826 * middle(away);
  out.usual_share = 1 - static_cast<double>(state.outside) / state.movies;
  out.is_sure = state.movies >= fewest_to_judge && !state.levels.empty();
  out.noise_ratio = middle(list_of<double>(batch, [](const Exposed& m) { return m.noise_ratio; }));
  const double area = batch.back().pixel_A * batch.back().pixel_A;
  out.dose = area > 0 ? electrons_of(out.counts, out.noise_ratio) / area : 0;
  return out;
}

}  // namespace frazil::gain
