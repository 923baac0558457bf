#include "frazil/algo/ctf/model_fit.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frazil/algo/ctf/model_start.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/sinc.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::ctf {
namespace {

using std::numbers::pi;

constexpr int sector_count = 36;         // 5° of the half plane: along them χ is taken to first order
constexpr std::size_t guess_count = 10;  // more cost time only: the likelihood chooses
constexpr int first_steps = 6, max_steps = 30,
              columns = 6;            // steps: a limit, they end by themselves; columns of the model
constexpr std::size_t finalists = 4;  // guesses that are followed to the end
constexpr double background_spacing = 0.06, envelope_spacing = 0.08;  // in √k and k, as wide as rings of 0.2 µm allow
constexpr double smoothness = 0.5;   // standard deviation of second differences of e's coefficients, in e-folds
constexpr double robustness = 12;    // degrees of freedom of the weights 1 / (1 + z²/ν)
constexpr double envelope_cost = 3;  // half the number of parameters that rings bring, in nats

struct Bases {
  std::vector<SplineAt> background_at, envelope_at;
  int backgrounds = 0, envelopes = 0;
};

Bases make_bases(const SectorTable& table) {
  const SplineBasis b(std::sqrt(table.k.front()), std::sqrt(table.k.back()), background_spacing),
      e(table.k.front(), table.k.back(), envelope_spacing);
  Bases out;
  for (const double k : table.k) {
    out.background_at.push_back(b.at(std::sqrt(k)));
    out.envelope_at.push_back(e.at(k));
  }
  out.backgrounds = b.size();
  out.envelopes = e.size();
  return out;
}

double value_at(const SplineAt& at, const Eigen::VectorXd& coefficients) {
  double sum = 0;
  for (int i = 0; i < 4; ++i) sum += at.weight[static_cast<std::size_t>(i)] * coefficients(at.first + i);
  return sum;
}

/// One fit's surroundings: data, bases, how many independent values a pixel stands for.
class Fitter {
 public:
  Fitter(const SectorTable& table, const Waves& waves, const FitParams& params)
      : table_(table), waves_(waves), bases_(make_bases(table)), params_(params) {
    for (int s = 0; s < table.sectors; ++s) {
      cos_.push_back(std::cos(2 * table.azimuth(s)));
      sin_.push_back(std::sin(2 * table.azimuth(s)));
    }
    expected_ = params.expected_astigmatism.value();
  }
  void set_independence(double values_per_pixel) { per_pixel_ = values_per_pixel; }
  [[nodiscard]] double independence() const { return per_pixel_; }
  [[nodiscard]] const Bases& bases() const { return bases_; }

  /// Background alone, fitted.
  [[nodiscard]] SpectrumModel flat() {
    SpectrumModel model;
    model.background = log_means();
    model.envelope = Eigen::VectorXd::Constant(bases_.envelopes, -60);
    return climb(model, false, max_steps);
  }
  /// A guess after its first steps.
  [[nodiscard]] SpectrumModel ringed(const SpectrumModel& flat, const Shape& start) {
    SpectrumModel model = flat;
    model.shape = start;
    for (int j = 0; j < bases_.envelopes; ++j) {  // a fifth of the background, falling
      const double k = table_.k.front() + (table_.k.back() - table_.k.front()) *
                                              std::clamp((j - 1.0) / (bases_.envelopes - 3.0), 0.0, 1.0);
      model.envelope(j) = background_near(flat, k) + std::log(0.2) - 25 * k * k;
    }
    return climb(model, true, first_steps);
  }
  [[nodiscard]] SpectrumModel finished(const SpectrumModel& model) const { return climb(model, true, max_steps); }
  /// z = (m/P − 1) √(values of the cell), shell × sector.
  [[nodiscard]] Eigen::ArrayXXd deviations(const SpectrumModel& model) const;
  /// m over the background alone minus one.
  [[nodiscard]] Eigen::ArrayXXd excess(const SpectrumModel& flat) const {
    Eigen::ArrayXXd out = table_.mean;
    for (Eigen::Index s = 0; s < table_.shells(); ++s)
      out.row(s) =
          out.row(s) / std::exp(value_at(bases_.background_at[static_cast<std::size_t>(s)], flat.background)) - 1;
    return out;
  }

 private:
  struct Equations {
    Eigen::MatrixXd normal;
    Eigen::VectorXd right;
    double cost = 0, penalty = 0;
  };
  [[nodiscard]] Eigen::VectorXd log_means() const;
  [[nodiscard]] double background_near(const SpectrumModel& flat, double k) const {
    const auto i = static_cast<std::size_t>(std::clamp<double>(std::round((k - table_.k.front()) / table_.dk), 0,
                                                               static_cast<double>(table_.k.size() - 1)));
    return value_at(bases_.background_at[i], flat.background);
  }
  [[nodiscard]] Equations equations(const SpectrumModel& model, bool rings, bool derivatives) const;
  void add_priors(const SpectrumModel& model, bool rings, Equations& out) const;
  [[nodiscard]] SpectrumModel moved(const SpectrumModel& model, const Eigen::VectorXd& step, bool rings) const;
  [[nodiscard]] SpectrumModel climb(SpectrumModel model, bool rings, int steps) const;

  const SectorTable& table_;
  const Waves& waves_;
  Bases bases_;
  const FitParams& params_;
  std::vector<double> cos_, sin_;
  double per_pixel_ = 1, expected_ = 0;
};

Eigen::VectorXd Fitter::log_means() const {
  Eigen::MatrixXd normal = 1e-6 * Eigen::MatrixXd::Identity(bases_.backgrounds, bases_.backgrounds);
  Eigen::VectorXd right = Eigen::VectorXd::Zero(bases_.backgrounds);
  for (Eigen::Index s = 0; s < table_.shells(); ++s) {
    const double total = table_.count.row(s).sum();
    if (total == 0) continue;
    const double value = std::log((table_.mean.row(s) * table_.count.row(s)).sum() / total);
    const auto& at = bases_.background_at[static_cast<std::size_t>(s)];
    for (int i = 0; i < 4; ++i) {
      right(at.first + i) += total * at.weight[static_cast<std::size_t>(i)] * value;
      for (int j = 0; j < 4; ++j)
        normal(at.first + i, at.first + j) +=
            total * at.weight[static_cast<std::size_t>(i)] * at.weight[static_cast<std::size_t>(j)];
    }
  }
  return normal.ldlt().solve(right);
}

Fitter::Equations Fitter::equations(const SpectrumModel& model, bool rings, bool derivatives) const {
  const int nb = bases_.backgrounds, ne = rings ? bases_.envelopes : 0,
            ns = rings ? (params_.fit_phase_shift ? 4 : 3) : 0, total = nb + ne + ns;
  Equations out{Eigen::MatrixXd::Zero(derivatives ? total : 0, derivatives ? total : 0),
                Eigen::VectorXd::Zero(derivatives ? total : 0)};
  for (Eigen::Index s = 0; s < table_.shells(); ++s) {
    const auto si = static_cast<std::size_t>(s);
    if (table_.used[si] == 0) continue;
    const double k = table_.k[si], u = k * k, b = std::exp(value_at(bases_.background_at[si], model.background));
    const double e = rings ? std::exp(value_at(bases_.envelope_at[si], model.envelope)) : 0;
    const double radial =
        rings ? sinc(2 * k * table_.dk * (waves_.pi_lambda * model.shape.defocus - 2 * waves_.cs_term * u)) : 1;
    Eigen::Matrix<double, columns, columns> product = Eigen::Matrix<double, columns, columns>::Zero();
    Eigen::Matrix<double, columns, 1> data = Eigen::Matrix<double, columns, 1>::Zero();
    for (int c = 0; c < table_.sectors; ++c) {
      const double n = table_.count(s, c) * per_pixel_, cosine = cos_[static_cast<std::size_t>(c)],
                   sine = sin_[static_cast<std::size_t>(c)];
      const double cell_u = table_.u(s, c), cell_c = table_.c(s, c), cell_s = table_.s(s, c);
      if (n == 0) continue;
      double p = b;
      Eigen::Matrix<double, columns, 1> g = Eigen::Matrix<double, columns, 1>::Zero();
      g(0) = b;
      if (rings) {
        const double span = waves_.pi_lambda * u * (model.shape.s * cosine - model.shape.c * sine) * pi /
                            table_.sectors;  // of 2χ, half the sector
        const double d = radial * sinc(span), two_chi = 2 * waves_.chi(model.shape, cell_u, cell_c, cell_s);
        g(1) = 0.5 * e * (1 - d * std::cos(two_chi));
        p += g(1);
        const double slope = e * d * std::sin(two_chi);
        g(2) = slope * waves_.pi_lambda * cell_u;
        g(3) = 0.5 * slope * waves_.pi_lambda * cell_c;
        g(4) = 0.5 * slope * waves_.pi_lambda * cell_s;
        g(5) = slope;
      }
      const double ratio = table_.mean(s, c) / p, z2 = n * (ratio - 1) * (ratio - 1);
      // Student-like: ½(ν+1) ln(1 + z²/ν) grows as the Gamma deviance near the middle and slowly in the tails.
      const double deviance = at_least_zero(2 * n * (ratio - 1 - std::log(std::max(1e-12, ratio))));
      out.cost += 0.5 * (robustness + 1) * std::log1p(deviance / robustness);
      if (!derivatives) continue;
      const double w = (robustness + 1) / (robustness + z2) * n / (p * p);
      data += w * (table_.mean(s, c) - p) * g;
      product += w * g * g.transpose();
    }
    if (!derivatives) continue;
    std::array<int, 12> index{}, column{};
    std::array<double, 12> factor{};
    std::size_t count = 0;
    for (int i = 0; i < 4; ++i, ++count) {
      index[count] = bases_.background_at[si].first + i;
      column[count] = 0;
      factor[count] = bases_.background_at[si].weight[static_cast<std::size_t>(i)];
    }
    for (int i = 0; rings && i < 4; ++i, ++count) {
      index[count] = nb + bases_.envelope_at[si].first + i;
      column[count] = 1;
      factor[count] = bases_.envelope_at[si].weight[static_cast<std::size_t>(i)];
    }
    for (int i = 0; i < ns; ++i, ++count) {
      index[count] = nb + ne + i;
      column[count] = 2 + i;
      factor[count] = 1;
    }
    for (std::size_t i = 0; i < count; ++i) {
      out.right(index[i]) += factor[i] * data(column[i]);
      for (std::size_t j = 0; j < count; ++j)
        out.normal(index[i], index[j]) += factor[i] * factor[j] * product(column[i], column[j]);
    }
  }
  add_priors(model, rings, out);
  return out;
}

/// Envelopes bend little; astigmatism is small.
void Fitter::add_priors(const SpectrumModel& model, bool rings, Equations& out) const {
  if (!rings) return;
  const bool derivatives = out.right.size() > 0;
  const int nb = bases_.backgrounds, ne = bases_.envelopes, at = nb + ne;
  const auto pull = [&](const std::vector<std::pair<int, double>>& row, double value, double sigma) {
    const double w = 1 / (sigma * sigma);
    out.penalty += 0.5 * w * value * value;
    if (!derivatives) return;
    for (const auto& [i, a] : row) {
      out.right(i) -= w * a * value;
      for (const auto& [j, b] : row) out.normal(i, j) += w * a * b;
    }
  };
  for (int j = 0; j + 2 < ne; ++j)
    pull({{nb + j, 1.0}, {nb + j + 1, -2.0}, {nb + j + 2, 1.0}},
         model.envelope(j) - 2 * model.envelope(j + 1) + model.envelope(j + 2), smoothness);
  if (expected_ > 0) {
    const auto [c, s] = prior_vector(params_);
    pull({{at + 1, 1.0}}, model.shape.c - c, expected_);
    pull({{at + 2, 1.0}}, model.shape.s - s, expected_);
  }
  out.cost += out.penalty;
}

SpectrumModel Fitter::moved(const SpectrumModel& model, const Eigen::VectorXd& step, bool rings) const {
  SpectrumModel next = model;
  next.background += step.head(bases_.backgrounds).cwiseMax(-1).cwiseMin(1);
  if (!rings) return next;
  next.envelope += step.segment(bases_.backgrounds, bases_.envelopes).cwiseMax(-1.5).cwiseMin(1.5);
  next.envelope = next.envelope.cwiseMax(-80).cwiseMin(80);
  const auto shape = step.tail(step.size() - bases_.backgrounds - bases_.envelopes);
  const double most = 200, share = std::min(1.0, most / std::max(1e-9, shape.head(3).cwiseAbs().maxCoeff()));
  next.shape.defocus += share * shape(0);
  next.shape.c += share * shape(1);
  next.shape.s += share * shape(2);
  if (shape.size() > 3) next.shape.phase += share * shape(3);
  return next;
}

SpectrumModel Fitter::climb(SpectrumModel model, bool rings, int steps) const {
  auto here = equations(model, rings, true);
  double lambda = 1e-3;
  for (int step = 0; step < steps && lambda < 1e5; ++step) {
    Eigen::MatrixXd normal = here.normal;
    normal.diagonal() *= 1 + lambda;
    normal.diagonal().array() += 1e-9 * here.normal.diagonal().head(bases_.backgrounds).maxCoeff() * 1e-3;
    const Eigen::VectorXd move = normal.ldlt().solve(here.right);
    if (!move.allFinite()) break;
    const auto next = moved(model, move, rings);
    const double cost = equations(next, rings, false).cost;
    if (!(cost < here.cost)) {
      lambda *= 8;
      continue;
    }
    const bool done = here.cost - cost < 3e-3;
    model = next;
    here = equations(model, rings, true);
    lambda = std::max(1e-6, lambda / 8);
    if (done) break;
  }
  model.log_likelihood = -here.cost;
  model.penalty = here.penalty;
  if (rings) {
    const Eigen::Index n = here.right.size(), shapes = n - bases_.backgrounds - bases_.envelopes;
    here.normal.diagonal().array() += 1e-12 * here.normal.diagonal().maxCoeff();
    const Eigen::MatrixXd inverse = here.normal.ldlt().solve(Eigen::MatrixXd::Identity(n, n).rightCols(shapes));
    model.covariance.topLeftCorner(shapes, shapes) = inverse.bottomRows(shapes);
  }
  return model;
}

Eigen::ArrayXXd Fitter::deviations(const SpectrumModel& model) const {
  Eigen::ArrayXXd z = Eigen::ArrayXXd::Zero(table_.shells(), table_.sectors);
  for (Eigen::Index s = 0; s < table_.shells(); ++s) {
    const auto si = static_cast<std::size_t>(s);
    if (table_.used[si] == 0) continue;
    const double k = table_.k[si], u = k * k, b = std::exp(value_at(bases_.background_at[si], model.background)),
                 e = std::exp(value_at(bases_.envelope_at[si], model.envelope));
    const double radial = sinc(2 * k * table_.dk * (waves_.pi_lambda * model.shape.defocus - 2 * waves_.cs_term * u));
    for (int c = 0; c < table_.sectors; ++c) {
      if (table_.count(s, c) == 0) continue;
      const double cosine = cos_[static_cast<std::size_t>(c)], sine = sin_[static_cast<std::size_t>(c)];
      const double d =
          radial * sinc(waves_.pi_lambda * u * (model.shape.s * cosine - model.shape.c * sine) * pi / table_.sectors);
      const double p =
          b + 0.5 * e * (1 - d * std::cos(2 * waves_.chi(model.shape, table_.u(s, c), table_.c(s, c), table_.s(s, c))));
      z(s, c) = (table_.mean(s, c) / p - 1) * std::sqrt(table_.count(s, c) * per_pixel_);
    }
  }
  return z;
}

/// Variance of z and the sum of its autocorrelation over neighbouring cells: how much less the cells know than they
/// seem to.
double overstatement(const Eigen::ArrayXXd& z) {
  std::vector<double> magnitude;
  for (const double v : z.reshaped())
    if (v != 0) magnitude.push_back(std::abs(v));
  if (magnitude.empty()) return 1;
  const double sigma = sigma_over_mad * median(std::move(magnitude));
  const Eigen::ArrayXXd r = (z / std::max(1e-9, sigma)).max(-4).min(4);
  const double power = r.square().sum();
  double correlation = 1;
  const auto rows = r.rows(), cols = r.cols();
  for (Eigen::Index lag = 1; lag <= 2 && lag < rows; ++lag)
    correlation += 2 * (r.topRows(rows - lag) * r.bottomRows(rows - lag)).sum() / power;
  correlation += 2 * (r.leftCols(cols - 1) * r.rightCols(cols - 1)).sum() / power;
  for (const int side : {0, 1})
    correlation += 2 * (r.block(0, side, rows - 1, cols - 1) * r.block(1, 1 - side, rows - 1, cols - 1)).sum() / power;
  return sigma * sigma * std::clamp(correlation, 1.0, 6.0);
}

bool same(const Shape& a, const Shape& b) {
  return std::abs(a.defocus - b.defocus) < 30 && std::hypot(a.c - b.c, a.s - b.s) < 100 &&
         std::abs(std::remainder(a.phase - b.phase, pi)) < 0.1;
}

std::vector<SpectrumModel> climb_all(Fitter& fitter, const SpectrumModel& flat, const std::vector<Shape>& starts,
                                     const FitParams& params) {
  const auto likelier = [](const SpectrumModel& a, const SpectrumModel& b) {
    return a.log_likelihood > b.log_likelihood;
  };
  std::vector<SpectrumModel> first, all;
  for (const auto& start : starts) first.push_back(fitter.ringed(flat, start));
  std::stable_sort(first.begin(), first.end(), likelier);
  if (first.size() > finalists) first.resize(finalists);
  for (const auto& started : first) {
    auto model = fitter.finished(started);
    model.log_likelihood -= flat.log_likelihood;
    const bool inside = model.shape.defocus > 0.5 * params.min_defocus.value() &&
                        model.shape.defocus < 1.2 * params.max_defocus.value() &&
                        std::hypot(model.shape.c, model.shape.s) < 1.5 * params.max_astigmatism.value() + 500;
    const bool known =
        std::any_of(all.begin(), all.end(), [&](const SpectrumModel& other) { return same(other.shape, model.shape); });
    if (inside && !known) all.push_back(std::move(model));
  }
  std::stable_sort(all.begin(), all.end(), likelier);
  return all;
}

/// Probabilities from likelihood × the share of the prior's volume that the errors leave open (Laplace); the rest to 1
/// is "no rings".
std::vector<double> probabilities(const std::vector<SpectrumModel>& all, const FitParams& params, double range) {
  const double expected = std::max(
      1.0, params.expected_astigmatism > 0_A ? params.expected_astigmatism.value() : params.max_astigmatism.value());
  std::vector<double> logs{0.0};
  for (const auto& m : all) {
    const auto share = [](double variance, double full) {
      return std::log(std::clamp(std::sqrt(2 * pi * at_least_zero(variance)) / full, 1e-12, 1.0));
    };
    double log_volume =
        share(m.covariance(0, 0), range) +
        0.5 * std::log(std::clamp(m.covariance(1, 1) * m.covariance(2, 2) / std::pow(expected, 4), 1e-24, 1.0));
    if (params.fit_phase_shift) log_volume += share(m.covariance(3, 3), pi);
    logs.push_back(m.log_likelihood - envelope_cost + log_volume);
  }
  const double top = *std::max_element(logs.begin(), logs.end());
  double total = 0;
  for (double& l : logs) total += l = std::exp(l - top);
  std::vector<double> out;
  for (std::size_t i = 1; i < logs.size(); ++i) out.push_back(logs[i] / total);
  return out;
}

}  // namespace

ModelResult fit_spectrum_model(const PowerSpectrum& power, const Waves& waves, const FitParams& params,
                               const std::optional<Shape>& prior) {
  const auto table = make_sectors(power, params.min_resolution, params.max_resolution, sector_count);
  Fitter fitter(table, waves, params);
  fitter.set_independence(power.relative_variance > 0 ? 1 / power.relative_variance : 50);
  auto flat = fitter.flat();
  fitter.set_independence(fitter.independence() / overstatement(fitter.deviations(flat)));
  flat = fitter.flat();
  std::vector<Shape> starts;
  if (prior)
    starts = {*prior, {prior->defocus, 0, 0, prior->phase}};
  else
    starts = sector_guesses(table, fitter.excess(flat), waves, params, guess_count);
  ModelResult result;
  result.range = (prior ? 0.2 : 1) * (params.max_defocus - params.min_defocus).value();
  result.models = climb_all(fitter, flat, starts, params);
  if (!result.models.empty()) {  // the scatter about the best model tells how much a cell knows; then once more
    std::vector<Shape> again;
    for (const auto& m : result.models) again.push_back(m.shape);
    fitter.set_independence(fitter.independence() / overstatement(fitter.deviations(result.models.front())));
    flat = fitter.flat();
    auto models = climb_all(fitter, flat, again, params);
    if (!models.empty()) result.models = std::move(models);
  }
  if (result.models.empty()) {
    auto model = flat;
    model.shape = starts.empty() ? Shape{params.min_defocus.value(), 0, 0, 0} : starts.front();
    model.log_likelihood = -1e3;
    model.covariance = result.range * result.range * Eigen::Matrix4d::Identity();
    result.models.push_back(std::move(model));
  }
  result.probability = probabilities(result.models, params, result.range);
  return result;
}

}  // namespace frazil::ctf
