// Making a project, changing its workflow, and speaking to whoever works on it.
#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/control.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/impl.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/engine/recovery.hpp"
#include "frazil/engine/watcher.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

std::string replayable(const flow::Workflow& workflow, const Json& values) {
  auto json = nlohmann::ordered_json::parse(workflow.text);
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

/// Problems of what the parameters name: files that are not there, and a folder of files that is this project.
void check_places(const std::filesystem::path& project, const flow::Plan& plan, std::vector<flow::Problem>& problems) {
  std::error_code error;
  for (const auto& [place, file] : flow::named_files(plan)) {
    if (std::filesystem::is_regular_file(file, error)) continue;
    const bool is_folder = std::filesystem::is_directory(file, error);
    const auto* hint =
        file.find("~") != std::string::npos ? " (~ is not replaced behind a =; write the folder out)" : "";
    problems.push_back(
        {place, fmt::format("{}: {}{}", file,
                            is_folder ? "a file is expected, this is a folder" : "there is no such file", hint)});
  }
  const auto own = std::filesystem::weakly_canonical(project, error);
  for (const auto& step : plan.steps) {
    if (step.protocol->shape != flow::Shape::source) continue;
    const auto watched = split_pattern(step.protocol->source.watch(step.params).files).first;
    const auto folder = std::filesystem::weakly_canonical(watched, error);
    if (const auto inside = folder.lexically_relative(own); !inside.empty() && *inside.begin() != "..")
      problems.push_back({step.name, fmt::format("{}: lies in the project itself: its results would be taken for files "
                                                 "to process; choose another folder for the project",
                                                 watched.string())});
  }
}

}  // namespace

void prepare_project(const std::filesystem::path& project, const flow::Workflow& workflow, const Json& values,
                     const flow::Registry& registry, bool rebuild) {
  make_folders(project);
  const Lease lease(project);
  expect_database(project, rebuild);
  store::Project store(project);
  if (rebuild) find_results(project, store);
  Json merged = Json::parse(store.get("values").value_or("{}"));
  for (const auto& [key, value] : values.items()) merged[key] = value;
  for (auto it = merged.begin(); it != merged.end();) {  // kept from a workflow that had other parameters
    const bool declared = std::any_of(workflow.parameters.begin(), workflow.parameters.end(),
                                      [&](const flow::Parameter& p) { return p.name == it.key(); });
    it = declared || values.contains(it.key()) ? std::next(it) : merged.erase(it);
  }
  std::vector<flow::Problem> problems;
  flow::FileHashes files(store.get("files").value_or(""));
  const auto plan = flow::make_plan(workflow, registry, merged, problems, false, &files);
  if (problems.empty()) check_places(project, plan, problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "the workflow cannot run:\n{}", flow::describe(problems));
  const bool is_new = !store.get("created").has_value();
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
