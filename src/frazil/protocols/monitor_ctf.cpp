#include "frazil/protocols/monitor_ctf.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/algo/ctf/trend.hpp"
#include "frazil/base/statistics.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

constexpr std::size_t fewest = 12;  // fits before an alarm may ring
constexpr std::size_t recent = 10;  // fits that count as "the last ones"
constexpr double cubic_ice_A = 3.67, ice_tolerance = 0.015;
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

void append(CtfTrend& trend, const CtfFit& fit) {
  const double a = (fit.defocus_u - fit.defocus_v).value(), angle = 2 * to_rad(fit.astigmatism_angle);
  if (!std::isfinite(a * std::cos(angle)) || !std::isfinite(fit.optics.cs.value())) {
    ++trend.left_out;
    return;
  }
  ++trend.count;
  trend.cs = fit.optics.cs;
  if (fit.quality.sigma_cs > 0_mm && std::isfinite((fit.quality.cs_deviation + fit.quality.sigma_cs).value())) {
    keep(trend.cs_mm, fit.quality.cs_deviation.value());
    keep(trend.cs_sigma_mm, fit.quality.sigma_cs.value());
  }
  const bool told = fit.sigma_astigmatism > 0_A && std::isfinite(fit.sigma_astigmatism.value());
  keep(trend.astigmatism_c_A, a * std::cos(angle));
  keep(trend.astigmatism_s_A, a * std::sin(angle));
  keep(trend.astigmatism_sigma_A, told ? fit.sigma_astigmatism.value() : unknown_sigma_A);
  if (fit.quality.ice_position > 0_A && std::isfinite(fit.quality.ice_position.value()))
    keep(trend.ice_A, fit.quality.ice_position.value());
  if ((fit.agreement > 0_A || fit.difference_z != 0) && std::isfinite(fit.difference_z))
    keep(trend.disagreement, std::abs(fit.difference_z));
}

void watch_cs(const MonitorCtfParams& params, CtfTrend& trend) {
  const auto mean = ctf::robust_mean(trend.cs_mm, trend.cs_sigma_mm);
  trend.cs_deviation = Millimetre(mean.value);
  trend.sigma_cs = Millimetre(mean.sigma);
  trend.cs_spread = Millimetre(mean.scatter);
  if (trend.cs_mm.size() < fewest || std::abs(mean.value) < params.least_cs.value() ||
      std::abs(mean.value) < params.significance * mean.sigma)
    return;
  if (trend.cs.value() > 0 && trend.cs.value() + mean.value < 0) {
    trend.alarms.push_back(
        fmt::format("the rings of {} micrographs bend the other way: they are overfocused (a spherical aberration of "
                    "{:.2f} ± {:.2f} mm would do the same)",
                    trend.cs_mm.size(), trend.cs.value() + mean.value, mean.sigma));
    return;
  }
  trend.alarms.push_back(
      fmt::format("the rings of {} micrographs bend as if the spherical aberration were {:.2f} ± {:.2f} mm, not {:.2f} "
                  "mm: voltage, pixel size or Cs is wrong",
                  trend.cs_mm.size(), trend.cs.value() + mean.value, mean.sigma, trend.cs.value()));
}

void watch_ice(CtfTrend& trend) {
  if (trend.ice_A.size() < fewest / 2) return;
  const double place = median(trend.ice_A);
  if (std::abs(place / cubic_ice_A - 1) < ice_tolerance) return;
  trend.alarms.push_back(fmt::format(
      "the ring of ice lies at {:.2f} A in {} micrographs, not at {:.2f} A: the pixel size is wrong by {:+.1f} %",
      place, trend.ice_A.size(), cubic_ice_A, 100 * (place / cubic_ice_A - 1)));
}

void watch_disagreement(const MonitorCtfParams& params, CtfTrend& trend) {
  const auto& all = trend.disagreement;
  if (all.size() < 2 * recent) return;
  const double before = median(std::vector<double>(all.begin(), all.end() - recent)),
               now = median(std::vector<double>(all.end() - recent, all.end()));
  if (now > params.disagreement * (before + 1))
    trend.alarms.push_back(
        fmt::format("the CTF estimators differ by {:.1f} times their error bars in the last {} micrographs, by {:.1f} "
                    "times before: something in the microscope or its settings has changed",
                    now, recent, before));
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
    trend.alarms.push_back(
        fmt::format("the astigmatism of the last {} micrographs is {:.0f} ± {:.0f} A away from that of those before: "
                    "the stigmator has changed or the microscope drifts",
                    recent, moved, error));
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
  trend.alarms.clear();
  watch_cs(params, trend);
  watch_ice(trend);
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
