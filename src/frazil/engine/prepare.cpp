// Making a project, changing its workflow, and speaking to whoever works on it.
#include <fmt/chrono.h>

#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/process.hpp"
#include "frazil/engine/command.hpp"
#include "frazil/engine/control.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/impl.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/places.hpp"
#include "frazil/engine/recovery.hpp"
#include "frazil/engine/settings.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

std::string replayable(const flow::Workflow& workflow, const Json& values) {
  auto json = nlohmann::ordered_json::parse(workflow.text);
  for (const auto& [key, value] : values.items())  // those set for one step
    if (const auto dot = key.rfind('.'); dot != std::string::npos && !value.is_null())
      json["steps"][key.substr(0, dot)]["params"][key.substr(dot + 1)] = nlohmann::ordered_json::parse(value.dump());
  if (const auto list = json.find("parameters"); list != json.end())
    for (auto& parameter : *list)
      if (const auto name = parameter.value("name", ""); values.contains(name))
        parameter["default"] = nlohmann::ordered_json::parse(values.at(name).dump());
  return json.dump(2) + "\n";
}

namespace {

/// The values that a project was run with, as its workflow.json tells.
Json replayed_values(const std::filesystem::path& project) {
  Json values = Json::object();
  std::error_code ignored;
  if (!std::filesystem::exists(project / "workflow.json", ignored)) return values;
  const auto json = Json::parse(read_text(project / "workflow.json"), nullptr, false);
  if (!json.is_object() || !json.contains("parameters")) return values;
  for (const auto& parameter : json.at("parameters"))
    if (parameter.contains("name") && parameter.contains("default"))
      values[parameter.at("name").get<std::string>()] = parameter.at("default");
  return values;
}

/// Fills a store from the result folders.
void find_results(const std::filesystem::path& project, store::Project& store) {
  if (!store.get("values")) store.put("values", replayed_values(project).dump());
  const auto found = rebuild(project, store);
  log::info("{}: found {} tasks with {} items again; decisions of people, approvals and earlier events are lost",
            project.string(), found.tasks, found.items);
  if (found.untold > 0)
    log::warning("{}: {} folders in steps/ do not say what made them; they move to orphans/ when the engine starts",
                 project.string(), found.untold);
}

/// A reference that was moved, or copied, is the same to the keys; what is still to come finds it where it is now.
void follow_moved_files(store::Project& store, const flow::Plan& plan) {
  const auto before = Json::parse(store.get("named files").value_or("{}"));
  Json now = Json::object();
  for (const auto& [place, file] : flow::named_files(plan)) {
    now[place] = file;
    const auto step = place.substr(0, place.rfind('.'));
    if (const auto old = before.value(place, file); old != file) store.rename_in_records(step, old, file);
  }
  store.put("named files", now.dump());
}

/// The values of a project with some of them given anew; none is kept that the workflow has no place for.
Json merged_values(const flow::Workflow& workflow, const flow::Registry& registry, Json stored, const Json& given) {
  for (const auto& [key, value] : given.items()) stored[key] = value;
  for (auto it = stored.begin(); it != stored.end();) {  // kept from a workflow that had other parameters
    std::vector<flow::Problem> ignored;
    const auto setting = flow::find_setting(workflow, registry, it.key(), ignored);
    const bool has_place = setting && setting->key == it.key();
    it = has_place || given.contains(it.key()) ? std::next(it) : stored.erase(it);
  }
  return stored;
}

/// What a start changes of a project that is there already, or of the template's own values.
std::vector<flow::ValueChange> changes_of(store::Project& store, bool is_new, const flow::Workflow& workflow,
                                          const flow::Plan& plan, const flow::Registry& registry) {
  std::vector<flow::Problem> problems;
  const auto before = is_new ? workflow : flow::parse_workflow(store.get("workflow").value_or(""), problems);
  const auto values = is_new ? Json::object() : Json::parse(store.get("values").value_or("{}"));
  const auto old = flow::make_plan(before, registry, values, problems, true);
  if (!problems.empty()) return {};  // made by another version of the program
  auto changes = flow::changes_between(workflow, old, plan);
  for (auto& change : changes)  // the template has no value for these, only an example of one
    for (const auto& parameter : workflow.parameters)
      if (is_new && parameter.required && parameter.name == change.name) change.from = nullptr;
  return changes;
}

/// "fit_resolution_limit: 5 → 10 Å (gb set it at 2026-08-01 12:03:11)"
std::vector<std::string> told_changes(store::Project& store, const std::vector<flow::ValueChange>& changes) {
  const auto last = last_changes(store);
  std::vector<std::string> lines;
  for (const auto& change : changes) {
    auto line = flow::describe(change);
    if (const auto before = last.value(change.name, Json()); before.is_object()) {
      const auto time = static_cast<std::time_t>(before.value("time", 0.0));
      line += fmt::format(" ({} set it at {:%Y-%m-%d %H:%M:%S})", before.value("actor", ""), fmt::localtime(time));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

/// The plan, checked with all that it names. Folders of files may be away: an engine waits for them.
/// @throws Error(bad_input) with all problems
flow::Plan checked_plan(const std::filesystem::path& project, const flow::Workflow& workflow, const Json& values,
                        const flow::Registry& registry, flow::FileHashes& files) {
  std::vector<flow::Problem> problems;
  auto plan = flow::make_plan(workflow, registry, values, problems, false, &files);
  std::vector<std::string> all;
  for (const auto& step : plan.steps) all.push_back(step.name);
  if (problems.empty()) problems = place_problems(project, plan, all);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "the workflow cannot run:\n{}", flow::describe(problems));
  return plan;
}

}  // namespace

Json values_with(const std::filesystem::path& project, const flow::Workflow& workflow, const flow::Registry& registry,
                 const Json& given) {
  auto stored = Json::object();
  try {
    if (std::filesystem::exists(project / "project.frazil"))
      stored = Json::parse(store::Project(project, store::Access::read).get("values").value_or("{}"));
  } catch (const Error& error) {
    log::debug("{}", error.what());  // at work, or damaged: whoever opens it to work on it says what can be done
    stored = replayed_values(project);
  }
  return merged_values(workflow, registry, std::move(stored), given);
}

std::vector<std::string> prepare_project(const std::filesystem::path& project, const flow::Workflow& workflow,
                                         const Json& values, const flow::Registry& registry, bool rebuild) {
  if (flow::FileHashes files; !std::filesystem::exists(project / "project.frazil") && !rebuild)
    (void)checked_plan(project, workflow, values, registry, files);  // before anything is made
  make_folders(project);
  const Lease lease(project);
  expect_database(project, rebuild);
  store::Project store(project);
  if (rebuild) find_results(project, store);
  const auto merged = merged_values(workflow, registry, Json::parse(store.get("values").value_or("{}")), values);
  flow::FileHashes files(store.get("files").value_or(""));
  const auto plan = checked_plan(project, workflow, merged, registry, files);
  const bool is_new = !store.get("created").has_value();
  const auto changes = changes_of(store, is_new, workflow, plan, registry);
  const auto told = is_new ? std::vector<std::string>{} : told_changes(store, changes);
  note_changes(store, changes, login_name(), !is_new);
  if (is_new) store.put("created", std::to_string(store::now()));
  if (store.get("workflow") != workflow.text || store.get("values") != merged.dump()) {
    store.put("workflow", workflow.text);
    store.put("values", merged.dump());
    store.add_event(is_new ? "created" : "changed", "", "", plan.title);
  }
  store.put("files", files.text());
  follow_moved_files(store, plan);
  store.commit();
  write_text(project / "workflow.json", replayable(workflow, plan.values));
  return told;
}

namespace {

/// The answer of the engine that works on the project; none: nobody does. Waits for one that is just starting, or whose
/// socket has vanished and is about to be made anew.
std::optional<Json> ask_engine(const std::filesystem::path& project, const Json& request, double starting_s) {
  const auto until = Clock::now() + std::chrono::duration<double>(starting_s);
  while (const auto holder = lease_holder(project)) {
    const auto socket = holder->socket.empty() ? control_socket(project) : holder->socket;
    const bool is_here = holder->host.empty() || holder->host == host_name();
    if (auto answer = is_here ? send_request(socket, request) : std::nullopt) return answer;
    if (!is_here || Clock::now() > until)
      throw Error(ErrorCode::resource,
                  "{}: an engine works on this project (process {} on {}), but it cannot be reached {}",
                  project.string(), holder->pid, holder->host.empty() ? "an unknown host" : holder->host,
                  is_here ? "through " + socket.string() : "from this host");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return std::nullopt;
}

}  // namespace

Json ask(const std::filesystem::path& project, const flow::Registry& registry, const Json& request, double starting_s) {
  if (!std::filesystem::exists(project / "project.frazil"))
    throw Error(ErrorCode::not_found, "{}: there is no project here", project.string());
  if (auto answer = ask_engine(project, request, starting_s)) return *answer;
  const auto command = request.value("command", "");
  if (command == "stop" || command == "pause" || command == "resume") return {{"ok", true}, {"note", "no engine runs"}};
  Options options;
  options.project = project;
  options.read_only = !Service::writes(command);
  Engine engine(std::move(options), registry);
  return engine.request(request);
}

}  // namespace frazil::engine
