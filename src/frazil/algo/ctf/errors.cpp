#include "frazil/algo/ctf/errors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <limits>

#include "frazil/base/finite.hpp"

namespace frazil::ctf {

namespace {

constexpr std::size_t most_shapes = 4,
                      modes = 5;           // modes m = 4, 6 … 12: cos 2α is fitted, finer ones end within a grain
constexpr double reach_per_A = 0.02;       // grains of particles of 50 Å and more
constexpr double least_information = 0.1;  // below it nothing is known anyway
constexpr std::array falls_A{0.0, 15.0};  // δ everywhere, or shape and folds alone: its SD falls as exp(−½ (fall k)²)
constexpr std::array lengths_per_A{1 / 1000.0, 1 / 500.0, 1 / 250.0};  // 1/(2πD) for distances D of 160, 80, 40 Å

using Eigen::Index;

/// Sums over one shell. h = e (1 + q) is the specimen's part of the model: what its structure multiplies.
struct ScoreShell {
  std::array<double, most_shapes> score{}, hd{};                                ///< Σ w g r, Σ w h d
  std::array<std::array<std::complex<double>, most_shapes + 1>, modes> mode{};  ///< Σ w (g, h) r exp(imα)
  std::array<double, most_shapes> dd{}, ed{};                                   ///< Σ w d² for e = 1, Σ w d²
  double h = 0, hq = 0, hh = 0, hr = 0;
};

/// Spline coefficients of each shape's follower at the bins: bin × shape.
Eigen::MatrixXd at_bins(const std::vector<SplineAt>& at, const Eigen::MatrixXd& coefficients) {
  Eigen::MatrixXd out = Eigen::MatrixXd::Zero(static_cast<Index>(at.size()), coefficients.cols());
  for (std::size_t b = 0; b < at.size(); ++b)
    for (int i = 0; i < 4; ++i)
      out.row(static_cast<Index>(b)) += at[b].weight[static_cast<std::size_t>(i)] * coefficients.row(at[b].first + i);
  return out;
}

std::vector<ScoreShell> sum_scores(const Rings& rings, const Waves& waves, const Solution& solution,
                                   const Sensitivity& sensitivity) {
  const int nb = rings.background.size(), ne = rings.envelope.size();
  const auto count = static_cast<std::size_t>(sensitivity.inverse.rows());
  const Eigen::MatrixXd alpha = at_bins(rings.background_at, sensitivity.follow.topRows(nb)),
                        beta = at_bins(rings.envelope_at, sensitivity.follow.bottomRows(ne));
  std::vector<Level> level;
  for (std::size_t b = 0; b < rings.bins(); ++b) level.push_back(level_at(rings, solution, b));
  std::vector<ScoreShell> shells(rings.bins());
  for (const auto& p : rings.pixels) {
    const auto b = static_cast<std::size_t>(p.bin);
    if (rings.in_fit[b] == 0) continue;
    const double u = double{p.u}, uc = double{p.c}, us = double{p.s}, w = double{p.w}, e = level[b].envelope;
    double sine = 0, cosine = 0;
    sine_cosine(2 * waves.chi(solution.shape, u, uc, us), sine, cosine);
    const double strength = rings.fade[b] * rings.contrast[b], q = -strength * cosine,
                 residual = double{p.y} - level[b].background + e * cosine, h = std::abs(e) - e * cosine;
    const std::array<double, most_shapes> per_e{2 * sine * waves.pi_lambda * u, sine * waves.pi_lambda * uc,
                                                sine * waves.pi_lambda * us, 2 * sine};
    auto& shell = shells[b];
    shell.h += w * h;
    shell.hq += w * h * q;
    shell.hh += w * h * h;
    shell.hr += w * h * residual;
    std::array<double, most_shapes + 1> score{};
    for (std::size_t j = 0; j < count; ++j) {
      const double d = e * per_e[j],
                   g = d - alpha(p.bin, static_cast<Index>(j)) - beta(p.bin, static_cast<Index>(j)) * q;
      score[j] = w * residual * g;
      shell.score[j] += score[j];
      shell.hd[j] += w * h * d;
      shell.ed[j] += w * d * d;
      shell.dd[j] += w * strength * strength * per_e[j] * per_e[j];
    }
    score[most_shapes] = w * residual * h;
    const std::complex<double> turn(uc / u, us / u);
    std::complex<double> wave = turn;
    for (auto& sums : shell.mode) {
      wave *= turn;
      for (std::size_t j = 0; j <= most_shapes; ++j) sums[j] += score[j] * wave;
    }
  }
  return shells;
}

/// Variances of Σ w g r and of Σ w h r over all shells from the azimuthal modes; flat to half the reach, then falling.
std::array<double, most_shapes + 1> variance_by_lags(const std::vector<ScoreShell>& shells, double dk) {
  const auto reach = std::max<std::size_t>(3, static_cast<std::size_t>(std::lround(reach_per_A / dk)));
  std::array<double, most_shapes + 1> sum{};
  for (std::size_t lag = 0; lag <= reach; ++lag) {
    const double t = static_cast<double>(lag) / static_cast<double>(reach + 1),
                 weight = (t < 0.5 ? 1 : 2 * (1 - t)) * (lag == 0 ? 1 : 2) / modes;
    for (std::size_t b = 0; b + lag < shells.size(); ++b)
      for (std::size_t m = 0; m < modes; ++m)
        for (std::size_t j = 0; j <= most_shapes; ++j)
          sum[j] += weight * (shells[b].mode[m][j] * std::conj(shells[b + lag].mode[m][j])).real();
  }
  return sum;
}

/// Normal matrix of the shape less what noise in the envelope adds to it; at least a tenth of it in every direction.
Eigen::MatrixXd true_information(const Rings& rings, const std::vector<ScoreShell>& shells,
                                 const Sensitivity& sensitivity, const Solution& solution, double unit) {
  const int nb = rings.background.size(), ne = rings.envelope.size();
  const Index count = sensitivity.inverse.rows(), total = sensitivity.full.rows();
  const Eigen::MatrixXd normal = sensitivity.inverse.inverse();
  Eigen::MatrixXd noise =
      unit *
      sensitivity.full.ldlt().solve(Eigen::MatrixXd::Identity(total, total).middleCols(nb, ne)).middleRows(nb, ne);
  for (Index j = 0; j < ne; ++j)
    if (solution.envelope(j) <= 0) {  // held at zero
      noise.row(j).setZero();
      noise.col(j).setZero();
    }
  Eigen::VectorXd excess = Eigen::VectorXd::Zero(count), full = excess;
  for (std::size_t b = 0; b < shells.size(); ++b) {
    const auto& at = rings.envelope_at[b];
    double variance = 0;
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        variance += at.weight[static_cast<std::size_t>(i)] * at.weight[static_cast<std::size_t>(j)] *
                    noise(at.first + i, at.first + j);
    for (Index j = 0; j < count; ++j) {
      excess(j) += variance * shells[b].dd[static_cast<std::size_t>(j)];
      full(j) += shells[b].ed[static_cast<std::size_t>(j)];
    }
  }
  Eigen::VectorXd share(count);
  for (Index j = 0; j < count; ++j)
    share(j) = std::sqrt(std::max(least_information, full(j) > 0 ? 1 - excess(j) / full(j) : 0));
  return share.asDiagonal() * normal * share.asDiagonal();
}

/// What the specimen's structure does to the shells, and how they answer.
struct OwnStructure {
  std::vector<double> k;
  Eigen::VectorXd data, root;  ///< Σ w h r / √Σ w h², √Σ w h²
  Eigen::MatrixXd left;        ///< what the fit leaves of a structure, in the units of data
  Eigen::MatrixXd push;        ///< shells × shape: Σ w h g, which δ turns into scores
};

OwnStructure make_structure(const Rings& rings, const std::vector<ScoreShell>& shells, const Solution& solution,
                            const Sensitivity& sensitivity) {
  const int nb = rings.background.size(), ne = rings.envelope.size();
  const Index count = sensitivity.inverse.rows(), total = sensitivity.full.rows();
  std::vector<std::size_t> rows;
  for (std::size_t b = 0; b < shells.size(); ++b)
    if (shells[b].hh > 0) rows.push_back(b);
  const auto n = static_cast<Index>(rows.size());
  OwnStructure out{{}, Eigen::VectorXd(n), Eigen::VectorXd(n), {}, Eigen::MatrixXd(n, count)};
  Eigen::MatrixXd columns = Eigen::MatrixXd::Zero(n, total);
  for (Index r = 0; r < n; ++r) {
    const auto b = rows[static_cast<std::size_t>(r)];
    const auto& shell = shells[b];
    for (int i = 0; i < 4; ++i) {
      const auto si = static_cast<std::size_t>(i);
      columns(r, rings.background_at[b].first + i) = rings.background_at[b].weight[si] * shell.h;
      if (solution.envelope(rings.envelope_at[b].first + i) > 0)
        columns(r, nb + rings.envelope_at[b].first + i) = rings.envelope_at[b].weight[si] * shell.hq;
    }
    for (Index j = 0; j < count; ++j) columns(r, nb + ne + j) = shell.hd[static_cast<std::size_t>(j)];
    out.push.row(r) = columns.row(r).tail(count) - columns.row(r).head(nb + ne) * sensitivity.follow;
    out.k.push_back(rings.k[b]);
    out.root(r) = std::sqrt(shell.hh);
    out.data(r) = shell.hr / out.root(r);
  }
  const Eigen::MatrixXd scaled = out.root.cwiseInverse().asDiagonal() * columns;
  out.left = Eigen::MatrixXd::Identity(n, n) - scaled * sensitivity.full.ldlt().solve(scaled.transpose());
  return out;
}

/// Covariance of δ between shells for a variance of 1 at k = 0.
Eigen::MatrixXd covariance_of(const std::vector<double>& k, double length_per_A, double fall_A) {
  const auto n = static_cast<Index>(k.size());
  Eigen::MatrixXd out(n, n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      const double a = k[static_cast<std::size_t>(i)], b = k[static_cast<std::size_t>(j)];
      out(i, j) = std::exp(-0.5 * (std::pow((a - b) / length_per_A, 2) + fall_A * fall_A * (a * a + b * b)));
    }
  return out;
}

/// The likeliest variance of δ over a grid, for noise of variance `unit` in each shell; and its log likelihood.
std::pair<double, double> likeliest_variance(const OwnStructure& s, const Eigen::MatrixXd& correlation, double unit) {
  // In the eigenbasis of the correlation seen through the fit, relative to the noise, the likelihood is a sum.
  const Index n = s.data.size();
  Eigen::MatrixXd noise = unit * s.left;
  noise.diagonal().array() += 1e-3 * unit;
  const Eigen::MatrixXd seen = s.left * (s.root.asDiagonal() * correlation * s.root.asDiagonal()) * s.left.transpose();
  const Eigen::LLT<Eigen::MatrixXd> factor(noise);
  const Eigen::MatrixXd half = factor.matrixL().solve(seen), white = factor.matrixL().solve(half.transpose());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(0.5 * (white + white.transpose()));
  const Eigen::VectorXd y = eigen.eigenvectors().transpose() * factor.matrixL().solve(s.data);
  double best = 0, top = -0.5 * y.squaredNorm();
  for (double variance = 1e-5; variance < 2; variance *= 1.6) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) {
      const double v = 1 + variance * at_least_zero(eigen.eigenvalues()(i));
      sum -= 0.5 * (y(i) * y(i) / v + std::log(v));
    }
    if (sum > top) {
      top = sum;
      best = variance;
    }
  }
  return {best, top};
}

}  // namespace

ShapeErrors shape_errors(const Rings& rings, const Waves& waves, const Solution& solution, const RefineOptions& options,
                         double unit) {
  const auto sens = sensitivity(rings, waves, solution, options);
  const Index count = sens.inverse.rows();
  const auto shells = sum_scores(rings, waves, solution, sens);
  const auto variance = variance_by_lags(shells, rings.dk);
  const Eigen::MatrixXd normal = sens.inverse.inverse(),
                        information = true_information(rings, shells, sens, solution, unit),
                        answer = information.inverse();
  ShapeErrors out;
  out.information = std::min(1.0, information(0, 0) / normal(0, 0));
  double ratio = 0;
  for (Index j = 0; j < 3; ++j) ratio += variance[static_cast<std::size_t>(j)] / (unit * normal(j, j)) / 3;
  out.speckle = std::max(1.0, ratio);
  const auto structure = make_structure(rings, shells, solution, sens);
  const double unit_h = std::max(unit, variance[most_shapes] / std::max(1e-12, structure.root.squaredNorm()));
  double top = -std::numeric_limits<double>::infinity();
  Eigen::MatrixXd of_structure = Eigen::MatrixXd::Zero(count, count);
  for (const double length : lengths_per_A)
    for (const double fall : falls_A) {
      const auto shape = covariance_of(structure.k, length, fall);
      const auto [v, likelihood] = likeliest_variance(structure, shape, unit_h);
      if (likelihood <= top) continue;
      top = likelihood;
      out.length_per_A = length;
      out.structure = std::sqrt(v) * std::exp(-0.5 * std::pow(fall / 20, 2));
      of_structure = v * structure.push.transpose() * shape * structure.push;
    }
  out.covariance.topLeftCorner(count, count) = answer * (out.speckle * unit * normal + of_structure) * answer;
  return out;
}

double useful_probability(Angstrom sigma_defocus) {
  constexpr Angstrom useful = 300_A;
  const double s = useful.value() / std::hypot(useful.value(), 2 * sigma_defocus.value());
  return 1.5 * s * (1 - s * s / 3);
}

}  // namespace frazil::ctf
