#include "frazil/algo/class2d/match.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <tuple>

#include "frazil/base/parallel.hpp"
#include "frazil/image/fft.hpp"

namespace frazil::class2d {
namespace {

using std::numbers::pi;
constexpr std::size_t most_poses = 96;  // of one class and particle; what is left out weighs less than any kept

/// Fills re and im (points × half_angles, points = offsets of a ring side by side) with e^{−2πi k·s/n}.
void fill_phases(const PolarGrid& grid, int rings, const std::vector<Offset>& offsets, Matrix& re, Matrix& im) {
  const auto count = static_cast<Eigen::Index>(offsets.size());
  re.resize(count * rings, grid.half_angles);
  im.resize(count * rings, grid.half_angles);
  for (int m = 0; m < grid.half_angles; ++m) {
    const double c = std::cos(pi * m / grid.half_angles), s = std::sin(pi * m / grid.half_angles);
    for (Eigen::Index t = 0; t < count; ++t) {
      const auto& offset = offsets[static_cast<std::size_t>(t)];
      const double turn = -2 * pi * (c * offset.x_px + s * offset.y_px) / grid.box;
      const std::complex<double> step = std::polar(1.0, turn * grid.step);  // rings are evenly spaced
      std::complex<double> phase = std::polar(1.0, turn * grid.radius(0));
      for (int j = 0; j < rings; ++j, phase *= step) {
        re(t + count * j, m) = static_cast<float>(phase.real());
        im(t + count * j, m) = static_cast<float>(phase.imag());
      }
    }
  }
}

/// Samples of the innermost rings moved by an origin shift.
PolarSamples moved(const PolarGrid& grid, const PolarSamples& samples, int rings, double shift_x_px,
                   double shift_y_px) {
  PolarSamples out{samples.re.topRows(rings), samples.im.topRows(rings)};
  if (shift_x_px == 0 && shift_y_px == 0) return out;
  Matrix re, im;
  fill_phases(grid, rings, {{static_cast<float>(shift_x_px), static_cast<float>(shift_y_px)}}, re, im);
  const Matrix moved_re = out.re.cwiseProduct(re) - out.im.cwiseProduct(im);
  out.im = out.re.cwiseProduct(im) + out.im.cwiseProduct(re);
  out.re = moved_re;
  return out;
}

}  // namespace

Matcher::Matcher(const Search& search)
    : grid_(search.grid),
      rings_(search.rings),
      sum_rings_(search.sum_rings),
      classes_(search.references.count()),
      harmonics_(grid_.harmonics_within(rings_)),
      angles_(good_size(std::max(24, 2 * harmonics_))),
      offsets_(search.offsets),
      sigma_px_(search.sigma_px),
      heat_(static_cast<float>(search.heat)),
      log_prior_(search.references.log_prior) {
  const auto& [grid, references, noise, rings, sum_rings, offsets, sigma_px, heat] = search;
  expect(rings > 0 && rings <= sum_rings && sum_rings <= grid.rings && noise.size() == grid.rings,
         "the matcher's rings lie on the grid");
  weight_.resize(sum_rings);
  for (int j = 0; j < sum_rings; ++j) weight_(j) = static_cast<float>(grid.area(j)) / noise(j);
  transform_ = make_transform(grid, harmonics_);
  sum_transform_ = make_transform(grid, grid.harmonics_within(sum_rings));
  fill_phases(grid, sum_rings, offsets_, phase_re_, phase_im_);
  power_.resize(rings, classes_);
  for (int k = 0; k < classes_; ++k)
    power_.col(k) = ring_power(references.harmonics[static_cast<std::size_t>(k)].leftCols(2 * harmonics_)).head(rings);
  turn_.resize(2 * harmonics_, angles_);
  for (int q = 0; q < harmonics_; ++q) {
    Matrix direct(rings, 2 * classes_), crossed(rings, 2 * classes_);
    for (int k = 0; k < classes_; ++k) {
      const auto& a = references.harmonics[static_cast<std::size_t>(k)];
      direct.col(k) = a.col(2 * q).head(rings);
      direct.col(classes_ + k) = a.col(2 * q + 1).head(rings);
      crossed.col(k) = direct.col(classes_ + k);
      crossed.col(classes_ + k) = -direct.col(k);
    }
    direct_.push_back(std::move(direct));
    crossed_.push_back(std::move(crossed));
    for (int m = 0; m < angles_; ++m) {
      const double twice = q == 0 ? 1 : 2, angle_rad = 2 * pi * q * m / angles_;
      turn_(2 * q, m) = static_cast<float>(twice * std::cos(angle_rad));
      turn_(2 * q + 1, m) = static_cast<float>(twice * std::sin(angle_rad));
    }
  }
}

std::vector<std::vector<ClassMatch>> Matcher::match(std::span<const Prepared* const> particles, float margin,
                                                    int threads) const {
  std::vector<std::vector<ClassMatch>> matches(particles.size());
  parallel_for(threads, particles.size(), [&](std::size_t i) { matches[i] = match_one(*particles[i], margin); });
  return matches;
}

float Matcher::log_prior_of(const Offset& offset, const Prepared& particle) const {
  const double x = offset.x_px + particle.center_x_px, y = offset.y_px + particle.center_y_px;
  return static_cast<float>(-(x * x + y * y) / (2 * sigma_px_ * sigma_px_));
}

std::vector<ClassMatch> Matcher::match_one(const Prepared& particle, float margin) const {
  const auto shifts = static_cast<Eigen::Index>(offsets_.size());
  const PolarSamples centred = moved(grid_, particle.samples, rings_, particle.center_x_px, particle.center_y_px);
  Matrix re(shifts * rings_, grid_.half_angles), im(shifts * rings_, grid_.half_angles);
  for (int m = 0; m < grid_.half_angles; ++m)
    for (int j = 0; j < rings_; ++j) {
      const float x = centred.re(j, m) * weight_(j), y = centred.im(j, m) * weight_(j);
      const auto pr = phase_re_.col(m).segment(shifts * j, shifts), pi_ = phase_im_.col(m).segment(shifts * j, shifts);
      re.col(m).segment(shifts * j, shifts) = x * pr - y * pi_;
      im.col(m).segment(shifts * j, shifts) = x * pi_ + y * pr;
    }
  const Harmonics moved_all = to_harmonics(transform_, re, im);

  // Correlations c_q of every (shift, class): one small product for each harmonic.
  Matrix products(shifts * classes_, 2 * harmonics_);
  for (int q = 0; q < harmonics_; ++q) {
    const int first = grid_.first_ring[static_cast<std::size_t>(q)], used = rings_ - first;
    const Eigen::Map<const Matrix> x_re(moved_all.col(2 * q).data(), shifts, rings_),
        x_im(moved_all.col(2 * q + 1).data(), shifts, rings_);
    Eigen::Map<Matrix> c(products.col(2 * q).data(), shifts, 2 * classes_);
    const auto index = static_cast<std::size_t>(q);
    c.noalias() = x_re.rightCols(used) * direct_[index].bottomRows(used);
    c.noalias() += x_im.rightCols(used) * crossed_[index].bottomRows(used);
  }
  // conj(x)·a turned by θ: Re Σ c_q e^{−iqθ}; the columns hold Re c and Im c.
  Matrix scores = products * turn_;

  const Eigen::VectorXf norm =
      0.5f * power_.transpose() * particle.ctf2.head(rings_).cwiseProduct(weight_.head(rings_));
  const Eigen::VectorXf row_best = scores.rowwise().maxCoeff();
  std::vector<ClassMatch> matches(static_cast<std::size_t>(classes_));
  for (int k = 0; k < classes_; ++k) {
    auto& match = matches[static_cast<std::size_t>(k)];
    match.index = k;
    std::vector<float> bias(static_cast<std::size_t>(shifts));
    float best = -1e30f;
    for (Eigen::Index t = 0; t < shifts; ++t) {
      bias[static_cast<std::size_t>(t)] = log_prior_of(offsets_[static_cast<std::size_t>(t)], particle);
      best = std::max(best, row_best(t + shifts * k) / heat_ + bias[static_cast<std::size_t>(t)]);
    }
    double sum = 0;
    for (Eigen::Index t = 0; t < shifts; ++t) {
      const Eigen::Index row = t + shifts * k;
      const float b = bias[static_cast<std::size_t>(t)];
      if (row_best(row) / heat_ + b < best - pose_margin) continue;
      for (int m = 0; m < angles_; ++m) {
        const float value = scores(row, m) / heat_ + b - best;
        if (value < -pose_margin) continue;
        const float weight = std::exp(value);
        sum += weight;
        match.poses.push_back({static_cast<int>(t), static_cast<float>(2 * pi * m / angles_), weight});
      }
    }
    match.log_evidence = best + static_cast<float>(std::log(sum / (static_cast<double>(shifts) * angles_))) -
                         norm(k) / heat_ + log_prior_[static_cast<std::size_t>(k)];
  }
  settle(matches, margin);
  return matches;
}

void Matcher::settle(std::vector<ClassMatch>& matches, float margin) {
  float best_evidence = -1e30f;
  for (const auto& match : matches) best_evidence = std::max(best_evidence, match.log_evidence);
  std::erase_if(matches, [&](const ClassMatch& m) { return m.log_evidence < best_evidence - margin; });
  std::stable_sort(matches.begin(), matches.end(),
                   [](const auto& a, const auto& b) { return a.log_evidence > b.log_evidence; });
  for (auto& match : matches) {
    auto& poses = match.poses;
    const auto heavier = [](const Pose& a, const Pose& b) {
      return std::tuple(-a.weight, a.offset, a.angle_rad) < std::tuple(-b.weight, b.offset, b.angle_rad);
    };
    if (poses.size() > most_poses) {
      std::nth_element(poses.begin(), poses.begin() + most_poses, poses.end(), heavier);
      poses.resize(most_poses);
    }
    std::sort(poses.begin(), poses.end(), heavier);
    double sum = 0;
    for (const auto& pose : poses) sum += pose.weight;
    for (auto& pose : poses) pose.weight = static_cast<float>(pose.weight / sum);
  }
}

PolarSamples Matcher::centred(const Prepared& particle) const {
  return moved(grid_, particle.samples, sum_rings_, particle.center_x_px, particle.center_y_px);
}

Harmonics Matcher::moved_harmonics(const PolarSamples& centred, int offset) const {
  const auto count = static_cast<Eigen::Index>(offsets_.size());
  Matrix re(sum_rings_, grid_.half_angles), im(sum_rings_, grid_.half_angles);
  for (int m = 0; m < grid_.half_angles; ++m)
    for (int j = 0; j < sum_rings_; ++j) {
      const float pr = phase_re_(offset + count * j, m), pi_ = phase_im_(offset + count * j, m), w = weight_(j);
      re(j, m) = w * (centred.re(j, m) * pr - centred.im(j, m) * pi_);
      im(j, m) = w * (centred.re(j, m) * pi_ + centred.im(j, m) * pr);
    }
  return to_harmonics(sum_transform_, re, im);
}

}  // namespace frazil::class2d
