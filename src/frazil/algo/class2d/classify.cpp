#include "frazil/algo/class2d/classify.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <numeric>

#include "frazil/base/finite.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::class2d {
namespace {

constexpr std::size_t cache_bytes = std::size_t{1} << 30;  // some ten thousand particles of usual size; costs time only
constexpr std::size_t pass_batch = 1000;  // particles matched at a time, whose posteriors a whole pass holds
constexpr double never = 1e9;             // a multiple that no share and no power reaches
constexpr float no_signal_prior =
    2;  // log odds over an average that shows nothing: such averages shall run empty and be made anew
constexpr double heap_strength = 4;  // an image of more than about twice the typical power is no single particle

/// Prepared particles, kept while they fit into memory. Different particles may be asked for by different threads.
class Pool {
 public:
  Pool(const Geometry& geometry, const ParticleSet& set) : geometry_(geometry), set_(set), kept_(set.count()) {
    const auto one = sizeof(float) * 2 * static_cast<std::size_t>(geometry.grid.rings * geometry.grid.half_angles);
    limit_ = cache_bytes / one;
  }

  std::shared_ptr<Prepared> get(std::size_t index) {
    if (kept_[index]) return kept_[index];
    auto made = std::make_shared<Prepared>(
        prepare(geometry_, set_.image(index), set_.ctf[index], set_.optics[index], set_.phase_flipped));
    if (!made->power.allFinite() || !made->ctf2.allFinite())
      throw Error(ErrorCode::bad_input, "2D classification: the image or the CTF of particle {} is not finite",
                  index + 1);
    if (index < limit_) kept_[index] = made;
    return made;
  }

 private:
  const Geometry& geometry_;
  const ParticleSet& set_;
  std::vector<std::shared_ptr<Prepared>> kept_;
  std::size_t limit_;
};

/// Points of a square lattice within a radius, nearest first.
std::vector<Offset> disc_offsets(double radius_px, double step_px) {
  std::vector<Offset> out;
  const int reach = static_cast<int>(radius_px / step_px + 1e-6);
  for (int y = -reach; y <= reach; ++y)
    for (int x = -reach; x <= reach; ++x)
      if (x * x + y * y <= reach * reach + reach)
        out.push_back({static_cast<float>(x * step_px), static_cast<float>(y * step_px)});
  const auto length = [](const Offset& o) { return o.x_px * o.x_px + o.y_px * o.y_px; };
  std::stable_sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return length(a) < length(b); });
  return out;
}

/// How the next mini-batch is to be matched.
struct Plan {
  int rings = 0;
  double heat = 1;
  double crowding = never;  ///< no class may take more than this multiple of its even share
  bool local = false;       ///< search shifts around the last one only
  double heap = never;      ///< images are set against heaps of this multiple of the classes' power
};

/// Shares of the classes in each particle, with crowded classes held back: a bias per class, lowered until none exceeds
/// its limit (Sinkhorn scaling with an inequality). Against the attraction of classes that became sharp first.
std::vector<std::vector<float>> share_out(const std::vector<std::vector<ClassMatch>>& matches, int background,
                                          int classes, double crowding) {
  std::vector<std::vector<float>> shares(matches.size());
  std::vector<double> bias(static_cast<std::size_t>(classes)), load(static_cast<std::size_t>(classes));
  double gap = 0;
  for (const auto& list : matches) gap += list.size() > 1 ? list[0].log_evidence - list[1].log_evidence : 0;
  const double stride = std::max(0.5, gap / static_cast<double>(std::max<std::size_t>(1, matches.size())));
  const double limit = crowding * static_cast<double>(matches.size()) / (classes - background);
  for (int round = 0; round < 60; ++round) {
    std::fill(load.begin(), load.end(), 0);
    for (std::size_t i = 0; i < matches.size(); ++i) {
      const auto& list = matches[i];
      auto& share = shares[i];
      share.resize(list.size());
      double best = -std::numeric_limits<double>::max(), sum = 0;
      for (const auto& m : list) best = std::max(best, m.log_evidence + bias[static_cast<std::size_t>(m.index)]);
      for (std::size_t c = 0; c < list.size(); ++c) {
        share[c] =
            static_cast<float>(std::exp(list[c].log_evidence + bias[static_cast<std::size_t>(list[c].index)] - best));
        sum += share[c];
      }
      for (std::size_t c = 0; c < list.size(); ++c) {
        share[c] = static_cast<float>(share[c] / sum);
        load[static_cast<std::size_t>(list[c].index)] += share[c];
      }
    }
    bool crowded = false;
    for (std::size_t k = static_cast<std::size_t>(background); k < load.size(); ++k)
      if (load[k] > 1.05 * limit) {
        crowded = true;
        bias[k] -= stride * std::log(load[k] / limit);
      }
    if (!crowded) break;
  }
  return shares;
}

/// Sets the background classes' say: no signal has the evidence of its prior, a heap what its power tells.
void judge_background(std::vector<ClassMatch>& matches, float heap, float margin) {
  std::erase_if(matches, [](const ClassMatch& m) { return m.index < background_count; });
  const Pose still{0, 0.f, 1.f};
  matches.push_back({no_signal, no_signal_prior, {still}});
  matches.push_back({too_strong, heap, {still}});
  std::stable_sort(matches.begin(), matches.end(),
                   [](const auto& a, const auto& b) { return a.log_evidence > b.log_evidence; });
  const float least = matches.front().log_evidence - margin;
  std::erase_if(matches, [&](const ClassMatch& m) { return m.log_evidence < least; });
}

/// One point for a posterior: the best pose, refined by the mean of those around it.
void assign(Assignment& out, const ClassMatch& match, const Prepared& particle, const std::vector<Offset>& offsets,
            float probability) {
  const auto& best = match.poses.front();
  const auto& at = offsets[static_cast<std::size_t>(best.offset)];
  const float reach = offsets.size() > 1
                          ? 1.6f * std::hypot(offsets[1].x_px - offsets[0].x_px, offsets[1].y_px - offsets[0].y_px)
                          : 1.f;
  double sum = 0, turn = 0, x = 0, y = 0;
  for (const auto& pose : match.poses) {
    const auto& o = offsets[static_cast<std::size_t>(pose.offset)];
    const double angle = std::remainder(pose.angle_rad - best.angle_rad, 2 * std::numbers::pi);
    if (std::abs(angle) > 0.3 || std::hypot(o.x_px - at.x_px, o.y_px - at.y_px) > reach) continue;
    sum += pose.weight;
    turn += pose.weight * angle;
    x += pose.weight * o.x_px;
    y += pose.weight * o.y_px;
  }
  out.index = match.index;
  out.turn_deg = static_cast<float>(std::remainder((best.angle_rad + turn / sum) * 180 / std::numbers::pi, 360.0));
  out.origin_x_px = static_cast<float>(x / sum) + particle.center_x_px;
  out.origin_y_px = static_cast<float>(y / sum) + particle.center_y_px;
  out.evidence = match.log_evidence;
  out.probability = probability;
}

class Run {
 public:
  Run(State& state, const ParticleSet& set, const Params& params, const Rng& rng, int threads, const Hooks& hooks)
      : state_(state),
        set_(set),
        params_(params),
        rng_(rng),
        threads_(threads),
        hooks_(hooks),
        pool_(state.geometry, set) {}

  void first_batch(int classes);
  void next_batch(std::size_t known, int classes);

 private:
  void measure_noise();
  void start_from_random_subsets(int classes);
  void mini_batch(const std::vector<std::size_t>& members, const Plan& plan, double window);
  void whole_pass(const Plan& plan);
  std::shared_ptr<Prepared> centred(std::size_t member, bool is_near);
  std::vector<std::vector<ClassMatch>> match_members(std::span<const std::size_t> members,
                                                     const std::vector<char>& is_near, const Matcher& whole,
                                                     const Matcher& near, const Plan& plan);
  void expect_and_sum(std::span<const std::size_t> members, const Plan& plan, std::vector<ClassSums>& sums);
  void finish(int rings);
  [[nodiscard]] int ring_limit(double progress) const;
  void report(double fraction, std::string_view what) {
    if (hooks_.check_cancelled) hooks_.check_cancelled();
    if (hooks_.progress) hooks_.progress(fraction, what);
  }

  State& state_;
  const ParticleSet& set_;
  const Params& params_;
  Rng rng_;
  int threads_;
  const Hooks& hooks_;
  Pool pool_;
  Eigen::VectorXf noise_sum_;
  double noise_count_ = 0;
};

/// First guess of the noise: the median power of the particles, their signal included.
void Run::measure_noise() {
  const std::size_t count = std::min<std::size_t>(set_.count(), 2000);
  std::vector<std::shared_ptr<Prepared>> all(count);
  parallel_for(threads_, count, [&](std::size_t i) { all[i] = pool_.get(i); });
  state_.noise.setZero(state_.geometry.grid.rings);
  std::vector<float> values(count);
  for (Eigen::Index j = 0; j < state_.noise.size(); ++j) {
    for (std::size_t i = 0; i < count; ++i) values[i] = all[i]->power(j);
    state_.noise(j) = middle_of(std::span(values));
  }
  state_.noise = state_.noise.cwiseMax(1e-6f * state_.noise.maxCoeff());
}

/// Each class starts as the average of particles drawn at random, unaligned.
void Run::start_from_random_subsets(int classes) {
  const auto count = set_.count();
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Rng rng = rng_.stream("start");
  for (std::size_t i = count - 1; i > 0; --i) std::swap(order[i], order[rng.below(i + 1)]);
  const std::size_t each = std::clamp<std::size_t>(count / static_cast<std::size_t>(classes), 1, 40);
  for (int k = 0; k < classes; ++k) state_.sums.emplace_back(state_.geometry.grid);
  state_.references.log_prior.assign(static_cast<std::size_t>(classes), 0.f);
  const auto& grid = state_.geometry.grid;
  const Matcher matcher({grid, {}, state_.noise, 1, grid.rings, {{0, 0}}, 1});
  parallel_for(threads_, static_cast<std::size_t>(classes), [&](std::size_t k) {
    if (static_cast<int>(k) < state_.background) return;
    for (std::size_t i = 0; i < each; ++i) {
      const ClassMatch here{static_cast<int>(k), 0, {{0, 0.f, 1.f}}};
      accumulate(grid, matcher, *pool_.get(order[k * each + i]), {here}, {1.f}, static_cast<int>(i % 2), state_.sums);
    }
  });
  update_references(state_, false, threads_);
}

/// The particle with its centre where its search begins.
std::shared_ptr<Prepared> Run::centred(std::size_t member, bool is_near) {
  const auto& last = state_.assignments[member];
  auto particle = pool_.get(member);
  particle->center_x_px = is_near ? last.origin_x_px : 0;
  particle->center_y_px = is_near ? last.origin_y_px : 0;
  return particle;
}

/// What all classes say of the members, by one of two searches each.
std::vector<std::vector<ClassMatch>> Run::match_members(std::span<const std::size_t> members,
                                                        const std::vector<char>& is_near, const Matcher& whole,
                                                        const Matcher& near, const Plan& plan) {
  const float margin = plan.crowding < never ? 1e6f : 12.f;
  const Eigen::VectorXf typical = typical_power(state_);
  std::vector<std::vector<ClassMatch>> matches(members.size());
  for (std::size_t first = 0; first < members.size(); first += pass_batch) {
    const std::size_t count = std::min(pass_batch, members.size() - first);
    std::vector<std::shared_ptr<Prepared>> particles(count);
    parallel_for(threads_, count,
                 [&](std::size_t i) { particles[i] = centred(members[first + i], is_near[first + i] != 0); });
    for (const auto* matcher : {&whole, &near}) {
      std::vector<const Prepared*> those;
      std::vector<std::size_t> places;
      for (std::size_t i = 0; i < count; ++i)
        if ((is_near[first + i] != 0 ? &near : &whole) == matcher) {
          those.push_back(particles[i].get());
          places.push_back(first + i);
        }
      auto found = matcher->match(those, margin, threads_);
      for (std::size_t i = 0; i < places.size(); ++i) matches[places[i]] = std::move(found[i]);
    }
    if (state_.background == 0 || plan.heap >= never) continue;
    parallel_for(threads_, count, [&](std::size_t i) {
      const float heap = heap_evidence(state_.geometry, *particles[i], state_.noise, typical, plan.rings, plan.heap);
      judge_background(matches[first + i], heap, margin);
    });
  }
  return matches;
}

void Run::expect_and_sum(std::span<const std::size_t> members, const Plan& plan, std::vector<ClassSums>& sums) {
  const auto& geometry = state_.geometry;
  const double pixel = geometry.work_pixel().value(), range = geometry.shift_range.value() / pixel;
  const double fine = std::max(0.5, 0.22 * geometry.resolution_of(plan.rings - 1).value() / pixel);
  const int sum_rings = std::min(geometry.grid.rings, plan.rings + 6);
  const auto search = [&](std::vector<Offset> offsets) {
    return hooks_.backend->matcher(
        {geometry.grid, state_.references, state_.noise, plan.rings, sum_rings, std::move(offsets), range, plan.heat});
  };
  const auto whole = search(disc_offsets(range, std::max(fine, range / 3.01))),
             near = search(disc_offsets(2 * fine, fine));
  std::vector<char> is_near(members.size());
  for (std::size_t i = 0; i < members.size(); ++i) is_near[i] = plan.local && state_.assignments[members[i]].index >= 0;
  const auto matches = match_members(members, is_near, *whole, *near, plan);
  const auto shares = share_out(matches, state_.background, state_.classes(), plan.crowding);

  // A fixed number of partial sums, added in order: the same result on any number of threads.
  const std::size_t chunks = std::clamp<std::size_t>(members.size() / 16, 1, 12);
  std::vector<std::vector<ClassSums>> partial(chunks);
  std::vector<int> used(chunks);
  std::vector<Eigen::VectorXf> left(chunks, Eigen::VectorXf::Zero(geometry.grid.rings));
  parallel_for(threads_, chunks, [&](std::size_t c) {
    partial[c].assign(sums.size(), ClassSums(geometry.grid));
    for (std::size_t i = c * members.size() / chunks; i < (c + 1) * members.size() / chunks; ++i) {
      const auto particle = centred(members[i], is_near[i] != 0);
      const auto& matcher = is_near[i] ? *near : *whole;
      accumulate(geometry.grid, matcher, *particle, matches[i], shares[i], static_cast<int>(members[i] % 2),
                 partial[c]);
      const auto best =
          static_cast<std::size_t>(std::max_element(shares[i].begin(), shares[i].end()) - shares[i].begin());
      const auto& model = state_.references.harmonics[static_cast<std::size_t>(matches[i][best].index)];
      if (state_.background == 0 || matches[i][best].index != too_strong) {
        left[c] += particle->power - particle->ctf2.cwiseProduct(ring_power(model)) / static_cast<float>(geometry.open);
        ++used[c];
      }
      assign(state_.assignments[members[i]], matches[i][best], *particle, matcher.offsets(), shares[i][best]);
    }
  });
  for (std::size_t c = 0; c < chunks; ++c) {
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k].add(partial[c][k]);
    noise_sum_ += left[c];
    noise_count_ += used[c];
  }
}

void Run::mini_batch(const std::vector<std::size_t>& members, const Plan& plan, double window) {
  noise_sum_.setZero(state_.geometry.grid.rings);
  noise_count_ = 0;
  const auto keep = static_cast<float>(at_least_zero(1 - static_cast<double>(members.size()) / window));
  std::vector<ClassSums> fresh(state_.sums.size(), ClassSums(state_.geometry.grid));
  expect_and_sum(members, plan, fresh);
  for (std::size_t k = 0; k < fresh.size(); ++k) {
    state_.sums[k].scale(keep);
    state_.sums[k].add(fresh[k]);
  }
  const Eigen::VectorXf noise =
      (noise_sum_ / static_cast<float>(std::max(1.0, noise_count_))).cwiseMax(0.3f * state_.noise);
  state_.noise = keep * state_.noise + (1 - keep) * noise;
  ++state_.step;
}

void Run::whole_pass(const Plan& plan) {
  noise_sum_.setZero(state_.geometry.grid.rings);
  noise_count_ = 0;
  std::vector<std::size_t> all(set_.count());
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::vector<ClassSums> fresh(state_.sums.size(), ClassSums(state_.geometry.grid));
  for (std::size_t first = 0; first < all.size(); first += pass_batch)
    expect_and_sum(std::span(all).subspan(first, std::min(pass_batch, all.size() - first)), plan, fresh);
  state_.sums = std::move(fresh);
  state_.noise = (noise_sum_ / static_cast<float>(std::max(1.0, noise_count_))).cwiseMax(0.3f * state_.noise);
  ++state_.step;
}

/// The resolution rises evenly in 1/Å over the first three quarters, but never far beyond what the averages support.
int Run::ring_limit(double progress) const {
  const double start = 1 / params_.start_resolution.value(), end = 1 / state_.geometry.resolution.value();
  const double k = std::min(end, start + (end - start) * progress / 0.75);
  const int least = state_.geometry.rings_to(params_.start_resolution);
  return std::clamp(supported_rings(state_) + 2, least, std::max(least, state_.geometry.rings_to(Angstrom(1 / k))));
}

void Run::finish(int rings) {
  for (int pass = 0; pass < params_.final_passes; ++pass) {
    report(0.9 + 0.1 * pass / params_.final_passes, "whole pass");
    whole_pass({.rings = rings, .local = true, .heap = heap_strength});
    update_references(state_, pass + 1 < params_.final_passes, threads_);
    rings = std::clamp(supported_rings(state_) + 1, 3, state_.geometry.rings_to(state_.geometry.resolution));
  }
  state_.rings = rings;
}

void Run::first_batch(int classes) {
  const std::size_t count = set_.count();
  const std::size_t size =
      std::min(count, std::max<std::size_t>({200, count / 8, static_cast<std::size_t>(12 * classes)}));
  const std::size_t per_epoch = std::max<std::size_t>(1, count / size),
                    steps = per_epoch * static_cast<std::size_t>(params_.epochs);
  measure_noise();
  start_from_random_subsets(classes);
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t step = 0; step < steps; ++step) {
    const double progress = static_cast<double>(step) / static_cast<double>(steps);
    report(0.9 * progress, "mini-batches");
    if (step % per_epoch == 0) {
      Rng rng = rng_.stream(step);
      for (std::size_t i = count - 1; i > 0; --i) std::swap(order[i], order[rng.below(i + 1)]);
    }
    const auto first = order.begin() + static_cast<std::ptrdiff_t>((step % per_epoch) * size);
    const std::vector<std::size_t> members(first, first + static_cast<std::ptrdiff_t>(size));
    Plan plan{.rings = ring_limit(progress), .local = progress > 0.4};
    if (progress < 0.7) plan.crowding = 1.5 + 2.5 * progress / 0.7;
    if (progress > 0.2)
      plan.heap = heap_strength * std::max(1.0, 2 - 2.5 * (progress - 0.2));  // early averages are blurred and weak
    mini_batch(members, plan, static_cast<double>(count) * std::min(1.0, 0.3 + progress));
    if (progress < 0.85) reseed(state_, classes, 0.15);
    update_references(state_, true, threads_);
    state_.rings = plan.rings;
  }
  finish(ring_limit(1));
}

void Run::next_batch(std::size_t known, int classes) {
  const std::size_t count = set_.count(), fresh = count - known;
  if (fresh == 0) {  // all that came was left out
    finish(ring_limit(1));
    return;
  }
  reseed(state_, classes, 0.15);
  update_references(state_, true, threads_);
  std::vector<std::size_t> order(fresh);
  std::iota(order.begin(), order.end(), known);
  Rng rng = rng_.stream("next");
  const std::size_t again = std::min(known, fresh * static_cast<std::size_t>(params_.revisit));
  std::vector<std::size_t> old(known);
  std::iota(old.begin(), old.end(), std::size_t{0});
  for (std::size_t i = 0; i < again; ++i) {
    std::swap(old[i], old[i + rng.below(known - i)]);
    order.push_back(old[i]);
  }
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[rng.below(i + 1)]);
  const std::size_t size = std::min(order.size(), std::max<std::size_t>(200, static_cast<std::size_t>(12 * classes)));
  for (std::size_t first = 0; first + size <= order.size(); first += size) {
    const double progress = static_cast<double>(first) / static_cast<double>(order.size());
    report(0.8 * progress, "mini-batches");
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(first);
    mini_batch({begin, begin + static_cast<std::ptrdiff_t>(size)},
               {.rings = ring_limit(1), .crowding = 4, .local = true, .heap = heap_strength},
               static_cast<double>(count));
    if (progress < 0.7) reseed(state_, classes, 0.15);
    update_references(state_, true, threads_);
  }
  finish(ring_limit(1));
}

/// A class that is not a number would stay so in every later version.
void check_finite(const State& state) {
  for (std::size_t k = 0; k < state.sums.size(); ++k)
    for (std::size_t h = 0; h < 2; ++h)
      if (!state.sums[k].signal[h].allFinite() || !state.sums[k].weight[h].allFinite() ||
          !std::isfinite(state.sums[k].mass[h]))
        throw Error(ErrorCode::bad_input, "2D classification: class {} of {} became not finite", k + 1,
                    state.sums.size());
  if (!state.noise.allFinite()) throw Error(ErrorCode::bad_input, "2D classification: the noise became not finite");
}

}  // namespace

int default_classes(std::size_t particles) {
  return static_cast<int>(std::clamp<std::size_t>(particles / 60, std::clamp<std::size_t>(particles / 20, 1, 8), 50));
}

State classify(const State* previous, const ParticleSet& particles, Angstrom diameter, const Params& params,
               const Rng& rng, int threads, const Hooks& hooks) {
  const std::size_t count = particles.count(), known = previous == nullptr ? 0 : previous->assignments.size();
  const int background = previous != nullptr ? previous->background : params.background_classes ? background_count : 0;
  const int classes = std::max(background + (params.classes > 0 ? params.classes : default_classes(count)),
                               previous == nullptr ? 0 : previous->classes());
  if (count < 2 * static_cast<std::size_t>(classes))
    throw Error(ErrorCode::bad_input, "2D classification into {} classes needs at least {} particles, found {}",
                classes, 2 * classes, count);
  expect(known <= count && particles.optics.size() == count, "the particles begin with those of the previous version");
  State state;
  if (previous != nullptr)
    state = *previous;
  else
    state.geometry =
        make_geometry(particles.box, particles.pixel_size, params.diameter > 0_A ? params.diameter : diameter, params);
  state.background = background;
  state.assignments.resize(count);
  ++state.version;
  Run run(state, particles, params, rng, threads, hooks);
  if (previous == nullptr)
    run.first_batch(classes);
  else
    run.next_batch(known, classes);
  check_finite(state);
  return state;
}

}  // namespace frazil::class2d
