#include <algorithm>
#include <cmath>
#include <fstream>

#include "frazil/algo/ctf/fit.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/protocols/estimate_ctf.hpp"
#include "frazil/sim/simulator.hpp"
#include "watch_sessions.hpp"

namespace frazil::bench {
namespace {

CtfFit run(const OpticsCase& session, Rng& rng, double& true_defocus) {
  sim::SpectrumSpec spec;
  spec.pixel_size = session.pixel_size;
  spec.dose = session.dose;
  spec.tiles = session.tiles;
  spec.ice.thickness_A = spec.depth_A = session.ice_A * std::exp(0.2 * rng.normal());
  spec.ice.crystalline = rng.uniform() < session.crystalline ? rng.uniform(10, 40) : 0;
  spec.protein = session.protein * std::exp(0.3 * rng.normal());
  spec.envelope = {session.b_factor * std::exp(0.2 * rng.normal()), 40, 0.02};
  spec.noise_slope = rng.uniform(0, 0.4);
  spec.halo = rng.uniform(0.5, 5);
  const double mean = rng.uniform(7000, 22000), astigmatism = 100 * std::hypot(rng.normal(), rng.normal());
  const auto ctf = canonical({Angstrom(mean + astigmatism / 2),
                              Angstrom(mean - astigmatism / 2),
                              Degrees(rng.uniform(0, 180)),
                              session.phase,
                              {}});
  true_defocus = mean;
  const Optics truth{session.voltage, session.cs, rng.uniform(0.07, 0.1)},
      told{session.told_voltage, session.told_cs, 0.1};
  ctf::PowerSpectrum power{sim::power_spectrum(ctf, truth, spec, rng), session.told_pixel_size, 1.0 / session.tiles};
  power.power.pixel_size = session.told_pixel_size;
  Micrograph micrograph;
  micrograph.pixel_size = session.told_pixel_size;
  micrograph.optics = told;
  return protocols::record_of(ctf::fit(power, told), micrograph, protocols::CtfMethod::rings);
}

}  // namespace

std::vector<OpticsCase> clean_cases() {
  std::vector<OpticsCase> list;
  const auto add = [&](OpticsCase c) { list.push_back(std::move(c)); };
  add({.name = "300 kV, 1 A, 40 e, 400 A of ice"});
  add({.name = "300 kV, 0.83 A, thin ice", .pixel_size = 0.83_A, .ice_A = 200});
  add({.name = "300 kV, 1.1 A, thick ice", .pixel_size = 1.1_A, .ice_A = 800});
  add({.name = "300 kV, 0.65 A, small protein", .pixel_size = 0.65_A, .ice_A = 250, .protein = 0.2, .b_factor = 60});
  add({.name = "300 kV, 1.5 A, 1024 camera", .pixel_size = 1.5_A, .tiles = 12});
  add({.name = "300 kV, 1.2 A, low dose", .pixel_size = 1.2_A, .dose = 15_e_per_A2});
  add({.name = "300 kV, crowded", .protein = 1.5, .b_factor = 120});
  add({.name = "300 kV, strong decay", .b_factor = 250});
  add({.name = "300 kV, corrector", .cs = 0.01_mm, .told_cs = 0.01_mm});
  add({.name = "300 kV, corrector, 0.7 A", .cs = 0_mm, .told_cs = 0_mm, .pixel_size = 0.7_A, .b_factor = 50});
  add({.name = "300 kV, 1.4 mm", .cs = 1.4_mm, .told_cs = 1.4_mm});
  add({.name = "300 kV, sharp ice at times", .pixel_size = 1.05_A, .crystalline = 0.5});
  add({.name = "300 kV, high dose", .pixel_size = 0.9_A, .dose = 70_e_per_A2, .protein = 1});
  add({.name = "300 kV, 2 A", .pixel_size = 1.4_A, .ice_A = 500});
  add({.name = "200 kV, 1 A", .voltage = 200_kV, .told_voltage = 200_kV});
  add({.name = "200 kV, 0.7 A", .voltage = 200_kV, .told_voltage = 200_kV, .pixel_size = 0.7_A, .ice_A = 250});
  add({.name = "200 kV, thick ice", .voltage = 200_kV, .told_voltage = 200_kV, .pixel_size = 1.2_A, .ice_A = 700});
  add({.name = "200 kV, 2.0 mm", .voltage = 200_kV, .told_voltage = 200_kV, .cs = 2.0_mm, .told_cs = 2.0_mm});
  add({.name = "200 kV, 1.4 mm, decay",
       .voltage = 200_kV,
       .told_voltage = 200_kV,
       .cs = 1.4_mm,
       .told_cs = 1.4_mm,
       .b_factor = 180});
  add({.name = "100 kV, 1.6 mm", .voltage = 100_kV, .told_voltage = 100_kV, .cs = 1.6_mm, .told_cs = 1.6_mm});
  add({.name = "120 kV, 2.7 mm", .voltage = 120_kV, .told_voltage = 120_kV, .pixel_size = 1.3_A});
  add({.name = "300 kV, hardly any rings", .dose = 10_e_per_A2, .ice_A = 150, .protein = 0.1, .b_factor = 150});
  for (auto& c : list) c.told_pixel_size = c.pixel_size;
  return list;
}

std::vector<OpticsCase> faulty_cases() {
  std::vector<OpticsCase> list;
  const auto add = [&](OpticsCase c, double pixel_factor = 1) {
    c.told_pixel_size = c.pixel_size * pixel_factor;
    list.push_back(std::move(c));
  };
  constexpr auto kV = AlarmKind::voltage, mm = AlarmKind::cs, px = AlarmKind::pixel_size;
  add({.name = "200 kV told for 300", .told_voltage = 200_kV, .expected = kV});
  add({.name = "300 kV told for 200", .voltage = 200_kV, .expected = kV});
  add({.name = "120 kV told for 300", .told_voltage = 120_kV, .expected = kV});
  add({.name = "200 kV told for 300, 1.5 A, 12 tiles",
       .told_voltage = 200_kV,
       .pixel_size = 1.5_A,
       .tiles = 12,
       .expected = kV});
  add({.name = "200 kV told for 300, corrector",
       .told_voltage = 200_kV,
       .cs = 0.01_mm,
       .told_cs = 0.01_mm,
       .expected = kV});
  add({.name = "Cs 2.7 mm told for 0", .cs = 0_mm, .expected = mm});
  add({.name = "Cs 2.7 mm told for 1.4", .cs = 1.4_mm, .expected = mm});
  add({.name = "Cs 0.01 mm told for 2.7", .told_cs = 0.01_mm, .expected = mm});
  add({.name = "Cs 2.7 mm told for 1.4, 200 kV",
       .voltage = 200_kV,
       .told_voltage = 200_kV,
       .cs = 1.4_mm,
       .expected = mm});
  for (const double factor : {0.97, 1.03, 0.95, 1.05, 0.9, 1.1, 0.8, 1.25})
    add({.name = fmt::format("pixel size {:+.0f} %", 100 * (factor - 1)), .expected = px}, factor);
  add({.name = "pixel size +3 %, 200 kV", .voltage = 200_kV, .told_voltage = 200_kV, .expected = px}, 1.03);
  add({.name = "pixel size +3 %, 0.7 A, fine rings", .pixel_size = 0.7_A, .b_factor = 50, .tiles = 120, .expected = px},
      1.03);
  add({.name = "pixel size -20 %, 1.5 A, 12 tiles", .pixel_size = 1.5_A, .tiles = 12, .expected = px}, 0.8);
  add({.name = "pixel size +3 %, sharp ice, corrector",
       .cs = 0.01_mm,
       .told_cs = 0.01_mm,
       .crystalline = 0.4,
       .expected = px},
      1.03);
  add({.name = "sensor's pixel for super-resolution", .pixel_size = 0.5_A, .expected = px}, 2);
  add({.name = "phase plate not told, 90 deg", .phase = 90_deg, .expected = AlarmKind::phase});
  add({.name = "phase plate not told, 40 deg", .phase = 40_deg, .expected = AlarmKind::phase});
  return list;
}

int measure(const std::string& file, int fits) {
  auto cases = clean_cases();
  const auto faulty = faulty_cases();
  cases.insert(cases.end(), faulty.begin(), faulty.end());
  std::ofstream out(file);
  for (std::size_t c = 0; c < cases.size(); ++c) {
    std::vector<std::string> lines(static_cast<std::size_t>(fits));
    parallel_for(available_cpus(), lines.size(), [&](std::size_t i) {
      Rng rng(1000 * (c + 1) + i);
      double truth = 0;
      auto fit = run(cases[c], rng, truth);
      fit.bend.clear();
      lines[i] = Json{{"session", cases[c].name}, {"true_defocus_A", truth}, {"fit", record_to_json(fit)}}.dump();
    });
    for (const auto& line : lines) out << line << "\n";
    out.flush();
    fmt::print("{}\n", cases[c].name);
  }
  return out ? 0 : 2;
}

std::vector<MeasuredFit> read_measured(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw Error(ErrorCode::not_found, "{}: cannot be opened", file);
  std::vector<MeasuredFit> list;
  for (std::string line; std::getline(in, line);) {
    const auto json = Json::parse(line);
    list.push_back({json.at("session"), json.at("true_defocus_A"), record_from_json<CtfFit>(json.at("fit"))});
  }
  return list;
}

}  // namespace frazil::bench
