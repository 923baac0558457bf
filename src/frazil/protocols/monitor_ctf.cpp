#include "frazil/protocols/monitor_ctf.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/algo/ctf/optics_watch.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/statistics.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

constexpr std::size_t fewest = 12;       // fits before an alarm may ring
constexpr std::size_t recent = 10;       // fits that count as "the last ones"
constexpr double unknown_sigma_A = 100;  // of the astigmatism, where an estimator gives none

/// To six digits, which is more than any of these values is worth: a version is written for every few fits.
double six_digits(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double unit = std::pow(10.0, std::floor(std::log10(std::abs(value))) - 5);
  return std::round(value / unit) * unit;
}

/// Adds a value to a list that keeps the last ones.
void keep(std::vector<double>& list, double value) {
  if (list.size() >= CtfTrend::window) list.erase(list.begin());
  list.push_back(six_digits(value));
}

/// Defocus asked and found. Found as it goes with the spherical aberration given, before the acquisition moved that.
void append_asked(CtfTrend& trend, const CtfFit& fit) {
  if (!fit.asked_defocus || !(fit.sigma_defocus > 0_A)) return;
  const double per_cs = fit.quality.defocus_per_cs,
               found = ((fit.defocus_u + fit.defocus_v) / 2).value() - per_cs * fit.quality.cs_pull.value();
  if (!std::isfinite(fit.asked_defocus->value() + found + per_cs + fit.sigma_defocus.value())) return;
  keep(trend.asked_A, fit.asked_defocus->value());
  keep(trend.found_A, found);
  keep(trend.found_sigma_A, fit.sigma_defocus.value());
  keep(trend.found_per_cs_A, per_cs);
}

void append_tilt(CtfTrend& trend, const CtfFit& fit) {
  if (fit.stage_tilt && std::isfinite(fit.stage_tilt->value())) keep(trend.stage_tilt_deg, fit.stage_tilt->value());
  if (!(fit.sigma_tilt > 0_deg) || !std::isfinite((fit.tilt + fit.tilt_axis + fit.sigma_tilt).value())) return;
  keep(trend.tilt_x_deg, fit.tilt.value() * std::cos(to_rad(fit.tilt_axis)));
  keep(trend.tilt_y_deg, fit.tilt.value() * std::sin(to_rad(fit.tilt_axis)));
  keep(trend.tilt_sigma_deg, fit.sigma_tilt.value());
}

void append_quality(CtfTrend& trend, const CtfQuality& q) {
  const auto keep_pair = [](std::vector<double>& values, std::vector<double>& sigmas, double value, double sigma) {
    if (!(sigma > 0) || !std::isfinite(value + sigma)) return;
    keep(values, value);
    keep(sigmas, sigma);
  };
  keep_pair(trend.cs_mm, trend.cs_sigma_mm, q.cs_deviation.value(), q.sigma_cs.value());
  if (q.sigma_phase_deviation > 0_deg && std::isfinite(q.phase_over_cs)) {
    keep_pair(trend.phase_deg, trend.phase_sigma_deg, q.phase_deviation.value(), q.sigma_phase_deviation.value());
    keep(trend.phase_over_cs, q.phase_over_cs);
  }
  keep_pair(trend.ice_A, trend.ice_sigma_A, q.ice_position.value(), q.sigma_ice_position.value());
  keep_pair(trend.gold_A, trend.gold_sigma_A, q.gold_position.value(), q.sigma_gold_position.value());
}

void append(CtfTrend& trend, const CtfFit& fit) {
  const double a = (fit.defocus_u - fit.defocus_v).value(), angle = 2 * to_rad(fit.astigmatism_angle);
  if (!std::isfinite(a * std::cos(angle)) || !std::isfinite(fit.optics.cs.value())) {
    ++trend.left_out;
    return;
  }
  ++trend.count;
  trend.cs = fit.optics.cs - fit.quality.cs_pull;  // as given, before the acquisition moved it
  trend.voltage = fit.optics.voltage;
  trend.pixel_size = fit.pixel_size;
  append_quality(trend, fit.quality);
  append_asked(trend, fit);
  append_tilt(trend, fit);
  const bool told = fit.sigma_astigmatism > 0_A && std::isfinite(fit.sigma_astigmatism.value());
  keep(trend.astigmatism_c_A, a * std::cos(angle));
  keep(trend.astigmatism_s_A, a * std::sin(angle));
  keep(trend.astigmatism_sigma_A, told ? fit.sigma_astigmatism.value() : unknown_sigma_A);
  if ((fit.agreement > 0_A || fit.difference_z != 0) && std::isfinite(fit.difference_z))
    keep(trend.disagreement, std::abs(fit.difference_z));
}

void summarise_cs(CtfTrend& trend) {
  const auto mean = ctf::robust_mean(trend.cs_mm, trend.cs_sigma_mm);
  trend.cs_deviation = Millimetre(mean.value);
  trend.sigma_cs = Millimetre(mean.sigma);
  trend.cs_spread = Millimetre(mean.scatter);
}

void summarise_asked(CtfTrend& trend) {
  auto found = trend.found_A;
  for (std::size_t i = 0; i < found.size(); ++i) found[i] += trend.found_per_cs_A[i] * trend.cs_deviation.value();
  const auto compared = ctf::compare_asked(trend.asked_A, found, trend.found_sigma_A);
  trend.asked_scale = compared.scale.value;
  trend.sigma_asked_scale = compared.scale.sigma;
  trend.asked_offset = Angstrom(compared.offset_A.value);
  trend.sigma_asked_offset = Angstrom(compared.offset_A.sigma);
}

ctf::OpticsEvidence evidence_of(const CtfTrend& trend) {
  ctf::OpticsEvidence evidence{.voltage = trend.voltage, .cs = trend.cs, .pixel_size = trend.pixel_size};
  evidence.count = static_cast<int>(trend.astigmatism_c_A.size());
  if (trend.cs_mm.size() >= fewest) evidence.cs_mm = {(trend.cs + trend.cs_deviation).value(), trend.sigma_cs.value()};
  if (trend.asked_A.size() >= fewest) evidence.scale = {trend.asked_scale, trend.sigma_asked_scale};
  evidence.ice = ctf::common_place(trend.ice_A, fewest / 2);
  evidence.gold = ctf::common_place(trend.gold_A, fewest / 2);
  return evidence;
}

/// @return whether the optics are as told, as far as can be seen
bool watch_optics(CtfTrend& trend) {
  const auto evidence = evidence_of(trend);
  const auto explanations = ctf::explain(evidence);
  trend.explanations.clear();
  trend.probabilities.clear();
  for (const auto& e : explanations) {
    if (e.probability < 0.01) continue;
    trend.explanations.push_back(ctf::words_of(e, evidence));
    trend.probabilities.push_back(six_digits(e.probability));
  }
  trend.visible_pixel_error = six_digits(ctf::smallest_pixel_error(evidence));
  const auto findings = ctf::optics_findings(evidence, explanations);
  trend.findings.insert(trend.findings.end(), findings.begin(), findings.end());
  return findings.empty();
}

/// Offset of the defocus found from that asked. Heights of holes scatter by some 0.1 um about what autofocus measured
/// at another place; a tenth more is no fault.
void watch_offset(const MonitorCtfParams& params, CtfTrend& trend) {
  constexpr double um = 1e-4;
  if (trend.asked_A.size() < fewest || !(trend.sigma_asked_offset > 0_A)) return;
  const double offset = trend.asked_offset.value(), sigma = trend.sigma_asked_offset.value();
  if (std::abs(offset) < params.least_offset.value() + params.significance * sigma) return;
  const double scale_error = std::hypot(trend.sigma_asked_scale, 0.04);  // the lens's own scale
  const bool scale_differs = trend.sigma_asked_scale > 0 && std::abs(trend.asked_scale - 1) > 2.5 * scale_error;
  trend.findings.push_back(
      {.kind = AlarmKind::defocus,
       .text = fmt::format("the defocus of {} micrographs is {:.2f} um {} than was asked of the microscope{}",
                           trend.asked_A.size(), um * std::abs(offset), offset > 0 ? "larger" : "smaller",
                           scale_differs ? fmt::format(", and changes by {:.2f} ± {:.2f} of what is asked: voltage or "
                                                       "pixel size may be wrong",
                                                       trend.asked_scale, trend.sigma_asked_scale)
                                         : ""),
       .seen = fmt::format("{:+.2f} ± {:.2f} um from what was asked", um * offset, um * sigma),
       .expected = fmt::format("within {:.2f} um", um * params.least_offset.value()),
       .advice = "check autofocus and eucentric height, or correct the defocus that is set by this offset"});
}

/// Mean tilt vector of the last fits: bent grids tilt here and there by a few degrees, a stage that is tilted by one
/// angle along one axis.
void watch_tilt(const MonitorCtfParams& params, CtfTrend& trend) {
  trend.tilt = trend.tilt_axis = trend.sigma_tilt = 0_deg;
  if (trend.tilt_x_deg.size() < fewest) return;
  const auto x = ctf::robust_mean(trend.tilt_x_deg, trend.tilt_sigma_deg),
             y = ctf::robust_mean(trend.tilt_y_deg, trend.tilt_sigma_deg);
  trend.tilt = Degrees(std::hypot(x.value, y.value));
  trend.tilt_axis = from_rad(std::atan2(y.value, x.value));
  trend.sigma_tilt = Degrees(std::sqrt(0.5 * (x.sigma * x.sigma + y.sigma * y.sigma)));
  const bool is_told = trend.stage_tilt_deg.size() >= fewest;
  const double told = is_told ? std::abs(median(trend.stage_tilt_deg)) : 0;
  if (std::abs(trend.tilt.value() - told) < params.least_tilt.value() + params.significance * trend.sigma_tilt.value())
    return;
  trend.findings.push_back(
      {.kind = AlarmKind::tilt,
       .text = fmt::format("the specimen is tilted by {:.0f}° in {} micrographs, {}", trend.tilt.value(),
                           trend.tilt_x_deg.size(),
                           is_told ? fmt::format("the microscope tells {:.0f}°", told) : "which nobody told"),
       .seen = fmt::format("{:.1f} ± {:.1f}° about an axis at {:.0f}°", trend.tilt.value(), trend.sigma_tilt.value(),
                           trend.tilt_axis.value()),
       .expected = fmt::format("{:.0f}° ({})", told, is_told ? "the microscope's metadata" : "no tilt is told"),
       .advice = "look at the stage's tilt; particles get their own defocus where the tilt is significant"});
}

/// Mean of angles known modulo 180°, by their doubled directions; the error from their scatter.
void summarise_phase(CtfTrend& trend) {
  trend.phase = trend.sigma_phase = 0_deg;
  const auto n = static_cast<double>(trend.phase_deg.size());
  if (trend.phase_deg.size() < fewest) return;
  double c = 0, s = 0;
  for (const double deg : trend.phase_deg) {
    c += std::cos(2 * to_rad(Degrees(deg))) / n;
    s += std::sin(2 * to_rad(Degrees(deg))) / n;
  }
  const double length = std::hypot(c, s);
  if (!(length > 0)) return;
  trend.phase = from_rad(0.5 * std::atan2(s, c));
  trend.sigma_phase = from_rad(0.5 * std::sqrt(at_least_zero(1 - length * length) / n) / length);
}

/// A constant phase explains the rings of most micrographs, and better than another spherical aberration does.
bool shows_phase(const MonitorCtfParams& params, const CtfTrend& trend) {
  return trend.sigma_phase > 0_deg && median(trend.phase_over_cs) > 0 &&
         std::abs(trend.phase.value()) > params.least_phase.value() + params.significance * trend.sigma_phase.value();
}

void watch_phase(CtfTrend& trend) {
  trend.findings.push_back(
      {.kind = AlarmKind::phase,
       .text = fmt::format("the rings of {} micrographs show a constant phase of {:.0f}° that was not told",
                           trend.phase_deg.size(), trend.phase.value()),
       .seen = fmt::format("{:.0f} ± {:.0f}° (modulo 180°)", trend.phase.value(), trend.sigma_phase.value()),
       .expected = "none, but for what amplitude contrast brings",
       .advice = "if there is a phase plate, set fit_phase_shift for estimate-ctf"});
}

void watch_disagreement(const MonitorCtfParams& params, CtfTrend& trend) {
  const auto& all = trend.disagreement;
  if (all.size() < 2 * recent) return;
  const double before = median(std::vector<double>(all.begin(), all.end() - recent)),
               now = median(std::vector<double>(all.end() - recent, all.end()));
  if (now > params.disagreement * (before + 1))
    trend.findings.push_back(
        {.kind = AlarmKind::ctf,
         .text = fmt::format("the CTF estimators differ by {:.1f} times their error bars in the last {} micrographs, "
                             "by {:.1f} times before: something in the microscope or its settings has changed",
                             now, recent, before),
         .seen = fmt::format("{:.1f} standard errors", now),
         .expected = fmt::format("{:.1f} standard errors (the micrographs before)", before),
         .advice = "look at the last micrographs: ice, drift, beam and stigmator"});
}

/// What a mean of n values must exceed, in errors taken from their own scatter, to be as unlikely as `z` standard
/// deviations: Student's distribution by its expansion about the normal one (Fisher & Cornish 1960,
/// doi:10.2307/1266546).
double student(double z, std::size_t n) {
  const double v = static_cast<double>(n) - 1, z2 = z * z;
  return z * (1 + (z2 + 1) / (4 * v) + ((5 * z2 + 16) * z2 + 3) / (96 * v * v) +
              (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * v * v * v));
}

/// Mean of the last fits against that of those before.
void watch_stigmator(const MonitorCtfParams& params, CtfTrend& trend) {
  const auto &c = trend.astigmatism_c_A, &s = trend.astigmatism_s_A, &sigma = trend.astigmatism_sigma_A;
  if (c.size() < 2 * recent) return;
  const auto split = [](const std::vector<double>& all) {
    return std::pair(std::vector<double>{all.begin(), all.end() - recent},
                     std::vector<double>{all.end() - recent, all.end()});
  };
  const auto [c_before, c_now] = split(c);
  const auto [s_before, s_now] = split(s);
  const auto [sigma_before, sigma_now] = split(sigma);
  const auto c0 = ctf::robust_mean(c_before, sigma_before), c1 = ctf::robust_mean(c_now, sigma_now),
             s0 = ctf::robust_mean(s_before, sigma_before), s1 = ctf::robust_mean(s_now, sigma_now);
  const double moved = std::hypot(c1.value - c0.value, s1.value - s0.value),
               error = std::sqrt(
                   0.5 * (c0.sigma * c0.sigma + c1.sigma * c1.sigma + s0.sigma * s0.sigma + s1.sigma * s1.sigma));
  if (moved > params.least_astigmatism.value() && moved > student(params.significance, recent) * error)
    trend.findings.push_back(
        {.kind = AlarmKind::astigmatism,
         .text = fmt::format("the astigmatism of the last {} micrographs is {:.0f} ± {:.0f} A away from that of those "
                             "before: the stigmator has changed or the microscope drifts",
                             recent, moved, error),
         .seen = fmt::format("{:.0f} A in x, {:.0f} A in y", c1.value, s1.value),
         .expected = fmt::format("{:.0f} A in x, {:.0f} A in y (the micrographs before)", c0.value, s0.value),
         .advice = "tune the objective stigmator"});
}

void summarise_astigmatism(CtfTrend& trend) {
  const auto c = ctf::robust_mean(trend.astigmatism_c_A, trend.astigmatism_sigma_A),
             s = ctf::robust_mean(trend.astigmatism_s_A, trend.astigmatism_sigma_A);
  trend.astigmatism = Angstrom(std::hypot(c.value, s.value));
  trend.astigmatism_angle = from_rad(0.5 * std::atan2(s.value, c.value));
  if (trend.astigmatism_angle < 0_deg) trend.astigmatism_angle += 180_deg;
  trend.sigma_astigmatism = Angstrom(std::sqrt(0.5 * (c.sigma * c.sigma + s.sigma * s.sigma)));
  trend.astigmatism_spread = Angstrom(std::sqrt(0.5 * (c.scatter * c.scatter + s.scatter * s.scatter)));
}

}  // namespace

CtfTrend extend(const MonitorCtfParams& params, const CtfTrend* previous, const std::vector<CtfFit>& batch) {
  CtfTrend trend = previous != nullptr ? *previous : CtfTrend{};
  for (const auto& fit : batch) append(trend, fit);
  trend.findings.clear();
  summarise_cs(trend);
  summarise_asked(trend);
  summarise_phase(trend);
  // Each puts the defocus elsewhere, too: one fault is said, that which explains best.
  if (shows_phase(params, trend))
    watch_phase(trend);
  else if (watch_optics(trend))
    watch_offset(params, trend);
  watch_tilt(params, trend);
  watch_disagreement(params, trend);
  watch_stigmator(params, trend);
  summarise_astigmatism(trend);
  return trend;
}

CtfTrend MonitorCtf::fold(const CtfTrend* previous, const std::vector<CtfFit>& batch, flow::Context&) const {
  return extend(params, previous, batch);
}

template flow::Protocol protocol_of<MonitorCtf>();

}  // namespace frazil::protocols
