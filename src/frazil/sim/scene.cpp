#include "frazil/sim/scene.hpp"

#include <algorithm>
#include <cmath>

namespace frazil::sim {

std::vector<std::string> check(const Scene& scene) {
  std::vector<std::string> problems;
  if (scene.nx % 2 != 0 || scene.ny % 2 != 0)
    problems.push_back(fmt::format("nx and ny must be even, not {} and {}", scene.nx, scene.ny));
  if (scene.defocus_min > scene.defocus_max) problems.push_back("defocus_min exceeds defocus_max");
  if (scene.phase_shift_min > scene.phase_shift_max) problems.push_back("phase_shift_min exceeds phase_shift_max");
  if (scene.specimens.empty()) problems.push_back("specimens is empty: name at least one");
  if (scene.shares.size() != scene.specimens.size())
    problems.push_back(
        fmt::format("shares has {} entries for {} specimens", scene.shares.size(), scene.specimens.size()));
  if (std::any_of(scene.shares.begin(), scene.shares.end(), [](double s) { return !(s >= 0); }))
    problems.push_back("shares must not be negative");
  else if (std::all_of(scene.shares.begin(), scene.shares.end(), [](double s) { return s == 0; }))
    problems.push_back("shares must not all be 0");
  if (scene.box % 2 != 0) problems.push_back(fmt::format("box must be even, not {}", scene.box));
  if (scene.prefix.empty() || scene.prefix.find('/') != std::string::npos)
    problems.push_back("prefix must be a file name without folders");
  return problems;
}

Scene scene_from_json(const Json& json, const std::string& name) {
  std::vector<std::string> problems;
  auto given = json;
  if (given.is_object() && given.contains("specimens") && given["specimens"].is_array() && !given.contains("shares"))
    given["shares"] = std::vector<double>(given["specimens"].size(), 1.0);  // equal shares unless said otherwise
  auto scene = params_from_json<Scene>(given, problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}: {}", name, fmt::join(problems, "; "));
  return scene;
}

Ctf draw_ctf(const Scene& scene, Rng& rng) {
  const double mean_A = rng.uniform(scene.defocus_min.value(), scene.defocus_max.value());
  const double astigmatism_A = scene.astigmatism.value() * std::hypot(rng.normal(), rng.normal());
  const Degrees angle(rng.uniform(0, 180)),
      phase(rng.uniform(scene.phase_shift_min.value(), scene.phase_shift_max.value()));
  return {Angstrom(mean_A + astigmatism_A / 2), Angstrom(mean_A - astigmatism_A / 2), angle, phase, Angstrom2(0)};
}

}  // namespace frazil::sim
