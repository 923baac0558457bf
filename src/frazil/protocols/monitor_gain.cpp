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

gain::TrendState read_state(const std::filesystem::path& path) {
  const auto json = Json::parse(read_text(path), nullptr, false);
  if (!json.is_object()) throw Error(ErrorCode::corrupt, "{}: expected the state of the camera monitor", path.string());
  gain::TrendState state;
  state.movies = json.at("movies");
  state.counts = json.at("counts").get<std::deque<double>>();
  state.recent = json.at("recent").get<std::deque<std::vector<std::uint64_t>>>();
  state.defects = json.at("defects").get<std::set<std::uint64_t>>();
  state.first = {json.at("first").at(0), json.at("first").at(1)};
  return state;
}

void write_state(const std::filesystem::path& path, const gain::TrendState& state) {
  const Json json = {{"movies", state.movies},
                     {"counts", state.counts},
                     {"recent", state.recent},
                     {"defects", state.defects},
                     {"first", {state.first.variance, state.first.sigma}}};
  write_text(path, json.dump());
}

double deviation(double variance) { return std::sqrt(at_least_zero(variance)); }

}  // namespace

DetectorTrend MonitorGain::fold(const DetectorTrend* previous, const std::vector<Detector>& batch,
                                flow::Context& context) const {
  gain::TrendState state;
  if (previous != nullptr) state = read_state(context.input(previous->state));
  std::vector<gain::MovieSigns> signs;
  for (const auto& d : batch) {
    if (!std::isfinite(d.counts + d.residual_variance + d.residual_sigma + d.correlation)) continue;
    gain::MovieSigns movie{
        d.counts,     {d.residual_variance, d.residual_sigma}, {}, d.verdict, d.alarm, d.orientation, d.inverted,
        d.correlation};
    if (!d.defects.empty()) movie.defects = read_defects(context.input(d.defects), stride);
    signs.push_back(std::move(movie));
  }
  const auto trend = gain::follow(state, signs);
  DetectorTrend out;
  out.version = previous == nullptr ? 1 : previous->version + 1;
  out.movies = state.movies;
  out.batch = static_cast<int>(signs.size());
  out.left_out = static_cast<int>(batch.size() - signs.size());
  out.counts = trend.counts;
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
  out.alarm = trend.alarm;
  write_state(context.output("camera_state.json"), state);
  write_defects(context.output("defects.txt"), {state.defects.begin(), state.defects.end()}, stride);
  out.state = context.reference("camera_state.json");
  out.defects = context.reference("defects.txt");
  return out;
}

template flow::Protocol protocol_of<MonitorGain>();

}  // namespace frazil::protocols
