// ctf_bench COUNT|FIRST-LAST SEED [KIND] [CSV]: errors, failures and calibration of both CTF estimators and their
// consensus on simulated spectra.
//
// KIND: good (default), a way of spoiling (empty, drifted, crystalline, carbon, charging), "time" (COUNT micrographs of
// 4096² in memory), or "sessions": COUNT acquisitions of 50 micrographs each with right settings, a wrong voltage, a
// pixel size wrong by 5 %, a wrong Cs and overfocus. One row a spectrum goes to CSV. "specimens" or "specimens:NAME":
// COUNT simulated micrographs of each kind of specimen, or of those whose name holds NAME; in place of CSV a folder
// that keeps the spectra (ctf_specimens.hpp).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>

#include "ctf_specimens.hpp"
#include "frazil/algo/ctf/fit.hpp"
#include "frazil/algo/ctf/synthetic.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/protocols/consensus_ctf.hpp"
#include "frazil/protocols/estimate_ctf.hpp"
#include "frazil/protocols/filter_ctf.hpp"
#include "frazil/protocols/monitor_ctf.hpp"
#include "frazil/sim/simulator.hpp"

namespace {

using namespace frazil;

struct Row {
  sim::SpectrumScene scene;
  sim::DefocusBound bound;
  ctf::Fit a, b;
  double seconds_a = 0, seconds_b = 0;
  CtfFit fused;
  flow::Decision decision;
  bool visible = true;  ///< the fault can be seen in the spectrum at all
};

double cpu_seconds() {  // of this thread: the machine may be busy
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Whether a sharp ring of ice stands out: (with / without − 1)² over the half-plane, in units of the speckle's
/// variance, above 100. Where the envelope has died before 3.7 Å nothing of it reaches the camera.
bool ring_shows(const sim::SpectrumScene& scene) {
  auto smooth = scene.spec;
  smooth.ice.crystalline = 0;
  const auto with = sim::expected_power_spectrum(scene.ctf, scene.optics, scene.spec),
             without = sim::expected_power_spectrum(scene.ctf, scene.optics, smooth);
  double sum = 0;
  for (std::size_t i = 0; i < with.size(); ++i) sum += std::pow(with.pixels()[i] / without.pixels()[i] - 1, 2) / 2;
  return sum * scene.spec.tiles > 100;
}

/// Limits of a user who wants good micrographs only: the criteria that tell the ways of spoiling apart, beside the
/// defaults. The rings of carbon film grow with the dose, which is one number of an acquisition (docs/guide/ctf.md).
protocols::FilterCtfParams strict_limits(const sim::SpectrumScene& scene) {
  protocols::FilterCtfParams p;
  p.max_astigmatism = 4000_A;  // the spectra reach 3000 Å
  p.max_iceness = 0.3;
  p.crystalline_ice = false;
  p.max_ice_spots = 15;
  p.max_strength = 0.17 * scene.spec.dose.value() * std::pow(300 / scene.optics.voltage.value(), 0.63);
  return p;
}

Row run(std::uint64_t seed, std::uint64_t index, const std::string& kind) {
  Rng rng = Rng(seed).stream(index);
  Row row;
  row.scene = sim::random_spectrum_scene(rng);
  for (const auto spoilt :
       {sim::Spoilt::empty, sim::Spoilt::drifted, sim::Spoilt::crystalline, sim::Spoilt::carbon, sim::Spoilt::charging})
    if (kind == sim::to_string(spoilt)) row.scene = sim::spoil(row.scene, spoilt, rng);
  if (kind == sim::to_string(sim::Spoilt::crystalline)) row.visible = ring_shows(row.scene);
  row.bound = sim::defocus_bound(row.scene.ctf, row.scene.optics, row.scene.spec);
  ctf::PowerSpectrum power{sim::power_spectrum(row.scene.ctf, row.scene.optics, row.scene.spec, rng),
                           row.scene.spec.pixel_size, 1.0 / row.scene.spec.tiles};
  const double start = cpu_seconds();
  row.a = ctf::fit(power, row.scene.optics);
  const double middle = cpu_seconds();
  row.b = ctf::fit_model(power, row.scene.optics);
  row.seconds_a = middle - start;
  row.seconds_b = cpu_seconds() - middle;
  const Micrograph mic{.path = std::to_string(index),
                       .name = {},
                       .nx = 0,
                       .ny = 0,
                       .pixel_size = row.scene.spec.pixel_size,
                       .optics = row.scene.optics,
                       .dose_weighted = false,
                       .thumbnail = {}};
  row.fused = protocols::fuse({}, {protocols::record_of(row.a, mic, protocols::CtfMethod::rings),
                                   protocols::record_of(row.b, mic, protocols::CtfMethod::model)})
                  .fused;
  row.decision = protocols::judge(strict_limits(row.scene), row.fused);
  return row;
}

double error_of(const Row& row, const ctf::Fit& fit) {
  return (fit.ctf.mean_defocus() - row.scene.ctf.mean_defocus()).value();
}

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::pair<double, double> astigmatism_error(const Row& row, const ctf::Fit& fit) {
  const auto vector = [](const Ctf& c) {
    const double a = c.astigmatism().value(), angle = 2 * to_rad(c.astigmatism_angle);
    return std::pair(a * std::cos(angle), a * std::sin(angle));
  };
  const auto [tc, ts] = vector(row.scene.ctf);
  const auto [fc, fs] = vector(fit.ctf);
  return {fc - tc, fs - ts};
}

void report(const char* name, const std::vector<Row>& rows, ctf::Fit Row::*fit, double Row::*seconds) {
  std::vector<double> errors, times, astigmatism;
  double z2 = 0, z_core2 = 0, za2 = 0;
  std::size_t n = 0, core = 0, failed = 0, honest = 0, hard = 0;
  for (const auto& row : rows) {
    const auto& f = row.*fit;
    const double e = error_of(row, f), sigma = f.sigma_defocus.value();
    times.push_back(row.*seconds);
    if (row.bound.defocus_A > 150) {
      ++hard;
      if (std::abs(e) < 4 * sigma) ++honest;
    }
    if (row.bound.defocus_A >= 50) continue;
    ++n;
    errors.push_back(std::abs(e));
    if (std::abs(e) > 300)
      ++failed;
    else {
      ++core;
      z_core2 += e * e / (sigma * sigma);
      const auto [c, s] = astigmatism_error(row, f);
      astigmatism.push_back(std::hypot(c, s) / std::sqrt(2.0));
      za2 += (c * c + s * s) / 2 / std::pow(f.sigma_astigmatism.value(), 2);
    }
    z2 += std::min(25.0, e * e / (sigma * sigma));
  }
  const auto share = [](std::size_t part, std::size_t of) {
    return 100.0 * static_cast<double>(part) / static_cast<double>(std::max<std::size_t>(1, of));
  };
  fmt::print(
      "{}: {} spectra with bound < 50 A: median |error| {:.1f} A, failures (> 300 A) {} = {:.2f} %, z SD {:.2f} "
      "(without failures {:.2f}); astigmatism median error {:.1f} A, z SD {:.2f}; "
      "{} with bound > 150 A: error within 4 sigma {:.1f} %; CPU time median {:.3f} s\n",
      name, n, median(errors), failed, share(failed, n),
      std::sqrt(z2 / static_cast<double>(std::max<std::size_t>(1, n))),
      std::sqrt(z_core2 / static_cast<double>(std::max<std::size_t>(1, core))), median(astigmatism),
      std::sqrt(za2 / static_cast<double>(std::max<std::size_t>(1, core))), hard, share(honest, hard), median(times));
}

double error_of(const Row& row, const CtfFit& fit) {
  return ((fit.defocus_u + fit.defocus_v) / 2 - row.scene.ctf.mean_defocus()).value();
}

void report_consensus(const std::vector<Row>& rows) {
  std::size_t accepted = 0, wrong = 0, together = 0, clear = 0, clear_accepted = 0, hard = 0, hard_fine = 0;
  std::map<std::string, int> rules;
  for (const auto& row : rows) {
    const double a = error_of(row, row.a), b = error_of(row, row.b), e = error_of(row, row.fused);
    accepted += row.decision.accepted();
    wrong += row.decision.accepted() && std::abs(e) > 300;
    together += std::abs(a) > 300 && std::abs(b) > 300 && std::abs(a - b) < 300;
    if (row.bound.defocus_A < 50) {
      ++clear;
      clear_accepted += row.decision.accepted();
      if (!row.decision.accepted()) ++rules[row.decision.rule];
    }
    if (row.bound.defocus_A > 150) {
      ++hard;
      hard_fine += !row.decision.accepted() || std::abs(e) < 4 * row.fused.sigma_defocus.value();
    }
  }
  fmt::print(
      "consensus: accepted {} of {}, failures (> 300 A) among them {}; both estimators wrong by the same amount {}; of "
      "{} with bound < 50 A set aside {} ({:.2f} %); of {} with bound > 150 A set aside or honest {}\n",
      accepted, rows.size(), wrong, together, clear, clear - clear_accepted,
      100.0 * static_cast<double>(clear - clear_accepted) / static_cast<double>(std::max<std::size_t>(1, clear)), hard,
      hard_fine);
  for (const auto& [rule, count] : rules) fmt::print("  good ones set aside by {}: {}\n", rule, count);
}

/// Rules that are right reasons for each way of spoiling (docs/guide/ctf.md); any other is a wrong one.
const std::map<std::string, std::vector<std::string>>& admissible() {
  static const std::vector<std::string> no_rings{"max_fit_resolution_A", "max_sigma_defocus_A", "min_confidence",
                                                 "max_agreement_A", "min_visibility"};
  static const auto with = [](std::vector<std::string> list, std::initializer_list<const char*> more) {
    list.insert(list.end(), more.begin(), more.end());
    return list;
  };
  static const std::map<std::string, std::vector<std::string>> table{
      {"empty", with(no_rings, {"min_defocus_A", "max_defocus_A"})},
      {"drifted", with(no_rings, {"max_directional_damping", "max_drift_A"})},
      {"crystalline", {"max_iceness", "crystalline_ice", "max_ice_spots"}},
      {"carbon", {"max_strength"}},
      {"charging",
       with(no_rings, {"max_directional_damping", "max_background_misfit", "max_drift_A", "max_thickness_A"})}};
  return table;
}

void report_spoilt(const std::string& kind, const std::vector<Row>& rows) {
  std::size_t aside = 0, right = 0, visible = 0, visible_aside = 0;
  std::map<std::string, int> rules;
  for (const auto& row : rows) {
    visible += row.visible;
    if (row.decision.accepted()) continue;
    ++aside;
    visible_aside += row.visible;
    ++rules[row.decision.rule];
    const auto& list = admissible().at(kind);
    right += std::find(list.begin(), list.end(), row.decision.rule) != list.end();
  }
  fmt::print("{}: {} spectra, set aside {:.1f} %, with an admissible reason {:.1f} %;", kind, rows.size(),
             100.0 * static_cast<double>(aside) / static_cast<double>(rows.size()),
             100.0 * static_cast<double>(right) / static_cast<double>(rows.size()));
  for (const auto& [rule, count] : rules) fmt::print(" {} {}", rule, count);
  if (visible < rows.size())
    fmt::print("; the fault shows in {} of them, of which set aside {}", visible, visible_aside);
  fmt::print("\n");
}

void write_csv(const std::string& path, const std::vector<Row>& rows) {
  std::ofstream out(path);
  out << "kv,defocus,astigmatism,dose,ice,carbon,protein,tiles,pixel,bound,error_a,sigma_a,res_a,score_a,conf_a,error_"
         "b,sigma_b,res_b,conf_b,sigast_a,east_a,iceness,visibility,strength,dir,sdir,spots,phase,misfit,outliers,end,"
         "b,ta,tb,error_f,sigma_f,accepted,rule,agreement,drift,sigma_drift,thickness,sigma_thickness,overfocus,cs,"
         "sigma_cs,visible\n";
  for (const auto& r : rows) {
    const auto& q = r.a.quality;
    const auto [c, s] = astigmatism_error(r, r.a);
    out << fmt::format(
        "{},{:.0f},{:.0f},{:.1f},{:.0f},{:.2f},{:.2f},{},{:.2f},{:.1f},{:.1f},{:.1f},{:.2f},{:.3f},{:.4f},{:.1f},{:.1f}"
        ",{:.2f},{:.4f},{:.1f},{:.1f},{:.3f},{:.3f},{:.3f},{:.3f},{:.3f},{:.1f},{},{:.2f},{:.5f},{:.2f},{:.0f},{:.3f},{"
        ":.3f},{:.1f},{:.1f},{},{},{:.2f},{:.2f},{:.2f},{:.0f},{:.0f},{:.1f},{:.3f},{:.3f},{:d}\n",
        r.scene.optics.voltage.value(), r.scene.ctf.mean_defocus().value(), r.scene.ctf.astigmatism().value(),
        r.scene.spec.dose.value(), r.scene.spec.ice.thickness_A, r.scene.spec.carbon, r.scene.spec.protein,
        r.scene.spec.tiles, r.scene.spec.pixel_size.value(), r.bound.defocus_A, error_of(r, r.a),
        r.a.sigma_defocus.value(), r.a.fit_resolution.value(), r.a.score, q.confidence, error_of(r, r.b),
        r.b.sigma_defocus.value(), r.b.fit_resolution.value(), r.b.quality.confidence, r.a.sigma_astigmatism.value(),
        std::hypot(c, s) / std::sqrt(2.0), r.a.iceness, q.visibility, q.strength, q.directional_damping,
        q.sigma_directional, q.ice_spots, static_cast<int>(q.ice_phase), q.background_misfit, q.outliers,
        q.envelope_end.value(), r.a.b_factor.value(), r.seconds_a, r.seconds_b, error_of(r, r.fused),
        r.fused.sigma_defocus.value(), r.decision.accepted() ? 1 : 0, r.decision.rule, r.fused.agreement.value(),
        q.drift.value(), q.sigma_drift.value(), r.a.thickness.value(), r.a.sigma_thickness.value(), q.overfocus,
        q.cs_deviation.value(), q.sigma_cs.value(), r.visible);
  }
}

enum class Mistake { none, voltage, pixel, cs, overfocus };

/// One acquisition at 300 kV and 1.1 A; what is told to the estimator may be wrong. @return after how many micrographs
/// an alarm rang, 0: never
int alarm_after(std::uint64_t seed, std::uint64_t index, Mistake mistake) {
  Rng rng = Rng(seed).stream(index).stream(static_cast<std::uint64_t>(mistake));
  const Optics truth{300_kV, 2.7_mm, 0.07};
  auto told = truth;
  Angstrom told_pixel = 1.1_A;
  if (mistake == Mistake::voltage) told.voltage = 200_kV;
  if (mistake == Mistake::pixel) told_pixel = 1.1_A * (rng.uniform() < 0.5 ? 1.05 : 0.95);
  if (mistake == Mistake::cs) told.cs = rng.uniform() < 0.5 ? 2.0_mm : 1.4_mm;
  CtfTrend trend;
  for (int i = 0; i < 50; ++i) {
    auto scene = sim::random_spectrum_scene(rng);
    scene.optics = truth;
    scene.spec.pixel_size = 1.1_A;
    scene.spec.envelope.b_factor_A2 = rng.uniform(50, 120);
    if (mistake == Mistake::overfocus) {
      std::swap(scene.ctf.defocus_u, scene.ctf.defocus_v);
      scene.ctf.defocus_u *= -1;
      scene.ctf.defocus_v *= -1;
    }
    const ctf::PowerSpectrum power{sim::power_spectrum(scene.ctf, truth, scene.spec, rng), told_pixel,
                                   1.0 / scene.spec.tiles};
    const Micrograph mic{.path = std::to_string(i),
                         .name = {},
                         .nx = 0,
                         .ny = 0,
                         .pixel_size = told_pixel,
                         .optics = told,
                         .dose_weighted = false,
                         .thumbnail = {}};
    const auto fit = protocols::record_of(ctf::fit(power, told), mic, protocols::CtfMethod::rings);
    protocols::FilterCtfParams limits;
    limits.max_astigmatism = 5000_A;
    limits.max_overfocus = 0;  // left to the alarm
    if (!protocols::judge(limits, fit).accepted()) continue;
    trend = protocols::extend({}, &trend, {fit});
    if (!trend.alarms.empty()) {
      if (mistake == Mistake::none) fmt::print("false alarm after {}: {}\n", i + 1, trend.alarms.front());
      return i + 1;
    }
  }
  if (mistake != Mistake::none)
    fmt::print("no alarm: {} fits, Cs seen minus given {:.2f} ± {:.2f} mm, {} ice rings\n", trend.count,
               trend.cs_deviation.value(), trend.sigma_cs.value(), trend.ice_A.size());
  return 0;
}

void report_sessions(std::uint64_t seed, std::size_t first, std::size_t count) {
  const std::array<std::pair<const char*, Mistake>, 5> kinds{{{"right settings", Mistake::none},
                                                              {"voltage 200 for 300 kV", Mistake::voltage},
                                                              {"pixel size 5 % off", Mistake::pixel},
                                                              {"Cs 2.0 or 1.4 for 2.7 mm", Mistake::cs},
                                                              {"overfocus", Mistake::overfocus}}};
  for (const auto& [name, mistake] : kinds) {
    std::vector<int> after(count);
    parallel_for(available_cpus(), count,
                 [&, m = mistake](std::size_t i) { after[i] = alarm_after(seed, first + i, m); });
    std::vector<double> rang;
    for (const int n : after)
      if (n > 0) rang.push_back(n);
    fmt::print("{}: alarm within 50 micrographs in {} of {} acquisitions, median after {:.0f}\n", name, rang.size(),
               count, median(rang));
  }
}

/// From a micrograph of 4096² in memory to the result, on one core.
void report_time(std::uint64_t seed, std::size_t count) {
  std::vector<double> spectrum, rings, model;
  for (std::size_t i = 0; i < count; ++i) {
    Rng rng = Rng(seed).stream(i);
    auto scene = ctf::synthetic::random_scene(rng);
    scene.nx = scene.ny = 4096;
    scene.pixel_A = 1.1;
    const auto image = ctf::synthetic::micrograph(scene, rng);
    const Optics optics{Kilovolt(scene.voltage_V / 1e3), Millimetre(scene.cs_A * 1e-7), scene.amplitude_contrast};
    const double start = cpu_seconds();
    const auto power = ctf::power_spectrum(image, Angstrom(scene.pixel_A), {.box = 512, .threads = 1});
    const double spectrum_done = cpu_seconds();
    const auto a = ctf::fit(power, optics);
    const double rings_done = cpu_seconds();
    const auto b = ctf::fit_model(power, optics);
    spectrum.push_back(spectrum_done - start);
    rings.push_back(rings_done - spectrum_done);
    model.push_back(cpu_seconds() - rings_done);
    fmt::print("micrograph {}: mean defocus {:.0f} A, A {:.0f}, B {:.0f}\n", i,
               (scene.defocus_1_A + scene.defocus_2_A) / 2, a.ctf.mean_defocus().value(), b.ctf.mean_defocus().value());
  }
  fmt::print(
      "4096 x 4096 in memory, core-seconds, medians of {}: spectrum {:.3f}, A (rings) {:.3f}, B (model) {:.3f}\n",
      count, median(spectrum), median(rings), median(model));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr,
                 "ctf_bench COUNT|FIRST-LAST SEED "
                 "[good|empty|drifted|crystalline|carbon|charging|sessions|time|specimens[:NAME]] [CSV]\n");
    return 2;
  }
  const std::string range = argv[1];
  const auto dash = range.find('-');  // FIRST-LAST, from 0: a part of a long run
  const std::size_t first = dash == std::string::npos ? 0 : std::stoul(range.substr(0, dash));
  const std::size_t count =
      dash == std::string::npos ? std::stoul(range) : std::stoul(range.substr(dash + 1)) + 1 - first;
  const auto seed = static_cast<std::uint64_t>(std::stoull(argv[2]));
  const std::string kind = argc > 3 ? argv[3] : "good";
  if (kind == "sessions") {
    report_sessions(seed, first, count);
    return 0;
  }
  if (kind.starts_with("specimens")) {
    frazil::bench::report_specimens(first, count, seed,
                                    kind.substr(std::min(kind.size(), std::string("specimens:").size())),
                                    argc > 4 ? argv[4] : "");
    return 0;
  }
  if (kind == "time") {
    report_time(seed, count);
    return 0;
  }
  std::vector<Row> rows(count);
  frazil::parallel_for(frazil::available_cpus(), count, [&](std::size_t i) { rows[i] = run(seed, first + i, kind); });
  if (kind == "good") {
    report("A (rings)", rows, &Row::a, &Row::seconds_a);
    report("B (model)", rows, &Row::b, &Row::seconds_b);
    report_consensus(rows);
  } else if (admissible().contains(kind)) {
    report_spoilt(kind, rows);
  }
  if (argc > 4) write_csv(argv[4], rows);
  return 0;
}
