#include "frazil/report/alive.hpp"

#include <algorithm>

namespace frazil::report {

Json alive(const engine::State& state) {
  Json alarms = Json::array();
  for (const auto& alarm : state.live.status.alarms) alarms.push_back(engine::to_json(alarm));
  double last = 0;
  for (int i = 0; i < state.subject_count; ++i) last = std::max(last, state.subject(i).time);
  return {{"alarms", std::move(alarms)}, {"written", store::now()}, {"last_file", last}};
}

}  // namespace frazil::report
