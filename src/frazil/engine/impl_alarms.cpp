// Alarms: what a source says of its parameters, and what the latest version of a fold says is wrong. Any protocol can
// raise one, in a field `alarm` of its record.
#include <algorithm>

#include "frazil/engine/impl.hpp"

namespace frazil::engine {

std::vector<std::string> Engine::Impl::alarms() {
  std::vector<std::string> list;
  for (int i = 0; i < static_cast<int>(plan_.steps.size()); ++i) {
    for (const auto& note : intake_->watch(i).notes) list.push_back(step(i).name + ": " + note);
    if (step(i).protocol->shape != flow::Shape::fold || graph_->fold_tasks(i).empty()) continue;
    auto& [task, alarm] = alarms_[i];
    if (const auto last = graph_->fold_tasks(i).back();
        task != last) {  // records are read once a version, not once a status
      task = last;
      alarm.clear();
      for (std::size_t port = 0; port < step(i).protocol->outputs.size(); ++port)
        if (const auto members = graph_->members(i, static_cast<int>(port)); !members.empty())
          if (const auto record = Json::parse(store_.record(graph_->item(members.back().second).n), nullptr, false);
              record.is_object() && alarm.empty())
            alarm = record.value("alarm", "");
    }
    const auto is_same = [&text = alarm](const std::string& told) { return told.ends_with(": " + text); };
    if (!alarm.empty() && std::none_of(list.begin(), list.end(), is_same)) list.push_back(step(i).name + ": " + alarm);
  }
  return list;
}

}  // namespace frazil::engine
