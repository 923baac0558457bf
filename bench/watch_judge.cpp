#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "frazil/algo/gain/trend.hpp"
#include "frazil/base/random.hpp"
#include "frazil/protocols/monitor_ctf.hpp"
#include "watch_sessions.hpp"

namespace frazil::bench {
namespace {

constexpr std::size_t ctf_batch = 10, camera_batch = 20;
constexpr int camera_movies = 300;

/// What a session's watchers said.
struct Outcome {
  int movies = 0;
  int found_after = 0;  ///< movies until a finding of the expected kind; 0: none
  int named = 0;        ///< its kind is the expected one
  int versions = 0, ringing = 0;
  std::vector<std::string> texts;  ///< of the first finding of each kind
};

void note(Outcome& out, const std::vector<Finding>& findings, AlarmKind expected) {
  ++out.versions;
  out.ringing += findings.empty() ? 0 : 1;
  for (const auto& finding : findings) {
    const auto text = fmt::format("{} {}: {} [{:.3f}] seen: {}", name_of(finding.kind), finding.about, finding.text,
                                  finding.sure, finding.seen);
    if (out.texts.empty()) out.texts.push_back(text);
    if (finding.kind != expected) continue;
    if (out.found_after == 0) {
      out.found_after = out.movies;
      out.texts.push_back(text);
    }
  }
}

// ---- optics -----------------------------------------------------------------------------------------------------

/// What was asked where `true_defocus_A` came out. The microscope misses what is asked by 800 Å r.m.s., whatever that
/// is: defoci of which the truth is known are pulled a little towards their mean, so that this holds the other way
/// round.
void ask(CtfFit& fit, double true_defocus_A, double offset_A, Rng& rng) {
  constexpr double mean_A = 14500, variance = 4330.0 * 4330.0, scatter = 800.0 * 800.0;  // uniform, 7000 to 22000 Å
  const double pull = 0.5 * (1 - std::sqrt(1 - 4 * scatter / variance)),
               width = std::sqrt((1 - pull) * pull * variance);
  fit.asked_defocus = Angstrom(true_defocus_A + pull * (mean_A - true_defocus_A) + offset_A + width * rng.normal());
}

Outcome watch_fits(const std::vector<CtfFit>& fits, AlarmKind expected) {
  Outcome out;
  std::optional<CtfTrend> trend;
  for (std::size_t first = 0; first < fits.size(); first += ctf_batch) {
    const auto end = std::min(fits.size(), first + ctf_batch);
    trend = protocols::extend(
        {}, trend ? &*trend : nullptr,
        {fits.begin() + static_cast<std::ptrdiff_t>(first), fits.begin() + static_cast<std::ptrdiff_t>(end)});
    out.movies = static_cast<int>(end);
    note(out, trend->findings, expected);
  }
  if (trend && expected == AlarmKind::task)
    fmt::print(
        "    Cs {:+.3f} +- {:.3f} mm (scatter {:.2f}), phase {:+.1f} +- {:.1f}, scale {:.3f} +- {:.3f}, offset {:+.0f} "
        "+- {:.0f} A; pixel errors are visible from {:.1f} %\n",
        trend->cs_deviation.value(), trend->sigma_cs.value(), trend->cs_spread.value(), trend->phase.value(),
        trend->sigma_phase.value(), trend->asked_scale, trend->sigma_asked_scale, trend->asked_offset.value(),
        trend->sigma_asked_offset.value(), 100 * trend->visible_pixel_error);
  return out;
}

using Pools = std::map<std::string, std::vector<MeasuredFit>>;

std::vector<CtfFit> session_of(const std::vector<MeasuredFit>& pool, bool is_asked, double offset_A, Rng& rng) {
  std::vector<CtfFit> fits;
  const double autofocus = 300 * rng.normal();
  for (const auto& m : pool) {
    fits.push_back(m.fit);
    if (is_asked) ask(fits.back(), m.true_defocus_A, autofocus + offset_A, rng);
  }
  return fits;
}

// ---- camera -----------------------------------------------------------------------------------------------------

struct CameraCase {
  std::string name = {};
  double dose = 1, pixel_A = 1, ice_A = 300, loss = 0;  ///< loss: by coincidence
  int frames = 40;
  double counts_per_electron = 1, noise_ratio = 0;  ///< ratio 0: that of a camera that counts
  double declared_factor = 1;                       ///< declared over true
  AlarmKind expected = AlarmKind::task;
  std::function<void(gain::Exposed&, int)> spoil = {};
};

/// Squares of 40 movies in ice of their own; every tenth hole thicker by far.
std::vector<gain::Exposed> expose(const CameraCase& c, int movies, Rng& rng) {
  std::vector<gain::Exposed> list;
  double square = 0;
  for (int i = 0; i < movies; ++i) {
    if (i % 40 == 0) square = c.ice_A * std::exp(0.35 * rng.normal());
    double ice = square * std::exp(0.2 * rng.normal());
    if (rng.uniform() < 0.1) ice += rng.uniform(0, 600);
    const double electrons =
        c.dose * c.pixel_A * c.pixel_A * std::exp(-std::min(ice, 1500.0) / 3000) * (1 + 0.01 * rng.normal());
    gain::Exposed movie{
        .name = fmt::format("{} {}", c.name, i),
        .counts = electrons * (1 - c.loss) * c.counts_per_electron,
        .noise_ratio = (c.noise_ratio > 0 ? c.noise_ratio : std::pow(1 - c.loss, 2)) * (1 + 0.003 * rng.normal()),
        .declared = c.dose * c.declared_factor,
        .pixel_A = c.pixel_A,
        .nx = 4096,
        .ny = 4096,
        .frames = c.frames};
    if (c.spoil) c.spoil(movie, i);
    list.push_back(movie);
  }
  return list;
}

Outcome watch_camera(const CameraCase& c, int movies, Rng& rng, int& odd) {
  Outcome out;
  gain::DoseState state, first;
  const auto list = expose(c, movies, rng);
  out.movies = 3;
  note(out, gain::follow_dose(first, {list.begin(), list.begin() + 3}).findings, c.expected);  // check-gain
  for (std::size_t i = 0; i < list.size(); i += camera_batch) {
    const auto end = std::min(list.size(), i + camera_batch);
    out.movies = static_cast<int>(end);
    note(out,
         gain::follow_dose(
             state, {list.begin() + static_cast<std::ptrdiff_t>(i), list.begin() + static_cast<std::ptrdiff_t>(end)})
             .findings,
         c.expected);
  }
  odd += static_cast<int>(state.odd.size());
  return out;
}

std::vector<CameraCase> clean_cameras() {
  std::vector<CameraCase> list;
  for (const double dose : {0.5, 1.0, 2.0})
    for (const double ice : {120.0, 250.0, 400.0, 600.0})
      for (const double loss : {0.0, 0.1})
        list.push_back({.name = fmt::format("{} e/A2, {} A of ice, {} % lost", dose, ice, 100 * loss),
                        .dose = dose,
                        .pixel_A = 0.65 + 0.1 * static_cast<double>(list.size() % 7),
                        .ice_A = ice,
                        .loss = loss});
  list.push_back({.name = "integrating camera", .counts_per_electron = 37, .noise_ratio = 80});
  return list;
}

std::vector<CameraCase> faulty_cameras() {
  constexpr auto dose = AlarmKind::dose;
  std::vector<CameraCase> list;
  const auto declared = [&](const std::string& name, double factor, double ice) {
    list.push_back({.name = fmt::format("dose declared {}, {:.0f} A of ice", name, ice),
                    .ice_A = ice,
                    .declared_factor = factor,
                    .expected = dose});
  };
  for (const double ice : {200.0, 400.0}) {
    declared("20 % too high", 1.2, ice);
    declared("20 % too low", 1 / 1.2, ice);
    declared("of the movie (x 40)", 40, ice);
    declared("10 times too high", 10, ice);
  }
  const auto spoilt = [&](const std::string& name, AlarmKind kind, std::function<void(gain::Exposed&, int)> spoil) {
    list.push_back({.name = name, .expected = kind, .spoil = std::move(spoil)});
  };
  spoilt("beam falls by 30 % at movie 100", dose, [](gain::Exposed& m, int i) { m.counts *= i >= 100 ? 0.7 : 1; });
  spoilt("dose doubled at movie 100", dose, [](gain::Exposed& m, int i) { m.counts *= i >= 100 ? 2 : 1; });
  spoilt("a third of the movies half blocked from 60", dose,
         [](gain::Exposed& m, int i) { m.counts *= i >= 60 && i % 3 == 0 ? 0.45 : 1; });
  spoilt("30 frames in place of 40 from 150", AlarmKind::frames,
         [](gain::Exposed& m, int i) { m.frames = i >= 150 ? 30 : 40; });
  list.push_back({.name = "integrating camera, beam falls by 30 % at 100",
                  .counts_per_electron = 37,
                  .noise_ratio = 80,
                  .expected = dose,
                  .spoil = [](gain::Exposed& m, int i) { m.counts *= i >= 100 ? 0.7 : 1; }});
  return list;
}

// ---- the table --------------------------------------------------------------------------------------------------

/// 95 % upper limit of a Poisson rate: none seen 3.0, one 4.7, two 6.3, three 7.8, then by the normal distribution.
double upper_limit(int events) {
  constexpr std::array limits{3.0, 4.74, 6.30, 7.75, 9.15, 10.51};
  return events < static_cast<int>(limits.size()) ? limits[static_cast<std::size_t>(events)]
                                                  : events + 1.645 * std::sqrt(events) + 2;
}

struct Total {
  int movies = 0, sessions = 0, alarms = 0;
  void add(const std::string& name, const Outcome& out) {
    movies += out.movies;
    ++sessions;
    alarms += out.ringing > 0 ? 1 : 0;
    if (out.ringing > 0)
      fmt::print("  FALSE {}: {} of {} versions: {}\n", name, out.ringing, out.versions, out.texts.front());
  }
  void print(const char* what) const {
    fmt::print("{}: {} false alarms in {} sessions, {} movies: at most 1 in {:.0f} movies (95 %)\n", what, alarms,
               sessions, movies, movies / upper_limit(alarms));
  }
};

void print_fault(const std::string& name, const Outcome& out) {
  fmt::print("  {:45} {}\n", name,
             out.found_after > 0 ? fmt::format("after {} movies", out.found_after) : std::string("NOT FOUND"));
  if (!out.texts.empty()) fmt::print("      {}\n", out.texts.back());
}

}  // namespace

int watch(const std::string& file, std::uint64_t seed) {
  Rng rng(seed);
  Pools pools;
  for (auto& m : read_measured(file)) pools[m.session].push_back(std::move(m));
  Total optics, camera;
  fmt::print("Clean optics\n");
  for (const auto& c : clean_cases())
    for (const bool is_asked : {false, true}) {
      fmt::print("  {}{}\n", c.name, is_asked ? ", asked defocus known" : "");
      optics.add(c.name, watch_fits(session_of(pools[c.name], is_asked, 0, rng), AlarmKind::task));
    }
  fmt::print("Clean cameras\n");
  int odd = 0;
  for (const auto& c : clean_cameras()) camera.add(c.name, watch_camera(c, camera_movies, rng, odd));
  fmt::print("movies called odd: {}\n", odd);
  fmt::print("Faults of the optics\n");
  for (const auto& c : faulty_cases())
    for (const bool is_asked : {false, true})
      print_fault(c.name + (is_asked ? ", asked" : ""),
                  watch_fits(session_of(pools[c.name], is_asked, 0, rng), c.expected));
  for (const double um : {0.3, -0.3, 0.5})
    print_fault(fmt::format("defocus {:+.1f} um from what was asked", um),
                watch_fits(session_of(pools[clean_cases().front().name], true, -1e4 * um, rng), AlarmKind::defocus));
  fmt::print("Faults of the camera\n");
  int ignored = 0;
  for (const auto& c : faulty_cameras()) print_fault(c.name, watch_camera(c, camera_movies, rng, ignored));
  optics.print("Optics");
  camera.print("Camera");
  return 0;
}

}  // namespace frazil::bench
