#include "frazil/protocols/monitor_gain.hpp"

#include <cmath>

#include "frazil/algo/gain/trend.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/protocols/detector_record.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

constexpr int stride = 1 << 20;  // wider than any camera: the records do not say how wide it is

gain::DoseState read_dose(const Json& json) {
  gain::DoseState dose;
  dose.movies = json.at("movies");
  dose.counts = json.at("counts").get<std::deque<double>>();
  dose.levels = json.at("levels").get<std::vector<double>>();
  dose.outside = json.at("outside");
  dose.odd = json.at("odd").get<std::deque<std::string>>();
  dose.most_counts = json.at("most_counts").get<std::deque<double>>();
  dose.most_ratios = json.at("most_ratios").get<std::deque<double>>();
  dose.nx = json.at("nx");
  dose.ny = json.at("ny");
  dose.frames = json.at("frames");
  dose.raw_frames = json.at("raw_frames");
  return dose;
}

Json dose_json(const gain::DoseState& dose) {
  return {{"movies", dose.movies},
          {"counts", dose.counts},
          {"levels", dose.levels},
          {"outside", dose.outside},
          {"odd", dose.odd},
          {"most_counts", dose.most_counts},
          {"nx", dose.nx},
          {"ny", dose.ny},
          {"frames", dose.frames},
          {"raw_frames", dose.raw_frames},
          {"most_ratios", dose.most_ratios}};
}

gain::TrendState read_state(const std::filesystem::path& path) {
  const auto json = Json::parse(read_text(path), nullptr, false);
  if (!json.is_object()) throw Error(ErrorCode::corrupt, "{}: expected the state of the camera monitor", path.string());
  gain::TrendState state;
  state.movies = json.at("movies");
  state.dose = read_dose(json.at("dose"));
  state.recent = json.at("recent").get<std::deque<std::vector<std::uint64_t>>>();
  state.defects = json.at("defects").get<std::set<std::uint64_t>>();
  state.first = {json.at("first").at(0), json.at("first").at(1)};
  return state;
}

void write_state(const std::filesystem::path& path, const gain::TrendState& state) {
  const Json json = {{"movies", state.movies},
                     {"dose", dose_json(state.dose)},
                     {"recent", state.recent},
                     {"defects", state.defects},
                     {"first", {state.first.variance, state.first.sigma}}};
  write_text(path, json.dump());
}

double deviation(double variance) { return std::sqrt(at_least_zero(variance)); }

}  // namespace

gain::Exposed exposed(const Detector& d) {
  return {.name = d.movie,
          .counts = d.counts,
          .noise_ratio = d.noise_ratio,
          .declared = d.declared_dose_per_frame.value(),
          .pixel_A = d.pixel_size.value(),
          .voltage_kV = d.voltage.value(),
          .nx = d.nx,
          .ny = d.ny,
          .frames = d.frames,
          .raw_frames = d.raw_frames};
}

DetectorTrend MonitorGain::fold(const DetectorTrend* previous, const std::vector<Detector>& batch,
                                flow::Context& context) const {
  gain::TrendState state;
  if (previous != nullptr) state = read_state(context.input(previous->state));
  std::vector<gain::MovieSigns> signs;
  for (const auto& d : batch) {
    if (!std::isfinite(d.counts + d.residual_variance + d.residual_sigma + d.correlation)) continue;
    gain::MovieSigns movie{.exposed = exposed(d),
                           .residual = {d.residual_variance, d.residual_sigma},
                           .verdict = d.verdict,
                           .alarm = d.alarm,
                           .orientation = d.orientation,
                           .inverted = d.inverted,
                           .shift_x = d.shift_x,
                           .shift_y = d.shift_y,
                           .correlation = d.correlation};
    if (!d.defects.empty()) movie.defects = read_defects(context.input(d.defects), stride);
    signs.push_back(std::move(movie));
  }
  const auto trend = gain::follow(state, signs);
  DetectorTrend out;
  out.version = previous == nullptr ? 1 : previous->version + 1;
  out.movies = state.movies;
  out.batch = static_cast<int>(signs.size());
  out.left_out = static_cast<int>(batch.size() - signs.size());
  out.counts = trend.dose.counts;
  out.counts_spread = trend.dose.spread;
  out.usual_share = trend.dose.usual_share;
  out.is_sure = trend.dose.is_sure;
  out.levels = state.dose.levels;
  out.odd.assign(state.dose.odd.begin(), state.dose.odd.end());
  out.dose_per_frame = Dose(trend.dose.dose);
  out.noise_ratio = trend.dose.noise_ratio;
  out.dose_outliers = trend.dose_outliers;
  out.residual_std = deviation(trend.residual.variance);
  out.residual_sigma = trend.residual.sigma;
  out.first_residual_std = deviation(state.first.variance);
  out.defects_count = static_cast<int>(state.defects.size());
  out.new_defects = trend.new_defects;
  out.orientation = trend.orientation;
  out.inverted = trend.inverted;
  out.correlation = trend.correlation;
  out.verdict = trend.verdict;
  out.findings = trend.findings;
  write_state(context.output("camera_state.json"), state);
  write_defects(context.output("defects.txt"), {state.defects.begin(), state.defects.end()}, stride);
  out.state = context.reference("camera_state.json");
  out.defects = context.reference("defects.txt");
  return out;
}

template flow::Protocol protocol_of<MonitorGain>();

}  // namespace frazil::protocols
