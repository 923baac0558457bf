#include "frazil/algo/ctf/optics_watch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "frazil/base/finite.hpp"
#include "frazil/base/statistics.hpp"

namespace frazil::ctf {
namespace {

/// What microscopes have, and how many of a hundred.
struct Usual {
  double value, share;
};
constexpr std::array voltages_kV{Usual{300, 0.40}, Usual{200, 0.35}, Usual{120, 0.12}, Usual{100, 0.10},
                                 Usual{80, 0.03}};
constexpr std::array aberrations_mm{Usual{2.7, 0.33}, Usual{0.0, 0.25}, Usual{1.4, 0.14},
                                    Usual{2.0, 0.13}, Usual{1.2, 0.06}, Usual{1.6, 0.04},
                                    Usual{6.3, 0.02}, Usual{0.5, 0.02}, Usual{4.1, 0.01}};
constexpr double same_cs_mm = 0.25;  // a Cs so near the told one is no other one
constexpr double pixel_tolerance = 0.005, cs_tolerance_mm = 0.03, scale_tolerance = 0.04;
constexpr double widest_pixel = 0.3, near_pixel = 0.06, pixel_step = 0.001;
constexpr double told_before = 0.9429, voltage_before = 0.01, cs_before = 0.01, pixel_before = 0.03,
                 double_before = 0.004, overfocus_before = 0.001, other_before = 0.0021;
constexpr double other_cs_mm = 20, other_scale = 4, other_ring = 0.3;  // widths over which anything may be seen
constexpr double noticed = 3.6;                                        // standard errors at which told and not are even
constexpr double gold_A = 2.355;
struct IceRing {
  double d_A, share;
};
constexpr std::array ice_rings{IceRing{3.67, 0.9}, IceRing{3.90, 0.05}, IceRing{3.44, 0.05}};

double normal(double value, double mean, double sigma) {
  return std::exp(-0.5 * std::pow((value - mean) / sigma, 2)) / (sigma * std::sqrt(2 * std::numbers::pi));
}

/// What a hypothesis says that the evidence must be.
struct Hypothesis {
  double cs_mm = 0;      ///< true
  double wave = 1;       ///< λ true over told
  double pixel = 1;      ///< told over true
  bool is_over = false;  ///< defocus of the other sign
};

double likelihood(const OpticsEvidence& seen, const Hypothesis& is) {
  double p = 1;
  const double factor = std::pow(is.pixel, 4) * std::pow(is.wave, 3), cs = (is.is_over ? -1 : 1) * is.cs_mm * factor;
  if (seen.cs_mm.is_known()) {
    const double tolerance = std::hypot(4 * pixel_tolerance * cs, cs_tolerance_mm * factor);
    p *= normal(seen.cs_mm.value, cs, std::hypot(seen.cs_mm.sigma, tolerance));
  }
  if (seen.scale.is_known()) {
    const double scale = is.pixel * is.pixel * is.wave;
    p *= normal(seen.scale.value, scale, std::hypot(seen.scale.sigma, scale_tolerance * scale));
  }
  const auto at_ring = [&](const RingPlace& ring, double d_A) {
    return normal(ring.d_A, is.pixel * d_A, std::hypot(ring.sigma_A, pixel_tolerance * d_A));
  };
  if (seen.ice.sigma_A > 0) {
    double ice = 0;
    for (const auto& ring : ice_rings) ice += ring.share * at_ring(seen.ice, ring.d_A);
    p *= ice;
  }
  if (seen.gold.sigma_A > 0) p *= at_ring(seen.gold, gold_A);
  return p;
}

/// Anything else: every value is as likely as any other.
double flat(const OpticsEvidence& seen) {
  double p = 1;
  if (seen.cs_mm.is_known()) p /= other_cs_mm;
  if (seen.scale.is_known()) p /= other_scale;
  if (seen.ice.sigma_A > 0) p /= other_ring;
  if (seen.gold.sigma_A > 0) p /= other_ring;
  return p;
}

double wave_ratio(double true_kV, Kilovolt told) { return wavelength(Kilovolt(true_kV)) / wavelength(told); }

/// A pixel size off by anything up to 30 %, half of them by no more than 6 %: weight of all together and the best
/// value.
Explanation any_pixel(const OpticsEvidence& seen, double cs_mm) {
  const double reach = std::log1p(widest_pixel), near = std::log1p(near_pixel), step = pixel_step;
  double sum = 0, best = -1, pixel = 1;
  for (double x = -reach; x <= reach; x += step) {
    const double before = 0.25 / reach + (std::abs(x) <= near ? 0.25 / near : 0),
                 p = before * likelihood(seen, {cs_mm, 1, std::exp(x)});
    sum += p * step;
    if (p > best) {
      best = p;
      pixel = std::exp(x);
    }
  }
  return {Explanation::What::pixel_size, seen.pixel_size.value() / pixel, pixel_before * sum};
}

AlarmKind kind_of(Explanation::What what) {
  using What = Explanation::What;
  switch (what) {
    case What::voltage:
      return AlarmKind::voltage;
    case What::pixel_size:
    case What::super_resolution:
      return AlarmKind::pixel_size;
    case What::overfocus:
      return AlarmKind::defocus;
    case What::cs:
      return AlarmKind::cs;
    case What::told:
    case What::other:
      break;
  }
  return AlarmKind::ctf;
}

std::string advice_of(Explanation::What what) {
  using What = Explanation::What;
  switch (what) {
    case What::voltage:
      return "read the voltage at the microscope, and set voltage";
    case What::pixel_size:
      return "check magnification and camera mode, and set pixel_size";
    case What::super_resolution:
      return "give the pixel size of the movies as they are written: half of the sensor's in super-resolution";
    case What::overfocus:
      return "check the sign of the defocus that is set at the microscope";
    case What::told:
    case What::cs:
    case What::other:
      break;
  }
  return "compare voltage, spherical aberration and pixel size with the microscope's own values";
}

/// What was measured, for people.
std::string seen_words(const OpticsEvidence& seen) {
  std::string text;
  const auto add = [&](std::string part) { text += (text.empty() ? "" : ", ") + part; };
  if (seen.cs_mm.is_known())
    add(fmt::format("rings as of a Cs of {:.2f} ± {:.2f} mm", seen.cs_mm.value, seen.cs_mm.sigma));
  if (seen.scale.is_known())
    add(fmt::format("defocus changes by {:.2f} ± {:.2f} of what is asked", seen.scale.value, seen.scale.sigma));
  if (seen.ice.sigma_A > 0) add(fmt::format("ring of ice at {:.3f} ± {:.3f} A", seen.ice.d_A, seen.ice.sigma_A));
  if (seen.gold.sigma_A > 0) add(fmt::format("ring of gold at {:.3f} ± {:.3f} A", seen.gold.d_A, seen.gold.sigma_A));
  return text;
}

}  // namespace

std::vector<Explanation> explain(const OpticsEvidence& seen) {
  using What = Explanation::What;
  const double cs = seen.cs.value();
  std::vector<Explanation> list{{What::told, 0, told_before * likelihood(seen, {cs})}};
  for (const auto& [kV, share] : voltages_kV)
    if (std::abs(kV - seen.voltage.value()) > 1)
      list.push_back(
          {What::voltage, kV, voltage_before * share * likelihood(seen, {cs, wave_ratio(kV, seen.voltage)})});
  for (const auto& [mm, share] : aberrations_mm)
    if (std::abs(mm - cs) > same_cs_mm) list.push_back({What::cs, mm, cs_before * share * likelihood(seen, {mm})});
  list.push_back(any_pixel(seen, cs));
  for (const double factor : {2.0, 0.5})
    list.push_back({What::super_resolution, seen.pixel_size.value() / factor,
                    double_before / 2 * likelihood(seen, {cs, 1, factor})});
  if (std::abs(cs) > same_cs_mm)
    list.push_back({What::overfocus, 0, overfocus_before * likelihood(seen, {cs, 1, 1, true})});
  list.push_back({What::other, 0, other_before * flat(seen)});
  double sum = 0;
  for (const auto& e : list) sum += e.probability;
  if (!(sum > 0)) return {{What::other, 0, 1}};
  for (auto& e : list) e.probability /= sum;
  std::stable_sort(list.begin(), list.end(),
                   [](const Explanation& a, const Explanation& b) { return a.probability > b.probability; });
  return list;
}

std::string words_of(const Explanation& e, const OpticsEvidence& told) {
  using What = Explanation::What;
  switch (e.what) {
    case What::told:
      return "voltage, Cs and pixel size are as told";
    case What::voltage:
      return fmt::format("the voltage is {:.0f} kV, not {:.0f} kV", e.value, told.voltage.value());
    case What::cs:
      return fmt::format("the spherical aberration is {:.2g} mm, not {:.2g} mm", e.value, told.cs.value());
    case What::pixel_size:
      return fmt::format("the pixel size is {:.3f} A, not {:.3f} A ({:+.1f} %)", e.value, told.pixel_size.value(),
                         100 * (e.value / told.pixel_size.value() - 1));
    case What::super_resolution:
      return fmt::format("the pixel size is {:.3f} A, not {:.3f} A: super-resolution was told wrongly", e.value,
                         told.pixel_size.value());
    case What::overfocus:
      return "the micrographs are overfocused";
    case What::other:
      break;
  }
  return "none of the usual mistakes";
}

std::vector<Finding> optics_findings(const OpticsEvidence& seen, const std::vector<Explanation>& explanations) {
  constexpr double worth_saying = 0.05;
  double told = 0;
  std::vector<Explanation> others;
  for (const auto& e : explanations)
    if (e.what == Explanation::What::told)
      told = e.probability;
    else
      others.push_back(e);
  if (told > 0.5 || others.empty()) return {};
  const auto percent = [&](const Explanation& e) { return std::lround(100 * e.probability / (1 - told)); };
  Finding finding{.kind = kind_of(others.front().what),
                  .text = fmt::format("{} micrographs contradict the optics that were told: {} ({} %)", seen.count,
                                      words_of(others.front(), seen), percent(others.front())),
                  .seen = seen_words(seen),
                  .expected = fmt::format("{:.0f} kV, Cs {:.2g} mm, pixel {:.3f} A (told)", seen.voltage.value(),
                                          seen.cs.value(), seen.pixel_size.value()),
                  .advice = advice_of(others.front().what),
                  .sure = 1 - told};
  for (std::size_t i = 1; i < others.size() && i < 3 && others[i].probability > worth_saying * (1 - told); ++i)
    finding.text += fmt::format(", or {} ({} %)", words_of(others[i], seen), percent(others[i]));
  return {finding};
}

double smallest_pixel_error(const OpticsEvidence& seen) {
  double information = 0;  // inverse variance of ln r
  if (seen.cs_mm.is_known()) {
    const double cs = seen.cs.value(),
                 sigma = std::hypot(seen.cs_mm.sigma, std::hypot(4 * pixel_tolerance * cs, cs_tolerance_mm));
    information += std::pow(4 * cs / sigma, 2);
  }
  if (seen.scale.is_known()) information += std::pow(2 / std::hypot(seen.scale.sigma, scale_tolerance), 2);
  if (seen.ice.sigma_A > 0)
    information += std::pow(1 / std::hypot(seen.ice.sigma_A / seen.ice.d_A, pixel_tolerance), 2);
  if (seen.gold.sigma_A > 0)
    information += std::pow(1 / std::hypot(seen.gold.sigma_A / seen.gold.d_A, pixel_tolerance), 2);
  return information > 0 ? std::min(1.0, noticed / std::sqrt(information)) : 1;
}

RingPlace common_place(const std::vector<double>& places, std::size_t fewest) {
  constexpr double widest_scatter = 0.01;
  if (places.size() < fewest) return {};
  const double place = median(places);
  std::vector<double> away;
  for (const double p : places) away.push_back(std::abs(p - place));
  const double scatter = sigma_over_mad * median(away);
  if (scatter > widest_scatter * place) return {};
  // No better than a quarter of a per cent: the ring's own centre.
  return {place, std::hypot(1.25 * scatter / std::sqrt(static_cast<double>(places.size())), 0.0025 * place)};
}

AskedAgainstFound compare_asked(const std::vector<double>& asked_A, const std::vector<double>& found_A,
                                const std::vector<double>& sigma_A) {
  constexpr std::size_t fewest = 8;
  constexpr double least_spread_A = 1500, outlier = 4;
  AskedAgainstFound out;
  if (asked_A.size() < fewest) return out;
  std::vector<double> difference;
  for (std::size_t i = 0; i < asked_A.size(); ++i) difference.push_back(found_A[i] - asked_A[i]);
  const auto mean = robust_mean(difference, sigma_A);
  out.offset_A = {mean.value, mean.sigma};

  // Least squares of equal weights on what is no outlier: the microscope's scatter exceeds the fits' errors.
  std::vector<char> is_used(asked_A.size(), 1);
  for (int pass = 0; pass < 3; ++pass) {
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (std::size_t i = 0; i < asked_A.size(); ++i) {
      if (is_used[i] == 0) continue;
      n += 1;
      sx += asked_A[i];
      sy += found_A[i];
      sxx += asked_A[i] * asked_A[i];
      sxy += asked_A[i] * found_A[i];
    }
    const double room = sxx - sx * sx / n;
    if (n < static_cast<double>(fewest) || std::sqrt(at_least_zero(room) / n) < least_spread_A) return out;
    const double slope = (sxy - sx * sy / n) / room, start = (sy - slope * sx) / n;
    std::vector<double> residual;
    double squares = 0;
    for (std::size_t i = 0; i < asked_A.size(); ++i) {
      residual.push_back(std::abs(found_A[i] - start - slope * asked_A[i]));
      if (is_used[i] != 0) squares += residual.back() * residual.back();
    }
    out.scale = {slope, std::sqrt(squares / (n - 2) / room)};
    const double limit = outlier * sigma_over_mad * median(residual);
    for (std::size_t i = 0; i < residual.size(); ++i) is_used[i] = residual[i] <= limit ? 1 : 0;
  }
  return out;
}

}  // namespace frazil::ctf
