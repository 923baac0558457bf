// ctf_bench COUNT SEED [KIND] [CSV]: errors, failures and calibration of both CTF estimators and their consensus on simulated spectra.
//
// KIND: good (default) or a way of spoiling (empty, drifted, crystalline, carbon, charging). One row a spectrum goes to CSV.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "frazil/algo/ctf/consensus.hpp"
#include "frazil/algo/ctf/fit.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/sim/simulator.hpp"

namespace {

using namespace frazil;

struct Row {
  sim::SpectrumScene scene;
  sim::DefocusBound bound;
  ctf::Fit a, b;
  double seconds_a = 0, seconds_b = 0;
  ctf::Consensus joined;
};

Row run(std::uint64_t seed, std::uint64_t index, const std::string& kind) {
  Rng rng = Rng(seed).stream(index);
  Row row;
  row.scene = sim::random_spectrum_scene(rng);
  for (const auto spoilt : {sim::Spoilt::empty, sim::Spoilt::drifted, sim::Spoilt::crystalline, sim::Spoilt::carbon, sim::Spoilt::charging})
    if (kind == sim::to_string(spoilt)) row.scene = sim::spoil(row.scene, spoilt, rng);
  row.bound = sim::defocus_bound(row.scene.ctf, row.scene.optics, row.scene.spec);
  ctf::PowerSpectrum power{sim::power_spectrum(row.scene.ctf, row.scene.optics, row.scene.spec, rng), row.scene.spec.pixel_size, 1.0 / row.scene.spec.tiles};
  const auto clock = [] {  // CPU time of this thread: the machine may be busy
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  const double start = clock();
  row.a = ctf::fit(power, row.scene.optics);
  const double middle = clock();
  row.b = ctf::fit_model(power, row.scene.optics);
  row.seconds_a = middle - start;
  row.seconds_b = clock() - middle;
  row.joined = ctf::join({{row.a.ctf, row.a.sigma_defocus, row.a.sigma_astigmatism}, {row.b.ctf, row.b.sigma_defocus, row.b.sigma_astigmatism}}, row.scene.optics, 4_A);
  return row;
}

double error_of(const Row& row, const ctf::Fit& fit) { return (fit.ctf.mean_defocus() - row.scene.ctf.mean_defocus()).value(); }

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
    if (std::abs(e) > 300) ++failed;
    else {
      ++core;
      z_core2 += e * e / (sigma * sigma);
      const auto [c, s] = astigmatism_error(row, f);
      astigmatism.push_back(std::hypot(c, s) / std::sqrt(2.0));
      za2 += (c * c + s * s) / 2 / std::pow(f.sigma_astigmatism.value(), 2);
    }
    z2 += std::min(25.0, e * e / (sigma * sigma));
  }
  const auto share = [](std::size_t part, std::size_t of) { return 100.0 * static_cast<double>(part) / static_cast<double>(std::max<std::size_t>(1, of)); };
  fmt::print("{}: {} spectra with bound < 50 A: median |error| {:.1f} A, failures (> 300 A) {} = {:.2f} %, z SD {:.2f} (without failures {:.2f}); astigmatism median error {:.1f} A, z SD {:.2f}; "
             "{} with bound > 150 A: error within 4 sigma {:.1f} %; CPU time median {:.3f} s\n",
             name, n, median(errors), failed, share(failed, n), std::sqrt(z2 / static_cast<double>(std::max<std::size_t>(1, n))),
             std::sqrt(z_core2 / static_cast<double>(std::max<std::size_t>(1, core))), median(astigmatism),
             std::sqrt(za2 / static_cast<double>(std::max<std::size_t>(1, core))), hard, share(honest, hard), median(times));
}

/// Accepted: the estimates agree to 4 Å, rings reach 8 Å, the error bar is below 300 Å and one solution stands out, as filter-ctf asks.
bool accepted(const Row& row) {
  return row.joined.agreement <= 4_A && row.a.fit_resolution <= 8_A && row.joined.sigma_defocus <= 300_A && row.a.quality.confidence >= 0.5;
}

void report_consensus(const std::vector<Row>& rows) {
  std::size_t kept = 0, wrong = 0, together = 0, clear = 0, clear_kept = 0, hard = 0, hard_fine = 0;
  for (const auto& row : rows) {
    const double truth = row.scene.ctf.mean_defocus().value(), a = error_of(row, row.a), b = error_of(row, row.b), e = row.joined.ctf.mean_defocus().value() - truth;
    const bool good = accepted(row);
    kept += good;
    wrong += good && std::abs(e) > 300;
    together += std::abs(a) > 300 && std::abs(b) > 300 && std::abs(a - b) < 300;
    clear += row.bound.defocus_A < 50;
    clear_kept += row.bound.defocus_A < 50 && good;
    hard += row.bound.defocus_A > 150;
    hard_fine += row.bound.defocus_A > 150 && (!good || std::abs(e) < 4 * row.joined.sigma_defocus.value());
  }
  fmt::print("consensus: accepted {} of {}, failures (> 300 A) among them {}; both estimators wrong by the same amount {}; of {} with bound < 50 A accepted {}; of {} with bound > 150 A set aside or honest {}\n",
             kept, rows.size(), wrong, together, clear, clear_kept, hard, hard_fine);
}

void write_csv(const std::string& path, const std::vector<Row>& rows) {
  std::ofstream out(path);
  out << "kv,defocus,astigmatism,dose,ice,carbon,protein,tiles,pixel,bound,error_a,sigma_a,res_a,score_a,conf_a,error_b,sigma_b,res_b,conf_b,sigast_a,east_a,iceness,visibility,strength,dir,sdir,spots,phase,misfit,outliers,end,b,ta,tb\n";
  for (const auto& r : rows) {
    const auto& q = r.a.quality;
    const auto [c, s] = astigmatism_error(r, r.a);
    out << fmt::format("{},{:.0f},{:.0f},{:.1f},{:.0f},{:.2f},{:.2f},{},{:.2f},{:.1f},{:.1f},{:.1f},{:.2f},{:.3f},{:.4f},{:.1f},{:.1f},{:.2f},{:.4f},{:.1f},{:.1f},{:.3f},{:.3f},{:.3f},{:.3f},{:.3f},{:.1f},{},{:.2f},{:.5f},{:.2f},{:.0f},{:.3f},{:.3f}\n",
                       r.scene.optics.voltage.value(), r.scene.ctf.mean_defocus().value(), r.scene.ctf.astigmatism().value(), r.scene.spec.dose.value(), r.scene.spec.ice.thickness_A,
                       r.scene.spec.carbon, r.scene.spec.protein, r.scene.spec.tiles, r.scene.spec.pixel_size.value(), r.bound.defocus_A, error_of(r, r.a), r.a.sigma_defocus.value(),
                       r.a.fit_resolution.value(), r.a.score, q.confidence, error_of(r, r.b), r.b.sigma_defocus.value(), r.b.fit_resolution.value(), r.b.quality.confidence,
                       r.a.sigma_astigmatism.value(), std::hypot(c, s) / std::sqrt(2.0), r.a.iceness, q.visibility, q.strength, q.directional_damping, q.sigma_directional, q.ice_spots,
                       static_cast<int>(q.ice_phase), q.background_misfit, q.outliers, q.envelope_end.value(), r.a.b_factor.value(), r.seconds_a, r.seconds_b);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "ctf_bench COUNT SEED [good|empty|drifted|crystalline|carbon|charging] [CSV]\n");
    return 2;
  }
  const auto count = static_cast<std::size_t>(std::stoul(argv[1]));
  const auto seed = static_cast<std::uint64_t>(std::stoull(argv[2]));
  const std::string kind = argc > 3 ? argv[3] : "good";
  std::vector<Row> rows(count);
  frazil::parallel_for(frazil::available_cpus(), count, [&](std::size_t i) { rows[i] = run(seed, i, kind); });
  if (kind == "good") {
    report("A (rings)", rows, &Row::a, &Row::seconds_a);
    report("B (model)", rows, &Row::b, &Row::seconds_b);
    report_consensus(rows);
  }
  if (argc > 4) write_csv(argv[4], rows);
  return 0;
}
