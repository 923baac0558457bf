// The rules of a workflow's alarms (reading.hpp).
#include <algorithm>
#include <array>

#include "frazil/flow/reading.hpp"
#include "frazil/params/finding.hpp"

namespace frazil::flow {
namespace {

/// Reads the rules of alarms, each on a numeric field of a step's records.
class MonitorReader {
 public:
  MonitorReader(const Plan& plan, std::vector<Problem>& problems) : plan_(plan), problems_(problems) {}

  /// Nothing for a rule that is wrong.
  std::optional<Monitor> read(const Json& json, const std::string& place) {
    unknown_keys(json, {"name", "title", "from", "field", "above", "below", "count", "in_last", "kind", "advice"},
                 place, problems_);
    const auto before = problems_.size();
    Monitor monitor;
    monitor.name = text_at(json, "name", place, problems_);
    monitor.title = text_at(json, "title", place, problems_, monitor.name);
    monitor.advice = text_at(json, "advice", place, problems_);
    if (monitor.name.empty()) problems_.push_back({place, "a rule needs a name"});
    monitor.kind = text_at(json, "kind", place, problems_, monitor.kind);
    const auto& kinds = enum_names<AlarmKind>;
    if (std::find(kinds.begin(), kinds.end(), monitor.kind) == kinds.end())
      problems_.push_back(
          {place + ".kind", fmt::format("must be one of {}, not {}", fmt::join(kinds, ", "), monitor.kind)});
    limits(json, place, monitor);
    if (const auto* port = source(text_at(json, "from", place, problems_), place, monitor))
      field(json, place, *port, monitor);
    return problems_.size() == before ? std::optional(monitor) : std::nullopt;
  }

 private:
  /// The port that "STEP.PORT" (or "STEP": its first) means; null: a problem was reported.
  const PortInfo* source(const std::string& from, const std::string& place, Monitor& monitor) {
    const auto dot = from.rfind('.');
    monitor.step = plan_.find(from.substr(0, dot));
    if (monitor.step < 0) {
      problems_.push_back({place + ".from", "there is no step \"" + from.substr(0, dot) + "\""});
      return nullptr;
    }
    const auto& outputs = plan_.steps[static_cast<std::size_t>(monitor.step)].protocol->outputs;
    const auto port = dot == std::string::npos ? outputs.begin()
                                               : std::find_if(outputs.begin(), outputs.end(), [&](const PortInfo& p) {
                                                   return p.name == from.substr(dot + 1);
                                                 });
    if (port == outputs.end()) {
      problems_.push_back({place + ".from", fmt::format("{} has no output \"{}\"; it has {}", from.substr(0, dot),
                                                        from.substr(dot + 1), port_names(outputs))});
      return nullptr;
    }
    monitor.port = static_cast<int>(port - outputs.begin());
    return &*port;
  }

  void limits(const Json& json, const std::string& place, Monitor& monitor) {
    const auto number = [&](const char* key) -> std::optional<double> {
      const auto found = json.find(key);
      if (found == json.end()) return std::nullopt;
      if (found->is_number()) return found->get<double>();
      problems_.push_back({place + "." + key, "must be a number, not " + found->dump()});
      return std::nullopt;
    };
    const auto whole = [&](const char* key, int otherwise) {
      const auto value = json.value(key, Json(otherwise));
      if (value.is_number_integer() && value.get<std::int64_t>() >= 1 && value.get<std::int64_t>() <= 1000000)
        return value.get<int>();
      problems_.push_back({place + "." + key, "must be a whole number from 1 to 1000000, not " + value.dump()});
      return otherwise;
    };
    monitor.above = number("above");
    monitor.below = number("below");
    if (!json.contains("above") && !json.contains("below"))
      problems_.push_back({place, "needs a limit: \"above\", \"below\" or both"});
    monitor.count = whole("count", 1);
    monitor.in_last = whole("in_last", monitor.count);
    if (monitor.in_last < monitor.count)
      problems_.push_back(
          {place + ".in_last", fmt::format("{} of the last {} can never be", monitor.count, monitor.in_last)});
  }

  void field(const Json& json, const std::string& place, const PortInfo& port, Monitor& monitor) {
    monitor.field = text_at(json, "field", place, problems_);
    if (monitor.field.empty()) problems_.push_back({place, "needs the field whose number it looks at"});
    if (port.fields == nullptr || monitor.field.empty()) return;
    std::string names;
    for (const auto& info : *port.fields) {
      if (info.type != "number" && info.type != "integer") continue;
      if (info.name == monitor.field || info.name + info.suffix == monitor.field) {
        monitor.field = info.name + info.suffix;
        monitor.unit = info.unit;
        return;
      }
      names += (names.empty() ? "" : ", ") + info.name;
    }
    problems_.push_back(
        {place + ".field", fmt::format("{} has no number \"{}\"; it has {}", port.kind, monitor.field, names)});
  }

  const Plan& plan_;
  std::vector<Problem>& problems_;
};

}  // namespace

void add_monitors(Plan& plan, const Json& monitors, const std::set<std::string>& all_steps,
                  std::vector<Problem>& problems) {
  MonitorReader reader(plan, problems);
  for (std::size_t i = 0; i < monitors.size(); ++i) {
    const auto place = fmt::format("monitors[{}]", i);
    const auto& json = monitors[i];
    if (!json.is_object()) {
      problems.push_back({place, "must be an object"});
      continue;
    }
    const auto from = json.value("from", Json());
    const auto step = from.is_string() ? from.get<std::string>().substr(0, from.get<std::string>().rfind('.')) : "";
    if (all_steps.contains(step) && plan.find(step) < 0) continue;
    auto monitor = reader.read(json, place);
    if (!monitor) continue;
    if (std::any_of(plan.monitors.begin(), plan.monitors.end(),
                    [&](const Monitor& m) { return m.name == monitor->name; }))
      problems.push_back({place, "there is another rule " + monitor->name});
    plan.monitors.push_back(std::move(*monitor));
  }
}

}  // namespace frazil::flow
