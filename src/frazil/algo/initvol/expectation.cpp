#include "frazil/algo/initvol/expectation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "frazil/algo/recon/symmetry.hpp"
#include "frazil/base/parallel.hpp"

namespace frazil::initvol {
namespace {

using Columns = Eigen::MatrixXf;
using Rows = Expectation::Rows;
constexpr std::size_t block_size = 8;  // particles whose shifted copies are multiplied at once
constexpr std::size_t most_chunks =
    8;                               // parts with accumulators of their own; a constant, so that sums keep their order
constexpr float negligible = 1e-4F;  // posterior weight, relative to the best, that is dropped

Eigen::Index ix(std::size_t i) { return static_cast<Eigen::Index>(i); }

/// Slices of the reference for all poses, as the products need them.
struct References {
  Rows scaled;  ///< poses × 2·count, P/σ²
  Rows power;   ///< poses × count, ½|P|²/σ²
};

References take_slices(const recon::Projector& reference, const recon::Plane& plane, const PoseGrid& grid,
                       std::span<const double> noise, std::size_t count, int threads) {
  References r{Rows(ix(grid.poses.size()), ix(2 * count)), Rows(ix(grid.poses.size()), ix(count))};
  std::vector<float> gain(count);
  for (std::size_t j = 1; j < count; ++j)
    gain[j] = static_cast<float>(1 / noise[static_cast<std::size_t>(plane.ring[j])]);
  constexpr std::size_t batch = 64;  // poses a turn of a thread: the result is the same
  parallel_for(threads, (grid.poses.size() + batch - 1) / batch, [&](std::size_t b) {
    for (std::size_t p = b * batch; p < std::min(grid.poses.size(), (b + 1) * batch); ++p) {
      float *re = r.scaled.row(ix(p)).data(), *im = re + count, *power = r.power.row(ix(p)).data();
      reference.slice(plane, count, grid.poses[p], re, im);
      for (std::size_t j = 0; j < count; ++j) {
        power[j] = 0.5F * gain[j] * (re[j] * re[j] + im[j] * im[j]);
        re[j] *= gain[j];
        im[j] *= gain[j];
      }
    }
  });
  return r;
}

/// CTF·X of a block of particles, one column for each particle and shift (real parts above imaginary), and CTF².
struct Block {
  Columns data, ctf2;
};

struct ShiftPhases {
  Columns real, imag;  ///< count × shifts
};

ShiftPhases shift_phases(const recon::Plane& plane, const PoseGrid& grid, std::size_t count) {
  ShiftPhases p{Columns(ix(count), ix(grid.shifts_px.size())), Columns(ix(count), ix(grid.shifts_px.size()))};
  for (std::size_t t = 0; t < grid.shifts_px.size(); ++t)
    phase_ramp(plane, grid.shifts_px[t], count, p.real.col(ix(t)).data(), p.imag.col(ix(t)).data());
  return p;
}

Block load_block(const ParticleSet& particles, std::span<const std::size_t> members, const ShiftPhases& phases,
                 std::size_t count) {
  const auto shifts = phases.real.cols(), rows = ix(count);
  Block b{Columns(2 * rows, ix(members.size()) * shifts), Columns(rows, ix(members.size()))};
  Eigen::ArrayXf re(rows), im(rows);
  for (std::size_t i = 0; i < members.size(); ++i) {
    particles.centred(members[i], particles.offsets[members[i]], count, true, re.data(), im.data());
    b.ctf2.col(ix(i)) = Eigen::Map<const Eigen::ArrayXf>(particles.ctf(members[i]), rows).square();
    for (Eigen::Index t = 0; t < shifts; ++t) {
      auto column = b.data.col(ix(i) * shifts + t);
      const auto pr = phases.real.col(t).array(), pi = phases.imag.col(t).array();
      column.head(rows).array() = re * pr - im * pi;
      column.tail(rows).array() = re * pi + im * pr;
    }
  }
  return b;
}

std::vector<Candidate> best_poses(const Columns& scores, const PoseGrid& grid, const Eigen::Vector2d& offset,
                                  Eigen::Index first, int wanted) {
  std::vector<Candidate> all(grid.poses.size());
  for (std::size_t p = 0; p < all.size(); ++p) {
    Eigen::Index t = 0;
    all[p].score = scores.row(ix(p)).segment(first, ix(grid.shifts_px.size())).maxCoeff(&t);
    all[p].pose = p;
    all[p].displacement_px = offset + grid.shifts_px[static_cast<std::size_t>(t)];
  }
  const auto keep = std::min(all.size(), static_cast<std::size_t>(wanted));
  std::partial_sort(
      all.begin(), all.begin() + static_cast<std::ptrdiff_t>(keep), all.end(),
      [](const Candidate& a, const Candidate& b) { return a.score != b.score ? a.score > b.score : a.pose < b.pose; });
  all.resize(keep);
  return all;
}

/// Turns one particle's columns of log weights into normalised weights and returns ln mean exp.
double normalise(Eigen::Ref<Columns> w) {
  const float top = w.maxCoeff();
  w = (w.array() - top).exp();
  w = (w.array() < negligible).select(0.0F, w);
  double sum = 0;
  for (Eigen::Index t = 0; t < w.cols(); ++t) sum += static_cast<double>(w.col(t).sum());
  w *= static_cast<float>(1 / sum);
  return static_cast<double>(top) + std::log(sum / static_cast<double>(w.rows()));
}

class Chunk {
 public:
  Chunk(const ParticleSet& particles, const References& references, const PoseGrid& grid, const ShiftPhases& phases,
        const ExpectationTask& task)
      : particles_(particles), references_(references), grid_(grid), phases_(phases), task_(task) {
    if (!task.accumulate) return;
    value.setZero(references.scaled.rows(), references.scaled.cols());
    weight.setZero(references.power.rows(), references.power.cols());
  }

  void process(std::span<const std::size_t> members, std::size_t first, Expectation& out) {
    const auto block = load_block(particles_, members, phases_, task_.count);
    Columns scores = references_.scaled * block.data;
    const Columns norms = references_.power * block.ctf2;
    const auto shifts = phases_.real.cols();
    Columns pose_weight(scores.rows(), ix(members.size()));
    for (std::size_t i = 0; i < members.size(); ++i) {
      auto w = scores.middleCols(ix(i) * shifts, shifts);
      for (Eigen::Index t = 0; t < shifts; ++t)
        w.col(t).array() += static_cast<float>(grid_.log_prior[static_cast<std::size_t>(t)]) - norms.col(ix(i)).array();
      if (task_.candidates > 0)
        out.candidates[first + i] =
            best_poses(scores, grid_, particles_.offsets[members[i]], ix(i) * shifts, task_.candidates);
      out.log_likelihood[first + i] = normalise(w);
      pose_weight.col(ix(i)) = w.rowwise().sum();
      Eigen::Vector2d mean = Eigen::Vector2d::Zero();
      for (Eigen::Index t = 0; t < shifts; ++t)
        mean += static_cast<double>(w.col(t).sum()) * grid_.shifts_px[static_cast<std::size_t>(t)];
      out.mean_shift_px[first + i] = mean;
    }
    if (task_.accumulate) gather(scores, pose_weight, block);
  }

  Rows value, weight;

 private:
  /// Only poses that matter to somebody in the block take part in the second product.
  void gather(const Columns& w, const Columns& pose_weight, const Block& block) {
    std::vector<Eigen::Index> active;
    for (Eigen::Index p = 0; p < w.rows(); ++p)
      if (pose_weight.row(p).maxCoeff() > 0) active.push_back(p);
    const Rows some = w(active, Eigen::all), some_pose = pose_weight(active, Eigen::all);
    const Rows slices = some * block.data.transpose();
    const Rows squares = some_pose * block.ctf2.transpose();
    for (std::size_t a = 0; a < active.size(); ++a) {
      value.row(active[a]) += slices.row(ix(a));
      weight.row(active[a]) += squares.row(ix(a));
    }
  }

  const ParticleSet& particles_;
  const References& references_;
  const PoseGrid& grid_;
  const ShiftPhases& phases_;
  const ExpectationTask& task_;
};

/// Mean over particles and components of E|X − CTF P|² = |X|² − 2 Re (Σw CTF X)* P + (Σw CTF²) |P|².
std::vector<double> residuals(const ParticleSet& particles, std::span<const std::size_t> members,
                              const References& references, const Expectation& e, std::span<const double> noise,
                              std::size_t count) {
  const auto& plane = particles.plane();
  auto power = particles.mean_power(members);
  std::vector<double> change(count), rings(power.size()), entries(power.size());
  for (Eigen::Index p = 0; p < e.value.rows(); ++p) {
    const float *v = e.value.row(p).data(), *w = e.weight.row(p).data(), *s = references.scaled.row(p).data(),
                *half = references.power.row(p).data();
    for (std::size_t j = 1; j < count; ++j)
      change[j] += 2.0F * (half[j] * w[j] - s[j] * v[j] - s[count + j] * v[count + j]);
  }
  for (std::size_t j = 1; j < count; ++j) {
    const auto ring = static_cast<std::size_t>(plane.ring[j]);
    rings[ring] += change[j] * noise[ring] / static_cast<double>(members.size());
    entries[ring] += 1;
  }
  for (std::size_t r = 0; r < power.size(); ++r)
    if (entries[r] > 0) power[r] = std::max(power[r] + rings[r] / entries[r], 1e-3 * power[r]);
  return power;
}

}  // namespace

std::vector<recon::Matrix3> random_pose_grid(Degrees step, const std::vector<recon::Matrix3>& symmetry, Rng& rng) {
  const recon::Matrix3 turn = recon::random_rotation(rng);
  const recon::Vector3 anchor = recon::Vector3(0.31, 0.52, 0.79).normalized();
  const int turns = std::max(1, static_cast<int>(std::lround(360.0 / step.value())));
  std::vector<recon::Matrix3> poses;
  for (const auto& d : recon::even_directions(step)) {
    const recon::Vector3 direction = turn * d;
    if (!recon::in_asymmetric_unit(direction, symmetry, anchor)) continue;
    const double start = rng.uniform();
    for (int i = 0; i < turns; ++i) poses.push_back(recon::looking_along(direction, 360_deg * ((i + start) / turns)));
  }
  return poses;
}

void set_shifts(PoseGrid& grid, double radius_px, double step_px, double sigma_px) {
  grid.shifts_px.clear();
  grid.log_prior.clear();
  const int reach = static_cast<int>(std::floor(radius_px / step_px + 1e-9));
  for (int y = -reach; y <= reach; ++y)
    for (int x = -reach; x <= reach; ++x) {
      const Eigen::Vector2d s(x * step_px, y * step_px);
      if (s.norm() > radius_px + 1e-9) continue;
      grid.shifts_px.push_back(s);
      grid.log_prior.push_back(-0.5 * s.squaredNorm() / (sigma_px * sigma_px));
    }
  double total = 0;
  for (const double p : grid.log_prior) total += std::exp(p);
  for (double& p : grid.log_prior) p -= std::log(total);
}

Expectation expect_poses(const ParticleSet& particles, std::span<const std::size_t> members,
                         const recon::Projector& reference, const PoseGrid& grid, std::span<const double> noise,
                         const ExpectationTask& task) {
  const auto& plane = particles.plane();
  const auto references = take_slices(reference, plane, grid, noise, task.count, task.threads);
  const auto phases = shift_phases(plane, grid, task.count);
  Expectation out;
  out.log_likelihood.resize(members.size());
  out.mean_shift_px.resize(members.size());
  if (task.candidates > 0) out.candidates.resize(members.size());
  const std::size_t blocks = (members.size() + block_size - 1) / block_size, chunks = std::min(most_chunks, blocks);
  std::vector<Chunk> parts;
  for (std::size_t c = 0; c < chunks; ++c) parts.emplace_back(particles, references, grid, phases, task);
  parallel_for(task.threads, chunks, [&](std::size_t c) {
    for (std::size_t b = c * blocks / chunks; b < (c + 1) * blocks / chunks; ++b) {
      if (task.check_cancelled) task.check_cancelled();
      const std::size_t first = b * block_size;
      parts[c].process(members.subspan(first, std::min(block_size, members.size() - first)), first, out);
    }
  });
  if (!task.accumulate) return out;
  out.value = std::move(parts[0].value);
  out.weight = std::move(parts[0].weight);
  for (std::size_t c = 1; c < chunks; ++c) {
    out.value += parts[c].value;
    out.weight += parts[c].weight;
  }
  out.residual = residuals(particles, members, references, out, noise, task.count);
  return out;
}

void insert_slices(recon::BackProjector& out, const ParticleSet& particles, const PoseGrid& grid,
                   const Expectation& found, std::span<const double> noise, std::size_t count,
                   const std::vector<recon::Matrix3>& symmetry, int threads) {
  constexpr std::size_t parts = 4;  // fixed, so that sums keep their order
  const auto& plane = particles.plane();
  std::vector<recon::BackProjector> sums(parts, recon::BackProjector(out.shape().box, out.shape().max_k, 1_A));
  parallel_for(threads, parts, [&](std::size_t part) {
    std::vector<std::complex<float>> value(count);
    std::vector<float> weight(count);
    for (std::size_t p = part * grid.poses.size() / parts; p < (part + 1) * grid.poses.size() / parts; ++p) {
      const float *v = found.value.row(ix(p)).data(), *w = found.weight.row(ix(p)).data();
      if (std::all_of(w, w + count, [](float x) { return x == 0; })) continue;
      for (std::size_t j = 0; j < count; ++j) {
        const auto gain = static_cast<float>(1 / noise[static_cast<std::size_t>(plane.ring[j])]);
        value[j] = std::complex<float>(v[j], v[count + j]) * gain;
        weight[j] = w[j] * gain;
      }
      for (const auto& g : symmetry) sums[part].insert(plane, count, grid.poses[p] * g, value.data(), weight.data());
    }
  });
  for (const auto& sum : sums) out.add(sum);
}

}  // namespace frazil::initvol
