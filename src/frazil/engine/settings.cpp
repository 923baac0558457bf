#include "frazil/engine/settings.hpp"

namespace frazil::engine {
namespace {

constexpr const char* changes_place = "last changes";  // in the store

/// A row of the table without who has changed it.
Json row_of(const std::string& name, const std::string& title, const std::string& unit, Json value, Json otherwise) {
  return {
      {"name", name}, {"title", title}, {"unit", unit}, {"value", std::move(value)}, {"default", std::move(otherwise)}};
}

}  // namespace

void note_changes(store::Project& store, const std::vector<flow::ValueChange>& changes, const std::string& actor,
                  bool with_events) {
  if (changes.empty()) return;
  auto last = last_changes(store);
  for (const auto& change : changes) {
    last[change.name] = {{"from", change.from}, {"actor", actor}, {"time", store::now()}};
    if (!with_events) continue;
    const auto dot = change.name.rfind('.');
    store.add_event("changed", dot == std::string::npos ? "" : change.name.substr(0, dot), "", flow::describe(change),
                    actor);
  }
  store.put(changes_place, last.dump());
}

Json last_changes(store::Project& store) { return Json::parse(store.get(changes_place).value_or("{}")); }

Json settings_of(const Head& head) {
  std::vector<flow::Problem> ignored;
  const auto workflow = flow::parse_workflow(head.workflow, ignored);
  Json rows = Json::array();
  for (const auto& parameter : workflow.parameters)
    rows.push_back(row_of(parameter.name, parameter.title, parameter.unit,
                          head.plan.values.value(parameter.name, Json()), parameter.default_value));
  for (const auto& [key, value] : head.plan.values.items()) {
    const auto dot = key.rfind('.');
    const int index = dot == std::string::npos ? -1 : head.plan.find(key.substr(0, dot));
    if (index < 0) continue;
    const auto& step = head.plan.steps[static_cast<std::size_t>(index)];
    for (const auto& field : step.protocol->params)
      if (field.name == key.substr(dot + 1))
        rows.push_back(row_of(key, step.title + ": " + field.help, field.unit, value, field.default_value));
  }
  for (auto& row : rows) {
    const auto change = head.last_changes.value(row.at("name").get<std::string>(), Json::object());
    for (const auto* what : {"from", "actor", "time"}) row[what] = change.value(what, Json());
  }
  return rows;
}

Json to_json(const std::vector<flow::ValueChange>& changes) {
  Json list = Json::array();
  for (const auto& change : changes)
    list.push_back({{"name", change.name},
                    {"from", change.from},
                    {"to", change.to},
                    {"unit", change.unit},
                    {"text", flow::describe(change)}});
  return list;
}

}  // namespace frazil::engine
