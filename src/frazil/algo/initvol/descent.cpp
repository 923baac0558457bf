#include "frazil/algo/initvol/descent.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "frazil/image/fft.hpp"

namespace frazil::initvol {
namespace {

using recon::BackProjector;
using recon::Projector;

constexpr double prior_strength =
    100;  // τ² is this many times the power of the present map: only what is almost nothing is held back

/// Walks through a shuffled list again and again.
class Deck {
 public:
  Deck(std::span<const std::size_t> members, Rng rng) : cards_(members.begin(), members.end()), rng_(rng) { shuffle(); }
  std::vector<std::size_t> draw(std::size_t count) {
    std::vector<std::size_t> hand;
    while (hand.size() < std::min(count, cards_.size())) {
      if (next_ == cards_.size()) shuffle();
      hand.push_back(cards_[next_++]);
    }
    return hand;
  }

 private:
  void shuffle() {
    for (std::size_t i = cards_.size(); i > 1; --i) std::swap(cards_[i - 1], cards_[rng_.below(i)]);
    next_ = 0;
  }
  std::vector<std::size_t> cards_;
  std::size_t next_ = 0;
  Rng rng_;
};

void apply_mask(Volume& volume, const Volume& mask) {
  for (std::size_t i = 0; i < volume.size(); ++i) volume.data()[i] *= mask.data()[i];
}

/// Back-projection of particles at random poses: a blob of the right size and power, without any structure to trust.
Volume random_start(const Problem& problem, const ParticleSet& particles, std::span<const std::size_t> members,
                    std::span<const double> noise, Rng& rng) {
  const auto& plane = particles.plane();
  const auto count = static_cast<std::size_t>(
      plane.prefix[static_cast<std::size_t>(problem.ring_of(problem.params.start_resolution, plane))]);
  BackProjector back(problem.work_box, plane.max_k, problem.work_pixel);
  std::vector<float> re(count), im(count), weight(count);
  std::vector<std::complex<float>> value(count);
  for (const auto i : members) {
    particles.centred(i, particles.offsets[i], count, true, re.data(), im.data());
    for (std::size_t j = 0; j < count; ++j) {
      const auto gain = static_cast<float>(1 / noise[static_cast<std::size_t>(plane.ring[j])]);
      value[j] = std::complex<float>(re[j], im[j]) * gain;
      weight[j] = particles.ctf(i)[j] * particles.ctf(i)[j] * gain;
    }
    const recon::Matrix3 pose = recon::random_rotation(rng);
    for (const auto& g : problem.symmetry) back.insert(plane, count, pose * g, value.data(), weight.data());
  }
  auto volume = back.reconstruct();
  apply_mask(volume, problem.mask());
  return volume;
}

/// How far the annealing has come at step i of n: resolution, angular step, batch, step length.
struct Schedule {
  int ring = 0;
  std::size_t batch = 0;
  float step_length = 0, inertia = 0, memory = 0;
  Degrees angle{};

  Schedule(const Problem& problem, const recon::Plane& plane, int i) {
    const auto& p = problem.params;
    const double t = p.iterations > 1 ? static_cast<double>(i) / (p.iterations - 1) : 1;
    const double rise = std::clamp((t - 0.3) / 0.5, 0.0, 1.0);
    const int first = problem.ring_of(p.start_resolution, plane), last = problem.ring_of(p.resolution, plane);
    ring = static_cast<int>(std::lround(first + rise * (last - first)));
    batch = static_cast<std::size_t>(
        std::lround(p.first_batch * std::pow(static_cast<double>(p.last_batch) / p.first_batch, rise)));
    const auto settle = static_cast<float>(
        std::clamp((t - 0.6) / 0.4, 0.0, 1.0));  // large noisy steps find the basin, small ones its floor
    step_length = 1 - 0.7F * settle;
    inertia = 0.9F - 0.2F * settle;
    memory = 0.2F + 0.6F * settle;
    // A turn by this angle moves the rim of the particle by about half the resolution.
    const double diameter_px = to_px(p.diameter, problem.work_pixel);
    angle = std::clamp(from_rad(problem.work_box / (ring * diameter_px)), p.angular_step, 20_deg);
  }
};

std::vector<double> inverse_prior(const Volume& volume, int max_k) {
  auto power = shell_power(volume, max_k);
  for (auto& p : power) p = p > 0 ? 1 / (prior_strength * p) : 0;
  return power;
}

void update_offsets(ParticleSet& particles, std::span<const std::size_t> members, const Expectation& found,
                    double limit_px) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    auto& offset = particles.offsets[members[i]];
    offset += found.mean_shift_px[i];
    if (offset.norm() > limit_px) offset *= limit_px / offset.norm();
  }
}

}  // namespace

int Problem::ring_of(Angstrom resolution, const recon::Plane& plane) const {
  const double ring = work_box * (work_pixel / resolution);
  return std::clamp(static_cast<int>(std::lround(ring)), 2, plane.max_k);
}

Volume Problem::mask() const {
  return recon::ball_mask(work_box, work_pixel, params.diameter,
                          std::min(3 * work_pixel, work_box * work_pixel / 2 - params.diameter / 2));
}

std::vector<double> shell_power(const Volume& volume, int max_k) {
  const auto spectrum = fft(volume);
  const int n = volume.nx();
  std::vector<double> sum(static_cast<std::size_t>(max_k) + 1), count(sum.size());
  for (int z = -max_k; z <= max_k; ++z)
    for (int y = -max_k; y <= max_k; ++y)
      for (int x = 0; x <= max_k; ++x) {
        const auto ring = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(x * x + y * y + z * z))));
        if (ring >= sum.size()) continue;
        sum[ring] += std::norm(spectrum(x, y < 0 ? y + n : y, z < 0 ? z + n : z));
        count[ring] += 1;
      }
  for (std::size_t r = 0; r < sum.size(); ++r) sum[r] /= count[r];
  return sum;
}

Descent descend(const Problem& problem, ParticleSet particles, std::span<const std::size_t> members, Rng rng,
                const Volume* start) {
  const auto& plane = particles.plane();
  const auto mask = problem.mask();
  auto noise = particles.mean_power(members);
  Deck deck(members, rng.stream("batches"));
  Rng start_rng = rng.stream("start"), grid_rng = rng.stream("grid");
  auto volume = start != nullptr
                    ? start->clone()
                    : random_start(problem, particles, deck.draw(static_cast<std::size_t>(problem.params.first_batch)),
                                   noise, start_rng);
  Volume velocity(problem.work_box, problem.work_box, problem.work_box, problem.work_pixel);
  BackProjector gathered(problem.work_box, plane.max_k, problem.work_pixel);
  const double limit_px = to_px(problem.params.max_shift, particles.pixel_size());
  for (int i = 0; i < problem.params.iterations; ++i) {
    const Schedule now(problem, plane, i);
    const auto count = static_cast<std::size_t>(plane.prefix[static_cast<std::size_t>(now.ring)]);
    const auto batch = deck.draw(now.batch);
    PoseGrid grid;
    grid.poses = random_pose_grid(now.angle, problem.symmetry, grid_rng);
    const double shift_step = 0.25 * particles.box() / now.ring;
    set_shifts(grid, std::min(2 * shift_step, limit_px), shift_step, std::max(shift_step, 1.0));
    const Projector reference(volume, plane.max_k);
    const auto found =
        expect_poses(particles, batch, reference, grid, noise,
                     {.count = count, .threads = problem.threads, .check_cancelled = problem.check_cancelled});
    // Σ CTF·X/σ² and the preconditioner Σ CTF²/σ² of this batch and, fading, of the last ones.
    gathered.scale(now.memory);
    insert_slices(gathered, particles, grid, found, noise, count, problem.symmetry, problem.threads);
    auto target = gathered.reconstruct(inverse_prior(volume, plane.max_k));
    apply_mask(target, mask);
    // Heavy ball: EM alone creeps while poses are uncertain; speed kept from step to step carries it on.
    for (std::size_t v = 0; v < volume.size(); ++v) {
      velocity.data()[v] = now.inertia * velocity.data()[v] + now.step_length * (target.data()[v] - volume.data()[v]);
      volume.data()[v] += velocity.data()[v];
    }
    for (std::size_t r = 0; r < noise.size() && r <= static_cast<std::size_t>(now.ring); ++r)
      noise[r] += 0.2 * (found.residual[r] - noise[r]);
    update_offsets(particles, batch, found, limit_px);
    if (problem.progress) problem.progress(static_cast<double>(i + 1) / problem.params.iterations, "descent");
  }
  return {std::move(volume), std::move(noise), std::move(particles.offsets)};
}

double held_out_score(const Problem& problem, const ParticleSet& particles, std::span<const std::size_t> members,
                      const Volume& volume, std::span<const double> noise) {
  const auto& plane = particles.plane();
  const int ring = problem.ring_of(problem.params.resolution, plane);
  Rng rng(7);
  PoseGrid grid;
  grid.poses = random_pose_grid(problem.params.angular_step, problem.symmetry, rng);
  const double limit_px = to_px(problem.params.max_shift, particles.pixel_size()), step = 0.3 * particles.box() / ring;
  set_shifts(grid, std::min(limit_px, 3 * step), step, std::max(limit_px / 2, 1.0));
  const Projector reference(volume, plane.max_k);
  const auto count = static_cast<std::size_t>(plane.prefix[static_cast<std::size_t>(ring)]);
  const auto found = expect_poses(
      particles, members, reference, grid, noise,
      {.count = count, .accumulate = false, .threads = problem.threads, .check_cancelled = problem.check_cancelled});
  return std::accumulate(found.log_likelihood.begin(), found.log_likelihood.end(), 0.0) /
         static_cast<double>(members.size());
}

}  // namespace frazil::initvol
