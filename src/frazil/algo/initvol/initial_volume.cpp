#include "frazil/algo/initvol/initial_volume.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "frazil/algo/initvol/descent.hpp"
#include "frazil/algo/initvol/refine.hpp"
#include "frazil/algo/recon/symmetry.hpp"
#include "frazil/image/ops.hpp"

namespace frazil::initvol {
namespace {

constexpr double held_out_fraction = 0.1;  // judges the starts: tells their order, and costs the map 5 % of its SNR

/// Random subset of at most `limit` indices, in increasing order.
std::vector<std::size_t> choose(std::size_t count, std::size_t limit, Rng rng) {
  std::vector<std::size_t> all(count);
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (count <= limit) return all;
  for (std::size_t i = 0; i < limit; ++i) std::swap(all[i], all[i + rng.below(count - i)]);
  all.resize(limit);
  std::sort(all.begin(), all.end());
  return all;
}

ParticleImage copy(const ParticleImage& p) { return {p.image.clone(), p.ctf, p.optics, p.origin_x, p.origin_y}; }

Problem make_problem(const InitialVolumeParams& params, int box, Angstrom pixel, int threads) {
  Problem problem;
  problem.params = params;
  problem.symmetry = recon::symmetry_operators(params.symmetry);
  problem.threads = threads;
  const Angstrom field = box * pixel;
  if (params.diameter <= 0_A) problem.params.diameter = 0.85 * field;
  if (problem.params.diameter > field)
    throw Error(ErrorCode::bad_input,
                "initial volume: the diameter of {:.0f} Å exceeds the images, which are {:.0f} Å wide",
                params.diameter.value(), field.value());
  problem.params.resolution = std::max(params.resolution, params.final_resolution);
  problem.params.start_resolution = std::max(params.start_resolution, problem.params.resolution);
  return problem;
}

/// Finest ring needed, and a box just large enough for it: all work is done on so few voxels.
int set_work_box(Problem& problem, int box, Angstrom pixel) {
  const int max_k =
      std::clamp(static_cast<int>(std::ceil(box * (pixel / problem.params.final_resolution))), 3, box / 2 - 1);
  problem.work_box = std::min(box, good_size(2 * max_k + 4));
  problem.work_pixel = pixel * (static_cast<double>(box) / problem.work_box);
  return max_k;
}

/// From the box of the search to that of the particles; a projection keeps the scale of the images.
Volume to_box(const Volume& volume, int box) {
  auto out = fourier_resize(volume, box);
  const auto scale = static_cast<float>(std::pow(static_cast<double>(volume.nx()) / box, 3));
  for (auto& v : out.voxels()) v *= scale;
  return out;
}

struct Starts {
  std::vector<Descent> runs;
  std::vector<double> scores;
  std::size_t best = 0;
};

/// All starts, judged by particles that none of them has seen, with one noise spectrum for all.
Starts run_starts(Problem problem, const ParticleSet& particles, const Rng& rng) {
  std::vector<std::size_t> train, held;
  Rng split = rng.stream("held out");
  for (std::size_t i = 0; i < particles.size(); ++i) (split.uniform() < held_out_fraction ? held : train).push_back(i);
  if (held.empty()) held = train;
  Starts s;
  const auto outer = problem.progress;
  const int count = problem.params.starts;
  for (int i = 0; i < count; ++i) {
    problem.progress = [&](double f, std::string_view what) {
      if (outer) outer(0.7 * (i + f) / count, what);
    };
    s.runs.push_back(descend(problem, particles, train, rng.stream("start").stream(static_cast<std::uint64_t>(i))));
  }
  std::vector<double> noise(s.runs.front().noise.size());
  for (const auto& run : s.runs)
    for (std::size_t r = 0; r < noise.size(); ++r) noise[r] += run.noise[r] / count;
  for (const auto& run : s.runs) s.scores.push_back(held_out_score(problem, particles, held, run.volume, noise));
  s.best = static_cast<std::size_t>(std::max_element(s.scores.begin(), s.scores.end()) - s.scores.begin());
  return s;
}

InitialVolume collect(const Problem& problem, const ParticleSet& particles, const std::vector<std::size_t>& chosen,
                      Refined refined) {
  InitialVolume out;
  const int box = particles.box();
  out.volume = to_box(refined.volume, box);
  out.half1 = to_box(refined.half1, box);
  out.half2 = to_box(refined.half2, box);
  out.fsc = std::move(refined.fsc);
  out.resolution = recon::fsc_at(out.fsc, 0.143).value_or(problem.params.final_resolution);
  const Angstrom pixel = particles.pixel_size();
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const auto& m = refined.matches[i];
    out.poses.push_back({chosen[i], m.rotation, -m.displacement_px.x() * pixel, -m.displacement_px.y() * pixel, m.score,
                         refined.half[i]});
  }
  return out;
}

}  // namespace

InitialVolume initial_volume(std::span<const ParticleImage> particles, const InitialVolumeParams& params,
                             const Rng& rng, int threads, const Hooks& hooks) {
  if (particles.size() < fewest_particles)
    throw Error(ErrorCode::bad_input, "initial volume: at least {} particles are needed, found {}", fewest_particles,
                particles.size());
  const auto& first = particles.front().image;
  auto problem = make_problem(params, first.nx(), first.pixel_size, threads);
  problem.progress = hooks.progress;
  problem.check_cancelled = hooks.check_cancelled;
  const int max_k = set_work_box(problem, first.nx(), first.pixel_size);
  const auto chosen = choose(particles.size(), static_cast<std::size_t>(params.max_particles), rng.stream("subset"));
  std::vector<ParticleImage> subset;
  if (chosen.size() < particles.size())
    for (const auto i : chosen) subset.push_back(copy(particles[i]));
  ParticleSet set(subset.empty() ? particles : std::span<const ParticleImage>(subset), max_k, problem.params.diameter,
                  params.max_shift, threads);
  subset.clear();
  auto starts = run_starts(problem, set, rng);
  auto& best = starts.runs[starts.best];
  set.offsets = best.offsets;
  problem.progress = [&](double f, std::string_view what) {
    if (hooks.progress) hooks.progress(0.7 + 0.3 * f, what);
  };
  auto out = collect(problem, set, chosen, refine(problem, set, best.volume, best.noise, rng.stream("halves")));
  out.start_scores = starts.scores;
  out.score = starts.scores[starts.best];
  return out;
}

}  // namespace frazil::initvol
