#include "frazil/algo/initvol/refine.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "frazil/base/parallel.hpp"

namespace frazil::initvol {
namespace {

using recon::BackProjector;
using recon::Projector;

constexpr int candidates = 8;         // of the exhaustive search that are refined a little
constexpr std::size_t finalists = 2;  // of those that are refined to the end

std::vector<std::size_t> members_of(const std::vector<int>& half, int wanted) {
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < half.size(); ++i)
    if (half[i] == wanted) list.push_back(i);
  return list;
}

/// Score of one particle against one reference, with scratch memory kept between calls.
class Matcher {
 public:
  Matcher(const ParticleSet& particles, const Projector& reference, std::span<const double> noise, std::size_t count)
      : particles_(particles),
        reference_(reference),
        count_(count),
        slice_(count),
        re_(count),
        im_(count),
        gain_(count) {
    for (std::size_t j = 1; j < count; ++j)
      gain_[j] = static_cast<float>(1 / noise[static_cast<std::size_t>(particles.plane().ring[j])]);
  }

  double score(std::size_t i, const Match& m) {
    reference_.slice(particles_.plane(), count_, m.rotation, slice_.data());
    particles_.centred(i, m.displacement_px, count_, true, re_.data(), im_.data());
    const float* c = particles_.ctf(i);
    double sum = 0;
    for (std::size_t j = 1; j < count_; ++j) {
      const float sr = slice_[j].real(), si = slice_[j].imag();
      sum += static_cast<double>(gain_[j] * (sr * re_[j] + si * im_[j] - 0.5F * c[j] * c[j] * (sr * sr + si * si)));
    }
    return sum;
  }

  /// Pattern search over two tilts of the view, the in-plane turn and the shift, halving the steps.
  Match climb(std::size_t i, Match m, Degrees from, Degrees to, double limit_px) {
    m.score = score(i, m);
    double shift_step = 1;
    for (Degrees step = from; step > to; step *= 0.5, shift_step *= 0.5)
      for (bool better = true; better;) {
        better = false;
        for (int axis = 0; axis < 5; ++axis)
          for (const int sign : {1, -1}) {
            Match trial = m;
            if (axis < 3)
              trial.rotation = recon::about_axis(recon::Vector3::Unit(axis), sign * step) * m.rotation;
            else
              trial.displacement_px(axis - 3) += sign * shift_step;
            if (trial.displacement_px.norm() > limit_px) continue;
            trial.score = score(i, trial);
            if (!(trial.score > m.score)) continue;  // a score that is not a number is no improvement
            m = trial;
            better = true;
            break;
          }
      }
    return m;
  }

 private:
  const ParticleSet& particles_;
  const Projector& reference_;
  std::size_t count_;
  std::vector<std::complex<float>> slice_;
  std::vector<float> re_, im_, gain_;
};

/// Exhaustive search at the resolution of the descent, around each particle's present position.
std::vector<std::vector<Match>> search(const Problem& problem, ParticleSet& particles,
                                       std::span<const std::size_t> members, const Projector& reference,
                                       std::span<const double> noise, int ring, const std::vector<Match>& last,
                                       Rng& rng) {
  const double limit_px = to_px(problem.params.max_shift, particles.pixel_size()),
               step_px = 0.25 * particles.box() / ring;
  for (const auto i : members) particles.offsets[i] = last[i].displacement_px;
  PoseGrid grid;
  grid.poses = random_pose_grid(problem.params.angular_step * 0.75, problem.symmetry, rng);
  set_shifts(grid, std::min(2 * step_px, limit_px), step_px, std::max(2 * step_px, 1.0));
  const auto count = static_cast<std::size_t>(particles.plane().prefix[static_cast<std::size_t>(ring)]);
  const auto found = expect_poses(particles, members, reference, grid, noise,
                                  {.count = count,
                                   .accumulate = false,
                                   .candidates = candidates,
                                   .threads = problem.threads,
                                   .check_cancelled = problem.check_cancelled});
  std::vector<std::vector<Match>> matches(members.size());
  for (std::size_t i = 0; i < members.size(); ++i)
    for (const auto& c : found.candidates[i]) matches[i].push_back({grid.poses[c.pose], c.displacement_px, c.score});
  return matches;
}

void sort_by_score(std::vector<Match>& list) {
  std::stable_sort(list.begin(), list.end(), [](const Match& a, const Match& b) { return a.score > b.score; });
}

void match(const Problem& problem, ParticleSet& particles, std::span<const std::size_t> members, const Volume& map,
           std::span<const double> noise, int ring, bool have_last, std::vector<Match>& matches, Rng& rng) {
  const auto& plane = particles.plane();
  const Projector reference(map, plane.max_k);
  const int coarse = std::min(ring, problem.ring_of(problem.params.resolution, plane));
  const auto starts = search(problem, particles, members, reference, noise, coarse, matches, rng);
  const auto count = static_cast<std::size_t>(plane.prefix[static_cast<std::size_t>(ring)]);
  const double limit_px = to_px(problem.params.max_shift, particles.pixel_size());
  const Degrees step = problem.params.angular_step * 0.375;
  constexpr std::size_t batch = 16;  // particles a turn of a thread: the result is the same
  parallel_for(problem.threads, (members.size() + batch - 1) / batch, [&](std::size_t b) {
    Matcher matcher(particles, reference, noise, count);
    for (std::size_t n = b * batch; n < std::min(members.size(), (b + 1) * batch); ++n) {
      if (problem.check_cancelled) problem.check_cancelled();
      auto list = starts[n];
      if (have_last) list.push_back(matches[members[n]]);
      for (auto& m : list) m = matcher.climb(members[n], m, step, step * 0.6, limit_px);
      sort_by_score(list);
      list.resize(std::min(list.size(), finalists));
      for (auto& m : list) m = matcher.climb(members[n], m, step * 0.5, 0.5_deg, limit_px);
      sort_by_score(list);
      matches[members[n]] = list.front();
    }
  });
}

/// Noise power from what the matched slices leave over.
void update_noise(const ParticleSet& particles, std::span<const std::size_t> members, const Volume& map,
                  const std::vector<Match>& matches, int ring, std::vector<double>& noise) {
  const auto& plane = particles.plane();
  const Projector reference(map, plane.max_k);
  const auto count = static_cast<std::size_t>(plane.prefix[static_cast<std::size_t>(ring)]);
  std::vector<std::complex<float>> slice(count);
  std::vector<float> re(count), im(count);
  std::vector<double> sum(noise.size()), entries(noise.size());
  for (const auto i : members) {
    reference.slice(plane, count, matches[i].rotation, slice.data());
    particles.centred(i, matches[i].displacement_px, count, false, re.data(), im.data());
    for (std::size_t j = 1; j < count; ++j) {
      const auto r = static_cast<std::size_t>(plane.ring[j]);
      sum[r] += std::norm(std::complex<float>(re[j], im[j]) - particles.ctf(i)[j] * slice[j]);
      entries[r] += 1;
    }
  }
  for (std::size_t r = 0; r < noise.size(); ++r)
    if (sum[r] > 0) noise[r] = sum[r] / entries[r];
}

BackProjector back_project(const Problem& problem, const ParticleSet& particles, std::span<const std::size_t> members,
                           const std::vector<Match>& matches, std::span<const double> noise) {
  constexpr std::size_t parts = 4;  // fixed, so that sums keep their order
  const auto& plane = particles.plane();
  std::vector<BackProjector> sums(parts, BackProjector(problem.work_box, plane.max_k, problem.work_pixel));
  parallel_for(problem.threads, parts, [&](std::size_t part) {
    std::vector<float> re(plane.size()), im(plane.size()), weight(plane.size());
    std::vector<std::complex<float>> value(plane.size());
    for (std::size_t n = part * members.size() / parts; n < (part + 1) * members.size() / parts; ++n) {
      const auto i = members[n];
      particles.centred(i, matches[i].displacement_px, plane.size(), true, re.data(), im.data());
      for (std::size_t j = 0; j < plane.size(); ++j) {
        const auto gain = static_cast<float>(1 / noise[static_cast<std::size_t>(plane.ring[j])]);
        value[j] = std::complex<float>(re[j], im[j]) * gain;
        weight[j] = particles.ctf(i)[j] * particles.ctf(i)[j] * gain;
      }
      for (const auto& g : problem.symmetry)
        sums[part].insert(plane, plane.size(), matches[i].rotation * g, value.data(), weight.data());
    }
  });
  for (std::size_t part = 1; part < parts; ++part) sums[0].add(sums[part]);
  return std::move(sums[0]);
}

/// FSC of a half turned into the weight that makes a half map (or, with `joined`, their mean) closest to the truth.
std::vector<double> wiener(const recon::Fsc& fsc, bool joined) {
  std::vector<double> weights;
  bool alive = true;  // after the curve has gone under 0.1 nothing further is believed
  for (std::size_t s = 0; s < fsc.values.size(); ++s) {
    const double f = std::clamp(fsc.values[s], 0.0, 1.0);
    alive = alive && (s < 2 || f > 0.1);
    weights.push_back(!alive ? 0 : joined ? 2 * f / (1 + f) : f);
  }
  return weights;
}

void mask_in_place(Volume& volume, const Volume& mask) {
  for (std::size_t i = 0; i < volume.size(); ++i) volume.data()[i] *= mask.data()[i];
}

Volume mean_of(const Volume& a, const Volume& b) {
  auto out = a.clone();
  for (std::size_t i = 0; i < out.size(); ++i) out.data()[i] = 0.5F * (a.data()[i] + b.data()[i]);
  return out;
}

/// Ring up to which the halves agree (FSC 0.143), and a little beyond so that more can grow.
int supported_ring(const recon::Fsc& fsc, int lowest, int highest) {
  std::size_t s = 1;
  while (s < fsc.values.size() && fsc.values[s] >= 0.143) ++s;
  return std::clamp(static_cast<int>(s) + 2, std::min(lowest, highest), highest);
}

}  // namespace

Refined refine(const Problem& problem, const ParticleSet& input, const Volume& start, std::vector<double> noise,
               Rng rng) {
  ParticleSet particles = input;
  const auto& plane = particles.plane();
  const auto mask = problem.mask();
  Refined out;
  out.half.resize(particles.size());
  for (auto& h : out.half) h = static_cast<int>(rng.below(2));
  out.matches.resize(particles.size());
  for (std::size_t i = 0; i < particles.size(); ++i) out.matches[i].displacement_px = particles.offsets[i];
  const std::array<std::vector<std::size_t>, 2> members{members_of(out.half, 0), members_of(out.half, 1)};
  const int first = problem.ring_of(problem.params.start_resolution, plane),
            last = problem.ring_of(problem.params.final_resolution, plane);
  int ring = first;
  const auto blurred = recon::low_pass(start, problem.params.start_resolution);
  std::array<Volume, 2> reference{blurred.clone(), blurred.clone()}, raw;
  for (int pass = 0; pass < problem.params.passes; ++pass) {
    if (problem.progress) problem.progress(static_cast<double>(pass) / problem.params.passes, "projection matching");
    auto next_noise = noise;
    for (std::size_t h = 0; h < 2; ++h) {
      match(problem, particles, members[h], reference[h], noise, ring, pass > 0, out.matches, rng);
      auto half_noise = noise;
      update_noise(particles, members[h], reference[h], out.matches, ring, half_noise);
      for (std::size_t r = 0; r < noise.size(); ++r)
        next_noise[r] = h == 0 ? half_noise[r] : 0.5 * (next_noise[r] + half_noise[r]);
      raw[h] = back_project(problem, particles, members[h], out.matches, noise).reconstruct();
    }
    noise = next_noise;
    out.fsc = recon::fourier_shell_correlation(raw[0], raw[1], &mask);
    for (std::size_t h = 0; h < 2; ++h) {
      reference[h] = recon::weight_shells(raw[h], wiener(out.fsc, false));
      mask_in_place(reference[h], mask);
    }
    ring = supported_ring(out.fsc, first, last);
  }
  out.volume = recon::weight_shells(mean_of(raw[0], raw[1]), wiener(out.fsc, true));
  mask_in_place(out.volume, mask);
  out.half1 = std::move(raw[0]);
  out.half2 = std::move(raw[1]);
  return out;
}

}  // namespace frazil::initvol
